//! The second step of a sign-in, for people with a second factor: until it is done there is no session.

use doorward_shared::{
    secret::{BrowserCookie, Secret},
    time::{Seconds, Timestamp},
};

use super::{
    Context, Peer,
    account::second_factor::seed_of,
    login::{self, NotSignedIn, Opened},
};
use crate::{
    domain::{
        audit::{Action, Actor},
        ids::UserId,
        letter::Notice,
        session::SignInMethod,
        throttle::Failures,
        totp::{RecoveryCode, SecondFactor, tidy},
        user::User,
    },
    ephemeral::SIGN_IN_FAILURES,
    store::{Applied, StoreError},
};

/// How long the second step may take.
const TTL: Seconds = Seconds::minutes(5);

/// What somebody typed into the form of the second step, and from where; half a sign-in is not printed.
pub struct Answer<'a> {
    /// The proof that the password was right, as the page carries it.
    pub half: &'a str,
    /// The code.
    pub code: Code<'a>,
    /// The cookie of the browser in which the password was typed.
    pub browser: &'a Secret<BrowserCookie>,
    /// Where it is.
    pub peer: &'a Peer,
    /// The cookie of a browser that signed in before.
    pub device: Option<&'a str>,
    /// The cookie of the session that the browser has now, if it has one.
    pub session: Option<&'a str>,
}

impl std::fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// A code in the clear; it does not print itself.
pub struct Code<'a>(pub &'a str);

impl std::fmt::Debug for Code<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<code>")
    }
}

/// Half a sign-in: the password was right, in this browser, at this time. It opens nothing, and is worth nothing once the
/// password is another one.
pub(super) fn half(ctx: &Context, user: &User, browser: &Secret<BrowserCookie>, now: Timestamp) -> String {
    let at = now.seconds().to_string();
    let tag = ctx.halves.tag(&[user.id.as_str(), user.password.expose(), browser.expose(), &at]);
    format!("{}.{at}.{tag}", user.id)
}

/// Whose half it is, while it holds.
async fn whole(ctx: &Context, answer: &Answer<'_>, now: Timestamp) -> Result<Option<User>, StoreError> {
    let mut parts = answer.half.splitn(3, '.');
    let (Some(id), Some(at), Some(tag)) = (parts.next(), parts.next(), parts.next()) else { return Ok(None) };
    let young =
        at.parse().is_ok_and(|at| (-60..TTL.get()).contains(&now.since(Timestamp::from_seconds(at)).get()));
    let Some(id) = UserId::parse(id).filter(|_| young) else { return Ok(None) };
    let user = ctx.store.user(&id).await?.filter(|user| user.disabled_at.is_none());
    Ok(user.filter(|user| {
        let parts = [user.id.as_str(), user.password.expose(), answer.browser.expose(), at];
        ctx.halves.check(&parts, tag)
    }))
}

/// Checks the code and opens a session.
pub async fn finish(ctx: &Context, answer: &Answer<'_>) -> Result<Opened, NotSignedIn> {
    let now = ctx.now();
    let Some(user) = whole(ctx, answer, now).await? else { return Err(NotSignedIn::TooLate) };
    // Whoever comes here knows the password, and there are only a million codes: guesses are counted for the account, wherever
    // they come from. A browser that signed in before is counted on its own, so that its owner need not wait for them.
    let counter = match answer.device.and_then(|cookie| login::known_device(ctx, &user, cookie)) {
        Some(nonce) => format!("{} code device {nonce}", user.id),
        None => format!("{} code", user.id),
    };
    let now = login::count(ctx, &counter, now).await.map_err(NotSignedIn::Wait)?;
    let method = match ctx.store.second_factor(&user.id).await? {
        Some(factor) => {
            if !spend(ctx, &factor, &user, answer, now).await? {
                let event = ctx.event(Action::SignInFailed, Actor::Stranger, answer.peer, now).on(&user.id);
                ctx.store.note(&event.with("step", "code")).await?;
                return Err(NotSignedIn::WrongCode);
            }
            SignInMethod::PasswordAndCode
        }
        // It was taken away since the password was typed.
        None => SignInMethod::Password,
    };
    ctx.ephemeral.put(&SIGN_IN_FAILURES, &counter, &Failures::default(), now).await;
    let proof = login::Proof::by_password(&user, method);
    login::open(ctx, proof, answer.session, answer.peer, now).await?.ok_or(NotSignedIn::TooLate)
}

/// Spends a code of the app, or a recovery code. `false`: it is wrong, or was used.
async fn spend(
    ctx: &Context,
    factor: &SecondFactor,
    user: &User,
    answer: &Answer<'_>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if let Some(code) = RecoveryCode::parse(answer.code.0) {
        let id = &user.id;
        let event = ctx.event(Action::RecoveryCodeUsed, Actor::User(id.clone()), answer.peer, now).on(id);
        let spent = ctx.store.spend_recovery_code(id, &code.hash(id), &event).await? == Applied::Done;
        if spent {
            ctx.tell(&user.email, Notice::RecoveryCodeUsed, answer.peer, now);
        }
        return Ok(spent);
    }
    let Some(seed) = seed_of(ctx, factor) else {
        tracing::error!(user = %factor.user, "the seed of a second factor does not open: the data key is another one");
        return Ok(false);
    };
    match seed.step_of(&tidy(answer.code.0), factor.last_step, now) {
        Some(step) => Ok(ctx.store.spend_code(&factor.user, step).await? == Applied::Done),
        None => Ok(false),
    }
}
