//! Signing in with a local account, and out again.

use std::time::Duration;

use doorward_shared::{
    secret::{Secret, SessionCookie},
    time::{Seconds, Timestamp},
};

use super::Context;
use crate::{
    domain::{
        authorize::Freshness, authorize::SignedIn, email::Email, ids::UserId, session::Session,
        throttle::Failures,
    },
    ephemeral::{SIGN_IN_FAILURES, SIGN_IN_FAILURES_OF_NETWORK},
    password::Busy,
    store::{Applied, StoreError},
};

/// What somebody typed into the sign-in form, and from where.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// The address.
    pub email: &'a str,
    /// The password.
    pub password: Password<'a>,
    /// The network the browser is in.
    pub network: &'a str,
    /// The cookie of a browser that signed in before.
    pub device: Option<&'a str>,
    /// The cookie of the session that the browser has now, if it has one.
    pub session: Option<&'a str>,
}

/// A password in the clear; it does not print itself.
pub struct Password<'a>(pub &'a str);

impl std::fmt::Debug for Password<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<password>")
    }
}

/// Somebody is signed in.
#[derive(Debug)]
pub struct Opened {
    /// The cookie of the session.
    pub cookie: Secret<SessionCookie>,
    /// The cookie that marks this browser as known to the account.
    pub device: String,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum NotSignedIn {
    /// Unknown account, wrong password, or a disabled account: not told apart.
    #[error("wrong e-mail address or password")]
    Wrong,
    /// Too many failures; the next try is looked at after this long.
    #[error("too many failed sign-ins")]
    Wait(Seconds),
    /// Too many sign-ins at once.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A wait that is simply waited, instead of told to somebody who mistyped once too often.
const SHORT_WAIT: Seconds = Seconds::new(2);

/// Checks the password and opens a session.
pub async fn sign_in(ctx: &Context, attempt: &Attempt<'_>) -> Result<Opened, NotSignedIn> {
    let mut now = ctx.now();
    let account = Email::parse(attempt.email).ok();
    let name = account.as_ref().map_or("", Email::as_str);
    let user = match &account {
        Some(email) => ctx.store.user_by_email(email).await?,
        None => None,
    };
    // A browser that signed in to this account before is counted on its own, so that no stranger's guesses, not even from
    // the same network, make its owner wait.
    let known =
        user.as_ref().zip(attempt.device).filter(|(user, tag)| ctx.devices.check(&[user.id.as_str()], tag));
    let counter = match known {
        Some((_, tag)) => format!("{name} device {tag}"),
        None => format!("{name} network {}", attempt.network),
    };
    let mut failures = ctx.ephemeral.get(&SIGN_IN_FAILURES, &counter).unwrap_or_default();
    if let Some(wait) = failures.wait(now).filter(|wait| *wait <= SHORT_WAIT) {
        tokio::time::sleep(Duration::from_secs(wait.get().unsigned_abs())).await;
        now = ctx.now();
        failures = ctx.ephemeral.get(&SIGN_IN_FAILURES, &counter).unwrap_or_default();
    }
    let crowded = known.is_none()
        && ctx.ephemeral.count(&SIGN_IN_FAILURES_OF_NETWORK, attempt.network)
            >= ctx.policy.limits.sign_in_failures;
    if let Some(wait) = failures.wait(now).or_else(|| crowded.then_some(Seconds::minutes(1))) {
        return Err(NotSignedIn::Wait(wait));
    }
    // Counted before the slow check, so that parallel guesses do not all see the same small number.
    count_failure(ctx, &counter, failures, now);
    let right =
        ctx.passwords.verify(attempt.password.0.to_owned(), user.as_ref().map(|user| &user.password)).await?;
    let Some(user) = user.filter(|user| right && user.disabled_at.is_none()) else {
        ctx.ephemeral.bump(&SIGN_IN_FAILURES_OF_NETWORK, attempt.network);
        return Err(NotSignedIn::Wrong);
    };
    ctx.ephemeral.put(&SIGN_IN_FAILURES, &counter, &Failures::default());
    // The browser forgets its old session now; nobody who planted it there, or stole it, is to remember it either.
    let _ended = sign_out(ctx, attempt.session).await?;
    Ok(open(ctx, &user.id, now).await?)
}

fn count_failure(ctx: &Context, counter: &str, failures: Failures, now: Timestamp) {
    ctx.ephemeral.put(&SIGN_IN_FAILURES, counter, &failures.and_one(now));
}

/// Opens a session for somebody who just proved themselves.
pub async fn open(ctx: &Context, user: &UserId, now: Timestamp) -> Result<Opened, StoreError> {
    let cookie = Secret::<SessionCookie>::generate(ctx.entropy.as_ref());
    let session = Session {
        hash: cookie.hash(),
        user_id: user.clone(),
        auth_time: now,
        last_seen_at: now,
        ended_at: None,
    };
    ctx.store.open_session(&session).await?;
    Ok(Opened { cookie, device: ctx.devices.tag(&[user.as_str()]) })
}

/// The live session behind a cookie, and its person.
pub async fn signed_in(ctx: &Context, cookie: Option<&str>) -> Result<Option<SignedIn>, StoreError> {
    let Some(cookie) = cookie.and_then(Secret::<SessionCookie>::parse) else { return Ok(None) };
    let Some((session, user)) = ctx.store.session(&cookie.hash()).await? else { return Ok(None) };
    let now = ctx.now();
    if !session.is_live(&ctx.policy.session, now) || user.disabled_at.is_some() {
        return Ok(None);
    }
    if session.wants_touch(now) {
        ctx.store.touch_session(&session.hash, now).await?;
    }
    Ok(Some(SignedIn { session, user, freshness: Freshness::Earlier }))
}

/// Ends the session behind a cookie.
pub async fn sign_out(ctx: &Context, cookie: Option<&str>) -> Result<Applied, StoreError> {
    match cookie.and_then(Secret::<SessionCookie>::parse) {
        Some(cookie) => ctx.store.end_session(&cookie.hash(), ctx.now()).await,
        None => Ok(Applied::Lost),
    }
}
