//! `docker-compose.yml` for real, brought up unmodified by `tests/compose/run`: what an operator is promised for it.
//!
//! Each test begins with empty volumes. They share the ports, so they run one after the other.
#![cfg(feature = "compose")]

use std::time::Duration;

use e2e::answer::Answer;
use e2e::client::{Client, Discovery, Tokens, decode, text};
use e2e::compose::{Compose, docker, inspect};
use e2e::house::Person;
use e2e::mcp::Mcp;
use e2e::process;
use e2e::session::Session;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SERVERS: [&str; 4] = ["proxy", "auth-server", "artifacts", "postgres"];

async fn sign_in(house: &Compose, person: &Person, tiers: &[&str]) -> Session {
    Session::of(Client::register(&house.mcp_url()).await, person, tiers).await
}

/// Discovery, registration, sign-in, consent, tokens, tools, refresh, replay, revocation.
async fn walk_the_golden_path(house: &Compose, person: &Person) {
    let found = Discovery::walk(&house.mcp_url()).await;
    assert_eq!(found.resource["resource"], house.mcp_url());
    assert_eq!(found.resource["authorization_servers"], json!([house.issuer()]));
    assert_eq!(found.server["issuer"], house.issuer());
    assert_eq!(Mcp::hello(&house.mcp_url(), "rubbish").await.status, 401);

    for (tier, tools) in [("read", 5), ("write", 8), ("destroy", 11)] {
        let mut session = sign_in(house, person, &[tier]).await;
        let (_, claims) = decode(&session.tokens.access);
        assert_eq!(claims["iss"], house.issuer());
        assert_eq!(claims["aud"], house.mcp_url());
        assert_eq!(house.mcp(&session).await.tools().await.len(), tools, "{tier}");
        session.refresh().await;
        assert_eq!(house.mcp(&session).await.tools().await.len(), tools, "{tier}");
    }

    let mut replayed = sign_in(house, person, &["read"]).await;
    let spent = replayed.tokens.refresh.clone();
    replayed.refresh().await;
    replayed.client.refresh(&spent).await.expect_error(400, "refresh_replayed");
    replayed.client.refresh(&replayed.tokens.refresh).await.expect_error(400, "invalid_grant");

    let revoked = sign_in(house, person, &["read"]).await;
    assert_eq!(revoked.client.revoke(&revoked.tokens.refresh).await.status, 200);
    revoked.client.refresh(&revoked.tokens.refresh).await.expect_error(400, "invalid_grant");
    let refused = async {
        while Mcp::hello(&house.mcp_url(), &revoked.tokens.access).await.status != 401 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(5), refused).await.is_ok();
    assert!(told, "the MCP server still takes the access token of what was revoked");
}

async fn store(mcp: &Mcp, name: &str) {
    let answer = mcp.call("store_artifact", json!({ "filename": name, "content": "YQ==" })).await;
    assert_ne!(answer["result"]["isError"], true, "{answer:#}");
}

async fn stored(mcp: &Mcp) -> Vec<String> {
    let answer = mcp.call("list_artifacts", json!({})).await;
    let list = &answer["result"]["structuredContent"]["artifacts"];
    list.as_array().into_iter().flatten().map(|artifact| text(&artifact["filename"])).collect()
}

#[tokio::test]
async fn a_first_up_ends_with_a_setup_link_and_a_system_that_works() {
    let house = Compose::first_contact().await;
    house.set_up().await;
    let alice = house.user("alice@example.test");
    walk_the_golden_path(&house, &alice).await;

    let lie = process::client().get(format!("{}/login", house.issuer()));
    Answer::to(lie.header("x-forwarded-for", "203.0.113.9")).await;
    let log = house.logs("auth-server");
    assert!(log.contains("network=") && !log.contains("203.0.113."), "a visitor says who it is:\n{log}");

    let users = house.cli(&["user", "list", "--json"], "").json();
    assert_eq!(users.as_array().map(Vec::len), Some(2), "{users:#}");
    let resources = house.cli(&["resource", "list", "--json"], "").json();
    assert_eq!(resources[0]["resource"], house.mcp_url(), "{resources:#}");
}

