//! Groups are asked for anew whenever a refresh token of ours is used, before anything is decided about it. The provider's
//! refresh token may be good for one use only, so of all servers and requests at once one asks, and the others wait for it.

use std::time::Duration;

use doorward_shared::{
    client_id::ClientId,
    secret::{RefreshToken, SecretHash},
    time::{Seconds, Timestamp},
};
use zeroize::Zeroizing;

use super::{groups_changed, sealed};
use crate::{
    domain::{
        audit::{Action, Actor},
        revocation::upstream_ended,
        upstream::{Hearing, Identity, Provider},
    },
    ephemeral::{UPSTREAM_ASKED, UPSTREAM_AWAY},
    flows::{Context, Peer},
    store::{Applied, StoreError},
    upstream::{Answer, Client, UpstreamError},
};

/// Longest time that one identity takes.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long the right to ask lasts: longer than asking can take.
const CLAIM: Seconds = Seconds::new(15);
/// Times that a provider is asked about one identity in a minute. Beyond, what is known counts: a client that refreshes without
/// end must not turn this server against the provider.
const ASKED_A_MINUTE: u32 = 20;
/// How often somebody who waits for another one's question looks.
const LOOK: Duration = Duration::from_millis(100);

/// Brings the groups of the person behind a refresh token up to date. What cannot be learned leaves what is known, for a while;
/// where the provider does not stand for the person any more, what came of it ends.
pub(in crate::flows) async fn renew(
    ctx: &Context,
    token: &SecretHash<RefreshToken>,
    client: &ClientId,
    peer: &Peer,
) -> Result<(), StoreError> {
    if ctx.policy.upstream.is_empty() {
        return Ok(());
    }
    for identity in ctx.store.identities_behind(token, client).await? {
        let now = ctx.now();
        let rules = ctx.policy.provider(&identity.provider);
        let (Some(rules), Some(upstream)) = (rules, ctx.upstream.at(&identity.provider)) else { continue };
        if now >= identity.checked_at.plus(rules.max_stale) && !identity.groups.is_empty() {
            tracing::warn!(provider = %rules.id, identity = %identity.id, "the groups are too old to count: max_stale");
            ctx.store.lapse_groups(&rules.id, now.minus(rules.max_stale)).await?;
        }
        if identity.refresh_token.is_some() {
            ask(ctx, rules, upstream, &identity, peer, now).await?;
        }
    }
    Ok(())
}

async fn ask(
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
    let asked = tokio::time::timeout(PATIENCE, upstream.refresh(&token, &identity.subject, now)).await;
    let heard = asked.unwrap_or_else(|_| Err(UpstreamError::Away("no answer in time".to_owned())));
    match heard {
        Ok(answer) => note(ctx, rules, identity, &answer, (claim, now), peer).await,
        Err(UpstreamError::Refused(code)) if code == "invalid_grant" => {
            end(ctx, rules, identity, (claim, now), peer).await
        }
        Err(error) => {
            tracing::warn!(provider = %rules.id, identity = %identity.id, %error, "groups could not be asked for anew");
            if matches!(error, UpstreamError::Away(_)) {
                ctx.ephemeral.put(&UPSTREAM_AWAY, &rules.id, &true, now).await;
            }
            unheard(ctx, rules, identity, (claim, now)).await
        }
    }
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
        identity.after(&answer.asserted.groups, rules.max_stale, now)
    } else {
        identity.unheard(rules.max_stale, now)
    };
    let refresh_token = sealed(ctx, &identity.id, answer).unwrap_or_else(|error| {
        tracing::error!(%error, "the provider's new refresh token could not be sealed");
        None
    });
    let event = groups_changed(ctx, identity, &standing.groups, peer, now);
    let email = answer.asserted.email.clone();
    let hearing = Hearing {
        identity: identity.id.clone(),
        email,
        standing,
        refresh_token,
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

/// The provider ended its session with the person, or disabled them: the grants that were made through it end. The identity
/// is ended last, so that whoever is killed in between begins again.
async fn end(
    ctx: &Context,
    rules: &Provider,
    identity: &Identity,
    (claim, now): (Timestamp, Timestamp),
    peer: &Peer,
) -> Result<(), StoreError> {
    for grant in ctx.store.grants_through(&identity.user_id, &identity.provider).await? {
        let Some(revocation) = upstream_ended(&grant, &ctx.policy.token, now) else { continue };
        let event = ctx.event(Action::GrantBarred, Actor::Server, peer, now).on(&grant.id);
        let event = event.with("because", "upstream_ended").with("provider", rules.id.as_str());
        let _ended = ctx.store.end_grant(&revocation, &event).await?;
    }
    let event = ctx.event(Action::IdentityEnded, Actor::Server, peer, now).on(&identity.id);
    let event = event.with("provider", rules.id.as_str()).with("user", identity.user_id.as_str());
    let _ended = ctx.store.end_identity(&identity.id, claim, &event).await?;
    Ok(())
}

/// Waits until whoever asks has an answer, or for as long as that may take.
async fn wait(ctx: &Context, identity: &Identity) -> Result<(), StoreError> {
    let looks = PATIENCE.as_millis() / LOOK.as_millis();
    for _ in 0..looks {
        tokio::time::sleep(LOOK).await;
        if !ctx.store.is_claimed(&identity.id, ctx.now()).await? {
            return Ok(());
        }
    }
    Ok(())
}
