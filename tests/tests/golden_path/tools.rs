//! What a granted tier opens at the MCP server, and what it does not.

use e2e::client::text;
use e2e::house::{House, Store};
use e2e::mcp::Mcp;
use e2e::session::Session;
use serde_json::{Value, json};

pub(crate) const READ: [&str; 5] =
    ["get_artifact", "get_artifact_download_url", "list_artifacts", "list_sessions", "whoami"];
pub(crate) const WRITE: [&str; 3] = ["complete_upload", "request_upload_url", "store_artifact"];
pub(crate) const DESTROY: [&str; 3] = ["create_download_link", "delete_artifact", "seal_session"];

e2e::on_both_stores!(
    ticking_nothing_gives_a_token_that_sees_no_tools,
    read_shows_five_tools_write_eight_and_destroy_eleven,
    read_shows_resources_and_who_one_is,
    a_tool_above_the_granted_tier_is_refused_by_its_permission,
    a_tool_that_does_not_exist_is_refused_without_further_word,
);

async fn ticking_nothing_gives_a_token_that_sees_no_tools(store: Store) {
    let house = House::start(store).await;
    let session = Session::begin(&house, &[]).await;
    assert_eq!(session.tokens.permissions(), [""; 0]);
    let mcp = session.mcp(&house).await;
    assert_eq!(mcp.tools().await, [""; 0]);
    assert_eq!(mcp.resources().await, [Value::Null; 0]);
    refused(&mcp.call("whoami", json!({})).await, "artifacts:read");
}

async fn read_shows_five_tools_write_eight_and_destroy_eleven(store: Store) {
    let house = House::start(store).await;
    let mut expected: Vec<&str> = Vec::new();
    for (tier, adds) in [("read", &READ[..]), ("write", &WRITE), ("destroy", &DESTROY)] {
        expected.extend(adds);
        expected.sort_unstable();
        let mcp = Session::begin(&house, &[tier]).await.mcp(&house).await;
        assert_eq!(mcp.tools().await, expected, "with {tier}");
    }
}

async fn read_shows_resources_and_who_one_is(store: Store) {
    let house = House::start(store).await;
    let writer = Session::begin(&house, &["write"]).await.mcp(&house).await;
    stored(&writer, "first.txt").await;
    let reader = Session::begin(&house, &["read"]).await.mcp(&house).await;
    assert!(!reader.resources().await.is_empty());
    let answer = reader.call("whoami", json!({})).await;
    let me = content(&answer);
    for fact in ["tenant_name", "plan"] {
        assert!(!text(&me[fact]).is_empty(), "`{fact}` in {me:#}");
    }
    for count in ["usage_requests_month", "usage_storage_bytes", "plan_storage_limit_bytes"] {
        assert!(me[count].is_u64(), "`{count}` in {me:#}");
    }
    assert!(me["usage_storage_bytes"].as_u64() > Some(0), "what she stored is counted: {me:#}");
}

async fn a_tool_above_the_granted_tier_is_refused_by_its_permission(store: Store) {
    let house = House::start(store).await;
    let file = json!({ "filename": "a.txt", "content": "YQ==" });
    let reader = Session::begin(&house, &["read"]).await.mcp(&house).await;
    refused(&reader.call("store_artifact", file.clone()).await, "artifacts:create");
    refused(
        &reader.call("delete_artifact", json!({ "artifact_id": "art_0000000000000000" })).await,
        "artifacts:delete",
    );

    let writer = Session::begin(&house, &["write"]).await.mcp(&house).await;
    stored(&writer, "mine.txt").await;
    refused(
        &writer.call("delete_artifact", json!({ "artifact_id": "art_0000000000000000" })).await,
        "artifacts:delete",
    );
}

async fn a_tool_that_does_not_exist_is_refused_without_further_word(store: Store) {
    let house = House::start(store).await;
    let mcp = Session::begin(&house, &["read"]).await.mcp(&house).await;
    let answer = mcp.call("drop_everything", json!({})).await;
    assert!(answer["error"].is_object() || answer["result"]["isError"] == true, "{answer:#}");
    let said = answer.to_string();
    for tool in READ.iter().chain(&WRITE).chain(&DESTROY) {
        assert!(!said.contains(tool), "`{tool}` is given away: {answer:#}");
    }
}

async fn stored(mcp: &Mcp, filename: &str) {
    let answer = mcp.call("store_artifact", json!({ "filename": filename, "content": "aGVsbG8=" })).await;
    assert_ne!(answer["result"]["isError"], true, "{answer:#}");
    assert!(answer["error"].is_null(), "{answer:#}");
}

/// Fails unless a tool answered that `permission` is missing.
fn refused(answer: &Value, permission: &str) {
    let result = &answer["result"];
    assert_eq!(result["isError"], true, "{answer:#}");
    assert_eq!(result["_meta"]["code"], "insufficient_scope", "{answer:#}");
    assert!(
        text(&result["content"][0]["text"]).contains(permission),
        "`{permission}` is not named: {answer:#}"
    );
}

/// What a tool that succeeded has to say, as data.
fn content(answer: &Value) -> Value {
    let result = &answer["result"];
    assert_ne!(result["isError"], true, "{answer:#}");
    if result["structuredContent"].is_object() {
        return result["structuredContent"].clone();
    }
    serde_json::from_str(&text(&result["content"][0]["text"]))
        .unwrap_or_else(|error| panic!("{error}: {answer:#}"))
}
