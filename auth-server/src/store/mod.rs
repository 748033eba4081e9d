//! What must survive a restart. The port: a trait per aggregate, every verb one transaction. Verbs that spend or end
//! something take a verdict of `domain` and answer whether it was applied; a lost race is an answer, not an error.
//!
//! No verb hands out a connection or a transaction, so a backend is free to commit many waiting verbs with one sync.

pub mod hold;
mod postgres;
mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use doorward_shared::{
    client_id::ClientId,
    resource::ResourceUri,
    secret::{AuthorizationCode, RefreshToken as RefreshTokenKind, SecretHash, SessionCookie, SetupLink},
    time::Timestamp,
};

use crate::domain::{
    client::Client,
    code::{FailedTry, IssuedCode, Redemption, StoredCode},
    email::Email,
    grant::{Grant, Revocation},
    ids::{GrantId, UserId},
    policy::SessionPolicy,
    refresh::{RefreshToken, Rotation},
    resource::Resource,
    session::Session,
    signing_key::StoredSigningKey,
    user::User,
};

/// The result of a verb that could lose a race, or whose object could be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Applied {
    /// It happened, and is on disk.
    Done,
    /// The state was not what the verdict was made for; nothing happened.
    Lost,
}

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be reached, was too slow, or refused.
    #[error("the database does not answer: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// A row makes no sense: written by another version, or by hand.
    #[error("table {table}, column {column}: the value makes no sense")]
    Row {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// The database cannot be used as it is configured.
    #[error("{0}")]
    Unusable(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error)
    }
}

/// The result of every verb.
pub type Result<T> = std::result::Result<T, StoreError>;

/// People and their first administrator.
#[async_trait]
pub trait Users: Send + Sync {
    /// Stores a new account. `Lost`: the address is taken.
    async fn insert_user(&self, user: &User) -> Result<Applied>;
    /// The account with this identifier.
    async fn user(&self, id: &UserId) -> Result<Option<User>>;
    /// The account with this address.
    async fn user_by_email(&self, email: &Email) -> Result<Option<User>>;
    /// All accounts, by address.
    async fn users(&self) -> Result<Vec<User>>;
    /// Disables (`Some`) or enables (`None`) an account; its browser sessions and its grants end in the same transaction.
    /// `Lost`: there is no such account.
    async fn set_user_disabled(
        &self,
        email: &Email,
        at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Applied>;
    /// True when somebody administers this server.
    async fn has_administrator(&self) -> Result<bool>;
    /// Replaces the setup link. `Lost`: there is an administrator already.
    async fn put_setup_link(&self, link: &SecretHash<SetupLink>, now: Timestamp) -> Result<Applied>;
    /// True when this link could be used now.
    async fn setup_link_is_live(&self, link: &SecretHash<SetupLink>) -> Result<bool>;
    /// Spends the link and makes the first administrator, both or neither. `Lost`: the link is spent or replaced,
    /// there is an administrator already, or the address is taken.
    async fn use_setup_link(&self, link: &SecretHash<SetupLink>, admin: &User) -> Result<Applied>;
}

/// Browser sessions.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Opens a session.
    async fn open_session(&self, session: &Session) -> Result<()>;
    /// A session and its person.
    async fn session(&self, hash: &SecretHash<SessionCookie>) -> Result<Option<(Session, User)>>;
    /// Writes down that a session was used.
    async fn touch_session(&self, hash: &SecretHash<SessionCookie>, now: Timestamp) -> Result<()>;
    /// Ends a session. `Lost`: it was over already.
    async fn end_session(&self, hash: &SecretHash<SessionCookie>, now: Timestamp) -> Result<Applied>;
}

/// Clients.
#[async_trait]
pub trait Clients: Send + Sync {
    /// Stores a new client. `Lost`: the identifier is taken.
    async fn insert_client(&self, client: &Client) -> Result<Applied>;
    /// Stores a client that the configuration describes, or brings the stored one in line with it. Its grants stay.
    async fn put_configured_client(&self, client: &Client) -> Result<()>;
    /// The client with this identifier.
    async fn client(&self, id: &ClientId) -> Result<Option<Client>>;
    /// All clients, newest first.
    async fn clients(&self) -> Result<Vec<Client>>;
    /// Removes a client; its grants end in the same transaction. `Lost`: there is none.
    async fn delete_client(&self, id: &ClientId, now: Timestamp) -> Result<Applied>;
    /// Forgets clients that registered themselves before `before` and have no grant, not even an ended one that is still
    /// remembered. Answers how many.
    async fn forget_unused_clients(&self, before: Timestamp) -> Result<u64>;
}

