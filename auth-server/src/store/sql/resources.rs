//! Resource servers.

use async_trait::async_trait;
use doorward_shared::{
    client_id::ClientId,
    resource::ResourceUri,
    revocation::Claim,
    secret::{ClientSecret, SecretHash},
    time::Timestamp,
};

use super::{
    Database, audit, ends,
    entitlements::rules_among,
    retry,
    rows::{self, resource_columns},
};
use crate::{
    domain::{
        audit::Event,
        entitlement::Rule,
        resource::{Access, Resource},
        revocation::Sweep,
    },
    store::{Applied, Resources, Result},
};

#[async_trait]
impl Resources for Database {
    async fn insert_resource(&self, resource: &Resource, event: &Event) -> Result<Applied> {
        retry(|| self.try_insert_resource(resource, event)).await
    }

    async fn resource(&self, uri: &ResourceUri) -> Result<Option<Resource>> {
        let sql = concat!("select ", resource_columns!(), " from resources where folded = $1");
        let row = sqlx::query(sql).bind(uri.folded()).fetch_optional(&self.reader).await?;
        row.as_ref().map(rows::resource).transpose()
    }

    async fn resource_of(&self, caller: &ClientId) -> Result<Option<Resource>> {
        let sql = concat!("select ", resource_columns!(), " from resources where client_id = $1");
        let row = sqlx::query(sql).bind(caller.as_str()).fetch_optional(&self.reader).await?;
        row.as_ref().map(rows::resource).transpose()
    }

    async fn resources(&self) -> Result<Vec<Resource>> {
        let sql = concat!("select ", resource_columns!(), " from resources");
        let rows = sqlx::query(sql).fetch_all(&self.reader).await?;
        let mut resources: Vec<_> = rows.iter().map(rows::resource).collect::<Result<_>>()?;
        resources.sort_by(|a, b| a.uri.folded().cmp(b.uri.folded()));
        Ok(resources)
    }

    async fn disable_resource(&self, uri: &ResourceUri, sweep: &Sweep, event: &Event) -> Result<Applied> {
        let sql = "update resources set disabled_at = $1 where folded = $2";
        retry(|| self.try_bar(sql, uri.folded(), sweep, event)).await
    }

    async fn enable_resource(&self, uri: &ResourceUri, sweep: &Sweep, event: &Event) -> Result<Applied> {
        let sql = "update resources set disabled_at = null where $1 > 0 and folded = $2";
        retry(|| self.try_bar(sql, uri.folded(), sweep, event)).await
    }

    async fn rotate_resource_secret(
        &self,
        uri: &ResourceUri,
        (before, after): (&SecretHash<ClientSecret>, &SecretHash<ClientSecret>),
        event: &Event,
    ) -> Result<Applied> {
        let sql = "update resources set former_secret_hash = secret_hash, secret_hash = $1
            where folded = $2 and secret_hash = $3";
        let change = || sqlx::query(sql).bind(after.to_text()).bind(uri.folded()).bind(before.to_text());
        retry(|| self.try_change_secret(change(), event)).await
    }

    async fn retire_resource_secret(&self, uri: &ResourceUri, event: &Event) -> Result<Applied> {
        let sql = "update resources set former_secret_hash = null
            where folded = $1 and former_secret_hash is not null";
        retry(|| self.try_change_secret(sqlx::query(sql).bind(uri.folded()), event)).await
    }

    async fn remove_resource(&self, uri: &ResourceUri, sweep: &Sweep, event: &Event) -> Result<Applied> {
        retry(|| self.try_remove_resource(uri, sweep, event)).await
    }
}

impl Database {
    async fn try_insert_resource(&self, resource: &Resource, event: &Event) -> Result<Applied> {
        let model =
            serde_json::to_string(&resource.model).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let mut tx = self.begin().await?;
        // As with clients: its tokens from before must not come back with it.
        let revoked_until = ends::revoked_until(Claim::Aud, resource.uri.folded(), &mut tx).await?;
        let closed = !rules_among(|rule| rule.concerns_any(&resource.model), &mut tx).await?.is_empty();
        let access = if closed { Access::Listed } else { resource.access };
        let sql = "insert into resources
            (folded, uri, name, mode, access, model, client_id, secret_hash, former_secret_hash, created_at, disabled_at,
            revoked_until) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict (folded) do nothing";
        let inserted = sqlx::query(sql)
            .bind(resource.uri.folded())
            .bind(resource.uri.as_str())
            .bind(resource.name.as_str())
            .bind(resource.mode.as_str())
            .bind(access.as_str())
            .bind(model)
            .bind(resource.client_id.as_str())
            .bind(resource.secret.to_text())
            .bind(resource.former.map(|hash| hash.to_text()))
            .bind(resource.created_at.seconds())
            .bind(resource.disabled_at.map(Timestamp::seconds))
            .bind(resource.revoked_until.max(revoked_until).map(Timestamp::seconds))
            .execute(&mut *tx)
            .await?;
        if inserted.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        audit::record(&event.clone().with("access", access.as_str()), &mut tx).await?;
        tx.commit().await?;
        Ok(Applied::Done)
    }

    /// As with clients: a grant that is being made right now makes the first try fail, and ends in the second.
    async fn try_remove_resource(&self, uri: &ResourceUri, sweep: &Sweep, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let ended = ends::sweep(sweep, &mut tx).await?;
        sqlx::query("update grants set resource_row = null where resource_row = $1 and ended_at is not null")
            .bind(uri.folded())
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "update api_keys set resource_row = null where resource_row = $1 and revoked_at is not null",
        )
        .bind(uri.folded())
        .execute(&mut *tx)
        .await?;
        let naming = |rule: &Rule| rule.says.resource.as_ref().is_some_and(|resource| resource.same_as(uri));
        let rules = rules_among(naming, &mut tx).await?;
        sqlx::query("delete from entitlements where resource = $1")
            .bind(uri.folded())
            .execute(&mut *tx)
            .await?;
        let removed = sqlx::query("delete from resources where folded = $1")
            .bind(uri.folded())
            .execute(&mut *tx)
            .await?;
        if removed.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        audit::record(&ended.told(event).about_rules("removed", &rules), &mut tx).await?;
        self.commit_and_nudge(tx).await?;
        Ok(Applied::Done)
    }
}
