//! API keys: made once, used as a credential at the MCP server, and gone for good.

use std::time::Duration;

use e2e::answer::Answer;
use e2e::client::{challenge_parameter, text};
use e2e::house::{House, Store};
use e2e::mcp::Mcp;
use e2e::process;
use serde_json::{Value, json};

use crate::tools::{DESTROY, READ, WRITE};

e2e::on_both_stores!(
    a_key_works_in_its_folder_and_nowhere_else,
    a_key_is_taken_in_either_header_and_in_one_only,
    the_last_use_of_a_key_is_known_and_a_failed_try_is_none,
    a_key_of_each_life_ends_when_it_was_said,
    a_revoked_key_is_refused_within_a_second_and_nothing_revives_it,
    a_full_key_opens_every_tool,
    a_granular_key_allows_more_the_deeper_one_goes,
    no_key_is_in_the_database_or_in_the_log,
    a_key_beyond_its_limit_waits,
);

/// Makes a key of Alice: what is known of it, its text included.
fn create(house: &House, arguments: &[&str]) -> Value {
    let mut all = vec!["key", "create", "--user", "alice@example.test", "--json"];
    all.extend(arguments);
    house.cli(&all, "").json()
}

fn secret(key: &Value) -> String {
    text(&key["secret"])
}

fn listed(house: &House, id: &str) -> Value {
    let all = house.cli(&["key", "list", "--user", "alice@example.test", "--json"], "").json();
    let found = all.as_array().expect("a list").iter().find(|key| key["id"] == id).cloned();
    found.unwrap_or_else(|| panic!("no {id} in {all:#}"))
}

fn specs(house: &House) -> Value {
    create(house, &["--name", "CI", "--node", "alpha/specs", "--tier", "write", "--expires", "7d"])
}

async fn connect(house: &House, key: &str) -> Mcp {
    Mcp::connect(house.mcp_url(), key).await
}

async fn refused(house: &House, key: &str) {
    let answer = Mcp::hello(house.mcp_url(), key).await;
    assert_eq!(answer.status, 401, "{answer:#?}");
    let challenge = answer.header("www-authenticate");
    assert!(challenge_parameter(challenge, "resource_metadata").is_some(), "{challenge}");
}

/// Says hello with exactly these headers.
async fn with(house: &House, headers: &[(&str, &str)]) -> Answer {
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "e2e", "version": "1"},
    }});
    let mut request =
        process::client().post(house.mcp_url()).header("accept", "application/json, text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::to(request.json(&hello)).await
}

async fn store(mcp: &Mcp, folder: &str) -> Value {
    mcp.call("store_artifact", json!({"filename": "a.txt", "content": "YQ==", "folder": folder})).await
}

fn stored(answer: &Value) -> String {
    assert_ne!(answer["result"]["isError"], true, "{answer:#}");
    let content = &answer["result"]["structuredContent"];
    content["artifact_id"]
        .as_str()
        .or(content["id"].as_str())
        .unwrap_or_else(|| panic!("{answer:#}"))
        .to_owned()
}

/// The whole answer but for the name of the request.
fn said(answer: &Value) -> String {
    let mut answer = answer.clone();
    let meta = answer["result"]["_meta"].as_object_mut().expect("an error of a tool");
    assert!(meta.remove("request_id").is_some());
    answer.to_string()
}

fn code(answer: &Value) -> Value {
    assert_eq!(answer["result"]["isError"], true, "{answer:#}");
    answer["result"]["_meta"]["code"].clone()
}

async fn a_key_works_in_its_folder_and_nowhere_else(store_kind: Store) {
    let house = House::start(store_kind).await;
    let everything = create(&house, &["--name", "All", "--full"]);
    let everywhere = connect(&house, &secret(&everything)).await;
    let elsewhere = stored(&store(&everywhere, "alpha/other").await);
    let mcp = connect(&house, &secret(&specs(&house))).await;
    let shown = mcp.tools().await;
    assert!(READ.iter().chain(&WRITE).all(|tool| shown.iter().any(|name| name == tool)), "{shown:?}");
    assert!(DESTROY.iter().all(|tool| shown.iter().all(|name| name != tool)), "{shown:?}");
    let inside = stored(&store(&mcp, "alpha/specs").await);
    let below = stored(&store(&mcp, "alpha/specs/old").await);
    for id in [&inside, &below] {
        stored(&mcp.call("get_artifact", json!({"artifact_id": id})).await);
    }
    // One that is there, one that never was: the same words but for the name.
    let nobody = "art_0000000000000000";
    let get = async |id: &str| {
        let answer = mcp.call("get_artifact", json!({"artifact_id": id})).await;
        assert_eq!(code(&answer), "artifact_not_found");
        said(&answer).replace(id, "ID")
    };
    assert_eq!(get(&elsewhere).await, get(nobody).await);
    let there = store(&mcp, "alpha/other").await;
    let nowhere = store(&mcp, "beta").await;
    assert_eq!(said(&there).replace("alpha/other", "F"), said(&nowhere).replace("beta", "F"));
    assert_eq!(code(&there), "folder_not_found");
    assert_eq!(
        code(&mcp.call("delete_artifact", json!({"artifact_id": inside})).await),
        "insufficient_scope"
    );
    // Every record says with which key it was made.
    let record = mcp.call("get_artifact", json!({"artifact_id": inside})).await;
    assert!(record.to_string().contains("\"created_by_credential_name\":\"CI\""), "{record:#}");
}

