//! Artifacts: stored, read, repeated, deleted, expired, counted.

use std::collections::{BTreeMap, HashSet};

use crate::house::{House, Scratch, content, noise, sha256, text, with};
use doorward_artifacts::plans::{Plan, Plans};
use doorward_shared::time::Seconds;
use serde_json::{Value, json};

#[tokio::test]
async fn three_megabytes_come_back_as_they_were_stored() {
    let house = House::start().await;
    let (alice, bytes) = (house.user("alice"), noise(3_000_000));
    let stored = alice.ok("store_artifact", content("report.bin", &bytes)).await;
    assert_eq!(stored["size_bytes"], json!(3_000_000));
    assert_eq!(stored["content_hash"], json!(sha256(&bytes)));
    assert_eq!(stored["content_type"], json!("application/octet-stream"));
    assert_eq!(stored["status"], json!("active"));
    assert_eq!(stored["created_by_client_id"], json!("client-1"));
    let id = text(&stored, "artifact_id");
    assert!(id.len() == 20 && id.starts_with("art_"));
    assert_eq!(sha256(&alice.download(id).await), sha256(&bytes));
    assert_eq!(alice.ok("get_artifact", json!({ "artifact_id": id })).await, stored);
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let house = House::start().await;
    let alice = house.user("alice");
    let id = alice.store("empty.txt", b"").await;
    assert_eq!(alice.download(&id).await, b"");
}

#[tokio::test]
async fn everything_that_is_noted_comes_back() {
    let house = House::start().await;
    let notes = json!({
        "session_id": "run-1", "agent_id": "builder", "metadata": { "job": "7", "kind": "log" },
        "content_type": "text/plain; charset=utf-8", "ttl": "7d",
    });
    let stored = house.user("alice").ok("store_artifact", with(content("a.log", b"x"), notes.clone())).await;
    for member in ["session_id", "agent_id", "metadata", "content_type"] {
        assert_eq!(stored[member], notes[member], "{member}");
    }
    assert_eq!(stored["created_at"], json!("2026-11-21T00:00:00Z"));
    assert_eq!(stored["expires_at"], json!("2026-11-28T00:00:00Z"));
}

#[tokio::test]
async fn the_counters_move_with_what_is_stored_and_deleted() {
    let house = House::start().await;
    let alice = house.user("alice");
    let before = alice.ok("whoami", json!({})).await;
    assert_eq!((&before["usage_requests_month"], &before["usage_storage_bytes"]), (&json!(1), &json!(0)));
    assert_eq!((&before["tenant_name"], &before["plan"]), (&json!("acme"), &json!("pro")));
    assert_eq!((&before["subject"], &before["client_id"]), (&json!("alice"), &json!("client-1")));
    assert_eq!(before["api_key_last_4"], Value::Null);
    assert_eq!(before["granted"].as_array().unwrap().len(), 5);
    assert_eq!(before["plan_requests_limit_month"], json!(1_000_000));
    assert_eq!(before["plan_storage_limit_bytes"], json!(100_i64 << 30));

    let id = alice.store("a.bin", &noise(1000)).await;
    let after = alice.ok("whoami", json!({})).await;
    assert_eq!((&after["usage_requests_month"], &after["usage_storage_bytes"]), (&json!(3), &json!(1000)));

    alice.ok("delete_artifact", json!({ "artifact_id": id })).await;
    assert_eq!(alice.used_bytes().await, 0);
    // Use is of the organization, not of the user; another organization has its own.
    assert_eq!(house.user("bob").ok("whoami", json!({})).await["usage_requests_month"], json!(6));
    let other = house.caller("other", "alice", crate::house::ALL);
    assert_eq!(other.ok("whoami", json!({})).await["usage_requests_month"], json!(1));
}

#[tokio::test]
async fn the_count_of_requests_begins_anew_with_the_month() {
    let house = House::start().await;
    let alice = house.user("alice");
    alice.ok("whoami", json!({})).await;
    house.advance(Seconds::days(10));
    assert_eq!(alice.ok("whoami", json!({})).await["usage_requests_month"], json!(1));
}

