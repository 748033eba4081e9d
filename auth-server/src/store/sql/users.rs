//! People, and the link that makes the first administrator.

use async_trait::async_trait;
use doorward_shared::{
    secret::{SecretHash, SetupLink},
    time::Timestamp,
};
use sqlx::Transaction;

use super::{
    Database, Db, applied, audit, ends,
    organizations::done,
    retry,
    rows::{self, json_list, user_columns},
    sessions::end_others,
};
use crate::{
    domain::{
        audit::Event,
        email::Email,
        ids::UserId,
        revocation::Sweep,
        user::{PasswordChange, User},
    },
    store::{Applied, Result, Users},
};

#[async_trait]
impl Users for Database {
    async fn insert_user(&self, user: &User, event: &Event) -> Result<Applied> {
        retry(|| self.try_insert_user(user, event)).await
    }

    async fn user(&self, id: &UserId) -> Result<Option<User>> {
        let sql = concat!("select ", user_columns!(), " from users where id = $1");
        let row = sqlx::query(sql).bind(id.as_str()).fetch_optional(&self.reader).await?;
        row.as_ref().map(rows::user).transpose()
    }

    async fn user_by_email(&self, email: &Email) -> Result<Option<User>> {
        let sql = concat!("select ", user_columns!(), " from users where email = $1");
        let row = sqlx::query(sql).bind(email.as_str()).fetch_optional(&self.reader).await?;
        row.as_ref().map(rows::user).transpose()
    }

    async fn users(&self) -> Result<Vec<User>> {
        let sql = concat!("select ", user_columns!(), " from users");
        let rows = sqlx::query(sql).fetch_all(&self.reader).await?;
        let mut users: Vec<_> = rows.iter().map(rows::user).collect::<Result<_>>()?;
        users.sort_by(|a, b| a.email.cmp(&b.email));
        Ok(users)
    }

    async fn set_groups(&self, user: &User, groups: &[String], event: &Event) -> Result<Applied> {
        retry(|| self.try_set_groups(user, groups, event)).await
    }

    async fn disable_user(&self, user: &UserId, sweep: &Sweep, event: &Event) -> Result<Applied> {
        let sql = "update users set disabled_at = $1 where id = $2";
        retry(|| self.try_set_standing(sql, user, sweep, event)).await
    }

    async fn enable_user(&self, user: &UserId, sweep: &Sweep, event: &Event) -> Result<Applied> {
        let sql = "update users set disabled_at = null where $1 > 0 and id = $2";
        retry(|| self.try_set_standing(sql, user, sweep, event)).await
    }

    async fn change_password(&self, change: &PasswordChange, event: &Event) -> Result<Applied> {
        retry(|| self.try_change_password(change, event)).await
    }

    async fn has_administrator(&self) -> Result<bool> {
        // A disabled one counts: nobody else is to become the first administrator.
        let row = sqlx::query("select 1 from users where admin_since is not null limit 1");
        Ok(row.fetch_optional(&self.reader).await?.is_some())
    }

    async fn put_setup_link(&self, link: &SecretHash<SetupLink>, now: Timestamp) -> Result<Applied> {
        // A used link is never replaced: the one who used it may be an administrator by the time this is committed.
        let sql = "insert into setup_links (id, hash, created_at)
            select 1, $1, $2 where not exists (select 1 from users where admin_since is not null)
            on conflict (id) do update set hash = excluded.hash, created_at = excluded.created_at
            where setup_links.used_at is null";
        let put = sqlx::query(sql).bind(link.to_text()).bind(now.seconds()).execute(&self.writer).await?;
        Ok(applied(put.rows_affected()))
    }

    async fn setup_link_is_live(&self, link: &SecretHash<SetupLink>) -> Result<bool> {
        let sql = "select 1 from setup_links where hash = $1 and used_at is null
            and not exists (select 1 from users where admin_since is not null)";
        Ok(sqlx::query(sql).bind(link.to_text()).fetch_optional(&self.reader).await?.is_some())
    }

    async fn use_setup_link(
        &self,
        link: &SecretHash<SetupLink>,
        admin: &User,
        event: &Event,
    ) -> Result<Applied> {
        retry(|| self.try_use_setup_link(link, admin, event)).await
    }
}

