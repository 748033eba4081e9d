//! Signing keys.

use async_trait::async_trait;

use super::{
    Database, applied,
    rows::{self, signing_key_columns},
};
use crate::{
    domain::signing_key::StoredSigningKey,
    store::{Applied, Result, SigningKeys},
};

#[async_trait]
impl SigningKeys for Database {
    async fn signing_keys(&self) -> Result<Vec<StoredSigningKey>> {
        let sql = concat!("select ", signing_key_columns!(), " from signing_keys order by position");
        let rows = sqlx::query(sql).fetch_all(&self.reader).await?;
        rows.iter().map(rows::signing_key).collect()
    }

    async fn insert_first_signing_key(&self, key: &StoredSigningKey) -> Result<Applied> {
        // The `where` finds every key that is there, the unique position every one that is being made.
        let sql = "insert into signing_keys (kid, position, algorithm, state, public_jwk, sealed, created_at, activated_at)
            select $1, 1, $2, 'active', $3, $4, $5, $5 where not exists (select 1 from signing_keys) on conflict do nothing";
        let inserted = sqlx::query(sql)
            .bind(key.kid.as_str())
            .bind(key.algorithm.as_str())
            .bind(key.public_jwk.as_str())
            .bind(key.sealed.as_str())
            .bind(key.created_at.seconds())
            .execute(&self.writer)
            .await?;
        Ok(applied(inserted.rows_affected()))
    }
}
