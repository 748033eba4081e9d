//! Signing in with a passkey: no name, no password and no code; the device made sure who is there.

use doorward_shared::secret::{BrowserCookie, Secret};

use super::{
    Context, Peer, challenge,
    login::{self, NotSignedIn, Opened},
};
use crate::{
    domain::{
        audit::{Action, Actor},
        passkey::{self, Assertion, Expected, Passkey, rp_id},
        session::SignInMethod,
        user::User,
    },
    ephemeral::{SIGN_IN_FAILURES_OF_NETWORK, USED_CHALLENGES},
    store::{Applied, StoreError},
};

/// What a browser sends, and from where.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// The challenge that the page set.
    pub challenge: &'a str,
    /// What the device answers.
    pub answer: Assertion<'a>,
    /// The cookie of the browser that the page was shown to.
    pub browser: &'a Secret<BrowserCookie>,
    /// Where it is.
    pub peer: &'a Peer,
    /// The cookie of the session that the browser has now, if it has one.
    pub session: Option<&'a str>,
}

/// A challenge for a browser. `None`: browsers take no passkeys for the issuer's host.
pub fn challenge(ctx: &Context, browser: &Secret<BrowserCookie>) -> Option<String> {
    rp_id(&ctx.policy.issuer)?;
    Some(challenge::new(ctx, challenge::Deed::SignIn, browser.expose(), ctx.now()))
}

/// Checks the answer and opens a session.
pub async fn sign_in(ctx: &Context, attempt: &Attempt<'_>) -> Result<Opened, NotSignedIn> {
    let now = ctx.now();
    if !challenge::holds(ctx, challenge::Deed::SignIn, attempt.browser.expose(), attempt.challenge, now) {
        return Err(NotSignedIn::TooLate);
    }
    let user = check(ctx, attempt).await?;
    if user.is_none() {
        // Nothing can be guessed here; the brake spares the processor and the trail.
        let (crowd, limit) = (&SIGN_IN_FAILURES_OF_NETWORK, ctx.policy.limits.sign_in_failures);
        let failed = ctx.ephemeral.bump(crowd, &attempt.peer.network, now).await;
        if ctx.over(failed, limit, "sign_in_failures", attempt.peer, now).await {
            return Err(NotSignedIn::Wait(doorward_shared::time::Seconds::minutes(1)));
        }
        let event = ctx.event(Action::SignInFailed, Actor::Stranger, attempt.peer, now);
        ctx.store.note(&event.with("step", "passkey")).await?;
    }
    let user = user.ok_or(NotSignedIn::WrongPasskey)?;
    let proof = login::Proof::by(SignInMethod::Passkey, &user.id);
    login::open(ctx, proof, attempt.session, attempt.peer, now).await?.ok_or(NotSignedIn::WrongPasskey)
}

/// Whose passkey answered, if all of the answer is right and none of it was used before.
async fn check(ctx: &Context, attempt: &Attempt<'_>) -> Result<Option<User>, StoreError> {
    let now = ctx.now();
    let found: Option<(Passkey, User)> = ctx.store.passkey(attempt.answer.id).await?;
    let Some((passkey, user)) = found.filter(|(_, user)| user.disabled_at.is_none()) else { return Ok(None) };
    let expected = Expected { challenge: attempt.challenge, issuer: &ctx.policy.issuer };
    let counter = match passkey::sign_in(&passkey, attempt.answer, expected) {
        Ok(counter) => counter,
        Err(error) => {
            tracing::info!(user = %user.id, %error, "a sign-in with a passkey was refused");
            return Ok(None);
        }
    };
    // Each challenge is answered once.
    if ctx.ephemeral.bump(&USED_CHALLENGES, attempt.challenge, now).await > 1 {
        return Ok(None);
    }
    let used = ctx.store.use_passkey(&passkey, counter, now).await?;
    Ok((used == Applied::Done).then_some(user))
}
