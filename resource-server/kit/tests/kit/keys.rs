//! Keys: rotation, floods, bad answers (group JK of the attack catalogue).

use std::{sync::Arc, time::Duration};

use doorward_resource_server::{Reason, Refusal, Settings};
use doorward_shared::time::{FixedClock, Seconds};
use serde_json::{Value, json};

use crate::{
    issuer::{Mode, ScriptedIssuer},
    tokens::{self, EVIL, FIRST, SECOND, jwks},
    web::{FRONTS, Front, Web, eventually},
};

const OFTEN: Duration = Duration::from_millis(50);

async fn refreshing(front: Front, issuer: &ScriptedIssuer) -> Web {
    Web::with(front, &issuer.issuer(), |settings| Settings { refresh_every: OFTEN, ..settings })
        .await
        .ready()
        .await
}

fn with_kid(web: &Web, kid: &str) -> String {
    let payload = serde_json::to_value(web.claims()).unwrap();
    FIRST.forge(&json!({"alg": "RS256", "typ": "at+jwt", "kid": kid}), &payload)
}

// JK-01
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_keys_costs_one_fetch_and_good_tokens_go_on() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let web = Web::start(Front::Tower, &issuer).await.ready().await;
    let before = issuer.jwks_fetches();
    let good = web.good_token();
    // One signature for all: the key is looked for before any signature is checked.
    let template = with_kid(&web, "template");
    let (_, rest) = template.split_once('.').unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..10_000 {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": format!("unknown-{i}")}).to_string();
        let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header));
        let server = Arc::clone(&web.server);
        tasks.spawn(async move { server.verify(&token).await });
        if i % 100 == 0 {
            assert!(web.server.verify(&good).await.is_ok());
        }
    }
    while let Some(outcome) = tasks.join_next().await {
        assert_eq!(outcome.unwrap(), Err(Refusal::InvalidToken(Reason::UnknownKey)));
    }
    assert_eq!(issuer.jwks_fetches(), before + 1);
    assert_eq!(web.refused(Reason::UnknownKey), 10_000);
}

// JK-01, with the authorization server away
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_keys_during_an_outage_is_refused_at_once() {
    let mut issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let web = Web::start(Front::Tower, &issuer).await.ready().await;
    issuer.stop().await;
    let fetches = web.server.metrics().fetches;
    let begun = tokio::time::Instant::now();
    for i in 0..1000 {
        assert!(web.server.verify(&with_kid(&web, &format!("unknown-{i}"))).await.is_err());
    }
    // The outage itself costs less than one a second.
    let (more, most) = (web.server.metrics().fetches - fetches, 4 + begun.elapsed().as_secs());
    assert!(more <= most, "{more} fetches, not {most}");
    assert_eq!(web.with_token(&web.good_token()).await.status, 200);
}

// JK-02
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_published_before_its_use_works_beside_the_old_one() {
    for front in FRONTS {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST, &SECOND])).await;
        let web = Web::start(front, &issuer).await.ready().await;
        let fetches = issuer.jwks_fetches();
        assert_eq!(web.with_token(&FIRST.sign(&web.claims())).await.status, 200);
        assert_eq!(web.with_token(&SECOND.sign(&web.claims())).await.status, 200);
        assert_eq!(issuer.jwks_fetches(), fetches);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_new_is_found_by_the_first_token_that_names_it() {
    for front in FRONTS {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let web = Web::start(front, &issuer).await.ready().await;
        issuer.set_jwks(jwks(&[&FIRST, &SECOND]));
        assert_eq!(web.with_token(&SECOND.sign(&web.claims())).await.status, 200, "{front:?}");
        assert_eq!(web.with_token(&FIRST.sign(&web.claims())).await.status, 200, "{front:?}");
    }
}

// JK-03
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_withdrawn_stops_verifying_even_for_tokens_that_were_seen_before() {
    for front in FRONTS {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST, &SECOND])).await;
        let web = refreshing(front, &issuer).await;
        let token = FIRST.sign(&web.claims());
        assert_eq!(web.with_token(&token).await.status, 200);
        assert_eq!(web.with_token(&token).await.status, 200);
        issuer.set_jwks(jwks(&[&SECOND]));
        let fetches = issuer.jwks_fetches();
        eventually("the keys are fetched again", || issuer.jwks_fetches() > fetches + 1).await;
        assert_eq!(web.with_token(&token).await.status, 401, "{front:?}");
        assert_eq!(web.with_token(&SECOND.sign(&web.claims())).await.status, 200, "{front:?}");
    }
}

