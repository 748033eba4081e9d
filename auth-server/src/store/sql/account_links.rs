//! One-time links with which somebody chooses a password.

use async_trait::async_trait;
use doorward_shared::{
    secret::{AccountLink, SecretHash},
    time::Timestamp,
};
use sqlx::Transaction;

use super::{
    Database, Db, audit, identities, passkeys, retry,
    rows::{Row, cell, json_list, list, maybe_time, read, time},
    users::{change_password, insert},
};
use crate::{
    domain::{
        audit::Event,
        email::Email,
        ids::UserId,
        link::{Link, Purpose},
        user::{Clearance, PasswordChange, User},
    },
    store::{AccountLinks, Applied, Result, StoreError},
};

#[async_trait]
impl AccountLinks for Database {
    async fn put_account_link(&self, link: &Link, event: &Event) -> Result<Applied> {
        retry(|| self.try_put_account_link(link, event)).await
    }

    async fn account_link(&self, hash: &SecretHash<AccountLink>) -> Result<Option<Link>> {
        let sql = r#"select hash as "account_links.hash", user_id as "account_links.user_id",
            email as "account_links.email", name as "account_links.name", group_names as "account_links.group_names",
            created_at as "account_links.created_at", expires_at as "account_links.expires_at",
            used_at as "account_links.used_at" from account_links where hash = $1"#;
        let row = sqlx::query(sql).bind(hash.to_text()).fetch_optional(&self.reader).await?;
        row.as_ref().map(link).transpose()
    }

    async fn accept_invitation(
        &self,
        hash: &SecretHash<AccountLink>,
        user: &User,
        event: &Event,
    ) -> Result<Applied> {
        retry(|| self.try_accept_invitation(hash, user, event)).await
    }

    async fn use_reset_link(
        &self,
        hash: &SecretHash<AccountLink>,
        change: &PasswordChange,
        along: &Clearance,
        event: &Event,
    ) -> Result<Applied> {
        retry(|| self.try_use_reset_link(hash, change, along, event)).await
    }

    async fn forget_account_links(&self, before: Timestamp) -> Result<u64> {
        let sql = "delete from account_links where expires_at < $1";
        Ok(sqlx::query(sql).bind(before.seconds()).execute(&self.writer).await?.rows_affected())
    }
}

impl Database {
    async fn try_put_account_link(&self, link: &Link, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let (user, name, groups) = match &link.purpose {
            Purpose::Invitation { name, groups } => (None, name.as_deref(), groups.as_slice()),
            Purpose::Reset(user) => (Some(user.as_str()), None, [].as_slice()),
        };
        let sql = "update account_links set used_at = $1 where used_at is null and email = $2";
        sqlx::query(sql).bind(link.created_at.seconds()).bind(link.email.as_str()).execute(&mut *tx).await?;
        let sql =
            "insert into account_links (hash, user_id, email, name, group_names, created_at, expires_at)
            select $1, $2, $3, $4, $5, $6, $7
            where $2 is not null or not exists (select 1 from users where email = $3)";
        let put = sqlx::query(sql)
            .bind(link.hash.to_text())
            .bind(user)
            .bind(link.email.as_str())
            .bind(name)
            .bind(json_list(groups.iter().map(String::as_str)))
            .bind(link.created_at.seconds())
            .bind(link.expires_at.seconds())
            .execute(&mut *tx)
            .await?;
        finish(put.rows_affected() == 1, event, tx).await
    }

    async fn try_accept_invitation(
        &self,
        hash: &SecretHash<AccountLink>,
        user: &User,
        event: &Event,
    ) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let sql = "update account_links set used_at = $1
            where hash = $2 and user_id is null and email = $3 and used_at is null and expires_at > $1";
        let used = sqlx::query(sql)
            .bind(user.created_at.seconds())
            .bind(hash.to_text())
            .bind(user.email.as_str())
            .execute(&mut *tx)
            .await?;
        let made = used.rows_affected() == 1 && insert(user, &mut *tx).await? == Applied::Done;
        finish(made, event, tx).await
    }

    async fn try_use_reset_link(
        &self,
        hash: &SecretHash<AccountLink>,
        change: &PasswordChange,
        along: &Clearance,
        event: &Event,
    ) -> Result<Applied> {
        let mut tx = self.begin().await?;
        for unlinking in &along.links {
            identities::end_made_through(unlinking, &mut tx).await?;
        }
        let sql = "update account_links set used_at = $1
            where hash = $2 and user_id = $3 and used_at is null and expires_at > $1";
        let used = sqlx::query(sql)
            .bind(event.at.seconds())
            .bind(hash.to_text())
            .bind(change.user.as_str())
            .execute(&mut *tx)
            .await?;
        let changed = match used.rows_affected() {
            1 => change_password(change, event, &mut tx).await?,
            _ => None,
        };
        let Some(event) = changed else {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        };
        audit::record(&event, &mut tx).await?;
        for unlinking in &along.links {
            // Lost: it was taken away a moment earlier, as is wanted.
            let _removed = identities::remove(unlinking, &mut tx).await?;
        }
        if let Some(event) = &along.passkeys {
            passkeys::remove_all(&change.user, event, &mut tx).await?;
        }
        self.commit_and_nudge(tx).await?;
        Ok(Applied::Done)
    }
}

/// Commits with the event if it was done, or rolls back.
pub(super) async fn finish(done: bool, event: &Event, mut tx: Transaction<'static, Db>) -> Result<Applied> {
    if !done {
        tx.rollback().await?;
        return Ok(Applied::Lost);
    }
    audit::record(event, &mut tx).await?;
    tx.commit().await?;
    Ok(Applied::Done)
}

fn link(row: &Row) -> Result<Link> {
    let user: Option<String> = cell(row, "account_links.user_id")?;
    let purpose = match user {
        Some(user) => Purpose::Reset(
            UserId::parse(&user).ok_or(StoreError::Row { table: "account_links", column: "user_id" })?,
        ),
        None => Purpose::Invitation {
            name: cell(row, "account_links.name")?,
            groups: list(row, "account_links.group_names", |text| Some(text.to_owned()))?,
        },
    };
    Ok(Link {
        hash: read(row, "account_links.hash", SecretHash::from_text)?,
        purpose,
        email: read(row, "account_links.email", |text| Email::parse(text).ok())?,
        created_at: time(row, "account_links.created_at")?,
        expires_at: time(row, "account_links.expires_at")?,
        used_at: maybe_time(row, "account_links.used_at")?,
    })
}
