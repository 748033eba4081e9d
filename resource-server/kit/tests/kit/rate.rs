//! How often a key may be used, and how often strangers may make the authorization server be asked.

use std::sync::atomic::Ordering::SeqCst;

use doorward_resource_server::{Reason, Refusal};
use doorward_shared::time::{Clock, Seconds};
use serde_json::json;

use crate::{
    opaque::{Place, place},
    tokens::sta,
    web::{FRONTS, Front},
};

fn limited(place: &Place, key: &str, limit: u32) {
    place.say(key, |answer| {
        answer["sid"] = json!(format!("key_{}", &key[key.len() - 4..]));
        answer["credential"] = json!("Nightly \"build\"");
        answer["rate_limit"] = json!(limit);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_beyond_its_limit_is_told_which_key_and_until_when() {
    for front in FRONTS {
        let place = place(front).await;
        let (key, other) = (sta("often"), sta("other"));
        limited(&place, key, 3);
        limited(&place, other, 3);
        for header in ["x-api-key", "X-Api-Key", "Authorization"] {
            let value = if header == "Authorization" { format!("Bearer {key}") } else { key.to_owned() };
            assert_eq!(place.web.send("POST", "/mcp", &[(header, &value)]).await.status, 200);
        }
        let reply = place.web.send("POST", "/mcp", &[("x-api-key", key)]).await;
        assert_eq!((reply.status, reply.header("retry-after")), (429, Some("20")), "{front:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("www-authenticate"), None, "signing in again changes nothing");
        assert!(reply.header("access-control-expose-headers").unwrap().contains("Retry-After"));
        let body = reply.json();
        let until = place.clock.now().plus(Seconds::new(20));
        for (member, value) in [
            ("error", json!("rate_limited")),
            ("credential", json!("Nightly \"build\"")),
            ("key", json!(format!("key_{}", &key[key.len() - 4..]))),
            ("limit", json!(3)),
            ("retry_after", json!(20)),
            ("retry_at", json!(until.seconds())),
        ] {
            assert_eq!(body[member], value, "{member}");
        }
        let text = body["error_description"].as_str().unwrap();
        assert!(
            text.contains("Nightly") && text.contains("3 requests a minute") && text.contains("20 seconds"),
            "{text}"
        );
        assert!(!text.contains(key) && !text.contains("sta_"), "{text}");
        assert_eq!(place.web.server.metrics().rate_limited, 1);

        // Nobody else pays for it, and it passes.
        assert_eq!(place.web.send("POST", "/mcp", &[("x-api-key", other)]).await.status, 200);
        assert_eq!(place.web.with_token(&place.web.good_token()).await.status, 200);
        place.clock.advance(Seconds::new(19));
        assert_eq!(place.web.send("POST", "/mcp", &[("x-api-key", key)]).await.status, 429);
        place.clock.advance(Seconds::new(1));
        assert_eq!(place.web.send("POST", "/mcp", &[("x-api-key", key)]).await.status, 200);
        assert_eq!(place.web.send("POST", "/mcp", &[("x-api-key", key)]).await.status, 429);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_a_limit_is_not_counted_and_one_that_is_dead_is_dead_first() {
    let place = place(Front::Tower).await;
    let (free, dead) = (sta("free"), sta("dead"));
    place.say(free, |_| {});
    for _ in 0..200 {
        assert!(place.web.server.verify(free).await.is_ok());
    }
    limited(&place, dead, 1);
    assert!(place.web.server.verify(dead).await.is_ok());
    assert!(matches!(place.web.server.verify(dead).await, Err(Refusal::RateLimited(_))));
    place.say(dead, |answer| *answer = json!({"active": false}));
    place.clock.advance(Seconds::new(5));
    assert_eq!(place.web.server.verify(dead).await, Err(Refusal::InvalidToken(Reason::Inactive)));
}

// AK-10
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_well_formed_keys_that_nobody_made_is_no_flood_of_questions() {
    let place = place(Front::Tower).await;
    let good = sta("good");
    place.say(good, |_| {});
    assert!(place.web.server.verify(good).await.is_ok());
    let mut unavailable = 0;
    for i in 0..1_500 {
        match place.web.server.verify(sta(&format!("guess {i}"))).await {
            Err(Refusal::InvalidToken(Reason::Inactive)) => {}
            Err(Refusal::Unavailable) => unavailable += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((unavailable, place.issuer.opaque.questions()), (1_000, 501));
    // The same guess once more costs nothing, and a key that was good before is still asked about.
    place.clock.advance(Seconds::new(5));
    assert!(place.web.server.verify(good).await.is_ok());
    // What was filled in meanwhile is there for whoever comes now.
    let late = sta("late");
    place.say(late, |_| {});
    assert!(place.web.server.verify(late).await.is_ok());
    let asked = place.issuer.opaque.questions();
    for i in 0..600 {
        drop(place.web.server.verify(sta(&format!("again {i}"))).await);
    }
    assert_eq!(place.issuer.opaque.questions() - asked, 500, "good keys are no guesses");
    // Without an answer nobody was caught guessing.
    place.clock.advance(Seconds::new(60));
    place.issuer.opaque.broken.store(true, SeqCst);
    for i in 0..600 {
        assert_eq!(place.web.server.verify(sta(&format!("broken {i}"))).await, Err(Refusal::Unavailable));
    }
    place.issuer.opaque.broken.store(false, SeqCst);
    assert_eq!(
        place.web.server.verify(sta("guess at last")).await,
        Err(Refusal::InvalidToken(Reason::Inactive))
    );
}
