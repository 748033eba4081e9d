//! Download addresses and public links over real HTTP.

use crate::house::{House, content, text, with};
use doorward_artifacts::plans::Plan;
use doorward_shared::time::Seconds;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_public_link_opens_without_credentials_for_seven_days() {
    let house = House::start().await;
    let alice = house.user("alice");
    let id = alice.store("a.txt", b"shared").await;
    let link = alice.ok("create_download_link", json!({ "artifact_id": id })).await;
    assert_eq!(text(&link, "link_id").len(), 24);
    assert!(text(&link, "url").starts_with(&format!("{}/links/lnk_", house.origin)));
    assert_eq!(link["expires_at"], json!("2026-11-28T00:00:00Z"));
    let url = text(&link, "url");
    for _ in 0..2 {
        assert_eq!(house.get(url).await.bytes().await.unwrap().as_ref(), b"shared");
    }
    house.advance(Seconds::new(7 * 86_400 - 1));
    assert_eq!(house.get(url).await.status(), 200);
    house.advance(Seconds::new(1));
    let ended = house.get(url).await;
    assert_eq!(ended.status(), 410);
    assert_eq!(ended.json::<Value>().await.unwrap()["code"], json!("artifact_expired"));
}

#[tokio::test]
async fn a_public_link_lives_for_90_days_at_most() {
    let house = House::start().await;
    let alice = house.user("alice");
    let id = alice.store("a.txt", b"x").await;
    let link = |seconds: i64| json!({ "artifact_id": id, "expires_in": seconds });
    let longest = alice.ok("create_download_link", link(90 * 86_400)).await;
    assert_eq!(longest["expires_at"], json!("2027-02-19T00:00:00Z"));
    assert_eq!(alice.refused("create_download_link", link(90 * 86_400 + 1)).await, "ttl_exceeds_plan_limit");
    for seconds in [0, -1] {
        assert_eq!(alice.refused("create_download_link", link(seconds)).await, "invalid_request");
    }
}

#[tokio::test]
async fn open_links_count_against_the_plan_until_they_end() {
    let house = House::with_plan(Plan { links: 2, ..Plan::pro() }).await;
    let (alice, bob) = (house.user("alice"), house.user("bob"));
    let ids = [alice.store("a.txt", b"x").await, alice.store("b.txt", b"x").await];
    let link = |id: &str, seconds: i64| json!({ "artifact_id": id, "expires_in": seconds });
    alice.ok("create_download_link", link(&ids[0], 60)).await;
    alice.ok("create_download_link", link(&ids[1], 600)).await;
    let bobs = bob.store("c.txt", b"x").await;
    assert_eq!(bob.refused("create_download_link", link(&bobs, 60)).await, "quota_exceeded");
    // The agent's own addresses are no public links.
    bob.ok("get_artifact_download_url", json!({ "artifact_id": bobs })).await;
    house.advance(Seconds::new(60));
    bob.ok("create_download_link", link(&bobs, 600)).await;
    assert_eq!(alice.refused("create_download_link", link(&ids[0], 60)).await, "quota_exceeded");
    alice.ok("delete_artifact", json!({ "artifact_id": ids[1] })).await;
    alice.ok("create_download_link", link(&ids[0], 60)).await;
    // A link to an artifact whose life is over opens nothing, so it counts no more.
    let brief = with(content("d.txt", b"x"), json!({ "ttl": "1m" }));
    house.advance(Seconds::new(60));
    let brief = alice.ok("store_artifact", brief).await;
    alice.ok("create_download_link", link(text(&brief, "artifact_id"), 600)).await;
    assert_eq!(bob.refused("create_download_link", link(&bobs, 60)).await, "quota_exceeded");
    house.advance(Seconds::new(60));
    bob.ok("create_download_link", link(&bobs, 60)).await;
}

#[tokio::test]
async fn of_many_links_at_once_no_more_are_made_than_the_plan_allows() {
    let house = House::with_plan(Plan { links: 5, ..Plan::pro() }).await;
    let alice = house.user("alice");
    let id = alice.store("a.txt", b"x").await;
    let calls = (0..32).map(|_| alice.call("create_download_link", json!({ "artifact_id": id })));
    let made = futures_util::future::join_all(calls).await;
    assert_eq!(made.iter().filter(|result| result["isError"] == json!(false)).count(), 5);
}

