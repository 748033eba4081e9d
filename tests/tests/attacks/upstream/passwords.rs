//! Accounts without a password: their people sign in at the provider (group LG).

use std::collections::BTreeMap;

use e2e::{answer::Answer, page::Page, smtp::Postbox, visitor::Visitor};

use super::{CAROL, Corp};
use crate::browser::Browser;

/// Everything about an answer that somebody could compare, but what is random for everybody and what was typed.
fn seen(answer: &Answer, email: &str) -> (u16, String, BTreeMap<String, String>) {
    let mut body = answer.body.replace(email, "EMAIL");
    while let Some((before, after)) = body.split_once("data-challenge=\"") {
        let (challenge, rest) = after.split_once('"').expect("its end");
        body = format!("{before}{rest}").replace(challenge, "CHALLENGE");
    }
    let told = answer.headers.iter().filter(|(name, _)| !["date", "content-length"].contains(&name.as_str()));
    let headers = told.map(|(name, value)| (name.as_str().to_owned(), format!("{value:?}"))).collect();
    (answer.status, body, headers)
}

async fn sent(page: &Page, browser: &Browser, typed: &[(&str, &str)], button: &str) -> Answer {
    let form = page.form("action");
    browser.clone().post(&form.action, &form.filled(typed, &[], ("action", button)), &[]).await
}

// LG-02, LG-03
#[tokio::test]
async fn an_account_without_a_password_is_answered_as_any_other_and_mailed_nothing() {
    let postbox = Postbox::open();
    let corp = Corp::open("generic", |plan| postbox.for_mail_of(plan)).await;
    assert_eq!(corp.arrive(&Visitor::new()).await.kind, "consent");
    assert!(corp.users().contains(&CAROL.to_owned()));
    let mut browser = Browser::default();
    let login = browser.page(&corp.stage.at("/login")).await;
    let forgot = browser.page(&corp.stage.at("/forgot")).await;
    let people = ["alice@example.test", CAROL, "nobody@example.test"];
    for password in ["a wrong guess", ""] {
        let mut answers = Vec::new();
        for email in people {
            let typed = [("email", email), ("password", password)];
            answers.push(seen(&sent(&login, &browser, &typed, "sign_in").await, email));
        }
        assert_eq!(answers[0].0, 401);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    }
    let mut answers = Vec::new();
    for email in people {
        answers.push(seen(&sent(&forgot, &browser, &[("email", email)], "ask").await, email));
    }
    assert_eq!(answers[0].0, 200);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert_eq!(postbox.next_with("Choose another password").await.to, ["alice@example.test"]);
    postbox.expect_none().await;
    corp.close().await;
}
