//! What people prove themselves with, and how they come by it.

use async_trait::async_trait;
use doorward_shared::{
    secret::{AccountLink, SecretHash},
    time::Timestamp,
};

use super::{Applied, Result};
use crate::domain::{
    audit::Event,
    link::Link,
    user::{PasswordChange, User},
};

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
    /// Spends a reset link and replaces the password, both or neither. `Lost`: it is spent, replaced or too old, is another
    /// account's, or the password was replaced meanwhile.
    async fn use_reset_link(
        &self,
        hash: &SecretHash<AccountLink>,
        change: &PasswordChange,
        event: &Event,
    ) -> Result<Applied>;
    /// Removes links that expired before. Answers how many.
    async fn forget_account_links(&self, before: Timestamp) -> Result<u64>;
}
