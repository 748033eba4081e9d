//! Passkeys: registered, named, removed.

use crate::{
    domain::{
        audit::{Action, Actor},
        letter::Notice,
        passkey::{self, Expected, MAX_NAME, Passkey, PasskeyError, Registration, rp_id},
        session::SignedIn,
    },
    flows::{Context, Peer, challenge},
    store::{Applied, StoreError},
};

/// Why there is no new passkey.
#[derive(Debug, thiserror::Error)]
pub enum NotRegistered {
    /// The challenge is too old, or another page's.
    #[error("the page was too old; try again")]
    Stale,
    /// The answer.
    #[error(transparent)]
    Answer(#[from] PasskeyError),
    /// The device has one already.
    #[error("this device is registered already")]
    Known,
    /// Too many.
    #[error("an account has at most {MOST} passkeys; remove one that you do not use")]
    TooMany,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How many passkeys a person has at most.
const MOST: usize = 20;

/// A name as it is kept: without control characters, not endless, never empty.
fn tidy(name: &str) -> String {
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    if name.is_empty() { "Passkey".to_owned() } else { name }
}

/// The challenge for a new passkey. `None`: browsers take no passkeys for the issuer's host.
pub fn challenge(ctx: &Context, person: &SignedIn) -> Option<String> {
    rp_id(&ctx.policy.issuer)?;
    Some(challenge::new(ctx, challenge::Deed::Register, &person.session.hash.to_text(), ctx.now()))
}

/// Takes a new passkey in.
pub async fn register(
    ctx: &Context,
    person: &SignedIn,
    name: &str,
    (challenge, answer): (&str, Registration<'_>),
    peer: &Peer,
) -> Result<(), NotRegistered> {
    let now = ctx.now();
    if !challenge::holds(ctx, challenge::Deed::Register, &person.session.hash.to_text(), challenge, now) {
        return Err(NotRegistered::Stale);
    }
    let made = passkey::register(answer, Expected { challenge, issuer: &ctx.policy.issuer })?;
    let user = &person.user.id;
    if ctx.store.passkeys_of(user).await?.len() >= MOST {
        return Err(NotRegistered::TooMany);
    }
    let passkey = Passkey {
        id: made.id,
        user: user.clone(),
        name: tidy(name),
        public_key: made.public_key,
        counter: made.counter,
        created_at: now,
        last_used_at: None,
    };
    let event = ctx.event(Action::PasskeyAdded, Actor::User(user.clone()), peer, now).on(user);
    match ctx.store.insert_passkey(&passkey, &event).await? {
        Applied::Done => {
            ctx.tell(&person.user.email, Notice::PasskeyAdded, peer, now);
            Ok(())
        }
        Applied::Lost => Err(NotRegistered::Known),
    }
}

/// Gives a passkey another name.
pub async fn rename(ctx: &Context, person: &SignedIn, id: &str, name: &str) -> Result<Applied, StoreError> {
    ctx.store.rename_passkey(&person.user.id, id, &tidy(name)).await
}

/// Removes a passkey: nobody signs in with it any more.
pub async fn remove(ctx: &Context, person: &SignedIn, id: &str, peer: &Peer) -> Result<Applied, StoreError> {
    let user = &person.user.id;
    let now = ctx.now();
    let event = ctx.event(Action::PasskeyRemoved, Actor::User(user.clone()), peer, now).on(user);
    let applied = ctx.store.remove_passkey(user, id, &event).await?;
    if applied == Applied::Done {
        ctx.tell(&person.user.email, Notice::PasskeyRemoved, peer, now);
    }
    Ok(applied)
}
