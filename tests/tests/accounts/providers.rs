//! Accounts at upstream providers, as their owners see them.

use e2e::client::{Client, Tokens};
use e2e::house::{House, Plan, Store};
use e2e::idp::{Idp, way_back, way_there};
use e2e::scene::Scene;
use e2e::visitor::Visitor;
use serde_json::json;

use crate::person::{AtHome, let_minutes_pass};

e2e::on_both_stores!(a_person_sees_linked_accounts_and_unlinks_one_by_another_way_in);

struct Corp {
    house: House,
    _idp: Idp,
    client: Client,
}

impl Corp {
    /// Signs in there, in the middle of what a client asks for.
    async fn arrive(&self, home: &AtHome) -> (e2e::client::Request, e2e::page::Page) {
        let request = self.client.request();
        let there = way_there(&home.visitor, &request.url(), "corp").await;
        let back = way_back(&home.visitor, there, self.house.origin()).await;
        (request, home.visitor.open(back.as_str()).await.page())
    }
}

async fn a_person_sees_linked_accounts_and_unlinks_one_by_another_way_in(store: Store) {
    let idp = Idp::start("a-0001", "alice@example.test").await;
    idp.claim("groups", json!(["staff", "night-shift"]));
    let plan = idp.known_to(Plan::on(store).without_artifacts(), "corp", "generic");
    let house = House::build(plan).await;
    let client = Scene::at(&house).await.client().await;
    let corp = Corp { house, _idp: idp, client };
    let alice = corp.house.alice().clone();

    // Nothing is linked at first, and the page says how to.
    let first = AtHome::sign_in(&corp.house, &alice).await;
    let page = first.page("/account/providers").await;
    assert_eq!(page.kind, "account-providers");
    assert!(page.text.contains("linked to no other account"), "{}", page.text);
    assert!(page.text.contains("You can link Provider corp"), "{}", page.text);

    // Linked, and an application allowed while signed in through it.
    let home = AtHome::stranger(&corp.house);
    let (_, login) = corp.arrive(&home).await;
    let link = home.visitor.sign_in(&login, &alice).await.page();
    assert_eq!(home.press(&link, &[], ("action", "link")).await.kind, "consent");
    let inside = AtHome::stranger(&corp.house);
    let (request, consent) = corp.arrive(&inside).await;
    let code = inside.visitor.decide(&consent, &["read"], "authorize").await.away().code();
    let tokens = Tokens::read(&corp.client.redeem(&request, &code).await);

    let page = inside.page("/account/providers").await;
    for words in ["linked to one other account", "Provider corp", "night-shift, staff"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert!(inside.page("/account").await.text.contains("1 account"));
    let unlink = page.forms.iter().flat_map(|form| &form.fields).find(|field| field.name == "unlink");
    let id = unlink.expect("a button").value.clone();

    // Whoever came in through it would shut themselves out; others have nothing to do with it.
    let refused = inside.press(&page, &[], ("unlink", &id)).await;
    assert!(refused.answer.status == 422 && refused.text.contains("shut yourself out"), "{refused:#?}");
    let bob = corp.house.user("bob@example.test");
    let bobs = AtHome::sign_in(&corp.house, &bob).await;
    let sessions = bobs.page("/account/sessions").await;
    let tag = sessions.forms[0].fields.iter().find(|field| field.name == "csrf").expect("a token");
    let fields = [("csrf".to_owned(), tag.value.clone()), ("unlink".to_owned(), id.clone())];
    let action = format!("{}/account/providers", corp.house.issuer()).parse().expect("a URL");
    let refused = bobs.visitor.post(&action, &fields).await.page();
    assert!(refused.text.contains("not linked any more"), "{}", refused.text);

    // Nor does an old session do it.
    let page = first.page("/account/providers").await;
    let_minutes_pass(&corp.house, 10);
    let again = first.press(&page, &[], ("unlink", &id)).await;
    assert_eq!(again.kind, "login", "{again:#?}");
    let tokens = Tokens::read(&corp.client.refresh(&tokens.refresh).await);

    let fresh = AtHome::sign_in(&corp.house, &alice).await;
    let page = fresh.page("/account/providers").await;
    let page = fresh.press(&page, &[], ("unlink", &id)).await;
    assert!(page.text.contains("not linked any more"), "{}", page.text);
    assert!(page.text.contains("linked to no other account"), "{}", page.text);
    assert_eq!(inside.page("/account").await.kind, "login", "its session is over");
    corp.client.refresh(&tokens.refresh).await.expect_error(400, "invalid_grant");
    let listed = corp.house.cli(&["user", "identities", &alice.email, "--json"], "").json();
    assert_eq!(listed, json!([]));
    let trail = corp.house.cli(&["audit", "export"], "").ok();
    assert!(trail.contains("identity_unlinked") && trail.contains("grant_revoked"), "{trail}");
    assert!(
        !Visitor::new().open(&format!("{}/login", corp.house.issuer())).await.page().providers.is_empty()
    );
}
