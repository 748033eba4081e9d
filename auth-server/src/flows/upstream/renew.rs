//! Groups are asked for anew whenever a refresh token of ours is used, before anything is decided about it, and every few minutes
//! while an API key is used. The provider's refresh token may be good for one use only, so of all servers and requests at once
//! one asks, and the others wait for it.

use std::{sync::Arc, time::Duration};

use doorward_shared::{
    client_id::ClientId,
    secret::{RefreshToken, SecretHash},
    time::{Seconds, Timestamp},
};

use super::ask::{ask, unanswered, wait};
use crate::{
    domain::upstream::Identity,
    ephemeral::UPSTREAM_ASKED_OF_LATE,
    flows::{Context, Peer},
    store::StoreError,
};

/// How long the provider's last word about a person is enough for their API keys. The keys themselves are never refreshed.
const ENOUGH_FOR_KEYS: Seconds = Seconds::minutes(5);
/// Longest time that a question about an API key is held up by the provider. Its answer, when it comes, counts from then on.
const HOLD: Duration = Duration::from_secs(2);

/// Brings the groups of the person behind a refresh token up to date. What cannot be learned leaves what is known, for a while;
/// where the provider does not stand for the person any more, what came of it ends.
pub(in crate::flows) async fn renew(
    ctx: &Arc<Context>,
    token: &SecretHash<RefreshToken>,
    client: &ClientId,
    peer: &Peer,
) -> Result<(), StoreError> {
    if ctx.policy.upstream.is_empty() {
        return Ok(());
    }
    for identity in ctx.store.identities_behind(token, client).await? {
        let now = ctx.now();
        lapse(ctx, &identity, now).await?;
        if identity.refresh_token.is_some() {
            ask(ctx, identity, peer, now).await?;
        }
    }
    Ok(())
}

/// Brings the groups of the person of an API key up to date, where the provider was last heard too long ago. True when there may
/// be something new to read.
pub(in crate::flows) async fn renew_for_key(
    ctx: &Arc<Context>,
    identities: &[Identity],
    peer: &Peer,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let stale = |identity: &&Identity| {
        let live = identity.ended_at.is_none() && ctx.policy.provider(&identity.provider).is_some();
        live && now >= identity.checked_at.plus(ENOUGH_FOR_KEYS)
    };
    let mut anew = false;
    // One time for all providers of a person: a resource server waits for the answer.
    let hold = tokio::time::Instant::now() + HOLD;
    for identity in identities.iter().filter(stale) {
        anew |= lapse(ctx, identity, now).await?;
        if identity.refresh_token.is_none() {
            continue;
        }
        if ctx.ephemeral.get(&UPSTREAM_ASKED_OF_LATE, &unanswered(identity), now).await.is_some() {
            continue;
        }
        let answered = async {
            if ctx.store.is_claimed(&identity.id, now).await? {
                wait(ctx, identity).await
            } else {
                ask(ctx, identity.clone(), peer, now).await
            }
        };
        anew = true;
        match tokio::time::timeout_at(hold, answered).await {
            Ok(answered) => answered?,
            Err(_) => {
                tracing::debug!(identity = %identity.id, "the provider is slow; what is known counts for the API key");
            }
        }
    }
    Ok(anew)
}

/// Takes groups away that are too old to count. True when there were any.
async fn lapse(ctx: &Context, identity: &Identity, now: Timestamp) -> Result<bool, StoreError> {
    let Some(rules) = ctx.policy.provider(&identity.provider) else { return Ok(false) };
    if now >= identity.checked_at.plus(rules.max_stale) && !identity.groups.is_empty() {
        tracing::warn!(provider = %rules.id, identity = %identity.id, "the groups are too old to count: max_stale");
        ctx.store.lapse_groups(&rules.id, now.minus(rules.max_stale)).await?;
        return Ok(true);
    }
    Ok(false)
}
