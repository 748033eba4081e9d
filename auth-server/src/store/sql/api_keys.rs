//! API keys of people.

use std::num::NonZeroU32;

use async_trait::async_trait;
use doorward_shared::{
    node::NodePath,
    resource::ResourceUri,
    revocation::Claim,
    time::{Seconds, Timestamp},
};
use sqlx::Transaction;

use super::{
    Database, Db, audit, ends, feed,
    organizations::hold_nodes,
    retry,
    rows::{self, Row, cell, maybe_time, read, senseless, time, user_columns},
};
use crate::{
    domain::{
        api_key::{ApiKey, ApiKeyHash, Powers, TOUCH_EVERY, Withdrawal},
        audit::Event,
        ids::{ApiKeyId, OrganizationId, UserId},
        user::User,
    },
    store::{ApiKeys, Applied, Result},
};

macro_rules! keys_where {
    ($which:literal) => {
        concat!(
            r#"select api_keys.id as "api_keys.id", api_keys.user_id as "api_keys.user_id",
            api_keys.name as "api_keys.name", api_keys.organization as "api_keys.organization",
            api_keys.resource as "api_keys.resource", api_keys.powers as "api_keys.powers", api_keys.rate_limit as "api_keys.rate_limit",
            api_keys.hash as "api_keys.hash", api_keys.prefix as "api_keys.prefix",
            api_keys.created_at as "api_keys.created_at", api_keys.expires_at as "api_keys.expires_at",
            api_keys.last_used_at as "api_keys.last_used_at", api_keys.revoked_at as "api_keys.revoked_at", "#,
            user_columns!(),
            " from api_keys join users on users.id = api_keys.user_id where ",
            $which
        )
    };
}

#[async_trait]
impl ApiKeys for Database {
    async fn insert_api_key(&self, key: &ApiKey, event: &Event) -> Result<Applied> {
        retry(|| self.try_insert_api_key(key, event)).await
    }

    async fn api_key_by_hash(&self, hash: &ApiKeyHash) -> Result<Option<(ApiKey, User)>> {
        let query = sqlx::query(keys_where!("api_keys.hash = $1")).bind(hash.as_str());
        query.fetch_optional(&self.reader).await?.as_ref().map(row).transpose()
    }

    async fn api_key(&self, id: &ApiKeyId) -> Result<Option<(ApiKey, User)>> {
        let query = sqlx::query(keys_where!("api_keys.id = $1")).bind(id.as_str());
        query.fetch_optional(&self.reader).await?.as_ref().map(row).transpose()
    }

