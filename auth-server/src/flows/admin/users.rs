//! Accounts.

use doorward_shared::secret::Entropy;

use super::{Desk, NameError, clean_name};
use crate::{
    domain::{
        email::{Email, EmailSyntax},
        ids::{OrganizationId, UserId},
        user::{PasswordError, User, check_new_password},
    },
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

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Enabled,
    /// It may not.
    Disabled,
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
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes an account.
pub async fn create(desk: Desk<'_>, passwords: &Passwords, new: NewUser) -> Result<User, UserError> {
    let email = Email::parse(&new.email)?;
    check_new_password(&new.password)?;
    let name = new.name.as_deref().map(clean_name).transpose()?;
    let mut groups: Vec<String> =
        new.groups.iter().map(|group| clean_name(group)).collect::<Result<_, _>>()?;
    groups.sort();
    groups.dedup();
    // Hashing takes a while, so an address that is taken is refused before; the store has the last word all the same.
    if desk.store.user_by_email(&email).await?.is_some() {
        return Err(UserError::Taken(email));
    }
    let entropy: &dyn Entropy = desk.entropy;
    let password = passwords.hash(new.password, entropy).await?;
    let now = desk.clock.now();
    let user = User {
        id: UserId::generate(now, entropy),
        email,
        name,
        organization: OrganizationId::generate(now, entropy),
        groups,
        password,
        admin_since: (new.role == Role::Administrator).then_some(now),
        created_at: now,
        disabled_at: None,
        revoked_until: None,
    };
    match desk.store.insert_user(&user).await? {
        Applied::Done => Ok(user),
        Applied::Lost => Err(UserError::Taken(user.email)),
    }
}

/// All accounts, by address.
pub async fn list(desk: Desk<'_>) -> Result<Vec<User>, UserError> {
    Ok(desk.store.users().await?)
}

/// Disables or enables an account. Disabling ends its browser sessions too.
pub async fn set_standing(desk: Desk<'_>, email: &str, standing: Standing) -> Result<Email, UserError> {
    let email = Email::parse(email)?;
    let now = desk.clock.now();
    let at = (standing == Standing::Disabled).then_some(now);
    match desk.store.set_user_disabled(&email, at, now).await? {
        Applied::Done => Ok(email),
        Applied::Lost => Err(UserError::Unknown(email)),
    }
}