async fn a_key_is_taken_in_either_header_and_in_one_only(store: Store) {
    let house = House::start(store).await;
    let key = secret(&specs(&house));
    let bearer = format!("Bearer {key}");
    for good in [("authorization", bearer.as_str()), ("x-api-key", key.as_str())] {
        assert_eq!(with(&house, &[good]).await.status, 200, "{}", good.0);
    }
    let both = with(&house, &[("authorization", &bearer), ("x-api-key", &key)]).await;
    both.expect_error(400, "invalid_request");
    assert_eq!(with(&house, &[("authorization", &key)]).await.status, 401, "without the scheme");
    assert_eq!(with(&house, &[("cookie", &format!("key={key}"))]).await.status, 401);
    let elsewhere = format!("{}?access_token={key}&api_key={key}&x-api-key={key}", house.mcp_url());
    let hidden = process::client().post(elsewhere).json(&json!({"access_token": key, "api_key": key}));
    assert_eq!(Answer::to(hidden).await.status, 401);
    let mut changed = key.clone();
    let last = changed.pop().expect("a letter");
    changed.push(if last == 'A' { 'B' } else { 'A' });
    refused(&house, &changed).await;
}

async fn the_last_use_of_a_key_is_known_and_a_failed_try_is_none(store: Store) {
    let house = House::start(store).await;
    let key = specs(&house);
    let (id, secret) = (text(&key["id"]), secret(&key));
    assert_eq!(listed(&house, &id)["last_used_at"], Value::Null);
    refused(&house, &secret[..secret.len() - 1]).await;
    assert_eq!(with(&house, &[("authorization", &secret)]).await.status, 401);
    assert_eq!(listed(&house, &id)["last_used_at"], Value::Null);
    connect(&house, &secret).await;
    let used = listed(&house, &id);
    assert!(used["last_used_at"].as_i64() >= used["created_at"].as_i64(), "{used:#}");
    // A use of an expired key is none.
    house.alter("update api_keys set last_used_at = 1, expires_at = 2");
    tokio::time::sleep(Duration::from_secs(6)).await;
    refused(&house, &secret).await;
    assert_eq!(listed(&house, &id)["last_used_at"], 1);
    assert!(listed(&house, &id).get("secret").is_none());
}

async fn a_key_of_each_life_ends_when_it_was_said(store: Store) {
    let house = House::start(store).await;
    for (word, days) in
        [("7d", Some(7)), ("30d", Some(30)), ("90d", Some(90)), ("1y", Some(365)), ("never", None)]
    {
        let key = create(&house, &["--name", word, "--tier", "read", "--expires", word]);
        let life = key["expires_at"].as_i64().map(|end| end - key["created_at"].as_i64().expect("a time"));
        assert_eq!(life, days.map(|days| days * 86_400), "{word}");
    }
    for word in ["8h", "1d", "", "forever", "7D"] {
        let refused = house.cli(
            &[
                "key",
                "create",
                "--user",
                "alice@example.test",
                "--name",
                "N",
                "--tier",
                "read",
                "--expires",
                word,
            ],
            "",
        );
        assert_eq!(refused.code, 2, "{word}: {refused:#?}");
    }
    let key = specs(&house);
    connect(&house, &secret(&key)).await;
    // Eight days go by.
    house.alter("update api_keys set created_at = created_at - 691200, expires_at = expires_at - 691200 where expires_at is not null");
    tokio::time::sleep(Duration::from_secs(6)).await;
    refused(&house, &secret(&key)).await;
    assert_eq!(listed(&house, &text(&key["id"]))["state"], "expired");
}

