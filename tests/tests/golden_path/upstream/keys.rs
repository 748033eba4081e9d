//! API keys of people from a provider: nobody refreshes a key, so the provider is asked while it is used.

use std::time::Duration;

use e2e::{
    answer::Answer,
    client::text,
    house::{House, Plan, Store},
    idp::Mood,
    peer_idp::PeerIdp,
    ports::Port,
    process,
    visitor::Visitor,
};
use serde_json::{Value, json};

use super::{CAROL, Corp};

e2e::on_both_stores!(
    a_group_that_is_taken_away_upstream_is_gone_from_keys_minutes_later,
    a_key_is_refused_while_no_provider_stands_for_its_person,
    a_group_at_a_provider_of_other_people_decides_what_a_key_may_do,
);

/// A key of Carol for everything that she may do: its text.
fn key(house: &House) -> String {
    let made = house.cli(&["key", "create", "--user", CAROL, "--name", "CI", "--full", "--json"], "").json();
    text(&made["secret"])
}

/// What the resource server is told about a key.
async fn about(house: &House, key: &str) -> Value {
    let (id, secret) = house.resource_credentials();
    let question = process::client().post(format!("{}/oauth2/introspect", house.issuer()));
    Answer::to(question.basic_auth(id, Some(secret)).form(&[("token", key)])).await.expect(200)
}

/// So many minutes ago the provider was heard last.
fn heard_before(house: &House, minutes: i64) {
    house.alter(&format!("update identities set checked_at = checked_at - {}", minutes * 60));
}

fn rule(house: &House, group: &str, tier: &str) {
    let rule = ["entitlement", "add", "--resource", house.mcp_url(), "--group", group, "--tier", tier];
    house.cli(&rule, "").ok();
}

async fn a_group_that_is_taken_away_upstream_is_gone_from_keys_minutes_later(store: Store) {
    let corp = Corp::open(store, "keycloak", |plan| plan).await;
    rule(&corp.house, "staff", "read");
    corp.idp.claim("groups", json!(["/staff"]));
    let _tokens = corp.tokens().await;
    let key = key(&corp.house);
    assert_eq!(about(&corp.house, &key).await["scope"], "artifacts:read");

    // The provider's word of a moment ago is enough.
    corp.idp.claim("groups", json!([]));
    let asked = corp.idp.state().token_requests.len();
    assert_eq!(about(&corp.house, &key).await["scope"], "artifacts:read");
    assert_eq!(corp.idp.state().token_requests.len(), asked);
    // That of some minutes ago is not. Many questions at once ask once, and each hears the answer.
    heard_before(&corp.house, 6);
    let answers = futures_util::future::join_all((0..8).map(|_| about(&corp.house, &key))).await;
    assert_eq!(corp.idp.state().token_requests.len(), asked + 1);
    for answer in answers {
        assert_eq!((&answer["active"], &answer["scope"]), (&json!(true), &json!("")), "{answer:#}");
    }
    assert_eq!(corp.groups(), json!([]));
    corp.assert_discreet();
}

async fn a_key_is_refused_while_no_provider_stands_for_its_person(store: Store) {
    let corp = Corp::open(store, "okta", |plan| plan).await;
    let _tokens = corp.tokens().await;
    let key = key(&corp.house);
    corp.idp.state().refreshes = false;
    heard_before(&corp.house, 6);
    assert_eq!(about(&corp.house, &key).await, json!({"active": false}));
    assert_eq!(corp.identity()["groups_source"], "ended");
    assert!(corp.house.cli(&["audit", "export"], "").ok().contains("identity_ended"));

    // Signing in there again makes it good.
    corp.idp.state().refreshes = true;
    let _tokens = corp.tokens().await;
    assert_eq!(about(&corp.house, &key).await["active"], true);
    // Where the link is taken away there is no way in either.
    corp.house.cli(&["user", "unlink", CAROL, "corp"], "").ok();
    assert_eq!(about(&corp.house, &key).await, json!({"active": false}));
    let another = self::key(&corp.house);
    assert_eq!(about(&corp.house, &another).await, json!({"active": false}));
    // A password of one's own is a way in. Choosing it by a link ends what there was.
    let link = text(&corp.house.cli(&["user", "reset", CAROL, "--json"], "").json()["link"]);
    let visitor = Visitor::new();
    let page = visitor.open(&link).await.page();
    let form = &page.forms[0];
    let password = e2e::fresh();
    visitor
        .post(&form.action, &form.filled(&[("password", &password)], &[], ("action", "choose")))
        .await
        .page();
    let another = self::key(&corp.house);
    assert_eq!(about(&corp.house, &another).await["active"], true);
    corp.assert_discreet();
}

