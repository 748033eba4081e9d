//! Group 1.9, at the other end: what the authorization server has ended is refused by a resource server that checks tokens on its
//! own, and by nobody's restart revived.

use std::time::Duration;

use e2e::answer::Answer;
use e2e::house::{Plan, Store};
use e2e::visitor::Visitor;
use serde_json::json;
use tokio::time::Instant;

use crate::stage::{PUB1, Stage, http};

/// The status of one MCP request with this token.
async fn status(stage: &Stage, token: &str) -> u16 {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
    let asked = http().post(stage.house.mcp_url()).bearer_auth(token).json(&message);
    Answer::to(asked.header("accept", "application/json, text/event-stream")).await.status
}

async fn refused_soon(stage: &Stage, token: &str) {
    let begun = Instant::now();
    while status(stage, token).await != 401 {
        // Far less than the feed may be silent, with room for a machine that is busy.
        assert!(begun.elapsed() < Duration::from_secs(5), "it is still good");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn what_is_ended_is_refused_there_and_stays_so(store: Store) {
    let mut stage = Stage::build(Plan::on(store)).await;
    let client = stage.client(&[PUB1]).await;
    let gone = stage.tokens(&client, &Visitor::new()).await;
    let kept = stage.tokens(&client, &Visitor::new()).await;
    for tokens in [&gone, &kept] {
        assert_eq!(status(&stage, &tokens.access).await, 200);
    }
    assert_eq!(client.revoke(&gone.refresh).await.status, 200);
    refused_soon(&stage, &gone.access).await;
    assert_eq!(status(&stage, &kept.access).await, 200);

    // The resource server starts again while the authorization server is away.
    stage.house.kill9();
    stage.house.restart_artifacts().await;
    assert_eq!(status(&stage, &gone.access).await, 401);
    assert_eq!(status(&stage, &kept.access).await, 200);

    // And hears of what comes when it is back.
    stage.house.restart_auth_server().await;
    let email = stage.house.alice().email.clone();
    stage.house.cli(&["user", "disable", &email], "").ok();
    refused_soon(&stage, &kept.access).await;
    stage.house.cli(&["user", "enable", &email], "").ok();
    let again = stage.tokens(&client, &Visitor::new()).await;
    assert_eq!(status(&stage, &again.access).await, 200);
    assert_eq!(status(&stage, &kept.access).await, 401);
    stage.close().await;
}

// RV-05
#[tokio::test]
async fn what_is_ended_is_refused_there_and_stays_so_on_sqlite() {
    what_is_ended_is_refused_there_and_stays_so(Store::Sqlite).await;
}

// RV-05
#[tokio::test]
async fn what_is_ended_is_refused_there_and_stays_so_on_postgresql() {
    what_is_ended_is_refused_there_and_stays_so(Store::Postgres).await;
}
