//! Group 1.8: a refresh token is good once, and a copy ends the family.

use std::time::Duration;

use e2e::answer::Answer;
use e2e::client::{Client, Tokens, decode, text};
use e2e::fresh;
use e2e::house::{Plan, Store};
use e2e::visitor::Visitor;

use crate::stage::{EVIL, PUB1, Stage, assert_json_error, http};

e2e::on_both_stores!(a_copy_of_a_used_token_ends_the_family_whoever_shows_it);

/// A refresh with some parameters added or replaced.
async fn refresh_with(client: &Client, token: &str, changes: &[(&str, &str)]) -> Answer {
    let plain = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", &client.client_id)];
    client.token(&crate::stage::changed(&plain, changes)).await
}

async fn renewed(client: &Client, token: &str) -> Tokens {
    Tokens::read(&client.refresh(token).await)
}

// RT-01, RT-04, RT-07, RT-08, RT-10
async fn a_copy_of_a_used_token_ends_the_family_whoever_shows_it(store: Store) {
    let stage = Stage::start(store).await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    // The thief is first and goes on twice; then the owner comes. Or the owner is first, and the thief comes later. On the
    // wire the two are one story, and all of it happens within a second.
    for steps in [1, 2, 3] {
        let first = stage.tokens(&client, &visitor).await;
        let mut last = first.clone();
        for _ in 0..steps {
            let next = renewed(&client, &last.refresh).await;
            assert_ne!(next.refresh, last.refresh);
            assert_ne!(decode(&next.access).1["jti"], decode(&last.access).1["jti"]);
            assert_eq!(next.scope(), first.scope());
            assert_eq!(decode(&next.access).1["sid"], decode(&first.access).1["sid"]);
            last = next;
        }
        assert_json_error(&client.refresh(&first.refresh).await, 400, "refresh_replayed");
        assert_json_error(&client.refresh(&last.refresh).await, 400, "invalid_grant");
        let asked = http().get(stage.at("/oauth2/userinfo")).bearer_auth(&last.access);
        assert_eq!(
            Answer::to(asked).await.status,
            401,
            "where the grant is looked at, its tokens are dead too"
        );
        // However often it is shown, it is a copy.
        assert_json_error(&client.refresh(&first.refresh).await, 400, "refresh_replayed");
    }
    stage.close().await;
}

// RT-04, with the code that the operator may choose instead
#[tokio::test]
async fn the_operator_may_have_a_replay_answered_by_the_code_of_the_rfc() {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("REFRESH__REPLAY_ERROR", "invalid_grant");
    let stage = Stage::build(plan).await;
    let client = stage.client(&[PUB1]).await;
    let first = stage.tokens(&client, &Visitor::new()).await;
    let second = renewed(&client, &first.refresh).await;
    assert_json_error(&client.refresh(&first.refresh).await, 400, "invalid_grant");
    assert_json_error(&client.refresh(&second.refresh).await, 400, "invalid_grant");
    stage.close().await;
}

// RT-09, RT-11: the start after a crash also forgets what is over, and must not forget this.
#[tokio::test]
async fn a_restart_does_not_make_a_used_token_new() {
    let mut stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let first = stage.tokens(&client, &Visitor::new()).await;
    let second = renewed(&client, &first.refresh).await;
    stage.house.restart_auth_server().await;
    let third = renewed(&client, &second.refresh).await;
    stage.house.restart_auth_server().await;
    assert_json_error(&client.refresh(&first.refresh).await, 400, "refresh_replayed");
    assert_json_error(&client.refresh(&third.refresh).await, 400, "invalid_grant");
    stage.close().await;
}

