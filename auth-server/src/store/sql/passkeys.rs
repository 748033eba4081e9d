//! Passkeys.

use async_trait::async_trait;
use doorward_shared::time::Timestamp;
use sqlx::Transaction;

use super::{
    Database, Db,
    account_links::finish,
    applied, audit, retry,
    rows::{self, Row, cell, maybe_time, read, time, user_columns},
};
use crate::{
    domain::{audit::Event, ids::UserId, passkey::Passkey, user::User},
    store::{Applied, Passkeys, Result},
};

macro_rules! passkey_columns {
    () => {
        r#"passkeys.id as "passkeys.id", passkeys.user_id as "passkeys.user_id", passkeys.name as "passkeys.name",
        passkeys.public_key as "passkeys.public_key", passkeys.counter as "passkeys.counter",
        passkeys.created_at as "passkeys.created_at", passkeys.last_used_at as "passkeys.last_used_at""#
    };
}

#[async_trait]
impl Passkeys for Database {
    async fn insert_passkey(&self, passkey: &Passkey, event: &Event) -> Result<Applied> {
        retry(async || {
            let mut tx = self.begin().await?;
            let sql = "insert into passkeys (id, user_id, name, public_key, counter, created_at)
                values ($1, $2, $3, $4, $5, $6) on conflict do nothing";
            let put = sqlx::query(sql)
                .bind(&passkey.id)
                .bind(passkey.user.as_str())
                .bind(&passkey.name)
                .bind(&passkey.public_key)
                .bind(passkey.counter)
                .bind(passkey.created_at.seconds())
                .execute(&mut *tx)
                .await?;
            finish(put.rows_affected() == 1, event, tx).await
        })
        .await
    }

    async fn passkey(&self, id: &str) -> Result<Option<(Passkey, User)>> {
        let sql = concat!(
            "select ",
            passkey_columns!(),
            ", ",
            user_columns!(),
            " from passkeys join users on users.id = passkeys.user_id where passkeys.id = $1"
        );
        let row = sqlx::query(sql).bind(id).fetch_optional(&self.reader).await?;
        row.map(|row| Ok((passkey(&row)?, rows::user(&row)?))).transpose()
    }

    async fn passkeys_of(&self, user: &UserId) -> Result<Vec<Passkey>> {
        let sql = concat!(
            "select ",
            passkey_columns!(),
            " from passkeys where user_id = $1 order by created_at, id"
        );
        let rows = sqlx::query(sql).bind(user.as_str()).fetch_all(&self.reader).await?;
        rows.iter().map(passkey).collect()
    }

    async fn use_passkey(&self, seen: &Passkey, counter: i64, now: Timestamp) -> Result<Applied> {
        let sql = "update passkeys set counter = $1, last_used_at = $2 where id = $3 and user_id = $4 and counter = $5";
        let used = sqlx::query(sql)
            .bind(counter)
            .bind(now.seconds())
            .bind(&seen.id)
            .bind(seen.user.as_str())
            .bind(seen.counter)
            .execute(&self.writer)
            .await?;
        Ok(applied(used.rows_affected()))
    }

    async fn rename_passkey(&self, user: &UserId, id: &str, name: &str) -> Result<Applied> {
        let sql = "update passkeys set name = $1 where id = $2 and user_id = $3";
        let query = sqlx::query(sql).bind(name).bind(id).bind(user.as_str());
        Ok(applied(query.execute(&self.writer).await?.rows_affected()))
    }

    async fn remove_passkey(&self, user: &UserId, id: &str, event: &Event) -> Result<Applied> {
        retry(async || {
            let mut tx = self.begin().await?;
            let removed = sqlx::query("delete from passkeys where id = $1 and user_id = $2")
                .bind(id)
                .bind(user.as_str())
                .execute(&mut *tx)
                .await?;
            finish(removed.rows_affected() == 1, event, tx).await
        })
        .await
    }
}

/// Removes all passkeys of a person within a transaction; the event tells how many, if there were any.
pub(super) async fn remove_all(user: &UserId, event: &Event, tx: &mut Transaction<'_, Db>) -> Result<()> {
    let sql = "delete from passkeys where user_id = $1";
    let removed = sqlx::query(sql).bind(user.as_str()).execute(&mut **tx).await?.rows_affected();
    if removed > 0 {
        audit::record(&event.clone().with("passkeys", removed), tx).await?;
    }
    Ok(())
}

fn passkey(row: &Row) -> Result<Passkey> {
    Ok(Passkey {
        id: cell(row, "passkeys.id")?,
        user: read(row, "passkeys.user_id", UserId::parse)?,
        name: cell(row, "passkeys.name")?,
        public_key: cell(row, "passkeys.public_key")?,
        counter: cell(row, "passkeys.counter")?,
        created_at: time(row, "passkeys.created_at")?,
        last_used_at: maybe_time(row, "passkeys.last_used_at")?,
    })
}
