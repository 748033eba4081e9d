//! How grants and API keys end, and grants shrink: the grants, what the feed tells the resource servers, and the audit event, in one transaction.
//! Locks are taken in the order grants; heads; users, clients, resources.

use doorward_shared::{revocation::Claim, time::Timestamp};
use sqlx::Transaction;

use super::{Database, Db, audit, feed, rows::json_allowance};
use crate::{
    domain::{
        audit::Event,
        revocation::{Narrowing, Revocation, Sweep, Whose},
    },
    store::{Applied, Result},
};

macro_rules! end_where {
    ($whose:literal) => {
        concat!("update grants set ended_at = $1, end_reason = $2 where ended_at is null", $whose)
    };
}

macro_rules! revoke_where {
    ($whose:literal) => {
        concat!("update api_keys set revoked_at = $1 where revoked_at is null", $whose)
    };
}

/// What a sweep ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Swept {
    pub(super) grants: u64,
    pub(super) api_keys: u64,
}

impl Swept {
    /// The event with how much it was.
    pub(super) fn told(self, event: &Event) -> Event {
        let event = event.clone().with("grants", self.grants);
        if self.api_keys == 0 { event } else { event.with("api_keys", self.api_keys) }
    }
}

/// Ends all grants and API keys that the sweep names, within a transaction. From here on nobody can use one of them; one that
/// is being made right now comes after the sweep. Answers how many ended.
pub(super) async fn sweep(sweep: &Sweep, tx: &mut Transaction<'_, Db>) -> Result<Swept> {
    // One by one, each waits for whoever holds it.
    let sql = match sweep.whose() {
        Whose::User(_) => end_where!(" and user_id = $3"),
        Whose::Client(_) => end_where!(" and client_row = $3"),
        Whose::Resource(_) => end_where!(" and resource_row = $3"),
        Whose::Organization(_) => end_where!(" and organization = $3"),
        // Every text takes the value; there is only one issuer.
        Whose::Everybody(_) => end_where!(" and $3 <> ''"),
    };
    let (claim, value) = sweep.whose().claim();
    let ended = sqlx::query(sql)
        .bind(sweep.at().seconds())
        .bind(sweep.reason().as_str())
        .bind(value)
        .execute(&mut **tx)
        .await?;
    let api_keys = sweep_api_keys(sweep, value, tx).await?;
    feed::push(claim, value, Some(sweep.at()), sweep.forget_at(), tx).await?;
    Ok(Swept { grants: ended.rows_affected(), api_keys })
}

async fn sweep_api_keys(sweep: &Sweep, value: &str, tx: &mut Transaction<'_, Db>) -> Result<u64> {
    let sql = match sweep.whose() {
        Whose::User(_) => revoke_where!(" and user_id = $2"),
        Whose::Resource(_) => revoke_where!(" and resource_row = $2"),
        Whose::Organization(_) => revoke_where!(" and organization = $2"),
        Whose::Everybody(_) => revoke_where!(" and $2 <> ''"),
        // A key is nobody's client.
        Whose::Client(_) => return Ok(0),
    };
    let revoked = sqlx::query(sql).bind(sweep.at().seconds()).bind(value).execute(&mut **tx).await?;
    Ok(revoked.rows_affected())
}

/// Dates the tokens that come after a sweep. Not for what is about to be removed.
async fn date(sweep: &Sweep, tx: &mut Transaction<'_, Db>) -> Result<()> {
    let sql = match sweep.whose() {
        Whose::User(_) => "update users set revoked_until = $1 where id = $2",
        Whose::Client(_) => "update clients set revoked_until = $1 where id = $2",
        Whose::Resource(_) => "update resources set revoked_until = $1 where folded = $2",
        Whose::Organization(_) => "update users set revoked_until = $1 where organization = $2",
        Whose::Everybody(_) => "update users set revoked_until = $1 where $2 <> ''",
    };
    let (_, value) = sweep.whose().claim();
    sqlx::query(sql).bind(sweep.at().seconds()).bind(value).execute(&mut **tx).await?;
    Ok(())
}

