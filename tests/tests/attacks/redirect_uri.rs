//! Group 1.2: where an answer may be sent.

use e2e::client::{Client, Tokens};
use e2e::house::Store;
use e2e::visitor::Visitor;
use serde_json::json;

use crate::browser::Browser;
use crate::stage::{
    EVIL, NAT1, PUB1, Stage, ask, assert_json_error, assert_login, assert_page, assert_sent_back, metadata,
};

async fn assert_strange(client: &Client, uris: &[&str]) {
    for uri in uris {
        let answer = ask(&client.request().with("redirect_uri", uri).url()).await;
        let code =
            if uri.is_empty() || uri.contains('\0') { "invalid_request" } else { "invalid_redirect_uri" };
        assert_page(&answer, 400, code);
    }
}

// RU-01, RU-02, RU-03, RU-04, RU-05, RU-07, RU-08, RU-09, RU-10, RU-11, RU-12, RU-13, RU-14, RU-15
#[tokio::test]
async fn no_other_spelling_of_a_redirect_uri_is_admitted() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    assert_strange(
        &client,
        &[
            EVIL,
            "https://app.test/CB",
            "https://app.test/cb/",
            "https://app.test//cb",
            "https://app.test/./cb",
            "https://app.test/x/../cb",
            "https://app.test/cb/../../evil",
            "https://app.test/cb/%2e%2e/evil",
            "https://app.test/cb/%252e%252e",
            "https://app.test/cb?x=1",
            "https://app.test/cb?",
            "https://app.test/cb#f",
            "https://app.test/cb#",
            "https://app.test@evil.test/cb",
            "https://app.test%40evil.test/cb",
            "https://user:pw@app.test/cb",
            "https://a@b@app.test/cb",
            "https://app.test\\@evil.test/cb",
            "https://app.test\\.evil.test/cb",
            "https:evil.test/cb",
            "https:/app.test/cb",
            "//app.test/cb",
            "/cb",
            "cb",
            "https://app.test:443/cb",
            "https://app.test:8443/cb",
            "https://app.test:/cb",
            "HTTPS://app.test/cb",
            "https://APP.test/cb",
            "http://app.test/cb",
            "https://app.test/%63b",
            "https://xn--app-.test/cb",
            "https://app.test.xn--/cb",
            "https://app\u{3002}test/cb",
            "https://app.test./cb",
            " https://app.test/cb",
            "https://app.test/cb ",
            "https://app.test/cb\t",
            "https://app.test\n/cb",
            "https://app.test/cb\0",
            "https://app.test/c\0b",
            "javascript:alert(1)",
            "",
        ],
    )
    .await;
    assert_login(&ask(&client.request().url()).await);
    stage.close().await;
}

// RU-06
#[tokio::test]
async fn a_registered_query_belongs_to_the_address_and_is_kept() {
    let stage = Stage::start(Store::Sqlite).await;
    let registered = "https://app.test/cb?x=1";
    let client = stage.client(&[registered]).await;
    assert_strange(
        &client,
        &["https://app.test/cb?x=2", "https://app.test/cb", "https://app.test/cb?x=1&y=2"],
    )
    .await;

    let callback = Visitor::new().authorize(&client.request().url(), stage.house.alice(), &["read"]).await;
    assert!(callback.url.as_str().starts_with("https://app.test/cb?x=1&code="), "{}", callback.url);
    assert_eq!(callback.get("x").as_deref(), Some("1"));
    let request = client.request().with("response_type", "token");
    assert_sent_back(&stage, &ask(&request.url()).await, &request, "unsupported_response_type");
    stage.close().await;
}

