//! The optional second factor: set up, recovery codes, and taken away.

use zeroize::Zeroizing;

use crate::{
    domain::{
        audit::{Action, Actor, Event},
        ids::UserId,
        letter::Notice,
        session::SignedIn,
        totp::{RECOVERY_CODES, RecoveryCode, SecondFactor, Seed, tidy},
    },
    flows::{Context, Peer},
    keys::KeyError,
    store::{Applied, StoreError},
};

/// A seed that its person has not confirmed yet. Nothing of it is stored: the page carries it, sealed for this session.
#[derive(Debug)]
pub struct Offer {
    /// The seed, to be shown.
    pub seed: Seed,
    /// The same, sealed, to be sent back.
    pub sealed: String,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum NotSet {
    /// The code does not belong to the seed.
    #[error(
        "the code is not the one of this moment; wait for the next one, and look whether the device's clock is right"
    )]
    Code(Box<Offer>),
    /// The offer is of another session, or there is a second factor already.
    #[error("the page was too old; begin again")]
    Stale,
    /// Nothing could be sealed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the seed in a page is sealed for.
fn offered_to(person: &SignedIn) -> String {
    format!("second_factors/{}/offered/{}", person.user.id, person.session.hash.to_text())
}

/// What the seed in the store is sealed for.
fn stored_for(user: &UserId) -> String {
    format!("second_factors/{user}/seed")
}

/// The seed of a second factor. `None`: it was sealed with a data key that is lost, or changed by hand.
pub(in crate::flows) fn seed_of(ctx: &Context, factor: &SecondFactor) -> Option<Seed> {
    ctx.keys.data_key().open(&stored_for(&factor.user), &factor.sealed).map(Seed::from_bytes)
}

/// A new seed for the person to put into their app.
pub fn offer(ctx: &Context, person: &SignedIn) -> Result<Offer, KeyError> {
    let seed = Seed::generate(ctx.entropy.as_ref());
    let sealed = ctx.keys.data_key().seal(&offered_to(person), seed.expose(), ctx.entropy.as_ref())?;
    Ok(Offer { seed, sealed })
}

/// Takes the seed into use once the person's app shows the right code. Answers the recovery codes, which are shown this once.
pub async fn confirm(
    ctx: &Context,
    person: &SignedIn,
    sealed: &str,
    code: &str,
    peer: &Peer,
) -> Result<Vec<RecoveryCode>, NotSet> {
    let now = ctx.now();
    let opened: Option<Zeroizing<Vec<u8>>> = ctx.keys.data_key().open(&offered_to(person), sealed);
    let seed = Seed::from_bytes(opened.ok_or(NotSet::Stale)?);
    let Some(step) = seed.step_of(&tidy(code), 0, now) else {
        return Err(NotSet::Code(Box::new(Offer { seed, sealed: sealed.to_owned() })));
    };
    let user = &person.user.id;
    let factor = SecondFactor {
        user: user.clone(),
        sealed: ctx.keys.data_key().seal(&stored_for(user), seed.expose(), ctx.entropy.as_ref())?,
        // The code that confirms it is used.
        last_step: step,
        created_at: now,
    };
    let (codes, hashes) = recovery_codes(ctx, user);
    let event = event(ctx, Action::SecondFactorSet, user, peer);
    match ctx.store.put_second_factor(&factor, &hashes, &event).await? {
        Applied::Done => {
            ctx.tell(&person.user.email, Notice::SecondFactorSet, peer, now);
            Ok(codes)
        }
        Applied::Lost => Err(NotSet::Stale),
    }
}

/// New recovery codes in place of all that there were. `None`: there is no second factor.
pub async fn renew(
    ctx: &Context,
    person: &SignedIn,
    peer: &Peer,
) -> Result<Option<Vec<RecoveryCode>>, StoreError> {
    let user = &person.user.id;
    let (codes, hashes) = recovery_codes(ctx, user);
    let event = event(ctx, Action::RecoveryCodesRenewed, user, peer);
    let applied = ctx.store.replace_recovery_codes(user, &hashes, &event).await?;
    Ok((applied == Applied::Done).then_some(codes))
}

/// Takes the second factor away.
pub async fn remove(ctx: &Context, person: &SignedIn, peer: &Peer) -> Result<Applied, StoreError> {
    let user = &person.user.id;
    let event = event(ctx, Action::SecondFactorRemoved, user, peer);
    let applied = ctx.store.remove_second_factor(user, &event).await?;
    if applied == Applied::Done {
        ctx.tell(&person.user.email, Notice::SecondFactorRemoved, peer, event.at);
    }
    Ok(applied)
}

/// How many recovery codes are left; `None` without a second factor.
pub async fn state(ctx: &Context, person: &SignedIn) -> Result<Option<u64>, StoreError> {
    match ctx.store.second_factor(&person.user.id).await? {
        Some(_) => Ok(Some(ctx.store.recovery_codes_left(&person.user.id).await?)),
        None => Ok(None),
    }
}

fn recovery_codes(ctx: &Context, user: &UserId) -> (Vec<RecoveryCode>, Vec<String>) {
    let codes: Vec<_> = (0..RECOVERY_CODES).map(|_| RecoveryCode::generate(ctx.entropy.as_ref())).collect();
    let hashes = codes.iter().map(|code| code.hash(user)).collect();
    (codes, hashes)
}

fn event(ctx: &Context, action: Action, user: &UserId, peer: &Peer) -> Event {
    ctx.event(action, Actor::User(user.clone()), peer, ctx.now()).on(user)
}