/// Ends grants and dates what comes after.
pub(super) async fn sweep_and_date(all: &Sweep, tx: &mut Transaction<'_, Db>) -> Result<Swept> {
    let ended = sweep(all, tx).await?;
    date(all, tx).await?;
    Ok(ended)
}

/// The moment up to which tokens of something that is made anew under an old name are revoked.
pub(super) async fn revoked_until(
    claim: Claim,
    value: &str,
    tx: &mut Transaction<'_, Db>,
) -> Result<Option<Timestamp>> {
    let sql = "select max(issued_until) from revocations where claim = $1 and value = $2";
    let until: Option<i64> =
        sqlx::query_scalar(sql).bind(claim.as_str()).bind(value).fetch_one(&mut **tx).await?;
    Ok(until.map(Timestamp::from_seconds))
}

/// Ends a grant, tells the feed and the trail. `Lost`: it had ended already.
pub(super) async fn end_one(
    revocation: &Revocation,
    event: &Event,
    tx: &mut Transaction<'_, Db>,
) -> Result<Applied> {
    let ended = sqlx::query(end_where!(" and id = $3"))
        .bind(revocation.at().seconds())
        .bind(revocation.reason().as_str())
        .bind(revocation.grant().as_str())
        .execute(&mut **tx)
        .await?;
    if ended.rows_affected() == 0 {
        return Ok(Applied::Lost);
    }
    feed::push(Claim::Sid, revocation.grant().as_str(), None, revocation.forget_at(), tx).await?;
    audit::record(event, tx).await?;
    Ok(Applied::Done)
}

impl Database {
    pub(super) async fn try_end_grant(&self, revocation: &Revocation, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        if end_one(revocation, event, &mut tx).await? == Applied::Lost {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        self.commit_and_nudge(tx).await?;
        Ok(Applied::Done)
    }

    pub(super) async fn try_end_grants(&self, all: &Sweep, event: &Event) -> Result<u64> {
        let mut tx = self.begin().await?;
        let ended = sweep_and_date(all, &mut tx).await?;
        audit::record(&ended.told(event), &mut tx).await?;
        self.commit_and_nudge(tx).await?;
        Ok(ended.grants)
    }

    pub(super) async fn try_narrow_grant(&self, narrowing: &Narrowing, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        // Only what was decided upon is narrowed: of two narrowings at once, the second is decided anew.
        let sql = "update grants set allowance = $1, expires_at = $2, revoked_until = $3
            where id = $4 and ended_at is null and allowance = $5 and expires_at >= $2";
        let narrowed = sqlx::query(sql)
            .bind(json_allowance(narrowing.allowance()))
            .bind(narrowing.expires_at().seconds())
            .bind(narrowing.at().seconds())
            .bind(narrowing.grant().as_str())
            .bind(json_allowance(narrowing.before()))
            .execute(&mut *tx)
            .await?;
        if narrowed.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        let grant = narrowing.grant().as_str();
        feed::push(Claim::Sid, grant, Some(narrowing.at()), narrowing.forget_at(), &mut tx).await?;
        audit::record(event, &mut tx).await?;
        self.commit_and_nudge(tx).await?;
        Ok(Applied::Done)
    }

    /// Disables what the sweep ends the grants of, or enables it again: `sql` takes the time and the identifier. Enabling ends
    /// grants too: a consent that was checked just before, and stored just after, must not come to life now.
    pub(super) async fn try_bar(
        &self,
        sql: &'static str,
        id: &str,
        all: &Sweep,
        event: &Event,
    ) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let ended = sweep_and_date(all, &mut tx).await?;
        let barred = sqlx::query(sql).bind(all.at().seconds()).bind(id).execute(&mut *tx).await?;
        if barred.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        audit::record(&ended.told(event), &mut tx).await?;
        self.commit_and_nudge(tx).await?;
        Ok(Applied::Done)
    }
}
