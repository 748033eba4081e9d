//! One question to a provider about one person: who asks, what is written down of the answer, and what ends with a no.

use std::{sync::Arc, time::Duration};

use doorward_shared::time::{Seconds, Timestamp};
use tracing::Instrument as _;
use zeroize::Zeroizing;

use super::people::groups_changed;
use crate::{
    domain::{
        audit::{Action, Actor},
        grant::Grant,
        revocation::upstream_ended,
        upstream::{Hearing, Identity, Provider},
    },
    ephemeral::{UPSTREAM_ASKED, UPSTREAM_ASKED_OF_LATE, UPSTREAM_AWAY},
    flows::{Context, Peer, ends::verdicts},
    store::{Applied, StoreError},
    upstream::{Answer, Client, UpstreamError},
};

/// Longest time for what comes after the exchange, which has at most eight seconds of its own.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest time that one identity takes, and that others wait for it.
const WAIT: Duration = Duration::from_secs(13);
/// How long the right to ask lasts: longer than asking can take.
const CLAIM: Seconds = Seconds::new(15);
/// Times that a provider is asked about one identity in a minute. Beyond, what is known counts: a client that refreshes without
/// end must not turn this server against the provider.
const ASKED_A_MINUTE: u32 = 20;
/// How often somebody who waits for another one's question looks.
const LOOK: Duration = Duration::from_millis(100);

/// Asks the provider about an identity. A task of its own does it: a request that is dropped between the provider's answer and
/// our write would lose the refresh token that the provider gave in place of the one that it took. Whoever drops what this
/// answers with, or gives up on it, only does not hear of it.
pub(super) async fn ask(
    ctx: &Arc<Context>,
    identity: Identity,
    peer: &Peer,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (ctx, peer, id) = (Arc::clone(ctx), peer.clone(), identity.id.clone());
    let asking = async move {
        let (rules, upstream) =
            (ctx.policy.provider(&identity.provider), ctx.upstream.at(&identity.provider));
        let (Some(rules), Some(upstream)) = (rules, upstream) else { return Ok(()) };
        let done = ask_here(&ctx, rules, upstream, &identity, &peer, now).await;
        ctx.ephemeral.put(&UPSTREAM_ASKED_OF_LATE, &unanswered(&identity), &true, now).await;
        done
    };
    tokio::spawn(asking.in_current_span()).await.unwrap_or_else(|error| {
        tracing::error!(identity = %id, %error, "groups could not be asked for anew");
        Ok(())
    })
}

/// What an identity is called in [`UPSTREAM_ASKED_OF_LATE`] for as long as the provider says nothing new about it.
pub(super) fn unanswered(identity: &Identity) -> String {
    format!("{}/{}", identity.id, identity.checked_at.seconds())
}

async fn ask_here(
    ctx: &Context,
    rules: &Provider,
    upstream: &Client,
    identity: &Identity,
    peer: &Peer,
    now: Timestamp,
) -> Result<(), StoreError> {
    if ctx.ephemeral.get(&UPSTREAM_AWAY, &rules.id, now).await.is_some() {
        return Ok(());
    }
    if ctx.ephemeral.bump(&UPSTREAM_ASKED, identity.id.as_str(), now).await > ASKED_A_MINUTE {
        return Ok(());
    }
    let claim = now.plus(CLAIM);
    if ctx.store.claim_identity(identity, claim, now).await? == Applied::Lost {
        return wait(ctx, identity).await;
    }
    let context = Identity::seal_context(&identity.id);
    let opened =
        identity.refresh_token.as_deref().and_then(|token| ctx.keys.data_key().open(&context, token));
    let Some(token) = opened.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()).map(Zeroizing::new)
    else {
        tracing::warn!(provider = %rules.id, identity = %identity.id, "the provider's refresh token was sealed with another key");
        return unheard(ctx, rules, identity, (claim, now)).await;
    };
    let exchanged = match upstream.exchange(&token, now).await {
        Ok(exchanged) => exchanged,
        Err(UpstreamError::Refused(code)) if code == "invalid_grant" => {
            return end(ctx, rules, identity, "upstream_ended", (claim, now), peer).await;
        }
        Err(error) => return in_trouble(ctx, rules, identity, &error, (claim, now)).await,
    };
    // The token that went out may be spent. Whatever becomes of the rest, the new one is kept.
    if let Some(token) = &exchanged.refresh_token
        && keep(ctx, identity, token, claim).await? == Applied::Lost
    {
        return Ok(());
    }
    let told = tokio::time::timeout(PATIENCE, upstream.tell(exchanged, &identity.subject, now)).await;
    match told.unwrap_or_else(|_| Err(UpstreamError::Away("no answer in time".to_owned()))) {
        Ok(answer) if answer.heard && !rules.still_admits(&answer.asserted.groups) => {
            super::say_groups(rules, &answer.asserted);
            end(ctx, rules, identity, "group_required", (claim, now), peer).await
        }
        Ok(answer) => note(ctx, rules, identity, &answer, (claim, now), peer).await,
        Err(error) => in_trouble(ctx, rules, identity, &error, (claim, now)).await,
    }
}

