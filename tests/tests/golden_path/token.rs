//! Codes become tokens.

use e2e::answer::Answer;
use e2e::client::{Client, Tokens, decode, text};
use e2e::house::{House, Store};
use e2e::process;
use e2e::session::Session;
use e2e::visitor::Visitor;
use futures_util::future::join_all;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

e2e::on_both_stores!(
    the_token_answer_is_complete_and_its_jwt_is_for_the_resource,
    the_id_token_is_for_the_client_and_carries_the_nonce,
    a_code_needs_its_verifier_and_its_redirect,
    a_code_serves_only_the_client_it_was_given_to,
    redeeming_a_code_twice_kills_what_it_gave,
    thirty_two_parallel_redemptions_of_one_code_have_one_winner,
);

async fn the_token_answer_is_complete_and_its_jwt_is_for_the_resource(store: Store) {
    let house = House::start(store).await;
    let client = Client::register(house.mcp_url()).await;
    let request = client.request();
    let callback = Visitor::new().authorize(&request.url(), house.alice(), &["read"]).await;
    let answer = client.redeem(&request, &callback.code()).await;
    let tokens = Tokens::read(&answer);

    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(tokens.all["token_type"], "Bearer");
    assert_eq!(tokens.all["expires_in"], 900);
    assert_eq!(tokens.scope(), ["artifacts:read", "openid"]);

    let (header, _) = decode(&tokens.access);
    assert_eq!(header["typ"], "at+jwt");
    let claims = verified(&client, &tokens.access, house.mcp_url()).await;
    assert_eq!(claims["iss"], house.issuer());
    assert_eq!(claims["aud"], house.mcp_url(), "exactly one audience, as the client asked");
    assert_eq!(claims["client_id"], client.client_id);
    assert_eq!(claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat), Some(900));
    let mut scope: Vec<_> = claims["scope"].as_str().expect("a scope").split(' ').collect();
    scope.sort_unstable();
    assert_eq!(scope, tokens.scope());
    for claim in ["sub", "jti", "sid"] {
        assert!(!text(&claims[claim]).is_empty(), "`{claim}` in {claims:#}");
    }
}

async fn the_id_token_is_for_the_client_and_carries_the_nonce(store: Store) {
    let house = House::start(store).await;
    let session = Session::begin(&house, &["read"]).await;
    let id_token = text(&session.tokens.all["id_token"]);
    let claims = verified(&session.client, &id_token, &session.client.client_id).await;
    assert_eq!(claims["iss"], house.issuer());
    assert_eq!(claims["aud"], session.client.client_id);
    assert_eq!(claims["nonce"], session.request.get("nonce"));
    assert_eq!(claims["amr"], serde_json::json!(["pwd"]));
    assert_eq!(claims["sub"], decode(&session.tokens.access).1["sub"]);

    // It is no access token, however much it looks like one.
    let answer = e2e::mcp::Mcp::hello(house.mcp_url(), &id_token).await;
    assert_eq!(answer.status, 401, "{answer:#?}");
}

async fn a_code_needs_its_verifier_and_its_redirect(store: Store) {
    let house = House::start(store).await;
    let client = Client::register(house.mcp_url()).await;
    let visitor = Visitor::new();
    for (name, value) in [
        ("code_verifier", e2e::fresh().as_str()),
        ("code_verifier", ""),
        ("redirect_uri", "http://127.0.0.1:49153/callback"),
        ("redirect_uri", "http://127.0.0.1:49152/other"),
    ] {
        let request = client.request();
        let code = visitor.authorize(&request.url(), house.alice(), &["read"]).await.code();
        let verifier = request.verifier.clone();
        let mut parameters = vec![
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &client.redirect_uri),
            ("client_id", &client.client_id),
            ("code_verifier", &verifier),
        ];
        parameters.iter_mut().find(|(key, _)| *key == name).expect("it is one of them").1 = value;
        let answer = client.token(&parameters).await;
        assert_eq!(answer.status, 400, "{name}={value}: {answer:#?}");
        let error = text(&answer.json()["error"]);
        assert!(
            ["invalid_grant", "invalid_request"].contains(&error.as_str()),
            "{name}={value}: {answer:#?}"
        );
        assert!(error == "invalid_grant" || value.is_empty(), "{name}={value}: {answer:#?}");
    }
}

async fn a_code_serves_only_the_client_it_was_given_to(store: Store) {
    let house = House::start(store).await;
    let client = Client::register(house.mcp_url()).await;
    let thief = Client::register(house.mcp_url()).await;
    let request = client.request();
    let code = Visitor::new().authorize(&request.url(), house.alice(), &["read"]).await.code();
    thief.redeem(&request, &code).await.expect_error(400, "invalid_grant");
}

async fn redeeming_a_code_twice_kills_what_it_gave(store: Store) {
    let house = House::start(store).await;
    let session = Session::begin(&house, &["read"]).await;
    let again = session.client.redeem(&session.request, &session.callback.code()).await;
    again.expect_error(400, "invalid_grant");
    session.client.refresh(&session.tokens.refresh).await.expect_error(400, "invalid_grant");
}

async fn thirty_two_parallel_redemptions_of_one_code_have_one_winner(store: Store) {
    let house = House::start(store).await;
    let client = Client::register(house.mcp_url()).await;
    let request = client.request();
    let code = Visitor::new().authorize(&request.url(), house.alice(), &["read"]).await.code();
    let answers = join_all((0..32).map(|_| client.redeem(&request, &code))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1, "{won:#?}");
    for answer in lost {
        answer.expect_error(400, "invalid_grant");
    }
    let tokens = Tokens::read(&won[0]);
    client.refresh(&tokens.refresh).await.expect_error(400, "invalid_grant");
}

/// The claims of a token, after its signature was checked with the published keys by a library that is not ours.
async fn verified(client: &Client, token: &str, audience: &str) -> Value {
    let keys = Answer::to(process::client().get(client.discovery.endpoint("jwks_uri"))).await.expect(200);
    let keys: JwkSet = serde_json::from_value(keys).expect("a key set");
    let (header, _) = decode(token);
    assert_eq!(header["alg"], json!("RS256"));
    let key = keys.find(&text(&header["kid"])).expect("the key is published");
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_audience(&[audience]);
    let key = DecodingKey::from_jwk(key).expect("an RSA key");
    jsonwebtoken::decode::<Value>(token, &key, &rules).expect("a good signature, not expired").claims
}
