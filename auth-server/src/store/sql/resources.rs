//! Resource servers.

use async_trait::async_trait;
use doorward_shared::{resource::ResourceUri, time::Timestamp};

use super::{
    Database, applied, retry,
    rows::{self, resource_columns},
};
use crate::{
    domain::{grant::EndReason, resource::Resource},
    store::{Applied, Resources, Result},
};

#[async_trait]
impl Resources for Database {
    async fn insert_resource(&self, resource: &Resource) -> Result<Applied> {
        let model =
            serde_json::to_string(&resource.model).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let sql = "insert into resources (folded, uri, name, mode, model, client_id, secret_hash, created_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (folded) do nothing";
        let inserted = sqlx::query(sql)
            .bind(resource.uri.folded())
            .bind(resource.uri.as_str())
            .bind(resource.name.as_str())
            .bind(resource.mode.as_str())
            .bind(model)
            .bind(resource.client_id.as_str())
            .bind(resource.secret.to_text())
            .bind(resource.created_at.seconds())
            .execute(&self.writer)
            .await?;
        Ok(applied(inserted.rows_affected()))
    }

    async fn resource(&self, uri: &ResourceUri) -> Result<Option<Resource>> {
        let sql = concat!("select ", resource_columns!(), " from resources where folded = $1");
        let row = sqlx::query(sql).bind(uri.folded()).fetch_optional(&self.reader).await?;
        row.as_ref().map(rows::resource).transpose()
    }

    async fn resources(&self) -> Result<Vec<Resource>> {
        let sql = concat!("select ", resource_columns!(), " from resources");
        let rows = sqlx::query(sql).fetch_all(&self.reader).await?;
        let mut resources: Vec<_> = rows.iter().map(rows::resource).collect::<Result<_>>()?;
        resources.sort_by(|a, b| a.uri.folded().cmp(b.uri.folded()));
        Ok(resources)
    }

    async fn remove_resource(&self, uri: &ResourceUri, now: Timestamp) -> Result<Applied> {
        retry(|| self.try_remove_resource(uri, now)).await
    }
}

impl Database {
    /// As with clients: a grant that is being made right now makes the first try fail, and ends in the second.
    async fn try_remove_resource(&self, uri: &ResourceUri, now: Timestamp) -> Result<Applied> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "update grants
            set resource_row = null, ended_at = coalesce(ended_at, $1), end_reason = coalesce(end_reason, $2)
            where resource_row = $3",
        )
        .bind(now.seconds())
        .bind(EndReason::NotAllowed.as_str())
        .bind(uri.folded())
        .execute(&mut *tx)
        .await?;
        let removed = sqlx::query("delete from resources where folded = $1")
            .bind(uri.folded())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(applied(removed.rows_affected()))
    }
}
