//! Group 1.16 by mail: who learns what from a forgotten password, whom it reaches, and what it cannot be made to say.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::answer::Answer;
use e2e::house::{Plan, Store};
use e2e::page::Page;
use e2e::smtp::Postbox;
use e2e::totp::App;

use crate::browser::{Browser, with};
use crate::stage::{Stage, assert_page};

async fn stage(postbox: &Postbox) -> Stage {
    Stage::build(postbox.for_mail_of(Plan::on(Store::Sqlite).without_artifacts())).await
}

/// The page for forgotten passwords, in a browser that nobody knows.
async fn page(stage: &Stage) -> (Browser, Page) {
    let mut browser = Browser::default();
    let page = browser.page(&stage.at("/forgot")).await;
    (browser, page)
}

fn fields(page: &Page, email: &str) -> Vec<(String, String)> {
    page.form("action").filled(&[("email", email)], &[], ("action", "ask"))
}

async fn ask(stage: &Stage, email: &str, headers: &[(&str, &str)]) -> Answer {
    let (mut browser, page) = page(stage).await;
    browser.post(&page.form("action").action, &fields(&page, email), headers).await
}

/// Everything about an answer that somebody could compare.
fn seen(answer: &Answer) -> (u16, String, BTreeMap<String, String>) {
    let told = answer.headers.iter().filter(|(name, _)| name.as_str() != "date");
    let headers = told.map(|(name, value)| (name.as_str().to_owned(), format!("{value:?}"))).collect();
    (answer.status, answer.body.clone(), headers)
}

// LG-03
#[tokio::test]
async fn whoever_asks_for_a_reset_learns_of_no_account() {
    let postbox = Postbox::open();
    let stage = stage(&postbox).await;
    let barred = stage.house.user("barred@example.test");
    stage.house.cli(&["user", "disable", &barred.email], "").ok();
    // The mail server takes its time, and nobody waits for it.
    postbox.fall_silent(true);
    let mut answers = Vec::new();
    for email in ["alice@example.test", "nobody@example.test", "barred@example.test", "ALICE@example.test "] {
        let answer = tokio::time::timeout(Duration::from_secs(5), ask(&stage, email, &[])).await;
        answers.push(seen(&answer.expect("nobody waits for the mail server")));
    }
    assert_eq!(answers[0].0, 200);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    stage.close().await;
}

// LG-03
#[tokio::test]
async fn only_the_person_of_a_live_account_is_sent_a_mail_and_no_more_than_three_an_hour() {
    let postbox = Postbox::open();
    let stage = stage(&postbox).await;
    let barred = stage.house.user("barred@example.test");
    stage.house.cli(&["user", "disable", &barred.email], "").ok();
    for email in ["nobody@example.test", "barred@example.test"] {
        ask(&stage, email, &[]).await.expect_page("forgot");
    }
    let spellings =
        ["alice@example.test", " ALICE@example.test", "Alice@Example.TEST ", "alice@example.test"];
    let mut links = Vec::new();
    for (count, spelling) in spellings.into_iter().enumerate() {
        ask(&stage, spelling, &[]).await.expect_page("forgot");
        if count < 3 {
            let mail = postbox.next_with("Choose another password").await;
            assert_eq!(mail.to, ["alice@example.test"]);
            links.push(mail.link());
        }
    }
    postbox.expect_none().await;
    // Each replaced the one before, and the last is good for an hour.
    for link in &links[..2] {
        assert_page(&Browser::default().open(link).await.1, 410, "link");
    }
    assert_eq!(Browser::default().page(&links[2]).await.kind, "link");
    let hour = "update account_links set expires_at = expires_at - 3600 where used_at is null";
    stage.house.alter(hour);
    assert_page(&Browser::default().open(&links[2]).await.1, 410, "link");
    // One network asks thirty times an hour, for whomever.
    let mut answers = Vec::new();
    for count in 0..31 {
        answers.push(ask(&stage, &format!("somebody{count}@example.test"), &[]).await.status);
    }
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), 7, "{answers:?}");
    assert_eq!(ask(&stage, "alice@example.test", &[]).await.status, 429);
    stage.close().await;
}

// LG-12
#[tokio::test]
async fn the_link_in_a_mail_is_the_issuers_whatever_host_was_asked_for() {
    let postbox = Postbox::open();
    let stage = stage(&postbox).await;
    for headers in [
        &[("host", "evil.test")][..],
        &[("x-forwarded-host", "evil.test"), ("x-forwarded-proto", "https")],
        &[("forwarded", "host=evil.test"), ("x-original-host", "evil.test")],
    ] {
        ask(&stage, "alice@example.test", headers).await.expect_page("forgot");
        let mail = postbox.next_with("Choose another password").await;
        assert!(mail.link().starts_with(&format!("{}/link/dwo_", stage.house.issuer())), "{}", mail.link());
        assert!(!mail.raw.contains("evil"), "{}", mail.raw);
    }
    stage.close().await;
}

