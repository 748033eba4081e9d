//! What the feed says is refused, and what is not the feed's word is not believed.

use std::{sync::Arc, time::Duration};

use doorward_resource_server::{Reason, Settings};
use doorward_shared::{
    jose::access_token::AccessTokenClaims,
    revocation::Claim,
    time::{Clock, FixedClock, Seconds},
};

use crate::{
    authority::credentials,
    issuer::ScriptedIssuer,
    tokens::{self, EVIL, FIRST, SECOND, jwks},
    web::{FRONTS, Front, Web, eventually},
};

/// A server that follows the feed and has heard of it.
pub(crate) async fn following(front: Front, issuer: &ScriptedIssuer) -> Web {
    following_with(front, issuer, |settings| settings).await
}

async fn following_with(
    front: Front,
    issuer: &ScriptedIssuer,
    change: impl FnOnce(Settings) -> Settings,
) -> Web {
    let with = |settings| change(Settings { credentials: Some(credentials()), ..settings });
    let web = Web::with(front, &issuer.issuer(), with).await.ready().await;
    eventually("the first page comes", || web.server.metrics().pages > 0).await;
    web
}

fn token(web: &Web, change: impl FnOnce(&mut AccessTokenClaims)) -> String {
    let mut claims = web.claims();
    change(&mut claims);
    FIRST.sign(&claims)
}

/// Waits until the token is refused because it was revoked: far less than the feed may be silent, with room for a machine
/// that is busy.
pub(crate) async fn refused_soon(web: &Web, token: &str) {
    let begun = tokio::time::Instant::now();
    while web.server.verify(token).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(3), "it is still good");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    web.assert_refused(token, Reason::Revoked).await;
}

