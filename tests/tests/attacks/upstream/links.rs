//! Attacks on the link between an account here and one at a provider (group UP).

use e2e::{house::Person, page::Page, visitor::Visitor};
use serde_json::{Value, json};

use super::{CAROL, Corp};

async fn prove(visitor: &Visitor, page: &Page, person: &Person) -> Page {
    assert!(page.text.contains("Sign in to it once"), "{page:#?}");
    visitor.sign_in(page, person).await.page()
}

async fn press(visitor: &Visitor, page: &Page, action: &str) -> Page {
    assert_eq!(page.kind, "link_accounts", "{page:#?}");
    let form = page.form("action");
    visitor.post(&form.action, &form.filled(&[], &[], ("action", action))).await.page()
}

// UP-05, UP-06, UP-07
#[tokio::test]
async fn an_account_with_the_address_is_linked_by_its_owner_alone_and_once() {
    let corp = Corp::open("generic", |plan| plan).await;
    let alice = corp.stage.house.alice().clone();
    let mallory = corp.stage.house.user("mallory@example.test");
    corp.idp.claim("email", alice.email.clone().into());

    // Not verified, or not said to be: neither linked nor offered, and no second account with the address.
    for verified in [json!(false), Value::Null] {
        corp.idp.claim("email_verified", verified);
        corp.arrive(&Visitor::new()).await.expect_error(403, "email_taken");
    }
    corp.idp.claim("email_verified", json!(true));

    // Verified: the owner of the account here has to prove it. Whoever cannot is not in.
    let thief = Visitor::new();
    let page = corp.arrive(&thief).await;
    assert_eq!(page.kind, "login", "{page:#?}");
    assert!(!corp.who(&thief).await.contains("alice"));
    let page = corp.arrive(&thief).await;
    let landed = thief.sign_in(&page, &mallory).await.page();
    landed.expect_error(409, "other_account");
    assert_eq!(corp.identities(&alice.email), json!([]));

    // The owner may say no, and then nothing is linked.
    let owner = Visitor::new();
    let page = corp.arrive(&owner).await;
    let page = prove(&owner, &page, &alice).await;
    let page = press(&owner, &page, "cancel").await;
    assert_eq!(page.kind, "consent", "{page:#?}");
    assert_eq!(corp.identities(&alice.email), json!([]));

    // The proof is for this account at the provider, in this browser, and good for one link.
    let owner = Visitor::new();
    let page = corp.arrive(&owner).await;
    let proven = prove(&owner, &page, &alice).await;
    let other = Visitor::new();
    other.open(&corp.stage.at("/login/link")).await.page().expect_error(400, "request_gone");
    let form = proven.form("action");
    let fields = form.filled(&[], &[], ("action", "link"));
    other.post(&form.action, &fields).await.page().expect_error(403, "csrf");
    let page = press(&owner, &proven, "link").await;
    assert_eq!(page.kind, "consent", "{page:#?}");
    assert_eq!(corp.identities(&alice.email)[0]["subject"], "carol-0001");
    owner.post(&form.action, &fields).await.page().expect_error(400, "request_gone");

    // Another account at the provider with the same address is not the one that was linked.
    corp.idp.claim("sub", "carol-0002".into());
    corp.arrive(&Visitor::new()).await.expect_error(403, "linked_to_another");

    // What was unlinked has to be proved anew, and who was signed in by it is out.
    corp.idp.claim("sub", "carol-0001".into());
    let linked = Visitor::new();
    assert_eq!(corp.arrive(&linked).await.kind, "consent");
    assert!(corp.who(&linked).await.contains("Alice"));
    corp.stage.house.cli(&["user", "unlink", &alice.email, "corp"], "").ok();
    assert!(!corp.who(&linked).await.contains("Alice"));
    assert_eq!(corp.arrive(&Visitor::new()).await.kind, "login");
    corp.close().await;
}

// UP-06
#[tokio::test]
async fn where_the_provider_is_not_believed_no_link_is_offered() {
    let corp = Corp::open("generic", |plan| plan.with("UPSTREAM__CORP__TRUST_EMAIL", "false")).await;
    corp.idp.claim("email", corp.stage.house.alice().email.clone().into());
    corp.arrive(&Visitor::new()).await.expect_error(403, "email_taken");
    corp.idp.claim("email", CAROL.into());
    corp.arrive(&Visitor::new()).await.expect_error(403, "email_unverified");
    assert_eq!(corp.users(), ["alice@example.test"]);
    corp.close().await;
}

