//! Group 1.7: what a person allows, to whom, and what else might be taken for it.

use std::time::Duration;

use e2e::client::{Client, Tokens, text};
use e2e::house::{Plan, Store};
use e2e::page::Page;
use e2e::visitor::{Landing, Visitor};
use serde_json::{Value, json};

use crate::browser::{Browser, with};
use crate::stage::{NAT1, PUB1, Stage, assert_json_error, assert_page, http, metadata};

const RESTART: &str = "Go back to the application";

/// A client that calls itself whatever `change` says.
async fn called(stage: &Stage, change: impl FnOnce(&mut Value)) -> Client {
    let mut body = metadata(&[PUB1]);
    change(&mut body);
    let registered = stage.register(&body).await.expect(201);
    stage.known(&text(&registered["client_id"]), PUB1)
}

fn staff(stage: &Stage, verb: &str) {
    stage.house.cli(&["user", "groups", &stage.house.alice().email, verb, "staff"], "").ok();
}

// CN-01, CN-03, CN-05, CN-06, CN-19
#[tokio::test]
async fn nothing_is_ever_allowed_without_a_page() {
    let stage = Stage::start(Store::Sqlite).await;
    let visitor = Visitor::new();
    let [web, native] = [stage.client(&[PUB1]).await, stage.client(&[NAT1]).await];
    let evil = called(&stage, |body| body["client_name"] = "T".into()).await;
    for client in [&web, &native] {
        stage.code(client, &visitor, &["destroy"]).await.redeem().await.expect(200);
    }
    // Alice is signed in and has just allowed all of this: the same once more, and all that differs from it.
    let same = web.request();
    for request in [
        same.clone(),
        same.clone().with("prompt", "consent"),
        same.clone().with("scope", "openid email"),
        native.request(),
        native.request().with("redirect_uri", "http://127.0.0.1:60999/cb"),
        evil.request(),
    ] {
        for site in [None, Some("cross-site"), Some("same-site"), Some("same-origin"), Some("none")] {
            let mut sent = visitor.http().get(request.url());
            if let Some(site) = site {
                sent = sent.header("sec-fetch-site", site).header("sec-fetch-mode", "navigate");
            }
            let answer = e2e::answer::Answer::to(sent).await;
            assert_eq!(answer.status, 303, "{site:?} {answer:#?}");
            assert!(answer.header("location").starts_with("/consent?request="), "{site:?} {answer:#?}");
        }
        let page = visitor.open(&request.url()).await.page();
        assert_eq!(page.kind, "consent");
        assert_eq!(page.form("decision").data["redirect"], request.get("redirect_uri"));
        assert!(page.form("decision").ticks("tier").len() == 3, "nothing is ticked beforehand");
    }
    // Nor can a client ask that there be none.
    let silent = visitor.open(&same.with("prompt", "none").url()).await.away();
    assert_eq!(silent.get("error").as_deref(), Some("consent_required"));
    assert_eq!(silent.get("code"), None);
    stage.close().await;
}

// CN-07, CN-08, CN-09, CN-10
#[tokio::test]
async fn the_page_says_who_asks_and_a_name_says_nothing_else() {
    let stage = Stage::start(Store::Sqlite).await;
    let shown = async |client: &Client| -> Page {
        Visitor::new().reach_consent(&client.request().url(), stage.house.alice()).await
    };
    let plain = called(&stage, |body| body["client_name"] = "Claude".into()).await;
    let page = shown(&plain).await;
    let today = stage.house.cli(&["client", "list", "--json"], "").json();
    assert!(today.to_string().contains(&plain.client_id));
    for words in [
        "Unverified",
        "nobody has checked it",
        "It registered itself on",
        &plain.client_id,
        "app.test",
        PUB1,
        stage.house.mcp_url(),
        "Read",
        "90 days from now",
        "deny",
        "Not you?",
        &stage.house.alice().email,
    ] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }

    let long = "é".repeat(300);
    let flood = "\u{1f98a}".repeat(200);
    for (name, expected) in [
        (json!("Claude\u{202e}edoC"), "ClaudeedoC"),
        (json!("Cla\u{200b}ude\u{2066} \u{feff}Code"), "Claude Code"),
        (json!("Google™ (verified ✔)"), "Google™ (verified ✔)"),
        (json!(long), &format!("{}…", "é".repeat(60))),
        (json!(flood), &format!("{}…", "\u{1f98a}".repeat(60))),
        (json!("Сlaude"), "Сlaude"),
        (json!(" \u{200b} "), "(unnamed) app.test"),
        (json!(""), "(unnamed) app.test"),
        (Value::Null, "(unnamed) app.test"),
    ] {
        let client = called(&stage, |body| {
            let members = body.as_object_mut().expect("an object");
            members.insert("client_name".to_owned(), name.clone());
            if name.is_null() {
                members.remove("client_name");
            }
            members.insert("client_name#fr".to_owned(), "Banque de France".into());
        })
        .await;
        let page = shown(&client).await;
        assert!(
            page.text.contains(&format!("It calls itself {expected} Unverified")),
            "{name}: {}",
            page.text
        );
        assert!(page.text.contains("app.test") && page.text.contains(&client.client_id), "{}", page.text);
        assert!(!page.text.contains("Banque"), "{}", page.text);
        assert!(!page.text.contains(['\u{202e}', '\u{200b}', '\u{2066}', '\u{feff}']), "{name}");
        let mixed = page.text.contains("mixes letters of different alphabets");
        assert_eq!(mixed, name == "Сlaude", "{name}: {}", page.text);
        // Whoever asks for another language is told the same.
        let french = http().get(client.request().url()).header("accept-language", "fr");
        assert!(!e2e::answer::Answer::to(french).await.body.contains("Banque"));
    }
    stage.close().await;
}

