//! Group 1.16: guessing, enumeration, and what is left when an account changes hands.

use e2e::client::{Tokens, text};
use e2e::house::Store;
use e2e::page::Page;
use e2e::totp::{App, beside};
use e2e::visitor::Visitor;

use crate::browser::{Browser, with};
use crate::stage::{PUB1, Stage, assert_page};

// CS-15
#[tokio::test]
async fn a_new_password_shuts_out_whoever_has_a_session_or_a_refresh_token() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let alice = stage.house.alice().clone();
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    let mut thief = Browser::default();
    thief.reach_consent(&client.request().url(), &alice).await;
    let mut owner = Browser::default();
    owner.reach_consent(&client.request().url(), &alice).await;

    // Without the tick, connected apps go on.
    let mut tokens = tokens;
    for (ticked, works) in [(false, true), (true, false)] {
        let page = owner.page(&stage.at("/account/password")).await;
        let form = page.form("action");
        let new = e2e::fresh();
        let mut fields = form.filled(&[("password", &new)], &[], ("action", "change"));
        fields.retain(|(name, _)| ticked || name != "end_apps");
        let answer = owner.post(&form.action, &fields, &[]).await;
        assert!(answer.header("location").ends_with("?done=password"), "{answer:#?}");
        assert_eq!(thief.page(&stage.at("/")).await.kind, "login");
        assert_eq!(owner.page(&stage.at("/")).await.kind, "home");
        let answer = client.refresh(&tokens.refresh).await;
        if works {
            tokens = Tokens::read(&answer);
        } else {
            assert_eq!(text(&answer.expect(400)["error"]), "invalid_grant");
        }
    }
    stage.close().await;
}

// LG-12, LG-13
#[tokio::test]
async fn a_one_time_link_is_good_once_for_one_account_and_for_a_day() {
    let stage = Stage::start(Store::Sqlite).await;
    let bob = stage.house.user("bob@example.test");
    let made = |arguments: &[&str]| stage.house.cli(arguments, "").ok().trim().to_owned();
    let choose = async |link: &str| {
        let mut browser = Browser::default();
        let page = browser.page(link).await;
        assert_eq!(page.kind, "link", "{page:#?}");
        let form = page.form("action");
        let fields = form.filled(&[("password", &e2e::fresh())], &[], ("action", "choose"));
        (browser, form.action.clone(), fields)
    };
    for make in
        [vec!["user", "reset", "bob@example.test"], vec!["user", "invite", "--email", "c@example.test"]]
    {
        // Whatever host somebody asks for, the link has the configured one.
        let link = made(&make);
        assert!(link.starts_with(&format!("{}/link/dwo_", stage.house.issuer())), "{link}");
        // Replaced by a newer one, used by two at once, and used again.
        let newer = made(&make);
        assert_page(&Browser::default().open(&link).await.1, 410, "link");
        let (mut one, action, fields) = choose(&newer).await;
        let (mut two, _, others) = choose(&newer).await;
        // The form of one browser is not taken from another.
        assert_page(&two.post(&action, &fields, &[]).await, 403, "csrf");
        let answer = one.post(&action, &fields, &[]).await;
        assert!([200, 303].contains(&answer.status), "{answer:#?}");
        assert_page(&two.post(&action, &others, &[]).await, 410, "link");
        assert_page(&one.post(&action, &fields, &[]).await, 410, "link");
    }
    // Past its day, whoever still has the page open.
    for make in
        [vec!["user", "reset", "bob@example.test"], vec!["user", "invite", "--email", "d@example.test"]]
    {
        let link = made(&make);
        let (mut browser, action, fields) = choose(&link).await;
        stage.house.alter("update account_links set expires_at = created_at");
        assert_page(&browser.post(&action, &fields, &[]).await, 410, "link");
    }
    // A link for one account says nothing about another, and its fields name none.
    let link = made(&["user", "reset", "bob@example.test"]);
    let (mut browser, action, fields) = choose(&link).await;
    let foreign = with(fields, "email", "alice@example.test");
    assert_eq!(browser.post(&action, &foreign, &[]).await.status, 200);
    let mut alice = Browser::default();
    let login = alice.page(&stage.at("/login")).await;
    assert_eq!(alice.sign_in(&login, stage.house.alice()).await.status, 303, "her password is as it was");
    let login = alice.page(&stage.at("/login?then=account")).await;
    assert_eq!(login.kind, "account");
    let mut gone = Browser::default();
    let login = gone.page(&stage.at("/login")).await;
    assert_eq!(gone.sign_in(&login, &bob).await.status, 401, "his is another");
    for wrong in ["", "x", "dwo_x", "dwl_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let (_, answer) = Browser::default().open(&stage.at(&format!("/link/{wrong}"))).await;
        assert!([404, 410].contains(&answer.status), "{wrong}: {answer:#?}");
    }
    stage.close().await;
}

