//! Group 1.9, continued: what resource servers are told, by the feed and on their question, and nobody else.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use e2e::answer::Answer;
use e2e::client::Tokens;
use e2e::house::Store;
use e2e::visitor::Visitor;
use serde_json::Value;
use tokio::time::Instant;

use crate::stage::{PUB1, Stage, assert_json_error, http};

/// A page of the feed, its payload read without a look at the signature.
async fn page(stage: &Stage, query: &str) -> Value {
    let (id, secret) = stage.house.resource_credentials();
    let asked = http().get(stage.at(&format!("/oauth2/revocations?{query}"))).basic_auth(id, Some(secret));
    let answer = Answer::to(asked).await;
    assert_eq!(answer.status, 200, "{answer:#?}");
    assert_eq!(answer.header("content-type"), "application/revocations+jwt");
    assert_eq!(answer.header("cache-control"), "no-store");
    let payload = answer.body.split('.').nth(1).expect("a compact JWS").to_owned();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}

async fn introspect(stage: &Stage, credentials: (&str, &str), token: &str) -> Answer {
    let (id, secret) = credentials;
    let asked = http().post(stage.at("/oauth2/introspect")).basic_auth(id, Some(secret));
    Answer::to(asked.form(&[("token", token)])).await
}

fn sids(page: &Value) -> Vec<&str> {
    let entries = page["entries"].as_array().expect("entries");
    entries
        .iter()
        .filter(|entry| entry["claim"] == "sid")
        .filter_map(|entry| entry["value"].as_str())
        .collect()
}

fn sid(token: &str) -> String {
    let payload = token.split('.').nth(1).expect("a JWT");
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON");
    claims["sid"].as_str().expect("sid").to_owned()
}

async fn whoever_waits_hears_of_a_revocation_at_once(store: Store) {
    let stage = Stage::start(store).await;
    let client = stage.client(&[PUB1]).await;
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    let before = page(&stage, "wait=0").await;
    assert_eq!((&before["sequence"], sids(&before).len()), (&Value::from(0), 0), "{before:#}");
    let sid = sid(&tokens.access);
    let begun = Instant::now();
    let (news, ()) = tokio::join!(page(&stage, "after=0&wait=25"), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(client.revoke(&tokens.refresh).await.status, 200);
    });
    assert!(begun.elapsed() < Duration::from_secs(10), "the poll was answered when its time was over");
    assert_eq!((sids(&news), &news["sequence"]), (vec![sid.as_str()], &Value::from(1)), "{news:#}");
    // From another process beside the server, too.
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    let own = self::sid(&tokens.access);
    let house = &stage.house;
    let (news, _) = tokio::join!(page(&stage, "after=1&wait=25"), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        house.cli(&["user", "disable", &house.alice().email], "").ok()
    });
    assert_eq!(
        (&news["entries"][0]["claim"], &news["sequence"]),
        (&Value::from("sub"), &Value::from(2)),
        "{own}"
    );
    assert_json_error(&client.refresh(&tokens.refresh).await, 400, "invalid_grant");
    stage.house.cli(&["user", "enable", &stage.house.alice().email], "").ok();
    stage.close().await;
}

// AD-04
#[tokio::test]
async fn whoever_waits_hears_of_a_revocation_at_once_on_sqlite() {
    whoever_waits_hears_of_a_revocation_at_once(Store::Sqlite).await;
}

// AD-04
#[tokio::test]
async fn whoever_waits_hears_of_a_revocation_at_once_on_postgresql() {
    whoever_waits_hears_of_a_revocation_at_once(Store::Postgres).await;
}

#[tokio::test]
async fn what_is_revoked_stays_so_after_a_kill_and_its_number_is_not_used_again() {
    let mut stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    assert_eq!(client.revoke(&tokens.refresh).await.status, 200);
    let before = page(&stage, "wait=0").await;
    stage.house.restart_auth_server().await;
    let after = page(&stage, "wait=0").await;
    assert_eq!((&before["epoch"], &before["entries"]), (&after["epoch"], &after["entries"]));
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    assert_eq!(client.revoke(&tokens.refresh).await.status, 200);
    assert_eq!(page(&stage, "after=1&wait=0").await["sequence"], 2);
    stage.close().await;
}

