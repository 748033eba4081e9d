//! A credential for part of the data tree: what it reaches at every tool, and what it hears of everything else.

use serde_json::{Value, json};

use crate::house::{ALL, House, User, text};

/// One artifact lies in each; the first is the organization itself.
const PLACES: [&str; 9] = [
    "",
    "alpha",
    "alpha/site",
    "alpha/site/specs",
    "alpha/site/specs/old",
    "alpha/site/specs2",
    "alphabet",
    "beta/site/specs",
    "site",
];
const UNKNOWN: &str = "art_0000000000000000";
const READ: &str = "artifacts:read";

fn covers(node: &str, place: &str) -> bool {
    place == node || place.strip_prefix(node).is_some_and(|rest| rest.starts_with('/'))
}

/// An artifact in each place, all in the session `run` and each in one of its own too.
async fn furnished(house: &House) -> Vec<(&'static str, String)> {
    let alice = house.user("alice");
    let mut ids = Vec::new();
    for (i, place) in PLACES.into_iter().enumerate() {
        alice.store_in(place, json!({ "session_id": "run" })).await;
        ids.push((place, alice.store_in(place, json!({ "session_id": format!("of-{i}") })).await));
    }
    ids
}

async fn sessions(user: &User<'_>) -> Vec<(String, i64)> {
    let list = user.ok("list_sessions", json!({})).await;
    let items = list["sessions"].as_array().unwrap().iter();
    items
        .map(|item| (text(item, "session_id").to_owned(), item["artifact_count"].as_i64().unwrap()))
        .collect()
}

