//! Group 1.13: a client registers itself, and gets nothing by what it says about itself.

use std::time::Duration;

use e2e::answer::Answer;
use e2e::client::{Tokens, text};
use e2e::house::{Plan, Store};
use e2e::visitor::Visitor;
use serde_json::{Value, json};

use crate::stage::{PUB1, Stage, ask, assert_json_error, assert_login, http, metadata};

fn with(name: &str, value: Value) -> Value {
    let mut body = metadata(&[PUB1]);
    body[name] = value;
    body
}

// DR-01
#[tokio::test]
async fn a_flood_of_registrations_is_stopped_and_nothing_else_is() {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("REGISTRATION__PER_ADDRESS", "5");
    let stage = Stage::build(plan).await;
    let client = stage.client(&[PUB1]).await;
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    for _ in 1..5 {
        stage.register(&metadata(&[PUB1])).await.expect(201);
    }
    for _ in 0..20 {
        let answer = stage.register(&metadata(&[PUB1])).await;
        assert_json_error(&answer, 429, "too_many_requests");
        assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
    }
    Tokens::read(&client.refresh(&tokens.refresh).await);
    assert_login(&ask(&client.request().url()).await);
    stage.close_quietly();
}

// DR-02
#[tokio::test]
async fn an_unused_registration_is_forgotten_and_a_used_one_is_not() {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("REGISTRATION__UNUSED_TTL", "1s");
    let mut stage = Stage::build(plan).await;
    let (used, unused) = (stage.client(&[PUB1]).await, stage.client(&[PUB1]).await);
    let tokens = stage.tokens(&used, &Visitor::new()).await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    // What is over is forgotten at every start, and now and then after it.
    stage.house.restart_auth_server().await;
    let forgotten = async {
        while ask(&unused.request().url()).await.status == 303 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), forgotten).await.expect("it is forgotten in time");
    assert_login(&ask(&used.request().url()).await);
    Tokens::read(&used.refresh(&tokens.refresh).await);
    stage.close().await;
}

// DR-03, DR-04, DR-05
#[tokio::test]
async fn a_body_that_is_no_plain_json_object_registers_nothing() {
    let stage = Stage::start(Store::Sqlite).await;
    let endpoint = stage.at("/oauth/clients/register");
    let send = |body: String| {
        Answer::to(http().post(&endpoint).header("content-type", "application/json").body(body))
    };
    let good = metadata(&[PUB1]).to_string();
    let nested = format!("{{\"x\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let keys: Vec<_> = (0..10_000).map(|i| format!("\"{i}\":1")).collect();
    for body in [
        "null",
        "[]",
        "\"x\"",
        "7",
        "",
        "{",
        "{}x",
        "{\"redirect_uris\":[\"https://app.test/cb\"],\"redirect_uris\":[\"https://evil.test/cb\"]}",
        "{\"redirect_uris\":[\"https://app.test/cb\"],\"\\u0072edirect_uris\":[\"https://evil.test/cb\"]}",
        "{\"redirect_uris\":[\"https://app.test/cb\"],}",
        "{\"redirect_uris\":[\"https://app.test/cb\"],\"x\":NaN}",
        "{\"redirect_uris\":\"https://app.test/cb\"}",
        "{\"redirect_uris\":[\"https://app.test/cb\",null]}",
        "{\"redirect_uris\":[[\"https://app.test/cb\"]]}",
        "{\"redirect_uris\":{\"0\":\"https://app.test/cb\"}}",
        "{\"redirect_uris\":[7]}",
        "{\"redirect_uris\":[\"https://app.test/\\ud800\"]}",
        &nested,
    ] {
        assert_json_error(&send(body.to_owned()).await, 400, "invalid_client_metadata");
    }
    for body in [format!("\u{feff}{good}"), good.replace('"', "'")] {
        assert_json_error(&send(body).await, 400, "invalid_client_metadata");
    }
    for body in [
        good.replace("\"T\"", &format!("\"{}\"", "x".repeat(1 << 20))),
        format!("{good}{}", " ".repeat(65 * 1024)),
    ] {
        assert_json_error(&send(body).await, 413, "invalid_request");
    }
    let answer = send(format!("{{{}}}", keys.join(","))).await;
    assert!(matches!(answer.status, 400 | 413), "{answer:#?}");

    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/jsonx",
        "multipart/form-data; boundary=x",
        "*/*",
        "",
    ] {
        let request = http().post(&endpoint).header("content-type", content_type).body(good.clone());
        assert_json_error(&Answer::to(request).await, 415, "invalid_request");
    }
    assert_json_error(&Answer::to(http().post(&endpoint).body(good.clone())).await, 415, "invalid_request");
    let two = http()
        .post(&endpoint)
        .header("content-type", "application/json")
        .header("content-type", "text/plain");
    assert_json_error(&Answer::to(two.body(good.clone())).await, 415, "invalid_request");
    let utf8 = http().post(&endpoint).header("content-type", "Application/JSON; charset=UTF-8").body(good);
    Answer::to(utf8).await.expect(201);
    stage.close().await;
}