// CN-11, CN-12
#[tokio::test]
async fn what_was_not_offered_and_ticked_is_not_allowed() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let code = stage.code(&client, &Visitor::new(), &["read"]).await;
    let tokens = Tokens::read(&code.redeem().await);
    assert_eq!(tokens.permissions(), ["artifacts:read"]);
    assert_eq!(tokens.all["scope"], "artifacts:read openid");

    let bounded =
        ["client", "create", "--name", "B", "--redirect-uri", PUB1, "--public", "--ceiling", "read"];
    let bounded = stage.house.cli(&[&bounded[..], &["--json"]].concat(), "").json();
    let bounded = stage.known(&text(&bounded["client_id"]), PUB1);
    for (name, value) in [
        ("tier", "destroy"),
        ("tier", "admin"),
        ("tier", "artifacts:delete"),
        ("organization", "org_01J00000000000000000000000"),
        ("node", "alpha"),
        ("expires", "900d"),
    ] {
        let mut browser = Browser::default();
        let page = browser.reach_consent(&bounded.request().url(), stage.house.alice()).await;
        assert_eq!(page.form("decision").ticks("tier"), ["read"]);
        let mut sent = Browser::yes(&page);
        if name == "tier" {
            sent.push((name.to_owned(), value.to_owned()));
        } else {
            sent = with(sent, name, value);
        }
        let answer = browser.post(&page.form("decision").action, &sent, &[]).await;
        assert_page(&answer, 400, "invalid_request");
        // It decided nothing: whoever goes back can answer the page that they saw.
        assert!(answer.body.contains("Go back to the page before"), "{answer:#?}");
        let honest = browser.post(&page.form("decision").action, &Browser::yes(&page), &[]).await;
        assert!(honest.header("location").contains("?code="), "{honest:#?}");
    }
    // What no field of the form is says nothing.
    let mut browser = Browser::default();
    let page = browser.reach_consent(&bounded.request().url(), stage.house.alice()).await;
    let mut sent = Browser::yes(&page);
    for (name, value) in
        [("scope", "artifacts:delete"), ("scopes", "mcp:admin"), ("permission", "artifacts:delete")]
    {
        sent.push((name.to_owned(), value.to_owned()));
    }
    let answer = browser.post(&page.form("decision").action, &sent, &[]).await;
    assert!(answer.header("location").contains("?code="), "{answer:#?}");
    stage.close().await;
}

// CN-13
#[tokio::test]
async fn a_right_that_is_lost_meanwhile_is_lost_at_each_step() {
    let stage = Stage::start(Store::Sqlite).await;
    staff(&stage, "--join");
    let rule =
        ["entitlement", "add", "--group", "staff", "--tier", "write", "--resource", stage.house.mcp_url()];
    stage.house.cli(&rule, "").ok();
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    // Between the page and the answer to it: the page is shown anew, and says so.
    let request = client.request();
    let page = visitor.reach_consent(&request.url(), stage.house.alice()).await;
    assert_eq!(page.form("decision").ticks("tier"), ["read", "write"]);
    staff(&stage, "--leave");
    let again = visitor.decide(&page, &["write"], "authorize").await.page();
    assert_eq!(again.kind, "consent", "{again:#?}");
    assert!(again.text.contains("may do nothing"), "{}", again.text);
    // Between the answer and the code, and between the code and the refresh.
    staff(&stage, "--join");
    let code = stage.code(&client, &visitor, &["write"]).await;
    staff(&stage, "--leave");
    let tokens = Tokens::read(&code.redeem().await);
    assert!(tokens.permissions().is_empty(), "{:#}", tokens.all);
    staff(&stage, "--join");
    let tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert_eq!(tokens.permissions(), ["artifacts:create", "artifacts:read", "artifacts:update"]);
    staff(&stage, "--leave");
    let tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert!(tokens.permissions().is_empty(), "{:#}", tokens.all);
    stage.close().await;
}

