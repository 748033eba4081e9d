//! Nobody sees what belongs to somebody else, at any tool, and nobody learns that it exists.

use crate::house::{ALL, House, content, text, with};
use serde_json::{Value, json};

const STRANGERS: [(&str, &str); 3] = [("acme", "bob"), ("other", "alice"), ("other", "bob")];

#[tokio::test]
async fn a_foreign_id_and_an_unknown_id_are_answered_alike_at_every_tool() {
    let house = House::start().await;
    let alice = house.user("alice");
    let id = alice.store("a.txt", b"mine").await;
    let upload = alice
        .ok("request_upload_url", json!({ "filename": "b", "content_type": "text/plain", "size_bytes": 4 }))
        .await;
    let deleted = alice.store("c.txt", b"gone").await;
    alice.ok("delete_artifact", json!({ "artifact_id": deleted })).await;

    for (organization, subject) in STRANGERS {
        let stranger = house.caller(organization, subject, ALL);
        for tool in [
            "get_artifact",
            "get_artifact_download_url",
            "complete_upload",
            "create_download_link",
            "delete_artifact",
        ] {
            let answer = async |id: &str| {
                let mut result = stranger.call(tool, json!({ "artifact_id": id })).await;
                assert_eq!(
                    result["_meta"]["code"],
                    json!("artifact_not_found"),
                    "{tool} as {organization}/{subject}"
                );
                result["_meta"]["request_id"] = Value::Null;
                result
            };
            let unknown = answer("art_0000000000000000").await;
            for foreign in [id.as_str(), text(&upload, "artifact_id"), deleted.as_str()] {
                assert_eq!(answer(foreign).await, unknown, "{tool} as {organization}/{subject}");
            }
        }
        let read = async |id: &str| {
            let mut answer =
                stranger.rpc("resources/read", json!({ "uri": format!("artifacts://artifact/{id}") })).await;
            answer["error"]["data"]["request_id"] = Value::Null;
            answer
        };
        assert_eq!(read(&id).await, read("art_0000000000000000").await);
    }
    assert_eq!(alice.download(&id).await, b"mine", "what strangers tried changed nothing");
}

#[tokio::test]
async fn lists_hold_only_what_is_ones_own() {
    let house = House::start().await;
    let alice = house.user("alice");
    alice.ok("store_artifact", with(content("a.txt", b"x"), json!({ "session_id": "run" }))).await;
    for (organization, subject) in STRANGERS {
        let stranger = house.caller(organization, subject, ALL);
        assert_eq!(stranger.ok("list_artifacts", json!({})).await["artifacts"], json!([]));
        assert_eq!(
            stranger.ok("list_artifacts", json!({ "session_id": "run" })).await["artifacts"],
            json!([])
        );
        assert_eq!(stranger.ok("list_sessions", json!({})).await["sessions"], json!([]));
        let resources = stranger.rpc("resources/list", json!({})).await;
        assert_eq!(resources["result"]["resources"].as_array().unwrap().len(), 1, "only artifacts://whoami");
    }
}

#[tokio::test]
async fn a_cursor_of_somebody_else_opens_nothing() {
    let house = House::start().await;
    let alice = house.user("alice");
    for i in 0..3 {
        let session = json!({ "session_id": format!("s{i}") });
        alice.ok("store_artifact", with(content("a.txt", b"x"), session)).await;
    }
    for tool in ["list_artifacts", "list_sessions"] {
        let page = alice.ok(tool, json!({ "limit": 1 })).await;
        let stolen = json!({ "cursor": page["next_cursor"] });
        assert_eq!(house.user("bob").refused(tool, stolen).await, "invalid_request", "{tool}");
        for broken in ["", "x", "%%%", "YXJ0Xw", "../../etc/passwd"] {
            assert_eq!(
                alice.refused(tool, json!({ "cursor": broken })).await,
                "invalid_request",
                "{tool} {broken:?}"
            );
        }
    }
}

#[tokio::test]
async fn sessions_of_one_name_are_one_per_owner() {
    let house = House::start().await;
    let (alice, bob) = (house.user("alice"), house.user("bob"));
    let run = json!({ "session_id": "run" });
    alice.ok("store_artifact", with(content("a.txt", b"x"), run.clone())).await;
    assert_eq!(bob.refused("seal_session", run.clone()).await, "session_not_found");
    bob.ok("store_artifact", with(content("b.txt", b"x"), run.clone())).await;
    alice.ok("seal_session", run.clone()).await;
    bob.ok("store_artifact", with(content("c.txt", b"x"), run)).await;
}

#[tokio::test]
async fn the_same_name_split_differently_is_not_the_same_owner() {
    let house = House::start().await;
    house.caller("ab", "c", ALL).store("a.txt", b"x").await;
    let list = house.caller("a", "bc", ALL).ok("list_artifacts", json!({})).await;
    assert_eq!(list["artifacts"], json!([]));
}
