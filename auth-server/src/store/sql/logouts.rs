//! Clients that are still to be told that a session ended.

use async_trait::async_trait;
use doorward_shared::{client_id::ClientId, time::Timestamp};

use super::{
    Database, applied, audit,
    rows::{self, Row},
};
use crate::{
    domain::{
        audit::Event,
        backchannel_logout::{BackchannelLogout, PendingLogout},
        ids::{SessionId, UserId},
    },
    store::{Applied, Logouts, Result},
};

#[async_trait]
impl Logouts for Database {
    async fn due_logouts(&self, now: Timestamp, limit: u32) -> Result<Vec<PendingLogout>> {
        let sql = r#"select logouts.client_id as "logouts.client_id", logouts.session_id as "logouts.session_id",
            logouts.user_id as "logouts.user_id", logouts.tries as "logouts.tries", logouts.due_at as "logouts.due_at",
            clients.backchannel_logout as "clients.backchannel_logout"
            from logouts join clients on clients.id = logouts.client_id
            where logouts.due_at <= $1 and clients.backchannel_logout is not null
            order by logouts.due_at limit $2"#;
        let rows =
            sqlx::query(sql).bind(now.seconds()).bind(i64::from(limit)).fetch_all(&self.reader).await?;
        rows.iter().map(pending).collect()
    }

    async fn next_logout(&self) -> Result<Option<Timestamp>> {
        let sql = "select min(logouts.due_at) from logouts join clients on clients.id = logouts.client_id
            where clients.backchannel_logout is not null";
        let next: Option<i64> = sqlx::query_scalar(sql).fetch_one(&self.reader).await?;
        Ok(next.map(Timestamp::from_seconds))
    }

    async fn claim_logout(&self, logout: &PendingLogout, until: Timestamp) -> Result<Applied> {
        let sql = "update logouts set due_at = $1, tries = tries + 1
            where client_id = $2 and session_id = $3 and tries = $4 and due_at = $5";
        let claimed = sqlx::query(sql)
            .bind(until.seconds())
            .bind(logout.client_id.as_str())
            .bind(logout.session.as_str())
            .bind(logout.tries)
            .bind(logout.due_at.seconds())
            .execute(&self.writer)
            .await?;
        Ok(applied(claimed.rows_affected()))
    }

    async fn postpone_logout(&self, logout: &PendingLogout, until: Timestamp) -> Result<Applied> {
        let sql = "update logouts set due_at = $1 where client_id = $2 and session_id = $3 and tries = $4";
        let postponed = sqlx::query(sql)
            .bind(until.seconds())
            .bind(logout.client_id.as_str())
            .bind(logout.session.as_str())
            .bind(logout.tries + 1)
            .execute(&self.writer)
            .await?;
        Ok(applied(postponed.rows_affected()))
    }

    async fn settle_logout(&self, logout: &PendingLogout, event: Option<&Event>) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let sql = "delete from logouts where client_id = $1 and session_id = $2 and tries = $3";
        let settled = sqlx::query(sql)
            .bind(logout.client_id.as_str())
            .bind(logout.session.as_str())
            .bind(logout.tries + 1)
            .execute(&mut *tx)
            .await?;
        if settled.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        if let Some(event) = event {
            audit::record(event, &mut tx).await?;
        }
        tx.commit().await?;
        Ok(Applied::Done)
    }
}

fn pending(row: &Row) -> Result<PendingLogout> {
    let told = |text: &str| serde_json::from_str::<BackchannelLogout>(text).ok();
    Ok(PendingLogout {
        client_id: rows::read(row, "logouts.client_id", |text| ClientId::parse(text).ok())?,
        session: rows::read(row, "logouts.session_id", SessionId::parse)?,
        user_id: rows::read(row, "logouts.user_id", UserId::parse)?,
        tries: rows::cell(row, "logouts.tries")?,
        due_at: rows::time(row, "logouts.due_at")?,
        uri: rows::read(row, "clients.backchannel_logout", told)?.uri,
    })
}
