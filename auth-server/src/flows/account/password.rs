//! Another password.

use crate::{
    domain::{
        audit::{Action, Actor},
        letter::Notice,
        revocation::Sweep,
        session::SignedIn,
        user::{PasswordChange, PasswordError, check_new_password},
    },
    flows::{
        Context, Peer,
        login::{Attempt, NotSignedIn, Password, check_password},
    },
    password::Busy,
    store::{Applied, StoreError},
};

/// What somebody typed into the form, and from where.
#[derive(Debug)]
pub struct Wish<'a> {
    /// The password as it is; not asked right after a sign-in.
    pub current: Password<'a>,
    /// The new one.
    pub new: Password<'a>,
    /// Whether the access of all connected apps ends too.
    pub end_apps: bool,
    /// Where the browser is.
    pub peer: &'a Peer,
    /// The cookie of a browser that signed in before.
    pub device: Option<&'a str>,
}

/// Why the password stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum NotChanged {
    /// The present password was not given.
    #[error(transparent)]
    Proof(NotSignedIn),
    /// The new one.
    #[error("{0}")]
    Password(#[from] PasswordError),
    /// Too many sign-ins at once.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// Somebody else changed it at the same time.
    #[error("the password was changed at the same moment from elsewhere; sign in again")]
    Raced,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Changes the password; every other session of the person ends. Who did not just sign in proves who they are by the present
/// password, behind the brake that guesses at the sign-in page meet.
pub async fn change(ctx: &Context, person: &SignedIn, wish: &Wish<'_>) -> Result<(), NotChanged> {
    check_new_password(wish.new.0)?;
    let now = ctx.now();
    let user = &person.user;
    if !person.session.is_fresh(now) {
        let attempt = Attempt {
            email: user.email.as_str(),
            password: Password(wish.current.0),
            peer: wish.peer,
            device: wish.device,
            session: None,
        };
        check_password(ctx, &attempt).await.map_err(NotChanged::Proof)?;
    }
    let after = ctx.passwords.hash(wish.new.0.to_owned(), ctx.entropy.as_ref()).await?;
    let change = PasswordChange {
        user: user.id.clone(),
        before: user.password.clone(),
        after,
        keep: Some(person.session.hash),
        sweep: wish.end_apps.then(|| Sweep::by_person(user.id.clone(), &ctx.policy.token, now)),
    };
    let event = ctx.event(Action::PasswordChanged, Actor::User(user.id.clone()), wish.peer, now).on(&user.id);
    match ctx.store.change_password(&change, &event).await? {
        Applied::Done => {
            ctx.tell(&user.email, Notice::PasswordChanged, wish.peer, now);
            Ok(())
        }
        Applied::Lost => Err(NotChanged::Raced),
    }
}
