//! What must survive a restart. The port: a trait per aggregate, every verb one transaction. Verbs that spend or end
//! something take a verdict of `domain` and answer whether it was applied; a lost race is an answer, not an error.
//!
//! No verb hands out a connection or a transaction, so a backend is free to commit many waiting verbs with one sync.

mod accounts;
mod administration;
mod api_keys;
pub mod archive;
pub mod hold;
mod identities;
mod permissions;
mod postgres;
mod registry;
mod sessions;
mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use doorward_shared::{
    client_id::ClientId,
    resource::ResourceUri,
    revocation::Entry,
    secret::{AuthorizationCode, RefreshToken as RefreshTokenKind, SecretHash, SetupLink},
    time::Timestamp,
};

pub use self::{
    accounts::{AccountLinks, Accounts, Extensions, Passkeys, SecondFactors},
    administration::{AdminKeys, Pages},
    api_keys::ApiKeys,
    identities::Identities,
    permissions::{Changed, Entitlements, Organizations},
    registry::{Clients, Resources},
    sessions::{Logouts, Sessions},
};
use crate::domain::{
    audit::{Action, Checkpoint, Event, StoredEvent},
    code::{FailedTry, IssuedCode, Redemption, StoredCode},
    email::Email,
    grant::{Grant, Method, State, Use},
    ids::{EventId, GrantId, OrganizationId, UserId},
    policy::SessionPolicy,
    refresh::{RefreshToken, Rotation, retry::Counted},
    restore::Restoration,
    revocation::{Narrowing, Revocation, Sweep},
    signing_key::{Change, KeySet},
    user::{PasswordChange, User},
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
    async fn insert_user(&self, user: &User, event: &Event) -> Result<Applied>;
    /// The account with this identifier.
    async fn user(&self, id: &UserId) -> Result<Option<User>>;
    /// The account with this address.
    async fn user_by_email(&self, email: &Email) -> Result<Option<User>>;
    /// All accounts, by address.
    async fn users(&self) -> Result<Vec<User>>;
    /// Changes the groups of a person from those in `user` to others. `Lost`: they were changed meanwhile.
    async fn set_groups(&self, user: &User, groups: &[String], event: &Event) -> Result<Applied>;
    /// Disables the account whose grants the sweep ends; its browser sessions end with them. `Lost`: there is no such
    /// account.
    async fn disable_user(&self, user: &UserId, sweep: &Sweep, event: &Event) -> Result<Applied>;
    /// Enables an account again; nothing of what it had comes back. `Lost`: there is no such account.
    async fn enable_user(&self, user: &UserId, sweep: &Sweep, event: &Event) -> Result<Applied>;
    /// Replaces a password; sessions and, where the change says so, grants end with the old one. `Lost`: it was replaced
    /// meanwhile, or there is no such account.
    async fn change_password(&self, change: &PasswordChange, event: &Event) -> Result<Applied>;
    /// True when somebody administers this server.
    async fn has_administrator(&self) -> Result<bool>;
    /// Replaces the setup link. `Lost`: there is an administrator already.
    async fn put_setup_link(&self, link: &SecretHash<SetupLink>, now: Timestamp) -> Result<Applied>;
    /// True when this link could be used now.
    async fn setup_link_is_live(&self, link: &SecretHash<SetupLink>) -> Result<bool>;
    /// Spends the link and makes the first administrator, both or neither. `Lost`: the link is spent or replaced,
    /// there is an administrator already, or the address is taken.
    async fn use_setup_link(
        &self,
        link: &SecretHash<SetupLink>,
        admin: &User,
        event: &Event,
    ) -> Result<Applied>;
}

