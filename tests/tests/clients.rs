//! Real MCP clients, none of them ours, in a real browser: each goes the whole way from nothing but the MCP URL.

use e2e::client::text;
use e2e::driver::{Driver, Library, Steps, conformance};
use e2e::house::{House, Store};
use serde_json::{Value, json};

const STORY: [&str; 7] = ["signed_in", "tools", "whoami", "stored", "refreshed", "replayed", "recovered"];
const READ: [&str; 5] =
    ["get_artifact", "get_artifact_download_url", "list_artifacts", "list_sessions", "whoami"];
const WRITE: [&str; 3] = ["complete_upload", "request_upload_url", "store_artifact"];
const DESTROY: [&str; 3] = ["create_download_link", "delete_artifact", "seal_session"];

#[tokio::test]
async fn the_typescript_sdk_1_signs_in_calls_refreshes_and_recovers_from_a_replay() {
    goes_the_whole_way(Driver::TypeScript1, Store::Sqlite, "write").await;
}

#[tokio::test]
async fn the_typescript_sdk_1_does_the_same_on_postgres() {
    goes_the_whole_way(Driver::TypeScript1, Store::Postgres, "destroy").await;
}

#[tokio::test]
async fn the_typescript_sdk_2_signs_in_calls_refreshes_and_recovers_from_a_replay() {
    goes_the_whole_way(Driver::TypeScript2, Store::Sqlite, "destroy").await;
}

#[tokio::test]
async fn the_python_sdk_signs_in_calls_refreshes_and_recovers_from_a_replay() {
    goes_the_whole_way(Driver::Python, Store::Sqlite, "read").await;
}

#[tokio::test]
async fn the_python_sdk_does_the_same_on_postgres() {
    goes_the_whole_way(Driver::Python, Store::Postgres, "write").await;
}

#[tokio::test]
async fn the_rust_sdk_signs_in_calls_refreshes_and_recovers_from_a_replay() {
    goes_the_whole_way(Driver::Rust, Store::Sqlite, "write").await;
}

#[tokio::test]
async fn the_conformance_suite_has_nothing_to_object() {
    let house = House::start(Store::Sqlite).await;
    let checks = conformance(&house, house.alice(), &["read"]).await;
    let has = |id: &str| checks.iter().any(|check| check["id"] == id);
    assert!(has("authorization-server-metadata") && has("authorization-code-grant"), "{checks:#?}");
    for check in &checks {
        assert_eq!(check["status"], "SUCCESS", "{check:#}");
    }
}

#[tokio::test]
async fn openid_client_finds_nothing_wrong_as_a_registered_client_of_any_kind() {
    speaks_openid_connect(Library::OpenidClient, Store::Sqlite).await;
}

#[tokio::test]
async fn oauth4webapi_finds_nothing_wrong_as_a_registered_client_of_any_kind() {
    speaks_openid_connect(Library::Oauth4webapi, Store::Postgres).await;
}

/// The libraries themselves refuse what is not as the specifications want it; what they leave to their users is held here.
async fn speaks_openid_connect(library: Library, store: Store) {
    let house = House::start(store).await;
    let steps = library.run(&house, house.alice()).await;
    for method in ["none", "client_secret_basic", "client_secret_post"] {
        let step = |name: &str| steps.step(&format!("{method}: {name}"));
        let signed_in = step("signed_in");
        let claims = &signed_in["claims"];
        assert_eq!(claims["nonce"], signed_in["nonce"], "{claims:#}");
        assert_eq!((&claims["name"], &claims["email"]), (&json!("Alice"), &json!(house.alice().email)));
        assert_eq!(signed_in["expires_in"], 900);

        let userinfo = &step("userinfo")["userinfo"];
        for claim in ["sub", "name", "email", "email_verified"] {
            assert_eq!(userinfo[claim], claims[claim], "{claim}: {userinfo:#}");
        }

        let refreshed = step("refreshed");
        assert_eq!(refreshed["new_access_token"], true);
        assert_eq!(refreshed["new_refresh_token"], true);
        // OpenID Connect Core §12.2.
        for claim in ["iss", "sub", "aud", "auth_time"] {
            assert_eq!(refreshed["claims"][claim], claims[claim], "{claim}: {refreshed:#}");
        }

        let introspected = step("introspected");
        let told = &introspected["by_resource_server"];
        assert_eq!((&told["active"], &told["sub"]), (&json!(true), &claims["sub"]), "{told:#}");
        if method != "none" {
            assert_eq!(&introspected["by_client"], told);
        }
        let revoked = step("revoked");
        assert_eq!(revoked["refresh"], "invalid_grant", "{revoked:#}");
        assert_eq!(revoked["token"], json!({"active": false}));
        assert_eq!(step("signed_out")["state"], true);
    }
}

