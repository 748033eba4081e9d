//! Opaque tokens: who is asked, how often, and how long an answer is good.

use std::{
    sync::{Arc, LazyLock, atomic::Ordering::SeqCst},
    time::Duration,
};

use doorward_resource_server::{Reason, Refusal, ResourceServer, Settings};
use doorward_shared::{
    revocation::Claim,
    time::{Clock, FixedClock, Seconds},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    authority::credentials,
    issuer::ScriptedIssuer,
    tokens::{self, FIRST, ak_live, jwks, sta},
    web::{FRONTS, Front, Web, eventually},
};

static KEY: LazyLock<&str> = LazyLock::new(|| ak_live("0"));

pub(crate) struct Place {
    pub(crate) issuer: ScriptedIssuer,
    pub(crate) web: Web,
    pub(crate) clock: Arc<FixedClock>,
}

/// A server that asks about opaque tokens, and a clock that both sides share.
pub(crate) async fn place(front: Front) -> Place {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let clock = Arc::new(FixedClock::at(tokens::now()));
    issuer.feed.set_clock(clock.clone());
    let settings = |settings| Settings { clock: clock.clone(), credentials: Some(credentials()), ..settings };
    let web = Web::with(front, &issuer.issuer(), settings).await.ready().await;
    eventually("the first page comes", || web.server.metrics().pages > 0).await;
    Place { issuer, web, clock }
}

impl Place {
    /// The answer for a key of a year that may read.
    fn good(&self) -> Value {
        let now = self.clock.now().seconds();
        json!({
            "active": true, "token_type": "Bearer", "iss": self.web.issuer, "aud": self.web.resource, "sub": "01ALICE",
            "client_id": "01CLIENT", "scope": "artifacts:read", "sid": "01GRANT", "org": "01ORG", "jti": "01KEY",
            "iat": now - 1000, "exp": now + 1000,
        })
    }

    pub(crate) fn say(&self, token: &str, change: impl FnOnce(&mut Value)) {
        let mut answer = self.good();
        change(&mut answer);
        self.issuer.opaque.say(token, answer);
    }

    /// Asks in the same moment about so many tokens.
    async fn at_once(&self, tokens: impl IntoIterator<Item = String>) -> Vec<Result<(), Refusal>> {
        let mut tasks = JoinSet::new();
        for token in tokens {
            let server = Arc::clone(&self.web.server);
            tasks.spawn(async move { server.verify(&token).await.map(|_| ()) });
        }
        tasks.join_all().await
    }
}

fn inactive(answer: &mut Value) {
    *answer = json!({"active": false});
}

const NOT_ACTIVE: Refusal = Refusal::InvalidToken(Reason::Inactive);