#[tokio::test]
async fn a_password_that_its_person_knows_keeps_a_key_when_a_provider_ends() {
    let corp = Corp::open(Store::Sqlite, "okta", |plan| plan).await;
    corp.idp.claim("groups", json!(["staff"]));
    let _tokens = corp.tokens().await;
    let key = key(&corp.house);
    corp.house.alter("update users set passwordless_since = null");
    corp.idp.state().refreshes = false;
    heard_before(&corp.house, 6);
    assert_eq!(about(&corp.house, &key).await["active"], true);
    assert_eq!(corp.groups(), json!([]), "the groups of the provider are gone");
    // A passkey does as well.
    corp.house.alter("update users set passwordless_since = created_at");
    assert_eq!(about(&corp.house, &key).await["active"], false);
    corp.house.alter(
        "insert into passkeys (id, user_id, name, public_key, counter, created_at)
        select 'cGFzc2tleQ', user_id, 'Laptop', 'a2V5', 0, created_at from identities",
    );
    assert_eq!(about(&corp.house, &key).await["active"], true);
}

#[tokio::test]
async fn a_hanging_provider_does_not_hold_up_a_key_and_its_groups_lapse() {
    let corp = Corp::open(Store::Sqlite, "keycloak", |plan| plan).await;
    rule(&corp.house, "staff", "read");
    corp.idp.claim("groups", json!(["/staff"]));
    let _tokens = corp.tokens().await;
    let key = key(&corp.house);
    corp.idp.state().mood = Mood::Silent;
    heard_before(&corp.house, 6);
    let answers = futures_util::future::join_all((0..4).map(|_| about(&corp.house, &key)));
    let answers = tokio::time::timeout(Duration::from_secs(4), answers).await.expect("answers in time");
    assert!(answers.iter().all(|answer| answer["scope"] == "artifacts:read"), "{answers:#?}");
    heard_before(&corp.house, 25 * 60);
    assert_eq!(about(&corp.house, &key).await["scope"], "", "max_stale");
    assert_eq!(corp.identity()["groups_source"], "stale");
}

async fn a_group_at_a_provider_of_other_people_decides_what_a_key_may_do(store: Store) {
    let port = Port::reserve();
    let peer = PeerIdp::start(&port).await;
    peer.carol(&["artifact-users"]);
    let house = House::build(peer.known_to(Plan::on(store).at(port).without_artifacts())).await;
    rule(&house, "artifact-users", "read");
    let visitor = Visitor::new();
    let login = visitor.open(&format!("{}/login", house.issuer())).await.page();
    let there = visitor.open(login.providers["corp"].as_str()).await.away().url;
    let back = peer.sign_in(&visitor, there, "carol", house.origin()).await;
    assert_eq!(visitor.open(back.as_str()).await.page().kind, "home");
    let key = key(&house);
    assert_eq!(about(&house, &key).await["scope"], "artifacts:read");

    peer.carol(&["canteen"]);
    heard_before(&house, 6);
    assert_eq!(about(&house, &key).await["scope"], "");
    // Gone from the provider: so is the key.
    peer.knows(&json!({}));
    heard_before(&house, 7);
    assert_eq!(about(&house, &key).await, json!({"active": false}));
}
