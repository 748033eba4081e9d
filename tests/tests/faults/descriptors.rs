//! A server that may open no more files.

use std::time::Duration;

use e2e::client::Tokens;
use e2e::house::{House, Plan, Store};
use e2e::scene::Scene;
use e2e::visitor::Visitor;
use tokio::net::TcpStream;

use crate::ready;

/// Ticks of the processor that a process has used; a hundred are a second.
fn ticks(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
    let (_, fields) = stat.rsplit_once(") ").expect("the name is in brackets");
    fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum()
}

// FT-22
#[tokio::test]
async fn when_no_descriptor_is_left_the_server_waits_and_does_not_end() {
    let limited = ["bash", "-c", "ulimit -n 80; exec \"$@\"", "-"];
    let mut house = House::build(Plan::on(Store::Sqlite).without_artifacts().through(&limited)).await;
    let address = house.origin().replace("http://localhost", "127.0.0.1");
    let (scene, visitor) = (Scene::at(&house).await, Visitor::new());
    let client = scene.client().await;
    let tokens = scene.tokens(&client, &visitor).await;
    let code = scene.code(&client, &visitor).await;
    let mut open = Vec::new();
    for _ in 0..120 {
        open.push(TcpStream::connect(&address).await.expect("the system takes connections for the server"));
    }
    let id = house.auth_server().id();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let descriptors = std::fs::read_dir(format!("/proc/{id}/fd")).expect("it runs").count();
    assert!(descriptors >= 79, "{descriptors} of 80 are used: the server met no limit");
    let before = ticks(id);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let used = ticks(id) - before;
    assert!(used < 100, "{used} ticks in two seconds: the server tries again and again without a pause");
    assert!(house.auth_server().runs(), "{}", house.logs());
    drop(open);
    ready(&house, Duration::from_secs(20)).await;
    Tokens::read(&code.redeem().await);
    Tokens::read(&client.refresh(&tokens.refresh).await);
    assert!(!house.logs().contains("panicked"), "{}", house.logs());
}
