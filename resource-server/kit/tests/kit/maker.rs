//! What was made with a token and outlives it ends with it: the kit says so while it knows, and has it taken down before it
//! forgets.

use std::{
    mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use doorward_resource_server::{Claim, Entry, FeedLag, Reason, Refusal, RevocationLog, Settings, Unrecorded};
use doorward_shared::time::{Clock, FixedClock, Seconds};

use crate::{
    authority::credentials,
    feed::{Folder, holds},
    issuer::ScriptedIssuer,
    tokens::{self, FIRST, jwks},
    web::{Front, Web, eventually},
};

/// Keeps what it is told, unless it is broken.
#[derive(Default)]
struct Book {
    told: Mutex<Vec<String>>,
    broken: AtomicBool,
    slow: AtomicBool,
}

#[async_trait]
impl RevocationLog for Book {
    async fn record(&self, entries: &[Entry]) -> Result<(), Unrecorded> {
        while self.slow.load(Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if self.broken.load(Relaxed) {
            return Err(Unrecorded("the disk is full".to_owned()));
        }
        self.told.lock().unwrap().extend(entries.iter().map(|entry| entry.value.clone()));
        Ok(())
    }
}

impl Book {
    fn take(&self) -> Vec<String> {
        mem::take(&mut self.told.lock().unwrap())
    }

    fn has(&self, count: usize) -> bool {
        self.told.lock().unwrap().len() == count
    }
}

async fn start(issuer: &ScriptedIssuer, change: impl FnOnce(Settings) -> Settings) -> Web {
    let with = |settings| change(Settings { credentials: Some(credentials()), ..settings });
    let web = Web::with(Front::Tower, &issuer.issuer(), with).await.ready().await;
    eventually("the first page comes", || web.server.metrics().pages > 0).await;
    web
}

// RV-13
#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_made_counts_beyond_its_expiry_and_not_beyond_its_revocation() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let clock = Arc::new(FixedClock::at(tokens::now()));
    issuer.feed.set_clock(clock.clone());
    let web = start(&issuer, |settings| Settings { clock: clock.clone(), ..settings }).await;
    let token = web.good_token();
    let maker = web.server.verify(&token).await.unwrap().maker();
    assert_eq!(maker.key_id.as_deref(), Some(FIRST.key.kid()));
    clock.advance(Seconds::hours(2));
    assert_eq!(web.server.verify(&token).await, Err(Refusal::InvalidToken(Reason::Expired)));
    assert_eq!(web.server.still_counts(&maker).await, Ok(()));
    let earlier = maker.issued_at.minus(Seconds::new(1));
    issuer.feed.revoke(Claim::Sub, &maker.subject, Some(earlier));
    issuer.feed.revoke(Claim::Sid, "another", None);
    eventually("both are known", || web.server.metrics().revocations == 2).await;
    assert_eq!(web.server.still_counts(&maker).await, Ok(()), "made with a later token");
    issuer.feed.revoke(Claim::Sub, &maker.subject, Some(clock.now()));
    let refused = Err(Refusal::InvalidToken(Reason::Revoked));
    let begun = tokio::time::Instant::now();
    while web.server.still_counts(&maker).await != refused {
        assert!(begun.elapsed() < Duration::from_secs(3), "it still counts");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_feed_is_silent_for_too_long_nobody_knows_whether_something_counts() {
    let mut issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let strict = |settings| Settings {
        max_feed_lag: Duration::from_secs(2),
        on_feed_lag: FeedLag::Refuse,
        ..settings
    };
    let web = start(&issuer, strict).await;
    let maker = web.server.verify(&web.good_token()).await.unwrap().maker();
    assert_eq!(web.server.still_counts(&maker).await, Ok(()));
    issuer.stop().await;
    eventually("it is silent for too long", || !web.server.is_ready()).await;
    assert_eq!(web.server.still_counts(&maker).await, Err(Refusal::Unavailable));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_is_taken_down_once_it_can_be_and_of_other_resources_nothing() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let book = Arc::new(Book::default());
    let web = start(&issuer, |settings| Settings { revocation_log: Some(book.clone()), ..settings }).await;
    issuer.feed.revoke(Claim::Sid, "grant-1", None);
    issuer.feed.revoke(Claim::Aud, "https://other.example.test/mcp", None);
    issuer.feed.revoke(Claim::Sub, "person-1", None);
    eventually("two are taken down", || book.has(2)).await;
    assert_eq!(book.take(), ["grant-1", "person-1"]);
    book.broken.store(true, Relaxed);
    issuer.feed.revoke(Claim::Sid, "01GRANT", None);
    let token = web.good_token();
    eventually("it is known", || web.server.metrics().revocations == 4).await;
    web.assert_refused(&token, Reason::Revoked).await;
    assert!(book.has(0));
    book.broken.store(false, Relaxed);
    eventually("it is taken down after all", || book.has(1)).await;
    assert_eq!(book.take(), ["01GRANT"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_log_keeps_no_revocation_from_the_tokens() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let book = Arc::new(Book::default());
    let web = start(&issuer, |settings| Settings { revocation_log: Some(book.clone()), ..settings }).await;
    book.slow.store(true, Relaxed);
    for grant in ["grant-1", "grant-2", "01GRANT"] {
        let before = web.server.metrics().revocations;
        issuer.feed.revoke(Claim::Sid, grant, None);
        eventually("it is known", || web.server.metrics().revocations == before + 1).await;
    }
    web.assert_refused(&web.good_token(), Reason::Revoked).await;
    book.slow.store(false, Relaxed);
    eventually("all are taken down", || book.has(3)).await;
}

// RV-13
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_taken_down_comes_again_after_a_restart() {
    let folder = Folder::new("taken-down");
    let copy = folder.file("revocations.json");
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let book = Arc::new(Book::default());
    let with_book = |settings| Settings {
        revocations_file: Some(copy.clone()),
        revocation_log: Some(book.clone()),
        ..settings
    };
    book.broken.store(true, Relaxed);
    let first = start(&issuer, with_book).await;
    issuer.feed.revoke(Claim::Sid, "grant-1", None);
    eventually("the copy is written", || holds(&copy, "grant-1")).await;
    drop(first);
    book.broken.store(false, Relaxed);
    // Beyond what the copy remembers, too: the feed tells of it again.
    let _second = start(&issuer, with_book).await;
    eventually("it is taken down", || book.has(1)).await;
    issuer.feed.revoke(Claim::Sid, "grant-2", None);
    eventually("the next one too", || book.has(2)).await;
    assert_eq!(book.take(), ["grant-1", "grant-2"]);
}
