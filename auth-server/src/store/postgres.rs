//! The store on `PostgreSQL`: one pool, which reads and writes.

use std::{sync::Arc, time::Duration};

use sqlx::{
    Connection, Executor,
    migrate::{MigrateError, Migrator},
    pool::PoolOptions,
    postgres::{PgConnectOptions, PgConnection, PgListener},
};

use super::{Result, StoreError};

#[expect(clippy::duplicate_mod, reason = "the one SQL text is compiled once for each backend")]
#[path = "sql/mod.rs"]
mod sql;

/// The backend for which this printing of the SQL text is made.
type Db = sqlx::Postgres;

const BEGIN: &str = "begin";

/// The codes that mean "rolled back, try again": `serialization_failure`, `deadlock_detected`.
const CONFLICTS: &[&str] = &["40001", "40P01"];

/// What [`Store::kind`](super::Store::kind) says.
const KIND: &str = "postgresql";

/// What tells other processes, at the commit, that a counter was advanced.
const NUDGE: Option<&str> = Some("notify doorward_heads");

/// The channel of [`NUDGE`].
const CHANNEL: &str = "doorward_heads";

/// Begins a transaction that reads one moment until its end.
const SNAPSHOT: &str = "begin transaction isolation level repeatable read, read only";

/// What a connection sets that may take its time.
const PATIENCE: Option<&str> = Some(
    "set statement_timeout = 0; set idle_in_transaction_session_timeout = 0; set lock_timeout = '60s';
    set default_transaction_isolation = 'read committed'",
);

/// Whether a transaction that fills the tables has to lock them: a command might write into them meanwhile.
const LOCKS_TABLES: bool = true;

/// The columns of a table and their types.
const COLUMNS: &str = "select column_name::text, data_type::text from information_schema.columns
    where table_schema = current_schema() and table_name = $1 order by ordinal_position";

/// The time of the database, in whole seconds.
const TIME: &str = "select extract(epoch from now())::bigint";

/// How many connections one server holds at most.
const CONNECTIONS: u32 = 16;

/// How long a verb waits for a connection before it answers that the store is not available.
const ACQUIRE: Duration = Duration::from_secs(3);

/// What every connection sets for itself, whatever the role or the database has as its default. The verbs are written for
/// READ COMMITTED: there a statement that waited for a row looks at the row again.
const SETTINGS: &str = "\
    set default_transaction_isolation = 'read committed';\
    set statement_timeout = '10s';\
    set idle_in_transaction_session_timeout = '30s'";

/// How long a start waits for another one that is migrating.
const MIGRATION_SETTINGS: &str = "set statement_timeout = 0; set lock_timeout = '60s'";

/// How to connect to the database behind `url`.
pub(super) fn options(url: &str) -> Result<PgConnectOptions> {
    // The error would quote parts of the URL, and with them a password.
    let options: PgConnectOptions =
        url.parse().map_err(|_| StoreError::Unusable("the store's URL is no PostgreSQL URL".to_owned()))?;
    Ok(options.application_name("doorward"))
}

/// Opens the database behind `url`.
pub(super) async fn open(url: &str) -> Result<sql::Database> {
    let options = options(url)?;
    let pool = PoolOptions::<Db>::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(SETTINGS).await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await?;
    let setting: String =
        sqlx::query_scalar("select current_setting('synchronous_commit')").fetch_one(&pool).await?;
    if setting == "off" {
        let text = "PostgreSQL has synchronous_commit off: a crash could bring spent codes and tokens back to life. \
                    Remove the setting, or run `alter database <name> set synchronous_commit = on`";
        return Err(StoreError::Unusable(text.to_owned()));
    }
    Ok(sql::Database { reader: pool.clone(), writer: pool, nudge: Arc::default() })
}

/// Wakes this process when another one advanced a counter, until the pool is closed. The listener takes a connection of the
/// pool for itself and opens it anew when it is lost; meanwhile, changes are noticed when the counters are looked at.
async fn listen(database: &sql::Database) -> Result<()> {
    let mut listener = PgListener::connect_with(&database.reader).await?;
    listener.listen(CHANNEL).await?;
    let nudge = Arc::clone(&database.nudge);
    tokio::spawn(async move {
        loop {
            match listener.recv().await {
                Ok(_) => nudge.notify_one(),
                Err(sqlx::Error::PoolClosed) => return,
                Err(_) => tokio::time::sleep(ACQUIRE).await,
            }
        }
    });
    Ok(())
}

/// Runs the migrations on a connection of their own. The advisory lock under which sqlx runs them belongs to the
/// connection: closing it gives the lock back whatever happened.
async fn migrate(pool: &sqlx::Pool<Db>, migrator: &Migrator) -> std::result::Result<(), MigrateError> {
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
    connection.execute(MIGRATION_SETTINGS).await?;
    // Not `run`: its bound on the connection cannot be met in a future that is `Send`.
    let migrated = migrator.run_direct(None, &mut connection, false).await;
    connection.close().await.ok();
    migrated
}