// UP-06
#[tokio::test]
async fn an_address_that_nobody_vouches_for_names_no_account() {
    let root = "root@corp.test";
    for dialect in ["generic", "keycloak", "entra"] {
        let corp = Corp::open(dialect, |plan| plan).await;
        for verified in [json!(false), Value::Null] {
            corp.idp.claim("email_verified", verified);
            let page = corp.arrive(&Visitor::new()).await;
            page.expect_error(403, "email_unverified");
            assert!(page.text.contains("Ask an administrator"), "{page:#?}");
        }
        // A user name is chosen by whoever bears it.
        corp.idp.claim("email", Value::Null);
        corp.idp.claim("preferred_username", root.into());
        corp.arrive(&Visitor::new()).await.expect_error(403, "email_missing");
        assert_eq!(corp.users(), ["alice@example.test"], "{dialect}");
        // What userinfo has verified is worth more than it.
        let verified = json!({"email": CAROL, "email_verified": true});
        corp.idp.state().userinfo = serde_json::from_value(verified).unwrap();
        assert_eq!(corp.arrive(&Visitor::new()).await.kind, "consent");
        assert_eq!(corp.users(), ["alice@example.test", CAROL], "{dialect}");
        corp.close().await;
    }

    // Where the operator vouches for the tenant, people get in, except by what the tenant itself denies.
    let corp = Corp::open("entra", |plan| {
        plan.with("UPSTREAM__CORP__EMAIL_VERIFIED", "assumed")
            .with("UPSTREAM__CORP__EMAIL_FROM_USERNAME", "true")
    })
    .await;
    corp.idp.claim("email_verified", json!(false));
    corp.arrive(&Visitor::new()).await.expect_error(403, "email_unverified");
    for name in ["email", "email_verified"] {
        corp.idp.claim(name, Value::Null);
    }
    corp.idp.claim("preferred_username", root.into());
    assert_eq!(corp.arrive(&Visitor::new()).await.kind, "consent");
    assert_eq!(corp.users(), ["alice@example.test", root]);
    corp.close().await;
}

// UP-08
#[tokio::test]
async fn the_subject_is_who_it_is_whatever_becomes_of_the_address() {
    let corp = Corp::open("generic", |plan| plan).await;
    assert_eq!(corp.arrive(&Visitor::new()).await.kind, "consent");
    assert_eq!(corp.users(), ["alice@example.test", CAROL]);

    // Renamed, even to an address that somebody has here: the same account, with its old name.
    for email in ["renamed@corp.test", "alice@example.test"] {
        corp.idp.claim("email", email.into());
        let visitor = Visitor::new();
        assert_eq!(corp.arrive(&visitor).await.kind, "consent");
        assert!(corp.who(&visitor).await.contains(CAROL));
    }
    // Somebody else gets the old address: they are not her.
    corp.idp.claim("email", CAROL.into());
    corp.idp.claim("sub", "dave-0001".into());
    corp.arrive(&Visitor::new()).await.expect_error(403, "linked_to_another");
    assert_eq!(corp.users(), ["alice@example.test", CAROL]);
    corp.close().await;
}

// UP-09
#[tokio::test]
async fn a_provider_that_is_taken_away_signs_nobody_in_and_its_sessions_are_over() {
    let mut corp = Corp::open("generic", |plan| plan).await;
    corp.idp.claim("groups", json!(["staff"]));
    let (visitor, late) = (Visitor::new(), Visitor::new());
    assert_eq!(corp.arrive(&visitor).await.kind, "consent");
    let back = corp.called_back(&late).await;
    assert!(corp.who(&visitor).await.contains(CAROL));

    corp.stage.house.forget_settings("UPSTREAM__");
    corp.stage.house.restart_auth_server().await;
    assert!(!corp.who(&visitor).await.contains(CAROL));
    late.open(back.as_str()).await.page().expect_error(404, "unknown_provider");
    let users = corp.stage.house.cli(&["user", "list", "--json"], "").json();
    assert_eq!(users[1]["upstream_groups"], json!([]), "{users}");
    let login = Visitor::new().open(&corp.client.request().url()).await.page();
    assert!(login.providers.is_empty());
    corp.close().await;
}
