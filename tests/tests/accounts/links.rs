//! One-time links that administrators hand out.

use e2e::admin::{Admin, expect_problem};
use e2e::client::{Tokens, text};
use e2e::house::{House, Person, Plan, Store};
use e2e::idp::{Idp, way_back, way_there};
use e2e::page::Page;
use e2e::scene::Scene;
use serde_json::json;

use crate::person::{AtHome, with_password};

e2e::on_both_stores!(
    an_invitation_becomes_an_account_whose_person_is_signed_in,
    a_reset_link_sets_another_password_and_ends_all_sessions,
    a_reset_takes_passkeys_and_linked_accounts_along_when_that_is_ticked,
);

async fn house(store: Store) -> House {
    House::build(Plan::on(store).without_artifacts()).await
}

fn path(house: &House, link: &str) -> String {
    link.strip_prefix(house.issuer()).unwrap_or_else(|| panic!("{link} is not below the issuer")).to_owned()
}

async fn an_invitation_becomes_an_account_whose_person_is_signed_in(store: Store) {
    let house = house(store).await;
    let invite = ["user", "invite", "--email", "bob@example.test", "--name", "Bob", "--group", "staff"];
    let printed = house.cli(&invite, "").ok();
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let bob = AtHome::stranger(&house);
    let page = bob.page(&path(&house, printed.trim())).await;
    assert_eq!(page.kind, "link");
    assert!(page.text.contains("You are invited as bob@example.test"), "{}", page.text);
    // Looking at it again changes nothing, and neither does a password that is no good.
    let page = bob.press(&page, &[("password", "short")], ("action", "choose")).await;
    assert_eq!(page.answer.status, 422);
    let password = e2e::fresh();
    let home = bob.press(&page, &[("password", &password)], ("action", "choose")).await;
    assert_eq!(home.kind, "home", "{home:#?}");
    let person = Person { email: "bob@example.test".to_owned(), password };
    AtHome::sign_in(&house, &person).await;
    let users = house.cli(&["user", "list", "--json"], "").json();
    let made = users.as_array().expect("a list").iter().find(|user| user["email"] == "bob@example.test");
    let made = made.expect("the account");
    assert_eq!(
        (&made["name"], &made["groups"], &made["admin"]),
        (&json!("Bob"), &json!(["staff"]), &json!(false))
    );
    AtHome::stranger(&house).page(&path(&house, printed.trim())).await.expect_error(410, "link");
    assert_eq!(house.cli(&invite, "").code, 1, "nobody is invited who is there");
    let secret = printed.trim().rsplit('/').next().expect("a secret");
    assert!(!house.logs().contains(secret) && !house.cli(&["audit", "export"], "").ok().contains(secret));
}

async fn a_reset_link_sets_another_password_and_ends_all_sessions(store: Store) {
    let house = house(store).await;
    let alice = house.alice().clone();
    let before = AtHome::sign_in(&house, &alice).await;
    let printed = house.cli(&["user", "reset", "alice@example.test", "--json"], "").json();
    let link = path(&house, &text(&printed["link"]));
    assert!(printed["expires_at"].as_i64().is_some_and(|at| at > 0), "{printed}");
    assert_eq!(before.page("/account").await.kind, "account", "the link alone changes nothing");
    let person = AtHome::stranger(&house);
    let page = person.page(&link).await;
    let new = e2e::fresh();
    let done = person.press(&page, &[("password", &new)], ("action", "choose")).await;
    assert_eq!(done.kind, "done", "{done:#?}");
    assert_eq!(person.page("/account").await.kind, "login", "the link signs nobody in");
    assert_eq!(before.page("/account").await.kind, "login");
    AtHome::sign_in(&house, &with_password(&alice, &new)).await;
    person.page(&link).await.expect_error(410, "link");
}

