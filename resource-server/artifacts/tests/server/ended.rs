//! Addresses end with the credential that made them, and nothing brings them back.

use std::collections::BTreeMap;

use doorward_artifacts::plans::{Plan, Plans};
use doorward_resource_server::{Allowance, Claim, Entry};
use doorward_shared::{
    scope::Scope,
    time::{Seconds, Timestamp},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::house::{ALL, House, START, User, content, text, with};

/// An entry of the feed; it may be forgotten after an hour.
fn entry(claim: Claim, value: &str, issued_until: Option<Timestamp>) -> Entry {
    let exp = START.plus(Seconds::hours(1));
    Entry { sequence: 1, claim, value: value.to_owned(), issued_until, exp }
}

async fn ends(house: &House, claim: Claim, value: &str, issued_until: Option<Timestamp>) -> u64 {
    let entries = [entry(claim, value, issued_until)];
    house.context.store.end_made(&entries, START).await.unwrap()
}

/// A public link, a download address and an upload address of a user.
async fn addresses(user: &User<'_>) -> [String; 3] {
    let id = user.store("a.txt", b"shared").await;
    let link = user.ok("create_download_link", json!({ "artifact_id": id })).await;
    let download = user.ok("get_artifact_download_url", json!({ "artifact_id": id })).await;
    [text(&link, "url").to_owned(), text(&download, "download_url").to_owned(), upload(user).await.1]
}

async fn upload(user: &User<'_>) -> (String, String) {
    let announced = json!({ "filename": "u", "content_type": "text/plain", "size_bytes": 4 });
    let announced = user.ok("request_upload_url", announced).await;
    (text(&announced, "artifact_id").to_owned(), text(&announced, "upload_url").to_owned())
}

/// What they answer.
async fn statuses(house: &House, [link, download, upload]: &[String; 3]) -> [u16; 3] {
    let put = house.request(Method::PUT, upload).body("1234").send().await.unwrap();
    [
        house.get(link).await.status().as_u16(),
        house.get(download).await.status().as_u16(),
        put.status().as_u16(),
    ]
}

fn with_grant<'a>(house: &'a House, subject: &str, grant: &str) -> User<'a> {
    let allowance = Allowance::everywhere(Scope::parse(ALL).unwrap());
    house.holder("acme", subject, &allowance, None).of_grant(grant)
}

#[tokio::test]
async fn whatever_a_revocation_names_ends_what_was_made_with_it_and_nothing_else() {
    let before = Some(START.minus(Seconds::new(1)));
    let mine = [
        (Claim::Sid, "grant-a", None),
        (Claim::Jti, "token-1", None),
        (Claim::Sub, "alice", Some(START)),
        (Claim::ClientId, "client-1", Some(START)),
        (Claim::Org, "acme", Some(START)),
        (Claim::Kid, "key-1", None),
        (Claim::Aud, "the resource", Some(START)),
        (Claim::Iss, "the issuer", Some(START)),
    ];
    for (claim, value, until) in mine {
        let house = House::start().await;
        let made = addresses(&with_grant(&house, "alice", "grant-a")).await;
        assert_eq!(ends(&house, claim, value, before).await, 0, "{claim:?}: made with a later token");
        if !matches!(claim, Claim::Aud | Claim::Iss) {
            assert_eq!(ends(&house, claim, "another", until).await, 0);
        }
        assert_eq!(ends(&house, claim, value, until).await, 3, "{claim:?}");
        assert_eq!(ends(&house, claim, value, until).await, 0, "an entry may come again");
        assert_eq!(statuses(&house, &made).await, [410; 3], "{claim:?}");
    }
    let house = House::start().await;
    let made = addresses(&with_grant(&house, "alice", "grant-a")).await;
    let others = addresses(&with_grant(&house, "alice", "grant-b")).await;
    ends(&house, Claim::Sid, "grant-a", None).await;
    assert_eq!(statuses(&house, &made).await, [410; 3]);
    assert_eq!(statuses(&house, &others).await, [200; 3]);
}

#[tokio::test]
async fn an_ended_link_says_so_and_leaves_its_place_in_the_plan() {
    let house = House::with_plan(Plan { links: 1, ..Plan::pro() }).await;
    let (alice, bob) = (with_grant(&house, "alice", "grant-a"), with_grant(&house, "bob", "grant-b"));
    let id = alice.store("a.txt", b"x").await;
    let link = alice.ok("create_download_link", json!({ "artifact_id": id })).await;
    let again = json!({ "artifact_id": id });
    assert_eq!(bob.refused("create_download_link", again.clone()).await, "quota_exceeded");
    ends(&house, Claim::Sid, "grant-a", None).await;
    let answer = house.get(text(&link, "url")).await;
    assert_eq!(answer.status(), 410);
    let said: Value = answer.json().await.unwrap();
    assert_eq!(said["code"], json!("artifact_expired"));
    assert!(text(&said, "message").contains("revoked"));
    bob.ok("create_download_link", again).await;
    // Thirty days later it is forgotten, however long it was to live.
    house.advance(Seconds::days(30));
    house.context.store.sweep(START.plus(Seconds::days(30))).await.unwrap();
    assert_eq!(house.get(text(&link, "url")).await.status(), 404);
}

