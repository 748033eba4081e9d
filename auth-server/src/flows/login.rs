//! Signing in with a local account, and out again.

use std::time::Duration;

use doorward_shared::{
    secret::{BrowserCookie, Secret, SessionCookie},
    time::{Seconds, Timestamp},
};

use super::{Context, Peer, random_hex, second_factor};
use crate::{
    domain::{
        audit::{Action, Actor, Event},
        email::Email,
        ids::{SessionId, UserId},
        session::{Freshness, Session, SignInMethod, SignedIn},
        throttle::{FREE_FAILURES, Failures},
        user::{PasswordHash, User},
    },
    ephemeral::{SIGN_IN_FAILURES, SIGN_IN_FAILURES_OF_NETWORK},
    password::{Busy, Caller},
    store::{Applied, StoreError},
};

/// What somebody typed into the sign-in form, and from where.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// The address.
    pub email: &'a str,
    /// The password.
    pub password: Password<'a>,
    /// Where the browser is.
    pub peer: &'a Peer,
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
    /// Who.
    pub user: UserId,
    /// The cookie of the session.
    pub cookie: Secret<SessionCookie>,
    /// The cookie that marks this browser as known to the account.
    pub device: String,
}

/// What comes after the right password.
#[derive(Debug)]
pub enum Step {
    /// Nothing: somebody is signed in.
    Opened(Opened),
    /// The code of the second factor. The text proves that the password was right; it goes into the page that asks.
    Code(String),
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum NotSignedIn {
    /// Unknown account, wrong password, or a disabled account: not told apart.
    #[error("wrong e-mail address or password")]
    Wrong,
    /// The code is wrong, or was used.
    #[error("wrong code")]
    WrongCode,
    /// The passkey is not known here, or its answer is wrong.
    #[error("wrong passkey")]
    WrongPasskey,
    /// The page was shown too long ago, or to another browser.
    #[error("the page is too old")]
    TooLate,
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

/// Checks the password and opens a session, unless the person has a second factor.
pub async fn sign_in(
    ctx: &Context,
    attempt: &Attempt<'_>,
    browser: &Secret<BrowserCookie>,
) -> Result<Step, NotSignedIn> {
    let (user, now) = check_password(ctx, attempt).await?;
    if ctx.store.second_factor(&user.id).await?.is_some() {
        return Ok(Step::Code(second_factor::half(ctx, &user, browser, now)));
    }
    let proof = Proof::by_password(&user, SignInMethod::Password);
    let opened = open(ctx, proof, attempt.session, attempt.peer, now).await?;
    opened.map(Step::Opened).ok_or(NotSignedIn::Wrong)
}

/// Checks the password, as slowly for an unknown account as for a known one, and behind the brakes on guessing. Answers whose
/// it is, and what time it is by then.
pub(super) async fn check_password(
    ctx: &Context,
    attempt: &Attempt<'_>,
) -> Result<(User, Timestamp), NotSignedIn> {
    let now = ctx.now();
    let account = Email::parse(attempt.email).ok();
    let name = account.as_ref().map_or("", Email::as_str);
    let user = match &account {
        Some(email) => ctx.store.user_by_email(email).await?,
        None => None,
    };
    // A browser that signed in to this account before is counted on its own, so that no stranger's guesses, not even from
    // the same network, make its owner wait.
    let device = user.as_ref().zip(attempt.device).and_then(|(user, cookie)| known_device(ctx, user, cookie));
    let (counter, caller) = match device {
        Some(nonce) => (format!("{name} device {nonce}"), Caller::Acquaintance),
        None => (format!("{name} network {}", attempt.peer.network), Caller::Stranger),
    };
    let crowd = &SIGN_IN_FAILURES_OF_NETWORK;
    if caller == Caller::Stranger
        && ctx.ephemeral.get(crowd, &attempt.peer.network, now).await
            > Some(ctx.policy.limits.sign_in_failures)
    {
        return Err(NotSignedIn::Wait(Seconds::minutes(1)));
    }
    // Both counters count before the slow check, so that parallel guesses do not all see the same small number; a success
    // takes its own share back.
    let now = count(ctx, &counter, now).await.map_err(NotSignedIn::Wait)?;
    if caller == Caller::Stranger {
        let failed = ctx.ephemeral.bump(crowd, &attempt.peer.network, now).await;
        if ctx.over(failed, ctx.policy.limits.sign_in_failures, "sign_in_failures", attempt.peer, now).await {
            return Err(NotSignedIn::Wait(Seconds::minutes(1)));
        }
    }
    let password = attempt.password.0.to_owned();
    let right = ctx.passwords.verify(password, user.as_ref().map(|user| &user.password), caller).await?;
    let known = user.as_ref().map(|user| user.id.clone());
    let Some(user) = user.filter(|user| right && user.disabled_at.is_none()) else {
        // With and without an account alike, so that the time does not tell.
        let event = ctx.event(Action::SignInFailed, Actor::Stranger, attempt.peer, now);
        ctx.store.note(&Event { object: known.map(|user| user.to_string()), ..event }).await?;
        return Err(NotSignedIn::Wrong);
    };
    ctx.ephemeral.put(&SIGN_IN_FAILURES, &counter, &Failures::default(), now).await;
    if caller == Caller::Stranger {
        ctx.ephemeral.unbump(crowd, &attempt.peer.network, now).await;
    }
    Ok((user, now))
}

/// Counts a try as a failure until it is known to be none, and answers what time it is then; or how long it has to wait. Of
/// many at once each counts after the one before it.
pub(super) async fn count(ctx: &Context, counter: &str, mut now: Timestamp) -> Result<Timestamp, Seconds> {
    let mut patient = true;
    let mut turns = 0;
    loop {
        let counted: Option<Failures> = ctx.ephemeral.get(&SIGN_IN_FAILURES, counter, now).await;
        match counted.unwrap_or_default().wait(now) {
            Some(wait) if patient && wait <= SHORT_WAIT => {
                patient = false;
                tokio::time::sleep(Duration::from_secs(wait.get().unsigned_abs())).await;
                // The one place where a flow looks at the clock twice: time has passed on purpose.
                now = ctx.now();
                continue;
            }
            Some(wait) => return Err(wait),
            None => {}
        }
        let more = counted.unwrap_or_default().and_one(now);
        if ctx.ephemeral.replace(&SIGN_IN_FAILURES, counter, counted.as_ref(), &more, now).await {
            return Ok(now);
        }
        // A turn is lost to a try that counted, so whoever loses as many as are free has to wait. If nothing that this server
        // wrote is in the way, it is gone for the next try.
        turns += 1;
        if turns > FREE_FAILURES {
            if counted.is_none() {
                ctx.ephemeral.put(&SIGN_IN_FAILURES, counter, &more, now).await;
            }
            return Err(SHORT_WAIT);
        }
    }
}

/// The name of a browser that signed in to this account before, out of its cookie `<nonce>.<tag>`.
pub(super) fn known_device<'a>(ctx: &Context, user: &User, cookie: &'a str) -> Option<&'a str> {
    let (nonce, tag) = cookie.split_once('.')?;
    ctx.devices.check(&[user.id.as_str(), nonce], tag).then_some(nonce)
}

