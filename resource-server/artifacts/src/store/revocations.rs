//! What was revoked ends what it made: addresses that open without a credential. It is written down when it is seen, in the rows
//! that end, so that nothing has to be remembered for as long as an address lives.

use doorward_resource_server::{Claim, Entry, Maker};
use doorward_shared::time::Timestamp;
use sqlx::{Row, Sqlite, Transaction, sqlite::SqliteRow};

use super::Store;
use crate::{
    caller::Caller,
    errors::{Code, Refusal},
};

/// The columns of the credential that made a row.
macro_rules! maker_columns {
    ($table:literal) => {
        concat!(
            $table,
            ".organization as made_organization, ",
            $table,
            ".subject as made_subject, ",
            $table,
            ".client_id as made_client_id, ",
            $table,
            ".grant_id as made_grant_id, ",
            $table,
            ".token_id as made_token_id, ",
            $table,
            ".key_id as made_key_id, ",
            $table,
            ".issued_at as made_issued_at"
        )
    };
}
pub(super) use maker_columns;

/// Ends the rows of both tables that were made by whom the entry names.
macro_rules! end_both {
    ($whose:literal) => {
        [end_both!("links", $whose), end_both!("uploads", $whose)]
    };
    ($table:literal, $whose:literal) => {
        concat!(
            "update ",
            $table,
            " set ended_at = $1 where ended_at is null and ",
            $whose,
            " and ($3 is null or issued_at <= $3)"
        )
    };
}

impl Store {
    /// Ends the addresses that revoked credentials made, and keeps requests that are under way from making more. An entry that comes
    /// again changes nothing. Answers how many ended.
    pub async fn end_made(&self, entries: &[Entry], now: Timestamp) -> Result<u64, Refusal> {
        let mut tx = self.begin().await?;
        let mut ended = 0;
        for entry in entries {
            // Of entries about the same the widest stays, as in the kit.
            sqlx::query(
                "insert into revocations (claim, value, issued_until, expires_at) values ($1, $2, $3, $4) \
                 on conflict (claim, value) do update set \
                 issued_until = case when issued_until is null or excluded.issued_until is null then null \
                 else max(issued_until, excluded.issued_until) end, expires_at = max(expires_at, excluded.expires_at)",
            )
            .bind(entry.claim.as_str())
            .bind(&entry.value)
            .bind(entry.issued_until.map(Timestamp::seconds))
            .bind(entry.exp.seconds())
            .execute(&mut *tx)
            .await?;
            let texts = match entry.claim {
                Claim::Sid => end_both!("grant_id = $2"),
                Claim::Jti => end_both!("token_id = $2"),
                Claim::Sub => end_both!("subject = $2"),
                Claim::ClientId => end_both!("client_id = $2"),
                Claim::Org => end_both!("organization = $2"),
                Claim::Kid => end_both!("key_id = $2"),
                // The kit leaves out what is about others.
                Claim::Aud | Claim::Iss => end_both!("$2 <> ''"),
            };
            for text in texts {
                let done = sqlx::query(text)
                    .bind(now.seconds())
                    .bind(&entry.value)
                    .bind(entry.issued_until.map(Timestamp::seconds))
                    .execute(&mut *tx)
                    .await?;
                ended += done.rows_affected();
            }
        }
        tx.commit().await?;
        Ok(ended)
    }
}

/// Refuses a caller that was revoked since its request began: what it made now would be ended by nobody. To be asked in the
/// transaction that makes it.
pub(super) async fn may_make(tx: &mut Transaction<'static, Sqlite>, caller: &Caller) -> Result<(), Refusal> {
    let revoked = sqlx::query(
        "select 1 from revocations where (issued_until is null or issued_until >= $1) and (claim in ('aud', 'iss') \
         or (claim = 'sid' and value = $2) or (claim = 'jti' and value = $3) or (claim = 'sub' and value = $4) \
         or (claim = 'client_id' and value = $5) or (claim = 'org' and value = $6) or (claim = 'kid' and value = $7)) \
         limit 1",
    )
    .bind(caller.issued_at.seconds())
    .bind(&caller.grant)
    .bind(&caller.token_id)
    .bind(&caller.subject)
    .bind(&caller.client_id)
    .bind(&caller.organization)
    .bind(&caller.key_id)
    .fetch_optional(&mut **tx)
    .await?;
    match revoked {
        Some(_) => Err(Refusal::new(
            Code::Unauthorized,
            "The credential of this call has been revoked; sign in again.",
        )),
        None => Ok(()),
    }
}

/// Reads [`maker_columns`].
pub(super) fn maker(row: &SqliteRow) -> Result<Maker, sqlx::Error> {
    Ok(Maker {
        organization: row.try_get("made_organization")?,
        subject: row.try_get("made_subject")?,
        client_id: row.try_get("made_client_id")?,
        grant: row.try_get("made_grant_id")?,
        token_id: row.try_get("made_token_id")?,
        key_id: row.try_get("made_key_id")?,
        issued_at: Timestamp::from_seconds(row.try_get("made_issued_at")?),
    })
}
