//! Group 1.24: signing keys that rotate, are revoked, or are stolen with the database. The resource server is the kit, in this
//! process, with the settings that a resource server has by default, but for how often it fetches the keys.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use doorward_resource_server::{Credentials, Reason, Refusal, ResourceServer, Settings};
use e2e::answer::Answer;
use e2e::client::{Client, Tokens, decode, text};
use e2e::house::{House, Output, Plan, Store};
use e2e::visitor::Visitor;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::nodes::Cluster;
use crate::stage::{PUB1, Stage, ask, http};

/// Keys that rotate as fast as their next one may be trusted to be known.
const HASTY: [(&str, &str); 2] = [("KEYS__ROTATE_EVERY", "6s"), ("KEYS__PUBLISH_LEAD", "6s")];
/// How long keys rotate under load.
const HASTE: Duration = Duration::from_secs(30);

/// A resource server of the house that fetches the keys so often. A key that it does not know it could look for once in half a
/// minute.
async fn kit(house: &House, refresh_every: Duration) -> Arc<ResourceServer> {
    let (id, secret) = house.resource_credentials();
    let settings = Settings {
        refresh_every,
        credentials: Some(Credentials::new(id, secret)),
        ..Settings::new(house.mcp_url(), house.issuer())
    };
    let server = ResourceServer::start(settings).await.expect("the kit starts");
    within(Duration::from_secs(10), "the kit is ready", async || server.is_ready()).await;
    server
}

/// Waits until something holds; gives how long it took.
async fn within(longest: Duration, what: &str, holds: impl AsyncFn() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < longest, "{what}: not within {longest:?}");
        sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed()
}

fn kid(token: &str) -> String {
    text(&decode(token).0["kid"])
}

/// The names of the keys that a server publishes.
async fn published(origin: &str) -> BTreeSet<String> {
    let keys = ask(&format!("{origin}/.well-known/jwks.json")).await.expect(200);
    keys["keys"].as_array().expect("keys").iter().map(|key| text(&key["kid"])).collect()
}

async fn userinfo(origin: &str, token: &str) -> u16 {
    Answer::to(http().get(format!("{origin}/oauth2/userinfo")).bearer_auth(token)).await.status
}

fn keys(house: &House, arguments: &[&str]) -> Output {
    house.cli(&[&["keys"], arguments, &["--json"]].concat(), "")
}

/// All keys as the command lists them: state by name.
fn state_of(house: &House, kid: &str) -> String {
    let all = keys(house, &["list"]).json();
    let key = all.as_array().expect("a list").iter().find(|key| key["kid"] == kid);
    text(&key.unwrap_or_else(|| panic!("{kid} in {all:#}"))["state"])
}

fn active(house: &House) -> String {
    let all = keys(house, &["list"]).json();
    let key = all.as_array().expect("a list").iter().find(|key| key["state"] == "active");
    text(&key.unwrap_or_else(|| panic!("no active key in {all:#}"))["kid"])
}