/// Grants with their codes and refresh tokens.
#[async_trait]
pub trait Grants: Send + Sync {
    /// Stores a code together with the grant that it stands for. `Lost`: the client, the resource or the session is gone.
    async fn insert_code(&self, code: &IssuedCode, event: &Event) -> Result<Applied>;
    /// A code with everything its redemption depends on.
    async fn code(&self, hash: &SecretHash<AuthorizationCode>) -> Result<Option<StoredCode>>;
    /// Spends a code and stores what it buys. `Lost`: it was spent, or its grant was ended, meanwhile.
    async fn redeem(&self, redemption: &Redemption, by: &Use, event: &Event) -> Result<Applied>;
    /// Counts a wrong verifier.
    async fn count_failed_try(&self, failed: &FailedTry) -> Result<()>;
    /// A refresh token with everything its use depends on.
    async fn refresh_token(&self, hash: &SecretHash<RefreshTokenKind>) -> Result<Option<RefreshToken>>;
    /// Spends a refresh token and stores its successor. `Lost`: it was spent, or its grant was ended, meanwhile.
    async fn rotate(&self, rotation: &Rotation, by: &Use) -> Result<Applied>;
    /// Forgets the answers to refresh tokens that were used before `before`.
    async fn forget_answers(&self, before: Timestamp) -> Result<()>;
    /// Counts a retry from somewhere else. `Lost`: another one was counted, or the grant was ended, meanwhile.
    async fn count_retry(&self, counted: &Counted) -> Result<Applied>;
    /// Ends a grant, and with it everything that descends from it; the feed tells the resource servers. `Lost`: it was
    /// ended before.
    async fn end_grant(&self, revocation: &Revocation, event: &Event) -> Result<Applied>;
    /// Ends many grants; one entry of the feed tells the resource servers. Answers how many ended, and writes that number
    /// into the event as `grants`.
    async fn end_grants(&self, sweep: &Sweep, event: &Event) -> Result<u64>;
    /// Makes a grant smaller or shorter. `Lost`: it was ended or narrowed meanwhile.
    async fn narrow_grant(&self, narrowing: &Narrowing, event: &Event) -> Result<Applied>;
    /// A grant with its person.
    async fn grant(&self, id: &GrantId) -> Result<Option<(Grant, User)>>;
    /// The grants that a filter names, newest first, each with its person: at most `limit`, of those older than `before`.
    async fn grants(
        &self,
        filter: &GrantFilter,
        before: Option<&GrantId>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<(Grant, User)>>;
    /// Removes grants that ended before `before`, with their codes and refresh tokens, and sessions that were past the
    /// longest life of `policy` by then. Spent codes and refresh tokens stay as long as their grant, so that a late replay
    /// is still recognised; a grant whose code nobody redeemed goes with the code. Answers how many grants went.
    async fn forget_ended(&self, before: Timestamp, policy: &SessionPolicy) -> Result<u64>;
}

/// Which grants to list. What is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct GrantFilter {
    /// This person's.
    pub user: Option<UserId>,
    /// This client's.
    pub client: Option<ClientId>,
    /// Those for this resource server.
    pub resource: Option<ResourceUri>,
    /// Those for the data of this organization.
    pub organization: Option<OrganizationId>,
    /// Those that came about like this.
    pub method: Option<Method>,
    /// Those that stand so.
    pub state: Option<State>,
    /// Those that were last used, or made if never used, before this.
    pub unused_since: Option<Timestamp>,
}

/// The revocation feed.
#[async_trait]
pub trait Feed: Send + Sync {
    /// How far everything is.
    async fn heads(&self) -> Result<Heads>;
    /// At most `limit` entries after this number that expire after `then`, in their order. Read [`Feed::heads`] before: the
    /// answer is complete up to the number that it gave.
    async fn revocations_after(&self, after: i64, limit: usize, then: Timestamp) -> Result<Vec<Entry>>;
    /// Removes entries that expired by `then`. Answers how many.
    async fn forget_revocations(&self, then: Timestamp) -> Result<u64>;
    /// Begins to listen to other processes, where the database can tell of them.
    async fn listen(&self) -> Result<()>;
    /// Returns when a counter was probably advanced, by this process or one that is listened to.
    async fn nudged(&self);
}

/// How far everything is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    /// The last number of the revocation feed.
    pub revocations: i64,
    /// How often the signing keys changed.
    pub signing_keys: i64,
    /// The last number of the audit trail's chain.
    pub audit: i64,
    /// How often clients were written down that are to be told that a session ended.
    pub logouts: i64,
}