#[tokio::test]
async fn a_deleted_artifact_is_gone_for_every_link_and_deleting_again_succeeds() {
    let house = House::start().await;
    let alice = house.user("alice");
    let id = alice.store("a.txt", b"secret").await;
    let arguments = json!({ "artifact_id": id });
    let download = alice.ok("get_artifact_download_url", arguments.clone()).await;
    let link = alice.ok("create_download_link", arguments.clone()).await;
    let urls = [text(&download, "download_url"), text(&link, "url")];
    for url in urls {
        assert_eq!(house.get(url).await.status(), 200);
    }
    assert_eq!(house.scratch.blobs().len(), 1);

    let deleted = alice.ok("delete_artifact", arguments.clone()).await;
    assert_eq!((&deleted["deleted"], &deleted["already_deleted"]), (&json!(true), &json!(false)));
    for url in urls {
        let response = house.get(url).await;
        assert_eq!(response.status(), 410);
        assert_eq!(response.json::<Value>().await.unwrap()["code"], json!("artifact_already_deleted"));
    }
    assert!(house.scratch.blobs().is_empty(), "the bytes are gone from the disk");
    house.advance(Seconds::minutes(5));
    let again = alice.ok("delete_artifact", arguments.clone()).await;
    assert_eq!((&again["deleted"], &again["already_deleted"]), (&json!(true), &json!(true)));
    assert_eq!(again["deleted_at"], deleted["deleted_at"], "the first time counts");
    for tool in ["get_artifact", "get_artifact_download_url", "create_download_link"] {
        assert_eq!(alice.refused(tool, arguments.clone()).await, "artifact_already_deleted", "{tool}");
    }
    let list = alice.ok("list_artifacts", json!({})).await;
    assert_eq!(list["artifacts"], json!([]));
}

#[tokio::test]
async fn a_repeated_call_with_the_same_key_finds_the_same_artifact() {
    let house = House::start().await;
    let alice = house.user("alice");
    let arguments = with(content("a.txt", b"once"), json!({ "idempotency_key": "k1", "session_id": "s" }));
    let first = alice.ok("store_artifact", arguments.clone()).await;
    house.advance(Seconds::hours(23));
    assert_eq!(alice.ok("store_artifact", arguments.clone()).await, first);
    assert_eq!(alice.used_bytes().await, 4);
    assert_eq!(house.scratch.blobs().len(), 1);

    // A seal stops new artifacts; the replay makes none.
    alice.ok("seal_session", json!({ "session_id": "s" })).await;
    assert_eq!(alice.ok("store_artifact", arguments.clone()).await, first);

    // Bob's key of the same name is his own.
    let other = house
        .user("bob")
        .ok("store_artifact", with(content("b.txt", b"else"), json!({ "idempotency_key": "k1" })))
        .await;
    assert_ne!(other["artifact_id"], first["artifact_id"]);
}

#[tokio::test]
async fn the_same_key_with_other_content_is_refused() {
    let house = House::start().await;
    let alice = house.user("alice");
    let key = json!({ "idempotency_key": "k1" });
    alice.ok("store_artifact", with(content("a.txt", b"one"), key.clone())).await;
    for other in [
        content("a.txt", b"two"),
        content("b.txt", b"one"),
        with(content("a.txt", b"one"), json!({ "metadata": { "a": "b" } })),
        with(content("a.txt", b"one"), json!({ "ttl": "1d" })),
        with(content("a.txt", b"one"), json!({ "session_id": "s" })),
    ] {
        assert_eq!(alice.refused("store_artifact", with(other, key.clone())).await, "invalid_request");
    }
    assert_eq!(house.scratch.blobs().len(), 1, "what was refused left nothing behind");
}

