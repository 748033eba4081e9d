//! The second factor and its recovery codes.

use async_trait::async_trait;
use sqlx::Transaction;

use super::{
    Database, Db,
    account_links::finish,
    applied, retry,
    rows::{cell, read, time},
};
use crate::{
    domain::{audit::Event, ids::UserId, totp::SecondFactor},
    store::{Applied, Result, SecondFactors},
};

#[async_trait]
impl SecondFactors for Database {
    async fn put_second_factor(
        &self,
        factor: &SecondFactor,
        recovery: &[String],
        event: &Event,
    ) -> Result<Applied> {
        retry(|| self.try_put_second_factor(factor, recovery, event)).await
    }

    async fn second_factor(&self, user: &UserId) -> Result<Option<SecondFactor>> {
        let sql = r#"select user_id as "second_factors.user_id", sealed as "second_factors.sealed",
            last_step as "second_factors.last_step", created_at as "second_factors.created_at"
            from second_factors where user_id = $1"#;
        let row = sqlx::query(sql).bind(user.as_str()).fetch_optional(&self.reader).await?;
        row.map(|row| {
            Ok(SecondFactor {
                user: read(&row, "second_factors.user_id", UserId::parse)?,
                sealed: cell(&row, "second_factors.sealed")?,
                last_step: cell(&row, "second_factors.last_step")?,
                created_at: time(&row, "second_factors.created_at")?,
            })
        })
        .transpose()
    }

    async fn spend_code(&self, user: &UserId, step: i64) -> Result<Applied> {
        let sql = "update second_factors set last_step = $1 where user_id = $2 and last_step < $1";
        let spent = sqlx::query(sql).bind(step).bind(user.as_str()).execute(&self.writer).await?;
        Ok(applied(spent.rows_affected()))
    }

    async fn spend_recovery_code(&self, user: &UserId, hash: &str, event: &Event) -> Result<Applied> {
        retry(async || {
            let mut tx = self.begin().await?;
            let sql =
                "update recovery_codes set used_at = $1 where hash = $2 and user_id = $3 and used_at is null";
            let spent = sqlx::query(sql)
                .bind(event.at.seconds())
                .bind(hash)
                .bind(user.as_str())
                .execute(&mut *tx)
                .await?;
            finish(spent.rows_affected() == 1, event, tx).await
        })
        .await
    }

    async fn recovery_codes_left(&self, user: &UserId) -> Result<u64> {
        let sql = "select count(*) from recovery_codes where user_id = $1 and used_at is null";
        let left: i64 = sqlx::query_scalar(sql).bind(user.as_str()).fetch_one(&self.reader).await?;
        Ok(left.unsigned_abs())
    }

    async fn replace_recovery_codes(
        &self,
        user: &UserId,
        recovery: &[String],
        event: &Event,
    ) -> Result<Applied> {
        retry(async || {
            let mut tx = self.begin().await?;
            // The row of the second factor is held, so that two who do this at once do not leave two sets.
            let sql = "update second_factors set last_step = last_step where user_id = $1";
            let held = sqlx::query(sql).bind(user.as_str()).execute(&mut *tx).await?;
            if held.rows_affected() == 1 {
                forget_codes(user, &mut tx).await?;
                insert_codes(user, recovery, &mut tx).await?;
            }
            finish(held.rows_affected() == 1, event, tx).await
        })
        .await
    }

    async fn remove_second_factor(&self, user: &UserId, event: &Event) -> Result<Applied> {
        retry(async || {
            let mut tx = self.begin().await?;
            let removed = sqlx::query("delete from second_factors where user_id = $1")
                .bind(user.as_str())
                .execute(&mut *tx)
                .await?;
            forget_codes(user, &mut tx).await?;
            finish(removed.rows_affected() == 1, event, tx).await
        })
        .await
    }
}

impl Database {
    async fn try_put_second_factor(
        &self,
        factor: &SecondFactor,
        recovery: &[String],
        event: &Event,
    ) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let sql =
            "insert into second_factors (user_id, sealed, last_step, created_at) values ($1, $2, $3, $4)
            on conflict do nothing";
        let put = sqlx::query(sql)
            .bind(factor.user.as_str())
            .bind(&factor.sealed)
            .bind(factor.last_step)
            .bind(factor.created_at.seconds())
            .execute(&mut *tx)
            .await?;
        if put.rows_affected() == 1 {
            insert_codes(&factor.user, recovery, &mut tx).await?;
        }
        finish(put.rows_affected() == 1, event, tx).await
    }
}

async fn insert_codes(user: &UserId, recovery: &[String], tx: &mut Transaction<'_, Db>) -> Result<()> {
    for hash in recovery {
        sqlx::query("insert into recovery_codes (hash, user_id) values ($1, $2)")
            .bind(hash)
            .bind(user.as_str())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

async fn forget_codes(user: &UserId, tx: &mut Transaction<'_, Db>) -> Result<()> {
    sqlx::query("delete from recovery_codes where user_id = $1")
        .bind(user.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
