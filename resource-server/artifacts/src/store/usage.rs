//! What an organization has used of its plan. A limit is part of the write that would pass it.

use sqlx::{Row, Sqlite, Transaction};

use super::{
    Store,
    reach::{in_places, places},
};
use crate::{
    caller::Caller,
    errors::{Code, Refusal},
    permissions::READ,
    plans::Plan,
};

/// The counters of an organization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tool calls and resource reads of the month.
    pub requests: i64,
    /// Bytes held.
    pub storage_bytes: i64,
}

impl Store {
    /// Counts one request of `month` (`2026-11`). False when the plan's requests are used up; then nothing is counted.
    pub async fn admit(&self, organization: &str, month: &str, plan: &Plan) -> Result<bool, Refusal> {
        if plan.requests_per_month < 1 {
            return Ok(false);
        }
        let mut tx = self.begin().await?;
        let counted = sqlx::query(
            "insert into usage (organization, month, requests) values ($1, $2, 1) on conflict (organization, month) \
             do update set requests = requests + 1 where requests < $3",
        )
        .bind(organization)
        .bind(month)
        .bind(plan.requests_per_month)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(counted.rows_affected() == 1)
    }

    /// The counters. Bytes are those of the folders that the caller may read: who may not read a folder does not learn
    /// how much is stored there.
    pub async fn usage(&self, caller: &Caller, month: &str) -> Result<Usage, Refusal> {
        let row = sqlx::query(concat!(
            "select coalesce((select requests from usage where organization = $1 and month = $2), 0) as requests, \
             case when $3 is null then coalesce((select storage_bytes from organizations where organization = $1), 0) \
             else coalesce((select sum(charged_bytes) from artifacts where organization = $1 and released_at is null and ",
            in_places!("$3"),
            "), 0) end as storage_bytes",
        ))
        .bind(&caller.organization)
        .bind(month)
        .bind(places(caller, READ))
        .fetch_one(&self.read)
        .await?;
        Ok(Usage { requests: row.try_get("requests")?, storage_bytes: row.try_get("storage_bytes")? })
    }
}

/// Takes `bytes` out of the plan's storage.
pub(super) async fn reserve(
    tx: &mut Transaction<'static, Sqlite>,
    organization: &str,
    bytes: i64,
    plan: &Plan,
) -> Result<(), Refusal> {
    let full = || {
        Refusal::new(
            Code::QuotaExceeded,
            format!(
                "The storage of the plan {:?} is full ({} bytes). Delete artifacts that are no longer needed.",
                plan.name, plan.storage_bytes
            ),
        )
    };
    if bytes > plan.storage_bytes {
        return Err(full());
    }
    let reserved = sqlx::query(
        "insert into organizations (organization, storage_bytes) values ($1, $2) on conflict (organization) do update \
         set storage_bytes = storage_bytes + excluded.storage_bytes where storage_bytes + excluded.storage_bytes <= $3",
    )
    .bind(organization)
    .bind(bytes)
    .bind(plan.storage_bytes)
    .execute(&mut **tx)
    .await?;
    if reserved.rows_affected() == 0 { Err(full()) } else { Ok(()) }
}

/// Gives `bytes` back.
pub(super) async fn release(
    tx: &mut Transaction<'static, Sqlite>,
    organization: &str,
    bytes: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("update organizations set storage_bytes = storage_bytes - $2 where organization = $1")
        .bind(organization)
        .bind(bytes)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
