//! What the authorization server revokes, at the program itself.

use std::{fs, time::Duration};

use doorward_shared::secret::{ScopedKey, Secret, SystemEntropy};
use serde_json::{Value, json};

use crate::{
    house::{ALL, Scratch, content, text, with},
    process::{Issuer, Program, free_port},
};

async fn status(program: &Program, token: &str) -> u16 {
    program.post(token, "tools/list", json!({})).await.status().as_u16()
}

async fn refused_soon(program: &Program, token: &str) {
    for _ in 0..300 {
        if status(program, token).await == 401 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it is still good");
}

#[tokio::test]
async fn what_is_revoked_is_refused_at_once_and_after_a_restart_without_the_issuer() {
    let (scratch, issuer, port) = (Scratch::new(), Issuer::start().await, free_port());
    let program = Program::signed_in(&scratch, &issuer, port, &[]).await;
    program.wait_for("/readyz", 200).await;
    let token = issuer.token(&program.resource, ALL, &json!({}));
    let other = issuer.token(&program.resource, ALL, &json!({ "sid": "grant-2" }));
    assert_eq!((status(&program, &token).await, status(&program, &other).await), (200, 200));
    issuer.revoke("grant-1");
    refused_soon(&program, &token).await;
    assert_eq!(status(&program, &other).await, 200);
    let copy = scratch.path().join("data/artifacts/revocations.json");
    for _ in 0..300 {
        if fs::read_to_string(&copy).is_ok_and(|text| text.contains("grant-1")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    program.stop();
    issuer.server.abort();

    let program = Program::signed_in(&scratch, &issuer, port, &[]).await;
    program.wait_for("/readyz", 200).await;
    assert_eq!((status(&program, &token).await, status(&program, &other).await), (401, 200));
    program.stop();
}

/// A public link and a download address to a new artifact.
async fn links(program: &Program, token: &str) -> Vec<String> {
    let stored = program.call(token, "store_artifact", content("a.txt", b"shared")).await;
    let artifact = json!({ "artifact_id": stored["structuredContent"]["artifact_id"] });
    let link = program.call(token, "create_download_link", artifact.clone()).await;
    let download = program.call(token, "get_artifact_download_url", artifact).await;
    let address = |answer: &Value, member| text(&answer["structuredContent"], member).to_owned();
    vec![address(&link, "url"), address(&download, "download_url")]
}

async fn all_answer(program: &Program, urls: &[String], status: u16) -> bool {
    for url in urls {
        if program.http.get(url).send().await.unwrap().status() != status {
            return false;
        }
    }
    true
}

async fn gone_soon(program: &Program, urls: &[String]) {
    for _ in 0..300 {
        if all_answer(program, urls, 410).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("they still open");
}

#[tokio::test]
async fn links_end_with_the_grant_or_key_that_made_them_also_when_that_ended_while_the_server_was_away() {
    let (scratch, issuer, port) = (Scratch::new(), Issuer::start().await, free_port());
    let program = Program::signed_in(&scratch, &issuer, port, &[]).await;
    program.wait_for("/readyz", 200).await;
    let of_grant = |grant: &str| issuer.token(&program.resource, ALL, &json!({ "sid": grant }));
    let key =
        issuer.api_key(&program.resource, &json!({ "scope": ALL, "sid": "key_1", "client_id": "key_1" }));
    let by_key = links(&program, &key).await;
    let gone = links(&program, &of_grant("grant-1")).await;
    let later = links(&program, &of_grant("grant-2")).await;
    let kept = links(&program, &of_grant("grant-3")).await;
    for urls in [&by_key, &gone, &later, &kept] {
        assert!(all_answer(&program, urls, 200).await);
    }
    issuer.revoke("grant-1");
    issuer.revoke("key_1");
    gone_soon(&program, &gone).await;
    gone_soon(&program, &by_key).await;
    assert!(all_answer(&program, &kept, 200).await);
    program.stop();

    // What it heard of is written down, and of what it did not hear it asks before it answers anybody.
    issuer.revoke("grant-2");
    let program = Program::signed_in(&scratch, &issuer, port, &[]).await;
    program.wait_for("/readyz", 200).await;
    for urls in [&gone, &by_key, &later] {
        assert!(all_answer(&program, urls, 410).await);
    }
    assert!(all_answer(&program, &kept, 200).await);
    program.stop();

    // Without the issuer, and without what the kit keeps of the feed.
    issuer.server.abort();
    fs::remove_file(scratch.path().join("data/artifacts/revocations.json")).unwrap();
    let program = Program::signed_in(&scratch, &issuer, port, &[]).await;
    program.wait_for("/readyz", 200).await;
    for urls in [&gone, &by_key, &later] {
        assert!(all_answer(&program, urls, 410).await);
    }
    assert!(all_answer(&program, &kept, 200).await);
    program.stop();
}

#[tokio::test]
async fn an_api_key_opens_what_the_issuer_says() {
    let (scratch, issuer, port) = (Scratch::new(), Issuer::start().await, free_port());
    let program = Program::signed_in(&scratch, &issuer, port, &[]).await;
    program.wait_for("/readyz", 200).await;
    let key = issuer.api_key(&program.resource, &json!({}));
    let elsewhere = issuer.api_key("http://localhost:1/mcp", &json!({}));
    assert_eq!(program.tools(&key).await, 5);
    for bad in [&elsewhere, &Secret::<ScopedKey>::generate(&SystemEntropy).expose().to_owned()] {
        assert_eq!(status(&program, bad).await, 401);
    }
    let log = program.stop();
    assert!(!log.contains(&key) && !log.contains("secret-1"), "no secret is in the log");
}

#[tokio::test]
async fn a_narrowed_key_works_in_its_folder_and_the_log_says_what_it_did() {
    let (scratch, issuer, port) = (Scratch::new(), Issuer::start().await, free_port());
    let program = Program::signed_in(&scratch, &issuer, port, &[]).await;
    program.wait_for("/readyz", 200).await;
    let narrow = json!({
        "scope": "artifacts:read artifacts:create artifacts:update", "credential": "Nightly build",
        "authorization_details": [
            {"type": "node", "identifier": "alpha", "actions": ["artifacts:read"]},
            {"type": "node", "identifier": "alpha/specs", "actions": ["artifacts:read", "artifacts:create", "artifacts:update"]},
        ],
    });
    let key = issuer.api_key(&program.resource, &narrow);
    assert_eq!(program.tools(&key).await, 8);
    let stored = program.call(&key, "store_artifact", content("a.txt", b"hush-1")).await;
    let record = &stored["structuredContent"];
    assert_eq!(record["folder"], json!("alpha/specs"));
    assert_eq!(
        (&record["created_by"], &record["created_by_credential_name"]),
        (&json!("alice"), &json!("Nightly build"))
    );
    let me = program.call(&key, "whoami", json!({})).await;
    assert_eq!(me["structuredContent"]["api_key_last_4"], json!(key[key.len() - 4..]));
    let elsewhere = with(content("b.txt", b"x"), json!({ "folder": "beta" }));
    assert_eq!(
        program.call(&key, "store_artifact", elsewhere).await["_meta"]["code"],
        json!("folder_not_found")
    );
    // The other door: without MCP, with the key in its own header.
    let url = format!("{}/artifacts/{}", program.resource, text(record, "artifact_id"));
    let moved = |folder: &str| program.http.patch(&url).json(&json!({ "folder": folder }));
    assert_eq!(moved("alpha/specs/old").send().await.unwrap().status(), 401);
    for (folder, status) in [("alpha", 403), ("beta", 404), ("alpha/specs/old", 200)] {
        let response = moved(folder).header("x-api-key", &key).send().await.unwrap();
        assert_eq!(response.status(), status, "{folder}");
    }
    // Somebody with the same permissions and no narrowing.
    let token = issuer.token(&program.resource, ALL, &json!({}));
    let seen = program.call(&token, "get_artifact", json!({ "artifact_id": record["artifact_id"] })).await;
    assert_eq!(seen["structuredContent"]["folder"], json!("alpha/specs/old"));
    let nobody = issuer.token(&program.resource, "openid", &json!({ "entitled": false }));
    let refused = program.post(&nobody, "tools/list", json!({})).await;
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains("entitled to nothing at Doorward Artifacts"));

    let log = program.stop();
    assert!(!log.contains(&key) && !log.contains("hush"), "no secret and no content is in the log");
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |tool: &str| events.iter().find(|event| event["tool"] == json!(tool)).unwrap();
    assert_eq!(of("store_artifact")["credential"], json!("Nightly build"));
    assert_eq!(of("store_artifact")["input"], json!("content filename"));
    let get = of("get_artifact");
    assert_eq!(get["input"], json!(format!("artifact_id={}", text(record, "artifact_id"))));
    assert_eq!(get["credential"], Value::Null);
    assert!(events.iter().any(|event| event["route"] == json!("/mcp/artifacts/{artifact_id}")));
}

#[tokio::test]
async fn without_the_feed_the_operator_may_have_everything_refused() {
    let (scratch, issuer, port) = (Scratch::new(), Issuer::start().await, free_port());
    let refuse = [("DOORWARD_ARTIFACTS__ON_FEED_LAG", "refuse"), ("DOORWARD_ARTIFACTS__MAX_FEED_LAG", "2s")];
    let program = Program::signed_in(&scratch, &issuer, port, &refuse).await;
    program.wait_for("/readyz", 200).await;
    let token = issuer.token(&program.resource, ALL, &json!({}));
    assert_eq!(status(&program, &token).await, 200);
    let shared = links(&program, &token).await;
    assert!(all_answer(&program, &shared, 200).await);
    issuer.server.abort();
    program.wait_for("/readyz", 503).await;
    assert_eq!(status(&program, &token).await, 503);
    assert!(all_answer(&program, &shared, 503).await, "nobody knows whether a link still opens");
    program.stop();
}

#[tokio::test]
async fn the_issuer_is_asked_where_the_operator_says() {
    let issuer = Issuer::named(Some("https://login.example.test")).await;
    let (scratch, port) = (Scratch::new(), free_port());
    let address = [("DOORWARD_ARTIFACTS__ISSUER_ADDRESS", issuer.address.as_str())];
    let program = Program::signed_in(&scratch, &issuer, port, &address).await;
    program.wait_for("/readyz", 200).await;
    let token = issuer.token(&program.resource, ALL, &json!({}));
    assert_eq!(status(&program, &token).await, 200);
    assert_eq!(program.tools(&issuer.api_key(&program.resource, &json!({}))).await, 5);
    issuer.revoke("grant-1");
    refused_soon(&program, &token).await;
    program.stop();
}

#[tokio::test]
async fn a_log_that_is_no_terminal_has_no_colours() {
    let (scratch, issuer) = (Scratch::new(), Issuer::start().await);
    let pretty = [("DOORWARD_ARTIFACTS__LOG__FORMAT", "pretty")];
    let program = Program::signed_in(&scratch, &issuer, free_port(), &pretty).await;
    program.wait_for("/readyz", 200).await;
    let log = program.stop();
    assert!(log.contains("listening") && !log.contains('\u{1b}'), "{log}");
}