// RV-07
#[tokio::test]
async fn strangers_and_public_clients_are_told_nothing() {
    let stage = Stage::start(Store::Sqlite).await;
    let (client, secret) = stage.confidential("client_secret_basic").await;
    let asked = http().get(stage.at("/oauth2/revocations?wait=0"));
    let asked = asked.basic_auth(&client.client_id, Some(&secret));
    assert_json_error(&Answer::to(asked).await, 401, "invalid_client");
    let public = stage.client(&[PUB1]).await;
    let tokens = stage.tokens(&public, &Visitor::new()).await;
    let (resource, right) = stage.house.resource_credentials();
    let wrong = format!("{}x", &right[..right.len() - 1]);
    let strangers = [
        (client.client_id.as_str(), right.as_str()),
        (client.client_id.as_str(), ""),
        (public.client_id.as_str(), ""),
        ("nobody", right.as_str()),
        (resource.as_str(), wrong.as_str()),
        (resource.as_str(), ""),
    ];
    for (id, secret) in strangers {
        assert_json_error(&introspect(&stage, (id, secret), &tokens.access).await, 401, "invalid_client");
        let asked = http().get(stage.at("/oauth2/revocations?wait=0")).basic_auth(id, Some(secret));
        assert_json_error(&Answer::to(asked).await, 401, "invalid_client");
    }
    let named = [("token", tokens.access.as_str()), ("client_id", &public.client_id)];
    let named = http().post(stage.at("/oauth2/introspect")).form(&named);
    assert_json_error(&Answer::to(named).await, 401, "invalid_client");
    let bare = http().post(stage.at("/oauth2/introspect")).form(&[("token", &tokens.access)]);
    assert_json_error(&Answer::to(bare).await, 401, "invalid_client");
    let query = format!("/oauth2/revocations?wait=0&client_id={resource}&client_secret={right}");
    assert_json_error(&Answer::to(http().get(stage.at(&query))).await, 401, "invalid_client");
    let (id, secret) = stage.house.resource_credentials();
    for query in ["after=-1", "after=x", "after=1&after=2", "wait=-1", "wait=%zz"] {
        let asked =
            http().get(stage.at(&format!("/oauth2/revocations?{query}"))).basic_auth(&id, Some(&secret));
        assert_json_error(&Answer::to(asked).await, 400, "invalid_request");
    }
    stage.close().await;
}