// RU-07, RU-24, RU-25, RU-27, RU-28, RU-29, RU-30
#[tokio::test]
async fn an_address_that_could_be_read_in_two_ways_is_not_registered() {
    let stage = Stage::start(Store::Sqlite).await;
    let ours = stage.at("/callback/upstream");
    for uri in [
        "https://app.test/cb#f",
        "https://app.test/cb#",
        "http://app.test/cb",
        "http://127.0.0.2/cb",
        "http://localhost.evil.test/cb",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        " javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "blob:https://app.test/x",
        "file:///etc/passwd",
        "about:blank",
        "view-source:https://app.test",
        "filesystem:https://app.test/x",
        "mailto:a@app.test",
        "intent://x#Intent;end",
        "ftp://app.test/cb",
        "ws://app.test/cb",
        "myapp://cb",
        "urn:ietf:wg:oauth:2.0:oob",
        "https://*.app.test/cb",
        "https://app.test/*",
        "https://{x}.app.test/cb",
        "https://app.test/^.*$\\",
        "https://user:pw@app.test/cb",
        "https://APP.test/cb",
        "https://app.test./cb",
        "https:///cb",
        "//app.test/cb",
        "cb",
        "",
        "https://app.test/c b",
        "https://app.test/\u{e9}",
        &ours,
        &stage.at(""),
    ] {
        let answer = stage.register(&metadata(&[uri])).await;
        assert_json_error(&answer, 400, "invalid_redirect_uri");
        // One bad address among good ones spoils the registration.
        let answer = stage.register(&metadata(&[PUB1, uri])).await;
        assert_json_error(&answer, 400, "invalid_redirect_uri");
    }
    assert_json_error(&stage.register(&json!({"client_name": "T"})).await, 400, "invalid_redirect_uri");
    assert_json_error(&stage.register(&metadata(&[])).await, 400, "invalid_redirect_uri");
    let many: Vec<_> = (0..1000).map(|i| format!("https://app.test/{i}")).collect();
    for uris in [&many[..], &many[..11]] {
        let uris: Vec<_> = uris.iter().map(String::as_str).collect();
        assert_json_error(&stage.register(&metadata(&uris)).await, 400, "invalid_client_metadata");
    }
    let long = format!("https://app.test/{}", "a".repeat(8 * 1024));
    assert_json_error(&stage.register(&metadata(&[&long])).await, 400, "invalid_client_metadata");

    let twice = stage.register(&metadata(&[PUB1, PUB1])).await.expect(201);
    assert_eq!(twice["redirect_uris"], json!([PUB1]));
    for short in ["cursor://anysphere.cursor-mcp/oauth/callback", "vscode://x/cb", "vscode-insiders://x/cb"] {
        stage.register(&metadata(&[short])).await.expect(201);
    }
    stage.close().await;
}

// RU-16, RU-17, RU-18, RU-19, RU-20, RU-21, RU-22, RU-23, RU-30
#[tokio::test]
async fn on_loopback_the_port_may_change_and_nothing_else() {
    let stage = Stage::start(Store::Sqlite).await;
    let native = stage.client(&[NAT1]).await;
    for port in ["51004", "1", "65535"] {
        let uri = format!("http://127.0.0.1:{port}/cb");
        assert_login(&ask(&native.request().with("redirect_uri", &uri).url()).await);
    }
    assert_strange(
        &native,
        &[
            "http://127.0.0.1:51004/other",
            "http://127.0.0.1:51004/cb?x=1",
            "http://127.0.0.1:51004/cb/",
            "http://localhost:51004/cb",
            "http://[::1]:51004/cb",
            "http://127.0.0.2:1/cb",
            "http://127.1/cb",
            "http://127.0.0.01:1/cb",
            "http://2130706433/cb",
            "http://0x7f.1/cb",
            "http://0/cb",
            "http://[::ffff:127.0.0.1]:1/cb",
            "http://127.0.0.1:51004@evil.test/cb",
            "http://127.0.0.1.evil.test/cb",
            "http://127.0.0.1:51004.evil.test/cb",
            "http://localhost.evil.test/cb",
            "https://127.0.0.1:51004/cb",
            "HTTP://127.0.0.1:51004/cb",
            "http://127.0.0.1:0/cb",
            "http://127.0.0.1:65536/cb",
            "http://127.0.0.1:99999/cb",
            "http://127.0.0.1:-1/cb",
            "http://127.0.0.1:+1/cb",
            "http://127.0.0.1:080/cb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:1:2/cb",
            "http://127.0.0.1:51004\\cb",
            "http://127.0.0.1:51004/cb#f",
        ],
    )
    .await;

    let named = stage.client(&["http://localhost/cb"]).await;
    assert_login(&ask(&named.request().with("redirect_uri", "http://localhost:9/cb").url()).await);
    assert_strange(&named, &["http://127.0.0.1:9/cb", "http://[::1]:9/cb", "http://LOCALHOST:9/cb"]).await;
    let six = stage.client(&["http://[::1]/cb"]).await;
    assert_login(&ask(&six.request().with("redirect_uri", "http://[::1]:9/cb").url()).await);
    assert_strange(&six, &["http://127.0.0.1:9/cb", "http://[0:0:0:0:0:0:0:1]:9/cb"]).await;
    // The one port that no client has is that of the server itself.
    let ours = ["http://localhost/login", "http://127.0.0.1/login", "http://[::1]/login"];
    let here = stage.client(&ours).await;
    for uri in ours {
        let moved = |port: u16| uri.replace("/login", &format!(":{port}/login"));
        assert_login(&ask(&here.request().with("redirect_uri", &moved(stage.port() + 1)).url()).await);
        assert_strange(&here, &[&moved(stage.port())]).await;
        assert_json_error(
            &stage.register(&metadata(&[&moved(stage.port())])).await,
            400,
            "invalid_redirect_uri",
        );
    }
    // A port that is flexible on loopback is fixed everywhere else.
    let web = stage.client(&["https://app.test:8443/cb"]).await;
    assert_strange(&web, &["https://app.test:8444/cb", PUB1]).await;
    stage.close().await;
}

