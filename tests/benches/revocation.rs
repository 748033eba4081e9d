//! How long from the answer to an administrator who ends a grant to the first 401 at two resource servers that follow different
//! ones of three replicas. `make bench` runs it on the programs as they are released.
//!
//! The stores are those of `tests/with-stores`. That its PostgreSQL does not sync plays no part: the clock starts when the
//! revocation is committed and answered.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::time::Duration;

use e2e::admin::Admin;
use e2e::client::{decode, text};
use e2e::mcp::Mcp;
use e2e::replicas::Replicas;
use e2e::visitor::Visitor;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

const REVOCATIONS: usize = 200;
/// What is promised, for 99 of 100.
const BAR: Duration = Duration::from_secs(1);
/// A resource server that takes longer than this is broken, not slow.
const BROKEN: Duration = Duration::from_mins(1);

/// Asks until the answer is 401; how long that took from `since`.
async fn refused(url: &str, token: &str, since: Instant) -> Duration {
    let mcp = Mcp::unconnected(url, token);
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    while mcp.post(&ping).await.status != 401 {
        assert!(since.elapsed() < BROKEN, "{url} still takes the token");
    }
    since.elapsed()
}

async fn measure() -> Vec<Duration> {
    let mut replicas = Replicas::start(3).await;
    replicas.follow(&[0, 2]).await;
    let (client, visitor) = (replicas.scene.client().await, Visitor::new());
    let admin = Admin::with(&replicas.house, &["grants:write"]);
    let revoking: Vec<_> = (0..3).map(|i| admin.clone().at(&replicas.origin(i))).collect();
    let mut all = Vec::new();
    for i in 0..REVOCATIONS {
        let tokens = replicas.scene.tokens(&client, &visitor).await;
        let servers = replicas.resource_servers();
        for url in &servers {
            assert_eq!(Mcp::hello(url, &tokens.access).await.status, 200, "{url}");
        }
        let grant = text(&decode(&tokens.access).1["sid"]);
        let answer = revoking[i % revoking.len()].delete(&format!("/grants/{grant}")).await;
        let since = Instant::now();
        assert_eq!(answer.status, 204, "{answer:#?}");
        all.extend(join_all(servers.iter().map(|url| refused(url, &tokens.access, since))).await);
    }
    all
}

#[tokio::main]
async fn main() {
    let mut all = measure().await;
    all.sort_unstable();
    let at = |part: usize| all[(all.len() * part).div_ceil(100).max(1) - 1];
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
    println!(
        "from the answer to an administrator who ended a grant to the first 401: {REVOCATIONS} revocations, 3 replicas, 2 resource servers"
    );
    println!("{:>10} {:>10} {:>10} {:>16}", "p50 (ms)", "p99 (ms)", "max (ms)", "p99 may be (ms)");
    println!("{:>10} {:>10} {:>10} {:>16}", ms(at(50)), ms(at(99)), ms(at(100)), ms(BAR));
}
