//! Pages of what there may be much of, each in the order of its key: what one database takes for the order of texts is the
//! same in the condition and in the sorting.

use async_trait::async_trait;
use doorward_shared::{
    client_id::ClientId,
    secret::{SecretHash, SessionCookie},
    time::Timestamp,
};

use super::{
    Database,
    rows::{self, client_columns, session_columns, user_columns},
};
use crate::{
    domain::{client::Client, ids::UserId, policy::SessionPolicy, session::Session, user::User},
    store::{Pages, Result},
};

#[async_trait]
impl Pages for Database {
    async fn users_page(&self, after: Option<&UserId>, limit: u32) -> Result<Vec<User>> {
        let sql = concat!(
            "select ",
            user_columns!(),
            " from users where ($1 is null or users.id > $1) order by users.id limit $2"
        );
        let query = sqlx::query(sql).bind(after.map(UserId::as_str)).bind(i64::from(limit));
        query.fetch_all(&self.reader).await?.iter().map(rows::user).collect()
    }

    async fn clients_page(&self, after: Option<&ClientId>, limit: u32) -> Result<Vec<Client>> {
        let sql = concat!(
            "select ",
            client_columns!(),
            " from clients where ($1 is null or clients.id > $1) order by clients.id limit $2"
        );
        let query = sqlx::query(sql).bind(after.map(ClientId::as_str)).bind(i64::from(limit));
        query.fetch_all(&self.reader).await?.iter().map(rows::client).collect()
    }

    async fn sessions_page(
        &self,
        user: Option<&UserId>,
        after: Option<&SecretHash<SessionCookie>>,
        limit: u32,
        policy: &SessionPolicy,
        now: Timestamp,
    ) -> Result<Vec<Session>> {
        let sql = concat!(
            "select ",
            session_columns!(),
            " from sessions where ($1 is null or sessions.hash > $1) and ($2 is null or sessions.user_id = $2)
            and sessions.ended_at is null and sessions.last_seen_at > $3 and sessions.auth_time > $4
            order by sessions.hash limit $5"
        );
        let query = sqlx::query(sql)
            .bind(after.map(SecretHash::to_text))
            .bind(user.map(UserId::as_str))
            .bind(now.minus(policy.idle).seconds())
            .bind(now.minus(policy.absolute).seconds())
            .bind(i64::from(limit));
        query.fetch_all(&self.reader).await?.iter().map(rows::session).collect()
    }
}
