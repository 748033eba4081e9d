//! Group 1.8 with a retry window: a lost answer is given again, and a copy is still a copy.

use std::collections::BTreeSet;
use std::time::Duration;

use e2e::answer::Answer;
use e2e::client::{Client, Tokens, decode};
use e2e::house::{Plan, Store};
use e2e::visitor::Visitor;

use crate::stage::{PUB1, Stage, assert_json_error, changed, http};

e2e::on_both_stores!(
    within_the_window_a_lost_answer_is_given_again,
    of_many_who_refresh_at_once_within_the_window_all_get_the_same_answer,
    from_elsewhere_a_family_may_be_retried_three_times_a_day,
);

async fn stage(store: Store, window: &str) -> Stage {
    Stage::build(Plan::on(store).without_artifacts().with("REFRESH__RETRY_WINDOW", window)).await
}

async fn refresh_with(client: &Client, token: &str, changes: &[(&str, &str)]) -> Answer {
    let plain = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", &client.client_id)];
    client.token(&changed(&plain, changes)).await
}

/// The same refresh by a program that calls itself something else.
async fn refresh_as(stage: &Stage, client: &Client, token: &str, agent: &str) -> Answer {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", &client.client_id)];
    let request = http().post(stage.discovery.endpoint("token_endpoint")).header("user-agent", agent);
    Answer::to(request.form(&form)).await
}

// RT-02, RT-03
async fn within_the_window_a_lost_answer_is_given_again(store: Store) {
    let mut stage = stage(store, "1m").await;
    let client = stage.client(&[PUB1]).await;
    let first = stage.tokens(&client, &Visitor::new()).await;
    let second = Tokens::read(&client.refresh(&first.refresh).await);
    for _ in 0..3 {
        let again = client.refresh(&first.refresh).await;
        assert_eq!(again.header("cache-control"), "no-store");
        let again = Tokens::read(&again);
        assert_eq!((&again.refresh, &again.access), (&second.refresh, &second.access));
        assert_eq!(again.scope(), second.scope());
        let (now, then) = (&again.all["expires_in"], &second.all["expires_in"]);
        assert!(now.as_i64() > Some(0) && now.as_i64() <= then.as_i64(), "{now} {then}");
    }
    // What is kept is in the store: another process gives the same answer.
    stage.house.restart_auth_server().await;
    let again = Tokens::read(&client.refresh(&first.refresh).await);
    assert_eq!((&again.refresh, &again.access), (&second.refresh, &second.access));

    let third = Tokens::read(&client.refresh(&second.refresh).await);
    assert_ne!(third.refresh, second.refresh);
    assert_json_error(&client.refresh(&first.refresh).await, 400, "refresh_replayed");
    assert_json_error(&client.refresh(&third.refresh).await, 400, "invalid_grant");
    stage.close().await;
}

// RT-04, RT-05
#[tokio::test]
async fn only_the_last_used_token_may_be_retried_and_only_within_the_window() {
    let stage = stage(Store::Sqlite, "1s").await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    let first = stage.tokens(&client, &visitor).await;
    let second = Tokens::read(&client.refresh(&first.refresh).await);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_json_error(&client.refresh(&first.refresh).await, 400, "refresh_replayed");
    assert_json_error(&client.refresh(&second.refresh).await, 400, "invalid_grant");

    let first = stage.tokens(&client, &visitor).await;
    let second = Tokens::read(&client.refresh(&first.refresh).await);
    let third = Tokens::read(&client.refresh(&second.refresh).await);
    assert_json_error(&client.refresh(&first.refresh).await, 400, "refresh_replayed");
    for token in [&second, &third] {
        assert_eq!(client.refresh(&token.refresh).await.status, 400);
    }
    stage.close().await;
}

