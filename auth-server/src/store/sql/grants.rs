//! Grants: how they begin and end. What descends from a grant is in `codes` and `refresh_tokens`; none of it is worth
//! anything once the grant has ended, so ending is one write, here.

use async_trait::async_trait;
use doorward_shared::{
    allowance::Allowance,
    secret::{AuthorizationCode, RefreshToken as RefreshTokenKind, SecretHash},
    time::Timestamp,
};
use sqlx::{Transaction, query::Query};

use super::{
    Database, Db, applied, retry,
    rows::{self, Row, grant_columns, json_allowance, json_scope, user_columns},
};
use crate::{
    domain::{
        audit::Event,
        code::{FailedTry, IssuedCode, Redemption, StoredCode},
        grant::{Grant, Use},
        ids::GrantId,
        policy::SessionPolicy,
        refresh::{RefreshToken, Rotation, retry::Counted},
        revocation::{Narrowing, Revocation, Sweep},
        user::User,
    },
    store::{Applied, GrantFilter, Grants, Result},
};

/// Writes down a use; `$1` to `$3`, as [`bind_use`] binds them.
macro_rules! record_use {
    () => {
        "update grants set last_used_at = $1, last_used_address = $2, last_used_agent = $3"
    };
}
pub(super) use record_use;

#[async_trait]
impl Grants for Database {
    async fn insert_code(&self, code: &IssuedCode, event: &Event) -> Result<Applied> {
        retry(|| self.try_insert_code(code, event)).await
    }

    async fn code(&self, hash: &SecretHash<AuthorizationCode>) -> Result<Option<StoredCode>> {
        self.load_code(hash).await
    }

    async fn redeem(&self, redemption: &Redemption, by: &Use, event: &Event) -> Result<Applied> {
        retry(|| self.try_redeem(redemption, by, event)).await
    }

    async fn count_failed_try(&self, failed: &FailedTry) -> Result<()> {
        self.count_try(failed).await
    }

    async fn refresh_token(&self, hash: &SecretHash<RefreshTokenKind>) -> Result<Option<RefreshToken>> {
        self.load_refresh_token(hash).await
    }

    async fn rotate(&self, rotation: &Rotation, by: &Use) -> Result<Applied> {
        retry(|| self.try_rotate(rotation, by)).await
    }

    async fn forget_answers(&self, before: Timestamp) -> Result<()> {
        let sql = "update refresh_tokens set answer = null where answer is not null and spent_at < $1";
        sqlx::query(sql).bind(before.seconds()).execute(&self.writer).await?;
        Ok(())
    }

    async fn count_retry(&self, counted: &Counted) -> Result<Applied> {
        retry(|| self.try_count_retry(counted)).await
    }

    async fn end_grant(&self, revocation: &Revocation, event: &Event) -> Result<Applied> {
        retry(|| self.try_end_grant(revocation, event)).await
    }

    async fn end_grants(&self, sweep: &Sweep, event: &Event) -> Result<u64> {
        retry(|| self.try_end_grants(sweep, event)).await
    }

    async fn narrow_grant(&self, narrowing: &Narrowing, event: &Event) -> Result<Applied> {
        retry(|| self.try_narrow_grant(narrowing, event)).await
    }

    async fn grant(&self, id: &GrantId) -> Result<Option<(Grant, User)>> {
        let sql = concat!(
            "select ",
            grant_columns!(),
            ", ",
            user_columns!(),
            " from grants join users on users.id = grants.user_id where grants.id = $1"
        );
        let row = sqlx::query(sql).bind(id.as_str()).fetch_optional(&self.reader).await?;
        row.map(|row| Ok((rows::grant(&row)?, rows::user(&row)?))).transpose()
    }

