//! Where an artifact goes when it is stored, and who is written down for it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::house::{ALL, House, content, text, with};

const WRITE: &str = "artifacts:read artifacts:create artifacts:update";

#[tokio::test]
async fn an_artifact_goes_where_it_is_told_or_where_there_is_no_doubt() {
    let house = House::start().await;
    let upload =
        |more: Value| with(json!({ "filename": "u", "content_type": "text/plain", "size_bytes": 1 }), more);
    for (granted, expected) in [
        (&[("", WRITE)][..], Ok(Value::Null)),
        (&[("", WRITE), ("alpha", ALL)], Ok(Value::Null)),
        (&[("alpha/site", WRITE)], Ok(json!("alpha/site"))),
        (&[("", "artifacts:read"), ("alpha/site", WRITE)], Ok(json!("alpha/site"))),
        (&[("beta", "artifacts:read"), ("alpha", WRITE), ("alpha/site", ALL)], Ok(json!("alpha"))),
        (&[("alpha/site", WRITE), ("beta", WRITE)], Err("alpha/site, beta")),
    ] {
        let key = house.key("alice", granted);
        for (tool, arguments) in
            [("store_artifact", content("a.txt", b"x")), ("request_upload_url", upload(json!({})))]
        {
            let answer = key.answer(tool, arguments.clone()).await;
            match &expected {
                Ok(folder) => {
                    let id = text(&answer["structuredContent"], "artifact_id").to_owned();
                    let record = key.ok("get_artifact", json!({ "artifact_id": id })).await;
                    assert_eq!(record["folder"], *folder, "{granted:?} {tool}");
                }
                Err(open) => {
                    assert_eq!(answer["_meta"]["code"], json!("invalid_request"), "{tool}");
                    let said = text(&answer["content"][0], "text");
                    assert!(said.contains("folder") && said.contains(open), "{said}");
                    let named = with(arguments, json!({ "folder": "beta/new" }));
                    key.ok(tool, named).await;
                }
            }
        }
    }
    let reader = house.key("alice", &[("alpha", "artifacts:read"), ("alpha/site", WRITE)]);
    let stored = with(content("a.txt", b"x"), json!({ "folder": "alpha/other" }));
    assert_eq!(
        reader.refused("store_artifact", stored).await,
        "insufficient_scope",
        "what one may read is no secret"
    );
    for bad in
        ["", "/", "alpha/", "/alpha", "Alpha", "a b", "..", "alpha/../beta", "a/b/c/d/e/f/g/h/i", "%2e%2e"]
    {
        let named = json!({ "folder": bad });
        let user = house.user("alice");
        assert_eq!(
            user.refused("store_artifact", with(content("a", b"x"), named.clone())).await,
            "invalid_request"
        );
        assert_eq!(
            user.refused("request_upload_url", upload(named.clone())).await,
            "invalid_request",
            "{bad}"
        );
        assert_eq!(user.refused("list_artifacts", named).await, "invalid_request", "{bad}");
    }
}

#[tokio::test]
async fn an_upload_is_announced_and_completed_in_its_folder() {
    let house = House::start().await;
    let announced =
        json!({ "filename": "u", "content_type": "text/plain", "size_bytes": 4, "folder": "alpha/site" });
    let alice = house.user("alice");
    let upload = alice.ok("request_upload_url", announced.clone()).await;
    let id = json!({ "artifact_id": upload["artifact_id"] });
    let sent = house.request(Method::PUT, text(&upload, "upload_url")).body("1234").send().await.unwrap();
    assert_eq!(sent.status(), 200);
    let elsewhere = house.key("alice", &[("alpha/other", WRITE)]);
    let reader = house.key("alice", &[("alpha/other", WRITE), ("alpha/site", "artifacts:read")]);
    let unknown = elsewhere.answer("complete_upload", json!({ "artifact_id": "art_0000000000000000" })).await;
    assert_eq!(elsewhere.answer("complete_upload", id.clone()).await, unknown);
    assert_eq!(reader.refused("complete_upload", id.clone()).await, "insufficient_scope");
    assert_eq!(elsewhere.refused("request_upload_url", announced).await, "folder_not_found");
    let completed = house.key("bob", &[("alpha", WRITE)]).ok("complete_upload", id).await;
    assert_eq!((&completed["status"], &completed["folder"]), (&json!("active"), &json!("alpha/site")));
    assert_eq!((&completed["created_by"], &completed["updated_by"]), (&json!("alice"), &json!("bob")));
    assert_eq!(completed["updated_by_credential_name"], json!("Nightly build"));
}

#[tokio::test]
async fn a_record_says_who_stored_it_and_with_what() {
    let house = House::start().await;
    let by_hand = house.user("alice").ok("store_artifact", content("a.txt", b"x")).await;
    for (member, value) in [
        ("created_by", json!("alice")),
        ("created_by_client_id", json!("client-1")),
        ("created_by_credential_name", Value::Null),
        ("updated_at", Value::Null),
        ("updated_by", Value::Null),
    ] {
        assert_eq!(by_hand[member], value, "{member}");
    }
    let key = house.key("alice", &[("alpha", WRITE)]);
    let id = key.store_in("alpha", json!({})).await;
    let record = house.user("bob").ok("get_artifact", json!({ "artifact_id": id })).await;
    assert_eq!(record["created_by_credential_name"], json!("Nightly build"));
    let listed = house.user("bob").ok("list_artifacts", json!({ "folder": "alpha" })).await;
    assert_eq!(listed["artifacts"][0], record);
}

#[tokio::test]
async fn an_idempotency_key_counts_in_its_folder_and_never_tells_of_another() {
    let house = House::start().await;
    let keyed =
        |folder: &str| with(content("a.txt", b"x"), json!({ "folder": folder, "idempotency_key": "k" }));
    let alice = house.user("alice");
    let beta = alice.ok("store_artifact", keyed("beta")).await;
    let key = house.key("alice", &[("alpha", ALL)]);
    // The same key and content, in a folder of its own: a new artifact, and no word about the other.
    let alpha = key.ok("store_artifact", keyed("alpha")).await;
    assert_ne!(alpha["artifact_id"], beta["artifact_id"]);
    assert_eq!(key.ok("store_artifact", keyed("alpha")).await, alpha);
    assert_eq!(alice.ok("store_artifact", keyed("alpha")).await, alpha, "one person, one key");
    assert_eq!(key.refused("store_artifact", keyed("beta")).await, "folder_not_found");
    // Moved within what the key may do, it is found; moved away, it is none of the key's any more.
    let id = text(&alpha, "artifact_id");
    assert_eq!(alice.relocate(id, "alpha/site").await.0, 200);
    assert_eq!(key.ok("store_artifact", keyed("alpha")).await["artifact_id"], alpha["artifact_id"]);
    assert_eq!(alice.relocate(id, "beta").await.0, 200);
    let anew = key.ok("store_artifact", keyed("alpha")).await;
    assert_eq!((&anew["folder"], anew["artifact_id"] == alpha["artifact_id"]), (&json!("alpha"), false));
    assert_eq!(key.ok("store_artifact", keyed("alpha")).await, anew);
}