// RT-12, RT-13
#[tokio::test]
async fn who_is_not_the_client_changes_nothing() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let evil = stage.client(&[EVIL]).await;
    let visitor = Visitor::new();
    let first = stage.tokens(&client, &visitor).await;
    let second = renewed(&client, &first.refresh).await;
    for token in [&first.refresh, &second.refresh] {
        assert_json_error(&evil.refresh(token).await, 400, "invalid_grant");
    }
    renewed(&client, &second.refresh).await;

    for method in ["client_secret_basic", "client_secret_post"] {
        let (confidential, secret) = stage.confidential(method).await;
        let code = stage.code(&confidential, &visitor, &["read"]).await;
        let id = confidential.client_id.as_str();
        let basic = |secret: &str, parameters: &[(&str, &str)]| {
            confidential
                .token_request(&crate::stage::changed(parameters, &[("client_id", "")]))
                .basic_auth(id, Some(secret))
        };
        let redirect_uri = code.request.get("redirect_uri");
        let exchange = [
            ("grant_type", "authorization_code"),
            ("code", code.text.as_str()),
            ("redirect_uri", &redirect_uri),
            ("code_verifier", &code.request.verifier),
            ("client_id", id),
        ];
        let in_body = |secret: &str, parameters: &[(&str, &str)]| {
            let secret = [("client_secret", secret)];
            confidential.token_request(&[parameters, &secret].concat())
        };
        let right = |parameters: &[(&str, &str)]| {
            if method == "client_secret_basic" {
                basic(&secret, parameters)
            } else {
                in_body(&secret, parameters)
            }
        };
        let other = |parameters: &[(&str, &str)]| {
            if method == "client_secret_basic" {
                in_body(&secret, parameters)
            } else {
                basic(&secret, parameters)
            }
        };
        let tokens = Tokens::read(&Answer::to(right(&exchange)).await);
        let refresh =
            [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh), ("client_id", id)];
        let wrong = secret.replace("dws_", "dwr_");
        for request in [
            confidential.token_request(&refresh),
            basic(&fresh(), &refresh),
            basic("", &refresh),
            basic(&wrong, &refresh),
            basic(&secret[..secret.len() - 1], &refresh),
            in_body(&fresh(), &refresh),
            other(&refresh),
        ] {
            let answer = Answer::to(request).await;
            assert_json_error(&answer, 401, "invalid_client");
        }
        let challenged = Answer::to(basic(&fresh(), &refresh)).await;
        assert!(challenged.header("www-authenticate").starts_with("Basic realm="), "{challenged:#?}");
        let twice = Answer::to(basic(&secret, &[&refresh[..], &[("client_secret", &secret)]].concat())).await;
        assert_json_error(&twice, 400, "invalid_request");
        Tokens::read(&Answer::to(right(&refresh)).await);
    }
    stage.close().await;
}

// RT-14, RT-15, RT-16, RT-17
#[tokio::test]
async fn a_refresh_may_ask_for_less_and_never_for_more_or_elsewhere() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let code = stage.code(&client, &Visitor::new(), &["write"]).await;
    let tokens = Tokens::read(&code.redeem().await);
    let whole = tokens.scope();
    for scope in ["openid artifacts:delete", "artifacts:read admin", "email", "artifacts:*"] {
        let answer = refresh_with(&client, &tokens.refresh, &[("scope", scope)]).await;
        assert_json_error(&answer, 400, "invalid_scope");
    }
    for scope in ["artifacts:read  openid", "\"", "é"] {
        let answer = refresh_with(&client, &tokens.refresh, &[("scope", scope)]).await;
        assert_json_error(&answer, 400, "invalid_scope");
    }
    for resource in [
        "https://mcp.test/b",
        &format!("{}/more", stage.house.mcp_url()),
        stage.house.issuer(),
        "x",
        "javascript:x",
    ] {
        let answer = refresh_with(&client, &tokens.refresh, &[("resource", resource)]).await;
        assert_json_error(&answer, 400, "invalid_target");
    }
    let narrow = Tokens::read(&refresh_with(&client, &tokens.refresh, &[("scope", "artifacts:read")]).await);
    assert_eq!(narrow.scope(), ["artifacts:read"]);
    assert_eq!(decode(&narrow.access).1["scope"], "artifacts:read");
    // Narrowed once; the grant stays what it was, and so does its audience.
    let again = renewed(&client, &narrow.refresh).await;
    assert_eq!(again.scope(), whole);
    assert_eq!(decode(&again.access).1["aud"], stage.house.mcp_url());
    let named = refresh_with(&client, &again.refresh, &[("resource", stage.house.mcp_url())]).await;
    assert_eq!(decode(&Tokens::read(&named).access).1["aud"], stage.house.mcp_url());
    stage.close().await;
}

// RT-18, DR-21
#[tokio::test]
async fn what_an_administrator_takes_away_is_gone_at_the_next_refresh_and_stays_gone() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let url = stage.house.mcp_url().to_owned();

    let tokens = stage.tokens(&client, &Visitor::new()).await;
    stage.house.cli(&["user", "disable", "alice@example.test"], "").ok();
    let asked = http().get(stage.at("/oauth2/userinfo")).bearer_auth(&tokens.access);
    assert_eq!(Answer::to(asked).await.status, 401);
    assert_json_error(&client.refresh(&tokens.refresh).await, 400, "invalid_grant");
    stage.house.cli(&["user", "enable", "alice@example.test"], "").ok();
    assert_json_error(&client.refresh(&tokens.refresh).await, 400, "invalid_grant");

    let tokens = stage.tokens(&client, &Visitor::new()).await;
    stage.house.cli(&["resource", "remove", &url], "").ok();
    assert_json_error(&client.refresh(&tokens.refresh).await, 400, "invalid_grant");
    stage.house.cli(&["resource", "add", "--url", &url, "--name", "Again"], "").ok();
    assert_json_error(&client.refresh(&tokens.refresh).await, 400, "invalid_grant");

    let tokens = stage.tokens(&client, &Visitor::new()).await;
    stage.house.cli(&["client", "delete", &client.client_id], "").ok();
    assert_json_error(&client.refresh(&tokens.refresh).await, 401, "invalid_client");
    let again = [
        "client",
        "create",
        "--name",
        "T",
        "--public",
        "--redirect-uri",
        PUB1,
        "--client-id",
        &client.client_id,
    ];
    stage.house.cli(&again, "").ok();
    assert_json_error(&client.refresh(&tokens.refresh).await, 400, "invalid_grant");
    stage.close().await;
}