// LG-03, LG-12
#[tokio::test]
async fn nobody_is_mailed_who_is_not_the_account_and_no_header_is_added() {
    let postbox = Postbox::open();
    let stage = stage(&postbox).await;
    let (mut browser, page) = page(&stage).await;
    let action = page.form("action").action.clone();
    for email in [
        "alice@example.test\r\nBcc: evil@evil.test",
        "alice@example.test\nSubject: hello",
        "alice@example.test,evil@evil.test",
        "alice@example.test evil@evil.test",
        "<alice@example.test>",
        "\"alice@example.test\"@evil.test",
        "alice@example.test\0",
        "alice\u{ff20}example.test",
        "",
    ] {
        let answer = browser.post(&action, &fields(&page, email), &[]).await;
        assert!([400, 422].contains(&answer.status), "{email:?}: {answer:#?}");
    }
    let mut twice = fields(&page, "alice@example.test");
    twice.push(("email".to_owned(), "evil@evil.test".to_owned()));
    assert_ne!(browser.post(&action, &twice, &[]).await.status, 200);
    // Another site cannot make a browser ask.
    let mut other = with(fields(&page, "alice@example.test"), "csrf", "x");
    assert_page(&browser.post(&action, &other, &[]).await, 403, "csrf");
    other = fields(&page, "alice@example.test");
    assert_page(&browser.post(&action, &other, &[("sec-fetch-site", "cross-site")]).await, 403, "csrf");
    postbox.expect_none().await;

    // A name with line breaks is refused, and one without says nothing in a mail.
    let sneaky = "Eve\r\nBcc: evil@evil.test";
    let refused =
        stage.house.cli(&["user", "invite", "--email", "eve@example.test", "--name", sneaky, "--mail"], "");
    assert!(refused.code == 1 && refused.stderr.contains("no line breaks"), "{}", refused.stderr);
    let named = "Eve <evil@evil.test>, \u{202e}x";
    stage.house.cli(&["user", "invite", "--email", "eve@example.test", "--name", named, "--mail"], "").ok();
    let mail = postbox.next_with("You are invited").await;
    assert_eq!(mail.to, ["eve@example.test"]);
    assert!(!mail.raw.contains("evil"), "{}", mail.raw);
    let names = [
        "auto-submitted",
        "content-transfer-encoding",
        "content-type",
        "date",
        "from",
        "message-id",
        "mime-version",
        "subject",
        "to",
    ];
    assert_eq!(mail.header_names(), names);
    stage.close().await;
}

// LG-12
#[tokio::test]
async fn a_mail_takes_no_second_factor_away() {
    let postbox = Postbox::open();
    let stage = stage(&postbox).await;
    let mut owner = Browser::default();
    let login = owner.page(&stage.at("/login")).await;
    owner.sign_in(&login, stage.house.alice()).await;
    let page = owner.page(&stage.at("/account/code")).await;
    let app = App::reading(&page);
    let confirm = page.form("action").filled(&[("code", &app.code(0))], &[], ("action", "confirm"));
    owner.post(&page.form("action").action, &confirm, &[]).await;
    postbox.next_with("Two-step sign-in is on").await;

    ask(&stage, "alice@example.test", &[]).await;
    let mail = postbox.next_with("Choose another password").await;
    let mut thief = Browser::default();
    let page = thief.page(&mail.link()).await;
    let mut alice = stage.house.alice().clone();
    alice.password = e2e::fresh();
    let chosen = page.form("action").filled(&[("password", &alice.password)], &[], ("action", "choose"));
    assert_eq!(thief.post(&page.form("action").action, &chosen, &[]).await.status, 200);
    postbox.next_with("Your password was reset").await;
    let login = thief.page(&stage.at("/login")).await;
    let answer = thief.sign_in(&login, &alice).await;
    assert!(answer.body.contains("data-page=\"code\""), "{answer:#?}");
    assert!(!thief.cookies.contains_key("doorward-session"), "{:?}", thief.cookies);
    stage.close().await;
}

trait ExpectPage {
    fn expect_page(&self, kind: &str);
}

impl ExpectPage for Answer {
    fn expect_page(&self, kind: &str) {
        assert!(self.status == 200 && self.body.contains(&format!("data-page=\"{kind}\"")), "{self:#?}");
    }
}