// RV-07
#[tokio::test]
async fn a_confidential_client_hears_about_its_own_access_tokens_only() {
    let stage = Stage::start(Store::Sqlite).await;
    let (client, secret) = stage.confidential("client_secret_basic").await;
    let (other, other_secret) = stage.confidential("client_secret_basic").await;
    let visitor = Visitor::new();
    let code = stage.code(&client, &visitor, &["read"]).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.text.as_str()),
        ("code_verifier", &code.request.verifier),
    ];
    let asked = client.token_request(&form).basic_auth(&client.client_id, Some(&secret));
    let tokens = Tokens::read(&Answer::to(asked).await);
    let own = (client.client_id.as_str(), secret.as_str());
    let told = introspect(&stage, own, &tokens.access).await.expect(200);
    assert_eq!((&told["active"], &told["client_id"]), (&Value::from(true), &Value::from(own.0)));
    let key = ["key", "create", "--user", &stage.house.alice().email, "--name", "K", "--full", "--json"];
    let key = stage.house.cli(&key, "").json()["secret"].as_str().expect("a key").to_owned();
    let foreign = stage.tokens(&stage.client(&[PUB1]).await, &visitor).await.access;
    for (who, token) in [
        ((other.client_id.as_str(), other_secret.as_str()), tokens.access.as_str()),
        (own, &foreign),
        (own, &tokens.refresh),
        (own, &key),
    ] {
        let told = introspect(&stage, who, token).await;
        assert_eq!((told.status, told.body.as_str()), (200, r#"{"active":false}"#));
    }
    // In the place that it registered, and nowhere else.
    let (id, token) = (own.0, tokens.access.as_str());
    let posted = [("client_id", id), ("client_secret", own.1), ("token", token)];
    let posted = http().post(stage.at("/oauth2/introspect")).form(&posted);
    assert_json_error(&Answer::to(posted).await, 401, "invalid_client");
    stage.house.cli(&["client", "disable", id], "").ok();
    assert_json_error(&introspect(&stage, own, token).await, 401, "invalid_client");
    stage.close().await;
}

// RV-08, RV-09
#[tokio::test]
async fn a_resource_server_hears_about_live_tokens_of_its_own_only() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    let tokens = stage.tokens(&client, &visitor).await;
    let (id, secret) = stage.house.resource_credentials();
    let own = (id.as_str(), secret.as_str());
    let told = introspect(&stage, own, &tokens.access).await;
    assert_eq!(told.header("cache-control"), "no-store");
    let told = told.expect(200);
    assert_eq!((&told["active"], &told["aud"]), (&Value::from(true), &Value::from(stage.house.mcp_url())));
    assert_eq!(told["sid"], sid(&tokens.access));
    assert!(told["scope"].as_str().is_some_and(|scope| scope.contains("artifacts:read")), "{told:#}");

    let other = ["resource", "add", "--url", "https://other.test/mcp", "--name", "Other", "--json"];
    let other = stage.house.cli(&other, "").json();
    let text = |name: &str| other[name].as_str().expect("a text").to_owned();
    let (other_id, other_secret) = (text("client_id"), text("client_secret"));
    let foreign = introspect(&stage, (&other_id, &other_secret), &tokens.access).await;
    assert_eq!((foreign.status, foreign.body.as_str()), (200, r#"{"active":false}"#));

    let id_token = tokens.all["id_token"].as_str().expect("an ID token").to_owned();
    let cut = tokens.access[..tokens.access.len() - 4].to_owned();
    for dead in ["", "x", "a.b.c", &tokens.refresh, &id_token, &cut, "sta_unknown"] {
        let answer = introspect(&stage, own, dead).await;
        if dead.is_empty() {
            assert!(answer.status == 400 || answer.body == r#"{"active":false}"#, "{answer:#?}");
        } else {
            assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"active":false}"#), "{dead}");
        }
    }

    assert_eq!(client.revoke(&tokens.refresh).await.status, 200);
    let over = introspect(&stage, own, &tokens.access).await;
    assert_eq!((over.status, over.body.as_str()), (200, r#"{"active":false}"#));
    stage.close().await;
}

// RV-13
#[tokio::test]
async fn a_person_who_is_disabled_is_out_everywhere_at_once_and_back_without_what_they_had() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    let tokens = stage.tokens(&client, &visitor).await;
    let waiting = stage.code(&client, &visitor, &["read"]).await;
    let (id, secret) = stage.house.resource_credentials();
    let email = stage.house.alice().email.clone();
    stage.house.cli(&["user", "disable", &email], "").ok();
    assert_json_error(&waiting.redeem().await, 400, "invalid_grant");
    assert_json_error(&client.refresh(&tokens.refresh).await, 400, "invalid_grant");
    let asked = http().get(stage.at("/oauth2/userinfo")).bearer_auth(&tokens.access);
    assert_eq!(Answer::to(asked).await.status, 401);
    stage.house.cli(&["user", "enable", &email], "").ok();
    let told = introspect(&stage, (&id, &secret), &tokens.access).await;
    assert_eq!(told.body, r#"{"active":false}"#);
    assert_json_error(&waiting.redeem().await, 400, "invalid_grant");
    // A new sign-in, even within the very second, gives tokens that are good.
    let again: Tokens = stage.tokens(&client, &Visitor::new()).await;
    let told = introspect(&stage, (&id, &secret), &again.access).await;
    assert_eq!(told.expect(200)["active"], true);
    stage.close().await;
}
