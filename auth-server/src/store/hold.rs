//! Who serves a database. An `SQLite` file is served by one process; a `PostgreSQL` database by any number. Whoever replaces
//! or moves a database wants it to be served by nobody. Commands that work beside a server ask for nothing of this.
//!
//! The system takes a hold back when its process ends, however it ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::task::JoinHandle;

use super::{Location, Result, StoreError, postgres, sqlite};

/// What a process wants to be to a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A server of it.
    Server,
    /// The only one who has to do with it: no server runs.
    Alone,
}

/// A role that was given. It lasts until this is dropped.
pub struct Held {
    /// The lock on a file goes with the open file.
    _file: Option<File>,
    /// The lock on a database goes with the connection, which this task keeps.
    keeper: Option<JoinHandle<()>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held")
    }
}

/// How often a server asks before it gives up. Others may hold the database for a moment only: a backup that looks whether a
/// server runs.
const TRIES: u32 = 20;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// How often a hold on `PostgreSQL` is looked after. If the database was restarted, it has to be taken again.
const LOOK_AFTER: Duration = Duration::from_secs(5);
/// The advisory lock: the text `doorward` as a number.
const KEY: i64 = i64::from_be_bytes(*b"doorward");

/// Takes a role, waiting for up to two seconds.
pub async fn hold(location: &Location, role: Role) -> Result<Held> {
    for _ in 1..TRIES {
        if let Some(held) = try_hold(location, role).await? {
            return Ok(held);
        }
        tokio::time::sleep(PAUSE).await;
    }
    try_hold(location, role).await?.ok_or_else(|| refusal(location, role))
}

/// Takes a role if it can be had at once.
pub async fn try_hold(location: &Location, role: Role) -> Result<Option<Held>> {
    match location {
        Location::Sqlite(path) => hold_file(path),
        Location::Postgres(url) => hold_database(url, role).await,
    }
}

fn refusal(location: &Location, role: Role) -> StoreError {
    StoreError::Unusable(match (location, role) {
        (Location::Sqlite(path), Role::Server) => format!(
            "another `doorward serve` runs on {}; an SQLite file has one server: stop the other one, name another file, or \
             use PostgreSQL for several servers",
            path.display()
        ),
        (Location::Sqlite(path), Role::Alone) => {
            format!("a `doorward serve` runs on {}; stop it first", path.display())
        }
        (Location::Postgres(_), Role::Server) => {
            "this database is being restored or moved; start the server when that is done".to_owned()
        }
        (Location::Postgres(_), Role::Alone) => {
            "a `doorward serve` runs on this database; stop all of them first".to_owned()
        }
    })
}

/// The lock is on a file of its own: closing any handle of the database file would drop the locks that `SQLite` itself holds
/// on it.
fn hold_file(path: &Path) -> Result<Option<Held>> {
    let path = sqlite::prepare(path)?;
    let beside = lock_file(&path);
    let unusable = |error: &std::io::Error| StoreError::Unusable(format!("{}: {error}", beside.display()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&beside).map_err(|error| unusable(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Held { _file: Some(file), keeper: None })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(unusable(&error)),
    }
}

/// Beside the file that is meant, whatever links lead to it.
fn lock_file(path: &Path) -> PathBuf {
    let mut name = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
    name.push(".lock");
    name.into()
}

async fn hold_database(url: &str, role: Role) -> Result<Option<Held>> {
    let options = postgres::options(url)?;
    let Some(connection) = lock(&options, role).await? else { return Ok(None) };
    let keeper = tokio::spawn(keep(connection, options, role));
    Ok(Some(Held { _file: None, keeper: Some(keeper) }))
}

/// A connection of its own: one that a pool lends would give the lock to whoever borrows it next.
async fn lock(options: &PgConnectOptions, role: Role) -> Result<Option<PgConnection>> {
    let mut connection = PgConnection::connect_with(options).await?;
    let sql = match role {
        Role::Server => "select pg_try_advisory_lock_shared($1)",
        Role::Alone => "select pg_try_advisory_lock($1)",
    };
    let taken: bool = sqlx::query_scalar(sql).bind(KEY).fetch_one(&mut connection).await?;
    if taken {
        return Ok(Some(connection));
    }
    connection.close().await.ok();
    Ok(None)
}

/// Keeps the connection that has the lock, and takes the lock again when the database has lost it.
async fn keep(mut connection: PgConnection, options: PgConnectOptions, role: Role) {
    loop {
        tokio::time::sleep(LOOK_AFTER).await;
        if connection.ping().await.is_ok() {
            continue;
        }
        match lock(&options, role).await {
            Ok(Some(again)) => connection = again,
            Ok(None) => {
                tracing::error!(
                    "the database is being restored or moved while this server runs; stop the server"
                );
            }
            Err(error) => {
                tracing::warn!(%error, "the database does not know that this server runs; trying again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_beside_the_file_whatever_link_leads_to_it() {
        assert_eq!(lock_file(Path::new("none/a.db")), Path::new("none/a.db.lock"));
        assert_eq!(KEY, 0x646f_6f72_7761_7264);
    }
}
