//! Keys for the admin API.

use async_trait::async_trait;
use doorward_shared::{
    secret::{AdminKey as AdminKeyKind, SecretHash},
    time::Timestamp,
};

use super::{
    Database, applied, audit,
    rows::{Row, cell, json_list, list, maybe_time, read, senseless, time},
};
use crate::{
    domain::{
        admin_key::{AdminKey, Maker, Permissions, Presented},
        audit::Event,
        ids::AdminKeyId,
    },
    store::{AdminKeys, Applied, Result, Users as _},
};

macro_rules! columns {
    () => {
        r#"admin_keys.id as "admin_keys.id", admin_keys.name as "admin_keys.name", admin_keys.hash as "admin_keys.hash",
        admin_keys.permissions as "admin_keys.permissions", admin_keys.created_by as "admin_keys.created_by",
        admin_keys.created_at as "admin_keys.created_at", admin_keys.expires_at as "admin_keys.expires_at",
        admin_keys.last_used_at as "admin_keys.last_used_at", admin_keys.revoked_at as "admin_keys.revoked_at""#
    };
}

#[async_trait]
impl AdminKeys for Database {
    async fn insert_admin_key(&self, key: &AdminKey, event: &Event) -> Result<()> {
        let mut tx = self.begin().await?;
        let permissions: Vec<_> = key.permissions.iter().map(|permission| permission.to_string()).collect();
        let sql = "insert into admin_keys (id, name, hash, permissions, created_by, created_at, expires_at)
            values ($1, $2, $3, $4, $5, $6, $7)";
        sqlx::query(sql)
            .bind(key.id.as_str())
            .bind(key.name.as_str())
            .bind(key.hash.to_text())
            .bind(json_list(permissions.iter().map(String::as_str)))
            .bind(key.maker.id())
            .bind(key.created_at.seconds())
            .bind(key.expires_at.map(Timestamp::seconds))
            .execute(&mut *tx)
            .await?;
        audit::record(event, &mut tx).await?;
        Ok(tx.commit().await?)
    }

    async fn admin_key(&self, hash: &SecretHash<AdminKeyKind>) -> Result<Option<Presented>> {
        let sql = concat!(
            "with recursive line (id, created_by) as (
                select id, created_by from admin_keys where hash = $1
                union select admin_keys.id, admin_keys.created_by
                from admin_keys join line on admin_keys.id = line.created_by
            ) select ",
            columns!(),
            " from admin_keys where admin_keys.id in (select line.id from line)"
        );
        let rows = sqlx::query(sql).bind(hash.to_text()).fetch_all(&self.reader).await?;
        let mut line = rows.iter().map(admin_key).collect::<Result<Vec<_>>>()?;
        let Some(key) = take(&mut line, |key| key.hash == *hash) else { return Ok(None) };
        let (mut makers, mut maker) = (Vec::new(), key.maker.clone());
        while let Maker::AdminKey(id) = &maker
            && let Some(next) = take(&mut line, |key| key.id == *id)
        {
            maker = next.maker.clone();
            makers.push(next);
        }
        let person = match &maker {
            Maker::User(id) => self.user(id).await?,
            Maker::Operator | Maker::AdminKey(_) => None,
        };
        Ok(Some(Presented { key, makers, person }))
    }

    async fn admin_keys(&self) -> Result<Vec<AdminKey>> {
        let sql = concat!("select ", columns!(), " from admin_keys");
        let rows = sqlx::query(sql).fetch_all(&self.reader).await?;
        let mut keys: Vec<_> = rows.iter().map(admin_key).collect::<Result<_>>()?;
        keys.sort_by(|a, b| b.id.cmp(&a.id));
        Ok(keys)
    }

    async fn touch_admin_key(&self, id: &AdminKeyId, now: Timestamp) -> Result<()> {
        let sql = "update admin_keys set last_used_at = $1
            where id = $2 and (last_used_at is null or last_used_at < $1)";
        sqlx::query(sql).bind(now.seconds()).bind(id.as_str()).execute(&self.writer).await?;
        Ok(())
    }

    async fn revoke_admin_key(&self, id: &AdminKeyId, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let sql = "update admin_keys set revoked_at = $1 where id = $2 and revoked_at is null";
        let revoked = sqlx::query(sql).bind(event.at.seconds()).bind(id.as_str()).execute(&mut *tx).await?;
        if revoked.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        audit::record(event, &mut tx).await?;
        tx.commit().await?;
        Ok(applied(revoked.rows_affected()))
    }
}

fn take(line: &mut Vec<AdminKey>, is: impl Fn(&AdminKey) -> bool) -> Option<AdminKey> {
    let at = line.iter().position(is)?;
    Some(line.swap_remove(at))
}

fn admin_key(row: &Row) -> Result<AdminKey> {
    let permissions: Vec<String> = list(row, "admin_keys.permissions", |text| Some(text.to_owned()))?;
    let maker: Option<String> = cell(row, "admin_keys.created_by")?;
    Ok(AdminKey {
        id: read(row, "admin_keys.id", AdminKeyId::parse)?,
        name: cell(row, "admin_keys.name")?,
        hash: read(row, "admin_keys.hash", SecretHash::from_text)?,
        permissions: Permissions::parse(permissions.iter().map(String::as_str))
            .map_err(|_| senseless("admin_keys.permissions"))?,
        maker: Maker::from_id(maker.as_deref()).ok_or_else(|| senseless("admin_keys.created_by"))?,
        created_at: time(row, "admin_keys.created_at")?,
        expires_at: maybe_time(row, "admin_keys.expires_at")?,
        last_used_at: maybe_time(row, "admin_keys.last_used_at")?,
        revoked_at: maybe_time(row, "admin_keys.revoked_at")?,
    })
}
