//! The authorization server is away: what still works, for how long, and how it ends.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use doorward_resource_server::Settings;
use doorward_shared::time::{FixedClock, Seconds};
use serde_json::{Value, json};

use crate::{
    issuer::ScriptedIssuer,
    tokens::{self, EVIL, FIRST, jwks},
    web::{FRONTS, Front, Web, eventually},
};

// JK-05
#[tokio::test(flavor = "multi_thread")]
async fn a_cold_start_without_keys_answers_503_and_recovers_by_itself() {
    for front in FRONTS {
        let mut issuer = ScriptedIssuer::down("", jwks(&[&FIRST])).await;
        let web = Web::start(front, &issuer).await;
        eventually("the pauses have grown", || web.server.metrics().failed_fetches > 2).await;
        let start = tokio::time::Instant::now();
        for _ in 0..2 {
            let reply = web.with_token(&web.good_token()).await;
            assert_eq!(reply.status, 503, "{front:?}");
            assert_eq!(reply.json()["error"], "temporarily_unavailable");
            assert_eq!(reply.header("retry-after"), Some("5"));
            assert_eq!(reply.header("cache-control"), Some("no-store"));
            assert_eq!(reply.header("www-authenticate"), None);
        }
        // Nobody waits when there is nothing to wait for.
        assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
        assert!(!web.server.is_ready());
        assert!(web.server.metrics().unavailable >= 2);
        // Whoever has no token yet can begin to connect.
        assert_eq!(web.send("POST", "/mcp", &[]).await.status, 401);
        assert_eq!(web.with_token("nonsense").await.status, 401);

        tokio::time::sleep(Duration::from_secs(2)).await;
        issuer.start();
        let start = tokio::time::Instant::now();
        let web = web.ready().await;
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
        assert_eq!(web.with_token(&web.good_token()).await.status, 200);
    }
}

// JK-04
#[tokio::test(flavor = "multi_thread")]
async fn the_last_good_keys_serve_for_a_day_and_then_the_kit_says_so() {
    for front in FRONTS {
        let mut issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let clock = Arc::new(FixedClock::at(tokens::now()));
        let web = Web::with(front, &issuer.issuer(), |settings| Settings {
            clock: clock.clone(),
            refresh_every: Duration::from_millis(20),
            ..settings
        })
        .await
        .ready()
        .await;
        issuer.stop().await;
        eventually("the outage is noticed", || web.server.metrics().failed_fetches > 0).await;

        let token_now = || {
            use doorward_shared::time::Clock;
            FIRST.sign(&tokens::claims(&web.issuer, &web.resource, clock.now()))
        };
        clock.advance(Seconds::hours(1));
        assert_eq!(web.with_token(&token_now()).await.status, 200, "{front:?}");
        clock.advance(Seconds::hours(23).get().checked_sub(30).map(Seconds::new).unwrap());
        let token = token_now();
        assert_eq!(web.with_token(&token).await.status, 200, "{front:?}");
        clock.advance(Seconds::new(60));
        // A token that was verified before is no exception.
        assert_eq!(web.with_token(&token).await.status, 503, "{front:?}");
        assert_eq!(web.with_token(&token_now()).await.status, 503, "{front:?}");
        assert!(!web.server.is_ready());
        assert!(web.server.metrics().unavailable >= 2);

        issuer.start();
        let web = web.ready().await;
        assert_eq!(web.with_token(&token).await.status, 200, "{front:?}");
    }
}

fn scratch(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.json", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

async fn with_file(issuer: &ScriptedIssuer, path: &Path) -> Web {
    Web::with(Front::Tower, &issuer.issuer(), |settings| Settings {
        key_cache_file: Some(path.to_owned()),
        ..settings
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_during_an_outage_works_from_the_file_copy() {
    let path = scratch("restart");
    let mut issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let first = with_file(&issuer, &path).await.ready().await;
    eventually("the copy is written", || path.exists()).await;
    drop(first);
    issuer.stop().await;

    let second = with_file(&issuer, &path).await;
    assert!(second.server.is_ready());
    assert_eq!(second.with_token(&second.good_token()).await.status, 200);
    assert_eq!(second.with_token(&EVIL.sign(&second.claims())).await.status, 401);
    let mirror = second.send("GET", "/.well-known/oauth-authorization-server", &[]).await;
    assert_eq!(mirror.json(), issuer.metadata());
    let _ = std::fs::remove_file(path);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_copy_that_is_foreign_old_from_the_future_or_damaged_is_not_used() {
    const FOREIGN: &str = r#"{"issuer":"https://other.test","jwks_uri":"https://other.test/j"}"#;
    let path = scratch("damaged");
    let issuer = ScriptedIssuer::down("", jwks(&[&FIRST])).await;
    let copy = |change: &dyn Fn(&mut Value)| {
        let mut copy = json!({
            "issuer": issuer.issuer(),
            "confirmed_at": tokens::now(),
            "metadata": issuer.metadata().to_string(),
            "jwks": jwks(&[&FIRST]).to_string(),
        });
        change(&mut copy);
        copy.to_string()
    };
    std::fs::write(&path, copy(&|_| {})).unwrap();
    assert!(with_file(&issuer, &path).await.server.is_ready());

    let day = Seconds::hours(24).get();
    for text in [
        copy(&|copy| copy["issuer"] = json!("https://other.test")),
        copy(&|copy| copy["confirmed_at"] = json!(tokens::now().seconds() - day - 1)),
        copy(&|copy| copy["confirmed_at"] = json!(tokens::now().seconds() + 3600)),
        copy(&|copy| copy["confirmed_at"] = json!("today")),
        copy(&|copy| copy["jwks"] = json!("{}")),
        copy(&|copy| copy["metadata"] = json!("{}")),
        copy(&|copy| copy["metadata"] = json!(FOREIGN)),
        copy(&|copy| copy["jwks"] = json!(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"o"}]}"#)),
        copy(&|copy| drop(copy.as_object_mut().unwrap().remove("metadata"))),
        copy(&|_| {})[..100].to_owned(),
        String::new(),
    ] {
        std::fs::write(&path, &text).unwrap();
        let web = with_file(&issuer, &path).await;
        assert!(!web.server.is_ready(), "{text}");
        assert_eq!(web.with_token(&web.good_token()).await.status, 503, "{text}");
    }
    let _ = std::fs::remove_file(path);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_written_stops_nothing() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let web = with_file(&issuer, Path::new("/nowhere/at/all.json")).await.ready().await;
    assert_eq!(web.with_token(&web.good_token()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_dropped_stops_fetching() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let settings = Settings {
        refresh_every: Duration::from_millis(10),
        ..Settings::new("http://localhost:1/mcp", issuer.issuer())
    };
    let server = doorward_resource_server::ResourceServer::start(settings).await.unwrap();
    eventually("it fetches", || issuer.jwks_fetches() > 2).await;
    drop(server);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let fetches = issuer.jwks_fetches();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(issuer.jwks_fetches(), fetches);
}