/// The URIs of all artifacts among the resources.
async fn resources(user: &User<'_>) -> Vec<String> {
    let answer = user.rpc("resources/list", json!({})).await;
    let items = answer["result"]["resources"].as_array().unwrap().iter();
    items
        .filter_map(|item| text(item, "uri").strip_prefix("artifacts://artifact/").map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn a_key_for_a_node_reaches_it_and_what_is_below_at_every_tool_and_nothing_else() {
    for node in ["alpha", "alpha/site", "alpha/site/specs", "alpha/site/specs/old"] {
        let house = House::start().await;
        let ids = furnished(&house).await;
        let key = house.key("alice", &[(node, ALL)]);
        let inside: Vec<_> = ids.iter().filter(|(place, _)| covers(node, place)).collect();
        assert_eq!(key.rpc("tools/list", json!({})).await["result"]["tools"].as_array().unwrap().len(), 11);

        let listed = key.listed(json!({})).await;
        assert_eq!(listed.len(), 2 * inside.len(), "{node}");
        assert!(inside.iter().all(|(_, id)| listed.contains(id)), "{node}");
        assert_eq!(key.listed(json!({ "filename": "a.txt" })).await, listed, "search");
        assert_eq!(key.listed(json!({ "session_id": "run" })).await.len(), inside.len());
        assert_eq!(resources(&key).await.len(), listed.len());
        for place in PLACES {
            let filter = json!({ "folder": if place.is_empty() { "nowhere" } else { place } });
            let both = inside.iter().filter(|(one, _)| covers(place, one)).count();
            assert_eq!(key.listed(filter).await.len(), 2 * both, "{node} in {place:?}");
        }
        let mut own: Vec<_> = PLACES.iter().enumerate().filter(|(_, place)| covers(node, place)).collect();
        own.reverse();
        let mut expected: Vec<_> = own.iter().map(|(i, _)| (format!("of-{i}"), 1)).collect();
        expected.push(("run".to_owned(), i64::try_from(inside.len()).unwrap()));
        let mut found = sessions(&key).await;
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{node}");
        let me = key.ok("whoami", json!({})).await;
        assert_eq!(
            me["usage_storage_bytes"],
            json!(2 * inside.len()),
            "no byte of another folder is counted"
        );
        assert_eq!(me["granted_in"][0]["folder"], json!(node));
        assert_eq!(
            (&me["credential_name"], &me["api_key_last_4"]),
            (&json!("Nightly build"), &json!("last"))
        );

        for (place, id) in &ids {
            let reaches = covers(node, place);
            for tool in [
                "get_artifact",
                "get_artifact_download_url",
                "create_download_link",
                "complete_upload",
                "delete_artifact",
            ] {
                let answer = key.answer(tool, json!({ "artifact_id": id })).await;
                if reaches {
                    assert_eq!(answer["isError"], json!(false), "{node} {tool} {place:?}: {answer}");
                } else {
                    assert_eq!(
                        answer,
                        key.answer(tool, json!({ "artifact_id": UNKNOWN })).await,
                        "{node} {tool} {place:?}"
                    );
                }
            }
            if !reaches {
                let read = key.read(id).await.to_string().replace(id, UNKNOWN);
                assert_eq!(read, key.read(UNKNOWN).await.to_string(), "{node} {place:?}");
                assert_eq!(
                    key.relocate(id, node).await,
                    key.relocate(UNKNOWN, node).await,
                    "{node} {place:?}"
                );
                if !place.is_empty() {
                    let create = |folder: &str| json!({ "filename": "n", "content": "", "folder": folder });
                    let refused = key.answer("store_artifact", create(place)).await;
                    assert_eq!(refused["_meta"]["code"], json!("folder_not_found"));
                    assert_eq!(refused, key.answer("store_artifact", create("no/such/place")).await);
                }
            }
        }
        // What was refused changed nothing: all that is left are the artifacts outside, two in each place.
        let admin = house.user("alice");
        let left = admin.listed(json!({ "session_id": "run" })).await.len();
        assert_eq!((left, admin.listed(json!({})).await.len()), (9, 2 * 9 - inside.len()));
    }
}

#[tokio::test]
async fn workspace_read_and_folder_delete_is_not_delete_elsewhere() {
    let house = House::start().await;
    let ids = furnished(&house).await;
    let key = house.key("alice", &[("alpha", READ), ("alpha/site/specs", "artifacts:read artifacts:delete")]);
    let tools = key.rpc("tools/list", json!({})).await;
    assert_eq!(
        tools["result"]["tools"].as_array().unwrap().len(),
        7,
        "five that read, two that delete somewhere"
    );
    for (at, (place, id)) in ids.iter().enumerate() {
        let (reads, deletes) = (covers("alpha", place), covers("alpha/site/specs", place));
        assert_eq!(key.listed(json!({})).await.contains(id), reads, "{place}");
        let get = key.answer("get_artifact", json!({ "artifact_id": id })).await;
        assert_eq!(get["isError"], json!(!reads), "{place}");
        let answer = key.answer("delete_artifact", json!({ "artifact_id": id })).await;
        let seal = key.answer("seal_session", json!({ "session_id": format!("of-{at}") })).await;
        let code =
            ["session_not_found", "insufficient_scope", "ok"][usize::from(reads) + usize::from(deletes)];
        assert_eq!(seal["_meta"]["code"], json!(code), "{place}");
        match (reads, deletes) {
            (_, true) => assert_eq!(answer["structuredContent"]["deleted"], json!(true), "{place}"),
            (true, false) => {
                assert_eq!(answer["_meta"]["code"], json!("insufficient_scope"), "{place}");
                let said = text(&answer["content"][0], "text");
                assert!(said.contains("artifacts:delete") && said.contains("alpha/site/specs"), "{said}");
            }
            (false, false) => {
                assert_eq!(
                    answer,
                    key.answer("delete_artifact", json!({ "artifact_id": UNKNOWN })).await,
                    "{place}"
                );
            }
        }
    }
    // Permissions that were granted nowhere are refused by the gate, wherever the artifact lies.
    for tool in ["create_download_link", "complete_upload"] {
        assert_eq!(key.refused(tool, json!({ "artifact_id": ids[3].1 })).await, "insufficient_scope");
    }
}

#[tokio::test]
async fn a_session_is_sealed_only_by_who_may_delete_everything_in_it() {
    let house = House::start().await;
    let alice = house.user("alice");
    let specs = json!({ "session_id": "specs" });
    let mixed = json!({ "session_id": "mixed" });
    alice.store_in("alpha/site/specs", specs.clone()).await;
    alice.store_in("alpha/site/specs", mixed.clone()).await;
    let other = alice.store_in("alpha", mixed.clone()).await;
    alice.store_in("beta", json!({ "session_id": "far" })).await;
    let key = house.key("alice", &[("alpha/site/specs", ALL)]);
    let granular =
        house.key("alice", &[("alpha", READ), ("alpha/site/specs", "artifacts:read artifacts:delete")]);
    for one in [&key, &granular] {
        assert_eq!(one.refused("seal_session", mixed.clone()).await, "insufficient_scope");
        let far = one.answer("seal_session", json!({ "session_id": "far" })).await;
        let unknown = one.answer("seal_session", json!({ "session_id": "none" })).await;
        assert_eq!(far, unknown);
        assert_eq!(far["_meta"]["code"], json!("session_not_found"));
    }
    // What was deleted still belongs to it.
    alice.ok("delete_artifact", json!({ "artifact_id": other })).await;
    assert_eq!(key.refused("seal_session", mixed.clone()).await, "insufficient_scope");
    alice.store_in("alpha", mixed.clone()).await;
    assert_eq!(key.ok("seal_session", specs).await["artifact_count"], json!(1));
    assert_eq!(alice.ok("seal_session", mixed).await["artifact_count"], json!(2));
}

#[tokio::test]
async fn what_a_session_says_of_its_times_is_what_the_reader_may_read() {
    let house = House::start().await;
    let alice = house.user("alice");
    let run = json!({ "session_id": "run" });
    alice.store_in("beta", run.clone()).await;
    house.advance(doorward_shared::time::Seconds::hours(1));
    alice.store_in("alpha", run.clone()).await;
    house.advance(doorward_shared::time::Seconds::hours(1));
    alice.store_in("beta", run).await;
    let times = async |user: &User<'_>, filter: Value| {
        let list = user.ok("list_sessions", filter).await;
        let one = list["sessions"].get(0).cloned().unwrap_or_default();
        (one["first_artifact_at"].clone(), one["last_artifact_at"].clone(), one["artifact_count"].clone())
    };
    let key = house.key("alice", &[("alpha", READ)]);
    let one = json!("2026-11-21T01:00:00Z");
    assert_eq!(times(&key, json!({})).await, (one.clone(), one, json!(1)));
    let (first, last) = (json!("2026-11-21T00:00:00Z"), json!("2026-11-21T02:00:00Z"));
    assert_eq!(times(&alice, json!({})).await, (first, last, json!(3)));
    let early = json!({ "created_before": "2026-11-21T00:30:00Z" });
    assert_eq!(times(&key, early.clone()).await.2, Value::Null);
    assert_eq!(times(&alice, early).await.2, json!(3));
}

#[tokio::test]
async fn a_credential_that_allows_nothing_anywhere_sees_nothing() {
    let house = House::start().await;
    furnished(&house).await;
    for granted in [&[][..], &[("alpha", "")], &[("alpha", "artifacts:update")], &[("", "openid")]] {
        let key = house.key("alice", granted);
        assert_eq!(key.rpc("tools/list", json!({})).await["result"]["tools"], json!([]), "{granted:?}");
        assert_eq!(
            key.rpc("resources/list", json!({})).await["result"]["resources"],
            json!([]),
            "{granted:?}"
        );
        assert_eq!(key.refused("whoami", json!({})).await, "insufficient_scope");
    }
}
