//! Refresh tokens.

use doorward_shared::secret::{RefreshToken as RefreshTokenKind, SecretHash};
use sqlx::Transaction;

use super::{
    Database, Db, grants,
    rows::{self, grant_columns, json_answer, refresh_token_columns, user_columns},
};
use crate::{
    domain::{
        grant::Use,
        refresh::{NewRefreshToken, RefreshToken, Rotation, retry::Counted},
    },
    store::{Applied, Result},
};

/// Stores a refresh token, within the transaction that holds its grant.
pub(super) async fn insert(token: &NewRefreshToken, tx: &mut Transaction<'_, Db>) -> Result<()> {
    let sql = "insert into refresh_tokens (hash, grant_id, generation, created_at, expires_at)
        values ($1, $2, $3, $4, $5)";
    sqlx::query(sql)
        .bind(token.hash().to_text())
        .bind(token.grant().as_str())
        .bind(token.generation())
        .bind(token.created_at().seconds())
        .bind(token.expires_at().seconds())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

impl Database {
    pub(super) async fn load_refresh_token(
        &self,
        hash: &SecretHash<RefreshTokenKind>,
    ) -> Result<Option<RefreshToken>> {
        let sql = concat!(
            "select ",
            refresh_token_columns!(),
            ", ",
            grant_columns!(),
            ", ",
            user_columns!(),
            " from refresh_tokens
            join grants on grants.id = refresh_tokens.grant_id
            join users on users.id = grants.user_id
            where refresh_tokens.hash = $1"
        );
        let row = sqlx::query(sql).bind(hash.to_text()).fetch_optional(&self.reader).await?;
        row.as_ref().map(rows::refresh_token).transpose()
    }

    pub(super) async fn try_rotate(&self, rotation: &Rotation, by: &Use) -> Result<Applied> {
        let successor = rotation.successor();
        let mut tx = self.begin().await?;
        if grants::hold(successor.grant(), rotation.allowance(), by, &mut tx).await? == Applied::Lost {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        let sql = "update refresh_tokens set spent_at = $1, answer = $2
            where hash = $3 and grant_id = $4 and spent_at is null";
        let spent = sqlx::query(sql)
            .bind(rotation.at().seconds())
            .bind(rotation.answer().map(json_answer))
            .bind(rotation.spent().to_text())
            .bind(successor.grant().as_str())
            .execute(&mut *tx)
            .await?;
        if spent.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        // Nobody can get the answer of the token before again: its successor is spent by now.
        let sql = "update refresh_tokens set answer = null where grant_id = $1 and generation = $2 and answer is not null";
        sqlx::query(sql)
            .bind(successor.grant().as_str())
            .bind(successor.generation() - 2)
            .execute(&mut *tx)
            .await?;
        insert(successor, &mut tx).await?;
        tx.commit().await?;
        Ok(Applied::Done)
    }

    pub(super) async fn try_count_retry(&self, counted: &Counted) -> Result<Applied> {
        let (seen, now) = (counted.seen(), counted.now());
        let sql = "update grants set strange_retries = $1, strange_since = $2
            where id = $3 and ended_at is null and strange_retries = $4 and strange_since = $5";
        let done = sqlx::query(sql)
            .bind(i64::from(now.count))
            .bind(now.since.seconds())
            .bind(counted.grant().as_str())
            .bind(i64::from(seen.count))
            .bind(seen.since.seconds())
            .execute(&self.writer)
            .await?;
        Ok(if done.rows_affected() == 0 { Applied::Lost } else { Applied::Done })
    }
}
