//! Nobody sees what belongs to somebody else, at any tool, and nobody learns that it exists.

use crate::house::{ALL, House, content, text, with};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

const STRANGERS: [(&str, &str); 2] = [("other", "alice"), ("other", "bob")];

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
                let result = stranger.answer(tool, json!({ "artifact_id": id })).await;
                let code = &result["_meta"]["code"];
                assert_eq!(*code, json!("artifact_not_found"), "{tool} as {organization}/{subject}");
                result
            };
            let unknown = answer("art_0000000000000000").await;
            for foreign in [id.as_str(), text(&upload, "artifact_id"), deleted.as_str()] {
                assert_eq!(answer(foreign).await, unknown, "{tool} as {organization}/{subject}");
            }
        }
        assert_eq!(stranger.read(&id).await, stranger.read("art_0000000000000000").await);
        assert_eq!(
            stranger.relocate(&id, "alpha").await,
            stranger.relocate("art_0000000000000000", "alpha").await
        );
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
    let reader = house.key("alice", &[("alpha", ALL)]);
    for tool in ["list_artifacts", "list_sessions"] {
        let page = alice.ok(tool, json!({ "limit": 1 })).await;
        let stolen = json!({ "cursor": page["next_cursor"] });
        let unknown = json!({ "cursor": URL_SAFE_NO_PAD.encode("art_0000000000000000") });
        for thief in [&house.caller("other", "bob", ALL), &reader] {
            let refused = thief.answer(tool, stolen.clone()).await;
            assert_eq!(refused["_meta"]["code"], json!("invalid_request"), "{tool}");
            assert_eq!(refused, thief.answer(tool, unknown.clone()).await, "{tool}");
        }
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

#[tokio::test]
async fn members_of_one_organization_see_what_they_may_read_and_each_has_sessions_of_their_own() {
    let house = House::start().await;
    let alice = house.user("alice");
    let run = json!({ "session_id": "run" });
    let shared = alice.store_in("alpha/site", run.clone()).await;
    alice.store_in("beta", run.clone()).await;
    let bob = house.key("bob", &[("alpha", "artifacts:read artifacts:create artifacts:delete")]);
    assert_eq!(bob.listed(json!({})).await, [shared.as_str()]);
    assert_eq!(bob.download(&shared).await, b"x");
    assert_eq!(bob.ok("get_artifact", json!({ "artifact_id": shared })).await["created_by"], json!("alice"));
    // Sessions are of persons: Bob neither sees nor seals one of Alice.
    assert_eq!(bob.ok("list_sessions", json!({})).await["sessions"], json!([]));
    assert_eq!(bob.refused("seal_session", run.clone()).await, "session_not_found");
    bob.store_in("alpha", run.clone()).await;
    bob.ok("seal_session", run.clone()).await;
    alice.store_in("alpha", run).await;
    bob.ok("delete_artifact", json!({ "artifact_id": shared })).await;
    assert_eq!(
        alice.refused("get_artifact", json!({ "artifact_id": shared })).await,
        "artifact_already_deleted"
    );
}
