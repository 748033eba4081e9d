//! Authorization codes.

use doorward_shared::{
    revocation::Claim,
    secret::{AuthorizationCode, SecretHash},
};

use super::{
    Database, audit, ends,
    grants::{self, bind_use, record_use, still},
    organizations::hold_nodes,
    refresh_tokens,
    rows::{self, code_columns, grant_columns, session_columns, user_columns},
};
use crate::{
    domain::{
        audit::Event,
        code::{FailedTry, IssuedCode, Redemption, StoredCode},
        grant::Use,
    },
    store::{Applied, Result},
};

impl Database {
    pub(super) async fn try_insert_code(&self, code: &IssuedCode, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let sql = "insert into authorization_codes
            (hash, grant_id, session_hash, redirect_uri, code_challenge, nonce, expires_at, failed_tries)
            values ($1, $2, $3, $4, $5, $6, $7, 0)";
        let insert_code = sqlx::query(sql)
            .bind(code.hash().to_text())
            .bind(code.grant().id.as_str())
            .bind(code.session().to_text())
            .bind(code.redirect_uri())
            .bind(code.challenge().to_text())
            .bind(code.nonce())
            .bind(code.expires_at().seconds());
        // One that is made in the very second of a sweep of its organization must not be taken for one from before.
        let organization = &code.grant().organization;
        let revoked_until = ends::revoked_until(Claim::Org, organization.as_str(), &mut tx).await?;
        let nodes: Vec<_> = code.grant().allowance.nodes().keys().collect();
        if !hold_nodes(organization, &nodes, &mut tx).await? {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        let inserted = match grants::insert(code.grant(), revoked_until, &mut tx).await {
            Ok(()) => insert_code.execute(&mut *tx).await.map(|_| ()),
            refused => refused,
        };
        match inserted {
            Ok(()) => {
                audit::record(event, &mut tx).await?;
                tx.commit().await?;
                Ok(Applied::Done)
            }
            // Client, resource, session or person: one of them was removed while the answer came back from the page.
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
                tx.rollback().await?;
                Ok(Applied::Lost)
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn load_code(&self, hash: &SecretHash<AuthorizationCode>) -> Result<Option<StoredCode>> {
        let sql = concat!(
            "select ",
            code_columns!(),
            ", ",
            grant_columns!(),
            ", ",
            user_columns!(),
            ", ",
            session_columns!(),
            " from authorization_codes
            join grants on grants.id = authorization_codes.grant_id
            join users on users.id = grants.user_id
            join sessions on sessions.hash = authorization_codes.session_hash
            where authorization_codes.hash = $1"
        );
        let row = sqlx::query(sql).bind(hash.to_text()).fetch_optional(&self.reader).await?;
        row.as_ref().map(rows::code).transpose()
    }

    pub(super) async fn try_redeem(
        &self,
        redemption: &Redemption,
        by: &Use,
        event: &Event,
    ) -> Result<Applied> {
        let mut tx = self.begin().await?;
        // The grant is held first, as `grants::hold` does it.
        let sql = concat!(
            record_use!(),
            r#" where ended_at is null and id = (select grant_id from authorization_codes where hash = $4)
            returning allowance as "grants.allowance""#
        );
        let (at, code) = (redemption.at().seconds(), redemption.code().to_text());
        let held = bind_use(sqlx::query(sql), by).bind(code.as_str()).fetch_optional(&mut *tx).await?;
        let held = still(held, redemption.allowance())?;
        let sql = "update authorization_codes set spent_at = $1 where hash = $2 and spent_at is null";
        let spent = sqlx::query(sql).bind(at).bind(code.as_str()).execute(&mut *tx).await?;
        if held == Applied::Lost || spent.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        if let Some(token) = redemption.refresh_token() {
            refresh_tokens::insert(token, &mut tx).await?;
        }
        audit::record(event, &mut tx).await?;
        tx.commit().await?;
        Ok(Applied::Done)
    }

    pub(super) async fn count_try(&self, failed: &FailedTry) -> Result<()> {
        let sql = "update authorization_codes set failed_tries = failed_tries + 1 where hash = $1 and spent_at is null";
        sqlx::query(sql).bind(failed.code().to_text()).execute(&self.writer).await?;
        Ok(())
    }
}
