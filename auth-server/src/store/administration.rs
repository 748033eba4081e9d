//! What only administrators ask of the store.

use async_trait::async_trait;
use doorward_shared::{
    client_id::ClientId,
    secret::{AdminKey as AdminKeyKind, SecretHash, SessionCookie},
    time::Timestamp,
};

use super::{Applied, Result};
use crate::domain::{
    admin_key::{AdminKey, Presented},
    audit::Event,
    client::Client,
    ids::{AdminKeyId, UserId},
    policy::SessionPolicy,
    session::Session,
    user::User,
};

/// Keys for the admin API.
#[async_trait]
pub trait AdminKeys: Send + Sync {
    /// Stores a new key.
    async fn insert_admin_key(&self, key: &AdminKey, event: &Event) -> Result<()>;
    /// A key that somebody presented, with those by whom it was made.
    async fn admin_key(&self, hash: &SecretHash<AdminKeyKind>) -> Result<Option<Presented>>;
    /// All keys, newest first.
    async fn admin_keys(&self) -> Result<Vec<AdminKey>>;
    /// Writes down that a key was used.
    async fn touch_admin_key(&self, id: &AdminKeyId, now: Timestamp) -> Result<()>;
    /// Revokes a key at the event's time. `Lost`: there is none, or it was revoked before.
    async fn revoke_admin_key(&self, id: &AdminKeyId, event: &Event) -> Result<Applied>;
}

/// Pages of what there may be much of: at most `limit`, after this one.
#[async_trait]
pub trait Pages: Send + Sync {
    /// Accounts, in the order of their identifiers.
    async fn users_page(&self, after: Option<&UserId>, limit: u32) -> Result<Vec<User>>;
    /// Clients, in the order of their identifiers.
    async fn clients_page(&self, after: Option<&ClientId>, limit: u32) -> Result<Vec<Client>>;
    /// Sessions that are live at `now`, of one person or of all, in the order of their hashes.
    async fn sessions_page(
        &self,
        user: Option<&UserId>,
        after: Option<&SecretHash<SessionCookie>>,
        limit: u32,
        policy: &SessionPolicy,
        now: Timestamp,
    ) -> Result<Vec<Session>>;
}