async fn a_revoked_key_is_refused_within_a_second_and_nothing_revives_it(store: Store) {
    let mut house = House::start(store).await;
    let (key, other) = (specs(&house), create(&house, &["--name", "Other", "--tier", "read"]));
    let id = text(&key["id"]);
    for key in [&key, &other] {
        connect(&house, &secret(key)).await;
    }
    let done = house.cli(&["key", "revoke", &id, "--json"], "").json();
    assert_eq!((&done["id"], &done["revoked"]), (&key["id"], &json!(true)));
    let until_refused = async {
        while Mcp::hello(house.mcp_url(), &secret(&key)).await.status != 401 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let soon = tokio::time::timeout(Duration::from_secs(1), until_refused).await;
    assert!(soon.is_ok(), "a revoked key works for more than a second");
    connect(&house, &secret(&other)).await;
    let shown = listed(&house, &id);
    assert_eq!(shown["state"], "revoked");
    // Again, from the start, and with the account disabled and enabled: it stays dead, and so does what died with the account.
    assert_eq!(house.cli(&["key", "revoke", &id, "--json"], "").json()["revoked"], true);
    house.restart_auth_server().await;
    house.cli(&["user", "disable", "alice@example.test"], "").ok();
    house.cli(&["user", "enable", "alice@example.test"], "").ok();
    tokio::time::sleep(Duration::from_secs(6)).await;
    for key in [&key, &other] {
        refused(&house, &secret(key)).await;
        assert_eq!(listed(&house, &text(&key["id"]))["state"], "revoked");
    }
    assert_eq!(listed(&house, &id)["revoked_at"], shown["revoked_at"]);
    connect(&house, &secret(&create(&house, &["--name", "New", "--tier", "read"]))).await;
}

async fn a_full_key_opens_every_tool(store: Store) {
    let house = House::start(store).await;
    let key = create(&house, &["--name", "Nightly", "--full", "--resource", house.mcp_url()]);
    let secret = secret(&key);
    let body = secret.strip_prefix("ak_live_").expect("its prefix");
    assert!(body.len() == 32 && body.bytes().all(|b| b.is_ascii_alphanumeric()), "{body}");
    let mut all: Vec<_> = READ.iter().chain(&WRITE).chain(&DESTROY).copied().collect();
    all.sort_unstable();
    assert_eq!(connect(&house, &secret).await.tools().await, all);
}

async fn a_granular_key_allows_more_the_deeper_one_goes(store_kind: Store) {
    let house = House::start(store_kind).await;
    let everywhere = connect(&house, &secret(&create(&house, &["--name", "All", "--full"]))).await;
    let grants =
        ["--grant", "alpha=read", "--grant", "alpha/site=write", "--grant", "alpha/site/specs=destroy"];
    let key = create(&house, &[&["--name", "Granular"][..], &grants].concat());
    let mcp = connect(&house, &secret(&key)).await;
    let mut ids = Vec::new();
    for folder in ["alpha", "alpha/site", "alpha/site/specs"] {
        ids.push(stored(&store(&everywhere, folder).await));
    }
    for id in &ids {
        stored(&mcp.call("get_artifact", json!({"artifact_id": id})).await);
    }
    assert_eq!(code(&store(&mcp, "alpha").await), "insufficient_scope");
    stored(&store(&mcp, "alpha/site").await);
    for id in &ids[..2] {
        assert_eq!(
            code(&mcp.call("delete_artifact", json!({"artifact_id": id})).await),
            "insufficient_scope"
        );
    }
    let deleted = mcp.call("delete_artifact", json!({"artifact_id": ids[2]})).await;
    assert_ne!(deleted["result"]["isError"], true, "{deleted:#}");
}

async fn no_key_is_in_the_database_or_in_the_log(store: Store) {
    let house = House::start(store).await;
    let keys = [specs(&house), create(&house, &["--name", "All", "--full"])].map(|key| {
        let prefix = text(&key["prefix"]);
        let secret = secret(&key);
        assert!(secret.starts_with(&prefix) && prefix.len() < 13, "{prefix}");
        secret[prefix.len()..].to_owned()
    });
    for key in ["sta_", "ak_live_"].iter().zip(&keys).map(|(_, rest)| rest) {
        assert!(key.len() > 27);
    }
    let backup = house.folder().join("backup.jsonl");
    house.cli(&["backup", "--to", backup.to_str().expect("text")], "").ok();
    let dump = std::fs::read_to_string(&backup).expect("the backup can be read");
    assert!(dump.contains("api_key_created") && dump.contains("\"sta_"), "the dump holds the keys' rows");
    for rest in &keys {
        assert!(!dump.contains(rest.as_str()) && !house.logs().contains(rest.as_str()));
    }
}

async fn a_key_beyond_its_limit_waits(store_kind: Store) {
    let house = House::start(store_kind).await;
    let slow = create(&house, &["--name", "Slow", "--tier", "read", "--rate-limit", "3"]);
    let usual = create(&house, &["--name", "Usual", "--tier", "read"]);
    assert_eq!((&slow["rate_limit"], &usual["rate_limit"]), (&json!(3), &Value::Null));
    assert_eq!(listed(&house, &text(&slow["id"]))["rate_limit"], 3);
    let key = secret(&slow);
    for _ in 0..3 {
        assert_eq!(with(&house, &[("x-api-key", &key)]).await.status, 200);
    }
    let answer = with(&house, &[("x-api-key", &key)]).await;
    assert_eq!(answer.status, 429, "{answer:#?}");
    let wait: i64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=20).contains(&wait), "{wait}");
    let body = answer.json();
    assert_eq!(
        (&body["error"], &body["credential"], &body["key"]),
        (&json!("rate_limited"), &json!("Slow"), &slow["id"])
    );
    assert!(body["error_description"].as_str().expect("a text").contains("3 requests a minute"), "{body:#}");
    assert!(!answer.body.contains(&key), "{answer:#?}");
    for _ in 0..10 {
        assert_eq!(with(&house, &[("x-api-key", &secret(&usual))]).await.status, 200);
    }
}