/// The audit trail.
#[async_trait]
pub trait Trail: Send + Sync {
    /// Writes an event that is no part of a deed, such as a failed sign-in.
    async fn note(&self, event: &Event) -> Result<()>;
    /// Takes at most `limit` events that are not chained yet into the chain. Answers how many.
    async fn chain(&self, limit: u32) -> Result<u32>;
    /// The events that a filter names, newest first: at most `limit`, of those older than `before`.
    async fn events(
        &self,
        filter: &EventFilter,
        before: Option<&EventId>,
        limit: u32,
    ) -> Result<Vec<StoredEvent>>;
    /// At most `limit` chained events after this number, in the order of the chain.
    async fn chained_after(&self, sequence: i64, limit: u32) -> Result<Vec<StoredEvent>>;
    /// Stores a checkpoint. `Lost`: there is one for this number.
    async fn put_checkpoint(&self, checkpoint: &Checkpoint) -> Result<Applied>;
    /// The newest checkpoint.
    async fn last_checkpoint(&self) -> Result<Option<Checkpoint>>;
    /// All checkpoints, in the order of the chain.
    async fn checkpoints(&self) -> Result<Vec<Checkpoint>>;
}

/// Which events to list. What is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// By this one: an identifier.
    pub actor: Option<String>,
    /// Of this kind.
    pub action: Option<Action>,
    /// Done to this: an identifier.
    pub object: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

/// The name under which [`Store::settle`] keeps the sealed data key.
pub const DATA_KEY: &str = "data_key";

/// Signing keys, and the data key that seals them.
#[async_trait]
pub trait SigningKeys: Send + Sync {
    /// All keys, oldest first. They are at least as new as the count of changes that comes with them.
    async fn signing_keys(&self) -> Result<KeySet>;
    /// How often the keys have changed.
    async fn signing_keys_head(&self) -> Result<i64>;
    /// Carries out a change of the keys; the feed tells the resource servers of a key that is declared bad. `Lost`: the keys
    /// changed since it was decided.
    async fn change_signing_keys(&self, change: &Change, events: &[Event]) -> Result<Applied>;
    /// The sealed data key. The first one is put there by [`Store::settle`] under [`DATA_KEY`].
    async fn data_key(&self) -> Result<Option<String>>;
    /// Puts the data key in place, sealed anew. `Lost`: it was sealed anew by somebody else meanwhile.
    async fn reseal_data_key(&self, before: &str, after: &str, event: &Event) -> Result<Applied>;
}

/// Backups.
#[async_trait]
pub trait Backups: Send + Sync {
    /// Writes everything that the database holds at one moment, while others work with it. `alone` is kept until that moment,
    /// and the backup says whether it was.
    async fn dump(
        &self,
        made: &archive::Made,
        alone: Option<hold::Held>,
        out: archive::Writer<'_>,
    ) -> archive::Result<(archive::Header, archive::Counts)>;
    /// An error when there is anything in the database.
    async fn check_empty(&self) -> archive::Result<()>;
    /// Fills an empty database, ends what the verdict says, names the feed's new life and writes the event, all or nothing.
    /// How many grants ended is written into the event as `grants`.
    async fn fill(
        &self,
        from: &mut archive::Reader<'_>,
        trail: Option<archive::Continuation<'_>>,
        verdict: &Restoration,
        epoch: &str,
        event: &Event,
    ) -> archive::Result<()>;
}

/// The whole port.
#[async_trait]
pub trait Store:
    Users
    + Accounts
    + Identities
    + Sessions
    + Logouts
    + Clients
    + Resources
    + Organizations
    + Entitlements
    + Grants
    + SigningKeys
    + AdminKeys
    + ApiKeys
    + Pages
    + Feed
    + Trail
    + Backups
{
    /// Brings the schema up to date. Answers the version it stands at.
    async fn migrate(&self) -> Result<i64>;
    /// A text that is chosen once for this database: the one that is there, or else `fresh`.
    async fn settle(&self, name: &'static str, fresh: &str) -> Result<String>;
    /// What kind of database it is.
    fn kind(&self) -> &'static str;
    /// Asks the database for a sign of life.
    async fn ping(&self) -> Result<()>;
    /// What the clock of the database says.
    async fn time(&self) -> Result<Timestamp>;
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