/// Resource servers.
#[async_trait]
pub trait Resources: Send + Sync {
    /// Stores a new resource server. `Lost`: one with the same address (folded) is there.
    async fn insert_resource(&self, resource: &Resource) -> Result<Applied>;
    /// The resource server that is meant by this address, in any spelling.
    async fn resource(&self, uri: &ResourceUri) -> Result<Option<Resource>>;
    /// All resource servers, by address.
    async fn resources(&self) -> Result<Vec<Resource>>;
    /// Removes a resource server; grants for it end in the same transaction. `Lost`: there is none.
    async fn remove_resource(&self, uri: &ResourceUri, now: Timestamp) -> Result<Applied>;
}

/// Grants with their codes and refresh tokens.
#[async_trait]
pub trait Grants: Send + Sync {
    /// Stores a code together with the grant that it stands for. `Lost`: the client, the resource or the session is gone.
    async fn insert_code(&self, code: &IssuedCode) -> Result<Applied>;
    /// A code with everything its redemption depends on.
    async fn code(&self, hash: &SecretHash<AuthorizationCode>) -> Result<Option<StoredCode>>;
    /// Spends a code and stores what it buys. `Lost`: it was spent, or its grant was ended, meanwhile.
    async fn redeem(&self, redemption: &Redemption) -> Result<Applied>;
    /// Counts a wrong verifier.
    async fn count_failed_try(&self, failed: &FailedTry) -> Result<()>;
    /// A refresh token with everything its use depends on.
    async fn refresh_token(&self, hash: &SecretHash<RefreshTokenKind>) -> Result<Option<RefreshToken>>;
    /// Spends a refresh token and stores its successor. `Lost`: it was spent, or its grant was ended, meanwhile.
    async fn rotate(&self, rotation: &Rotation) -> Result<Applied>;
    /// Ends a grant, and with it everything that descends from it. `Lost`: it was ended before.
    async fn end_grant(&self, revocation: &Revocation) -> Result<Applied>;
    /// A grant with its person.
    async fn grant(&self, id: &GrantId) -> Result<Option<(Grant, User)>>;
    /// Removes grants that ended before `before`, with their codes and refresh tokens, and sessions that were past the
    /// longest life of `policy` by then. Spent codes and refresh tokens stay as long as their grant, so that a late replay
    /// is still recognised; a grant whose code nobody redeemed goes with the code. Answers how many grants went.
    async fn forget_ended(&self, before: Timestamp, policy: &SessionPolicy) -> Result<u64>;
}

/// Signing keys.
#[async_trait]
pub trait SigningKeys: Send + Sync {
    /// All keys, oldest first.
    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>>;
    /// Stores the very first key. `Lost`: another process was faster; read again.
    async fn insert_first_signing_key(&self, key: &StoredSigningKey) -> Result<Applied>;
}

/// The whole port.
#[async_trait]
pub trait Store: Users + Sessions + Clients + Resources + Grants + SigningKeys {
    /// Brings the schema up to date. Answers the version it stands at.
    async fn migrate(&self) -> Result<i64>;
    /// Asks the database for a sign of life.
    async fn ping(&self) -> Result<()>;
    /// Writes out what is left and closes every connection.
    async fn close(&self);
}

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// An `SQLite` file.
    Sqlite(std::path::PathBuf),
    /// A `PostgreSQL` URL; it may hold a password and is never printed.
    Postgres(String),
}

/// Opens the store.
pub async fn open(location: &Location) -> Result<Arc<dyn Store>> {
    match location {
        Location::Sqlite(path) => Ok(Arc::new(sqlite::open(path).await?)),
        Location::Postgres(url) => Ok(Arc::new(postgres::open(url).await?)),
    }
}
