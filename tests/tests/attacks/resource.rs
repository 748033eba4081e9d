//! Group 1.12: a token is good at one resource, for what was ticked.

use e2e::client::{Tokens, decode};
use e2e::house::{Plan, Store};
use e2e::mcp::Mcp;
use e2e::visitor::Visitor;
use serde_json::json;

use crate::browser::{Browser, with};
use crate::stage::{PUB1, Stage, again, ask, assert_json_error, assert_login, assert_page, assert_refused};

const OTHER: &str = "https://mcp.test/b";

// RI-01, RI-02, RI-05, RI-07
#[tokio::test]
async fn a_resource_is_one_that_is_registered_in_any_honest_spelling() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let resource = stage.house.mcp_url().to_owned();
    let asking = |value: &str| client.request().with("resource", value);
    for strange in [
        "https://unknown.test/x".to_owned(),
        format!("{resource}#f"),
        format!("{resource}x"),
        format!("{resource}/more"),
        format!("{resource}?x=1"),
        resource.replace("/mcp", "/MCP"),
        resource.replace("/mcp", ""),
        resource.replace("http://", "https://"),
        resource.replace("http://", ""),
        resource.replace("http://", "http://u@"),
        resource.replace("http://", "http:/"),
        resource.replace("localhost", "127.0.0.1"),
        resource.replace("localhost", "localhost.evil.test"),
        format!(" {resource}"),
        format!("{resource}\\"),
        "javascript:x".to_owned(),
        "urn:x".to_owned(),
        "*".to_owned(),
        "é".to_owned(),
    ] {
        assert_refused(&stage, &asking(&strange), "invalid_target").await;
    }
    let both = again(asking(&resource), "resource", "https://unknown.test/x");
    assert_refused(&stage, &both, "invalid_target").await;

    let visitor = Visitor::new();
    let shouted = resource.replace("http://localhost", "HTTP://LOCALHOST");
    for spelling in [format!("{resource}/"), shouted] {
        // A real client sends the same one twice.
        let request = again(asking(&resource), "resource", &spelling).with("resource", &spelling);
        let callback = visitor.authorize(&request.url(), stage.house.alice(), &["read"]).await;
        let tokens = Tokens::read(&client.redeem(&request, &callback.code()).await);
        assert_eq!(
            decode(&tokens.access).1["aud"],
            json!(resource),
            "the registered text, whatever was asked"
        );
    }
    stage.close().await;
}

// RI-03, RI-04, RI-05
#[tokio::test]
async fn a_code_for_one_resource_gives_no_token_for_another() {
    let stage = Stage::start(Store::Sqlite).await;
    stage.house.cli(&["resource", "add", "--url", OTHER, "--name", "B"], "").ok();
    let client = stage.client(&[PUB1]).await;
    let code = stage.code(&client, &Visitor::new(), &["read"]).await;
    for resource in [OTHER, "https://unknown.test/x", "x", "javascript:x"] {
        assert_json_error(&code.redeem_with(&[("resource", resource)]).await, 400, "invalid_target");
    }
    let both = [("resource", stage.house.mcp_url()), ("resource", OTHER)];
    assert_json_error(&code.redeem_with(&both).await, 400, "invalid_target");
    let tokens = Tokens::read(&code.redeem_with(&[("resource", stage.house.mcp_url())]).await);
    assert_eq!(decode(&tokens.access).1["aud"], stage.house.mcp_url());
    stage.close().await;
}

// RI-06
#[tokio::test]
async fn no_token_is_without_an_audience() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let request = client.request().without("resource");
    let callback = Visitor::new().authorize(&request.url(), stage.house.alice(), &["read"]).await;
    let code = crate::stage::Code { client: client.clone(), request, text: callback.code() };
    let tokens = Tokens::read(&code.redeem().await);
    assert_eq!(decode(&tokens.access).1["aud"], stage.house.mcp_url(), "the only one that it could mean");

    stage.house.cli(&["resource", "add", "--url", OTHER, "--name", "B"], "").ok();
    assert_refused(&stage, &client.request().without("resource"), "invalid_target").await;
    assert_refused(&stage, &client.request().with("resource", ""), "invalid_target").await;
    assert_login(&ask(&client.request().with("resource", OTHER).url()).await);
    for url in [OTHER, stage.house.mcp_url()] {
        stage.house.cli(&["resource", "remove", url], "").ok();
    }
    assert_refused(&stage, &client.request().without("resource"), "invalid_target").await;
    stage.close_quietly();
}

