//! Accounts.

use doorward_shared::secret::Entropy;

use super::{Desk, NameError, Standing, clean_name};
use crate::{
    domain::{
        audit::Action,
        email::{Email, EmailSyntax},
        ids::UserId,
        letter::Notice,
        revocation::{Sweep, Whose},
        user::{PasswordError, User, check_new_password},
    },
    mail::MailError,
    password::{Busy, Passwords},
    store::{Applied, StoreError},
};

/// Whether an account administers this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It does.
    Administrator,
    /// It does not.
    Person,
}

/// What an account is made from.
pub struct NewUser {
    /// The address.
    pub email: String,
    /// What to call them.
    pub name: Option<String>,
    /// Names of groups.
    pub groups: Vec<String>,
    /// Whether they administer this server.
    pub role: Role,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for NewUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewUser({:?})", self.email)
    }
}

/// Why nothing was done. Every message says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The address.
    #[error("{0}")]
    Email(#[from] EmailSyntax),
    /// The name, or that of a group.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The password.
    #[error("{0}; choose another one")]
    Password(#[from] PasswordError),
    /// Too many sign-ins at once.
    #[error("{0}; try again in a moment")]
    Busy(#[from] Busy),
    /// There is one.
    #[error("there is an account {0} already; `user list` shows all")]
    Taken(Email),
    /// There is none.
    #[error("there is no account {0}; `user list` shows all")]
    Unknown(Email),
    /// It is disabled.
    #[error("the account {0} is disabled; `user enable` lets the person in again")]
    Disabled(Email),
    /// There is none with this identifier.
    #[error("there is no account {0}; `user list` shows all")]
    UnknownId(UserId),
    /// Somebody else changed it at the same moment.
    #[error("the account was changed by somebody else at the same moment; look at it and try again")]
    Raced,
    /// There is nothing to take away.
    #[error("the account {0} has no second factor")]
    NoSecondFactor(Email),
    /// Nothing can be mailed.
    #[error("mail is not set up here; leave it away to be shown the link, or write mail.host and mail.from")]
    NoMail,
    /// The link was made, and nobody has it.
    #[error("{0}; nothing was sent: try again, or leave the mail away to be shown a link")]
    NotMailed(#[from] MailError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes an account.
pub async fn create(desk: Desk<'_>, passwords: &Passwords, new: NewUser) -> Result<User, UserError> {
    let email = Email::parse(&new.email)?;
    check_new_password(&new.password)?;
    let name = new.name.as_deref().map(clean_name).transpose()?;
    let groups = groups_of(&new.groups)?;
    // Hashing takes a while, so an address that is taken is refused before; the store has the last word all the same.
    if desk.store.user_by_email(&email).await?.is_some() {
        return Err(UserError::Taken(email));
    }
    let entropy: &dyn Entropy = desk.entropy;
    let password = passwords.hash(new.password, entropy).await?;
    let now = desk.clock.now();
    let user = User {
        groups,
        admin_since: (new.role == Role::Administrator).then_some(now),
        ..User::new(email, name, password, now, entropy)
    };
    let event = desk.event(Action::UserCreated, &user.id, now).with("admin", user.admin_since.is_some());
    match desk.store.insert_user(&user, &event).await? {
        Applied::Done => Ok(user),
        Applied::Lost => Err(UserError::Taken(user.email)),
    }
}

/// Names of groups, each once.
pub(super) fn groups_of(names: &[String]) -> Result<Vec<String>, NameError> {
    let mut groups: Vec<String> = names.iter().map(|group| clean_name(group)).collect::<Result<_, _>>()?;
    groups.sort();
    groups.dedup();
    Ok(groups)
}

/// All accounts, by address.
pub async fn list(desk: Desk<'_>) -> Result<Vec<User>, UserError> {
    Ok(desk.store.users().await?)
}

/// A page of the accounts, or the one with this address: at most `limit`, after this identifier.
pub async fn page(
    desk: Desk<'_>,
    email: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<User>, UserError> {
    match email {
        Some(email) => Ok(desk.store.user_by_email(&Email::parse(email)?).await?.into_iter().collect()),
        None => Ok(desk.store.users_page(after.and_then(UserId::parse).as_ref(), limit).await?),
    }
}

/// One account, by its identifier or its address.
pub async fn show(desk: Desk<'_>, who: &str) -> Result<User, UserError> {
    if let Some(id) = UserId::parse(who) {
        return desk.store.user(&id).await?.ok_or(UserError::UnknownId(id));
    }
    let email = Email::parse(who)?;
    desk.store.user_by_email(&email).await?.ok_or(UserError::Unknown(email))
}

/// Which groups a person is to be in.
#[derive(Clone, Debug)]
pub enum Groups {
    /// These and no others.
    Exactly(Vec<String>),
    /// These too, and those not.
    Change {
        /// To join.
        join: Vec<String>,
        /// To leave.
        leave: Vec<String>,
    },
}

/// Says which groups a person is in. What that changes takes effect at the next refresh or introspection.
pub async fn set_groups(desk: Desk<'_>, who: &str, groups: Groups) -> Result<User, UserError> {
    let user = show(desk, who).await?;
    let mut after: Vec<String> = match groups {
        Groups::Exactly(groups) => clean(&groups)?,
        Groups::Change { join, leave } => {
            let leave = clean(&leave)?;
            let stay = user.groups.iter().filter(|group| !leave.contains(group)).cloned();
            stay.chain(clean(&join)?).collect()
        }
    };
    after.sort();
    after.dedup();
    if after == user.groups {
        return Ok(user);
    }
    let lacks = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|group| !those.contains(group)).cloned().collect()
    };
    let event = desk
        .event(Action::UserGroupsSet, &user.id, desk.clock.now())
        .with("joined", lacks(&after, &user.groups))
        .with("left", lacks(&user.groups, &after));
    match desk.store.set_groups(&user, &after, &event).await? {
        Applied::Done => Ok(User { groups: after, ..user }),
        Applied::Lost => Err(UserError::Raced),
    }
}

fn clean(groups: &[String]) -> Result<Vec<String>, NameError> {
    groups.iter().map(|group| clean_name(group)).collect()
}

/// Takes the second factor of a person away, who lost the app and the recovery codes.
pub async fn forget_second_factor(desk: Desk<'_>, who: &str) -> Result<Email, UserError> {
    let user = show(desk, who).await?;
    let now = desk.clock.now();
    let event = desk.event(Action::SecondFactorRemoved, &user.id, now);
    match desk.store.remove_second_factor(&user.id, &event).await? {
        Applied::Done => {
            desk.tell(&user.email, Notice::SecondFactorRemoved, now);
            Ok(user.email)
        }
        Applied::Lost => Err(UserError::NoSecondFactor(user.email)),
    }
}

/// Disables or enables an account. Either way its browser sessions and its grants end: nothing comes back with it.
pub async fn set_standing(desk: Desk<'_>, email: &str, standing: Standing) -> Result<Email, UserError> {
    let email = Email::parse(email)?;
    let now = desk.clock.now();
    let Some(user) = desk.store.user_by_email(&email).await? else { return Err(UserError::Unknown(email)) };
    let sweep = Sweep::barred(Whose::User(user.id.clone()), &desk.policy.token, now);
    let set = match standing {
        Standing::Disabled => {
            let event = desk.event(Action::UserDisabled, &user.id, now);
            desk.store.disable_user(&user.id, &sweep, &event).await?
        }
        Standing::Enabled => {
            let event = desk.event(Action::UserEnabled, &user.id, now);
            desk.store.enable_user(&user.id, &sweep, &event).await?
        }
    };
    match set {
        Applied::Done => Ok(email),
        Applied::Lost => Err(UserError::Unknown(email)),
    }
}