#[tokio::test]
async fn a_download_address_opens_for_one_hour() {
    let house = House::start().await;
    let alice = house.user("alice");
    let id = alice.store("a.txt", b"mine").await;
    let url = alice.ok("get_artifact_download_url", json!({ "artifact_id": id })).await;
    assert_eq!((&url["expires_in"], &url["size_bytes"]), (&json!(3600), &json!(4)));
    let url = text(&url, "download_url");
    house.advance(Seconds::new(3599));
    assert_eq!(house.get(url).await.status(), 200);
    house.advance(Seconds::new(1));
    assert_eq!(house.get(url).await.status(), 410);
}

#[tokio::test]
async fn a_download_is_saved_and_never_shown() {
    let house = House::start().await;
    let alice = house.user("alice");
    let page = b"<script>alert(document.domain)</script>";
    for (name, declared, sent) in [
        ("page.html", "text/html", "application/octet-stream"),
        ("image.svg", "image/svg+xml", "application/octet-stream"),
        ("note.txt", "text/plain", "text/plain"),
    ] {
        let stored =
            alice.ok("store_artifact", with(content(name, page), json!({ "content_type": declared }))).await;
        let link = alice.ok("create_download_link", json!({ "artifact_id": stored["artifact_id"] })).await;
        let response = house.get(text(&link, "url")).await;
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), sent);
        assert_eq!(
            header("content-disposition"),
            format!("attachment; filename=\"{name}\"; filename*=UTF-8''{name}")
        );
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("content-security-policy"), "default-src 'none'; sandbox; frame-ancestors 'none'");
        assert_eq!(header("content-length"), page.len().to_string());
        assert_eq!(header("cache-control"), "private, no-store");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        assert!(header("x-request-id").starts_with("req_"));
        let head = house.request(Method::HEAD, text(&link, "url")).send().await.unwrap();
        assert_eq!(head.headers()["content-length"], page.len().to_string());
    }
}

#[tokio::test]
async fn a_guess_opens_nothing_and_addresses_of_one_kind_do_not_open_the_other() {
    let house = House::start().await;
    let alice = house.user("alice");
    let id = alice.store("a.txt", b"x").await;
    let arguments = json!({ "artifact_id": id });
    let url = alice.ok("get_artifact_download_url", arguments.clone()).await;
    let address = text(&url, "download_url").rsplit('/').next().unwrap().to_owned();
    let link = alice.ok("create_download_link", arguments).await;
    let link_id = text(&link, "link_id");
    for path in [
        format!("/links/{address}"),
        format!("/downloads/{link_id}"),
        format!("/uploads/{address}"),
        "/links/lnk_00000000000000000000".to_owned(),
        "/links/..%2f..%2fartifacts.db".to_owned(),
        "/downloads/dwg_".to_owned(),
        format!("/links/{id}"),
        "/blobs".to_owned(),
    ] {
        let response = house.get(&format!("{}{path}", house.origin)).await;
        assert!([404, 405].contains(&response.status().as_u16()), "{path}: {}", response.status());
    }
}

#[tokio::test]
async fn what_opens_an_artifact_is_nowhere_on_the_disk() {
    let house = House::start().await;
    let alice = house.user("alice");
    let id = alice.store("a.txt", b"x").await;
    let arguments = json!({ "artifact_id": id });
    let download = alice.ok("get_artifact_download_url", arguments.clone()).await;
    let link = alice.ok("create_download_link", arguments).await;
    let upload = alice
        .ok("request_upload_url", json!({ "filename": "u", "content_type": "text/plain", "size_bytes": 4 }))
        .await;
    let secrets = [text(&download, "download_url"), text(&link, "url"), text(&upload, "upload_url")]
        .map(|url| url.rsplit('/').next().unwrap().as_bytes()[4..20].to_vec());
    for file in house.scratch.files() {
        let bytes = std::fs::read(&file).unwrap();
        for secret in &secrets {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", file.display());
        }
    }
}

#[tokio::test]
async fn an_ended_link_answers_gone_for_a_month_and_is_then_forgotten() {
    let house = House::start().await;
    let alice = house.user("alice");
    let id = alice.store("a.txt", b"x").await;
    let link = alice.ok("create_download_link", json!({ "artifact_id": id, "expires_in": 60 })).await;
    for (days, status) in [(1, 410), (28, 410), (2, 404)] {
        house.advance(Seconds::days(days));
        house.context.store.sweep(house.context.clock.now()).await.unwrap();
        assert_eq!(house.get(text(&link, "url")).await.status(), status);
    }
}