#[tokio::test]
async fn what_was_taken_away_meanwhile_is_not_given_again() {
    let stage = stage(Store::Sqlite, "1m").await;
    let client = stage.client(&[PUB1]).await;
    let code = stage.code(&client, &Visitor::new(), &["destroy"]).await;
    let first = Tokens::read(&code.redeem().await);
    let second = Tokens::read(&client.refresh(&first.refresh).await);
    let deletes = |tokens: &Tokens| tokens.scope().iter().any(|scope| scope == "artifacts:delete");
    assert!(deletes(&second));
    let grant = decode(&second.access).1["sid"].as_str().expect("a grant").to_owned();
    stage.house.cli(&["grant", "narrow", &grant, "--tier", "read"], "").ok();
    let again = Tokens::read(&client.refresh(&first.refresh).await);
    assert_eq!(again.refresh, second.refresh, "the one live token");
    assert_ne!(again.access, second.access);
    assert!(!deletes(&again), "{:?}", again.scope());
    stage.house.cli(&["grant", "revoke", &grant], "").ok();
    assert_eq!(client.refresh(&first.refresh).await.status, 400);
    stage.close().await;
}

// RT-25
#[tokio::test]
async fn an_answer_that_is_kept_cannot_be_read_from_the_database_or_the_log() {
    let stage = stage(Store::Sqlite, "1m").await;
    let client = stage.client(&[PUB1]).await;
    let first = stage.tokens(&client, &Visitor::new()).await;
    let second = Tokens::read(&client.refresh(&first.refresh).await);
    Tokens::read(&client.refresh(&first.refresh).await);
    let folder = stage.house.folder();
    let files = ["doorward.db", "doorward.db-wal"].map(|name| folder.join(name)).into_iter();
    let stored: Vec<u8> = files.filter_map(|file| std::fs::read(file).ok()).flatten().collect();
    let has = |text: &str| stored.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(has(&client.client_id), "what is looked for would be found");
    for token in [&first.refresh, &second.refresh, &second.access] {
        assert!(!has(token) && !stage.house.logs().contains(token.as_str()));
    }
    stage.close().await;
}

// RT-06
async fn of_many_who_refresh_at_once_within_the_window_all_get_the_same_answer(store: Store) {
    let stage = stage(store, "1m").await;
    let client = stage.client(&[PUB1]).await;
    let first = stage.tokens(&client, &Visitor::new()).await;
    let all = (0..64).map(|_| client.refresh(&first.refresh));
    let answers = futures_util::future::join_all(all).await;
    let given: BTreeSet<_> = answers.iter().map(|answer| Tokens::read(answer).refresh).collect();
    assert_eq!(given.len(), 1, "{given:?}");
    let last = given.first().expect("one");
    Tokens::read(&client.refresh(last).await);
    stage.close().await;
}

// RT-23
#[tokio::test]
async fn a_retry_that_asks_for_something_else_gets_nothing_and_ends_nothing() {
    let stage = stage(Store::Sqlite, "1m").await;
    let client = stage.client(&[PUB1]).await;
    let first = stage.tokens(&client, &Visitor::new()).await;
    let second = Tokens::read(&client.refresh(&first.refresh).await);
    for odd in [("scope", "openid"), ("resource", stage.house.mcp_url())] {
        let answer = refresh_with(&client, &first.refresh, &[odd]).await;
        assert_json_error(&answer, 400, "invalid_grant");
    }
    let again = Tokens::read(&client.refresh(&first.refresh).await);
    assert_eq!(again.refresh, second.refresh);
    Tokens::read(&client.refresh(&second.refresh).await);
    stage.close().await;
}

// RT-24
async fn from_elsewhere_a_family_may_be_retried_three_times_a_day(store: Store) {
    let stage = stage(store, "1m").await;
    let client = stage.client(&[PUB1]).await;
    let first = stage.tokens(&client, &Visitor::new()).await;
    let second = Tokens::read(&client.refresh(&first.refresh).await);
    for agent in ["another/1", "another/2", "another/1"] {
        let again = Tokens::read(&refresh_as(&stage, &client, &first.refresh, agent).await);
        assert_eq!(again.refresh, second.refresh);
        // Its own place it may ask from as often as it wants.
        Tokens::read(&client.refresh(&first.refresh).await);
    }
    let fourth = refresh_as(&stage, &client, &first.refresh, "another/1").await;
    assert_json_error(&fourth, 400, "refresh_replayed");
    assert_json_error(&client.refresh(&second.refresh).await, 400, "invalid_grant");
    stage.close().await;
}