/// A new cookie for a browser that just signed in. Each has a name of its own, so that guesses from one of somebody's
/// browsers do not slow the others.
fn new_device(ctx: &Context, user: &UserId) -> String {
    let nonce = random_hex(ctx.entropy.as_ref());
    let tag = ctx.devices.tag(&[user.as_str(), &nonce]);
    format!("{nonce}.{tag}")
}

/// How somebody just proved themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof<'a> {
    pub(super) user: &'a UserId,
    pub(super) method: SignInMethod,
    /// The password that was right, where one was asked for.
    pub(super) password: Option<&'a PasswordHash>,
    /// The upstream provider that stands for them.
    pub(super) provider: Option<&'a str>,
    /// When they proved themselves to it, if it says so.
    pub(super) proved_at: Option<Timestamp>,
}

impl<'a> Proof<'a> {
    /// By the password that the account had when it was looked at.
    pub(super) fn by_password(user: &'a User, method: SignInMethod) -> Self {
        Self { user: &user.id, method, password: Some(&user.password), provider: None, proved_at: None }
    }

    /// By something else that is kept here.
    pub(super) const fn by(method: SignInMethod, user: &'a UserId) -> Self {
        Self { user, method, password: None, provider: None, proved_at: None }
    }

    /// By an account at an upstream provider.
    pub(super) const fn by_provider(
        provider: &'a str,
        user: &'a UserId,
        proved_at: Option<Timestamp>,
    ) -> Self {
        Self { user, method: SignInMethod::Upstream, password: None, provider: Some(provider), proved_at }
    }
}