// JK-06, JK-07
#[tokio::test(flavor = "multi_thread")]
async fn no_bad_answer_takes_the_good_keys_away() {
    let (one, mut other) = (FIRST.jwk(), SECOND.jwk());
    other["kid"] = one["kid"].clone();
    let duplicate = json!({ "keys": [one, other] }).to_string();
    let unusable = json!({ "keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "o"}] }).to_string();
    let twice = format!(r#"{{"keys":[],"keys":[{}]}}"#, EVIL.jwk());
    let raw = |text: &str| Mode::Raw(text.to_owned());
    for mode in [
        Mode::Redirect,
        Mode::Huge,
        Mode::Html,
        Mode::WrongType,
        Mode::ServerError,
        raw(&duplicate),
        raw(&unusable),
        raw(&twice),
        raw(r#"{"keys":[]}"#),
        raw("null"),
        raw(""),
    ] {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let web = refreshing(Front::Tower, &issuer).await;
        // What it says next is bad, even if the keys in it are somebody's.
        issuer.set_jwks(jwks(&[&EVIL]));
        issuer.set_mode(mode);
        eventually("a fetch fails", || web.server.metrics().failed_fetches > 0).await;
        assert_eq!(web.with_token(&web.good_token()).await.status, 200);
        assert_eq!(web.with_token(&EVIL.sign(&web.claims())).await.status, 401);
        assert_eq!(issuer.followed(), 0);
        // And it recovers.
        issuer.set_mode(Mode::Good);
        issuer.set_jwks(jwks(&[&SECOND]));
        eventually("the new keys are there", || web.server.metrics().last_contact.is_some()).await;
        let token = SECOND.sign(&web.claims());
        for _ in 0..200 {
            if web.server.verify(&token).await.is_ok() {
                break;
            }
            tokio::time::sleep(OFTEN).await;
        }
        assert_eq!(web.with_token(&token).await.status, 200);
    }
}

// JK-06
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_trickles_is_given_up_and_good_tokens_never_wait_for_it() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let web = refreshing(Front::Actix, &issuer).await;
    issuer.set_mode(Mode::Slow);
    let fetches = issuer.jwks_fetches();
    eventually("the slow fetch has begun", || issuer.jwks_fetches() > fetches).await;
    let token = web.good_token();
    let start = tokio::time::Instant::now();
    assert_eq!(web.with_token(&token).await.status, 200);
    assert!(start.elapsed() < Duration::from_secs(1));
    eventually("the slow fetch is given up", || web.server.metrics().failed_fetches > 0).await;
    assert!(start.elapsed() < Duration::from_secs(8));
    assert_eq!(web.with_token(&token).await.status, 200);
}

// JK-07
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_must_not_verify_are_not_used_though_they_are_published() {
    for front in FRONTS {
        let mut for_encryption = SECOND.jwk();
        for_encryption["use"] = json!("enc");
        let mut leaked = EVIL.jwk();
        leaked["d"] = json!("AQAB");
        let symmetric = json!({"kty": "oct", "kid": "o", "alg": "HS256", "k": "c2VjcmV0"});
        let issuer =
            ScriptedIssuer::up(json!({ "keys": [for_encryption, leaked, symmetric, FIRST.jwk()] })).await;
        let web = Web::start(front, &issuer).await.ready().await;
        web.assert_refused(&SECOND.sign(&web.claims()), Reason::UnknownKey).await;
        web.assert_refused(&EVIL.sign(&web.claims()), Reason::UnknownKey).await;
        web.assert_refused(&with_kid(&web, "o"), Reason::UnknownKey).await;
        assert_eq!(web.with_token(&web.good_token()).await.status, 200);
    }
}

// JK-09
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_not_fetched_over_plain_http_from_another_machine() {
    for address in [
        json!("http://192.0.2.1/jwks"),
        json!("http://as.test/jwks"),
        json!("file:///etc/passwd"),
        json!(""),
        Value::Null,
    ] {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        issuer.set_metadata("jwks_uri", address);
        let web = Web::start(Front::Tower, &issuer).await;
        eventually("a fetch fails", || web.server.metrics().failed_fetches > 0).await;
        assert!(!web.server.is_ready());
        assert_eq!(web.with_token(&web.good_token()).await.status, 503);
    }
}

// JK-10
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_on_a_cold_start_share_one_fetch() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    issuer.set_mode(Mode::Late(Duration::from_millis(500)));
    let web = Web::start(Front::Tower, &issuer).await;
    let claims = web.claims();
    let mut tasks = tokio::task::JoinSet::new();
    let start = tokio::time::Instant::now();
    for i in 0..1000 {
        let mut claims = claims.clone();
        claims.jti = format!("token-{i}");
        let (server, token) = (Arc::clone(&web.server), FIRST.sign(&claims));
        tasks.spawn(async move { server.verify(&token).await });
    }
    while let Some(outcome) = tasks.join_next().await {
        // Signing a thousand tokens takes longer than the answer is late, so some do not even wait.
        assert!(outcome.unwrap().is_ok());
    }
    assert_eq!(issuer.jwks_fetches(), 1, "after {:?}", start.elapsed());
}

// JK-10
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_longer_than_two_seconds_for_a_cold_start() {
    for front in FRONTS {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        issuer.set_mode(Mode::Late(Duration::from_secs(4)));
        let web = Web::start(front, &issuer).await;
        let start = tokio::time::Instant::now();
        assert_eq!(web.with_token(&web.good_token()).await.status, 503, "{front:?}");
        assert!(start.elapsed() < Duration::from_secs(3));
    }
}

// JK-11
#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_disagree_are_measured_and_counted() {
    for (front, ahead) in [(Front::Tower, 300), (Front::Actix, -300)] {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let clock = Arc::new(FixedClock::at(tokens::now().plus(Seconds::new(-ahead))));
        let web =
            Web::with(front, &issuer.issuer(), |settings| Settings { clock: clock.clone(), ..settings })
                .await
                .ready()
                .await;
        // Our clock is slow: a fresh token seems to come from the future. Fast: one with 200 seconds left seems dead.
        let mut claims = web.claims();
        if ahead < 0 {
            claims.iat = claims.iat.minus(Seconds::new(700));
            claims.exp = claims.exp.minus(Seconds::new(700));
        }
        let reason = if ahead > 0 { Reason::NotYet } else { Reason::Expired };
        web.assert_refused(&FIRST.sign(&claims), reason).await;
        let metrics = web.server.metrics();
        assert_eq!(metrics.clock_skew, 1);
        assert!((metrics.clock_offset - ahead).abs() <= 5, "{}", metrics.clock_offset);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_is_looked_for_at_every_well_known_address_in_order() {
    for (path, place) in [
        ("", "/.well-known/openid-configuration"),
        ("/t1", "/.well-known/openid-configuration/t1"),
        ("/t1", "/t1/.well-known/openid-configuration"),
    ] {
        let mut issuer = ScriptedIssuer::down(path, jwks(&[&FIRST])).await;
        issuer.serve_metadata_at(&[place]);
        issuer.start();
        let web = Web::start(Front::Tower, &issuer).await.ready().await;
        assert_eq!(web.with_token(&web.good_token()).await.status, 200, "{place}");
        let asked = issuer.asked();
        assert_eq!(asked[0], format!("/.well-known/oauth-authorization-server{path}"));
        assert_eq!(asked[asked.len() - 2..], [place, "/jwks"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_of_another_issuer_is_not_believed() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    for other in [json!("https://other.test"), json!(format!("{}/", issuer.issuer())), json!(null)] {
        issuer.set_metadata("issuer", other);
        let web = Web::with(Front::Tower, &issuer.issuer(), |settings| settings).await;
        eventually("a fetch fails", || web.server.metrics().failed_fetches > 0).await;
        assert!(!web.server.is_ready());
    }
    assert_eq!(issuer.jwks_fetches(), 0);
}