// RI-08, RI-10
#[tokio::test]
async fn a_permission_cannot_be_had_by_asking_for_it() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    for scope in [
        "artifacts:read",
        "openid artifacts:delete",
        "other:admin",
        "openid nonsense",
        "destroy",
        "tier:destroy",
    ] {
        assert_refused(&stage, &client.request().with("scope", scope), "invalid_scope").await;
    }
    // What the page did not offer cannot be ticked, and what was not ticked is not given.
    let mut browser = Browser::default();
    let page = browser.reach_consent(&client.request().url(), stage.house.alice()).await;
    let action = page.form("decision").action.clone();
    for tier in ["admin", "artifacts:read", "READ", "*", "read destroy"] {
        let answer = browser.post(&action, &with(Browser::yes(&page), "tier", tier), &[]).await;
        assert_page(&answer, 400, "invalid_request");
    }
    for expires in ["never", "9999d", "-1d", "36500d"] {
        let answer = browser.post(&action, &with(Browser::yes(&page), "expires", expires), &[]).await;
        assert_page(&answer, 400, "invalid_request");
    }
    let answer = browser.post(&action, &with(Browser::yes(&page), "scope", "artifacts:delete"), &[]).await;
    assert!(answer.header("location").starts_with("https://app.test/cb?code="), "{answer:#?}");
    let code = stage.code(&client, &Visitor::new(), &[]).await;
    let tokens = Tokens::read(&code.redeem_with(&[("scope", "artifacts:delete")]).await);
    assert!(tokens.permissions().is_empty(), "{:#}", tokens.all);
    stage.close().await;
}

// RI-09, JT-15
#[tokio::test]
async fn a_hostile_resource_server_gets_tokens_that_open_nothing_but_itself() {
    let stage = Stage::build(Plan::on(Store::Sqlite)).await;
    // Its model copies the names of the other one's permissions.
    stage.house.cli(&["resource", "add", "--url", OTHER, "--name", "Artifacts"], "").ok();
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    let request = client.request().with("resource", OTHER);
    let callback = visitor.authorize(&request.url(), stage.house.alice(), &["destroy"]).await;
    let stolen = Tokens::read(&client.redeem(&request, &callback.code()).await);
    assert_eq!(decode(&stolen.access).1["aud"], OTHER);
    assert!(stolen.permissions().contains(&"artifacts:read".to_owned()));
    let answer = Mcp::hello(stage.house.mcp_url(), &stolen.access).await;
    assert_eq!(answer.status, 401, "{answer:#?}");

    let own = stage.tokens(&client, &visitor).await;
    assert_eq!(Mcp::hello(stage.house.mcp_url(), &own.access).await.status, 200);
    stage.close().await;
}

// RI-11
#[tokio::test]
async fn a_client_with_a_ceiling_stays_under_it_whatever_is_ticked() {
    let stage = Stage::start(Store::Sqlite).await;
    let made = stage.house.cli(
        &[
            "client",
            "create",
            "--name",
            "Reader",
            "--public",
            "--redirect-uri",
            PUB1,
            "--ceiling",
            "read",
            "--client-id",
            "reader",
        ],
        "",
    );
    made.ok();
    let client = stage.known("reader", PUB1);
    let mut browser = Browser::default();
    let page = browser.reach_consent(&client.request().url(), stage.house.alice()).await;
    assert_eq!(page.form("decision").ticks("tier"), ["read"]);
    assert_eq!(page.form("decision").data["client-label"], "registered");
    let action = page.form("decision").action.clone();
    for tier in ["write", "destroy"] {
        let answer = browser.post(&action, &with(Browser::yes(&page), "tier", tier), &[]).await;
        assert_page(&answer, 400, "invalid_request");
    }
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    assert_eq!(tokens.permissions(), ["artifacts:read"]);
    stage.close().await;
}