// RT-20, RT-27
#[tokio::test]
async fn rotation_never_moves_the_end_of_a_family() {
    let plan = Plan::on(Store::Sqlite).without_artifacts();
    let stage = Stage::build(plan.with("REFRESH__IDLE", "6s").with("REFRESH__ABSOLUTE", "6s")).await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    let begun = tokio::time::Instant::now();
    let mut tokens = stage.tokens(&client, &visitor).await;
    let idle = stage.tokens(&client, &visitor).await;
    let end = loop {
        assert!(tokens.all["expires_in"].as_i64().is_some_and(|left| left <= 6), "{:#}", tokens.all);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let answer = client.refresh(&tokens.refresh).await;
        if answer.status != 200 {
            break answer;
        }
        tokens = Tokens::read(&answer);
        assert!(begun.elapsed() < Duration::from_secs(20), "it goes on for ever");
    };
    assert_json_error(&end, 400, "invalid_grant");
    assert!(begun.elapsed() >= Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_json_error(&client.refresh(&idle.refresh).await, 400, "invalid_grant");
    stage.close().await;
}

// RT-20: unused for too long, though its family could have lived on
#[tokio::test]
async fn a_token_that_nobody_used_dies_before_its_family() {
    let plan = Plan::on(Store::Sqlite).without_artifacts();
    let stage = Stage::build(plan.with("REFRESH__IDLE", "2s").with("REFRESH__ABSOLUTE", "1h")).await;
    let client = stage.client(&[PUB1]).await;
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    tokio::time::sleep(Duration::from_millis(3100)).await;
    assert_json_error(&client.refresh(&tokens.refresh).await, 400, "invalid_grant");
    stage.close().await;
}

// RT-21, RT-22
#[tokio::test]
async fn only_the_very_text_of_a_refresh_token_is_one() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    let tokens = stage.tokens(&client, &visitor).await;
    let code = stage.code(&client, &visitor, &["read"]).await;
    let right = tokens.refresh.clone();
    let mut wrong = vec![
        format!("{right}A"),
        format!("{right}="),
        format!(" {right}"),
        format!("{right}\n"),
        right.to_uppercase(),
        right.to_lowercase(),
        right.replace("dwr_", "dwc_"),
        tokens.access.clone(),
        code.text.clone(),
        code.text.replace("dwc_", "dwr_"),
        "x".repeat(8 * 1024),
        "é".to_owned(),
        "' OR 1=1--".to_owned(),
        fresh(),
    ];
    wrong.extend((1..right.len()).step_by(5).map(|cut| right[..right.len() - cut].to_owned()));
    for wrong in &wrong {
        let answer = client.refresh(wrong).await;
        let lower_is_the_same = *wrong == right;
        assert!(!lower_is_the_same);
        assert_json_error(&answer, 400, "invalid_grant");
    }
    assert_json_error(&refresh_with(&client, "", &[]).await, 400, "invalid_request");
    assert_json_error(&refresh_with(&client, &right, &[("refresh_token", "")]).await, 400, "invalid_request");
    assert_json_error(&refresh_with(&client, "a\0b", &[]).await, 400, "invalid_request");
    renewed(&client, &right).await;
    stage.close().await;
}

// RT-26
#[tokio::test]
async fn a_replay_costs_one_sign_in_and_not_the_others_of_the_same_person() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    let one = stage.tokens(&client, &visitor).await;
    let two = stage.tokens(&client, &visitor).await;
    renewed(&client, &one.refresh).await;
    assert_json_error(&client.refresh(&one.refresh).await, 400, "refresh_replayed");
    let two = renewed(&client, &two.refresh).await;
    renewed(&client, &two.refresh).await;
    stage.close().await;
}

// RT-28, as D8 decides it
#[tokio::test]
async fn offline_access_may_be_asked_for_and_is_not_needed() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    for scope in ["openid", "openid offline_access", ""] {
        let request = client.request().with("scope", scope);
        let callback = visitor.authorize(&request.url(), stage.house.alice(), &["read"]).await;
        let answer = client.redeem(&request, &callback.code()).await.expect(200);
        assert!(text(&answer["refresh_token"]).starts_with("dwr_"), "{scope}: {answer:#}");
    }
    stage.close().await;
}
