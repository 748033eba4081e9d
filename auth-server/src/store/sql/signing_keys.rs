//! Signing keys, and the data key that seals them.

use async_trait::async_trait;
use doorward_shared::{revocation::Claim, time::Timestamp};
use sqlx::Transaction;

use super::{
    Database, Db, applied, audit,
    feed::{self, Head},
    retry,
    rows::{self, signing_key_columns},
};
use crate::{
    domain::{
        audit::Event,
        signing_key::{Change, KeySet, Step, StoredSigningKey},
    },
    store::{Applied, DATA_KEY, Result, SigningKeys},
};

#[async_trait]
impl SigningKeys for Database {
    async fn signing_keys(&self) -> Result<KeySet> {
        // The count first: what changes in between makes the keys newer than it, never older.
        let head = self.signing_keys_head().await?;
        let sql = concat!("select ", signing_key_columns!(), " from signing_keys order by position");
        let rows = sqlx::query(sql).fetch_all(&self.reader).await?;
        Ok(KeySet { head, keys: rows.iter().map(rows::signing_key).collect::<Result<_>>()? })
    }

    async fn signing_keys_head(&self) -> Result<i64> {
        let sql = "select sequence from heads where name = 'signing_keys'";
        Ok(sqlx::query_scalar(sql).fetch_one(&self.reader).await?)
    }

    async fn change_signing_keys(&self, change: &Change, events: &[Event]) -> Result<Applied> {
        retry(|| self.try_change_signing_keys(change, events)).await
    }

    async fn data_key(&self) -> Result<Option<String>> {
        let sql = "select value from facts where name = $1";
        Ok(sqlx::query_scalar(sql).bind(DATA_KEY).fetch_optional(&self.reader).await?)
    }

    async fn reseal_data_key(&self, before: &str, after: &str, event: &Event) -> Result<Applied> {
        retry(|| self.try_reseal_data_key(before, after, event)).await
    }
}

impl Database {
    async fn try_change_signing_keys(&self, change: &Change, events: &[Event]) -> Result<Applied> {
        let mut tx = self.begin().await?;
        // Counting up takes the counter's lock: of two changes that were decided for the same keys, the second one waits here
        // and then finds another count.
        feed::advance(Head::SigningKeys, &mut tx).await?;
        let head: i64 = sqlx::query_scalar("select sequence from heads where name = 'signing_keys'")
            .fetch_one(&mut *tx)
            .await?;
        let mut all = head == change.head() + 1;
        for step in change.steps() {
            all = all && carry_out(step, change.at(), &mut tx).await? == Applied::Done;
        }
        if !all {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        for event in events {
            audit::record(event, &mut tx).await?;
        }
        self.commit_and_nudge(tx).await?;
        Ok(Applied::Done)
    }

    async fn try_reseal_data_key(&self, before: &str, after: &str, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let sql = "update facts set value = $3 where name = $1 and value = $2";
        let update = sqlx::query(sql).bind(DATA_KEY).bind(before).bind(after);
        if update.execute(&mut *tx).await?.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        audit::record(event, &mut tx).await?;
        tx.commit().await?;
        Ok(Applied::Done)
    }
}

async fn carry_out(
    step: &Step<StoredSigningKey>,
    at: Timestamp,
    tx: &mut Transaction<'_, Db>,
) -> Result<Applied> {
    let (sql, kid) = match step {
        Step::Make(key) => return insert(key, tx).await,
        Step::Retire(kid) => (
            "update signing_keys set state = 'retired', sealed = null, retired_at = $2
            where kid = $1 and state = 'active'",
            kid,
        ),
        Step::Activate(kid) => (
            "update signing_keys set state = 'active', activated_at = $2 where kid = $1 and state = 'next'",
            kid,
        ),
        Step::Remove(kid) => (
            "update signing_keys set state = 'removed', sealed = null, removed_at = $2
            where kid = $1 and state in ('next', 'retired')",
            kid,
        ),
        Step::Revoke { kid, forget_at } => {
            feed::push(Claim::Kid, kid, None, *forget_at, tx).await?;
            (
                "update signing_keys set state = 'revoked', sealed = null, removed_at = $2
                where kid = $1 and state <> 'revoked'",
                kid,
            )
        }
    };
    let done = sqlx::query(sql).bind(kid.as_str()).bind(at.seconds()).execute(&mut **tx).await?;
    Ok(applied(done.rows_affected()))
}

async fn insert(key: &StoredSigningKey, tx: &mut Transaction<'_, Db>) -> Result<Applied> {
    let sql = "insert into signing_keys
        (kid, position, algorithm, state, public_jwk, sealed, created_at, activated_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing";
    let inserted = sqlx::query(sql)
        .bind(key.kid.as_str())
        .bind(key.position)
        .bind(key.algorithm.as_str())
        .bind(key.state.as_str())
        .bind(key.public_jwk.as_str())
        .bind(key.sealed.as_deref())
        .bind(key.created_at.seconds())
        .bind(key.activated_at.map(Timestamp::seconds))
        .execute(&mut **tx)
        .await?;
    Ok(applied(inserted.rows_affected()))
}
