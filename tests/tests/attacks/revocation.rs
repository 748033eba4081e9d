//! Group 1.9: giving a token up, and what a token tells.

use e2e::answer::Answer;
use e2e::client::{Client, Tokens, challenge_parameter, text};
use e2e::house::Store;
use e2e::visitor::Visitor;

use crate::stage::{EVIL, PUB1, Stage, assert_json_error, http};

async fn revoke(client: &Client, parameters: &[(&str, &str)]) -> Answer {
    Answer::to(http().post(client.discovery.endpoint("revocation_endpoint")).form(parameters)).await
}

// RV-01, RV-05, RV-06
#[tokio::test]
async fn any_token_of_a_sign_in_ends_all_of_it() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    for which in ["live refresh token", "spent refresh token", "access token"] {
        let first = stage.tokens(&client, &visitor).await;
        let second = Tokens::read(&client.refresh(&first.refresh).await);
        let token = match which {
            "live refresh token" => &second.refresh,
            "spent refresh token" => &first.refresh,
            _ => &second.access,
        };
        let answer = client.revoke(token).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{which}: {answer:#?}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_json_error(&client.refresh(&second.refresh).await, 400, "invalid_grant");
        let asked = http().get(stage.at("/oauth2/userinfo")).bearer_auth(&second.access);
        assert_eq!(Answer::to(asked).await.status, 401, "{which}");
        assert_eq!(client.revoke(token).await.status, 200, "{which}: a second time is as good as the first");
    }
    stage.close().await;
}

// RV-03, RV-04
#[tokio::test]
async fn a_token_of_somebody_else_or_of_nobody_is_no_error_and_no_deed() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let evil = stage.client(&[EVIL]).await;
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    for token in [&tokens.refresh, &tokens.access] {
        let answer = evil.revoke(token).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{answer:#?}");
    }
    let id_token = text(&tokens.all["id_token"]);
    let strangers = [
        "x",
        "dwr_x",
        "eyJhbGciOiJub25lIn0.e30.",
        "a.b.c",
        "' OR 1=1--",
        "\u{e9}",
        &id_token,
        &tokens.refresh[..30],
    ];
    for token in strangers {
        for hint in ["", "refresh_token", "access_token", "id_token", "' OR 1=1--"] {
            let parameters = [("token", token), ("client_id", &client.client_id), ("token_type_hint", hint)];
            let answer = revoke(&client, &parameters).await;
            assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{token} {hint}: {answer:#?}");
        }
    }
    let id = client.client_id.as_str();
    assert_json_error(&revoke(&client, &[("client_id", id)]).await, 400, "invalid_request");
    assert_json_error(&revoke(&client, &[("client_id", id), ("token", "")]).await, 400, "invalid_request");
    let twice = [("client_id", id), ("token", &tokens.refresh), ("token", "x")];
    assert_json_error(&revoke(&client, &twice).await, 400, "invalid_request");
    assert_json_error(&revoke(&client, &[("token", &tokens.refresh)]).await, 400, "invalid_request");
    let nobody = [("token", tokens.refresh.as_str()), ("client_id", "nobody")];
    assert_json_error(&revoke(&client, &nobody).await, 401, "invalid_client");

    let tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    // A wrong hint only orders the search.
    let hinted = [("token", tokens.refresh.as_str()), ("client_id", id), ("token_type_hint", "access_token")];
    assert_eq!(revoke(&client, &hinted).await.status, 200);
    assert_json_error(&client.refresh(&tokens.refresh).await, 400, "invalid_grant");
    stage.close().await;
}

// RV-03, for a client with a secret
#[tokio::test]
async fn who_cannot_prove_to_be_the_client_revokes_nothing() {
    let stage = Stage::start(Store::Sqlite).await;
    let (client, secret) = stage.confidential("client_secret_post").await;
    let code = stage.code(&client, &Visitor::new(), &["read"]).await;
    let with_secret = [("client_secret", secret.as_str())];
    let tokens = Tokens::read(&code.redeem_with(&with_secret).await);
    let id = client.client_id.as_str();
    let bare = [("token", tokens.refresh.as_str()), ("client_id", id)];
    assert_json_error(&revoke(&client, &bare).await, 401, "invalid_client");
    let wrong = [&bare[..], &[("client_secret", "dws_wrong")]].concat();
    assert_json_error(&revoke(&client, &wrong).await, 401, "invalid_client");
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh), ("client_id", id)];
    Tokens::read(&client.token(&[&refresh[..], &with_secret].concat()).await);
    stage.close().await;
}

// RV-10, RV-11, RV-12
#[tokio::test]
async fn userinfo_wants_a_live_access_token_with_openid_in_the_header() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    let tokens = stage.tokens(&client, &visitor).await;
    let userinfo = stage.at("/oauth2/userinfo");
    let good = || http().get(&userinfo).bearer_auth(&tokens.access);
    assert!(Answer::to(good()).await.expect(200)["sub"].as_str().is_some_and(|sub| sub.starts_with("usr_")));

    let id_token = text(&tokens.all["id_token"]);
    let (head, _) = tokens.access.rsplit_once('.').expect("a JWT");
    for token in
        [&id_token, &tokens.refresh, "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", head, &format!("{head}.AAAA")]
    {
        let answer = Answer::to(http().get(&userinfo).bearer_auth(token)).await;
        assert_json_error(&answer, 401, "invalid_token");
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge_parameter(challenge, "error").as_deref(), Some("invalid_token"), "{challenge}");
    }
    let query = format!("{userinfo}?access_token={}", tokens.access);
    let form = [("access_token", tokens.access.as_str())];
    let cookie = format!("access_token={}", tokens.access);
    for request in [
        http().get(&query),
        http().post(&userinfo).form(&form),
        http().get(&userinfo).header("cookie", cookie),
        http().get(&userinfo).basic_auth("x", Some(&tokens.access)),
        http().get(&userinfo),
    ] {
        let answer = Answer::to(request).await;
        assert_eq!((answer.status, answer.body.as_str()), (401, ""), "{answer:#?}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let twice = good().header("authorization", format!("Bearer {}", tokens.access));
    let twice = Answer::to(twice).await;
    assert_json_error(&twice, 400, "invalid_request");
    let challenge = twice.header("www-authenticate");
    assert_eq!(challenge_parameter(challenge, "error").as_deref(), Some("invalid_request"), "{challenge}");

    let narrowed = client
        .token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", &tokens.refresh),
            ("client_id", &client.client_id),
            ("scope", "artifacts:read"),
        ])
        .await;
    let narrowed = Tokens::read(&narrowed);
    let answer = Answer::to(http().get(&userinfo).bearer_auth(&narrowed.access)).await;
    assert_json_error(&answer, 403, "insufficient_scope");
    let challenge = answer.header("www-authenticate");
    assert_eq!(challenge_parameter(challenge, "scope").as_deref(), Some("openid"), "{challenge}");
    stage.close().await;
}