/// Turns Alice's second factor on; gives the app.
async fn second_factor(stage: &Stage) -> App {
    let mut browser = Browser::default();
    let login = browser.page(&stage.at("/login")).await;
    browser.sign_in(&login, stage.house.alice()).await;
    let page = browser.page(&stage.at("/account/code")).await;
    let (app, form) = (App::reading(&page), page.form("action"));
    let fields = form.filled(&[("code", &app.code(0))], &[], ("action", "confirm"));
    let answer = browser.post(&form.action, &fields, &[]).await;
    assert!(answer.body.contains("Write these down"), "{answer:#?}");
    app
}

/// Types the password; gives the page that asks for the code.
async fn first_step(stage: &Stage, browser: &mut Browser) -> Page {
    let login = browser.page(&stage.at("/login")).await;
    let answer = browser.sign_in(&login, stage.house.alice()).await;
    let page = Page::read(login.url, answer);
    assert_eq!(page.kind, "code", "{page:#?}");
    page
}

fn answer_with(page: &Page, code: &str) -> Vec<(String, String)> {
    page.form("action").filled(&[("code", code)], &[], ("action", "sign_in"))
}

// LG-07
#[tokio::test]
async fn codes_are_guessed_five_times_and_then_ever_more_slowly() {
    let stage = Stage::start(Store::Sqlite).await;
    let app = second_factor(&stage).await;
    // Each guess from a browser and a first step of its own: what is counted is the account.
    let mut guessers = Vec::new();
    for _ in 0..12 {
        let mut guesser = Browser::default();
        let page = first_step(&stage, &mut guesser).await;
        guessers.push((guesser, page));
    }
    let (wrong, right) = (beside(&app.code(0)), app.code(1));
    let (mut guesser, last) = guessers.pop().expect("one of them");
    let mut statuses = Vec::new();
    for (mut guesser, page) in guessers {
        let answer = guesser.post(&page.form("action").action, &answer_with(&page, &wrong), &[]).await;
        statuses.push(answer.status);
        if answer.status == 429 {
            break;
        }
    }
    assert_eq!(statuses[..5], [401; 5]);
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    // Not even the right one is looked at then.
    let answer = guesser.post(&last.form("action").action, &answer_with(&last, &right), &[]).await;
    assert_eq!(answer.status, 429, "{answer:#?}");
    assert!(!guesser.cookies.contains_key("doorward-session"));
    stage.close().await;
}

// LG-08
#[tokio::test]
async fn half_a_sign_in_opens_nothing() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let bob = stage.house.user("bob@example.test");
    let app = second_factor(&stage).await;
    let mut browser = Browser::default();
    let page = first_step(&stage, &mut browser).await;
    assert!(!browser.cookies.contains_key("doorward-session"), "{:?}", browser.cookies);
    assert_eq!(browser.page(&client.request().url()).await.kind, "login");
    for path in ["/", "/account", "/account/code", "/account/password"] {
        assert_eq!(browser.page(&stage.at(path)).await.kind, "login", "{path}");
    }
    let action = page.form("action").action.clone();
    let half = page.form("action").field("half").expect("the proof of the password").value.clone();
    // Of another browser, of another person, bent, old, and after the password is another one.
    let mut thief = Browser::default();
    let login = thief.page(&stage.at("/login")).await;
    let tag = login.form("action").field("csrf").expect("a tag").value.clone();
    let stolen = with(answer_with(&page, &app.code(1)), "csrf", &tag);
    let answer = thief.post(&action, &stolen, &[]).await;
    assert!(answer.status == 401 && answer.body.contains("data-page=\"login\""), "{answer:#?}");
    let users = stage.house.cli(&["user", "list", "--json"], "").json();
    let users = users.as_array().expect("a list");
    let id_of =
        |email: &str| text(&users.iter().find(|user| user["email"] == email).expect("a person")["id"]);
    let foreign = half.replace(&id_of("alice@example.test"), &id_of(&bob.email));
    let (id, rest) = half.split_once('.').expect("three parts");
    let (at, tag) = rest.split_once('.').expect("three parts");
    let at: i64 = at.parse().expect("a time");
    let later = format!("{id}.{}.{tag}", at + 1);
    for bent in [foreign.as_str(), &later, "", "x", "usr_x.1.x", &half[..half.len() - 1]] {
        let fields = with(answer_with(&page, &app.code(1)), "half", bent);
        let answer = browser.post(&action, &fields, &[]).await;
        assert!(answer.status == 401 && answer.body.contains("data-page=\"login\""), "{bent}: {answer:#?}");
    }
    assert!(!browser.cookies.contains_key("doorward-session"));
    let answer = browser.post(&action, &answer_with(&page, &app.code(1)), &[]).await;
    assert_eq!(answer.status, 303, "the whole is good: {answer:#?}");
    let mut late = Browser::default();
    let page = first_step(&stage, &mut late).await;
    stage.house.alter("update users set password_hash = 'another' where email = 'alice@example.test'");
    let answer = late.post(&action, &answer_with(&page, "123456"), &[]).await;
    assert!(answer.body.contains("data-page=\"login\""), "{answer:#?}");
    stage.close().await;
}
