//! The embedded store: one `SQLite` file. One connection writes, so that writers of this process queue here, in order,
//! instead of being refused by the file lock; several read, and in WAL mode nobody waits for anybody.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    Connection as _,
    migrate::{MigrateError, Migrator},
    pool::PoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{Result, StoreError};

#[expect(clippy::duplicate_mod, reason = "the one SQL text is compiled once for each backend")]
#[path = "sql/mod.rs"]
mod sql;

/// The backend for which this printing of the SQL text is made.
type Db = sqlx::Sqlite;

/// Takes the write lock at once: a transaction that began by reading could be refused it in the middle.
const BEGIN: &str = "begin immediate";

/// The codes that mean "rolled back, try again": `SQLITE_BUSY_SNAPSHOT`.
const CONFLICTS: &[&str] = &["517"];

/// What [`Store::kind`](super::Store::kind) says.
const KIND: &str = "sqlite";

/// What tells other processes that a counter was advanced. There is nothing of the kind: they look at the counters.
const NUDGE: Option<&str> = None;

/// Begins a transaction that reads: in WAL mode it sees one moment until its end, and holds nobody up.
const SNAPSHOT: &str = "begin";

/// What a connection sets that may take its time.
const PATIENCE: Option<&str> = None;

/// Whether a transaction that fills the tables has to lock them: here it is the only one that writes anyway.
const LOCKS_TABLES: bool = false;

/// The columns of a table and their types.
const COLUMNS: &str = "select name, lower(type) from pragma_table_info($1) order by cid";

/// The time of the database, which is this process's own.
const TIME: &str = "select unixepoch()";

/// How long a statement waits for the write lock of another process, such as the command line.
const BUSY: Duration = Duration::from_secs(5);

/// How long a verb waits for its turn to write before it answers that the store is not available.
const ACQUIRE: Duration = Duration::from_secs(10);

/// How many connections read.
const READERS: u32 = 4;

/// Opens the file, making it and its folder if they are missing.
pub(super) async fn open(path: &Path) -> Result<sql::Database> {
    let path = prepare(path)?;
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .foreign_keys(true)
        .busy_timeout(BUSY);
    let writing = options.clone().journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    // `query_only`, not a read-only file: a reader may have to make the shared memory of the WAL.
    let reading = options.pragma("query_only", "on");
    let pool = || {
        PoolOptions::<Db>::new()
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
    };
    // A full disk makes SQLite roll back by itself, which sqlx does not notice: it would refuse to begin anything on this
    // connection ever after.
    let whole = pool().max_connections(1).after_release(|connection, _| {
        Box::pin(async move {
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    });
    let writer = connect(&whole, &writing).await?;
    let mode: String = sqlx::query_scalar("pragma journal_mode").fetch_one(&writer).await?;
    if mode != "wal" {
        let text = "its folder does not support write-ahead logging; keep the database on a local disk";
        return Err(unusable(&path, text));
    }
    let reader = pool().max_connections(READERS).connect_lazy_with(reading);
    Ok(sql::Database { reader, writer, nudge: Arc::default() })
}

/// Nothing tells of other processes; they are noticed when the counters are looked at.
#[expect(clippy::unused_async, reason = "the other backend waits for its connection")]
async fn listen(_: &sql::Database) -> Result<()> {
    Ok(())
}

/// Switching to WAL takes a lock that `SQLite` does not wait for, so two processes that make the database together may
/// refuse each other.
async fn connect(pool: &PoolOptions<Db>, options: &SqliteConnectOptions) -> Result<sqlx::Pool<Db>> {
    let mut tries = 0;
    loop {
        tries += 1;
        match pool.clone().connect_with(options.clone()).await {
            Err(sqlx::Error::Database(error)) if tries < 50 && is_locked(error.as_ref()) => {
                tokio::time::sleep(BUSY / 50).await;
            }
            answer => return Ok(answer?),
        }
    }
}

fn is_locked(error: &dyn sqlx::error::DatabaseError) -> bool {
    // The low byte is the primary code: 5 is SQLITE_BUSY, in all its extended forms.
    error.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

/// Makes the file, readable to its owner only: `SQLite` gives the files beside it the same mode.
pub(super) fn prepare(path: &Path) -> Result<PathBuf> {
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        let text = "name a file for the database: what is kept in memory only would be gone at every restart";
        return Err(StoreError::Unusable(text.to_owned()));
    }
    // A leading folder, so that no name is taken for a `file:` URL.
    let path = if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) };
    let (mut folder, mut file) = (DirBuilder::new(), OpenOptions::new());
    folder.recursive(true);
    file.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        folder.mode(0o700);
        file.mode(0o600);
    }
    let parent = path.parent().unwrap_or(Path::new("."));
    folder.create(parent).map_err(|error| unusable(parent, &error.to_string()))?;
    match file.open(&path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(unusable(&path, &error.to_string())),
        _ => Ok(path),
    }
}

fn unusable(path: &Path, text: &str) -> StoreError {
    StoreError::Unusable(format!("{}: {text}", path.display()))
}

/// Runs the migrations under the write lock: another process that starts now waits, and then finds nothing to do.
async fn migrate(pool: &sqlx::Pool<Db>, migrator: &Migrator) -> std::result::Result<(), MigrateError> {
    let mut tries = 1;
    let mut tx = loop {
        match pool.begin_with(BEGIN).await {
            // A migration may take longer than any other transaction.
            Err(sqlx::Error::Database(error)) if tries < 12 && is_locked(error.as_ref()) => tries += 1,
            answer => break answer?,
        }
    };
    // Not `run`: its bound on the connection cannot be met in a future that is `Send`.
    migrator.run_direct(None, &mut *tx, false).await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }

    fn folder() -> Folder {
        let name = doorward_shared::secret::Secret::<doorward_shared::secret::SetupLink>::generate(
            &doorward_shared::secret::SystemEntropy,
        );
        Folder(std::env::temp_dir().join(name.expose()))
    }

    #[tokio::test]
    async fn the_writer_syncs_every_commit_and_the_readers_cannot_write() {
        let folder = folder();
        let store = open(&folder.0.join("a.db")).await.unwrap();
        let mode: String = sqlx::query_scalar("pragma journal_mode").fetch_one(&store.writer).await.unwrap();
        let synchronous: i64 =
            sqlx::query_scalar("pragma synchronous").fetch_one(&store.writer).await.unwrap();
        let foreign_keys: i64 =
            sqlx::query_scalar("pragma foreign_keys").fetch_one(&store.writer).await.unwrap();
        assert_eq!((mode.as_str(), synchronous, foreign_keys), ("wal", 2, 1));
        assert_eq!(store.writer.options().get_max_connections(), 1);
        assert!(sqlx::query("create table x (a text)").execute(&store.reader).await.is_err());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_the_owner_may_read_the_files() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder();
        let store = open(&folder.0.join("deep/er/a.db")).await.unwrap();
        crate::store::Store::migrate(&store).await.unwrap();
        let files: Vec<_> =
            std::fs::read_dir(folder.0.join("deep/er")).unwrap().map(|file| file.unwrap()).collect();
        assert_eq!(files.len(), 3, "the database, its log and its shared memory");
        for file in files {
            assert_eq!(
                file.metadata().unwrap().permissions().mode() & 0o777,
                0o600,
                "{}",
                file.path().display()
            );
        }
    }

    #[tokio::test]
    async fn a_store_in_memory_is_refused() {
        for path in ["", ":memory:"] {
            assert!(matches!(open(Path::new(path)).await, Err(StoreError::Unusable(_))));
        }
    }
}
