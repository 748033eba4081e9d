//! Answers that are lost, and answers that must not come yet.

use std::time::Duration;

use e2e::client::Tokens;
use e2e::house::{House, Plan, Store};
use e2e::replicas::Replicas;
use e2e::scene::Scene;
use e2e::visitor::Visitor;

use crate::{Lock, Posted};

// FT-04, PR-03: strict rotation, which is the default, takes the retry for what it could be: a copy in other hands.
#[tokio::test]
async fn a_client_that_lost_an_answer_is_refused_by_name_and_begins_again() {
    let replicas = Replicas::start(1).await;
    let (scene, visitor) = (&replicas.scene, Visitor::new());
    let client = scene.client().await;
    let tokens = scene.tokens(&client, &visitor).await;
    replicas.proxy.lose_next_answer();
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &tokens.refresh),
        ("client_id", &client.client_id),
    ];
    assert!(client.token_request(&form).send().await.is_err(), "the answer is lost");
    let told = client.refresh(&tokens.refresh).await.expect_error(400, "refresh_replayed");
    assert!(told.len() > 20, "the error says what happened: {told}");
    // The successor that nobody saw is dead too, and a new sign-in gives a grant that lives.
    let left = "select count(*) from grants where ended_at is null";
    assert_eq!(replicas.house.database().ask(left), "0");
    let tokens = scene.tokens(&client, &visitor).await;
    Tokens::read(&client.refresh(&tokens.refresh).await);

    // A code whose answer is lost: the second try is a replay, and what the first one gave is dead.
    let code = scene.code(&client, &visitor).await;
    replicas.proxy.lose_next_answer();
    let redirect_uri = code.request.get("redirect_uri");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code.text),
        ("redirect_uri", &redirect_uri),
        ("client_id", &client.client_id),
        ("code_verifier", &code.request.verifier),
    ];
    assert!(client.token_request(&form).send().await.is_err(), "the answer is lost");
    code.redeem().await.expect_error(400, "invalid_grant");
    assert_eq!(replicas.house.database().ask(left), "1", "the grant of the sign-in before is untouched");

    // A revocation whose answer is lost: asked again, it is as good as the first time.
    let tokens = scene.tokens(&client, &visitor).await;
    replicas.proxy.lose_next_answer();
    let form = [("token", &tokens.refresh), ("client_id", &client.client_id)];
    let url = scene.endpoint("revocation_endpoint");
    assert!(e2e::process::client().post(url).form(&form).send().await.is_err(), "the answer is lost");
    assert_eq!(client.revoke(&tokens.refresh).await.status, 200);
    client.refresh(&tokens.refresh).await.expect_error(400, "invalid_grant");
}

// FT-05
#[tokio::test]
async fn not_a_byte_of_an_answer_comes_before_what_it_says_is_committed() {
    let house = House::build(Plan::on(Store::Postgres).without_artifacts()).await;
    let (scene, visitor) = (Scene::at(&house).await, Visitor::new());
    let client = scene.client().await;
    let tokens = scene.tokens(&client, &visitor).await;
    let code = scene.code(&client, &visitor).await;
    let held = Lock::take(house.database(), "select id from grants for update");
    let revocation = [("token", tokens.refresh.as_str()), ("client_id", &client.client_id)];
    let mut revoked = Posted::to(&scene.endpoint("revocation_endpoint"), &revocation).await;
    let redirect_uri = code.request.get("redirect_uri");
    let redemption = [
        ("grant_type", "authorization_code"),
        ("code", &code.text),
        ("redirect_uri", &redirect_uri),
        ("client_id", &client.client_id),
        ("code_verifier", &code.request.verifier),
    ];
    let mut redeemed = Posted::to(&scene.endpoint("token_endpoint"), &redemption).await;
    revoked.assert_silent(Duration::from_secs(1)).await;
    redeemed.assert_silent(Duration::from_secs(1)).await;
    let ended = "select count(*) from grants where ended_at is not null";
    assert_eq!(house.database().ask(ended), "0", "nothing is committed");
    drop(held);
    assert_eq!((revoked.status().await, redeemed.status().await), (200, 200));
    assert_eq!(house.database().ask(ended), "1");
}
