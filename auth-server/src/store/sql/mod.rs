//! The one SQL text. It speaks of `super::Db` only, and is compiled twice: under `sqlite` and under `postgres`.
//!
//! Rules that make one text possible: text, bigint and integer only; `$1` placeholders, bound by exact type; what was
//! written is counted, never returned (`SQLite` commits a `returning` only after its rows were read); order that depends on
//! text is made in Rust, since each database sorts text by its own rules.
//!
//! Rules that make it safe: single use is decided by the `where` of the write, never by a read before it. A verb that spends
//! or gives on a grant first updates the grant's row where it is not ended: on `PostgreSQL` that takes the row's lock, so
//! whoever ends the grant comes wholly before or wholly after; on `SQLite` there is one writer anyway. Locks are taken in
//! the order grants, codes, refresh tokens, API keys; heads; users, clients, resources, organizations, nodes, rules; where two transactions still meet head-on, `PostgreSQL` rolls one back and
//! [`retry`] runs it again.

mod account_links;
mod admin_keys;
mod api_keys;
mod audit;
mod backups;
mod clients;
mod codes;
mod ends;
mod entitlements;
mod extensions;
mod feed;
mod grants;
mod identities;
mod lists;
mod logouts;
mod organizations;
mod pages;
mod passkeys;
mod refresh_tokens;
mod resources;
mod restore;
mod rows;
mod schema;
mod second_factors;
mod sessions;
mod signing_keys;
mod users;

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use doorward_shared::time::Timestamp;
use sqlx::{Pool, Transaction};
use tokio::sync::Notify;

use super::{BEGIN, CONFLICTS, Db, KIND, TIME};
use crate::store::{Applied, Result, Store, StoreError};

/// An open database. The two pools are one where the backend lets several connections write.
pub(in crate::store) struct Database {
    pub(super) reader: Pool<Db>,
    pub(super) writer: Pool<Db>,
    /// Wakes whoever follows the counters.
    pub(super) nudge: Arc<Notify>,
}

impl Database {
    async fn begin(&self) -> Result<Transaction<'static, Db>> {
        Ok(self.writer.begin_with(BEGIN).await?)
    }

    /// Commits a transaction that advanced a counter.
    async fn commit_and_nudge(&self, tx: Transaction<'static, Db>) -> Result<()> {
        tx.commit().await?;
        self.nudge.notify_one();
        Ok(())
    }
}

/// `Done` when the write met exactly the row it was meant for.
const fn applied(rows: u64) -> Applied {
    if rows == 0 { Applied::Lost } else { Applied::Done }
}

/// How often a transaction is tried before its conflict is reported.
const TRIES: u32 = 10;

/// Runs a transaction again when the database rolled it back for being in another one's way, or when a row that it removes
/// was referred to in the meantime: nothing happened then, and the next try sees what the other one did.
async fn retry<T, F: Future<Output = Result<T>>>(attempt: impl Fn() -> F) -> Result<T> {
    let mut tries = 1;
    loop {
        match attempt().await {
            Err(StoreError::Unavailable(error)) if tries < TRIES && is_conflict(&error) => {
                tokio::time::sleep(Duration::from_millis(5) * tries).await;
                tries += 1;
            }
            answer => return answer,
        }
    }
}

fn is_conflict(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    error.is_foreign_key_violation() || error.code().is_some_and(|code| CONFLICTS.contains(&code.as_ref()))
}

#[async_trait]
impl Store for Database {
    async fn migrate(&self) -> Result<i64> {
        schema::migrate(&self.writer).await
    }

    async fn settle(&self, name: &'static str, fresh: &str) -> Result<String> {
        let sql = "insert into facts (name, value) values ($1, $2) on conflict do nothing";
        sqlx::query(sql).bind(name).bind(fresh).execute(&self.writer).await?;
        let sql = "select value from facts where name = $1";
        Ok(sqlx::query_scalar(sql).bind(name).fetch_one(&self.writer).await?)
    }

    fn kind(&self) -> &'static str {
        KIND
    }

    async fn ping(&self) -> Result<()> {
        // A real table: on SQLite, `select 1` alone would not even look at the file.
        sqlx::query("select 1 from setup_links where id = 1").fetch_optional(&self.reader).await?;
        Ok(())
    }

    async fn time(&self) -> Result<Timestamp> {
        Ok(Timestamp::from_seconds(sqlx::query_scalar(TIME).fetch_one(&self.reader).await?))
    }

    async fn close(&self) {
        // The writer last: the last connection of an SQLite file moves the log into it.
        self.reader.close().await;
        self.writer.close().await;
    }
}
