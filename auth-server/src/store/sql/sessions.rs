//! Browser sessions.

use async_trait::async_trait;
use doorward_shared::{
    secret::{SecretHash, SessionCookie},
    time::Timestamp,
};
use sqlx::Transaction;

use super::{
    Database, Db, audit, retry,
    rows::{self, session_columns, user_columns},
};
use crate::{
    domain::{
        audit::Event,
        ids::UserId,
        session::Session,
        user::{PasswordHash, User},
    },
    store::{Applied, Result, Sessions},
};

#[async_trait]
impl Sessions for Database {
    async fn open_session(
        &self,
        session: &Session,
        password: Option<&PasswordHash>,
        event: &Event,
    ) -> Result<Applied> {
        retry(|| self.try_open_session(session, password, event)).await
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
        let sql = "update sessions set ended_at = $1 where hash = $2 and ended_at is null";
        let mut tx = self.begin().await?;
        let ended = sqlx::query(sql).bind(event.at.seconds()).bind(hash.to_text()).execute(&mut *tx).await?;
        if ended.rows_affected() == 0 {
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
    /// The row of the person is locked first: whoever changes the password, disables the account or takes the link to a provider
    /// away locks it too, and ends the sessions that are there. So none is written after that on the strength of what was.
    async fn try_open_session(
        &self,
        session: &Session,
        password: Option<&PasswordHash>,
        event: &Event,
    ) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let sql = "update users set password_hash = password_hash
            where id = $1 and disabled_at is null and ($2 = '' or password_hash = $2)";
        let stands = sqlx::query(sql)
            .bind(session.user_id.as_str())
            .bind(password.map_or("", PasswordHash::expose))
            .execute(&mut *tx)
            .await?;
        if stands.rows_affected() == 0 || !is_linked(session, &mut tx).await? {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        let sql =
            "insert into sessions (hash, user_id, method, address, agent, auth_time, last_seen_at, provider, ended_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        sqlx::query(sql)
            .bind(session.hash.to_text())
            .bind(session.user_id.as_str())
            .bind(session.method.as_str())
            .bind(session.address.as_deref())
            .bind(session.agent.as_deref())
            .bind(session.auth_time.seconds())
            .bind(session.last_seen_at.seconds())
            .bind(session.provider.as_deref())
            .bind(session.ended_at.map(Timestamp::seconds))
            .execute(&mut *tx)
            .await?;
        audit::record(event, &mut tx).await?;
        tx.commit().await?;
        Ok(Applied::Done)
    }
}

/// True unless the session came of a provider that does not stand for its person.
async fn is_linked(session: &Session, tx: &mut Transaction<'_, Db>) -> Result<bool> {
    let Some(provider) = &session.provider else { return Ok(true) };
    let sql = "select 1 from identities where user_id = $1 and provider = $2 and ended_at is null";
    let found = sqlx::query(sql).bind(session.user_id.as_str()).bind(provider).fetch_optional(&mut **tx);
    Ok(found.await?.is_some())
}

/// Ends the sessions of a person, but for one, within a transaction. Answers how many.
pub(super) async fn end_others(
    user: &UserId,
    keep: Option<&SecretHash<SessionCookie>>,
    at: Timestamp,
    tx: &mut Transaction<'_, Db>,
) -> Result<u64> {
    let sql = "update sessions set ended_at = $1 where ended_at is null and user_id = $2 and hash <> $3";
    let ended = sqlx::query(sql)
        .bind(at.seconds())
        .bind(user.as_str())
        .bind(keep.map(SecretHash::to_text).unwrap_or_default())
        .execute(&mut **tx)
        .await?;
    Ok(ended.rows_affected())
}