// RU-26
#[tokio::test]
async fn an_app_link_is_registered_and_named_for_what_it_is() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&["com.example.app:/cb"]).await;
    let visitor = Visitor::new();
    let page = visitor.reach_consent(&client.request().url(), stage.house.alice()).await;
    for words in ["The application behind com.example.app:", "opens com.example.app: links", "Unverified"] {
        assert!(page.text.contains(words), "`{words}` is not in {}", page.text);
    }
    let callback = visitor.decide(&page, &["read"], "authorize").await.away();
    assert!(callback.url.as_str().starts_with("com.example.app:/cb?code="), "{}", callback.url);
    stage.close().await;
}

// RU-31, RU-32
#[tokio::test]
async fn the_address_is_proven_before_any_other_error_is_told() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1, "https://app.test/other"]).await;
    let single = stage.client(&[PUB1]).await;
    for client in [&client, &single] {
        assert_page(&ask(&client.request().without("redirect_uri").url()).await, 400, "invalid_request");
    }
    let evil = || client.request().with("redirect_uri", "https://evil.test/");
    for request in [
        evil().with("response_type", "bogus"),
        evil().with("scope", "bogus"),
        evil().with("prompt", "none"),
        evil().with("resource", "https://unknown.test/x"),
        evil().without("code_challenge"),
        evil().with("request", "x"),
        evil().with("error", "access_denied"),
    ] {
        assert_page(&ask(&request.url()).await, 400, "invalid_redirect_uri");
    }
    stage.close().await;
}

// RU-33
#[tokio::test]
async fn a_client_that_is_gone_when_the_page_is_answered_gets_no_code() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let mut browser = Browser::default();
    let page = browser.reach_consent(&client.request().url(), stage.house.alice()).await;
    stage.house.cli(&["client", "delete", &client.client_id], "").ok();
    let answer = browser.post(&page.form("decision").action, &Browser::yes(&page), &[]).await;
    assert_page(&answer, 400, "unknown_client");
    stage.close().await;
}

// RU-34
#[tokio::test]
async fn no_answer_carries_a_fragment_and_no_code_is_reached_over_one() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    // A browser hands the fragment of one hop on to the next. The hop before the code is a form that was posted, whose
    // address is written by the server and has none.
    let mut browser = Browser::default();
    let url = format!("{}#access_token=planted", client.request().url());
    let page = browser.reach_consent(&url, stage.house.alice()).await;
    let action = &page.form("decision").action;
    assert_eq!(action.fragment(), None);
    let answer = browser.post(action, &Browser::yes(&page), &[]).await;
    assert_eq!(answer.status, 303, "{answer:#?}");
    let location = answer.header("location");
    assert!(location.starts_with("https://app.test/cb?code=") && !location.contains('#'), "{location}");
    stage.close().await;
}

// RU-16, with tokens at the end: the port that was used is the port that is meant.
#[tokio::test]
async fn a_native_client_gets_its_tokens_on_the_port_it_listens_on() {
    let stage = Stage::start(Store::Sqlite).await;
    let native = stage.client(&[NAT1]).await;
    let request = native.request().with("redirect_uri", "http://127.0.0.1:51004/cb");
    let callback = Visitor::new().authorize(&request.url(), stage.house.alice(), &["read"]).await;
    assert_eq!(callback.address(), "http://127.0.0.1:51004/cb");
    Tokens::read(&native.redeem(&request, &callback.code()).await);
    stage.close().await;
}