/// Opens a session for somebody who just proved themselves, in a browser that forgets its old one: nobody who planted it there,
/// or stole it, is to remember it. `None`: the proof is worth nothing any more, since what it rests on was changed meanwhile.
pub(super) async fn open(
    ctx: &Context,
    proof: Proof<'_>,
    old: Option<&str>,
    peer: &Peer,
    now: Timestamp,
) -> Result<Option<Opened>, StoreError> {
    let before = behind(ctx, old).await?;
    let Proof { user, method, password, provider, proved_at } = proof;
    // Elsewhere it may have been long ago; here it was this moment.
    let proved_at = if provider.is_some() { proved_at.map(|at| at.min(now)) } else { Some(now) };
    let seen = peer.uses(now);
    let cookie = Secret::<SessionCookie>::generate(ctx.entropy.as_ref());
    let session = Session {
        id: SessionId::generate(now, ctx.entropy.as_ref()),
        hash: cookie.hash(),
        user_id: user.clone(),
        method,
        address: seen.address,
        agent: seen.agent,
        auth_time: now,
        proved_at,
        last_seen_at: now,
        provider: provider.map(String::from),
        ended_at: None,
    };
    let event = ctx.event(Action::SignedIn, Actor::User(user.clone()), peer, now).on(user);
    let event = event.with("method", method.as_str());
    let event = match provider {
        Some(provider) => event.with("provider", provider),
        None => event,
    };
    let applied = match before {
        Some(before) => {
            let left = signed_out(ctx, &before, peer, now);
            ctx.store.replace_session(&before, &left, &session, password, &event).await?
        }
        None => ctx.store.open_session(&session, password, &event).await?,
    };
    Ok(match applied {
        Applied::Done => Some(Opened { user: user.clone(), cookie, device: new_device(ctx, user) }),
        Applied::Lost => None,
    })
}

/// The live session behind a cookie, and its person.
pub async fn signed_in(
    ctx: &Context,
    cookie: Option<&str>,
    now: Timestamp,
) -> Result<Option<SignedIn>, StoreError> {
    let Some(cookie) = cookie.and_then(Secret::<SessionCookie>::parse) else { return Ok(None) };
    let Some((session, user)) = ctx.store.session(&cookie.hash()).await? else { return Ok(None) };
    if !session.is_live(&ctx.policy.session, now) || user.disabled_at.is_some() {
        return Ok(None);
    }
    if session.wants_touch(now) {
        ctx.store.touch_session(&session.hash, now).await?;
    }
    Ok(Some(SignedIn { session, user, freshness: Freshness::Earlier }))
}

/// Ends the session behind a cookie, because its person leaves.
pub async fn leave(ctx: &Context, cookie: Option<&str>, peer: &Peer) -> Result<Applied, StoreError> {
    let Some(session) = behind(ctx, cookie).await? else { return Ok(Applied::Lost) };
    ctx.store.end_session(&session.hash, &signed_out(ctx, &session, peer, ctx.now())).await
}

/// The session behind a cookie, live or not.
async fn behind(ctx: &Context, cookie: Option<&str>) -> Result<Option<Session>, StoreError> {
    let Some(cookie) = cookie.and_then(Secret::<SessionCookie>::parse) else { return Ok(None) };
    Ok(ctx.store.session(&cookie.hash()).await?.map(|(session, _)| session))
}

fn signed_out(ctx: &Context, session: &Session, peer: &Peer, now: Timestamp) -> Event {
    let person = &session.user_id;
    ctx.event(Action::SignedOut, Actor::User(person.clone()), peer, now).on(person)
}
