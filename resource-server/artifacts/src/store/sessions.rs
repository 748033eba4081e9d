//! Sessions: entered by artifacts, listed, sealed for good.

use doorward_resource_server::NodePath;
use doorward_shared::time::Timestamp;
use sqlx::{Row, Sqlite, Transaction, sqlite::SqliteRow};

use super::{
    Store,
    reach::{in_places, places},
    records::{Page, PageRequest, Session, SessionFilter, Writer, optional, parsed, time},
};
use crate::{
    caller::Caller,
    errors::{Code, Refusal},
    ids::SessionId,
    permissions::{DELETE, READ},
};

/// What became of a seal.
#[derive(Debug)]
pub struct Seal {
    /// The session, sealed.
    pub session: Session,
    /// True when it had been sealed before.
    pub already: bool,
}

/// The artifacts of a session that the caller may read; its reach is the parameter 3.
macro_rules! of_session {
    () => {
        concat!(
            " from artifacts where artifacts.organization = sessions.organization \
             and artifacts.subject = sessions.subject and artifacts.session_id = sessions.session_id and ",
            in_places!("$3")
        )
    };
}

macro_rules! session_columns {
    () => {
        concat!(
            "session_id, subject, sealed_at, sealed_by_client_id, sealed_by_credential, (select count(*)",
            of_session!(),
            " and artifacts.deleted_at is null) as artifact_count, (select min(created_at)",
            of_session!(),
            ") as first_artifact_at, (select max(max(created_at, coalesce(activated_at, 0)))",
            of_session!(),
            ") as last_artifact_at"
        )
    };
}

impl Store {
    /// Part of the list of the caller's sessions, newest first. A session in which nothing is that the caller may read is not
    /// there, and of the others it says what the caller may know.
    pub async fn sessions(
        &self,
        caller: &Caller,
        filter: &SessionFilter,
        page: &PageRequest,
    ) -> Result<Page<Session>, Refusal> {
        let readable = places(caller, READ);
        let before: Option<i64> = match &page.after {
            None => None,
            Some(id) => {
                let seq = sqlx::query(concat!(
                    "select seq from sessions where organization = $1 and subject = $2 and session_id = $4 \
                     and exists (select 1",
                    of_session!(),
                    ")",
                ))
                .bind(&caller.organization)
                .bind(&caller.subject)
                .bind(&readable)
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
            " from sessions where organization = $1 and subject = $2 and ($4 is null or seq < $4) \
             and first_artifact_at is not null and ($5 is null or first_artifact_at > $5) \
             and ($6 is null or first_artifact_at < $6) and ($7 is null or (sealed_at is not null) = $7) \
             order by seq desc limit $8",
        ))
        .bind(&caller.organization)
        .bind(&caller.subject)
        .bind(&readable)
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

    /// Seals a session. There is no verb that opens it again, so whoever seals must be allowed to delete wherever something
    /// of it lies.
    pub async fn seal(&self, caller: &Caller, id: &SessionId, now: Timestamp) -> Result<Seal, Refusal> {
        let mut tx = self.begin().await?;
        may_seal(&mut tx, caller, id).await?;
        let sealed = sqlx::query(
            "update sessions set sealed_at = $1, sealed_by_client_id = $5, sealed_by_credential = $6 \
             where organization = $2 and subject = $3 and session_id = $4 and sealed_at is null",
        )
        .bind(now.seconds())
        .bind(&caller.organization)
        .bind(&caller.subject)
        .bind(id.as_str())
        .bind(&caller.client_id)
        .bind(&caller.credential)
        .execute(&mut *tx)
        .await?;
        let row = sqlx::query(concat!(
            "select ",
            session_columns!(),
            " from sessions where organization = $1 and subject = $2 and session_id = $4",
        ))
        .bind(&caller.organization)
        .bind(&caller.subject)
        .bind(places(caller, DELETE))
        .bind(id.as_str())
        .fetch_one(&mut *tx)
        .await?;
        let session = session(&row)?;
        tx.commit().await?;
        Ok(Seal { session, already: sealed.rows_affected() == 0 })
    }
}

/// Refuses a seal that would bind a folder in which the caller may not delete.
async fn may_seal(
    tx: &mut Transaction<'static, Sqlite>,
    caller: &Caller,
    id: &SessionId,
) -> Result<(), Refusal> {
    let rows = sqlx::query(
        "select distinct folder from artifacts where organization = $1 and subject = $2 and session_id = $3",
    )
    .bind(&caller.organization)
    .bind(&caller.subject)
    .bind(id.as_str())
    .fetch_all(&mut **tx)
    .await?;
    let folders: Vec<Option<NodePath>> = rows
        .iter()
        .map(|row| optional(row, "folder", |text| NodePath::parse(text).ok()))
        .collect::<Result<_, _>>()?;
    let all = |permission| folders.iter().all(|folder| caller.may_in(permission, folder.as_ref()));
    let some = |permission| folders.iter().any(|folder| caller.may_in(permission, folder.as_ref()));
    if !folders.is_empty() && all(DELETE) {
        Ok(())
    } else if some(READ) {
        Err(caller.missing(DELETE))
    } else {
        Err(Refusal::new(
            Code::SessionNotFound,
            "No session with this id exists here. A session begins with the first artifact stored in it.",
        ))
    }
}

/// Puts an artifact into a session of the one who made it, which begins with its first one. A sealed session takes none.
pub(super) async fn enter(
    tx: &mut Transaction<'static, Sqlite>,
    organization: &str,
    subject: &str,
    session_id: &str,
) -> Result<(), Refusal> {
    // The update changes nothing; it counts the row of an open session and none of a sealed one.
    let entered = sqlx::query(
        "insert into sessions (organization, subject, session_id) values ($1, $2, $3) \
         on conflict (organization, subject, session_id) do update set session_id = excluded.session_id \
         where sealed_at is null",
    )
    .bind(organization)
    .bind(subject)
    .bind(session_id)
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
        first_artifact_at: Timestamp::from_seconds(row.try_get("first_artifact_at")?),
        last_artifact_at: Timestamp::from_seconds(row.try_get("last_artifact_at")?),
        sealed: time(row, "sealed_at")?.map(|at| Ok::<_, sqlx::Error>((at, sealer(row)?))).transpose()?,
    })
}

/// A session is sealed by its own person.
fn sealer(row: &SqliteRow) -> Result<Writer, sqlx::Error> {
    Ok(Writer {
        subject: row.try_get("subject")?,
        client_id: row.try_get("sealed_by_client_id")?,
        credential: row.try_get("sealed_by_credential")?,
    })
}
