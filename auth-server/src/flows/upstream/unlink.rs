//! Taking the link between an account here and one at a provider away.

use doorward_shared::time::Timestamp;

use crate::{
    domain::{
        audit::{Action, Event},
        grant::Grant,
        policy::{Policy, TokenPolicy},
        revocation::Revocation,
        upstream::{Identity, Unlinking},
    },
    flows::ends::{one_by_one, verdicts},
    store::{Applied, Store, StoreError},
};

/// Who takes it away: how their verdict on a grant is made, and how an event of theirs begins.
pub struct Hand<'a> {
    /// The verdict.
    pub revoke: fn(&Grant, &TokenPolicy, Timestamp) -> Option<Revocation>,
    /// The event.
    pub event: &'a (dyn Fn(Action) -> Event + Sync),
}

/// Ends what came of signing in there, and the link, both or neither. `Lost`: the link is gone already.
pub async fn unlink(
    store: &dyn Store,
    policy: &Policy,
    identity: &Identity,
    hand: &Hand<'_>,
    now: Timestamp,
) -> Result<Applied, StoreError> {
    let applied = store.remove_identity(&unlinking(store, policy, identity, hand, now).await?).await?;
    end_stragglers(store, policy, identity, hand, now).await?;
    Ok(applied)
}

/// The verdict on a link and what came of it.
pub(in crate::flows) async fn unlinking(
    store: &dyn Store,
    policy: &Policy,
    identity: &Identity,
    hand: &Hand<'_>,
    now: Timestamp,
) -> Result<Unlinking, StoreError> {
    let grants = made_through(store, policy, identity, hand, now).await?;
    let event = (hand.event)(Action::IdentityUnlinked)
        .on(&identity.id)
        .with("provider", identity.provider.as_str())
        .with("user", identity.user_id.as_str());
    Ok(Unlinking { identity: identity.clone(), grants, event })
}

/// Ends grants that were made at the moment in which the link went. From then on none is: the sessions are over.
pub(in crate::flows) async fn end_stragglers(
    store: &dyn Store,
    policy: &Policy,
    identity: &Identity,
    hand: &Hand<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let left = made_through(store, policy, identity, hand, now).await?;
    one_by_one(left, async |grant, event| store.end_grant(grant, event).await).await?;
    Ok(())
}

async fn made_through(
    store: &dyn Store,
    policy: &Policy,
    identity: &Identity,
    hand: &Hand<'_>,
    now: Timestamp,
) -> Result<Vec<(Revocation, Event)>, StoreError> {
    let grants = store.grants_through(&identity.user_id, &identity.provider).await?;
    let event =
        |grant: &Grant| (hand.event)(Action::GrantRevoked).on(&grant.id).with("user", grant.user_id.as_str());
    Ok(verdicts(&grants, |grant| (hand.revoke)(grant, &policy.token, now), event))
}
