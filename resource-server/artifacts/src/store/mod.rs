//! What this server remembers: rows in `SQLite`, bytes in files. Every verb is one transaction; whatever must happen once
//! is decided by a conditional write, never by a look before it.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use doorward_shared::{
    secret::Entropy,
    time::{Seconds, Timestamp},
};
use sqlx::{
    Sqlite, SqlitePool, Transaction,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

mod artifacts;
mod blobs;
mod housekeeping;
mod links;
mod moves;
mod reach;
mod records;
mod revocations;
mod sessions;
mod uploads;
mod usage;

pub use artifacts::Stored;
pub use blobs::{Blobs, Incoming, Received};
pub use links::{LinkKind, NewLink, OpenLink};
pub(crate) use links::{ended_link, unknown_link};
pub use records::{
    Artifact, ArtifactFilter, Draft, IdempotencyKey, Page, PageRequest, Session, SessionFilter, Status,
    Writer,
};
pub use sessions::Seal;
pub use uploads::{Receipt, Reservation, Upload};
pub use usage::Usage;

/// Who waits longer for a connection is told to come again, before everybody waits.
const QUEUE: Duration = Duration::from_secs(3);
/// How long an idempotency key is remembered.
const REPLAY_WINDOW: Seconds = Seconds::hours(24);

const MIGRATIONS: [(i64, &str, &str); 1] =
    [(1, "artifacts", include_str!("../../migrations/0001_artifacts.sql"))];

/// The store: one connection that writes, some that read.
pub struct Store {
    write: SqlitePool,
    read: SqlitePool,
    blobs: Blobs,
    entropy: Arc<dyn Entropy>,
    _lock: File,
}

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be used.
    #[error("the data directory {path} cannot be used: {cause}")]
    Directory {
        /// The path.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Another process works in the directory.
    #[error("the data directory {0} is in use by another process")]
    InUse(PathBuf),
    /// The database cannot be opened or migrated.
    #[error("the database in the data directory cannot be opened: {0}")]
    Database(#[from] sqlx::Error),
    /// A migration failed.
    #[error("the database in the data directory cannot be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

impl Store {
    /// Opens the store in `directory`, makes it if it is not there, and clears away what a killed process left.
    pub async fn open(directory: &Path, entropy: Arc<dyn Entropy>) -> Result<Self, OpenError> {
        let failed = |cause| OpenError::Directory { path: directory.to_owned(), cause };
        fs::create_dir_all(directory).map_err(failed)?;
        keep_private(directory).map_err(failed)?;
        let lock = File::create(directory.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(directory.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        let blobs = Blobs::open(directory, entropy.clone()).map_err(failed)?;
        let options = SqliteConnectOptions::new()
            .filename(directory.join("artifacts.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        let pool = |connections| SqlitePoolOptions::new().max_connections(connections).acquire_timeout(QUEUE);
        let write = pool(1).connect_with(options.clone()).await?;
        migrator().run(&write).await?;
        let read = pool(8).connect_with(options.read_only(true)).await?;
        let store = Self { write, read, blobs, entropy, _lock: lock };
        // Nothing is under way yet, so every file without a row is left over.
        store.remove_orphans(None).await?;
        Ok(store)
    }

    /// The bytes.
    pub const fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// True when the database answers.
    pub async fn answers(&self) -> bool {
        sqlx::query("select 1").execute(&self.read).await.is_ok()
    }

    /// Finishes what is under way and closes the files.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    /// Begins a verb that writes. `immediate` takes the writer's place at once, so that no verb fails half way.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.write.begin_with("begin immediate").await
    }

    /// Removes files that no row names. With `older_than`, younger ones are left alone: their row may be on its way.
    pub(crate) async fn remove_orphans(&self, older_than: Option<Timestamp>) -> Result<u64, OpenError> {
        let mut removed = 0;
        for (id, changed) in self
            .blobs
            .all()
            .map_err(|cause| OpenError::Directory { path: self.blobs.root().to_owned(), cause })?
        {
            if older_than.is_some_and(|limit| changed > limit) {
                continue;
            }
            let named = sqlx::query(
                "select 1 from artifacts where blob_id = $1 union all select 1 from uploads where blob_id = $1 limit 1",
            )
            .bind(id.as_str())
            .fetch_optional(&self.read)
            .await?;
            if named.is_none() {
                self.blobs.remove(&id).await;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

fn migrator() -> Migrator {
    let migration = |&(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(
            version,
            name.into(),
            MigrationType::Simple,
            sqlx::SqlSafeStr::into_sql_str(sql),
            false,
        )
    };
    Migrator::with_migrations(MIGRATIONS.iter().map(migration).collect())
}

/// Nobody but the owner of the process may look into the data.
#[cfg(unix)]
fn keep_private(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn keep_private(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use doorward_resource_server::Allowance;
    use doorward_shared::secret::SystemEntropy;

    use super::*;
    use crate::{caller::Caller, errors::Code, scratch::Scratch};

    #[tokio::test]
    async fn who_finds_all_connections_taken_is_soon_told_to_come_again() {
        let scratch = Scratch::new();
        let store = Store::open(scratch.path(), Arc::new(SystemEntropy)).await.unwrap();
        let mut taken = Vec::new();
        for _ in 0..8 {
            taken.push(store.read.acquire().await.unwrap());
        }
        let caller = Caller {
            organization: "acme".to_owned(),
            subject: "alice".to_owned(),
            client_id: "client".to_owned(),
            grant: "grant".to_owned(),
            token_id: "token".to_owned(),
            key_id: None,
            issued_at: Timestamp::from_seconds(0),
            allowance: Allowance::default(),
            credential: None,
            api_key_last_4: None,
        };
        let asked = tokio::time::timeout(Duration::from_secs(10), store.usage(&caller, "2026-11"));
        let refusal = asked.await.expect("an answer comes soon").unwrap_err();
        assert_eq!((refusal.code(), refusal.status().as_u16()), (Code::RateLimited, 503));
        assert!(refusal.cause().is_some(), "the log says why");
    }
}
