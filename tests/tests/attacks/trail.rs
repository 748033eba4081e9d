//! Group 1.22 and 1.24, continued: what was done leaves a trail that cannot be changed unseen, and no secret in it.

use std::time::Duration;

use e2e::house::Store;
use e2e::visitor::Visitor;
use serde_json::Value;

use crate::stage::{PUB1, Stage};

async fn deeds_leave_a_trail_that_is_whole(store: Store) {
    let stage = Stage::start(store).await;
    let client = stage.client(&[PUB1]).await;
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    assert_eq!(client.refresh(&tokens.refresh).await.status, 200);
    assert_eq!(client.refresh(&tokens.refresh).await.status, 400);
    let email = stage.house.alice().email.clone();
    stage.house.cli(&["user", "disable", &email], "").ok();
    stage.house.cli(&["user", "enable", &email], "").ok();
    let exported = stage.house.cli(&["audit", "export"], "").ok();
    let events: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let actions: Vec<_> = events.iter().filter_map(|event| event["action"].as_str()).collect();
    for action in [
        "user_created",
        "resource_added",
        "client_registered",
        "signed_in",
        "consent_given",
        "code_redeemed",
        "refresh_replayed",
        "user_disabled",
        "user_enabled",
        "key_created",
    ] {
        assert!(actions.contains(&action), "{action} is not in {actions:?}");
    }
    let numbers: Vec<_> = events.iter().filter_map(|event| event["sequence"].as_i64()).collect();
    assert_eq!(numbers, (1..).take(events.len()).collect::<Vec<_>>());
    // Nobody's address, name or secret is in it: identifiers only.
    for secret in [email.as_str(), &stage.house.alice().password, &tokens.refresh, &tokens.access, "Alice"] {
        assert!(!exported.contains(secret));
    }
    let whole = stage.house.cli(&["audit", "verify", "--json"], "").json();
    assert_eq!(whole["whole"], true, "{whole:#}");
    let rest = stage.house.cli(&["audit", "export", "--since", "3"], "").ok();
    assert!(rest.lines().next().is_some_and(|line| line.contains("\"sequence\":4")), "{rest}");

    // The server signs where the trail stands, and says it in its log.
    let kept = stage.house.folder().join("checkpoints");
    for _ in 0..100 {
        if stage.house.logs().contains("audit checkpoint") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let logs = stage.house.logs();
    let mut said = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let checkpoint = said.find_map(|line| line["checkpoint"].as_str().map(String::from));
    let checkpoint = checkpoint.expect("a checkpoint in the log");
    std::fs::write(&kept, format!("{checkpoint}\n")).expect("it can be written");
    let path = kept.to_str().expect("text");
    let again = stage.house.cli(&["audit", "verify", "--checkpoint", path, "--json"], "").json();
    assert_eq!(again["whole"], true, "{again:#}");
    std::fs::write(&kept, "a.b.c\n").expect("it can be written");
    let refused = stage.house.cli(&["audit", "verify", "--checkpoint", path], "");
    assert!(refused.code == 1 && refused.stderr.contains("line 1"), "{refused:#?}");
    stage.close().await;
}

// AD-10
#[tokio::test]
async fn deeds_leave_a_trail_that_is_whole_on_sqlite() {
    deeds_leave_a_trail_that_is_whole(Store::Sqlite).await;
}

// AD-10
#[tokio::test]
async fn deeds_leave_a_trail_that_is_whole_on_postgresql() {
    deeds_leave_a_trail_that_is_whole(Store::Postgres).await;
}