// CN-14, CN-16
#[tokio::test]
async fn an_answer_counts_once_and_from_whom_was_asked_only() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let bob = stage.house.user("bob@example.test");
    let mut alice = Browser::default();
    let page = alice.reach_consent(&client.request().url(), stage.house.alice()).await;
    let action = page.form("decision").action.clone();
    let yes = Browser::yes(&page);

    // Bob, in his own browser, with all that Alice's page has; and with what of it he can make himself.
    let mut bobs = Browser::default();
    let own = bobs.reach_consent(&client.request().url(), &bob).await;
    let tag = own.form("decision").field("csrf").expect("a tag").value.clone();
    for sent in [yes.clone(), with(yes.clone(), "csrf", &tag)] {
        assert_page(&bobs.post(&action, &sent, &[]).await, 403, "csrf");
    }
    // Nor does he see what she is asked.
    let (_, seen) = bobs.open(page.url.as_str()).await;
    assert_page(&seen, 403, "other_browser");

    let first = alice.post(&action, &yes, &[]).await;
    assert!(first.header("location").contains("?code="), "{first:#?}");
    let second = alice.post(&action, &yes, &[]).await;
    assert_page(&second, 400, "request_gone");
    let no = page.form("decision").filled(&[], &[], ("decision", "deny"));
    assert_page(&alice.post(&action, &no, &[]).await, 400, "request_gone");
    stage.close().await;
}

// CN-15
#[tokio::test]
async fn an_answer_that_comes_too_late_counts_for_nothing() {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("SESSION__PENDING_REQUEST", "10s");
    let stage = Stage::build(plan).await;
    let client = stage.client(&[PUB1]).await;
    let mut browser = Browser::default();
    let page = browser.reach_consent(&client.request().url(), stage.house.alice()).await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    let answer = browser.post(&page.form("decision").action, &Browser::yes(&page), &[]).await;
    assert_page(&answer, 400, "request_gone");
    assert!(answer.body.contains(RESTART), "{answer:#?}");
    stage.close().await;
}

// CN-18
#[tokio::test]
async fn what_a_person_ended_is_ended_and_is_asked_for_anew() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    let tokens = stage.tokens(&client, &visitor).await;
    let page = visitor.open(&stage.at("/account/apps")).await.page();
    let form = page.forms.iter().find(|form| form.field("grant").is_some()).expect("the app is listed");
    let ended = visitor.post(&form.action, &form.filled(&[], &[], ("action", "revoke"))).await;
    assert!(matches!(ended, Landing::Page(page) if page.text.contains("The access is ended")));
    assert_json_error(&client.refresh(&tokens.refresh).await, 400, "invalid_grant");
    assert_eq!(visitor.open(&client.request().url()).await.page().kind, "consent");
    stage.close().await;
}

// CN-20
#[tokio::test]
async fn no_other_way_to_a_token_leaves_the_person_out() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let (confidential, secret) = stage.confidential("client_secret_post").await;
    for grant in [
        "client_credentials",
        "password",
        "implicit",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:saml2-bearer",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:openid:params:grant-type:ciba",
    ] {
        let (email, password) = (stage.house.alice().email.clone(), stage.house.alice().password.clone());
        let form = [
            ("grant_type", grant),
            ("username", email.as_str()),
            ("password", password.as_str()),
            ("assertion", "e30.e30."),
            ("device_code", "x"),
            ("resource", stage.house.mcp_url()),
        ];
        let public = [&form[..], &[("client_id", client.client_id.as_str())]].concat();
        assert_json_error(&client.token(&public).await, 400, "unsupported_grant_type");
        let secret = [("client_id", confidential.client_id.as_str()), ("client_secret", secret.as_str())];
        assert_json_error(
            &confidential.token(&[&form[..], &secret].concat()).await,
            400,
            "unsupported_grant_type",
        );
    }
    stage.close().await;
}
