//! Group 1.16: guessing, enumeration, and what is left when an account changes hands.

use e2e::client::{Tokens, text};
use e2e::house::Store;
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
    for wrong in ["", "x", "dwo_x", "../account", "dwl_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let (_, answer) = Browser::default().open(&stage.at(&format!("/link/{wrong}"))).await;
        assert!([404, 410, 303].contains(&answer.status), "{wrong}: {answer:#?}");
    }
    stage.close().await;
}