// RV-05
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_grant_is_refused_as_soon_as_the_feed_says_so_even_where_its_token_is_remembered() {
    for front in FRONTS {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let web = following(front, &issuer).await;
        let (used, unused) = (token(&web, |_| {}), token(&web, |claims| claims.jti = "other".to_owned()));
        let untouched = token(&web, |claims| claims.sid = "01OTHER".to_owned());
        for token in [&used, &used, &untouched] {
            assert_eq!(web.with_token(token).await.status, 200, "{front:?}");
        }
        assert_eq!(web.server.metrics().remembered, 1);
        issuer.feed.revoke(Claim::Sid, "01GRANT", None);
        refused_soon(&web, &used).await;
        web.assert_refused(&unused, Reason::Revoked).await;
        assert_eq!(web.with_token(&untouched).await.status, 200);
        assert_eq!(web.server.metrics().revocations, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_claim_an_entry_names_exactly_its_tokens_are_refused() {
    type Change = fn(&mut AccessTokenClaims);
    let other: [(Claim, Change); 5] = [
        (Claim::Sid, |claims| claims.sid = "other".to_owned()),
        (Claim::Jti, |claims| claims.jti = "other".to_owned()),
        (Claim::Sub, |claims| claims.sub = "other".to_owned()),
        (Claim::ClientId, |claims| {
            claims.client_id = doorward_shared::client_id::ClientId::parse("other").unwrap();
        }),
        (Claim::Org, |claims| claims.org = "other".to_owned()),
    ];
    for (claim, change) in other {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let web = following(Front::Tower, &issuer).await;
        let (named, other) = (web.good_token(), token(&web, change));
        let value = serde_json::to_value(web.claims()).unwrap()[claim.as_str()].as_str().unwrap().to_owned();
        issuer.feed.revoke(claim, &value, None);
        refused_soon(&web, &named).await;
        assert_eq!(web.with_token(&other).await.status, 200, "{claim:?}");
    }
    for claim in [Claim::Aud, Claim::Iss] {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let web = following(Front::Tower, &issuer).await;
        let now = tokens::now();
        let made_at = |iat| FIRST.sign(&tokens::claims(&web.issuer, &web.resource, iat));
        let (old, new) = (made_at(now.minus(Seconds::new(9))), made_at(now));
        let value = if claim == Claim::Aud { &web.resource } else { &web.issuer };
        issuer.feed.revoke(claim, value, Some(now.minus(Seconds::new(1))));
        refused_soon(&web, &old).await;
        assert_eq!(web.with_token(&new).await.status, 200, "{claim:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrowed_grant_ends_its_old_tokens_and_not_the_new_ones() {
    for front in FRONTS {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let web = following(front, &issuer).await;
        let now = tokens::now();
        let made_at = |iat| FIRST.sign(&tokens::claims(&web.issuer, &web.resource, iat));
        let (old, new) = (made_at(now), made_at(now.plus(Seconds::new(1))));
        assert_eq!(web.with_token(&old).await.status, 200);
        issuer.feed.revoke(Claim::Sid, "01GRANT", Some(now));
        refused_soon(&web, &old).await;
        assert_eq!(web.with_token(&new).await.status, 200, "{front:?}");
    }
}

// JK-12, KM-05
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_shut_out_as_soon_as_the_feed_says_so_though_it_is_still_published() {
    for front in FRONTS {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST, &SECOND])).await;
        issuer.feed.change(|log| log.signer = &SECOND);
        let web = following(front, &issuer).await;
        let fetches = issuer.jwks_fetches();
        let stolen = web.good_token();
        assert_eq!(web.with_token(&stolen).await.status, 200);
        issuer.feed.revoke(Claim::Kid, FIRST.key.kid(), None);
        refused_soon(&web, &stolen).await;
        let made_later = token(&web, |claims| claims.jti = "later".to_owned());
        web.assert_refused(&made_later, Reason::Revoked).await;
        assert_eq!(web.with_token(&SECOND.sign(&web.claims())).await.status, 200, "{front:?}");
        eventually("the keys are fetched anew", || issuer.jwks_fetches() > fetches).await;

        // What it signs is no word of the authorization server any more either.
        let failed = web.server.metrics().failed_pages;
        issuer.feed.change(|log| log.signer = &FIRST);
        issuer.feed.revoke(Claim::Kid, SECOND.key.kid(), None);
        eventually("the page is refused", || web.server.metrics().failed_pages > failed).await;
        assert_eq!(web.with_token(&SECOND.sign(&web.claims())).await.status, 200);
    }
}

// KM-05
#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_a_new_key_is_read_though_tokens_with_made_up_keys_used_up_their_search() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let web = following(Front::Tower, &issuer).await;
    let good = web.good_token();
    // The cool-down of tokens has begun.
    web.assert_refused(&EVIL.sign(&web.claims()), Reason::UnknownKey).await;
    // The key signs a moment before it is published, so that one search of the feed is in vain too.
    issuer.feed.change(|log| log.signer = &SECOND);
    issuer.feed.revoke(Claim::Kid, FIRST.key.kid(), None);
    eventually("the page cannot be read", || web.server.metrics().failed_pages > 1).await;
    web.assert_refused(&EVIL.sign(&web.claims()), Reason::UnknownKey).await;
    assert_eq!(web.with_token(&good).await.status, 200);
    issuer.set_jwks(jwks(&[&SECOND]));
    let begun = tokio::time::Instant::now();
    eventually("the stolen key is shut out", || web.server.metrics().revocations > 0).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(web.with_token(&good).await.status, 401);
}

// RV-14
#[tokio::test(flavor = "multi_thread")]
async fn an_old_page_is_not_read_again() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let clock = Arc::new(FixedClock::at(tokens::now()));
    issuer.feed.set_clock(clock.clone());
    let web =
        following_with(Front::Tower, &issuer, |settings| Settings { clock: clock.clone(), ..settings }).await;
    let nothing_new = issuer.feed.page(0);
    clock.advance(Seconds::new(10));
    issuer.feed.revoke(Claim::Jti, "somebody else's", None);
    eventually("the entry is known", || web.server.metrics().revocations == 1).await;
    let one_thing_new = issuer.feed.page(0);

    // Somebody on the way gives old pages instead, so that nothing new is heard.
    clock.advance(Seconds::new(10));
    for old in [nothing_new, one_thing_new] {
        let before = web.server.metrics();
        issuer.feed.change(|log| log.instead = Some(("200 OK", HEADERS, old)));
        eventually("it is refused", || web.server.metrics().failed_pages > before.failed_pages).await;
        let after = web.server.metrics();
        assert_eq!((after.pages, after.last_page), (before.pages, before.last_page));
    }
    let good = FIRST.sign(&tokens::claims(&web.issuer, &web.resource, clock.now()));
    assert_eq!(web.with_token(&good).await.status, 200);
    issuer.feed.change(|log| log.instead = None);
    issuer.feed.revoke(Claim::Sid, "01GRANT", None);
    eventually("the feed is followed again", || web.server.metrics().revocations == 2).await;
    web.assert_refused(&good, Reason::Revoked).await;
}