async fn a_reset_takes_passkeys_and_linked_accounts_along_when_that_is_ticked(store: Store) {
    let idp = Idp::start("a-0001", "alice@example.test").await;
    idp.claim("groups", json!(["staff"]));
    let house = House::build(idp.known_to(Plan::on(store).without_artifacts(), "corp", "generic")).await;
    let alice = house.alice().clone();
    house.alter(
        "insert into passkeys (id, user_id, name, public_key, counter, created_at)
        select 'cGFzc2tleQ', id, 'Laptop', 'a2V5', 0, created_at from users where email = 'alice@example.test'",
    );
    let link =
        || path(&house, &text(&house.cli(&["user", "reset", &alice.email, "--json"], "").json()["link"]));
    let listed = |what: &str| house.cli(&["user", what, &alice.email, "--json"], "").json();
    let offers = |page: &Page, name: &str| {
        page.forms.iter().flat_map(|form| &form.fields).any(|field| field.name == name)
    };
    // A passkey and no link: only that is offered. What is not ticked stays.
    let person = AtHome::stranger(&house);
    let page = person.page(&link()).await;
    assert!(offers(&page, "remove_passkeys") && !offers(&page, "unlink"), "{page:#?}");
    let second = e2e::fresh();
    person.press(&page, &[("password", &second)], ("action", "choose")).await;
    assert_eq!(listed("passkeys").as_array().map(Vec::len), Some(1));

    // Linked, and an application allowed through it.
    let alice = with_password(&alice, &second);
    let client = Scene::at(&house).await.client().await;
    let request = client.request();
    let arrive = async |browser: &AtHome| {
        let there = way_there(&browser.visitor, &request.url(), "corp").await;
        let back = way_back(&browser.visitor, there, house.origin()).await;
        browser.visitor.open(back.as_str()).await.page()
    };
    let (linking, inside) = (AtHome::stranger(&house), AtHome::stranger(&house));
    let page = linking.visitor.sign_in(&arrive(&linking).await, &alice).await.page();
    linking.press(&page, &[], ("action", "link")).await;
    let consent = arrive(&inside).await;
    let code = inside.visitor.decide(&consent, &["read"], "authorize").await.away().code();
    let tokens = Tokens::read(&client.redeem(&request, &code).await);

    let page = person.page(&link()).await;
    assert!(page.text.contains("Provider corp"), "{}", page.text);
    let form = page.forms.iter().find(|form| form.fields.iter().any(|field| field.name == "unlink"));
    let form = form.expect("it is offered");
    let ticked = [("remove_passkeys", "yes"), ("unlink", "yes")];
    let third = e2e::fresh();
    let filled = form.filled(&[("password", &third)], &ticked, ("action", "choose"));
    assert_eq!(person.visitor.post(&form.action, &filled).await.page().kind, "done");
    assert_eq!((listed("passkeys"), listed("identities")), (json!([]), json!([])));
    client.refresh(&tokens.refresh).await.expect_error(400, "invalid_grant");
    let trail = house.cli(&["audit", "export"], "").ok();
    for action in ["passkey_removed", "identity_unlinked", "password_changed"] {
        assert!(trail.contains(action), "{action} is not in the trail");
    }
    let home = AtHome::sign_in(&house, &with_password(&alice, &third)).await;
    assert!(home.page("/account/providers").await.text.contains("linked to no other account"));
    // With nothing left, nothing is offered.
    let page = person.page(&link()).await;
    assert!(!offers(&page, "remove_passkeys") && !offers(&page, "unlink"), "{page:#?}");
}

#[tokio::test]
async fn links_are_made_by_the_admin_api_too_and_for_administrators_by_full_keys_only() {
    let house = house(Store::Sqlite).await;
    let users = Admin::with(&house, &["users:write"]);
    let invited =
        users.send("POST", "/users/invite", &json!({"email": "bob@example.test"})).await.expect(201);
    let bob = AtHome::stranger(&house);
    assert_eq!(bob.page(&path(&house, &text(&invited["link"]))).await.kind, "link");
    let taken = users.send("POST", "/users/invite", &json!({"email": "alice@example.test"})).await;
    expect_problem(&taken, 409, "conflict");
    users.post("/users/alice@example.test/reset").await.expect(201);
    expect_problem(&users.post("/users/nobody@example.test/reset").await, 404, "not_found");
    e2e::admin::make_administrator(&house, "boss@example.test");
    let refused = users.post("/users/boss@example.test/reset").await;
    expect_problem(&refused, 403, "permission_missing");
    Admin::with(&house, &["*"]).post("/users/boss@example.test/reset").await.expect(201);
    house.cli(&["user", "disable", "alice@example.test"], "").ok();
    expect_problem(&users.post("/users/alice@example.test/reset").await, 409, "conflict");
}