    async fn grants(
        &self,
        filter: &GrantFilter,
        before: Option<&GrantId>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<(Grant, User)>> {
        self.list_grants(filter, before, limit, now).await
    }

    async fn forget_ended(&self, before: Timestamp, policy: &SessionPolicy) -> Result<u64> {
        retry(|| self.try_forget_ended(before, policy)).await
    }
}

/// Stores a grant.
pub(super) async fn insert(
    grant: &Grant,
    revoked_until: Option<Timestamp>,
    tx: &mut Transaction<'_, Db>,
) -> sqlx::Result<()> {
    let sql =
        "insert into grants (id, user_id, client_id, client_row, resource, resource_row, organization, oidc,
        allowance, method, auth_time, sign_in, session_id, created_at, expires_at, revoked_until)
        values ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    sqlx::query(sql)
        .bind(grant.id.as_str())
        .bind(grant.user_id.as_str())
        .bind(grant.client_id.as_str())
        .bind(grant.resource.as_str())
        .bind(grant.resource.folded())
        .bind(grant.organization.as_str())
        .bind(json_scope(&grant.oidc))
        .bind(json_allowance(&grant.allowance))
        .bind(grant.method.as_str())
        .bind(grant.auth_time.seconds())
        .bind(grant.sign_in.as_str())
        .bind(grant.session.as_str())
        .bind(grant.created_at.seconds())
        .bind(grant.expires_at.seconds())
        .bind(revoked_until.map(Timestamp::seconds))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The first write of every verb that spends or gives on a grant: `Lost` when the grant has ended or allows something else than
/// what was decided on, and from here on nobody can end or narrow it until the transaction is over.
pub(super) async fn hold(
    grant: &GrantId,
    allowance: &Allowance,
    by: &Use,
    tx: &mut Transaction<'_, Db>,
) -> Result<Applied> {
    let sql = concat!(
        record_use!(),
        r#" where id = $4 and ended_at is null returning allowance as "grants.allowance""#
    );
    still(bind_use(sqlx::query(sql), by).bind(grant.as_str()).fetch_optional(&mut **tx).await?, allowance)
}

/// `Done` when a grant was held and allows what was decided on.
pub(super) fn still(held: Option<Row>, allowance: &Allowance) -> Result<Applied> {
    let Some(row) = held else { return Ok(Applied::Lost) };
    let stored: Allowance = rows::read(&row, "grants.allowance", |text| serde_json::from_str(text).ok())?;
    Ok(applied(u64::from(&stored == allowance)))
}

type Arguments = <Db as sqlx::Database>::Arguments;

pub(super) fn bind_use<'q>(query: Query<'q, Db, Arguments>, by: &'q Use) -> Query<'q, Db, Arguments> {
    query.bind(by.at.seconds()).bind(by.address.as_deref()).bind(by.agent.as_deref())
}

/// What [`Database::try_forget_ended`] does, in this order; each takes `$1`, the time before which it ended.
const FORGET: [&str; 4] = [
    // A grant whose code nobody redeemed. It goes below, so nobody will ever read this reason.
    "update grants set ended_at = created_at, end_reason = 'not_redeemed'
        where ended_at is null and last_used_at is null
        and id in (select grant_id from authorization_codes where spent_at is null and expires_at < $1)",
    "delete from authorization_codes where grant_id in (select id from grants where ended_at < $1 or expires_at < $1)",
    "delete from refresh_tokens where grant_id in (select id from grants where ended_at < $1 or expires_at < $1)",
    "delete from grants where ended_at < $1 or expires_at < $1",
];

impl Database {
    async fn try_forget_ended(&self, before: Timestamp, policy: &SessionPolicy) -> Result<u64> {
        let mut tx = self.begin().await?;
        let mut grants = 0;
        for sql in FORGET {
            grants = sqlx::query(sql).bind(before.seconds()).execute(&mut *tx).await?.rows_affected();
        }
        // A session in which a code was given stays as long as the code does.
        sqlx::query(
            "delete from sessions where auth_time < $1
            and not exists (select 1 from authorization_codes where authorization_codes.session_hash = sessions.hash)",
        )
        .bind(before.minus(policy.absolute).seconds())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(grants)
    }
}
