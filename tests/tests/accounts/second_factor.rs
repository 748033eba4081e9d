//! The optional second factor.

use e2e::admin::Admin;
use e2e::client::{Tokens, decode, text};
use e2e::house::{House, Plan, Store};
use e2e::page::Page;
use e2e::scene::Scene;
use e2e::totp::{App, beside};

use crate::person::{AtHome, let_minutes_pass};

e2e::on_both_stores!(
    a_sign_in_asks_for_the_code_of_the_app_and_takes_each_once,
    a_recovery_code_stands_in_for_the_app_once,
);

async fn house(store: Store) -> House {
    House::build(Plan::on(store).without_artifacts()).await
}

/// Turns the second factor on; gives the app and the recovery codes.
async fn turn_on(home: &AtHome) -> (App, Vec<String>) {
    let offer = home.page("/account/code").await;
    assert_eq!(offer.kind, "account-code");
    let app = App::reading(&offer);
    let page = home.press(&offer, &[("code", &app.code(0))], ("action", "confirm")).await;
    assert!(page.text.contains("Write these down"), "{}", page.text);
    let is_code = |word: &&str| word.len() == 19 && word.matches('-').count() == 3;
    let codes: Vec<_> = page.text.split(' ').filter(is_code).map(str::to_owned).collect();
    assert_eq!(codes.len(), 10, "{}", page.text);
    (app, codes)
}

/// Types the password; gives the page that asks for the code.
async fn first_step(house: &House, then: &str) -> (AtHome, Page) {
    let home = AtHome::stranger(house);
    let login = home.page(&format!("/login{then}")).await;
    let page = home.visitor.sign_in(&login, house.alice()).await.page();
    assert_eq!(page.kind, "code", "{page:#?}");
    (home, page)
}

async fn a_sign_in_asks_for_the_code_of_the_app_and_takes_each_once(store: Store) {
    let house = house(store).await;
    let home = AtHome::sign_in(&house, house.alice()).await;
    let offer = home.page("/account/code").await;
    let app = App::reading(&offer);
    let wrong = home.press(&offer, &[("code", &beside(&app.code(0)))], ("action", "confirm")).await;
    assert_eq!(wrong.answer.status, 422);
    assert_eq!(App::reading(&wrong).text(), app.text(), "the same picture, for another try");
    let (app, _) = turn_on(&home).await;

    let (there, page) = first_step(&house, "?then=sessions").await;
    // Half a sign-in opens nothing.
    assert_eq!(there.page("/account").await.kind, "login");
    let again = there.press(&page, &[("code", &beside(&app.code(1)))], ("action", "sign_in")).await;
    assert_eq!((again.answer.status, again.kind.as_str()), (401, "code"));
    // The next code is taken, however it is typed, where the sign-in was to lead.
    let next = app.code(1);
    let spaced = format!("{} {}", &next[..3], &next[3..]);
    let page = there.press(&again, &[("code", &spaced)], ("action", "sign_in")).await;
    assert_eq!(page.kind, "account-sessions", "{page:#?}");
    assert!(page.text.contains("signed in by password and code"), "{}", page.text);
    // What an application learns of it, at the sign-in and at each refresh.
    let scene = Scene::at(&house).await;
    let client = scene.client().await;
    let mut tokens = scene.tokens(&client, &there.visitor).await;
    for _ in 0..2 {
        let claims = decode(&text(&tokens.all["id_token"])).1;
        assert_eq!(claims["amr"], serde_json::json!(["pwd", "otp", "mfa"]), "{claims:#}");
        tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    }

    let (late, page) = first_step(&house, "").await;
    let page = late.press(&page, &[("code", &next)], ("action", "sign_in")).await;
    assert_eq!(page.answer.status, 401, "a code is used once");

    // Turned off only after a fresh sign-in.
    let_minutes_pass(&house, 6);
    let page = home.page("/account/code").await;
    assert!(page.text.contains("Prove anew who you are") && page.forms.len() == 1, "{page:#?}");
    let admin = Admin::with(&house, &["audit:read"]);
    assert_eq!(admin.all("/audit?action=second_factor_set", 50).await.len(), 1);
    assert!(!house.logs().contains(&app.text()), "the log holds a seed");
}

async fn a_recovery_code_stands_in_for_the_app_once(store: Store) {
    let house = house(store).await;
    let home = AtHome::sign_in(&house, house.alice()).await;
    let (_, codes) = turn_on(&home).await;
    let (there, page) = first_step(&house, "?then=code").await;
    let page = there.press(&page, &[("code", &codes[3].to_lowercase())], ("action", "sign_in")).await;
    assert!(page.text.contains("9 of 10 recovery codes are left"), "{page:#?}");
    let (again, page) = first_step(&house, "").await;
    let page = again.press(&page, &[("code", &codes[3])], ("action", "sign_in")).await;
    assert_eq!(page.answer.status, 401);
    let page = again.press(&page, &[("code", &codes[4])], ("action", "sign_in")).await;
    assert_eq!(page.kind, "home", "{page:#?}");

    // New ones replace the old ones.
    let page = there.page("/account/code").await;
    let page = there.press(&page, &[], ("action", "renew")).await;
    assert!(page.text.contains("Write these down"), "{}", page.text);
    let (third, page) = first_step(&house, "").await;
    let page = third.press(&page, &[("code", &codes[5])], ("action", "sign_in")).await;
    assert_eq!(page.answer.status, 401);
    // Off: the password is enough again.
    let page = there.page("/account/code").await;
    let page = there.press(&page, &[], ("action", "remove")).await;
    assert!(page.text.contains("The second factor is off"), "{}", page.text);
    AtHome::sign_in(&house, house.alice()).await;
    assert!(codes.iter().all(|code| !house.logs().contains(code.as_str())));
}

#[tokio::test]
async fn an_administrator_takes_a_second_factor_away_that_its_person_lost() {
    let house = house(Store::Sqlite).await;
    let home = AtHome::sign_in(&house, house.alice()).await;
    turn_on(&home).await;
    house.cli(&["user", "forget-second-factor", "alice@example.test"], "").ok();
    assert_eq!(house.cli(&["user", "forget-second-factor", "alice@example.test"], "").code, 1);
    let again = AtHome::sign_in(&house, house.alice()).await;
    turn_on(&again).await;
    let admin = Admin::with(&house, &["users:write"]);
    assert_eq!(admin.delete("/users/alice@example.test/second-factor").await.status, 204);
    AtHome::sign_in(&house, house.alice()).await;
}