// RV-14
#[tokio::test(flavor = "multi_thread")]
async fn an_old_answer_to_the_very_question_is_not_taken_for_a_new_one() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let clock = Arc::new(FixedClock::at(tokens::now()));
    issuer.feed.set_clock(clock.clone());
    let short =
        |settings| Settings { clock: clock.clone(), max_feed_lag: Duration::from_secs(3), ..settings };
    let web = following_with(Front::Tower, &issuer, short).await;
    let old = issuer.feed.page(0);
    clock.advance(Seconds::new(20));
    eventually("a younger page comes", || web.server.metrics().last_page == Some(clock.now())).await;
    issuer.feed.change(|log| log.instead = Some(("200 OK", HEADERS, old)));
    clock.advance(Seconds::new(1));
    let before = web.server.metrics();
    eventually("it is refused", || web.server.metrics().failed_pages > before.failed_pages).await;
    assert_eq!(web.server.metrics().pages, before.pages);
    assert_eq!(web.server.metrics().feed_lag, Some(Seconds::new(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_whose_clocks_disagree_a_little_do_not_keep_each_other_unheard() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let clock = Arc::new(FixedClock::at(tokens::now()));
    issuer.feed.set_clock(clock.clone());
    let web =
        following_with(Front::Tower, &issuer, |settings| Settings { clock: clock.clone(), ..settings }).await;
    // One is far ahead, one a little behind, one right.
    for (i, shift) in [50, 0, -4, 50, 0].into_iter().enumerate() {
        issuer.feed.change(|log| log.shift = shift);
        issuer.feed.revoke(Claim::Jti, &format!("token-{i}"), None);
        eventually("the page is read", || web.server.metrics().revocations == i + 1).await;
    }
    assert_eq!(web.server.metrics().failed_pages, 0);
}

/// The headers of a page.
pub(crate) const HEADERS: &str = "content-type: application/revocations+jwt\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_feed_is_read_from_the_beginning_and_nothing_that_was_revoked_comes_back() {
    // The numbers of the restored feed are behind what was read, in the same life and in a new one; or they are ahead, and
    // what is new is below what was read.
    for (epoch, sequence, place) in [("epoch-1", 1, 1), ("epoch-2", 1, 1), ("epoch-2", 9, 2)] {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let web = following(Front::Tower, &issuer).await;
        for jti in ["one", "two", "three"] {
            issuer.feed.revoke(Claim::Jti, jti, None);
        }
        let of = |jti: &str| token(&web, |claims| claims.jti = jti.to_owned());
        refused_soon(&web, &of("three")).await;
        assert_eq!(web.with_token(&of("new")).await.status, 200);
        issuer.feed.change(|log| {
            let entry = log.entries.last().unwrap().clone();
            log.entries = vec![doorward_shared::revocation::Entry {
                sequence: place,
                value: "new".to_owned(),
                ..entry
            }];
            (log.epoch, log.sequence) = (epoch.to_owned(), sequence);
        });
        refused_soon(&web, &of("new")).await;
        for jti in ["one", "two", "three"] {
            web.assert_refused(&of(jti), Reason::Revoked).await;
        }
        assert_eq!(web.with_token(&of("untouched")).await.status, 200);
        // And it goes on from there.
        issuer.feed.revoke(Claim::Jti, "later", None);
        refused_soon(&web, &of("later")).await;
        let (after, _) = *issuer.feed.asked().last().unwrap();
        assert!((sequence..=sequence + 1).contains(&after), "{epoch} {after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_entries_are_read_in_pages_and_cost_a_request_nothing() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    for i in 0..10_000 {
        issuer.feed.revoke(Claim::Sid, &format!("grant-{i}"), None);
    }
    let web = following(Front::Tower, &issuer).await;
    eventually("all are known", || web.server.metrics().revocations == 10_000).await;
    let begun: Vec<_> = issuer.feed.asked();
    let places: Vec<_> = begun.iter().take(20).map(|(after, _)| *after).collect();
    assert_eq!(places, (0..20).map(|page| page * 500).collect::<Vec<_>>());
    assert!(begun.iter().take(20).all(|(_, wait)| *wait == 0), "nothing is waited for while there is more");

    let good = token(&web, |claims| claims.sid = "grant-10000".to_owned());
    let revoked = token(&web, |claims| claims.sid = "grant-9999".to_owned());
    assert_eq!(web.with_token(&good).await.status, 200);
    web.assert_refused(&revoked, Reason::Revoked).await;
    let (fetches, before) = (issuer.jwks_fetches(), web.server.metrics());
    for _ in 0..1000 {
        assert!(web.server.verify(&good).await.is_ok());
        assert!(web.server.verify(&revoked).await.is_err());
    }
    let after = web.server.metrics();
    assert_eq!(after.remembered, before.remembered + 1000);
    assert_eq!(after.verified, before.verified, "no signature was checked again");
    assert_eq!(after.introspections, 0);
    assert_eq!(issuer.jwks_fetches(), fetches);
    assert!(issuer.feed.asked().len() <= 22, "{} questions", issuer.feed.asked().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_forgotten_when_no_token_can_be_left_that_it_concerns() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let clock = Arc::new(FixedClock::at(tokens::now()));
    issuer.feed.set_clock(clock.clone());
    let web =
        following_with(Front::Tower, &issuer, |settings| Settings { clock: clock.clone(), ..settings }).await;
    issuer.feed.revoke(Claim::Sid, "01GRANT", None);
    eventually("it is known", || web.server.metrics().revocations == 1).await;
    // A token is taken for another minute, so the entry stays as long.
    for (advance, held) in [(3600, 1), (59, 1), (1, 0)] {
        clock.advance(Seconds::new(advance));
        let pages = web.server.metrics().pages;
        issuer.feed.change(|log| log.sequence += 1);
        eventually("a page comes", || web.server.metrics().pages > pages).await;
        if held == 0 {
            clock.advance(Seconds::minutes(1));
            issuer.feed.change(|log| log.sequence += 1);
            eventually("it is forgotten", || web.server.metrics().revocations == 0).await;
        }
        assert_eq!(web.server.metrics().revocations, held, "{advance}");
    }
}
