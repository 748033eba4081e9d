//! The feed is away, slow, wrong or late: what still works, and what a restart remembers.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use doorward_resource_server::{Credentials, FeedLag, Reason, Refusal, ResourceServer, Settings};
use doorward_shared::{
    revocation::Claim,
    time::{FixedClock, Seconds},
};
use serde_json::json;

use crate::{
    authority::credentials,
    issuer::ScriptedIssuer,
    tokens::{self, EVIL, FIRST, jwks},
    web::{FRONTS, Front, Web, eventually},
};

async fn start(front: Front, issuer: &ScriptedIssuer, change: impl FnOnce(Settings) -> Settings) -> Web {
    let with = |settings| change(Settings { credentials: Some(credentials()), ..settings });
    Web::with(front, &issuer.issuer(), with).await
}

pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        // Each its own: a server that was let go may be in the middle of writing to the folder before.
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{name}-{}-{}", std::process::id(), MADE.fetch_add(1, Relaxed));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn holds(path: &Path, text: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|content| content.contains(text))
}

fn of_grant(web: &Web, grant: &str) -> String {
    let mut claims = web.claims();
    grant.clone_into(&mut claims.sid);
    FIRST.sign(&claims)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_while_the_issuer_is_away_revives_nothing() {
    for front in FRONTS {
        let folder = Folder::new("revived");
        let keys = folder.file("keys.json");
        let mut issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let with_keys = |settings| Settings { key_cache_file: Some(keys.clone()), ..settings };
        let first = start(front, &issuer, with_keys).await.ready().await;
        let (revoked, good) = (first.good_token(), of_grant(&first, "01OTHER"));
        issuer.feed.revoke(Claim::Sid, "01GRANT", None);
        // Nobody said where: it is beside the keys.
        let copy = folder.file("keys.revocations.json");
        eventually("both copies are written", || keys.exists() && holds(&copy, "01GRANT")).await;
        first.assert_refused(&revoked, Reason::Revoked).await;
        let resource = first.resource.clone();
        drop(first);
        issuer.stop().await;

        let again = Settings { resource, ..with_keys(Settings::new("", issuer.issuer())) };
        let second =
            ResourceServer::start(Settings { credentials: Some(credentials()), ..again }).await.unwrap();
        assert!(second.is_ready());
        assert_eq!(second.verify(&revoked).await, Err(Refusal::InvalidToken(Reason::Revoked)), "{front:?}");
        assert!(second.verify(&good).await.is_ok());
        assert_eq!(second.metrics().revocations, 1);

        // It goes on where it was.
        issuer.start();
        eventually("the feed is followed again", || second.metrics().pages > 0).await;
        assert!(issuer.feed.asked().iter().rev().take_while(|(after, _)| *after != 0).count() > 0);
        issuer.feed.revoke(Claim::Sid, "01OTHER", None);
        eventually("the next one is known", || second.metrics().revocations == 2).await;
        assert!(second.verify(&good).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_heard_before_the_server_went_away_in_mid_sentence_is_kept() {
    let folder = Folder::new("mid-sentence");
    let copy = folder.file("revocations.json");
    let mut issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    issuer.feed.change(|log| log.page_size = 1);
    for i in 0..5000 {
        issuer.feed.revoke(Claim::Sid, &format!("grant-{i}"), None);
    }
    let with_file = |settings| Settings { revocations_file: Some(copy.clone()), ..settings };
    let web = start(Front::Tower, &issuer, with_file).await;
    eventually("something is known", || web.server.metrics().revocations > 0).await;
    issuer.stop().await;
    assert!(web.server.metrics().revocations < 5000);
    eventually("it is written down", || holds(&copy, "grant-0")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_foreign_or_damaged_is_not_used_and_the_feed_is_read_from_the_beginning() {
    let folder = Folder::new("damaged-revocations");
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    issuer.feed.revoke(Claim::Sid, "01GRANT", None);
    let copy = folder.file("revocations.json");
    let with_file = |settings| Settings { revocations_file: Some(copy.clone()), ..settings };
    let whole = |issuer: &str| {
        json!({
            "issuer": issuer, "received_at": tokens::now(),
            "position": {"epoch": "epoch-1", "sequence": 1, "made_at": tokens::now()}, "entries": [],
        })
        .to_string()
    };
    for text in [whole("https://other.test"), whole(&issuer.issuer())[..90].to_owned(), String::new()] {
        std::fs::write(&copy, &text).unwrap();
        let web = start(Front::Tower, &issuer, with_file).await.ready().await;
        web.assert_refused(&web.good_token(), Reason::Revoked).await;
        eventually("a good copy is written", || holds(&copy, "01GRANT")).await;
    }
    // One that says it knows the entry already, and is whole, is believed: who may write it decides.
    std::fs::write(&copy, whole(&issuer.issuer())).unwrap();
    let web = start(Front::Tower, &issuer, with_file).await.ready().await;
    assert_eq!(web.with_token(&web.good_token()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_cannot_be_written_stops_nothing() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let nowhere = |settings| Settings { revocations_file: Some("/nowhere/at/all.json".into()), ..settings };
    let web = start(Front::Tower, &issuer, nowhere).await.ready().await;
    issuer.feed.revoke(Claim::Sid, "01GRANT", None);
    eventually("the entry is known", || web.server.metrics().revocations == 1).await;
    issuer.feed.revoke(Claim::Sid, "01OTHER", None);
    eventually("and the next", || web.server.metrics().revocations == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_request_after_a_start_knows_what_was_revoked_before() {
    for front in FRONTS {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        issuer.feed.revoke(Claim::Sid, "01GRANT", None);
        issuer.feed.change(|log| log.late = Duration::from_millis(500));
        let web = start(front, &issuer, |settings| settings).await;
        web.assert_refused(&web.good_token(), Reason::Revoked).await;
        assert_eq!(web.with_token(&of_grant(&web, "01OTHER")).await.status, 200, "{front:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_longer_than_two_seconds_for_a_feed_that_does_not_answer() {
    for front in FRONTS {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        issuer.feed.change(|log| log.late = Duration::from_mins(1));
        let web = start(front, &issuer, |settings| settings).await;
        let begun = tokio::time::Instant::now();
        assert_eq!(web.with_token(&web.good_token()).await.status, 200, "{front:?}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        tokio::time::sleep_until(begun + Duration::from_millis(2500)).await;
        let begun = tokio::time::Instant::now();
        assert_eq!(web.with_token(&web.good_token()).await.status, 200);
        assert!(begun.elapsed() < Duration::from_secs(1), "and only at the start: {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_feed_is_silent_tokens_are_taken_or_refused_as_the_operator_says() {
    for (front, on_feed_lag) in
        FRONTS.into_iter().flat_map(|front| [(front, FeedLag::Serve), (front, FeedLag::Refuse)])
    {
        let mut issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let clock = Arc::new(FixedClock::at(tokens::now()));
        issuer.feed.set_clock(clock.clone());
        let settings = |settings| Settings { clock: clock.clone(), on_feed_lag, ..settings };
        let web = start(front, &issuer, settings).await.ready().await;
        eventually("the first page comes", || web.server.metrics().feed_lag == Some(Seconds::new(0))).await;
        issuer.feed.revoke(Claim::Sid, "01GRANT", None);
        eventually("the entry is known", || web.server.metrics().revocations == 1).await;
        issuer.stop().await;
        let (good, revoked) = (of_grant(&web, "01OTHER"), web.good_token());
        clock.advance(Seconds::new(60));
        assert_eq!(web.with_token(&good).await.status, 200);
        clock.advance(Seconds::new(1));
        assert_eq!(web.server.metrics().feed_lag, Some(Seconds::new(61)));
        let reply = web.with_token(&good).await;
        match on_feed_lag {
            FeedLag::Serve => {
                assert_eq!(reply.status, 200, "{front:?}");
                assert!(web.server.is_ready());
                assert_eq!(web.with_token(&revoked).await.status, 401, "what is known stays revoked");
            }
            FeedLag::Refuse => {
                assert_eq!(reply.status, 503, "{front:?}");
                assert_eq!(reply.header("retry-after"), Some("5"));
                assert_eq!(reply.json()["error"], "temporarily_unavailable");
                assert!(!web.server.is_ready());
                issuer.start();
                let web = web.ready().await;
                assert_eq!(web.with_token(&good).await.status, 200);
                assert_eq!(web.with_token(&revoked).await.status, 401);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_must_hear_the_feed_takes_nothing_before_it_has() {
    let folder = Folder::new("unheard");
    let keys = folder.file("keys.json");
    let mut issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let clock = Arc::new(FixedClock::at(tokens::now()));
    issuer.feed.set_clock(clock.clone());
    let settings = |settings| Settings {
        clock: clock.clone(),
        key_cache_file: Some(keys.clone()),
        on_feed_lag: FeedLag::Refuse,
        ..settings
    };
    issuer
        .feed
        .change(|log| log.instead = Some(("503 Service Unavailable", "retry-after: 1\r\n", String::new())));
    let web = start(Front::Tower, &issuer, settings).await;
    assert_eq!(web.with_token(&web.good_token()).await.status, 503);
    issuer.feed.change(|log| log.instead = None);
    let web = web.ready().await;
    assert_eq!(web.with_token(&web.good_token()).await.status, 200);
    issuer.feed.revoke(Claim::Sid, "01OTHER", None);
    eventually("it is written", || holds(&folder.file("keys.revocations.json"), "01OTHER")).await;
    let (good, resource) = (web.good_token(), web.resource.clone());
    drop(web);
    issuer.stop().await;

    // After a restart it counts from the last page that the copy knows of.
    let again = || Settings {
        resource: resource.clone(),
        credentials: Some(credentials()),
        ..settings(Settings::new("", issuer.issuer()))
    };
    clock.advance(Seconds::new(59));
    let second = ResourceServer::start(again()).await.unwrap();
    assert!(second.verify(&good).await.is_ok());
    clock.advance(Seconds::new(2));
    assert_eq!(second.verify(&good).await, Err(Refusal::Unavailable));
    let third = ResourceServer::start(again()).await.unwrap();
    assert_eq!(third.verify(&good).await, Err(Refusal::Unavailable));
    assert!(!third.is_ready());
}

#[tokio::test]
async fn a_server_that_could_never_hear_the_feed_does_not_start() {
    let settings = Settings {
        on_feed_lag: FeedLag::Refuse,
        ..Settings::new("http://localhost:1/mcp", "http://localhost:1")
    };
    let error = ResourceServer::start(settings).await.err().unwrap();
    assert!(error.to_string().contains("without credentials it never speaks"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_is_asked_to_speak_three_times_as_often_as_it_may_be_silent() {
    for (lag, wait) in [(60, 20), (9, 3), (1, 1), (0, 1), (3600, 25)] {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let settings = |settings| Settings { max_feed_lag: Duration::from_secs(lag), ..settings };
        let _web = start(Front::Tower, &issuer, settings).await;
        eventually("it waits", || issuer.feed.asked().len() >= 2).await;
        assert_eq!(issuer.feed.asked()[..2], [(0, 0), (0, wait)], "{lag}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_never_waits_or_always_fails_is_not_asked_without_end() {
    let refused = ("500 Internal Server Error", "", String::new());
    let later = ("429 Too Many Requests", "retry-after: 2\r\n", String::new());
    for (said, most) in [(None, 10), (Some(refused), 8), (Some(later), 3)] {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let at_once = ("200 OK", "content-type: application/revocations+jwt\r\n", issuer.feed.page(0));
        let said = said.unwrap_or(at_once);
        issuer.feed.change(|log| log.instead = Some(said.clone()));
        let web = start(Front::Tower, &issuer, |settings| settings).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let asked = issuer.feed.asked().len();
        assert!((2..=most).contains(&asked), "{asked} times: {}", said.0);
        // And it is there again when the server is.
        let pages = web.server.metrics().pages;
        issuer.feed.change(|log| {
            log.instead = None;
            log.sequence += 1;
        });
        eventually("a page comes", || web.server.metrics().pages > pages).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_not_accepted_are_not_tried_without_end_and_tokens_go_on() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let settings = |settings| Settings { credentials: Some(Credentials::new("rs:1", "wrong")), ..settings };
    let web = start(Front::Tower, &issuer, settings).await.ready().await;
    assert_eq!(web.with_token(&web.good_token()).await.status, 200);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(issuer.feed.asked().len(), 1);
    assert_eq!((web.server.metrics().pages, web.server.metrics().failed_pages), (0, 1));
    assert_eq!(
        web.server.verify(tokens::sta("key")).await,
        Err(Refusal::Unavailable),
        "nobody said that it is bad"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_sent_to_no_address_that_is_not_safe() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    for (name, address) in [
        ("revocation_feed_endpoint", "http://192.0.2.1/revocations"),
        ("revocation_feed_endpoint", "ftp://localhost/revocations"),
        ("revocation_feed_endpoint", ""),
        ("introspection_endpoint", "http://192.0.2.1/introspect"),
        ("introspection_endpoint", "introspect"),
    ] {
        let before = issuer.metadata()[name].clone();
        issuer.set_metadata(name, json!(address));
        let web = start(Front::Tower, &issuer, |settings| settings).await.ready().await;
        if name == "introspection_endpoint" {
            assert_eq!(web.server.verify(tokens::sta("key")).await, Err(Refusal::Unavailable));
            assert_eq!(web.server.metrics().failed_introspections, 1);
        } else {
            eventually("it is refused", || web.server.metrics().failed_pages > 0).await;
            assert_eq!(web.server.metrics().pages, 0, "{address}");
        }
        assert_eq!(web.with_token(&web.good_token()).await.status, 200);
        issuer.set_metadata(name, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_feed_or_without_credentials_tokens_are_checked_as_before() {
    let mut issuer = ScriptedIssuer::down("", jwks(&[&FIRST])).await;
    issuer.feed.revoke(Claim::Sid, "01GRANT", None);
    issuer.start();
    let without = Web::start(Front::Tower, &issuer).await.ready().await;
    assert_eq!(without.with_token(&without.good_token()).await.status, 200);
    assert_eq!(issuer.feed.asked(), []);

    issuer.forget_metadata("revocation_feed_endpoint");
    let web = start(Front::Tower, &issuer, |settings| settings).await.ready().await;
    assert_eq!(web.with_token(&web.good_token()).await.status, 200);
    assert_eq!(web.with_token(&EVIL.sign(&web.claims())).await.status, 401);
    let metrics = web.server.metrics();
    assert_eq!(
        (metrics.pages, metrics.failed_pages, metrics.feed_lag, metrics.last_page),
        (0, 0, None, None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_counted_and_ends_when_the_server_is_back() {
    let mut issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let web = start(Front::Tower, &issuer, |settings| settings).await.ready().await;
    eventually("the feed is waited for", || issuer.feed.asked().len() >= 2).await;
    let good = web.good_token();
    assert_eq!(web.with_token(&good).await.status, 200);
    issuer.stop().await;
    eventually("the outage is noticed", || web.server.metrics().failed_pages > 2).await;
    assert_eq!(web.with_token(&good).await.status, 200);
    issuer.feed.revoke(Claim::Sid, "01GRANT", None);
    issuer.start();
    let begun = tokio::time::Instant::now();
    eventually("what happened meanwhile is known", || web.server.metrics().revocations == 1).await;
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    web.assert_refused(&good, Reason::Revoked).await;
    let now = issuer.feed.now();
    assert!(web.server.metrics().last_page.is_some_and(|last| now.since(last) <= Seconds::new(6)));
}