/// Writes the provider's new refresh token down. `Lost`: somebody signed in meanwhile, and what they brought is newer.
async fn keep(
    ctx: &Context,
    identity: &Identity,
    token: &str,
    claim: Timestamp,
) -> Result<Applied, StoreError> {
    let context = Identity::seal_context(&identity.id);
    match ctx.keys.data_key().seal(&context, token.as_bytes(), ctx.entropy.as_ref()) {
        Ok(sealed) => ctx.store.keep_refresh_token(&identity.id, claim, &sealed).await,
        Err(error) => {
            tracing::error!(%error, "the provider's new refresh token could not be sealed");
            Ok(Applied::Done)
        }
    }
}

/// The provider could not be asked: what is known stays.
async fn in_trouble(
    ctx: &Context,
    rules: &Provider,
    identity: &Identity,
    error: &UpstreamError,
    (claim, now): (Timestamp, Timestamp),
) -> Result<(), StoreError> {
    tracing::warn!(provider = %rules.id, identity = %identity.id, %error, "groups could not be asked for anew");
    if matches!(error, UpstreamError::Away(_)) {
        ctx.ephemeral.put(&UPSTREAM_AWAY, &rules.id, &true, now).await;
    }
    unheard(ctx, rules, identity, (claim, now)).await
}

async fn note(
    ctx: &Context,
    rules: &Provider,
    identity: &Identity,
    answer: &Answer,
    (claim, now): (Timestamp, Timestamp),
    peer: &Peer,
) -> Result<(), StoreError> {
    // A bare access token says nothing about the person; where groups are only told at sign-in, those hold for a while.
    let standing = if answer.heard {
        super::say_groups(rules, &answer.asserted);
        identity.after(&answer.asserted.groups, rules, now)
    } else {
        identity.unheard(rules.max_stale, now)
    };
    let event = groups_changed(ctx, identity, &standing.groups, peer, now);
    let email = answer.asserted.email.clone();
    let hearing = Hearing {
        identity: identity.id.clone(),
        email,
        standing,
        refresh_token: None,
        at: now,
        claim: Some(claim),
    };
    // Lost: somebody signed in meanwhile, and what they brought is newer.
    let _applied = ctx.store.note_hearing(&hearing, event.as_ref()).await?;
    Ok(())
}

/// Lets go of the claim; what is known stays.
async fn unheard(
    ctx: &Context,
    rules: &Provider,
    identity: &Identity,
    (claim, now): (Timestamp, Timestamp),
) -> Result<(), StoreError> {
    let hearing = Hearing {
        identity: identity.id.clone(),
        email: None,
        standing: identity.unheard(rules.max_stale, now),
        refresh_token: None,
        at: now,
        claim: Some(claim),
    };
    let _applied = ctx.store.note_hearing(&hearing, None).await?;
    Ok(())
}

/// The provider ended its session with the person, or disabled them, or puts them into no group that may sign in: what was
/// made through it ends, unless somebody signed in meanwhile.
async fn end(
    ctx: &Context,
    rules: &Provider,
    identity: &Identity,
    because: &'static str,
    (claim, now): (Timestamp, Timestamp),
    peer: &Peer,
) -> Result<(), StoreError> {
    let through = ctx.store.grants_through(&identity.user_id, &identity.provider).await?;
    let barred = |grant: &Grant| {
        let event = ctx.event(Action::GrantBarred, Actor::Server, peer, now).on(&grant.id);
        event.with("because", because).with("provider", rules.id.as_str())
    };
    let grants = verdicts(&through, |grant| upstream_ended(grant, &ctx.policy.token, now), barred);
    let event = ctx.event(Action::IdentityEnded, Actor::Server, peer, now).on(&identity.id);
    let event = event.with("provider", rules.id.as_str()).with("user", identity.user_id.as_str());
    let _ended = ctx.store.end_identity(identity, claim, &grants, &event.with("because", because)).await?;
    Ok(())
}

/// Waits until whoever asks has an answer, or for as long as that may take.
pub(super) async fn wait(ctx: &Context, identity: &Identity) -> Result<(), StoreError> {
    let looks = WAIT.as_millis() / LOOK.as_millis();
    for _ in 0..looks {
        if !ctx.store.is_claimed(&identity.id, ctx.now()).await? {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
