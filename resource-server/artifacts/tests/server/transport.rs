//! The MCP endpoint as plain HTTP.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::house::House;
use doorward_artifacts::context::MESSAGE_BYTES;

fn list() -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })
}

async fn body(response: Response) -> Value {
    response.json().await.unwrap()
}

#[tokio::test]
async fn answers_are_plain_json_without_a_session() {
    let house = House::start().await;
    let response = house.user("alice").post().json(&list()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(response.headers().get("mcp-session-id").is_none());
    assert!(response.headers()["x-request-id"].to_str().unwrap().starts_with("req_"));
}

#[tokio::test]
async fn a_plain_http_tool_needs_no_special_accept_header() {
    let house = House::start().await;
    for accept in ["*/*", "application/json", "text/html"] {
        let request = house.user("alice").post().header("accept", accept).json(&list());
        assert_eq!(request.send().await.unwrap().status(), 200, "{accept}");
    }
}

#[tokio::test]
async fn only_post_is_served() {
    let house = House::start().await;
    for method in [Method::GET, Method::DELETE, Method::PUT, Method::PATCH] {
        let request = house.user("alice").request(method.clone(), &format!("{}/mcp", house.origin));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 405, "{method}");
        assert_eq!(response.headers()["allow"], "POST");
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn without_a_verified_caller_nothing_is_served() {
    let house = House::start().await;
    for method in [Method::POST, Method::GET] {
        let response =
            house.request(method, &format!("{}/mcp", house.origin)).json(&list()).send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(body(response).await["code"], json!("unauthorized"));
    }
}

#[tokio::test]
async fn what_is_no_message_is_answered_as_json_rpc_asks() {
    let house = House::start().await;
    let alice = house.user("alice");
    for (sent, code) in [
        ("", -32700),
        ("{", -32700),
        ("\u{FEFF}{}", -32700),
        ("{}", -32600),
        ("[]", -32600),
        ("7", -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]"#, -32600),
    ] {
        let response =
            alice.post().header("content-type", "application/json").body(sent).send().await.unwrap();
        assert_eq!(response.status(), 400, "{sent:?}");
        let answer = body(response).await;
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &Value::Null), "{sent:?}");
    }
    let response =
        alice.post().header("content-type", "text/plain").body(list().to_string()).send().await.unwrap();
    assert_eq!(response.status(), 415);
    let unknown = alice
        .post()
        .json(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/destroy" }))
        .send()
        .await
        .unwrap();
    assert_eq!(body(unknown).await["error"]["code"], json!(-32601));
}

#[tokio::test]
async fn an_unsupported_protocol_version_is_refused() {
    let house = House::start().await;
    let request = house.user("alice").post().header("mcp-protocol-version", "1999-01-01").json(&list());
    assert_eq!(request.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_message_of_more_than_32_mebibytes_is_refused() {
    let house = House::start().await;
    let alice = house.user("alice");
    let mut message = list().to_string();
    message.push_str(&" ".repeat(32 * 1024 * 1024 - message.len()));
    let fits =
        alice.post().header("content-type", "application/json").body(message.clone()).send().await.unwrap();
    assert_eq!(fits.status(), 200);
    message.push(' ');
    let response =
        alice.post().header("content-type", "application/json").body(message).send().await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(body(response).await["code"], json!("file_too_large"));
}

#[tokio::test]
async fn a_message_of_very_many_small_values_is_refused() {
    let house = House::start().await;
    let alice = house.user("alice");
    let message = |count: usize| json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": { "x": vec![0; count] } } });
    let fits = alice.post().json(&message(19_000)).send().await.unwrap();
    assert_eq!(fits.status(), 200);
    for nodes in [json!(vec![0; 20_000]), json!(vec![json!([]); 20_000]), json!([[message(20_000)]])] {
        let response = alice.post().json(&nodes).send().await.unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(body(response).await["code"], json!("file_too_large"));
    }
    // Neither the names of members nor what is repeated under one name goes uncounted.
    let repeated = format!("{{{}\"a\":0}}", "\"a\":0,".repeat(20_000));
    let sent = alice.post().header("content-type", "application/json").body(repeated).send().await.unwrap();
    assert_eq!(sent.status(), 413);
}

#[tokio::test]
async fn a_message_for_which_there_is_no_room_is_to_come_again() {
    let house = House::start().await;
    let alice = house.user("alice");
    let all = u32::try_from(MESSAGE_BYTES).unwrap();
    let taken = house.context.messages.clone().try_acquire_many_owned(all).unwrap();
    let response = alice.post().json(&list()).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    drop(taken);
    assert_eq!(alice.post().json(&list()).send().await.unwrap().status(), 200);
    assert_eq!(house.context.messages.available_permits(), MESSAGE_BYTES, "all room is given back");
}

#[tokio::test]
async fn a_notification_is_accepted_in_silence() {
    let house = House::start().await;
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let response = house.user("alice").post().json(&note).send().await.unwrap();
    assert_eq!(response.status(), 202);
    assert_eq!(response.text().await.unwrap(), "");
}

#[tokio::test]
async fn health_and_readiness_are_told_without_credentials() {
    let house = House::start().await;
    let alive = house.get(&format!("{}/healthz", house.origin)).await;
    assert_eq!(body(alive).await, json!({ "status": "ok" }));
    let ready = house.get(&format!("{}/readyz", house.origin)).await;
    assert_eq!(ready.status(), 200);
    house.context.store.close().await;
    let ready = house.get(&format!("{}/readyz", house.origin)).await;
    assert_eq!(ready.status(), 503);
    assert_eq!(body(ready).await, json!({ "status": "not_ready", "store": false, "keys": true }));
    let nothing = house.get(&format!("{}/nothing", house.origin)).await;
    assert_eq!(nothing.status(), 404);
    assert_eq!(body(nothing).await["code"], json!("invalid_request"));
}

#[tokio::test]
async fn a_fault_of_the_store_is_a_server_error_that_tells_nothing() {
    let house = House::start().await;
    let alice = house.user("alice");
    house.context.store.close().await;
    let result = alice.call("whoami", json!({})).await;
    assert_eq!(result["_meta"]["code"], json!("server_error"));
    assert_eq!(result["_meta"]["retry_hint"], json!("retry_with_backoff"));
    let said = result["content"][0]["text"].as_str().unwrap();
    assert!(!said.to_lowercase().contains("pool") && !said.contains("sqlite"), "{said}");
}
