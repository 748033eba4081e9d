//! Clients that register themselves (RFC 7591).

use e2e::client::{Discovery, register, registration, text};
use e2e::house::{House, Store};
use serde_json::{Value, json};

const REDIRECT: &str = "http://127.0.0.1:49152/callback";

e2e::on_both_stores!(
    a_native_client_registers_at_every_alias_and_gets_no_secret,
    a_registration_without_a_method_is_that_of_a_public_client,
    what_registration_does_not_know_is_ignored,
    redirects_that_could_hurt_somebody_are_not_registered,
);

async fn a_native_client_registers_at_every_alias_and_gets_no_secret(store: Store) {
    let house = House::start(store).await;
    let mut ids = Vec::new();
    for path in ["/oauth/clients/register", "/oauth/register", "/register"] {
        let answer = register(&format!("{}{path}", house.issuer()), &registration(REDIRECT)).await;
        let client = answer.expect(201);
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(client["token_endpoint_auth_method"], "none", "{path}: {client:#}");
        assert_eq!(client["redirect_uris"], json!([REDIRECT]), "{path}: {client:#}");
        assert_eq!(
            client["grant_types"],
            json!(["authorization_code", "refresh_token"]),
            "{path}: {client:#}"
        );
        assert!(client.get("client_secret").is_none(), "{path}: {client:#}");
        assert!(!has_null(&client), "{path}: {client:#}");
        ids.push(text(&client["client_id"]));
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "each registration is another client");
}

async fn a_registration_without_a_method_is_that_of_a_public_client(store: Store) {
    let house = House::start(store).await;
    let endpoint = Discovery::walk(house.mcp_url()).await.endpoint("registration_endpoint");
    let client = register(&endpoint, &json!({ "redirect_uris": [REDIRECT] })).await.expect(201);
    assert_eq!(client["token_endpoint_auth_method"], "none", "{client:#}");
    assert!(client.get("client_secret").is_none(), "{client:#}");
}

async fn what_registration_does_not_know_is_ignored(store: Store) {
    let house = House::start(store).await;
    let endpoint = Discovery::walk(house.mcp_url()).await.endpoint("registration_endpoint");
    // The redirects are those that Cursor and VS Code send, word for word.
    let redirects = json!([
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "https://www.cursor.com/agents/mcp/oauth/callback",
        "http://localhost:8787/callback",
        "https://insiders.vscode.dev/redirect",
        "https://vscode.dev/redirect",
        "http://127.0.0.1/",
        "http://127.0.0.1:33418/",
    ]);
    let mut body = registration(REDIRECT);
    body["redirect_uris"] = redirects.clone();
    body["application_type"] = "native".into();
    body["scope"] = "artifacts:* openid something".into();
    body["com.example.unheard_of"] = json!({ "of": [1, 2] });
    let client = register(&endpoint, &body).await.expect(201);
    assert_eq!(client["redirect_uris"], redirects);
}

async fn redirects_that_could_hurt_somebody_are_not_registered(store: Store) {
    let house = House::start(store).await;
    let endpoint = Discovery::walk(house.mcp_url()).await.endpoint("registration_endpoint");
    for redirect in [
        "http://attacker.example.test/callback",
        "http://localhost.evil.test/callback",
        "http://127.0.0.1@evil.test/callback",
        "http://127.0.0.1:49152/callback#fragment",
        "https://*.example.test/callback",
        "javascript:alert(1)",
        "data:text/html,hello",
        "file:///etc/passwd",
        "not a url",
        "",
    ] {
        let answer = register(&endpoint, &registration(redirect)).await;
        let why = answer.expect_error(400, "invalid_redirect_uri");
        assert!(!why.is_empty(), "{redirect}: {answer:#?}");
    }
    let nothing = register(&endpoint, &json!({ "client_name": "nowhere to go" })).await;
    assert_eq!(nothing.status, 400, "{nothing:#?}");
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        _ => false,
    }
}
