//! A fresh, empty database for each test, on each backend.

use std::{path::PathBuf, sync::Arc, time::Duration};

use doorward::store::{Location, Store, open};
use doorward_shared::{
    secret::{Secret, SetupLink, SystemEntropy},
    time::Timestamp,
};
use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tokio::sync::{Barrier, Semaphore, SemaphorePermit};

/// Where the tests find a PostgreSQL that they may fill with databases.
pub(crate) const POSTGRES: &str = "DOORWARD_TEST_POSTGRES";

/// Makes two tests of each function named: one for SQLite, one for PostgreSQL.
macro_rules! on_each_backend {
    ($($test:ident),* $(,)?) => {
        mod sqlite {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                let backend = $crate::backend::Backend::sqlite();
                super::$test(&backend).await;
                backend.drop().await;
            }
        )*}

        mod postgres {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                let backend = $crate::backend::Backend::postgres().await;
                super::$test(&backend).await;
                backend.drop().await;
            }
        )*}
    };
}

/// Tests that may be at work on PostgreSQL at the same time: each opens several pools, and a server has so many slots.
static SLOTS: Semaphore = Semaphore::const_new(4);

/// An empty database.
pub(crate) struct Backend {
    location: Location,
    server: Option<(String, SemaphorePermit<'static>)>,
}

/// Reads a variable of the environment.
pub(crate) fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the test's own input, not the product's")]
    std::env::var(name).ok()
}

fn unique_name() -> String {
    format!("store_{}", ulid::Ulid::generate().to_string().to_lowercase())
}

impl Backend {
    /// On SQLite, in a folder of its own.
    pub(crate) fn sqlite() -> Self {
        let path = std::env::temp_dir().join(unique_name()).join("doorward.db");
        Self { location: Location::Sqlite(path), server: None }
    }

    /// On PostgreSQL, in a database of its own.
    pub(crate) async fn postgres() -> Self {
        let server = variable(POSTGRES).expect("no PostgreSQL is named: run through tests/with-stores");
        let slot = SLOTS.acquire().await.unwrap();
        let name = unique_name();
        let mut admin = PgConnection::connect(&server).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut admin).await.unwrap();
        admin.close().await.unwrap();
        let mut url = url::Url::parse(&server).unwrap();
        url.set_path(&name);
        Self { location: Location::Postgres(url.into()), server: Some((server, slot)) }
    }

    /// Where it is.
    pub(crate) const fn location(&self) -> &Location {
        &self.location
    }

    /// True where the database tells one process of what another one wrote.
    pub(crate) const fn tells_other_processes(&self) -> bool {
        matches!(self.location, Location::Postgres(_))
    }

    /// The folder of an SQLite file.
    fn folder(&self) -> Option<PathBuf> {
        match &self.location {
            Location::Sqlite(path) => path.parent().map(PathBuf::from),
            Location::Postgres(_) => None,
        }
    }

    /// Opens the store as a server does when it starts.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        let store = open(&self.location).await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    /// Changes rows behind the store's back; answers how many.
    pub(crate) async fn change(&self, sql: &str) -> u64 {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.location {
            Location::Sqlite(path) => {
                let mut connection = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap().rows_affected()
            }
            Location::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap().rows_affected()
            }
        }
    }

    /// Begins a transaction of somebody else that changes rows, and leaves it open.
    pub(crate) async fn meanwhile(&self, sql: &str) -> Meanwhile {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.location {
            Location::Sqlite(path) => {
                let mut connection = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
                sqlx::raw_sql("begin immediate").execute(&mut connection).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                Meanwhile::Sqlite(connection)
            }
            Location::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::raw_sql("begin").execute(&mut connection).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                Meanwhile::Postgres(connection)
            }
        }
    }

    /// Asks behind the store's back for one number.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        match &self.location {
            Location::Sqlite(path) => {
                let mut connection = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
            Location::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
        }
    }

    /// Asks behind the store's back for texts.
    pub(crate) async fn texts(&self, sql: &'static str) -> Vec<String> {
        match &self.location {
            Location::Sqlite(path) => {
                let mut connection = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
                sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap()
            }
            Location::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap()
            }
        }
    }

    /// Removes everything. A test that panics leaves its database behind to be looked at.
    pub(crate) async fn drop(self) {
        if let Some(folder) = self.folder() {
            std::fs::remove_dir_all(folder).unwrap();
        }
        if let (Location::Postgres(url), Some((server, _slot))) = (&self.location, &self.server) {
            let name = url.rsplit('/').next().unwrap();
            let mut admin = PgConnection::connect(server).await.unwrap();
            let sql = AssertSqlSafe(format!("drop database {name} with (force)"));
            sqlx::query(sql).execute(&mut admin).await.unwrap();
        }
    }
}

/// A transaction of somebody else that is under way.
pub(crate) enum Meanwhile {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Meanwhile {
    /// Goes on with one more statement, waiting for it as long as it takes.
    pub(crate) async fn and(&mut self, sql: &'static str) {
        match self {
            Self::Sqlite(connection) => sqlx::raw_sql(sql).execute(connection).await.map(|_| ()).unwrap(),
            Self::Postgres(connection) => sqlx::raw_sql(sql).execute(connection).await.map(|_| ()).unwrap(),
        }
    }

    /// Starts a verb, which has to wait for this transaction, then commits, and answers what came of the verb.
    pub(crate) async fn overtakes<T: Send + 'static>(
        mut self,
        verb: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let verb = tokio::spawn(verb);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!verb.is_finished(), "the verb waits for the transaction that is under way");
        self.and("commit").await;
        verb.await.unwrap()
    }
}

/// Starts `count` tasks at the same moment and waits for all of them.
pub(crate) async fn race<T, F>(count: usize, mut runner: impl FnMut(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(count));
    let tasks = (0..count).map(|i| {
        let (start, run) = (Arc::clone(&start), runner(i));
        tokio::spawn(async move {
            start.wait().await;
            run.await
        })
    });
    let tasks: Vec<_> = tasks.collect();
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

/// A time for tests, `seconds` after a fixed one.
pub(crate) const fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + seconds)
}

/// A new secret of any kind.
pub(crate) fn secret<K: doorward_shared::secret::Kind>() -> Secret<K> {
    Secret::generate(&SystemEntropy)
}

/// The link of a first start.
pub(crate) fn link() -> Secret<SetupLink> {
    secret()
}
