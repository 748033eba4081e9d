//! What time ends: expired artifacts, uploads that nobody finished, keys and links that need not be remembered.

use doorward_shared::time::{Seconds, Timestamp};
use sqlx::Row;

use super::{
    REPLAY_WINDOW, Store,
    artifacts::bury,
    records::{optional, parsed},
    usage,
};
use crate::{
    errors::Refusal,
    ids::{ArtifactId, BlobId},
};

/// A pending artifact that was not completed within this time is given up.
const PATIENCE: Seconds = Seconds::hours(24);
/// An ended link is remembered for this long, to answer 410 and not 404.
const LINK_MEMORY: Seconds = Seconds::days(30);
/// A request that began with a good credential is over by then.
const LAST_REQUESTS: Seconds = Seconds::days(1);
/// At most this many artifacts are ended in one transaction, so that callers do not wait for long.
const BATCH: i64 = 200;

impl Store {
    /// Ends what is over at `now`. True when there may be more to do.
    pub async fn sweep(&self, now: Timestamp) -> Result<bool, Refusal> {
        let expired = self.end_expired(now).await?;
        let abandoned = self.give_up_pending(now).await?;
        let mut tx = self.begin().await?;
        sqlx::query("delete from idempotency_keys where created_at <= $1")
            .bind(now.minus(REPLAY_WINDOW).seconds())
            .execute(&mut *tx)
            .await?;
        sqlx::query("delete from links where expires_at <= $1 or ended_at <= $1")
            .bind(now.minus(LINK_MEMORY).seconds())
            .execute(&mut *tx)
            .await?;
        sqlx::query("delete from revocations where expires_at <= $1")
            .bind(now.minus(LAST_REQUESTS).seconds())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(expired || abandoned)
    }

    /// Gives the bytes of expired artifacts back to the plan and removes them. The rows go on saying when.
    async fn end_expired(&self, now: Timestamp) -> Result<bool, Refusal> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "select artifact_id, organization, charged_bytes, blob_id from artifacts where expires_at <= $1 \
             and expires_at is not null and released_at is null and activated_at is not null limit $2",
        )
        .bind(now.seconds())
        .bind(BATCH)
        .fetch_all(&mut *tx)
        .await?;
        let mut freed = Vec::new();
        for row in &rows {
            sqlx::query("update artifacts set released_at = $1, blob_id = null, metadata = '{}' where artifact_id = $2")
                .bind(now.seconds())
                .bind(row.try_get::<String, _>("artifact_id")?)
                .execute(&mut *tx)
                .await?;
            sqlx::query("update uploads set blob_id = null where artifact_id = $1")
                .bind(row.try_get::<String, _>("artifact_id")?)
                .execute(&mut *tx)
                .await?;
            usage::release(&mut tx, row.try_get("organization")?, row.try_get("charged_bytes")?).await?;
            freed.extend(optional(row, "blob_id", BlobId::parse)?);
        }
        tx.commit().await?;
        for blob in freed {
            self.blobs.remove(&blob).await;
        }
        Ok(i64::try_from(rows.len()) == Ok(BATCH))
    }

    /// Deletes pending artifacts that were never completed, and gives back what they reserved.
    async fn give_up_pending(&self, now: Timestamp) -> Result<bool, Refusal> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "select artifact_id, organization from artifacts where activated_at is null \
             and released_at is null and created_at <= $1 limit $2",
        )
        .bind(now.minus(PATIENCE).seconds())
        .bind(BATCH)
        .fetch_all(&mut *tx)
        .await?;
        let mut freed = Vec::new();
        for row in &rows {
            let id = parsed(row, "artifact_id", ArtifactId::parse)?;
            freed.extend(bury(&mut tx, row.try_get("organization")?, &id, now).await?);
        }
        tx.commit().await?;
        for blob in freed {
            self.blobs.remove(&blob).await;
        }
        Ok(i64::try_from(rows.len()) == Ok(BATCH))
    }
}
