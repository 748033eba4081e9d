//! A server that is asked to stop while it has work, and a second one where there may be one.

use std::process::Stdio;
use std::time::Duration;

use e2e::answer::Answer;
use e2e::client::Tokens;
use e2e::house::{House, Plan, Store};
use e2e::ports::Port;
use e2e::process::{self, command};
use e2e::scene::Scene;
use e2e::visitor::Visitor;
use tokio::net::TcpStream;

use crate::{Lock, Posted};
use tokio::time::Instant;

async fn long_poll(house: &House) -> (Answer, Duration) {
    let (id, secret) = house.resource_credentials();
    let begun = Instant::now();
    let url = format!("{}/oauth2/revocations?after=0&wait=25", house.origin());
    let answer = Answer::to(process::client().get(url).basic_auth(id, Some(secret))).await;
    (answer, begun.elapsed())
}

// FT-23
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_to_stop_finishes_what_is_under_way_and_sends_home_who_waits() {
    let mut house = House::build(Plan::on(Store::Postgres).without_artifacts()).await;
    let (scene, visitor) = (Scene::at(&house).await, Visitor::new());
    let client = scene.client().await;
    let tokens = scene.tokens(&client, &visitor).await;
    let other = scene.tokens(&client, &visitor).await;
    let held = Lock::take(house.database(), "select id from grants for update");
    let revocation = [("token", tokens.refresh.as_str()), ("client_id", &client.client_id)];
    let mut revoked = Posted::to(&scene.endpoint("revocation_endpoint"), &revocation).await;
    let address = house.origin().replace("http://localhost", "127.0.0.1");
    let _idle = TcpStream::connect(&address).await.expect("the server listens");
    let poll = long_poll(&house);
    let id = house.auth_server_id();
    let stop = async {
        revoked.assert_silent(Duration::from_millis(500)).await;
        process::signal("-TERM", id);
        revoked.assert_silent(Duration::from_secs(1)).await;
        drop(held);
        revoked.status().await
    };
    let ((answer, waited), status) = tokio::join!(poll, stop);
    assert_eq!(status, 200, "what was under way is finished");
    assert_eq!(answer.status, 200, "{answer:#?}");
    assert!(waited < Duration::from_secs(10), "who waits for news was held for {waited:?}");
    let begun = Instant::now();
    assert_eq!(house.auth_server().ended(Duration::from_secs(15)).await, Some(0), "{}", house.logs());
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?} to end", begun.elapsed());
    assert!(TcpStream::connect(&address).await.is_err(), "nobody listens any more");

    house.restart_auth_server().await;
    client.refresh(&tokens.refresh).await.expect_error(400, "invalid_grant");
    Tokens::read(&client.refresh(&other.refresh).await);
}

// FT-23, with an open file instead of a database server, and nobody in the middle of anything
#[tokio::test]
async fn a_server_with_nothing_to_do_stops_at_once_and_leaves_one_whole_file() {
    let mut house = House::build(Plan::on(Store::Sqlite).without_artifacts()).await;
    let scene = Scene::at(&house).await;
    let client = scene.client().await;
    let tokens = scene.tokens(&client, &Visitor::new()).await;
    let id = house.auth_server_id();
    let stop = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        process::signal("-TERM", id);
    };
    let ((answer, waited), ()) = tokio::join!(long_poll(&house), stop);
    assert_eq!(answer.status, 200, "{answer:#?}");
    assert!(waited < Duration::from_secs(10), "who waits for news was held for {waited:?}");
    assert_eq!(house.auth_server().ended(Duration::from_secs(10)).await, Some(0), "{}", house.logs());
    let log = house.folder().join("doorward.db-wal");
    assert!(!log.exists(), "everything is in the file itself");
    house.restart_auth_server().await;
    Tokens::read(&client.refresh(&tokens.refresh).await);
}

// FT-11
#[tokio::test]
async fn a_second_server_on_one_file_refuses_to_start_and_the_first_goes_on() {
    let house = House::build(Plan::on(Store::Sqlite).without_artifacts()).await;
    let port = Port::reserve();
    let second = command("doorward", &house.folder())
        .envs(house.environment().iter().cloned())
        .env("DOORWARD__SERVER__LISTEN", port.both_loopbacks())
        .arg("serve")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .expect("doorward runs");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another `doorward serve` runs on") && said.contains("PostgreSQL"), "{said}");
    let scene = Scene::at(&house).await;
    scene.tokens(&scene.client().await, &Visitor::new()).await;
}
