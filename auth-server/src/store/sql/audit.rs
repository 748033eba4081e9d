//! The audit trail.

use async_trait::async_trait;
use doorward_shared::time::Timestamp;
use serde_json::Value;
use sqlx::Transaction;

use super::{
    Database, Db, applied, retry,
    rows::{self, event_columns},
};
use crate::{
    domain::{
        audit::{Action, Checkpoint, Event, FIRST_LINK, StoredEvent},
        ids::EventId,
    },
    store::{Applied, EventFilter, Result, Trail},
};

macro_rules! checkpoint_columns {
    () => {
        r#"sequence as "audit_checkpoints.sequence", hash as "audit_checkpoints.hash", at as "audit_checkpoints.at",
        signed as "audit_checkpoints.signed" from audit_checkpoints"#
    };
}

/// Writes an event within the transaction of its deed. Its place in the chain comes later, so that deeds on many replicas do
/// not wait for each other.
pub(super) async fn record(event: &Event, tx: &mut Transaction<'_, Db>) -> Result<()> {
    insert(event, &mut **tx).await
}

async fn insert<'e>(event: &Event, executor: impl sqlx::Executor<'e, Database = Db>) -> Result<()> {
    let sql = "insert into audit_events (id, at, actor_kind, actor, action, object, address, detail)
        values ($1, $2, $3, $4, $5, $6, $7, $8)";
    let (kind, actor) = event.actor.parts();
    sqlx::query(sql)
        .bind(event.id.as_str())
        .bind(event.at.seconds())
        .bind(kind)
        .bind(actor)
        .bind(event.action.as_str())
        .bind(event.object.as_deref())
        .bind(event.address.as_deref())
        .bind(Value::Object(event.detail.clone()).to_string())
        .execute(executor)
        .await?;
    Ok(())
}

#[async_trait]
impl Trail for Database {
    async fn note(&self, event: &Event) -> Result<()> {
        insert(event, &self.writer).await
    }

    async fn chain(&self, limit: u32) -> Result<u32> {
        // Looking costs a reader only: most of the time there is nothing to do.
        let waiting = "select 1 from audit_events where sequence is null limit 1";
        if sqlx::query(waiting).fetch_optional(&self.reader).await?.is_none() {
            return Ok(0);
        }
        retry(|| self.try_chain(limit)).await
    }

    async fn events(
        &self,
        filter: &EventFilter,
        before: Option<&EventId>,
        limit: u32,
    ) -> Result<Vec<StoredEvent>> {
        let sql = concat!(
            "select ",
            event_columns!(),
            " from audit_events where ($1 is null or id < $1) and ($2 is null or actor = $2)
            and ($3 is null or action = $3) and ($4 is null or object = $4) and ($5 is null or at >= $5)
            and ($6 is null or at < $6) order by id desc limit $7"
        );
        let rows = sqlx::query(sql)
            .bind(before.map(EventId::as_str))
            .bind(filter.actor.as_deref())
            .bind(filter.action.map(Action::as_str))
            .bind(filter.object.as_deref())
            .bind(filter.from.map(Timestamp::seconds))
            .bind(filter.to.map(Timestamp::seconds))
            .bind(i64::from(limit))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(rows::event).collect()
    }

    async fn chained_after(&self, sequence: i64, limit: u32) -> Result<Vec<StoredEvent>> {
        let sql = concat!(
            "select ",
            event_columns!(),
            " from audit_events where sequence > $1 order by sequence limit $2"
        );
        let rows = sqlx::query(sql).bind(sequence).bind(i64::from(limit)).fetch_all(&self.reader).await?;
        rows.iter().map(rows::event).collect()
    }

    async fn put_checkpoint(&self, checkpoint: &Checkpoint) -> Result<Applied> {
        let sql = "insert into audit_checkpoints (sequence, hash, at, signed) values ($1, $2, $3, $4)
            on conflict do nothing";
        let put = sqlx::query(sql)
            .bind(checkpoint.link.sequence)
            .bind(checkpoint.link.hash.as_str())
            .bind(checkpoint.at.seconds())
            .bind(checkpoint.signed.as_str())
            .execute(&self.writer)
            .await?;
        Ok(applied(put.rows_affected()))
    }

    async fn last_checkpoint(&self) -> Result<Option<Checkpoint>> {
        let sql = concat!("select ", checkpoint_columns!(), " order by sequence desc limit 1");
        let row = sqlx::query(sql).fetch_optional(&self.reader).await?;
        row.as_ref().map(rows::checkpoint).transpose()
    }

    async fn checkpoints(&self) -> Result<Vec<Checkpoint>> {
        let sql = concat!("select ", checkpoint_columns!(), " order by sequence");
        let rows = sqlx::query(sql).fetch_all(&self.reader).await?;
        rows.iter().map(rows::checkpoint).collect()
    }
}

impl Database {
    /// Replicas take turns by the row of the head. An event that is committed while this runs waits for the next turn, even
    /// if its identifier is older than one that is taken now: the chain has its own order.
    async fn try_chain(&self, limit: u32) -> Result<u32> {
        let mut tx = self.begin().await?;
        sqlx::query("update heads set sequence = sequence where name = 'audit'").execute(&mut *tx).await?;
        let sql = "select sequence from heads where name = 'audit'";
        let mut sequence: i64 = sqlx::query_scalar(sql).fetch_one(&mut *tx).await?;
        let sql = "select hash from audit_events where sequence = $1";
        let last: Option<String> = sqlx::query_scalar(sql).bind(sequence).fetch_optional(&mut *tx).await?;
        let mut hash = last.unwrap_or_else(|| FIRST_LINK.to_owned());
        let sql = concat!(
            "select ",
            event_columns!(),
            " from audit_events where sequence is null order by id limit $1"
        );
        let waiting = sqlx::query(sql).bind(i64::from(limit)).fetch_all(&mut *tx).await?;
        let mut chained = 0;
        for row in &waiting {
            let event = rows::event(row)?.event;
            sequence += 1;
            chained += 1;
            hash = event.link(sequence, &hash);
            sqlx::query("update audit_events set sequence = $1, hash = $2 where id = $3")
                .bind(sequence)
                .bind(hash.as_str())
                .bind(event.id.as_str())
                .execute(&mut *tx)
                .await?;
        }
        sqlx::query("update heads set sequence = $1 where name = 'audit'")
            .bind(sequence)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(chained)
    }
}
