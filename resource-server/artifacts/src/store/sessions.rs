//! Sessions: entered by artifacts, listed, sealed for good.

use doorward_shared::time::Timestamp;
use sqlx::{Row, Sqlite, Transaction, sqlite::SqliteRow};

use super::{
    Store,
    records::{Owner, Page, PageRequest, Session, SessionFilter, parsed, time},
};
use crate::{
    errors::{Code, Refusal},
    ids::SessionId,
};

/// What became of a seal.
#[derive(Debug)]
pub struct Seal {
    /// The session, sealed.
    pub session: Session,
    /// True when it had been sealed before.
    pub already: bool,
}

macro_rules! session_columns {
    () => {
        "session_id, created_at, last_artifact_at, sealed_at, (select count(*) from artifacts where \
         artifacts.organization = sessions.organization and artifacts.subject = sessions.subject \
         and artifacts.session_id = sessions.session_id and artifacts.deleted_at is null) as artifact_count"
    };
}

impl Store {
    /// Part of the list of this owner's sessions, newest first.
    pub async fn sessions(
        &self,
        owner: &Owner,
        filter: &SessionFilter,
        page: &PageRequest,
    ) -> Result<Page<Session>, Refusal> {
        let before: Option<i64> = match &page.after {
            None => None,
            Some(id) => {
                let seq = sqlx::query(
                    "select seq from sessions where organization = $1 and subject = $2 and session_id = $3",
                )
                .bind(&owner.organization)
                .bind(&owner.subject)
                .bind(id)
                .fetch_optional(&self.read)
                .await?;
                Some(
                    seq.ok_or_else(|| Refusal::invalid("cursor: not one that this list gave out"))?
                        .try_get("seq")?,
                )
            }
        };
        let rows = sqlx::query(concat!(
            "select ",
            session_columns!(),
            " from sessions where organization = $1 and subject = $2 and ($3 is null or seq < $3) \
             and ($4 is null or created_at > $4) and ($5 is null or created_at < $5) \
             and ($6 is null or (sealed_at is not null) = $6) order by seq desc limit $7",
        ))
        .bind(&owner.organization)
        .bind(&owner.subject)
        .bind(before)
        .bind(filter.created_after.map(Timestamp::seconds))
        .bind(filter.created_before.map(Timestamp::seconds))
        .bind(filter.sealed.map(i64::from))
        .bind(i64::from(page.limit) + 1)
        .fetch_all(&self.read)
        .await?;
        let sessions = rows.iter().map(session).collect::<Result<_, _>>()?;
        Ok(Page::of(sessions, page.limit))
    }

    /// Seals a session. There is no verb that opens it again.
    pub async fn seal(&self, owner: &Owner, id: &SessionId, now: Timestamp) -> Result<Seal, Refusal> {
        let mut tx = self.begin().await?;
        let sealed = sqlx::query(
            "update sessions set sealed_at = $1 where organization = $2 and subject = $3 and session_id = $4 \
             and sealed_at is null",
        )
        .bind(now.seconds())
        .bind(&owner.organization)
        .bind(&owner.subject)
        .bind(id.as_str())
        .execute(&mut *tx)
        .await?;
        let row = sqlx::query(concat!(
            "select ",
            session_columns!(),
            " from sessions where organization = $1 and subject = $2 and session_id = $3",
        ))
        .bind(&owner.organization)
        .bind(&owner.subject)
        .bind(id.as_str())
        .fetch_optional(&mut *tx)
        .await?;
        let row = row.ok_or_else(|| {
            Refusal::new(
                Code::SessionNotFound,
                "No session with this id exists here. A session begins with the first artifact stored in it.",
            )
        })?;
        let session = session(&row)?;
        tx.commit().await?;
        Ok(Seal { session, already: sealed.rows_affected() == 0 })
    }
}

/// Puts an artifact into a session, which begins with its first one. A sealed session takes none.
pub(super) async fn enter(
    tx: &mut Transaction<'static, Sqlite>,
    owner: &Owner,
    session_id: &str,
    now: Timestamp,
) -> Result<(), Refusal> {
    let entered = sqlx::query(
        "insert into sessions (organization, subject, session_id, created_at, last_artifact_at) \
         values ($1, $2, $3, $4, $4) on conflict (organization, subject, session_id) do update set \
         last_artifact_at = excluded.last_artifact_at where sealed_at is null",
    )
    .bind(&owner.organization)
    .bind(&owner.subject)
    .bind(session_id)
    .bind(now.seconds())
    .execute(&mut **tx)
    .await?;
    if entered.rows_affected() == 0 { Err(sealed()) } else { Ok(()) }
}

pub(super) fn sealed() -> Refusal {
    Refusal::new(
        Code::SessionSealed,
        "This session is sealed and takes no further artifacts; a seal cannot be undone. Use another session_id.",
    )
}

fn session(row: &SqliteRow) -> Result<Session, sqlx::Error> {
    Ok(Session {
        id: parsed(row, "session_id", SessionId::parse)?,
        artifact_count: row.try_get("artifact_count")?,
        created_at: Timestamp::from_seconds(row.try_get("created_at")?),
        last_artifact_at: Timestamp::from_seconds(row.try_get("last_artifact_at")?),
        sealed_at: time(row, "sealed_at")?,
    })
}
