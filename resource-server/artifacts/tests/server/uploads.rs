//! Uploads over real HTTP: one address, one file, once.

use std::time::Duration;

use crate::house::{House, User, content, noise, sha256, text, with};
use doorward_artifacts::plans::Plan;
use doorward_shared::time::Seconds;
use futures_util::future::join_all;
use reqwest::{Body, Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn announce(user: &User<'_>, size: usize) -> (String, String) {
    let upload = user
        .ok(
            "request_upload_url",
            json!({ "filename": "u.bin", "content_type": "application/zip", "size_bytes": size }),
        )
        .await;
    assert_eq!((&upload["status"], &upload["upload_method"]), (&json!("pending"), &json!("PUT")));
    assert_eq!(upload["upload_headers"], json!({ "Content-Type": "application/zip" }));
    (text(&upload, "artifact_id").to_owned(), text(&upload, "upload_url").to_owned())
}

async fn put(house: &House, url: &str, bytes: impl Into<Body>) -> (StatusCode, Value) {
    let request = house.request(Method::PUT, url).header("content-type", "application/zip").body(bytes);
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// A PUT whose length nothing announces; the status.
async fn put_in_chunks(house: &House, url: &str, bytes: &[u8]) -> String {
    let mut sender = TcpStream::connect(house.address()).await.unwrap();
    let head =
        format!("PUT {} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n", path(house, url));
    sender.write_all(head.as_bytes()).await.unwrap();
    for piece in bytes.chunks(700) {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        // A server that has refused need not read the rest.
        if sender.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let _ = sender.write_all(b"0\r\n\r\n").await;
    let mut answer = [0; 12];
    sender.read_exact(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

/// A PUT of 1000 bytes that is under way and has sent `beginning` only.
async fn begin(house: &House, url: &str, beginning: &[u8]) -> TcpStream {
    let mut sender = TcpStream::connect(house.address()).await.unwrap();
    let head =
        format!("PUT {} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n", path(house, url));
    sender.write_all(head.as_bytes()).await.unwrap();
    sender.write_all(beginning).await.unwrap();
    while house.incoming().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sender
}

fn path<'a>(house: &House, url: &'a str) -> &'a str {
    url.strip_prefix(&house.origin).unwrap()
}

#[tokio::test]
async fn an_upload_is_not_found_before_the_put_and_active_after_it() {
    let house = House::start().await;
    let (alice, bytes) = (house.user("alice"), noise(700_000));
    let (id, url) = announce(&alice, bytes.len()).await;
    assert!(url.starts_with(&format!("{}/uploads/", house.origin)), "{url}");
    let arguments = json!({ "artifact_id": id });
    assert_eq!(alice.refused("complete_upload", arguments.clone()).await, "upload_not_found");
    assert_eq!(alice.refused("get_artifact_download_url", arguments.clone()).await, "upload_not_found");
    assert_eq!(alice.ok("get_artifact", arguments.clone()).await["status"], json!("pending"));
    assert_eq!(alice.used_bytes().await, 700_000, "announced bytes are reserved");

    let (status, received) = put(&house, &url, bytes.clone()).await;
    assert_eq!((status, &received["content_hash"]), (StatusCode::OK, &json!(sha256(&bytes))));
    assert_eq!(alice.ok("get_artifact", arguments.clone()).await["status"], json!("pending"));
    let done = alice.ok("complete_upload", arguments.clone()).await;
    assert_eq!((&done["status"], &done["content_hash"]), (&json!("active"), &json!(sha256(&bytes))));
    assert_eq!(alice.ok("complete_upload", arguments).await, done, "repeating changes nothing");
    assert_eq!(alice.download(&id).await, bytes);
    assert_eq!(alice.used_bytes().await, 700_000);
}

#[tokio::test]
async fn of_32_puts_at_once_one_wins() {
    let house = House::start().await;
    let alice = house.user("alice");
    let (id, url) = announce(&alice, 50_000).await;
    let files: Vec<_> = (0..32).map(|_| noise(50_000)).collect();
    let answers = join_all(files.iter().map(|bytes| put(&house, &url, bytes.clone()))).await;
    let winners: Vec<_> = answers.iter().zip(&files).filter(|((status, _), _)| *status == 200).collect();
    assert_eq!(winners.len(), 1);
    assert!(answers.iter().all(|(status, _)| *status == 200 || *status == 409), "{answers:?}");
    alice.ok("complete_upload", json!({ "artifact_id": id })).await;
    assert_eq!(alice.download(&id).await, *winners[0].1);
    assert_eq!(house.scratch.blobs().len(), 1, "the losers left nothing behind");
    assert_eq!(put(&house, &url, files[0].clone()).await.0, 409, "the address is spent");
}

#[tokio::test]
async fn while_one_put_is_under_way_another_is_refused_before_its_bytes_are_kept() {
    let house = House::start().await;
    let alice = house.user("alice");
    let (id, url) = announce(&alice, 1000).await;
    let bytes = noise(1000);
    let mut sender = begin(&house, &url, &bytes[..500]).await;
    for _ in 0..3 {
        assert_eq!(put(&house, &url, noise(1000)).await.0, 409);
    }
    assert_eq!((house.incoming().len(), house.scratch.blobs().len()), (1, 0), "only the first is written");
    sender.write_all(&bytes[500..]).await.unwrap();
    let mut answer = [0; 12];
    sender.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer[9..], b"200");
    alice.ok("complete_upload", json!({ "artifact_id": id })).await;
    assert_eq!(alice.download(&id).await, bytes);
}

#[tokio::test]
async fn bytes_that_were_not_announced_are_refused_and_the_address_stays_open() {
    let house = House::start().await;
    let alice = house.user("alice");
    let (id, url) = announce(&alice, 1000).await;
    for (length, status) in [(1001, 413), (999, 400), (0, 400)] {
        assert_eq!(
            put(&house, &url, noise(length)).await.0.as_u16(),
            status,
            "{length} announced by the header"
        );
    }
    for (length, status) in [(1001, "413"), (5_000_000, "413"), (999, "400"), (0, "400")] {
        assert_eq!(
            put_in_chunks(&house, &url, &noise(length)).await,
            status,
            "{length} announced by nothing"
        );
    }
    for (name, value) in [("content-type", "text/html"), ("content-encoding", "gzip")] {
        let response =
            house.request(Method::PUT, &url).header(name, value).body(noise(1000)).send().await.unwrap();
        assert_eq!(response.status(), 415, "{name}");
    }
    assert!(house.scratch.blobs().is_empty());
    assert_eq!(alice.refused("complete_upload", json!({ "artifact_id": id })).await, "upload_not_found");
    let bytes = noise(1000);
    assert_eq!(put(&house, &url, bytes.clone()).await.0, 200);
    alice.ok("complete_upload", json!({ "artifact_id": id })).await;
    assert_eq!(alice.download(&id).await, bytes);
}

#[tokio::test]
async fn a_transfer_that_breaks_off_leaves_nothing_and_can_be_repeated() {
    let house = House::start().await;
    let alice = house.user("alice");
    let (id, url) = announce(&alice, 1000).await;
    let sender = begin(&house, &url, &noise(500)).await;
    drop(sender);
    while !house.incoming().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(put(&house, &url, noise(1000)).await.0, 200);
    alice.ok("complete_upload", json!({ "artifact_id": id })).await;
}

#[tokio::test]
async fn an_upload_address_ends_after_an_hour_and_a_guess_opens_nothing() {
    let house = House::start().await;
    let alice = house.user("alice");
    let (_, url) = announce(&alice, 4).await;
    for guess in ["", "x", "dwu_", "..%2f..%2fetc%2fpasswd"] {
        let response = house
            .request(Method::PUT, &format!("{}/uploads/{guess}", house.origin))
            .body("1234")
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 404, "{guess:?}");
    }
    // One letter changed: the checksum fails. Another secret of the right form: nothing is known of it.
    let mut other = url.clone();
    let last = if other.ends_with('A') { 'B' } else { 'A' };
    other.pop();
    other.push(last);
    assert_eq!(put(&house, &other, "1234").await.0, 404);
    assert_eq!(house.get(&url).await.status(), 405, "an upload address takes PUT only");
    house.advance(Seconds::new(3600));
    assert_eq!(put(&house, &url, "1234").await.0, 410);
}

#[tokio::test]
async fn an_upload_of_a_deleted_artifact_is_over() {
    let house = House::start().await;
    let alice = house.user("alice");
    let (id, url) = announce(&alice, 4).await;
    alice.ok("delete_artifact", json!({ "artifact_id": id })).await;
    assert_eq!(put(&house, &url, "1234").await.0, 410);
    assert_eq!(alice.used_bytes().await, 0);
    // Deleted between PUT and completion: the bytes go too.
    let (id, url) = announce(&alice, 4).await;
    assert_eq!(put(&house, &url, "1234").await.0, 200);
    alice.ok("delete_artifact", json!({ "artifact_id": id })).await;
    assert_eq!(
        alice.refused("complete_upload", json!({ "artifact_id": id })).await,
        "artifact_already_deleted"
    );
    assert!(house.scratch.blobs().is_empty());
}

#[tokio::test]
async fn an_upload_that_nobody_completes_is_given_up_after_a_day() {
    let house = House::start().await;
    let alice = house.user("alice");
    let (unsent, _) = announce(&alice, 4).await;
    let (sent, url) = announce(&alice, 4).await;
    assert_eq!(put(&house, &url, "1234").await.0, 200);
    assert_eq!(alice.used_bytes().await, 8);
    house.advance(Seconds::hours(24));
    while house.context.store.sweep(house.context.clock.now()).await.unwrap() {}
    assert_eq!(alice.used_bytes().await, 0);
    assert!(house.scratch.blobs().is_empty());
    for id in [unsent, sent] {
        assert_eq!(
            alice.refused("complete_upload", json!({ "artifact_id": id })).await,
            "artifact_already_deleted"
        );
    }
}

#[tokio::test]
async fn bytes_that_the_disk_lost_are_noticed_and_can_be_sent_again() {
    let house = House::start().await;
    let alice = house.user("alice");
    let (id, url) = announce(&alice, 4).await;
    assert_eq!(put(&house, &url, "1234").await.0, 200);
    std::fs::write(&house.scratch.blobs()[0], "12x4").unwrap();
    assert_eq!(alice.refused("complete_upload", json!({ "artifact_id": id })).await, "upload_not_found");
    assert_eq!(put(&house, &url, "1234").await.0, 200);
    alice.ok("complete_upload", json!({ "artifact_id": id })).await;
    assert_eq!(alice.download(&id).await, b"1234");
}

#[tokio::test]
async fn a_session_that_was_sealed_meanwhile_takes_no_upload() {
    let house = House::start().await;
    let alice = house.user("alice");
    let arguments =
        json!({ "filename": "u", "content_type": "text/plain", "size_bytes": 4, "session_id": "s" });
    let upload = alice.ok("request_upload_url", arguments.clone()).await;
    let sent = house.request(Method::PUT, text(&upload, "upload_url")).body("1234").send().await.unwrap();
    assert_eq!(sent.status(), 200, "a PUT without a type claims none");
    alice.ok("seal_session", json!({ "session_id": "s" })).await;
    assert_eq!(alice.refused("request_upload_url", arguments).await, "session_sealed");
    assert_eq!(
        alice.refused("complete_upload", json!({ "artifact_id": upload["artifact_id"] })).await,
        "session_sealed"
    );
}

#[tokio::test]
async fn announced_sizes_have_limits() {
    let house = House::with_plan(Plan { upload_bytes: 1000, ..Plan::pro() }).await;
    let alice = house.user("alice");
    let sized = |size: i64| json!({ "filename": "u", "content_type": "text/plain", "size_bytes": size });
    for (size, code) in [
        (0, "invalid_request"),
        (-1, "invalid_request"),
        (1001, "file_too_large"),
        (i64::MAX, "file_too_large"),
    ] {
        assert_eq!(alice.refused("request_upload_url", sized(size)).await, code, "{size}");
    }
    alice.ok("request_upload_url", sized(1000)).await;
    assert_eq!(
        alice.refused("complete_upload", json!({ "artifact_id": "art_0000000000000000" })).await,
        "artifact_not_found"
    );
}

#[tokio::test]
async fn completing_what_was_stored_in_one_call_changes_nothing() {
    let house = House::start().await;
    let alice = house.user("alice");
    let stored = alice.ok("store_artifact", with(content("a.txt", b"x"), json!({ "session_id": "s" }))).await;
    alice.ok("seal_session", json!({ "session_id": "s" })).await;
    let completed = alice.ok("complete_upload", json!({ "artifact_id": stored["artifact_id"] })).await;
    assert_eq!(completed, stored);
}
