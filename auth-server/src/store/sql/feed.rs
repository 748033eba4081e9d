//! The revocation feed, and the counters that tell every replica that something changed.

use doorward_shared::{revocation::Claim, time::Timestamp};
use sqlx::Transaction;

use super::{super::NUDGE, Db};
use crate::store::Result;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// Entries of the feed.
    Revocations,
    /// Changes of the signing keys.
    SigningKeys,
}

impl Head {
    const fn name(self) -> &'static str {
        match self {
            Self::Revocations => "revocations",
            Self::SigningKeys => "signing_keys",
        }
    }
}

/// Counts up, which holds the counter until the transaction is over, and wakes the replicas when it is committed.
pub(super) async fn advance(head: Head, tx: &mut Transaction<'_, Db>) -> Result<()> {
    let sql = "update heads set sequence = sequence + 1 where name = $1";
    sqlx::query(sql).bind(head.name()).execute(&mut **tx).await?;
    if let Some(nudge) = NUDGE {
        sqlx::query(nudge).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Adds an entry to the feed: tokens whose claim has this value, and whose `iat` is not after `issued_until` if there is
/// one, are refused. `expires_at` is when no such token can be left.
pub(super) async fn push(
    claim: Claim,
    value: &str,
    issued_until: Option<Timestamp>,
    expires_at: Timestamp,
    tx: &mut Transaction<'_, Db>,
) -> Result<()> {
    advance(Head::Revocations, tx).await?;
    let sql = "insert into revocations (sequence, claim, value, issued_until, expires_at)
        select sequence, $1, $2, $3, $4 from heads where name = 'revocations'";
    sqlx::query(sql)
        .bind(claim.as_str())
        .bind(value)
        .bind(issued_until.map(Timestamp::seconds))
        .bind(expires_at.seconds())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
