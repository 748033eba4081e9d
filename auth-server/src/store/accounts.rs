//! What people prove themselves with, and how they come by it.

use async_trait::async_trait;
use doorward_shared::{
    secret::{AccountLink, SecretHash},
    time::Timestamp,
};

use super::{Applied, Result};
use crate::domain::{
    audit::Event,
    extension::Extension,
    ids::UserId,
    link::Link,
    passkey::Passkey,
    totp::SecondFactor,
    user::{Clearance, PasswordChange, User},
};

/// All of it.
pub trait Accounts: AccountLinks + SecondFactors + Passkeys + Extensions {}

impl<T: AccountLinks + SecondFactors + Passkeys + Extensions> Accounts for T {}

/// One-time links with which somebody chooses a password.
#[async_trait]
pub trait AccountLinks: Send + Sync {
    /// Stores a link; unused ones for the same address are worth nothing from then on. `Lost`: it is an invitation, and there is
    /// an account with the address.
    async fn put_account_link(&self, link: &Link, event: &Event) -> Result<Applied>;
    /// The link with this secret.
    async fn account_link(&self, hash: &SecretHash<AccountLink>) -> Result<Option<Link>>;
    /// Spends an invitation and makes its account, both or neither. `Lost`: it is spent, replaced or too old, or the address is
    /// taken by now.
    async fn accept_invitation(
        &self,
        hash: &SecretHash<AccountLink>,
        user: &User,
        event: &Event,
    ) -> Result<Applied>;
    /// Spends a reset link, replaces the password and takes away what goes along with it, all or nothing. `Lost`: it is spent, replaced or too old, is another
    /// account's, or the password was replaced meanwhile.
    async fn use_reset_link(
        &self,
        hash: &SecretHash<AccountLink>,
        change: &PasswordChange,
        along: &Clearance,
        event: &Event,
    ) -> Result<Applied>;
    /// Removes links that expired before. Answers how many.
    async fn forget_account_links(&self, before: Timestamp) -> Result<u64>;
}

/// The second factor and its recovery codes.
#[async_trait]
pub trait SecondFactors: Send + Sync {
    /// Stores a second factor with its recovery codes. `Lost`: the person has one, or is gone.
    async fn put_second_factor(
        &self,
        factor: &SecondFactor,
        recovery: &[String],
        event: &Event,
    ) -> Result<Applied>;
    /// The second factor of a person.
    async fn second_factor(&self, user: &UserId) -> Result<Option<SecondFactor>>;
    /// Spends the code of this step, and with it all before. `Lost`: it, or a later one, was used.
    async fn spend_code(&self, user: &UserId, step: i64) -> Result<Applied>;
    /// Spends a recovery code. `Lost`: there is none with this hash, or it was used.
    async fn spend_recovery_code(&self, user: &UserId, hash: &str, event: &Event) -> Result<Applied>;
    /// How many recovery codes are left.
    async fn recovery_codes_left(&self, user: &UserId) -> Result<u64>;
    /// Puts new recovery codes in place of all that there were. `Lost`: the person has no second factor.
    async fn replace_recovery_codes(
        &self,
        user: &UserId,
        recovery: &[String],
        event: &Event,
    ) -> Result<Applied>;
    /// Removes the second factor and its recovery codes. `Lost`: there is none.
    async fn remove_second_factor(&self, user: &UserId, event: &Event) -> Result<Applied>;
}

/// What people change about what they allowed.
#[async_trait]
pub trait Extensions: Send + Sync {
    /// Lets a grant go on for longer, and with it the refresh token that is in use. `Lost`: it was ended, narrowed or extended
    /// meanwhile.
    async fn extend_grant(&self, extension: &Extension, event: &Event) -> Result<Applied>;
}

/// Passkeys.
#[async_trait]
pub trait Passkeys: Send + Sync {
    /// Stores a new one. `Lost`: there is one with its identifier.
    async fn insert_passkey(&self, passkey: &Passkey, event: &Event) -> Result<Applied>;
    /// The passkey with this identifier, and its person.
    async fn passkey(&self, id: &str) -> Result<Option<(Passkey, User)>>;
    /// The passkeys of a person, oldest first.
    async fn passkeys_of(&self, user: &UserId) -> Result<Vec<Passkey>>;
    /// Writes down that a passkey, as it was seen, was used. `Lost`: it was used at the same moment with another count, or is
    /// gone.
    async fn use_passkey(&self, seen: &Passkey, counter: i64, now: Timestamp) -> Result<Applied>;
    /// Gives a passkey of this person another name. `Lost`: they have none such.
    async fn rename_passkey(&self, user: &UserId, id: &str, name: &str) -> Result<Applied>;
    /// Removes a passkey of this person. `Lost`: they have none such.
    async fn remove_passkey(&self, user: &UserId, id: &str, event: &Event) -> Result<Applied>;
}
