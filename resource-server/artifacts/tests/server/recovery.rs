//! What a restart and a kill leave behind.

use std::fs;

use doorward_artifacts::{
    plans::{Plan, Plans},
    store::Store,
};
use doorward_shared::secret::SystemEntropy;
use reqwest::Method;
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

use crate::house::{House, content, noise, text, with};

fn plans() -> Plans {
    Plans::new([Plan::pro()], "pro", BTreeMap::new()).unwrap()
}

/// The same server on the same directory, on another port.
async fn restarted(house: House) -> House {
    House::open(house.kill().await, plans()).await
}

#[tokio::test]
async fn everything_that_was_acknowledged_is_there_after_a_restart() {
    let house = House::start().await;
    let alice = house.user("alice");
    let bytes = noise(100_000);
    let keyed = with(content("a.bin", &bytes), json!({ "idempotency_key": "k", "session_id": "s" }));
    let stored = alice.ok("store_artifact", keyed.clone()).await;
    let id = text(&stored, "artifact_id").to_owned();
    let link = alice.ok("create_download_link", json!({ "artifact_id": id })).await;
    let gone = alice.store("gone.txt", b"x").await;
    let gone_link = alice.ok("create_download_link", json!({ "artifact_id": gone })).await;
    alice.ok("delete_artifact", json!({ "artifact_id": gone })).await;
    alice.ok("seal_session", json!({ "session_id": "s" })).await;
    let upload = json!({ "filename": "u", "content_type": "text/plain", "size_bytes": 4 });
    let upload = alice.ok("request_upload_url", upload).await;
    let before = alice.ok("whoami", json!({})).await;
    let origin = house.origin.clone();

    let house = restarted(house).await;
    let alice = house.user("alice");
    let after = alice.ok("whoami", json!({})).await;
    assert_eq!(after["usage_storage_bytes"], before["usage_storage_bytes"]);
    assert_eq!(
        after["usage_requests_month"].as_i64(),
        before["usage_requests_month"].as_i64().map(|count| count + 1)
    );
    assert_eq!(alice.ok("store_artifact", keyed).await, stored, "the key is remembered");
    assert_eq!(alice.download(&id).await, bytes);
    let here = |url: &str| url.replace(&origin, &house.origin);
    assert_eq!(house.get(&here(text(&link, "url"))).await.status(), 200);
    assert_eq!(house.get(&here(text(&gone_link, "url"))).await.status(), 410, "nothing is revived");
    let late = with(content("late.txt", b"x"), json!({ "session_id": "s" }));
    assert_eq!(alice.refused("store_artifact", late).await, "session_sealed");
    let url = here(text(&upload, "upload_url"));
    assert_eq!(house.request(Method::PUT, &url).body("1234").send().await.unwrap().status(), 200);
    let house = restarted(house).await;
    house.user("alice").ok("complete_upload", json!({ "artifact_id": upload["artifact_id"] })).await;
}

#[tokio::test]
async fn files_that_a_kill_left_without_a_row_are_cleared_at_the_next_start() {
    let house = House::start().await;
    let id = house.user("alice").store("a.txt", b"kept").await;
    let scratch = house.kill().await;
    // Killed while bytes came in; killed between the file and its row.
    fs::write(scratch.path().join("incoming").join("0".repeat(32)), "half").unwrap();
    let folder = scratch.path().join("blobs").join("00");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("0".repeat(32)), "whole").unwrap();
    // What is not ours is not touched.
    fs::write(folder.join("README"), "a note").unwrap();

    let house = House::open(scratch, plans()).await;
    assert!(house.incoming().is_empty());
    let names: Vec<_> =
        house.scratch.blobs().into_iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names.len(), 2);
    assert!(
        names.iter().any(|name| name == "README")
            && !names.iter().any(|name| name.to_string_lossy() == "0".repeat(32))
    );
    assert_eq!(house.user("alice").download(&id).await, b"kept");
}

#[tokio::test]
async fn a_call_that_is_cut_off_has_either_happened_or_not() {
    let house = House::start().await;
    let alice = house.user("alice");
    for delay in 0..12 {
        let request =
            alice.post().json(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "store_artifact", "arguments": content("a.bin", &noise(200_000)),
        } }));
        let limit = std::time::Duration::from_millis(delay);
        let _ = tokio::time::timeout(limit, request.send()).await;
    }
    let house = restarted(house).await;
    let alice = house.user("alice");
    let list = alice.ok("list_artifacts", json!({})).await;
    let stored = list["artifacts"].as_array().unwrap();
    for artifact in stored {
        assert_eq!(alice.download(text(artifact, "artifact_id")).await.len(), 200_000);
    }
    assert_eq!(house.scratch.blobs().len(), stored.len(), "a file for every row and no other");
    assert_eq!(alice.used_bytes().await, 200_000 * i64::try_from(stored.len()).unwrap());
}

#[tokio::test]
async fn a_directory_is_used_by_one_process_at_a_time() {
    let house = House::start().await;
    let second = Store::open(house.scratch.path(), Arc::new(SystemEntropy)).await;
    assert!(second.err().unwrap().to_string().contains("in use by another process"));
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_on_the_machine_can_read_the_data() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::start().await;
    let mode = fs::metadata(house.scratch.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
}
