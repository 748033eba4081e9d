//! What is behind a one-time link: an invitation, or another password.

use doorward_shared::secret::{AccountLink, Secret};

use crate::{
    domain::{
        audit::{Action, Actor},
        ids::UserId,
        letter::Notice,
        link::{Link, Purpose},
        revocation::{Sweep, revoke_by_person},
        session::SignInMethod,
        user::{Clearance, PasswordChange, PasswordError, User, check_new_password},
    },
    flows::{
        Context, Peer,
        admin::{NameError, clean_name},
        login::{self, Opened, Password, Proof},
        upstream::unlink::{Hand, end_stragglers, unlinking},
    },
    password::Busy,
    store::{Applied, StoreError},
};

/// What somebody typed into the form behind a link.
#[derive(Debug)]
pub struct Choice<'a> {
    /// What to call them.
    pub name: Option<&'a str>,
    /// The password.
    pub password: Password<'a>,
    /// Whether the access of all connected apps ends too.
    pub end_apps: bool,
    /// Whether all passkeys go too.
    pub remove_passkeys: bool,
    /// Whether the links to accounts at providers go too.
    pub unlink: bool,
}

/// With what else somebody comes into an account whose password is reset.
#[derive(Debug, Default)]
pub struct OtherWays {
    /// How many passkeys.
    pub passkeys: usize,
    /// Which providers, by their identifiers.
    pub providers: Vec<String>,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum NotUsed {
    /// The link is wrong, used, replaced or too old.
    #[error("the link is not valid any more")]
    Link,
    /// The password.
    #[error("{0}")]
    Password(#[from] PasswordError),
    /// The name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Too many sign-ins at once.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What came of it.
#[derive(Debug)]
pub enum Used {
    /// There is a new account, and its person is signed in.
    Welcome(Opened),
    /// The password is another one. Its person signs in with it, and with whatever else the account asks for.
    Reset,
}

/// The link with this secret, while it could be used. Looking at it changes nothing.
pub async fn look(ctx: &Context, secret: &str) -> Result<Option<Link>, StoreError> {
    let Some(secret) = Secret::<AccountLink>::parse(secret) else { return Ok(None) };
    let now = ctx.now();
    Ok(ctx.store.account_link(&secret.hash()).await?.filter(|link| link.is_live(now)))
}

/// What the form of a reset offers to take away.
pub async fn other_ways(ctx: &Context, link: &Link) -> Result<OtherWays, StoreError> {
    let Purpose::Reset(user) = &link.purpose else { return Ok(OtherWays::default()) };
    let identities = ctx.store.identities_of(user).await?;
    let providers = identities.into_iter().map(|identity| identity.provider).collect();
    Ok(OtherWays { passkeys: ctx.store.passkeys_of(user).await?.len(), providers })
}

/// Uses it. `old` is the cookie of the session that the browser has now.
pub async fn accept(
    ctx: &Context,
    secret: &str,
    choice: &Choice<'_>,
    old: Option<&str>,
    peer: &Peer,
) -> Result<Used, NotUsed> {
    let link = look(ctx, secret).await?.ok_or(NotUsed::Link)?;
    check_new_password(choice.password.0)?;
    match &link.purpose {
        Purpose::Invitation { name, groups } => {
            let name = choice.name.map(clean_name).transpose()?.or_else(|| name.clone());
            welcome(ctx, &link, (name, groups.clone()), choice, old, peer).await.map(Used::Welcome)
        }
        Purpose::Reset(user) => reset(ctx, &link, user, choice, peer).await,
    }
}

async fn welcome(
    ctx: &Context,
    link: &Link,
    (name, groups): (Option<String>, Vec<String>),
    choice: &Choice<'_>,
    old: Option<&str>,
    peer: &Peer,
) -> Result<Opened, NotUsed> {
    let entropy = ctx.entropy.as_ref();
    let password = ctx.passwords.hash(choice.password.0.to_owned(), entropy).await?;
    let now = ctx.now();
    let user = User { groups, ..User::new(link.email.clone(), name, password, now, entropy) };
    let event = ctx.event(Action::UserCreated, Actor::User(user.id.clone()), peer, now).on(&user.id);
    match ctx.store.accept_invitation(&link.hash, &user, &event.with("by", "invitation")).await? {
        Applied::Done => {
            let proof = Proof::by_password(&user, SignInMethod::Link);
            login::open(ctx, proof, old, peer, now).await?.ok_or(NotUsed::Link)
        }
        Applied::Lost => Err(NotUsed::Link),
    }
}

async fn reset(
    ctx: &Context,
    link: &Link,
    user: &UserId,
    choice: &Choice<'_>,
    peer: &Peer,
) -> Result<Used, NotUsed> {
    let Some(user) = ctx.store.user(user).await? else { return Err(NotUsed::Link) };
    let after = ctx.passwords.hash(choice.password.0.to_owned(), ctx.entropy.as_ref()).await?;
    let now = ctx.now();
    let change = PasswordChange {
        user: user.id.clone(),
        before: user.password,
        after,
        keep: None,
        sweep: choice.end_apps.then(|| Sweep::by_person(user.id.clone(), &ctx.policy.token, now)),
    };
    let event = |action| ctx.event(action, Actor::User(user.id.clone()), peer, now).with("by", "link");
    let hand = Hand { revoke: revoke_by_person, event: &event };
    let linked = if choice.unlink { ctx.store.identities_of(&user.id).await? } else { Vec::new() };
    let had_passkeys = choice.remove_passkeys && !ctx.store.passkeys_of(&user.id).await?.is_empty();
    let mut links = Vec::new();
    for identity in &linked {
        links.push(unlinking(ctx.store.as_ref(), &ctx.policy, identity, &hand, now).await?);
    }
    let passkeys = choice.remove_passkeys.then(|| event(Action::PasskeyRemoved).on(&user.id));
    let along = Clearance { passkeys, links };
    let changed = event(Action::PasswordChanged).on(&user.id);
    if ctx.store.use_reset_link(&link.hash, &change, &along, &changed).await? == Applied::Lost {
        return Err(NotUsed::Link);
    }
    for identity in &linked {
        end_stragglers(ctx.store.as_ref(), &ctx.policy, identity, &hand, now).await?;
    }
    ctx.tell(&user.email, Notice::PasswordReset, peer, now);
    if had_passkeys {
        ctx.tell(&user.email, Notice::PasskeyRemoved, peer, now);
    }
    Ok(Used::Reset)
}
