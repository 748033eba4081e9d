//! Group 1.9, at the other end: what the authorization server has ended is refused by a resource server that checks tokens on its
//! own, and by nobody's restart revived.

use std::time::Duration;

use e2e::answer::Answer;
use e2e::client::{Tokens, text};
use e2e::house::{Plan, Store};
use e2e::mcp::Mcp;
use e2e::visitor::Visitor;
use serde_json::{Value, json};
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

/// What a public link, a download address and an upload address answer.
async fn addresses(stage: &Stage, token: &str) -> [String; 3] {
    let mcp = Mcp::connect(stage.house.mcp_url(), token).await;
    let file = json!({"filename": "a.txt", "content": "c2hhcmVk"});
    let stored = answered(&mcp, "store_artifact", file).await;
    let artifact = json!({"artifact_id": stored["artifact_id"]});
    let link = answered(&mcp, "create_download_link", artifact.clone()).await;
    let download = answered(&mcp, "get_artifact_download_url", artifact).await;
    let announced = json!({"filename": "u.txt", "content_type": "text/plain", "size_bytes": 4});
    let upload = answered(&mcp, "request_upload_url", announced).await;
    [text(&link["url"]), text(&download["download_url"]), text(&upload["upload_url"])]
}

async fn answered(mcp: &Mcp, tool: &str, arguments: Value) -> Value {
    let answer = mcp.call(tool, arguments).await["result"].take();
    assert_eq!(answer["isError"], false, "{tool}: {answer:#}");
    answer["structuredContent"].clone()
}

async fn opens(stage_urls: &[String; 3], status: u16) -> bool {
    let [link, download, upload] = stage_urls;
    let put = Answer::to(http().put(upload).body("12")).await.status;
    // Two bytes are not the four that were announced, so that an address that is open stays open.
    let put = if put == 400 { 200 } else { put };
    let got = [Answer::to(http().get(link)).await.status, Answer::to(http().get(download)).await.status, put];
    got.iter().all(|found| *found == status)
}

async fn gone_soon(urls: &[String; 3]) {
    let begun = Instant::now();
    while !opens(urls, 410).await {
        assert!(begun.elapsed() < Duration::from_secs(5), "they still open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

// RV-05, RV-13: what a sign-in or a key made and what outlives its tokens ends with it, and is not revived.
#[tokio::test]
async fn links_end_with_the_sign_in_or_key_that_made_them() {
    let mut stage = Stage::build(Plan::on(Store::Sqlite)).await;
    let client = stage.client(&[PUB1]).await;
    let sign_in = async || {
        let code = stage.code(&client, &Visitor::new(), &["destroy"]).await;
        Tokens::read(&code.redeem().await)
    };
    let (gone, away, kept) = (sign_in().await, sign_in().await, sign_in().await);
    let owner = stage.house.alice().email.clone();
    let key = ["key", "create", "--user", &owner, "--name", "CI", "--full", "--json"];
    let key = stage.house.cli(&key, "").json();
    let of_gone = addresses(&stage, &gone.access).await;
    let of_away = addresses(&stage, &away.access).await;
    let of_kept = addresses(&stage, &kept.access).await;
    let of_key = addresses(&stage, &text(&key["secret"])).await;
    for urls in [&of_gone, &of_away, &of_kept, &of_key] {
        assert!(opens(urls, 200).await);
    }
    // New tokens of the same sign-in are not another sign-in.
    let renewed = Tokens::read(&client.refresh(&gone.refresh).await);
    assert!(opens(&of_gone, 200).await);
    assert_eq!(client.revoke(&renewed.refresh).await.status, 200);
    stage.house.cli(&["key", "revoke", &text(&key["id"])], "").ok();
    gone_soon(&of_gone).await;
    gone_soon(&of_key).await;
    assert!(opens(&of_away, 200).await && opens(&of_kept, 200).await);

    // Ended while the resource server is away, which then starts with the authorization server away.
    stage.house.stop_artifacts();
    assert_eq!(client.revoke(&away.refresh).await.status, 200);
    stage.house.restart_artifacts().await;
    gone_soon(&of_away).await;
    stage.house.kill9();
    stage.house.restart_artifacts().await;
    for urls in [&of_gone, &of_key, &of_away] {
        assert!(opens(urls, 410).await);
    }
    assert!(opens(&of_kept, 200).await);
    stage.house.restart_auth_server().await;
    stage.house.cli(&["user", "disable", &owner], "").ok();
    gone_soon(&of_kept).await;
    stage.house.cli(&["user", "enable", &owner], "").ok();
    assert!(opens(&of_kept, 410).await, "enabling revives nothing");
    stage.close().await;
}