// DR-06, DR-08, DR-09, DR-10, DR-12
#[tokio::test]
async fn a_member_that_could_do_harm_is_refused() {
    let stage = Stage::start(Store::Sqlite).await;
    for name in ["logo_uri", "client_uri", "tos_uri", "policy_uri"] {
        for uri in [
            "javascript:alert(1)",
            "data:text/html,x",
            "http://app.test",
            "https://app.test/\"x",
            "https://app.test/<x>",
            "https://user:pw@app.test/",
            "//app.test",
            "x",
            "https://app.test/ x",
        ] {
            let answer = stage.register(&with(name, uri.into())).await;
            assert_json_error(&answer, 400, "invalid_client_metadata");
        }
    }
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let here = format!("https://127.0.0.1:{}/x", listener.local_addr().expect("it is bound").port());
    let key = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"});
    for (name, value) in [
        ("jwks", json!({"keys": [{"kty": "oct", "k": "AA"}]})),
        ("jwks", json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AA"}]})),
        ("jwks", json!({"keys": [key, {"kty": "EC", "d": "AA"}]})),
        ("grant_types", json!(["client_credentials", "password"])),
        ("grant_types", json!(["urn:ietf:params:oauth:grant-type:token-exchange"])),
        ("grant_types", json!(["refresh_token"])),
        ("grant_types", json!([])),
        ("response_types", json!(["token"])),
        ("response_types", json!([])),
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        ("token_endpoint_auth_method", json!("client_secret_jwt")),
        ("token_endpoint_auth_method", json!("NONE")),
        ("token_endpoint_auth_method", json!(["none"])),
        ("application_type", json!("toaster")),
        ("client_name", json!({"en": "T"})),
        ("client_name", json!("x".repeat(2000))),
        ("software_id", json!(7)),
    ] {
        let answer = stage.register(&with(name, value)).await;
        assert_json_error(&answer, 400, "invalid_client_metadata");
    }
    let mut both = with("jwks", json!({"keys": []}));
    both["jwks_uri"] = here.clone().into();
    assert_json_error(&stage.register(&both).await, 400, "invalid_client_metadata");
    // Addresses that this server has no use for are ignored, not stored, and never visited.
    for name in
        ["jwks_uri", "sector_identifier_uri", "initiate_login_uri", "backchannel_logout_uri", "logo_uri"]
    {
        let made = stage.register(&with(name, here.clone().into())).await.expect(201);
        assert!(name == "logo_uri" || made.get(name).is_none(), "{made:#}");
    }
    stage.register(&with("request_uris", json!([here, "https://169.254.169.254/x"]))).await.expect(201);
    let visit = tokio::time::timeout(Duration::from_millis(500), listener.accept()).await;
    assert!(visit.is_err(), "the server fetched a stranger's address");
    stage.close().await;
}

// DR-07
#[tokio::test]
async fn no_picture_of_a_client_is_shown() {
    let stage = Stage::start(Store::Sqlite).await;
    let made = stage.register(&with("logo_uri", "https://app.test/logo.svg".into())).await.expect(201);
    let client = stage.known(&text(&made["client_id"]), PUB1);
    let page = Visitor::new().reach_consent(&client.request().url(), stage.house.alice()).await;
    assert!(
        !page.answer.body.contains("logo.svg") && !page.answer.body.contains("<img"),
        "{}",
        page.answer.body
    );
    stage.close().await;
}

// DR-11, DR-13, DR-14, DR-15, DR-16, DR-18
#[tokio::test]
async fn what_a_client_says_beyond_the_rules_is_dropped_and_not_said_back() {
    let stage = Stage::start(Store::Sqlite).await;
    let mut body = metadata(&[PUB1]);
    let unsigned = "eyJhbGciOiJub25lIn0.eyJyZWRpcmVjdF91cmlzIjpbImh0dHBzOi8vZXZpbC50ZXN0L2NiIl19.";
    for (name, value) in [
        ("is_admin", json!(true)),
        ("trusted", json!(true)),
        ("skip_consent", json!(true)),
        ("userId", json!("usr_1")),
        ("owner", json!("alice@example.test")),
        ("scope", json!("mcp:admin artifacts:delete")),
        ("token_lifetime", json!(999_999)),
        ("ceiling", json!("destroy")),
        ("origin", json!("administrator")),
        ("disabled_at", json!(null)),
        ("client_id", json!("https://evil.test/client.json")),
        ("client_secret", json!("chosen")),
        ("client_id_issued_at", json!(1)),
        ("registration_access_token", json!("x")),
        ("software_statement", json!(unsigned)),
        ("client_name", json!("https://known.test/oauth/metadata")),
    ] {
        body[name] = value;
    }
    let answer = stage.register(&body).await;
    let made = answer.expect(201);
    assert_eq!(answer.header("cache-control"), "no-store");
    let mut members: Vec<_> = made.as_object().expect("an object").keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(
        members,
        [
            "client_id",
            "client_id_issued_at",
            "client_name",
            "grant_types",
            "redirect_uris",
            "registration_access_token",
            "registration_client_uri",
            "response_types",
            "token_endpoint_auth_method"
        ]
    );
    assert_eq!(made["redirect_uris"], json!([PUB1]));
    assert!(
        text(&made["registration_access_token"]).starts_with("dwm_"),
        "its own, not the one that was sent"
    );
    let id = text(&made["client_id"]);
    assert!(id.starts_with("dcr_") && id.len() == 4 + 32, "{id}");

    // Nothing of it had any effect: it is asked like every other client, and called what it is.
    let client = stage.known(&id, PUB1);
    let page = Visitor::new().reach_consent(&client.request().url(), stage.house.alice()).await;
    assert_eq!(page.form("decision").data["client-label"], "unverified");
    assert_eq!(page.form("decision").ticks("tier"), ["read", "write", "destroy"]);

    let mut ids = vec![id];
    for _ in 0..20 {
        ids.push(text(&stage.register(&metadata(&[PUB1])).await.expect(201)["client_id"]));
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "the same words make different clients");
    let secrets = [
        stage.confidential("client_secret_basic").await.1,
        stage.confidential("client_secret_basic").await.1,
    ];
    assert_ne!(secrets[0], secrets[1]);
    let secret =
        stage.register(&with("token_endpoint_auth_method", "client_secret_post".into())).await.expect(201);
    assert_eq!(secret["client_secret_expires_at"], 0, "{secret:#}");
    stage.close().await;
}

// DR-19
#[tokio::test]
async fn a_closed_registration_is_not_advertised_and_not_there() {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("REGISTRATION__ENABLED", "false");
    let stage = Stage::build(plan).await;
    assert_eq!(stage.discovery.server.get("registration_endpoint"), None);
    for path in ["/oauth/clients/register", "/oauth/register", "/register"] {
        let answer = Answer::to(http().post(stage.at(path)).json(&metadata(&[PUB1]))).await;
        assert_json_error(&answer, 404, "not_found");
    }
    stage
        .house
        .cli(
            &["client", "create", "--name", "T", "--public", "--redirect-uri", PUB1, "--client-id", "own"],
            "",
        )
        .ok();
    assert_login(&ask(&stage.known("own", PUB1).request().url()).await);
    stage.close_quietly();
}

// DR-22
#[tokio::test]
async fn every_page_may_call_what_machines_call_and_never_with_a_cookie() {
    let stage = Stage::start(Store::Sqlite).await;
    for path in ["/oauth/clients/register", "/oauth2/token", "/oauth2/revoke", "/oauth2/userinfo"] {
        for origin in ["https://inspector.test", "null", "http://localhost:6274"] {
            let preflight = http()
                .request(reqwest::Method::OPTIONS, stage.at(path))
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "content-type,authorization");
            let asked = Answer::to(preflight).await;
            assert_eq!(asked.status, 204, "{asked:#?}");
            let posted = Answer::to(http().post(stage.at(path)).header("origin", origin)).await;
            for answer in [asked, posted] {
                assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
                assert!(
                    !answer.headers.contains_key("access-control-allow-credentials"),
                    "{path}: {answer:#?}"
                );
                assert!(!answer.headers.contains_key("set-cookie"), "{path}: {answer:#?}");
            }
        }
    }
    stage.close().await;
}
