//! The first administrator: a one-time link instead of a default password.

use doorward_shared::secret::{Secret, SetupLink};

use super::{
    Context, Peer,
    login::{self, Opened},
};
use crate::{
    domain::{
        audit::{Action, Actor},
        email::{Email, EmailSyntax},
        session::SignInMethod,
        user::{PasswordError, User, check_new_password},
    },
    password::Busy,
    store::{Applied, StoreError},
};

/// What somebody typed into the setup form.
#[derive(Debug)]
pub struct FirstAdministrator<'a> {
    /// The address.
    pub email: &'a str,
    /// What to call them.
    pub name: Option<&'a str>,
    /// The password.
    pub password: login::Password<'a>,
}

/// Why there is no administrator yet.
#[derive(Debug, thiserror::Error)]
pub enum NotSetUp {
    /// The link is wrong, used, or was replaced at a later start.
    #[error("the setup link is not valid any more")]
    Link,
    /// The address.
    #[error(transparent)]
    Email(#[from] EmailSyntax),
    /// The password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Too many sign-ins at once.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a new link while there is no administrator; older ones are worth nothing from then on.
pub async fn offer(ctx: &Context) -> Result<Option<Secret<SetupLink>>, StoreError> {
    let link = Secret::<SetupLink>::generate(ctx.entropy.as_ref());
    let applied = ctx.store.put_setup_link(&link.hash(), ctx.now()).await?;
    Ok((applied == Applied::Done).then_some(link))
}

/// True when the link could be used now.
pub async fn is_live(ctx: &Context, link: &str) -> Result<bool, StoreError> {
    match Secret::<SetupLink>::parse(link) {
        Some(link) => ctx.store.setup_link_is_live(&link.hash()).await,
        None => Ok(false),
    }
}

/// Spends the link, makes the administrator and signs them in. `old` is the cookie of the session that the browser has now.
pub async fn complete(
    ctx: &Context,
    link: &str,
    first: &FirstAdministrator<'_>,
    old: Option<&str>,
    peer: &Peer,
) -> Result<Opened, NotSetUp> {
    let link = Secret::<SetupLink>::parse(link).ok_or(NotSetUp::Link)?;
    let email = Email::parse(first.email)?;
    check_new_password(first.password.0)?;
    if !ctx.store.setup_link_is_live(&link.hash()).await? {
        return Err(NotSetUp::Link);
    }
    let now = ctx.now();
    let entropy = ctx.entropy.as_ref();
    let password = ctx.passwords.hash(first.password.0.to_owned(), entropy).await?;
    let name = first.name.map(String::from);
    let admin = User { admin_since: Some(now), ..User::new(email, name, password, now, entropy) };
    let event = ctx.event(Action::SetUp, Actor::User(admin.id.clone()), peer, now).on(&admin.id);
    match ctx.store.use_setup_link(&link.hash(), &admin, &event).await? {
        Applied::Done => {
            let proof = login::Proof::by_password(&admin, SignInMethod::Link);
            login::open(ctx, proof, old, peer, now).await?.ok_or(NotSetUp::Link)
        }
        Applied::Lost => Err(NotSetUp::Link),
    }
}
