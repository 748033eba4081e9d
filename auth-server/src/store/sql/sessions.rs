//! Browser sessions.

use async_trait::async_trait;
use doorward_shared::{
    secret::{SecretHash, SessionCookie},
    time::Timestamp,
};
use sqlx::Transaction;

use super::{
    Database, Db, audit,
    feed::{self, Head},
    retry,
    rows::{self, session_columns, user_columns},
};
use crate::{
    domain::{
        audit::Event,
        ids::{SessionId, UserId},
        session::Session,
        user::{PasswordHash, User},
    },
    store::{Applied, Result, Sessions},
};

/// Ends sessions, after it was written down which clients are to be told: those that got an ID token in one of them. Each text
/// takes the time and, as `$2` and so on, whose sessions.
macro_rules! end_sessions {
    ($whose:literal) => {
        [
            concat!(
                r#"insert into logouts (client_id, session_id, user_id, created_at, tries, due_at)
                select distinct grants.client_row, grants.session_id, grants.user_id, $1, 0, $1 from sessions
                join grants on grants.session_id = sessions.id join clients on clients.id = grants.client_row
                where clients.backchannel_logout is not null and grants.oidc like '%"openid"%'
                and sessions.ended_at is null and "#,
                $whose,
                " on conflict do nothing"
            ),
            concat!("update sessions set ended_at = $1 where ended_at is null and ", $whose),
        ]
    };
}

#[async_trait]
impl Sessions for Database {
    async fn open_session(
        &self,
        session: &Session,
        password: Option<&PasswordHash>,
        event: &Event,
    ) -> Result<Applied> {
        retry(|| self.try_open_session(None, session, password, event)).await
    }

    async fn replace_session(
        &self,
        before: &Session,
        left: &Event,
        session: &Session,
        password: Option<&PasswordHash>,
        event: &Event,
    ) -> Result<Applied> {
        retry(|| self.try_open_session(Some((before, left)), session, password, event)).await
    }

    async fn session(&self, hash: &SecretHash<SessionCookie>) -> Result<Option<(Session, User)>> {
        let sql = concat!(
            "select ",
            session_columns!(),
            ", ",
            user_columns!(),
            " from sessions join users on users.id = sessions.user_id where sessions.hash = $1"
        );
        let row = sqlx::query(sql).bind(hash.to_text()).fetch_optional(&self.reader).await?;
        row.map(|row| Ok((rows::session(&row)?, rows::user(&row)?))).transpose()
    }

    async fn sessions_of(&self, user: &UserId) -> Result<Vec<Session>> {
        let sql = concat!(
            "select ",
            session_columns!(),
            " from sessions where user_id = $1 and ended_at is null order by auth_time desc, hash"
        );
        let rows = sqlx::query(sql).bind(user.as_str()).fetch_all(&self.reader).await?;
        rows.iter().map(rows::session).collect()
    }

    async fn touch_session(&self, hash: &SecretHash<SessionCookie>, now: Timestamp) -> Result<()> {
        // Two requests of one browser may arrive here in the wrong order.
        let sql = "update sessions set last_seen_at = $1 where hash = $2 and ended_at is null and last_seen_at < $1";
        sqlx::query(sql).bind(now.seconds()).bind(hash.to_text()).execute(&self.writer).await?;
        Ok(())
    }

    async fn end_session(&self, hash: &SecretHash<SessionCookie>, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let ended = end(end_sessions!("sessions.hash = $2"), event.at, &[&hash.to_text()], &mut tx).await?;
        if ended == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        audit::record(event, &mut tx).await?;
        tx.commit().await?;
        Ok(Applied::Done)
    }

    async fn end_sessions(
        &self,
        user: &UserId,
        keep: Option<&SecretHash<SessionCookie>>,
        event: &Event,
    ) -> Result<u64> {
        let mut tx = self.begin().await?;
        let ended = end_others(user, keep, event.at, &mut tx).await?;
        if ended == 0 {
            tx.rollback().await?;
            return Ok(0);
        }
        audit::record(&event.clone().with("sessions", ended), &mut tx).await?;
        tx.commit().await?;
        Ok(ended)
    }
}