async fn goes_the_whole_way(driver: Driver, store: Store, tier: &str) {
    let house = House::start(store).await;
    let steps = driver.run(&house, house.alice(), &[tier]).await;
    assert_eq!(steps.names(), STORY);
    signed_in(&house, &steps, tier);

    let tools = json!(tools_of(tier));
    assert_eq!(steps.step("tools")["names"], tools);
    let whoami = &steps.step("whoami")["result"];
    assert_ne!(whoami["isError"], true, "{whoami:#}");
    assert!(whoami.to_string().contains("tenant_name"), "{whoami:#}");
    let stored = &steps.step("stored")["result"];
    if tier == "read" {
        assert_eq!(stored["isError"], true, "{stored:#}");
        assert_eq!(stored["_meta"]["code"], "insufficient_scope", "{stored:#}");
    } else {
        assert_ne!(stored["isError"], true, "{stored:#}");
        assert!(stored.to_string().contains("art_"), "{stored:#}");
    }

    let refreshed = steps.step("refreshed");
    assert_eq!(refreshed["names"], tools);
    assert_eq!(refreshed["sign_ins"], 1, "nobody was asked: {refreshed:#}");
    assert_eq!(refreshed["new_access_token"], true, "{refreshed:#}");
    assert_eq!(refreshed["new_refresh_token"], true, "{refreshed:#}");

    let replayed = steps.step("replayed");
    assert_eq!(replayed["status"], 400, "{replayed:#}");
    assert_eq!(replayed["body"]["error"], "refresh_replayed", "{replayed:#}");

    let recovered = steps.step("recovered");
    assert_eq!(recovered["sign_ins"], 2, "{recovered:#}");
    assert_eq!(recovered["names"], tools);
    assert_eq!(
        recovered["saw"]["client_label"], "unverified",
        "asked again, not waved through: {recovered:#}"
    );

    // The Rust SDK keeps its requests to itself; all others were watched.
    if driver != Driver::Rust {
        sent(refreshed, "/oauth2/token", 200, Some("refresh_token"));
        sent(recovered, "/oauth2/token", 400, Some("refresh_token"));
        sent(recovered, "/oauth2/token", 200, Some("authorization_code"));
    }
}

fn signed_in(house: &House, steps: &Steps, tier: &str) {
    let signed_in = steps.step("signed_in");
    if !signed_in["requests"].is_null() {
        sent(signed_in, "/mcp", 401, None);
        sent(signed_in, "/oauth/clients/register", 201, None);
        sent(signed_in, "/oauth2/token", 200, Some("authorization_code"));
    }
    assert_eq!(signed_in["authorize"]["client_id"], signed_in["client_id"]);
    assert_eq!(signed_in["authorize"]["code_challenge_method"], "S256");
    assert_eq!(signed_in["authorize"]["resource"], house.mcp_url());
    assert_eq!(signed_in["saw"]["client_label"], "unverified");
    assert_eq!(signed_in["saw"]["redirect"], signed_in["redirect_uri"]);
    assert_eq!(signed_in["saw"]["tiers"], json!([["read", false], ["write", false], ["destroy", false]]));
    assert_eq!(signed_in["callback"]["iss"], house.issuer());
    let token = &signed_in["token"];
    assert_eq!(token["expires_in"], 900, "{token:#}");
    assert!(text(&token["token_type"]).eq_ignore_ascii_case("bearer"), "{token:#}");
    let scope = match &token["scope"] {
        // The Rust SDK keeps scopes as the list they are.
        Value::Array(words) => words.iter().map(text).collect::<Vec<_>>().join(" "),
        words => text(words),
    };
    let may_create = scope.split(' ').any(|word| word == "artifacts:create");
    assert_eq!(may_create, tier != "read", "{scope}");
}

/// Fails unless the driver saw this request.
fn sent(step: &Value, path: &str, status: u16, grant_type: Option<&str>) {
    let requests = step["requests"].as_array().unwrap_or_else(|| panic!("no requests in {step:#}"));
    let this = |request: &&Value| {
        request[1] == path
            && request[2] == status
            && grant_type.is_none_or(|grant_type| request[3] == grant_type)
    };
    assert!(requests.iter().any(|request| this(&request)), "{path} {status} {grant_type:?} in {step:#}");
}

fn tools_of(tier: &str) -> Vec<&'static str> {
    let tiers = [("read", &READ[..]), ("write", &WRITE), ("destroy", &DESTROY)];
    let upto = tiers.iter().position(|(id, _)| *id == tier).expect("a tier");
    let mut tools: Vec<_> = tiers[..=upto].iter().flat_map(|(_, tools)| *tools).copied().collect();
    tools.sort_unstable();
    tools
}