#[tokio::test]
async fn three_replicas_behave_as_one() {
    let house = Compose::first_contact().await;
    let alice = house.user("alice@example.test");
    let before = sign_in(&house, &alice, &["write"]).await;
    house.scale(3).await;
    walk_the_golden_path(&house, &alice).await;
    Tokens::read(&before.client.refresh(&before.tokens.refresh).await);
    // Requests go round, and a sign-in may take a multiple of three: some more in between, and it comes to other replicas.
    for _ in 0..30 {
        if unserved(&house).is_empty() {
            break;
        }
        for _ in 0..e2e::fresh().as_bytes()[0] % 3 {
            let well_known = process::client().get(format!("{}/.well-known/jwks.json", house.issuer()));
            Answer::to(well_known).await.expect(200);
        }
        sign_in(&house, &alice, &["read"]).await.refresh().await;
    }
    assert_eq!(unserved(&house), Vec::<String>::new(), "one of three replicas served nobody");
}

/// What each replica has served nobody of.
fn unserved(house: &Compose) -> Vec<String> {
    let mut missing = Vec::new();
    for id in house.containers("auth-server") {
        let printed = docker(&["logs", &id]);
        let log = printed.stdout + &printed.stderr;
        let routes = ["Authorize", "Login", "Consent", "Token"].into_iter();
        let absent = routes.filter(|route| !log.contains(&format!("route=\"{route}\"")));
        missing.extend(absent.map(|route| format!("{id}: {route}")));
    }
    missing
}