#[tokio::test]
async fn a_key_is_forgotten_after_24_hours() {
    let house = House::start().await;
    let alice = house.user("alice");
    let key = json!({ "idempotency_key": "k1" });
    let first = alice.ok("store_artifact", with(content("a.txt", b"one"), key.clone())).await;
    house.advance(Seconds::hours(24));
    let second = alice.ok("store_artifact", with(content("a.txt", b"two"), key.clone())).await;
    assert_ne!(first["artifact_id"], second["artifact_id"]);
    // From now on the key stands for the second.
    assert_eq!(alice.ok("store_artifact", with(content("a.txt", b"two"), key)).await, second);
}

#[tokio::test]
async fn of_32_stores_at_once_with_one_key_one_artifact_remains() {
    let house = House::start().await;
    let alice = house.user("alice");
    let arguments = with(content("a.bin", &noise(20_000)), json!({ "idempotency_key": "k1" }));
    let calls = (0..32).map(|_| alice.ok("store_artifact", arguments.clone()));
    let ids: HashSet<_> =
        join(calls).await.iter().map(|stored| text(stored, "artifact_id").to_owned()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(alice.used_bytes().await, 20_000);
    assert_eq!(house.scratch.blobs().len(), 1, "the losers took their files with them");
    assert_eq!(alice.ok("list_artifacts", json!({})).await["artifacts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn storage_beyond_the_plan_is_refused_and_deleting_makes_room() {
    let house = House::with_plan(Plan { storage_bytes: 1000, ..Plan::pro() }).await;
    let (alice, bob) = (house.user("alice"), house.user("bob"));
    let id = alice.store("a.bin", &noise(600)).await;
    // The plan is of the organization: Bob finds less room because of Alice.
    assert_eq!(bob.refused("store_artifact", content("b.bin", &noise(401))).await, "quota_exceeded");
    bob.store("b.bin", &noise(400)).await;
    let upload = json!({ "filename": "c", "content_type": "text/plain", "size_bytes": 1 });
    assert_eq!(alice.refused("request_upload_url", upload).await, "quota_exceeded");
    assert_eq!(house.scratch.blobs().len(), 2, "what was refused left nothing behind");
    alice.ok("delete_artifact", json!({ "artifact_id": id })).await;
    bob.store("c.bin", &noise(600)).await;
    assert_eq!(alice.used_bytes().await, 1000);
}

#[tokio::test]
async fn of_many_stores_at_once_no_more_fit_than_the_plan_allows() {
    let house = House::with_plan(Plan { storage_bytes: 1000, ..Plan::pro() }).await;
    let alice = house.user("alice");
    let calls = (0..32).map(|i| {
        let alice = alice.clone();
        async move { alice.call("store_artifact", content(&format!("{i}.bin"), &noise(100))).await }
    });
    let stored = join(calls).await.iter().filter(|result| result["isError"] == json!(false)).count();
    assert_eq!(stored, 10);
    assert_eq!(house.scratch.blobs().len(), 10);
    assert_eq!(alice.used_bytes().await, 1000);
}

#[tokio::test]
async fn when_the_requests_of_the_month_are_used_up_only_whoami_answers() {
    let house = House::with_plan(Plan { requests_per_month: 3, ..Plan::pro() }).await;
    let alice = house.user("alice");
    for _ in 0..3 {
        alice.ok("list_artifacts", json!({})).await;
    }
    assert_eq!(alice.refused("list_artifacts", json!({})).await, "quota_exceeded");
    let read = alice.rpc("resources/read", json!({ "uri": "artifacts://whoami" })).await;
    assert_eq!(read["error"]["data"]["code"], json!("quota_exceeded"));
    let me = alice.ok("whoami", json!({})).await;
    assert_eq!(me["usage_requests_month"], me["plan_requests_limit_month"]);
    house.advance(Seconds::days(10));
    alice.ok("list_artifacts", json!({})).await;
}

#[tokio::test]
async fn notes_count_against_the_plan_and_are_given_back_with_the_bytes() {
    let house = House::with_plan(Plan { storage_bytes: 100, ..Plan::pro() }).await;
    let alice = house.user("alice");
    let noted = |length: usize| {
        with(content("a.txt", b"12345"), json!({ "metadata": { "note": "x".repeat(length) } }))
    };
    assert_eq!(alice.refused("store_artifact", noted(92)).await, "quota_exceeded");
    let stored = alice.ok("store_artifact", noted(91)).await;
    assert_eq!(alice.used_bytes().await, 100);
    assert_eq!(house.key("alice", &[("", "artifacts:read")]).used_bytes().await, 100);
    let empty = with(content("e", b""), json!({ "metadata": { "n": "" } }));
    assert_eq!(
        alice.refused("store_artifact", empty.clone()).await,
        "quota_exceeded",
        "an empty file with a note is not free"
    );
    let upload = json!({ "filename": "u", "content_type": "text/plain", "size_bytes": 1 });
    assert_eq!(alice.refused("request_upload_url", upload.clone()).await, "quota_exceeded");
    alice.ok("delete_artifact", json!({ "artifact_id": stored["artifact_id"] })).await;
    assert_eq!(alice.used_bytes().await, 0);
    let upload = with(upload, json!({ "metadata": { "note": "x".repeat(95) } }));
    alice.ok("request_upload_url", upload.clone()).await;
    assert_eq!(alice.used_bytes().await, 100);
    house.advance(Seconds::days(2));
    while house.context.store.sweep(house.context.clock.now()).await.unwrap() {}
    assert_eq!(alice.used_bytes().await, 0, "given up, and given back");
    let short = with(noted(10), json!({ "ttl": "1h" }));
    alice.ok("store_artifact", short).await;
    house.advance(Seconds::hours(2));
    while house.context.store.sweep(house.context.clock.now()).await.unwrap() {}
    assert_eq!(alice.used_bytes().await, 0);
    alice.ok("store_artifact", empty).await;
}

#[tokio::test]
async fn an_artifact_ends_with_its_life_and_gives_its_bytes_back_once() {
    let house = House::start().await;
    let alice = house.user("alice");
    let stored = alice.ok("store_artifact", with(content("a.txt", b"12345"), json!({ "ttl": "1h" }))).await;
    let arguments = json!({ "artifact_id": stored["artifact_id"] });
    let link = alice.ok("create_download_link", arguments.clone()).await;
    house.advance(Seconds::new(3599));
    assert_eq!(house.get(text(&link, "url")).await.status(), 200);
    house.advance(Seconds::new(1));
    assert_eq!(house.get(text(&link, "url")).await.status(), 410);
    for tool in ["get_artifact", "get_artifact_download_url", "create_download_link"] {
        assert_eq!(alice.refused(tool, arguments.clone()).await, "artifact_expired", "{tool}");
    }
    assert_eq!(alice.ok("list_artifacts", json!({})).await["artifacts"], json!([]));

    while house.context.store.sweep(house.context.clock.now()).await.unwrap() {}
    assert_eq!(alice.used_bytes().await, 0);
    assert!(house.scratch.blobs().is_empty());
    alice.ok("delete_artifact", arguments).await;
    assert_eq!(alice.used_bytes().await, 0, "nothing is given back twice");
}

#[tokio::test]
async fn an_organization_with_a_smaller_plan_has_smaller_limits() {
    let small = Plan { retention_days: Some(30), link_days: 30, upload_bytes: 0, ..Plan::free() };
    let own = BTreeMap::from([("small".to_owned(), "free".to_owned())]);
    let house = House::open(Scratch::new(), Plans::new([small, Plan::pro()], "pro", own).unwrap()).await;
    let dave = house.caller("small", "dave", crate::house::ALL);
    let never = with(content("a.txt", b"x"), json!({ "ttl": "never" }));
    assert_eq!(dave.refused("store_artifact", never.clone()).await, "ttl_exceeds_plan_limit");
    let stored = dave.ok("store_artifact", content("a.txt", b"x")).await;
    assert_eq!(stored["expires_at"], json!("2026-12-21T00:00:00Z"));
    let link = json!({ "artifact_id": stored["artifact_id"], "expires_in": 31 * 86_400 });
    assert_eq!(dave.refused("create_download_link", link).await, "ttl_exceeds_plan_limit");
    let upload = json!({ "filename": "c", "content_type": "text/plain", "size_bytes": 1 });
    assert_eq!(dave.refused("request_upload_url", upload).await, "quota_exceeded");
    house.user("alice").ok("store_artifact", never).await;
}

#[tokio::test]
async fn arguments_that_make_no_sense_change_nothing() {
    let house = House::start().await;
    let alice = house.user("alice");
    for bad in [
        json!({}),
        json!({ "filename": "a.txt" }),
        json!({ "filename": "", "content": "" }),
        json!({ "filename": "x".repeat(256), "content": "" }),
        json!({ "filename": "a\u{0}b", "content": "" }),
        json!({ "filename": "a\r\nX: y", "content": "" }),
        json!({ "filename": 7, "content": "" }),
        json!({ "filename": "a", "content": "not base64!" }),
        json!({ "filename": "a", "content": "", "path": "/etc/passwd" }),
        with(content("a", b"x"), json!({ "content_type": "text" })),
        with(content("a", b"x"), json!({ "content_type": "text/plain\r\nX: y" })),
        with(content("a", b"x"), json!({ "session_id": "../x" })),
        with(content("a", b"x"), json!({ "agent_id": "" })),
        with(content("a", b"x"), json!({ "metadata": { "1": "x" } })),
        with(content("a", b"x"), json!({ "metadata": { "a": 1 } })),
        with(content("a", b"x"), json!({ "ttl": "7w" })),
        with(content("a", b"x"), json!({ "idempotency_key": "" })),
        with(content("a", b"x"), json!({ "idempotency_key": "k".repeat(257) })),
    ] {
        assert_eq!(alice.refused("store_artifact", bad.clone()).await, "invalid_request", "{bad}");
    }
    for bad in [json!({}), json!({ "artifact_id": "art_1" }), json!({ "artifact_id": "../../etc/passwd" })] {
        for tool in [
            "get_artifact",
            "get_artifact_download_url",
            "complete_upload",
            "delete_artifact",
            "create_download_link",
        ] {
            assert_eq!(alice.refused(tool, bad.clone()).await, "invalid_request", "{tool}: {bad}");
        }
    }
    assert_eq!(alice.ok("list_artifacts", json!({})).await["artifacts"], json!([]));
    assert!(house.scratch.blobs().is_empty());
    assert_eq!(alice.used_bytes().await, 0);
}

#[tokio::test]
async fn a_file_beyond_10_mebibytes_is_sent_to_the_upload() {
    let house = House::start().await;
    let alice = house.user("alice");
    let bytes = vec![7; 10 * 1024 * 1024 + 1];
    assert_eq!(alice.refused("store_artifact", content("big.bin", &bytes)).await, "file_too_large");
    let id = alice.store("fits.bin", &bytes[1..]).await;
    assert_eq!(alice.download(&id).await.len(), 10 * 1024 * 1024);
}

#[tokio::test]
async fn no_file_name_becomes_a_path() {
    let house = House::start().await;
    let alice = house.user("alice");
    let outside = house.scratch.path().parent().unwrap().join("escaped.txt");
    for name in [
        "../escaped.txt",
        "../../escaped.txt",
        "/etc/escaped.txt",
        "..\\escaped.txt",
        "..",
        ".",
        "blobs/x",
        "artifacts.db",
    ] {
        let id = alice.store(name, name.as_bytes()).await;
        assert_eq!(alice.ok("get_artifact", json!({ "artifact_id": id })).await["filename"], json!(name));
        assert_eq!(alice.download(&id).await, name.as_bytes());
    }
    assert!(!outside.exists());
    assert_eq!(house.scratch.blobs().len(), 8);
    let known = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.len() == 32 || ["lock", "artifacts.db", "artifacts.db-wal", "artifacts.db-shm"].contains(&name)
    };
    assert!(house.scratch.files().iter().all(known), "{:?}", house.scratch.files());
}

async fn join<T>(calls: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures_util::future::join_all(calls).await
}
