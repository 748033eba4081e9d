//! Taking the link between an account here and one at a provider away.

use doorward_shared::time::Timestamp;

use crate::{
    domain::{
        audit::{Action, Event},
        policy::Policy,
        revocation::revoke,
        upstream::Identity,
    },
    store::{Applied, Store, StoreError},
};

/// Ends what came of signing in there, and the link last. Grants end first, so that whoever is interrupted begins again; sessions
/// and groups go with the link. `event` begins an event of whoever does it. `Lost`: the link is gone already.
pub async fn unlink(
    store: &dyn Store,
    policy: &Policy,
    identity: &Identity,
    now: Timestamp,
    event: impl Fn(Action) -> Event + Sync,
) -> Result<Applied, StoreError> {
    for grant in store.grants_through(&identity.user_id, &identity.provider).await? {
        let Some(revocation) = revoke(&grant, &policy.token, now) else { continue };
        let event = event(Action::GrantRevoked).on(&grant.id).with("user", grant.user_id.as_str());
        let _ended = store.end_grant(&revocation, &event).await?;
    }
    let event = event(Action::IdentityUnlinked)
        .on(&identity.id)
        .with("provider", identity.provider.as_str())
        .with("user", identity.user_id.as_str());
    store.remove_identity(identity, &event).await
}