#[tokio::test]
async fn requests_under_way_are_finished_when_everything_is_stopped() {
    let house = Compose::first_contact().await;
    let alice = house.user("alice@example.test");
    let session = sign_in(&house, &alice, &["read"]).await;
    let [replica] = &house.containers("auth-server")[..] else { panic!("one replica") };

    // A refresh of which the first half is there when the signal comes.
    let body = format!(
        "grant_type=refresh_token&client_id={}&refresh_token={}",
        session.client.client_id, session.tokens.refresh
    );
    let (first, second) = body.split_at(body.len() / 2);
    let path = session.client.discovery.endpoint("token_endpoint").replace(house.issuer(), "");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost:9000\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect("localhost:9000").await.expect("the proxy takes connections");
    stream.write_all(format!("{head}{first}").as_bytes()).await.expect("the first half is sent");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stop = tokio::task::spawn_blocking({
        let replica = replica.clone();
        move || docker(&["stop", "--time", "40", &replica])
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(inspect(replica, "{{.State.Running}}"), "true", "it waits for the request");
    stream.write_all(second.as_bytes()).await.expect("the second half is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the answer comes");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("access_token"), "{answer}");
    stop.await.expect("the command ends").ok();
    assert_eq!(inspect(replica, "{{.State.ExitCode}}"), "0", "it ended by itself and was not killed");

    house.compose(&["stop"]).ok();
    for service in SERVERS {
        for id in house.containers(service) {
            assert_eq!(inspect(&id, "{{.State.ExitCode}}"), "0", "{service}");
        }
    }
}

#[tokio::test]
async fn one_replica_can_stop_while_the_others_serve() {
    let house = Compose::first_contact().await;
    let alice = house.user("alice@example.test");
    house.scale(3).await;
    let mut session = sign_in(&house, &alice, &["read"]).await;
    let going = house.containers("auth-server").pop().expect("a replica");
    let stop = tokio::task::spawn_blocking(move || docker(&["stop", "--time", "40", &going]));
    let mut refreshed = 0;
    while !stop.is_finished() || refreshed < 50 {
        session.refresh().await;
        refreshed += 1;
    }
    stop.await.expect("the command ends").ok();
}

#[tokio::test]
async fn what_was_acknowledged_is_still_there_after_down_and_up() {
    let house = Compose::first_contact().await;
    house.set_up().await;
    let alice = house.user("alice@example.test");
    let mut kept = sign_in(&house, &alice, &["write"]).await;
    store(&house.mcp(&kept).await, "kept.txt").await;
    let revoked = sign_in(&house, &alice, &["read"]).await;
    revoked.client.revoke(&revoked.tokens.refresh).await;
    let resource = house.cli(&["resource", "show", &house.mcp_url(), "--json"], "").json();

    house.compose(&["down"]).ok();
    house.compose(&["up", "-d"]).ok();
    house.ready().await;

    assert!(!house.logs("auth-server").contains("setup: "), "there is an administrator already");
    assert_eq!(house.cli(&["resource", "show", &house.mcp_url(), "--json"], "").json(), resource);
    assert_eq!(stored(&house.mcp(&kept).await).await, ["kept.txt"], "signed with the key of before");
    kept.refresh().await;
    assert_eq!(house.mcp(&kept).await.tools().await.len(), 8);
    revoked.client.refresh(&revoked.tokens.refresh).await.expect_error(400, "invalid_grant");
}

#[tokio::test]
async fn containers_have_no_root_no_capability_and_nothing_to_write_to() {
    let house = Compose::first_contact().await;
    for service in SERVERS.into_iter().chain(["redis"]) {
        let containers = house.containers(service);
        let [id] = &containers[..] else { panic!("{service}: {containers:?}") };
        let status = docker(&["exec", id, "cat", "/proc/1/status"]).ok();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel says it");
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(field("Uid:").iter().all(|uid| uid != "0"), "{service}: {status}");
        assert_eq!(field("CapEff:"), ["0000000000000000"], "{service}");
        assert_eq!(field("NoNewPrivs:"), ["1"], "{service}");
        assert_eq!(inspect(id, "{{.HostConfig.ReadonlyRootfs}}"), "true", "{service}");
        let write = docker(&["exec", id, "sh", "-c", ": >/usr/local/bin/x || : >/etc/x"]);
        assert_ne!(write.code, 0, "{service}");

        let facts: Value = serde_json::from_str(&inspect(id, "{{json .}}")).expect("it is JSON");
        for name in ["kek", "postgres-password", "redis-password"] {
            let secret = house.secret(name);
            assert!(!facts.to_string().contains(&secret), "{service} shows {name} to `docker inspect`");
        }
    }
    // From the machine: the two servers on loopback, and neither database.
    let ports = docker(&["ps", "--format", "{{.Ports}}"]).ok();
    let published: Vec<_> =
        ports.split([',', '\n']).filter(|port| port.contains("->")).map(str::trim).collect();
    assert_eq!(published.len(), 2, "{ports}");
    assert!(published.iter().all(|port| port.starts_with("127.0.0.1:")), "{ports}");
}

#[tokio::test]
async fn every_service_becomes_healthy() {
    let house = Compose::first_contact().await;
    for service in SERVERS.into_iter().chain(["redis"]) {
        for id in house.containers(service) {
            let healthy = async {
                while inspect(&id, "{{.State.Health.Status}}") != "healthy" {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            };
            let became = tokio::time::timeout(Duration::from_secs(90), healthy).await.is_ok();
            assert!(became, "{service}: {}", inspect(&id, "{{json .State.Health}}"));
        }
    }
    // And one that cannot serve says so.
    house.compose(&["stop", "postgres"]).ok();
    let replica = house.containers("auth-server").remove(0);
    assert_ne!(docker(&["exec", &replica, "ready", "9000"]).code, 0);
}

#[test]
fn our_images_add_little_to_their_bases() {
    for name in ["auth-server", "artifacts"] {
        let image = format!("doorward-{name}:{}", env!("CARGO_PKG_VERSION"));
        let sizes = docker(&["history", "--human=false", "--format", "{{.Size}}", &image]).ok();
        let mut layers: Vec<u64> = sizes.lines().map(|size| size.parse().expect("bytes")).collect();
        // The oldest layer is the base.
        layers.pop();
        let added = layers.iter().sum::<u64>();
        assert!(added < 48 * 1024 * 1024, "{image}: {added} bytes in {layers:?}");
    }
}

#[tokio::test]
async fn with_tls_both_servers_are_reached_by_their_public_names() {
    let house = Compose::with_tls("https://auth.example.test", "https://mcp.example.test").await;
    house.set_up().await;
    let alice = house.user("alice@example.test");
    walk_the_golden_path(&house, &alice).await;
    let answer = Answer::to(process::client().get(format!("{}/healthz", house.issuer()))).await;
    assert!(answer.header("strict-transport-security").contains("max-age="), "{answer:#?}");
    let plain = Answer::to(process::client().get("http://auth.example.test/healthz")).await;
    assert_eq!(plain.status, 308, "{plain:#?}");
    assert_eq!(plain.header("location"), "https://auth.example.test/healthz");
}
