//! The schema and its versions.

use sqlx::{
    Pool, SqlSafeStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::{super::migrate as run, Db};
use crate::store::{Result, StoreError};

/// Every migration in order. One that was released is never changed: databases remember its checksum.
fn migrations() -> Vec<Migration> {
    let texts = [("initial", include_str!("../../../migrations/0001_initial.sql"))];
    let migration = |(version, (name, text)): (i64, (&'static str, &'static str))| {
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    (1..).zip(texts).map(migration).collect()
}

/// The version of a schema that is up to date.
pub(super) fn newest() -> i64 {
    migrations().iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Brings the schema up to date; answers the version it stands at.
pub(super) async fn migrate(pool: &Pool<Db>) -> Result<i64> {
    let migrator = Migrator::with_migrations(migrations());
    let newest = newest();
    match run(pool, &migrator).await {
        Ok(()) => Ok(newest),
        Err(MigrateError::Execute(error)) => Err(error.into()),
        Err(error) => Err(StoreError::Unusable(explain(&error, newest))),
    }
}

fn explain(error: &MigrateError, newest: i64) -> String {
    match error {
        MigrateError::VersionMissing(version) if *version > newest => format!(
            "the database has schema version {version}, and this program knows versions up to {newest}: the database was \
             used by a newer Doorward. Start that one, or go back to a backup from before the upgrade"
        ),
        MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version) => format!(
            "migration {version} of the database is not the one of this program: it was made by a build that was never \
             released. Go back to that build or to a backup"
        ),
        other => format!("the schema could not be brought up to date: {other}"),
    }
}