    async fn api_keys(
        &self,
        user: Option<&UserId>,
        before: Option<&ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<(ApiKey, User)>> {
        let sql = match user {
            Some(_) => keys_where!(
                "api_keys.user_id = $1 and ($2 is null or api_keys.id < $2) order by api_keys.id desc limit $3"
            ),
            None => {
                keys_where!("$1 = '' and ($2 is null or api_keys.id < $2) order by api_keys.id desc limit $3")
            }
        };
        let rows = sqlx::query(sql)
            .bind(user.map_or("", UserId::as_str))
            .bind(before.map(ApiKeyId::as_str))
            .bind(i64::from(limit))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(row).collect()
    }

    async fn touch_api_key(&self, id: &ApiKeyId, now: Timestamp) -> Result<()> {
        let sql = "update api_keys set last_used_at = $1
            where id = $2 and (last_used_at is null or last_used_at <= $3)";
        sqlx::query(sql)
            .bind(now.seconds())
            .bind(id.as_str())
            .bind(now.minus(Seconds::new(TOUCH_EVERY)).seconds())
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn revoke_api_key(&self, withdrawal: &Withdrawal, event: &Event) -> Result<Applied> {
        retry(|| self.try_revoke_api_key(withdrawal, event)).await
    }
}

impl Database {
    /// The scoped keys for the data of this organization that were not revoked.
    pub(super) async fn api_keys_within(&self, organization: &OrganizationId) -> Result<Vec<ApiKey>> {
        let sql = keys_where!(
            "api_keys.organization = $1 and api_keys.revoked_at is null and api_keys.powers is not null order by api_keys.id"
        );
        let rows = sqlx::query(sql).bind(organization.as_str()).fetch_all(&self.reader).await?;
        rows.iter().map(|one| row(one).map(|(key, _)| key)).collect()
    }

    async fn try_insert_api_key(&self, key: &ApiKey, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let folded = key.resource.as_ref().map(ResourceUri::folded);
        let swept = swept_until(key, &mut tx).await?.map(|until| until.plus(Seconds::new(1)));
        let named = key.powers.list().unwrap_or_default().iter().filter_map(|power| power.node.as_ref());
        let named: Vec<&NodePath> = named.collect();
        if !hold_nodes(&key.organization, &named, &mut tx).await? {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        let sql = "insert into api_keys
            (id, user_id, name, organization, resource, resource_row, powers, rate_limit, hash, prefix, created_at,
             expires_at)
            select $1, users.id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 from users
            where users.id = $12 and users.disabled_at is null";
        let inserted = sqlx::query(sql)
            .bind(key.id.as_str())
            .bind(key.name.as_str())
            .bind(key.organization.as_str())
            .bind(key.resource.as_ref().map(ResourceUri::as_str))
            .bind(folded)
            .bind(json_powers(&key.powers))
            .bind(key.rate_limit.map(|limit| i64::from(limit.get())))
            .bind(key.hash.as_str())
            .bind(key.prefix.as_str())
            .bind(swept.map_or(key.created_at, |after| after.max(key.created_at)).seconds())
            .bind(key.expires_at.map(Timestamp::seconds))
            .bind(key.user_id.as_str())
            .execute(&mut *tx)
            .await;
        match inserted {
            Ok(done) if done.rows_affected() == 1 => {
                audit::record(event, &mut tx).await?;
                tx.commit().await?;
                Ok(Applied::Done)
            }
            Ok(_) => {
                tx.rollback().await?;
                Ok(Applied::Lost)
            }
            // The resource server was removed meanwhile.
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
                tx.rollback().await?;
                Ok(Applied::Lost)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn try_revoke_api_key(&self, withdrawal: &Withdrawal, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let revoked = sqlx::query("update api_keys set revoked_at = $1 where id = $2 and revoked_at is null")
            .bind(withdrawal.at().seconds())
            .bind(withdrawal.key().as_str())
            .execute(&mut *tx)
            .await?;
        if revoked.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        feed::push(Claim::Sid, withdrawal.key().as_str(), None, withdrawal.forget_at(), &mut tx).await?;
        audit::record(event, &mut tx).await?;
        self.commit_and_nudge(tx).await?;
        Ok(Applied::Done)
    }
}

/// The latest moment up to which anything that a key stands on was revoked.
async fn swept_until(key: &ApiKey, tx: &mut Transaction<'_, Db>) -> Result<Option<Timestamp>> {
    let organization = ends::revoked_until(Claim::Org, key.organization.as_str(), tx).await?;
    let person: Option<i64> = sqlx::query_scalar("select max(revoked_until) from users where id = $1")
        .bind(key.user_id.as_str())
        .fetch_one(&mut **tx)
        .await?;
    let sql = "select max(revoked_until) from resources where $1 is null or folded = $1";
    let resources: Option<i64> = sqlx::query_scalar(sql)
        .bind(key.resource.as_ref().map(ResourceUri::folded))
        .fetch_one(&mut **tx)
        .await?;
    Ok(organization.max(person.max(resources).map(Timestamp::from_seconds)))
}

fn json_powers(powers: &Powers) -> Option<String> {
    // Texts always serialise; what could not would allow nothing.
    powers.list().map(|powers| serde_json::to_string(powers).unwrap_or_else(|_| "[]".to_owned()))
}

fn row(row: &Row) -> Result<(ApiKey, User)> {
    let powers: Option<String> = cell(row, "api_keys.powers")?;
    let resource: Option<String> = cell(row, "api_keys.resource")?;
    let key = ApiKey {
        id: read(row, "api_keys.id", ApiKeyId::parse)?,
        user_id: read(row, "api_keys.user_id", UserId::parse)?,
        name: cell(row, "api_keys.name")?,
        organization: read(row, "api_keys.organization", OrganizationId::parse)?,
        resource: resource
            .map(|uri| ResourceUri::parse(&uri).map_err(|_| senseless("api_keys.resource")))
            .transpose()?,
        powers: match powers {
            None => Powers::Full,
            Some(text) => {
                let list = serde_json::from_str(&text).map_err(|_| senseless("api_keys.powers"))?;
                Powers::Scoped(list)
            }
        },
        rate_limit: cell::<Option<i64>>(row, "api_keys.rate_limit")?
            .map(|limit| u32::try_from(limit).ok().and_then(NonZeroU32::new))
            .map(|limit| limit.ok_or_else(|| senseless("api_keys.rate_limit")))
            .transpose()?,
        hash: read(row, "api_keys.hash", |text| Some(ApiKeyHash::from_text(text)))?,
        prefix: cell(row, "api_keys.prefix")?,
        created_at: time(row, "api_keys.created_at")?,
        expires_at: maybe_time(row, "api_keys.expires_at")?,
        last_used_at: maybe_time(row, "api_keys.last_used_at")?,
        revoked_at: maybe_time(row, "api_keys.revoked_at")?,
    };
    Ok((key, rows::user(row)?))
}
