//! Grants that go on for longer.

use async_trait::async_trait;

use super::{Database, account_links::finish, retry};
use crate::{
    domain::{audit::Event, extension::Extension},
    store::{Applied, Extensions, Result},
};

#[async_trait]
impl Extensions for Database {
    async fn extend_grant(&self, extension: &Extension, event: &Event) -> Result<Applied> {
        retry(async || {
            let mut tx = self.begin().await?;
            let sql =
                "update grants set expires_at = $1 where id = $2 and ended_at is null and expires_at = $3";
            let extended = sqlx::query(sql)
                .bind(extension.expires_at().seconds())
                .bind(extension.grant().as_str())
                .bind(extension.before().seconds())
                .execute(&mut *tx)
                .await?;
            if extended.rows_affected() == 1 {
                // Its life was cut at the old end of the grant.
                let sql = "update refresh_tokens
                    set expires_at = case when created_at + $1 < $2 then created_at + $1 else $2 end
                    where grant_id = $3 and spent_at is null";
                sqlx::query(sql)
                    .bind(extension.idle().get())
                    .bind(extension.expires_at().seconds())
                    .bind(extension.grant().as_str())
                    .execute(&mut *tx)
                    .await?;
            }
            finish(extended.rows_affected() == 1, event, tx).await
        })
        .await
    }
}
