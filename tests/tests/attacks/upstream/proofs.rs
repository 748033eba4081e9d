//! Attacks with a session at a provider that is older than the proof that was asked for (group UP).

use e2e::{
    idp::{now, way_back, way_there},
    visitor::{Landing, Visitor},
};
use url::Url;

use super::Corp;

/// When the provider says that the person proved themselves.
#[derive(Clone, Copy, Debug)]
enum Said {
    Now,
    Ago(i64),
    Nothing,
}

impl Corp {
    fn says(&self, said: Said) {
        self.idp.honest();
        match said {
            Said::Now => {}
            Said::Ago(seconds) => {
                self.idp
                    .lie(move |lie| drop(lie.claims.insert("auth_time".into(), (now() - seconds).into())));
            }
            Said::Nothing => self.idp.lie(|lie| drop(lie.claims.remove("auth_time"))),
        }
    }

    /// Signs in at the provider to go on with a request that has this parameter.
    async fn asked(&self, visitor: &Visitor, name: &str, value: &str) -> Landing {
        let request = self.client.request();
        let request = if name.is_empty() { request } else { request.with(name, value) };
        let there = way_there(visitor, &request.url(), "corp").await;
        let back = way_back(visitor, there, self.stage.house.origin()).await;
        visitor.open(back.as_str()).await
    }

    fn last(&self, name: &str) -> Option<String> {
        self.idp.state().authorizations.last().and_then(|asked| asked.get(name).cloned())
    }
}

// UP-16
#[tokio::test]
async fn an_old_session_at_a_provider_is_no_new_proof_for_an_application() {
    let corp = Corp::open("generic", |plan| plan).await;
    for said in [Said::Now, Said::Ago(3600), Said::Nothing] {
        corp.says(said);
        // Nobody asked when: nobody is asked to prove anything.
        assert_eq!(corp.asked(&Visitor::new(), "", "").await.page().kind, "consent", "{said:?}");
        assert_eq!((corp.last("prompt").as_deref(), corp.last("max_age")), (Some("consent"), None));
        for (name, value) in [("prompt", "login"), ("max_age", "0"), ("max_age", "600")] {
            let landed = corp.asked(&Visitor::new(), name, value).await;
            assert_eq!(corp.last("prompt").as_deref(), Some("login consent"), "{name}={value}");
            assert_eq!(corp.last("max_age").as_deref(), Some("0"), "{name}={value}");
            if matches!(said, Said::Now) {
                assert_eq!(landed.page().kind, "consent", "{name}={value}");
            } else {
                let back = landed.away();
                assert_eq!(back.get("error").as_deref(), Some("login_required"), "{said:?} {name}={value}");
            }
        }
    }
    corp.says(Said::Ago(3600));
    assert_eq!(corp.asked(&Visitor::new(), "max_age", "7200").await.page().kind, "consent");
    corp.close().await;
}

// UP-16
#[tokio::test]
async fn an_old_session_at_a_provider_is_no_new_proof_for_a_change_of_the_account() {
    let corp = Corp::open("keycloak", |plan| plan).await;
    let proving = corp.stage.at("/login?then=passkeys");
    for said in [Said::Ago(3600), Said::Nothing] {
        let visitor = Visitor::new();
        corp.says(said);
        assert_eq!(corp.asked(&visitor, "", "").await.page().kind, "consent");
        // Asked for a proof, and again after the same answer.
        let login = visitor.open(&proving).await.page();
        assert_eq!(login.kind, "login", "{said:?}: {login:#?}");
        let there: Url = visitor.open(login.providers["corp"].as_str()).await.away().url;
        assert_eq!(corp.last("prompt"), None);
        let back = way_back(&visitor, there, corp.stage.house.origin()).await;
        assert_eq!(
            (corp.last("prompt").as_deref(), corp.last("max_age").as_deref()),
            (Some("login"), Some("0"))
        );
        let page = visitor.open(back.as_str()).await.page();
        page.expect_error(403, "sign_in_not_proved");
        assert!(page.text.contains("auth_time"), "{page:#?}");
        // The way out: a proof of now.
        corp.says(Said::Now);
        let login = visitor.open(&proving).await.page();
        let there = visitor.open(login.providers["corp"].as_str()).await.away().url;
        let back = way_back(&visitor, there, corp.stage.house.origin()).await;
        let landed = visitor.open(back.as_str()).await.page();
        assert!(landed.url.path().ends_with("/account/passkeys"), "{landed:#?}");
    }
    corp.close().await;
}