#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_token_is_what_the_authorization_server_says_it_is() {
    for front in FRONTS {
        let place = place(front).await;
        for token in [sta("1"), ak_live("1"), "aa_at_1"] {
            place.say(token, |_| {});
            let reply = place.web.with_token(token).await;
            assert_eq!(reply.status, 200, "{front:?} {token}: {reply:?}");
            let seen = reply.json();
            for (member, value) in [
                ("subject", json!("01ALICE")),
                ("client_id", json!("01CLIENT")),
                ("organization", json!("01ORG")),
                ("grant", json!("01GRANT")),
                ("expires_at", place.good()["exp"].clone()),
                ("reads", json!(true)),
                ("deletes", json!(false)),
                ("saw_authorization", json!(false)),
            ] {
                assert_eq!(seen[member], value, "{member}");
            }
        }
        place.web.assert_refused(sta("unknown"), Reason::Inactive).await;
        assert_eq!(place.web.server.metrics().introspections, 4);
        // Nobody is asked about anything else.
        place.web.assert_refused("sta1", Reason::Format).await;
        place.web.assert_refused("STA_1", Reason::Format).await;
        assert_eq!(place.web.with_token(&place.web.good_token()).await.status, 200);
        assert_eq!(place.issuer.opaque.questions(), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_expire_says_so() {
    let place = place(Front::Tower).await;
    place.say(*KEY, |answer| drop(answer.as_object_mut().unwrap().remove("exp")));
    let access = place.web.server.verify(*KEY).await.unwrap();
    assert_eq!((access.expires_at, access.issued_at), (None, place.clock.now().minus(Seconds::new(1000))));
}

// AK-12
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_good_for_five_seconds_and_never_longer_than_the_token() {
    let place = place(Front::Tower).await;
    place.say(*KEY, |_| {});
    place.say(sta("short"), |answer| answer["exp"] = json!(place.clock.now().seconds() + 2));
    for (advance, questions, short) in [(0, 1, 1), (1, 1, 1), (1, 1, 2), (2, 1, 2), (1, 2, 2)] {
        place.clock.advance(Seconds::new(advance));
        for _ in 0..3 {
            assert!(place.web.server.verify(*KEY).await.is_ok());
        }
        assert_eq!(place.issuer.opaque.asked(*KEY), questions);
        let _ = place.web.server.verify(sta("short")).await;
        place.say(sta("short"), inactive);
        assert_eq!(place.issuer.opaque.asked(sta("short")), short);
    }
    assert_eq!(place.web.server.verify(sta("short")).await, Err(NOT_ACTIVE));
    // Nobody has told: it is found out within those five seconds.
    place.say(*KEY, inactive);
    assert!(place.web.server.verify(*KEY).await.is_ok());
    place.clock.advance(Seconds::new(5));
    assert_eq!(place.web.server.verify(*KEY).await, Err(NOT_ACTIVE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_key_is_asked_about_once_in_five_seconds() {
    let place = place(Front::Tower).await;
    for round in 1..=2 {
        for _ in 0..100 {
            assert_eq!(place.web.server.verify(sta("bad")).await, Err(NOT_ACTIVE));
        }
        assert_eq!(place.issuer.opaque.asked(sta("bad")), round);
        place.clock.advance(Seconds::new(5));
    }
    let metrics = place.web.server.metrics();
    assert_eq!((metrics.introspections, metrics.remembered_introspections), (2, 198));
    assert_eq!(metrics.refused(Reason::Inactive), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_that_is_not_about_us_now_is_no_yes() {
    let place = place(Front::Tower).await;
    let now = place.clock.now().seconds();
    let long = "x".repeat(256);
    for (i, (member, value, outcome)) in [
        ("aud", json!("http://localhost:1/mcp"), Refusal::InvalidToken(Reason::Audience)),
        ("aud", json!(""), Refusal::InvalidToken(Reason::Audience)),
        ("iss", json!("https://other.test"), Refusal::InvalidToken(Reason::Issuer)),
        ("exp", json!(now - 60), Refusal::InvalidToken(Reason::Expired)),
        ("iat", json!(now + 61), Refusal::InvalidToken(Reason::NotYet)),
        ("cnf", json!({"jkt": "x"}), Refusal::InvalidToken(Reason::Bound)),
        ("token_type", json!("DPoP"), Refusal::InvalidToken(Reason::Bound)),
        ("active", json!(false), NOT_ACTIVE),
        ("active", json!("true"), Refusal::Unavailable),
        ("active", json!(null), Refusal::Unavailable),
        ("sub", json!(""), Refusal::Unavailable),
        ("sub", json!(long), Refusal::Unavailable),
        ("sid", json!(7), Refusal::Unavailable),
        ("org", json!("a\nb"), Refusal::Unavailable),
        ("jti", json!(null), Refusal::Unavailable),
        ("client_id", json!(""), Refusal::Unavailable),
        ("scope", json!("a\"b"), Refusal::Unavailable),
        ("authorization_details", json!("all"), Refusal::Unavailable),
        ("exp", json!("never"), Refusal::Unavailable),
    ]
    .into_iter()
    .enumerate()
    {
        let token = sta(&i.to_string());
        place.say(token, |answer| answer[member] = value.clone());
        assert_eq!(place.web.server.verify(token).await, Err(outcome), "{member} {value}");
    }
    for (i, answer) in [json!([]), json!("yes"), json!({}), json!({"active": true})].into_iter().enumerate() {
        let token = ak_live(&i.to_string());
        place.issuer.opaque.say(token, answer.clone());
        assert_eq!(place.web.server.verify(token).await, Err(Refusal::Unavailable), "{answer}");
    }
    // Another spelling of our name is our name.
    place.say(*KEY, |answer| answer["aud"] = json!(format!("{}/", place.web.resource)));
    assert!(place.web.server.verify(*KEY).await.is_ok());
}

// AK-12
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_as_soon_as_the_feed_says_so_though_its_answer_was_good_for_longer() {
    for front in FRONTS {
        let place = place(front).await;
        place.say(*KEY, |_| {});
        place.say(sta("other"), |answer| answer["jti"] = json!("01OTHER"));
        for token in [*KEY, sta("other")] {
            assert_eq!(place.web.with_token(token).await.status, 200, "{front:?}");
        }
        place.say(*KEY, inactive);
        assert_eq!(place.web.with_token(*KEY).await.status, 200);
        place.issuer.feed.revoke(Claim::Jti, "01KEY", None);
        let begun = tokio::time::Instant::now();
        while place.web.with_token(*KEY).await.status == 200 {
            assert!(begun.elapsed() < Duration::from_secs(3), "it is still good");
        }
        place.web.assert_refused(*KEY, Reason::Inactive).await;
        assert_eq!(place.web.with_token(sta("other")).await.status, 200);
        assert_eq!(place.issuer.opaque.asked(sta("other")), 1, "the feed did not name it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrowed_grant_leaves_its_key_with_less() {
    for front in FRONTS {
        let place = place(front).await;
        place.say(*KEY, |answer| answer["scope"] = json!("artifacts:read artifacts:delete"));
        assert_eq!(place.web.with_token(*KEY).await.json()["deletes"], true);
        place.say(*KEY, |_| {});
        place.issuer.feed.revoke(Claim::Sid, "01GRANT", Some(place.clock.now()));
        eventually("the entry is known", || place.web.server.metrics().revocations == 1).await;
        for _ in 0..3 {
            let reply = place.web.with_token(*KEY).await;
            assert_eq!(reply.status, 200, "{front:?}: the key itself is good");
            assert_eq!(reply.json()["deletes"], false);
        }
        assert_eq!(place.issuer.opaque.asked(*KEY), 2, "the new answer is as good as the old one was");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_feed_overtakes_is_not_believed() {
    let place = place(Front::Tower).await;
    place.say(*KEY, |_| {});
    place.issuer.opaque.take_time(Duration::from_millis(500));
    let (server, issuer) = (Arc::clone(&place.web.server), &place.issuer);
    let request = tokio::spawn(async move { server.verify(*KEY).await.map(|_| ()) });
    while issuer.opaque.asked(*KEY) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The yes is on its way when the key is revoked, and comes after the feed has said so.
    place.say(*KEY, inactive);
    issuer.feed.revoke(Claim::Jti, "01KEY", None);
    eventually("the entry is known", || place.web.server.metrics().revocations == 1).await;
    assert_eq!(request.await.unwrap(), Err(NOT_ACTIVE));
    assert_eq!(issuer.opaque.asked(*KEY), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_with_one_key_are_one_question() {
    let place = place(Front::Tower).await;
    place.say(*KEY, |_| {});
    place.issuer.opaque.take_time(Duration::from_millis(300));
    for token in [*KEY, sta("bad")] {
        let outcomes = place.at_once(vec![token.to_owned(); 200]).await;
        assert!(outcomes.iter().all(|outcome| outcome.is_ok() == (token == *KEY)), "{outcomes:?}");
        assert_eq!(place.issuer.opaque.asked(token), 1);
    }
    // Whoever was the first to ask may give up; the others get their answer.
    place.clock.advance(Seconds::new(5));
    let server = Arc::clone(&place.web.server);
    let first = tokio::spawn(async move { server.verify(*KEY).await.map(|_| ()) });
    while place.issuer.opaque.asked(*KEY) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let server = Arc::clone(&place.web.server);
    let second = tokio::spawn(async move { server.verify(*KEY).await.map(|_| ()) });
    tokio::time::sleep(Duration::from_millis(50)).await;
    first.abort();
    assert_eq!(second.await.unwrap(), Ok(()));
    assert_eq!(place.issuer.opaque.asked(*KEY), 3);
}

// AK-10
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_made_up_keys_is_bounded_and_takes_no_place_from_good_ones() {
    let place = place(Front::Tower).await;
    place.say(*KEY, |_| {});
    assert!(place.web.server.verify(*KEY).await.is_ok());
    // The answer is over, so that the key has to be asked about in the middle of the flood.
    place.clock.advance(Seconds::new(5));
    place.issuer.opaque.take_time(Duration::from_millis(300));
    let flood = place.at_once((0..500).map(|i| sta(&format!("made up {i}")).to_owned()));
    let good = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        place.web.server.verify(*KEY).await.map(|_| ())
    };
    let (flood, good) = tokio::join!(flood, good);
    assert_eq!(good, Ok(()));
    let count = |outcome| flood.iter().filter(|one| **one == Err(Refusal::clone(&outcome))).count();
    assert_eq!(count(NOT_ACTIVE) + count(Refusal::Unavailable), 500);
    assert!(count(NOT_ACTIVE) >= 32, "{}", count(NOT_ACTIVE));
    assert!(place.issuer.opaque.most() <= 33, "{} at one time", place.issuer.opaque.most());
    assert!(place.web.server.metrics().unavailable > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_answer_there_is_no_yes() {
    for front in FRONTS {
        let mut place = place(front).await;
        place.say(*KEY, |_| {});
        assert_eq!(place.web.with_token(*KEY).await.status, 200);
        place.issuer.opaque.broken.store(true, SeqCst);
        assert_eq!(place.web.with_token(*KEY).await.status, 200, "the last answer is good for five seconds");
        place.clock.advance(Seconds::new(5));
        for away in [false, true] {
            if away {
                place.issuer.stop().await;
            }
            for token in [*KEY, sta("unknown")] {
                let reply = place.web.with_token(token).await;
                assert_eq!(reply.status, 503, "{front:?} {away} {token}");
                assert_eq!(reply.header("retry-after"), Some("5"));
                assert_eq!(reply.header("www-authenticate"), None);
            }
        }
        assert_eq!(place.web.with_token(&place.web.good_token()).await.status, 200, "signed ones go on");
        place.issuer.opaque.broken.store(false, SeqCst);
        place.issuer.start();
        assert_eq!(place.web.with_token(*KEY).await.status, 200);
        assert_eq!(place.web.with_token(sta("unknown")).await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_way_to_ask_an_opaque_token_is_refused() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let web = Web::start(Front::Tower, &issuer).await.ready().await;
    web.assert_refused(*KEY, Reason::Opaque).await;
    issuer.forget_metadata("introspection_endpoint");
    let with = |settings| Settings { credentials: Some(credentials()), ..settings };
    let web = Web::with(Front::Tower, &issuer.issuer(), with).await.ready().await;
    web.assert_refused(*KEY, Reason::Opaque).await;
    assert_eq!(issuer.opaque.questions(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_question_after_a_start_waits_for_the_metadata() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let with = |settings| Settings { credentials: Some(credentials()), ..settings };
    let web = Web::with(Front::Tower, &issuer.issuer(), with).await;
    web.assert_refused(*KEY, Reason::Inactive).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_says_what_else_is_opaque() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let with = |prefix: &str| {
        let opaque_prefixes = vec![prefix.to_owned()];
        move |settings| Settings { credentials: Some(credentials()), opaque_prefixes, ..settings }
    };
    let web = Web::with(Front::Tower, &issuer.issuer(), with("pat-")).await.ready().await;
    web.assert_refused("pat-1", Reason::Inactive).await;
    assert_eq!(issuer.opaque.asked("pat-1"), 1);
    for prefix in ["", "e", "ey", "eyJ"] {
        let settings = with(prefix)(Settings::new("http://localhost:1/mcp", issuer.issuer()));
        let error = ResourceServer::start(settings).await.err().unwrap();
        assert!(error.to_string().contains("signed tokens do"), "{error}");
    }
}