#[tokio::test]
async fn the_end_of_a_token_by_its_age_ends_nothing() {
    let house = House::start().await;
    let [link, ..] = addresses(&house.user("alice")).await;
    house.advance(Seconds::days(6));
    assert_eq!(house.get(&link).await.status(), 200);
}

#[tokio::test]
async fn what_has_ended_stays_so_after_a_restart_and_after_the_feed_has_forgotten_it() {
    let house = House::start().await;
    let made = addresses(&with_grant(&house, "alice", "grant-a")).await;
    let id = house.user("alice").store("b.txt", b"x").await;
    let moved = house.user("alice").ok("create_download_link", json!({ "artifact_id": id })).await;
    assert_eq!(house.user("alice").relocate(&id, "alpha").await.0, 200);
    ends(&house, Claim::Sid, "grant-a", None).await;
    let later = START.plus(Seconds::days(3));
    house.context.store.sweep(later).await.unwrap();
    let origin = house.origin.clone();
    let plans = Plans::new([Plan::pro()], "pro", BTreeMap::new()).unwrap();
    let house = House::open(house.kill().await, plans).await;
    let here = made.map(|url| url.replace(&origin, &house.origin));
    assert_eq!(statuses(&house, &here).await, [410; 3]);
    // A clock that goes backwards revives nothing either.
    house.advance(Seconds::new(-60));
    assert_eq!(statuses(&house, &here).await, [410; 3]);
    let moved = text(&moved, "url").replace(&origin, &house.origin);
    assert_eq!(house.get(&moved).await.status(), 410);
}

#[tokio::test]
async fn a_call_that_was_under_way_when_its_credential_ended_makes_no_address() {
    let house = House::start().await;
    let alice = with_grant(&house, "alice", "grant-a");
    let id = alice.store("a.txt", b"x").await;
    ends(&house, Claim::Sid, "grant-a", None).await;
    let announced = json!({ "filename": "u", "content_type": "text/plain", "size_bytes": 4 });
    let artifact = json!({ "artifact_id": id });
    for (tool, arguments) in [
        ("create_download_link", &artifact),
        ("get_artifact_download_url", &artifact),
        ("request_upload_url", &announced),
    ] {
        assert_eq!(alice.refused(tool, arguments.clone()).await, "unauthorized", "{tool}");
    }
    // Who signs in again may.
    addresses(&with_grant(&house, "alice", "grant-b")).await;
}

#[tokio::test]
async fn an_upload_that_is_under_way_when_its_maker_ends_is_not_taken() {
    let house = House::start().await;
    let alice = with_grant(&house, "alice", "grant-a");
    let (id, url) = upload(&alice).await;
    let mut sender = TcpStream::connect(house.address()).await.unwrap();
    let path = url.strip_prefix(&house.origin).unwrap();
    let head = format!("PUT {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\n12");
    sender.write_all(head.as_bytes()).await.unwrap();
    while house.incoming().is_empty() {
        tokio::task::yield_now().await;
    }
    ends(&house, Claim::Sid, "grant-a", None).await;
    sender.write_all(b"34").await.unwrap();
    let mut answer = [0; 12];
    sender.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer[9..], b"410");
    assert!(house.scratch.blobs().is_empty(), "its bytes are not kept");
    let bob = with_grant(&house, "alice", "grant-b");
    assert_eq!(bob.refused("complete_upload", json!({ "artifact_id": id })).await, "upload_not_found");
}

#[tokio::test]
async fn links_and_seals_say_who_made_them_and_with_what() {
    let house = House::start().await;
    let key = house.key("alice", &[("", ALL)]);
    let stored = with(content("a.txt", b"x"), json!({ "session_id": "s" }));
    let stored = key.ok("store_artifact", stored).await;
    let link = key.ok("create_download_link", json!({ "artifact_id": stored["artifact_id"] })).await;
    for (member, value) in [
        ("created_by", "alice"),
        ("created_by_client_id", "client-1"),
        ("created_by_credential_name", "Nightly build"),
    ] {
        assert_eq!(link[member], json!(value), "{member}");
    }
    let open = key.ok("list_sessions", json!({})).await;
    assert_eq!(open["sessions"][0]["sealed_by"], Value::Null);
    let sealed = key.ok("seal_session", json!({ "session_id": "s" })).await;
    // Sealing again is not another seal.
    let again = house.user("alice").ok("seal_session", json!({ "session_id": "s" })).await;
    let listed = house.user("alice").ok("list_sessions", json!({})).await["sessions"][0].clone();
    for answer in [&sealed, &again, &listed] {
        assert_eq!(
            (&answer["sealed_by"], &answer["sealed_by_client_id"], &answer["sealed_by_credential_name"]),
            (&json!("alice"), &json!("client-1"), &json!("Nightly build"))
        );
    }
}