/// Refreshes at every server in turn while keys rotate, and takes every token to the resource server and to every server, the
/// first of each key again and again.
async fn rotates_under_load(house: &House, origins: &[String], clients: &[Client]) {
    let server = kit(house, Duration::from_secs(1)).await;
    let mut sessions = Vec::new();
    for client in clients {
        let request = client.request();
        let code = Visitor::new().authorize(&request.url(), house.alice(), &["read"]).await.code();
        sessions.push(Tokens::read(&client.redeem(&request, &code).await));
    }
    let mut first_of_each: Vec<(String, String)> = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < HASTE {
        for (client, tokens) in clients.iter().zip(&mut sessions) {
            *tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
            let kid = kid(&tokens.access);
            if first_of_each.iter().all(|(known, _)| *known != kid) {
                first_of_each.push((kid, tokens.access.clone()));
            }
            let all = first_of_each.iter().map(|(_, token)| token).chain([&tokens.access]);
            for token in all {
                let verified = server.verify(token).await;
                assert!(verified.is_ok(), "{verified:?} after {:?}", begun.elapsed());
                for origin in origins {
                    assert_eq!(userinfo(origin, token).await, 200, "{origin} after {:?}", begun.elapsed());
                }
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
    let (used, searches) = (first_of_each.len(), server.metrics().refused(Reason::UnknownKey));
    assert!(used >= 3 && searches == 0, "{used} keys signed in {HASTE:?}, {searches} refusals");
}

// KM-01
#[tokio::test]
async fn keys_that_rotate_every_few_seconds_refuse_nobody() {
    let plan = HASTY
        .iter()
        .fold(Plan::on(Store::Sqlite).without_artifacts(), |plan, (name, value)| plan.with(name, value));
    let stage = Stage::build(plan).await;
    let client = stage.client(&[PUB1]).await;
    rotates_under_load(&stage.house, &[stage.house.issuer().to_owned()], &[client]).await;
    stage.close().await;
}

mod postgres {
    use super::*;

    // KM-01, KM-02
    #[tokio::test]
    async fn three_replicas_whose_keys_rotate_every_few_seconds_refuse_nobody() {
        let cluster = Cluster::with(&vec!["memory:".to_owned(); 3], &HASTY).await;
        let client = cluster.stage.client(&[PUB1]).await;
        let clients = cluster.clients(&client);
        rotates_under_load(&cluster.stage.house, &cluster.origins, &clients).await;
        cluster.stage.close().await;
    }

    // KM-02
    #[tokio::test]
    async fn a_rotation_by_command_reaches_every_replica_within_seconds_with_a_key_that_all_had_published() {
        let cluster = Cluster::start(3).await;
        let house = &cluster.stage.house;
        let client = cluster.stage.client(&[PUB1]).await;
        let mut sessions = Vec::new();
        for client in cluster.clients(&client) {
            let tokens = cluster.stage.tokens(&client, &Visitor::new()).await;
            sessions.push((client, tokens));
        }
        for _ in 0..3 {
            let all = keys(house, &["list"]).json();
            let next = all.as_array().expect("a list").iter().find(|key| key["state"] == "next");
            let next = text(&next.expect("there is always a next key")["kid"]);
            for origin in &cluster.origins {
                let known = async || published(origin).await.contains(&next);
                within(Duration::from_secs(5), "the next key is published everywhere", known).await;
            }
            assert_eq!(keys(house, &["rotate"]).json()["kid"], next.as_str());
            let ordered = Instant::now();
            for (client, tokens) in &mut sessions {
                loop {
                    *tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
                    if kid(&tokens.access) == next {
                        break;
                    }
                    assert!(
                        ordered.elapsed() < Duration::from_secs(5),
                        "a replica still signs with the old key"
                    );
                    sleep(Duration::from_millis(20)).await;
                }
            }
        }
        cluster.stage.close().await;
    }
}

async fn a_stolen_key_is_shut_out(store: Store) {
    let stage = Stage::start(store).await;
    let (house, issuer) = (&stage.house, stage.house.issuer());
    let server = kit(house, Duration::from_mins(5)).await;
    let client = stage.client(&[PUB1]).await;
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    let stolen = kid(&tokens.access);
    assert!(server.verify(&tokens.access).await.is_ok());
    let etag = ask(&stage.at("/.well-known/jwks.json")).await.header("etag").to_owned();

    let revoked = keys(house, &["revoke", &stolen]).json();
    assert_eq!((&revoked["kid"], &revoked["revoked"]), (&json!(stolen), &json!(true)));
    // Revoked, or unknown: whoever hears of it by the feed fetches the keys anew.
    let refused = async || matches!(server.verify(&tokens.access).await, Err(Refusal::InvalidToken(_)));
    within(Duration::from_secs(5), "the resource server refuses its tokens", refused).await;
    let gone = async || !published(issuer).await.contains(&stolen);
    within(Duration::from_secs(5), "it is published no more", gone).await;
    assert_eq!(userinfo(issuer, &tokens.access).await, 401);
    let (id, secret) = house.resource_credentials();
    let asked = http().post(stage.at("/oauth2/introspect")).basic_auth(id, Some(secret));
    let answer = Answer::to(asked.form(&[("token", &tokens.access)])).await.expect(200);
    assert_eq!(answer, json!({"active": false}));

    let keys_now = ask(&stage.at("/.well-known/jwks.json")).await;
    assert_ne!(keys_now.header("etag"), etag, "whoever asks if it changed is told");
    assert_eq!(keys_now.header("cache-control"), "public, max-age=300");

    // The sign-in goes on: its refresh token is no signature. The key that was published as the next one signs now.
    let fresh = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert_eq!(kid(&fresh.access), text(&revoked["active"]));
    assert_eq!(userinfo(issuer, &fresh.access).await, 200);
    let verified = server.verify(&fresh.access).await;
    assert!(verified.is_ok(), "{verified:?}");
    assert_eq!((state_of(house, &stolen).as_str(), active(house)), ("revoked", kid(&fresh.access)));

    let again = house.cli(&["keys", "revoke", &stolen], "");
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("revoked already"), "{}", again.stderr);
    let unknown = house.cli(&["keys", "revoke", "-no-such-key"], "");
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("keys list"), "{}", unknown.stderr);
    stage.close().await;
}

// KM-05, JK-12
#[tokio::test]
async fn a_stolen_key_is_shut_out_by_one_command_on_sqlite() {
    a_stolen_key_is_shut_out(Store::Sqlite).await;
}

// KM-05, JK-12
#[tokio::test]
async fn a_stolen_key_is_shut_out_by_one_command_on_postgresql() {
    a_stolen_key_is_shut_out(Store::Postgres).await;
}

/// All bytes of the files in a folder, those of the key-encryption key and of credentials that were printed for others left
/// out.
fn loot(folder: &Path) -> Vec<u8> {
    let names = ["doorward.db", "doorward.db-wal", "doorward.db-shm"];
    names.iter().filter_map(|name| std::fs::read(folder.join(name)).ok()).flatten().collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

// KM-03
#[tokio::test]
async fn a_stolen_database_opens_nothing() {
    let mut stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let (_, secret) = stage.confidential("client_secret_basic").await;
    let waiting = stage.code(&client, &Visitor::new(), &["read"]).await;
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    keys(&stage.house, &["rotate"]).ok();
    let (_, resource_secret) = stage.house.resource_credentials();

    let folder = stage.house.folder();
    let loot = loot(&folder);
    assert!(holds(&loot, &active(&stage.house)), "the database was read");
    for stolen in [
        &tokens.access,
        &tokens.refresh,
        &waiting.text,
        &secret,
        &resource_secret,
        &stage.house.alice().password,
    ] {
        assert!(!holds(&loot, stolen), "a secret is in the database: {}…", &stolen[..4]);
    }
    // What a private key of RSA begins with, as PKCS #8 in base64, and its members as a JWK.
    for mark in ["MIIEvQIBADAN", "MIIEvAIBADAN", "MIIEvwIBADAN", "PRIVATE KEY", "\"d\":", "\"qi\":"] {
        assert!(!holds(&loot, mark), "{mark}");
    }
    let object_identifier = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    assert!(!loot.windows(9).any(|window| window == object_identifier), "a private key lies open");

    // Nor does it work as a whole: a server on the stolen files has no key that opens them.
    stage.house.kill9();
    let own = std::fs::read(folder.join("kek")).expect("the key-encryption key");
    stage.house.put_key_encryption_key(&e2e::fresh());
    for arguments in [&["serve"][..], &["keys", "rotate"]] {
        let refused = stage.house.cli(arguments, "");
        assert_eq!(refused.code, 1, "{arguments:?}");
        assert!(refused.stderr.contains("sealed with another key-encryption key"), "{}", refused.stderr);
    }
    stage.house.put_key_encryption_key(std::str::from_utf8(&own).expect("text"));
    stage.house.restart_auth_server().await;
    stage.close().await;
}

async fn the_key_encryption_key_is_replaced_while_the_server_runs(store: Store) {
    let mut stage = Stage::start(store).await;
    let client = stage.client(&[PUB1]).await;
    let mut tokens = stage.tokens(&client, &Visitor::new()).await;
    let folder = stage.house.folder();
    let old = std::fs::read_to_string(folder.join("kek")).expect("the key-encryption key");
    let new = e2e::fresh();
    e2e::house::write_private(&folder.join("new.kek"), &new);
    let file = folder.join("new.kek").display().to_string();
    assert_eq!(keys(&stage.house, &["rekey", "--new-kek-file", &file]).json()["rekeyed"], true);

    // The server that runs goes on, and makes keys that the next one can open.
    stage.house.put_key_encryption_key(&new);
    let next = text(&keys(&stage.house, &["rotate"]).json()["kid"]);
    let signs = async || {
        let page = Visitor::new();
        let tokens = stage.tokens(&client, &page).await;
        kid(&tokens.access) == next
    };
    within(Duration::from_secs(10), "the running server signs with the next key", signs).await;
    tokens = Tokens::read(&client.refresh(&tokens.refresh).await);

    // The old one is worth nothing any more.
    stage.house.put_key_encryption_key(&old);
    let refused = stage.house.cli(&["keys", "rotate"], "");
    assert!(refused.code == 1 && refused.stderr.contains("another key-encryption key"), "{refused:#?}");
    let refused = stage.house.cli(&["keys", "rekey", "--new-kek-file", &file], "");
    assert_eq!(refused.code, 1, "{refused:#?}");
    stage.house.put_key_encryption_key(&new);
    let same = stage.house.cli(&["keys", "rekey", "--new-kek-file", &file], "");
    assert!(same.code == 1 && same.stderr.contains("is the one in use"), "{same:#?}");

    stage.house.restart_auth_server().await;
    let tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert_eq!(kid(&tokens.access), next);
    stage.close().await;
}

// KM-04
#[tokio::test]
async fn the_key_encryption_key_is_replaced_while_the_server_runs_on_sqlite() {
    the_key_encryption_key_is_replaced_while_the_server_runs(Store::Sqlite).await;
}

// KM-04
#[tokio::test]
async fn the_key_encryption_key_is_replaced_while_the_server_runs_on_postgresql() {
    the_key_encryption_key_is_replaced_while_the_server_runs(Store::Postgres).await;
}

// KM-08
#[tokio::test]
async fn a_key_file_that_others_can_read_stops_the_start() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut stage = Stage::start(Store::Sqlite).await;
    stage.house.kill9();
    let file = stage.house.folder().join("kek");
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("ours");
    mode(0o644);
    let refused = stage.house.cli(&["serve"], "");
    assert_eq!((refused.code, refused.stderr.lines().count()), (1, 1), "{refused:#?}");
    assert!(refused.stderr.contains("(mode 0644); run: chmod 600"), "{refused:#?}");
    mode(0o400);
    stage.house.restart_auth_server().await;
    stage.close().await;
}

#[tokio::test]
async fn every_change_of_the_keys_is_listed_with_its_times() {
    let stage = Stage::start(Store::Sqlite).await;
    let first = active(&stage.house);
    let rotated = keys(&stage.house, &["rotate"]).json();
    let all: Vec<Value> = keys(&stage.house, &["list"]).json().as_array().expect("a list").clone();
    let states: Vec<_> = all.iter().map(|key| text(&key["state"])).collect();
    assert_eq!(states, ["retired", "active", "next"]);
    assert_eq!((&all[0]["kid"], &all[1]), (&json!(first), &rotated));
    for (key, [activated, retired]) in all.iter().zip([[true, true], [true, false], [false, false]]) {
        let members: Vec<_> = key.as_object().expect("an object").keys().map(String::as_str).collect();
        let expected = ["activated_at", "algorithm", "created_at", "kid", "retired_at", "state"];
        assert_eq!(members, expected);
        assert_eq!((key["activated_at"].is_i64(), key["retired_at"].is_i64()), (activated, retired), "{key}");
    }
    let text = stage.house.cli(&["keys", "list"], "").ok();
    assert!(text.starts_with("KID") && text.contains("RS256"), "{text}");
    stage.close().await;
}
