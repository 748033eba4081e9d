//! The revocation feed, and the counters that tell every replica that something changed.

use async_trait::async_trait;
use doorward_shared::{
    revocation::{Claim, Entry},
    time::Timestamp,
};
use sqlx::{Row as _, Transaction};

use super::{super::NUDGE, Database, Db, rows};
use crate::store::{Feed, Heads, Result};

/// What is counted for the replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// Entries of the feed.
    Revocations,
    /// Changes of the signing keys.
    SigningKeys,
    /// Ends of sessions of which clients are to be told.
    Logouts,
}

impl Head {
    const fn name(self) -> &'static str {
        match self {
            Self::Revocations => "revocations",
            Self::SigningKeys => "signing_keys",
            Self::Logouts => "logouts",
        }
    }
}

/// Counts up, which holds the counter until the transaction is over, and wakes the replicas when it is committed. Commit
/// with [`Database::commit_and_nudge`], which wakes this one.
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

#[async_trait]
impl Feed for Database {
    async fn heads(&self) -> Result<Heads> {
        let mut heads = Heads::default();
        for row in sqlx::query("select name, sequence from heads").fetch_all(&self.reader).await? {
            let sequence = row.try_get("sequence")?;
            match row.try_get("name")? {
                "revocations" => heads.revocations = sequence,
                "signing_keys" => heads.signing_keys = sequence,
                "audit" => heads.audit = sequence,
                "logouts" => heads.logouts = sequence,
                _ => {}
            }
        }
        Ok(heads)
    }

    async fn revocations_after(&self, after: i64, limit: usize, then: Timestamp) -> Result<Vec<Entry>> {
        let sql = r#"select sequence as "revocations.sequence", claim as "revocations.claim",
            value as "revocations.value", issued_until as "revocations.issued_until",
            expires_at as "revocations.expires_at"
            from revocations where sequence > $1 and expires_at > $2 order by sequence limit $3"#;
        let rows = sqlx::query(sql)
            .bind(after)
            .bind(then.seconds())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(rows::entry).collect()
    }

    async fn forget_revocations(&self, then: Timestamp) -> Result<u64> {
        let sql = "delete from revocations where expires_at <= $1";
        Ok(sqlx::query(sql).bind(then.seconds()).execute(&self.writer).await?.rows_affected())
    }

    async fn listen(&self) -> Result<()> {
        super::super::listen(self).await
    }

    async fn nudged(&self) {
        self.nudge.notified().await;
    }
}