impl Database {
    /// `before` is the session that the browser has, which ends, and the event for it.
    async fn try_open_session(
        &self,
        before: Option<(&Session, &Event)>,
        session: &Session,
        password: Option<&PasswordHash>,
        event: &Event,
    ) -> Result<Applied> {
        let mut tx = self.begin().await?;
        if !stands(session, password, &mut tx).await? {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        let mut id = &session.id;
        if let Some((before, left)) = before {
            let same_person = before.user_id == session.user_id;
            let hash = before.hash.to_text();
            let ended = if same_person {
                let sql = "update sessions set ended_at = $1 where hash = $2 and ended_at is null";
                let ended = sqlx::query(sql).bind(left.at.seconds()).bind(hash).execute(&mut *tx).await?;
                ended.rows_affected()
            } else {
                end(end_sessions!("sessions.hash = $2"), left.at, &[&hash], &mut tx).await?
            };
            if ended == 1 {
                audit::record(left, &mut tx).await?;
                // Only what was live a moment ago can go on: clients may have been told of any other end.
                if same_person {
                    id = &before.id;
                }
            }
        }
        insert(session, id, &mut tx).await?;
        audit::record(event, &mut tx).await?;
        tx.commit().await?;
        Ok(Applied::Done)
    }
}

/// True while what somebody proved themselves by holds. The row of the person is locked: whoever changes the password, disables
/// the account or takes the link to a provider away locks it too, and ends the sessions that are there. So none is written after
/// that on the strength of what was.
async fn stands(
    session: &Session,
    password: Option<&PasswordHash>,
    tx: &mut Transaction<'_, Db>,
) -> Result<bool> {
    let sql = "update users set password_hash = password_hash
        where id = $1 and disabled_at is null and ($2 = '' or password_hash = $2)";
    let locked = sqlx::query(sql)
        .bind(session.user_id.as_str())
        .bind(password.map_or("", PasswordHash::expose))
        .execute(&mut **tx)
        .await?;
    if locked.rows_affected() == 0 {
        return Ok(false);
    }
    let Some(provider) = &session.provider else { return Ok(true) };
    let sql = "select 1 from identities where user_id = $1 and provider = $2 and ended_at is null";
    let found = sqlx::query(sql).bind(session.user_id.as_str()).bind(provider).fetch_optional(&mut **tx);
    Ok(found.await?.is_some())
}

/// Stores a session under this name.
async fn insert(session: &Session, id: &SessionId, tx: &mut Transaction<'_, Db>) -> Result<()> {
    let sql = "insert into sessions
        (hash, id, user_id, method, address, agent, auth_time, last_seen_at, ended_at, provider, proved_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    sqlx::query(sql)
        .bind(session.hash.to_text())
        .bind(id.as_str())
        .bind(session.user_id.as_str())
        .bind(session.method.as_str())
        .bind(session.address.as_deref())
        .bind(session.agent.as_deref())
        .bind(session.auth_time.seconds())
        .bind(session.last_seen_at.seconds())
        .bind(session.ended_at.map(Timestamp::seconds))
        .bind(session.provider.as_deref())
        .bind(session.proved_at.map(Timestamp::seconds))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What [`end_sessions`] makes, within a transaction. Answers how many sessions ended.
async fn end(
    texts: [&'static str; 2],
    at: Timestamp,
    whose: &[&str],
    tx: &mut Transaction<'_, Db>,
) -> Result<u64> {
    let [tell, end] = texts
        .map(|sql| whose.iter().fold(sqlx::query(sql).bind(at.seconds()), |query, text| query.bind(*text)));
    if tell.execute(&mut **tx).await?.rows_affected() > 0 {
        feed::advance(Head::Logouts, tx).await?;
    }
    Ok(end.execute(&mut **tx).await?.rows_affected())
}

/// Ends the sessions of a person, but for one, within a transaction. Answers how many.
pub(super) async fn end_others(
    user: &UserId,
    keep: Option<&SecretHash<SessionCookie>>,
    at: Timestamp,
    tx: &mut Transaction<'_, Db>,
) -> Result<u64> {
    let keep = keep.map(SecretHash::to_text).unwrap_or_default();
    let texts = end_sessions!("sessions.user_id = $2 and sessions.hash <> $3");
    end(texts, at, &[user.as_str(), &keep], tx).await
}

/// Ends the sessions in which a person signed in at this provider, within a transaction.
pub(super) async fn end_at_provider(
    user: &UserId,
    provider: &str,
    at: Timestamp,
    tx: &mut Transaction<'_, Db>,
) -> Result<u64> {
    let texts = end_sessions!("sessions.user_id = $2 and sessions.provider = $3");
    end(texts, at, &[user.as_str(), provider], tx).await
}

/// Ends all sessions in which somebody signed in at this provider, within a transaction.
pub(super) async fn end_of_provider(
    provider: &str,
    at: Timestamp,
    tx: &mut Transaction<'_, Db>,
) -> Result<u64> {
    end(end_sessions!("sessions.provider = $2"), at, &[provider], tx).await
}