impl Database {
    async fn try_insert_user(&self, user: &User, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        if insert(user, &mut *tx).await? == Applied::Lost {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        audit::record(event, &mut tx).await?;
        tx.commit().await?;
        Ok(Applied::Done)
    }

    async fn try_set_groups(&self, user: &User, groups: &[String], event: &Event) -> Result<Applied> {
        let json = |groups: &[String]| json_list(groups.iter().map(String::as_str));
        let mut tx = self.begin().await?;
        let sql = "update users set group_names = $1 where id = $2 and group_names = $3";
        let set = sqlx::query(sql)
            .bind(json(groups))
            .bind(user.id.as_str())
            .bind(json(&user.groups))
            .execute(&mut *tx)
            .await?;
        done(set.rows_affected(), event, tx).await
    }

    /// Enabling ends sessions and grants too: a sign-in or a consent that was checked just before the account was disabled,
    /// and stored just after, must not come to life now, and a token that was stolen must not come back with the account.
    async fn try_set_standing(
        &self,
        sql: &'static str,
        user: &UserId,
        sweep: &Sweep,
        event: &Event,
    ) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let ended = ends::sweep_and_date(sweep, &mut tx).await?;
        let set = sqlx::query(sql).bind(sweep.at().seconds()).bind(user.as_str()).execute(&mut *tx).await?;
        if set.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        end_others(user, None, sweep.at(), &mut tx).await?;
        audit::record(&ended.told(event), &mut tx).await?;
        self.commit_and_nudge(tx).await?;
        Ok(Applied::Done)
    }

    async fn try_change_password(&self, change: &PasswordChange, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let Some(event) = change_password(change, event, &mut tx).await? else {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        };
        audit::record(&event, &mut tx).await?;
        self.commit_and_nudge(tx).await?;
        Ok(Applied::Done)
    }

    async fn try_use_setup_link(
        &self,
        link: &SecretHash<SetupLink>,
        admin: &User,
        event: &Event,
    ) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let sql = "update setup_links set used_at = $1 where hash = $2 and used_at is null
            and not exists (select 1 from users where admin_since is not null)";
        let used =
            sqlx::query(sql).bind(admin.created_at.seconds()).bind(link.to_text()).execute(&mut *tx).await?;
        if used.rows_affected() == 0 || insert(admin, &mut *tx).await? == Applied::Lost {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        audit::record(event, &mut tx).await?;
        tx.commit().await?;
        Ok(Applied::Done)
    }
}

pub(super) async fn insert<'e>(
    user: &User,
    executor: impl sqlx::Executor<'e, Database = Db>,
) -> Result<Applied> {
    let sql = "insert into users
        (id, email, name, organization, group_names, password_hash, admin_since, created_at, disabled_at,
        revoked_until, passwordless_since) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        on conflict do nothing";
    let inserted = sqlx::query(sql)
        .bind(user.id.as_str())
        .bind(user.email.as_str())
        .bind(user.name.as_deref())
        .bind(user.organization.as_str())
        .bind(json_list(user.groups.iter().map(String::as_str)))
        .bind(user.password.expose())
        .bind(user.admin_since.map(Timestamp::seconds))
        .bind(user.created_at.seconds())
        .bind(user.disabled_at.map(Timestamp::seconds))
        .bind(user.revoked_until.map(Timestamp::seconds))
        .bind(user.passwordless_since.map(Timestamp::seconds))
        .execute(executor)
        .await?;
    Ok(applied(inserted.rows_affected()))
}

/// Replaces a password within a transaction: sessions, links and, where the change says so, grants end with the old one. Answers
/// what the trail is told; `None`: the password was replaced meanwhile, or the account is gone or disabled.
pub(super) async fn change_password(
    change: &PasswordChange,
    event: &Event,
    tx: &mut Transaction<'_, Db>,
) -> Result<Option<Event>> {
    let mut event = event.clone();
    if let Some(sweep) = &change.sweep {
        event = ends::sweep_and_date(sweep, tx).await?.told(&event);
    }
    let sql = "update users set password_hash = $1, passwordless_since = null
        where id = $2 and password_hash = $3 and disabled_at is null";
    let changed = sqlx::query(sql)
        .bind(change.after.expose())
        .bind(change.user.as_str())
        .bind(change.before.expose())
        .execute(&mut **tx)
        .await?;
    if changed.rows_affected() == 0 {
        return Ok(None);
    }
    let sql = "update account_links set used_at = $1 where used_at is null and user_id = $2";
    sqlx::query(sql).bind(event.at.seconds()).bind(change.user.as_str()).execute(&mut **tx).await?;
    let ended = end_others(&change.user, change.keep.as_ref(), event.at, tx).await?;
    Ok(Some(event.with("sessions", ended)))
}
