//! Moving an artifact: who may, and what ends with it.

use doorward_artifacts::plans::Plan;
use reqwest::Method;
use serde_json::{Value, json};

use crate::house::{ALL, House, text};

const UPDATE: &str = "artifacts:read artifacts:update";
const READ: &str = "artifacts:read";

#[tokio::test]
async fn who_may_update_in_both_places_moves() {
    let house = House::start().await;
    let alice = house.user("alice");
    let id = alice.store_in("alpha/site", json!({ "session_id": "run" })).await;
    for (granted, target, status) in [
        (&[("alpha", UPDATE)][..], "beta", 404),
        (&[("beta", UPDATE)], "beta", 404),
        (&[("alpha", UPDATE), ("beta", READ)], "beta", 403),
        (&[("alpha", READ), ("beta", UPDATE)], "beta", 403),
        (&[("alpha", READ), ("beta", READ)], "beta", 403),
        (&[("alpha/site", UPDATE)], "alpha", 404),
        (&[("alpha", UPDATE), ("beta", UPDATE)], "", 404),
        (&[("", READ), ("alpha", UPDATE)], "", 403),
        (&[("alpha", UPDATE)], "alpha/site/specs", 200),
        (&[("alpha", UPDATE)], "alpha/site/specs", 200),
        (&[("alpha", UPDATE), ("beta", UPDATE)], "beta/new", 200),
        (&[("", UPDATE)], "", 200),
        (&[("", UPDATE)], "alpha/site", 200),
    ] {
        let before = alice.ok("get_artifact", json!({ "artifact_id": id })).await;
        let (got, body) = house.key("bob", granted).relocate(&id, target).await;
        assert_eq!(got, status, "{granted:?} to {target:?}: {body}");
        let after = alice.ok("get_artifact", json!({ "artifact_id": id })).await;
        if status == 200 {
            assert_eq!(after, body);
            assert_eq!(after["folder"], if target.is_empty() { Value::Null } else { json!(target) });
            assert_eq!((&after["updated_by"], &after["created_by"]), (&json!("bob"), &json!("alice")));
            assert_eq!(after["updated_by_credential_name"], json!("Nightly build"));
        } else {
            assert_eq!(after, before);
            let codes = [(403, "insufficient_scope"), (404, "artifact_not_found"), (404, "folder_not_found")];
            assert!(codes.contains(&(status, text(&body, "code"))), "{body}");
        }
    }
    assert_eq!(alice.listed(json!({ "session_id": "run" })).await, [id.as_str()]);
    assert_eq!(alice.download(&id).await, b"x");
}

#[tokio::test]
async fn a_place_that_is_not_ones_own_is_answered_as_one_that_does_not_exist() {
    let house = House::start().await;
    let alice = house.user("alice");
    let (mine, foreign) = (alice.store_in("alpha", json!({})).await, alice.store_in("beta", json!({})).await);
    let key = house.key("alice", &[("alpha", ALL)]);
    assert_eq!(key.relocate(&mine, "beta").await, key.relocate(&mine, "no/such").await);
    assert_eq!(key.relocate(&foreign, "alpha").await, key.relocate("art_0000000000000000", "alpha").await);
    assert_eq!(key.relocate(&foreign, "alpha").await, key.relocate("nonsense", "alpha").await);
    assert_eq!(key.relocate(&foreign, "beta").await, key.relocate("art_0000000000000000", "no/such").await);
}

#[tokio::test]
async fn the_addresses_of_an_artifact_end_when_it_moves() {
    let house = House::with_plan(Plan { links: 1, ..Plan::pro() }).await;
    let alice = house.user("alice");
    let key = house.key("alice", &[("alpha", ALL)]);
    let id = key.store_in("alpha", json!({})).await;
    let arguments = json!({ "artifact_id": id });
    let link = key.ok("create_download_link", arguments.clone()).await;
    let download = key.ok("get_artifact_download_url", arguments.clone()).await;
    let urls = [text(&link, "url"), text(&download, "download_url")];
    // Nothing moved, nothing ends.
    assert_eq!(alice.relocate(&id, "alpha").await.0, 200);
    for url in urls {
        assert_eq!(house.get(url).await.status(), 200);
    }
    assert_eq!(alice.relocate(&id, "beta").await.0, 200);
    for url in urls {
        assert_eq!(
            house.get(url).await.status(),
            410,
            "who made it may not be allowed to where the artifact is now"
        );
    }
    assert_eq!(key.refused("get_artifact", arguments.clone()).await, "artifact_not_found");
    alice.ok("create_download_link", arguments).await;
}

#[tokio::test]
async fn what_cannot_be_moved_says_why() {
    let house = House::start().await;
    let alice = house.user("alice");
    let id = alice.store_in("alpha", json!({})).await;
    let announced = json!({ "filename": "u", "content_type": "text/plain", "size_bytes": 4 });
    let pending = alice.ok("request_upload_url", announced).await;
    let deleted = alice.store_in("alpha", json!({})).await;
    alice.ok("delete_artifact", json!({ "artifact_id": deleted })).await;
    for (id, status, code) in [
        (text(&pending, "artifact_id"), 404, "upload_not_found"),
        (deleted.as_str(), 410, "artifact_already_deleted"),
        ("art_1", 404, "artifact_not_found"),
    ] {
        let (got, body) = alice.relocate(id, "beta").await;
        assert_eq!((got, text(&body, "code")), (status, code));
    }
    let url = format!("{}/mcp/artifacts/{id}", house.origin);
    for bad in ["", "{}", "[]", "null", "{\"folder\":7}", "{\"folder\":\"A\"}", "{\"folder\":\"a\",\"x\":1}"]
    {
        let request = alice.request(Method::PATCH, &url).header("content-type", "application/json");
        let response = request.body(bad).send().await.unwrap();
        assert_eq!(response.status(), 400, "{bad}");
        assert_eq!(response.json::<Value>().await.unwrap()["code"], json!("invalid_request"));
    }
    let long = format!("{{\"folder\":\"{}\"}}", "a".repeat(4096));
    let request = alice.request(Method::PATCH, &url).header("content-type", "application/json");
    assert_eq!(request.body(long).send().await.unwrap().status(), 413);
    let plain = alice.request(Method::PATCH, &url).header("content-type", "text/plain");
    assert_eq!(plain.body("{\"folder\":\"beta\"}").send().await.unwrap().status(), 400);
    let nobody = house.request(Method::PATCH, &url).json(&json!({ "folder": "beta" })).send().await.unwrap();
    assert_eq!(nobody.status(), 401);
    for scope in ["", READ, "artifacts:create"] {
        let (status, body) = house.caller("acme", "alice", scope).relocate(&id, "beta").await;
        assert_eq!((status, text(&body, "code")), (403, "insufficient_scope"));
    }
    let record = alice.ok("get_artifact", json!({ "artifact_id": id })).await;
    assert_eq!((&record["folder"], &record["updated_at"]), (&json!("alpha"), &Value::Null));
}

#[tokio::test]
async fn a_move_is_counted_against_the_plan() {
    let house = House::with_plan(Plan { requests_per_month: 3, ..Plan::pro() }).await;
    let alice = house.user("alice");
    let id = alice.store_in("alpha", json!({})).await;
    for (target, status) in [("beta", 200), ("gamma", 200), ("delta", 402)] {
        assert_eq!(alice.relocate(&id, target).await.0, status, "{target}");
    }
}
