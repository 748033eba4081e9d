//! One's own sessions: the browsers in which one is signed in.

use crate::{
    domain::{
        audit::{Action, Actor},
        session::Session,
        session::SignedIn,
    },
    flows::{Context, Peer, admin::sessions::hash_of},
    store::{Applied, StoreError},
};

/// The live sessions of a person, the one that asks first, then the newest.
pub async fn list(ctx: &Context, person: &SignedIn) -> Result<Vec<Session>, StoreError> {
    let now = ctx.now();
    let mut all = ctx.store.sessions_of(&person.user.id).await?;
    all.retain(|session| session.is_live(&ctx.policy.session, now));
    all.sort_by_key(|session| session.hash != person.session.hash);
    Ok(all)
}

/// Ends one of them. `Lost`: it was over, or is somebody else's.
pub async fn end(ctx: &Context, person: &SignedIn, id: &str, peer: &Peer) -> Result<Applied, StoreError> {
    let Some(hash) = hash_of(id) else { return Ok(Applied::Lost) };
    let found = ctx.store.session(&hash).await?.filter(|(_, user)| user.id == person.user.id);
    let Some((session, user)) = found else { return Ok(Applied::Lost) };
    let event = ctx.event(Action::SessionEnded, Actor::User(user.id.clone()), peer, ctx.now()).on(&user.id);
    ctx.store.end_session(&hash, &event.with("auth_time", session.auth_time.seconds())).await
}

/// Ends all but the one that asks. Answers how many.
pub async fn end_others(ctx: &Context, person: &SignedIn, peer: &Peer) -> Result<u64, StoreError> {
    let id = &person.user.id;
    let event = ctx.event(Action::OtherSessionsEnded, Actor::User(id.clone()), peer, ctx.now()).on(id);
    ctx.store.end_sessions(id, Some(&person.session.hash), &event).await
}
