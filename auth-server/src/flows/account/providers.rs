//! One's own accounts at upstream providers.

use crate::{
    domain::{
        audit::Actor,
        ids::IdentityId,
        revocation::revoke_by_person,
        session::{SignInMethod, SignedIn},
        upstream::Identity,
    },
    flows::{
        Context, Peer,
        upstream::unlink::{Hand, unlink},
    },
    store::{Applied, StoreError},
};

/// Why a link stays.
#[derive(Debug, thiserror::Error)]
pub enum NotUnlinked {
    /// It is the way by which the person came in, and nothing shows that there is another one.
    #[error(
        "you are signed in through this account; sign in with your password or a passkey first, so that you do not shut yourself out"
    )]
    OnlyWay,
    /// There is no such link.
    #[error("that account is not linked any more")]
    Gone,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The accounts at providers that belong to somebody.
pub async fn list(ctx: &Context, person: &SignedIn) -> Result<Vec<Identity>, StoreError> {
    ctx.store.identities_of(&person.user.id).await
}

/// Takes the link to one of them away: what came of signing in there ends.
pub async fn remove(ctx: &Context, person: &SignedIn, id: &str, peer: &Peer) -> Result<(), NotUnlinked> {
    let wanted = IdentityId::parse(id).ok_or(NotUnlinked::Gone)?;
    let found = list(ctx, person).await?.into_iter().find(|identity| identity.id == wanted);
    let identity = found.ok_or(NotUnlinked::Gone)?;
    if person.session.method == SignInMethod::Upstream {
        return Err(NotUnlinked::OnlyWay);
    }
    let now = ctx.now();
    let event = |action| ctx.event(action, Actor::User(person.user.id.clone()), peer, now);
    let hand = Hand { revoke: revoke_by_person, event: &event };
    match unlink(ctx.store.as_ref(), &ctx.policy, &identity, &hand, now).await? {
        Applied::Done => Ok(()),
        Applied::Lost => Err(NotUnlinked::Gone),
    }
}
