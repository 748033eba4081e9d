//! Accounts at upstream providers. The row of the person is locked before those of their identities are written.

use std::collections::BTreeSet;

use async_trait::async_trait;
use doorward_shared::{
    client_id::ClientId,
    secret::{RefreshToken, SecretHash},
    time::Timestamp,
};
use sqlx::Transaction;

use super::{
    Database, Db, applied, audit, ends, retry,
    rows::{
        self, Row, cell, grant_columns, json_list, list, maybe_time, read, senseless, time, user_columns,
    },
    sessions, users,
};
use crate::{
    domain::{
        audit::Event,
        grant::Grant,
        ids::{IdentityId, UserId},
        revocation::Revocation,
        upstream::{Hearing, Identity, Source, Unlinking},
        user::User,
    },
    store::{Applied, Identities, Result},
};

macro_rules! columns {
    () => {
        r#"identities.id as "identities.id", identities.provider as "identities.provider",
        identities.subject as "identities.subject", identities.user_id as "identities.user_id",
        identities.email as "identities.email", identities.group_names as "identities.group_names",
        identities.source as "identities.source", identities.refresh_token as "identities.refresh_token",
        identities.created_at as "identities.created_at", identities.checked_at as "identities.checked_at",
        identities.ended_at as "identities.ended_at""#
    };
}

#[async_trait]
impl Identities for Database {
    async fn insert_identity(&self, identity: &Identity, event: &Event) -> Result<Applied> {
        retry(|| self.try_insert(None, identity, std::slice::from_ref(event))).await
    }

    async fn insert_person(&self, user: &User, identity: &Identity, events: &[Event; 2]) -> Result<Applied> {
        retry(|| self.try_insert(Some(user), identity, events)).await
    }

    async fn identity(&self, provider: &str, subject: &str) -> Result<Option<(Identity, User)>> {
        let sql = concat!(
            "select ",
            columns!(),
            ", ",
            user_columns!(),
            " from identities join users on users.id = identities.user_id where provider = $1 and subject = $2"
        );
        let row = sqlx::query(sql).bind(provider).bind(subject).fetch_optional(&self.reader).await?;
        row.map(|row| Ok((identity(&row)?, rows::user(&row)?))).transpose()
    }

    async fn identity_by_id(&self, id: &IdentityId) -> Result<Option<Identity>> {
        let sql = concat!("select ", columns!(), " from identities where id = $1");
        let row = sqlx::query(sql).bind(id.as_str()).fetch_optional(&self.reader).await?;
        row.as_ref().map(identity).transpose()
    }

    async fn identities_of(&self, user: &UserId) -> Result<Vec<Identity>> {
        let sql = concat!("select ", columns!(), " from identities where user_id = $1 order by provider");
        let rows = sqlx::query(sql).bind(user.as_str()).fetch_all(&self.reader).await?;
        rows.iter().map(identity).collect()
    }

    async fn identities_behind(
        &self,
        token: &SecretHash<RefreshToken>,
        client: &ClientId,
    ) -> Result<Vec<Identity>> {
        let sql = concat!(
            "select ",
            columns!(),
            " from refresh_tokens join grants on grants.id = refresh_tokens.grant_id
            join identities on identities.user_id = grants.user_id
            where refresh_tokens.hash = $1 and refresh_tokens.spent_at is null and grants.ended_at is null
            and grants.client_id = $2 and identities.ended_at is null"
        );
        let rows =
            sqlx::query(sql).bind(token.to_text()).bind(client.as_str()).fetch_all(&self.reader).await?;
        rows.iter().map(identity).collect()
    }

    async fn claim_identity(&self, seen: &Identity, until: Timestamp, now: Timestamp) -> Result<Applied> {
        // The refresh token is the one that was read: a provider that rotates them takes each only once. And nobody has heard the
        // provider since: one answer is enough for all who ask at the same time.
        let sql = "update identities set claimed_until = $1 where id = $2
            and (claimed_until is null or claimed_until < $3) and refresh_token = $4 and checked_at = $5";
        let claimed = sqlx::query(sql)
            .bind(until.seconds())
            .bind(seen.id.as_str())
            .bind(now.seconds())
            .bind(seen.refresh_token.as_deref())
            .bind(seen.checked_at.seconds())
            .execute(&self.writer)
            .await?;
        Ok(applied(claimed.rows_affected()))
    }

    async fn is_claimed(&self, id: &IdentityId, now: Timestamp) -> Result<bool> {
        let sql = "select 1 from identities where id = $1 and claimed_until >= $2";
        let row = sqlx::query(sql).bind(id.as_str()).bind(now.seconds()).fetch_optional(&self.reader).await?;
        Ok(row.is_some())
    }

    async fn note_hearing(&self, hearing: &Hearing, event: Option<&Event>) -> Result<Applied> {
        retry(|| self.try_note_hearing(hearing, event)).await
    }

    async fn keep_refresh_token(&self, id: &IdentityId, claim: Timestamp, sealed: &str) -> Result<Applied> {
        let sql = "update identities set refresh_token = $1 where id = $2 and claimed_until = $3";
        let kept = sqlx::query(sql)
            .bind(sealed)
            .bind(id.as_str())
            .bind(claim.seconds())
            .execute(&self.writer)
            .await?;
        Ok(applied(kept.rows_affected()))
    }

    async fn end_identity(
        &self,
        identity: &Identity,
        claim: Timestamp,
        grants: &[(Revocation, Event)],
        event: &Event,
    ) -> Result<Applied> {
        retry(|| self.try_end(identity, claim, grants, event)).await
    }

    async fn remove_identity(&self, unlinking: &Unlinking) -> Result<Applied> {
        retry(|| self.try_remove(unlinking)).await
    }

    async fn grants_through(&self, user: &UserId, provider: &str) -> Result<Vec<Grant>> {
        let sql = concat!(
            "select ",
            grant_columns!(),
            " from grants join authorization_codes on authorization_codes.grant_id = grants.id
            join sessions on sessions.hash = authorization_codes.session_hash
            where grants.user_id = $1 and grants.ended_at is null and sessions.provider = $2"
        );
        let rows = sqlx::query(sql).bind(user.as_str()).bind(provider).fetch_all(&self.reader).await?;
        rows.iter().map(rows::grant).collect()
    }

    async fn lapse_groups(&self, provider: &str, before: Timestamp) -> Result<()> {
        let sql =
            "select user_id from identities where provider = $1 and checked_at <= $2 and group_names <> '[]'
            order by user_id";
        let people: Vec<String> =
            sqlx::query_scalar(sql).bind(provider).bind(before.seconds()).fetch_all(&self.reader).await?;
        for person in people {
            let person = UserId::parse(&person).ok_or_else(|| senseless("identities.user_id"))?;
            retry(|| self.try_take_groups(&person, provider, before, Source::Stale)).await?;
        }
        Ok(())
    }

    async fn keep_providers(&self, known: &[String], now: Timestamp) -> Result<()> {
        let sql = "select distinct provider from identities where group_names <> '[]'
            union select distinct provider from sessions where ended_at is null and provider is not null";
        let found: Vec<String> = sqlx::query_scalar(sql).fetch_all(&self.reader).await?;
        for gone in found.iter().filter(|provider| !known.contains(provider)) {
            retry(|| self.try_forget_provider(gone, now)).await?;
        }
        Ok(())
    }
}

impl Database {
    async fn try_insert(&self, person: Option<&User>, new: &Identity, events: &[Event]) -> Result<Applied> {
        let mut tx = self.begin().await?;
        if let Some(person) = person
            && users::insert(person, &mut *tx).await? == Applied::Lost
        {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        lock(&new.user_id, &mut tx).await?;
        let sql = "insert into identities (id, provider, subject, user_id, email, group_names, source, refresh_token,
            created_at, checked_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing";
        let inserted = sqlx::query(sql)
            .bind(new.id.as_str())
            .bind(&new.provider)
            .bind(&new.subject)
            .bind(new.user_id.as_str())
            .bind(new.email.as_deref())
            .bind(json_list(new.groups.iter().map(String::as_str)))
            .bind(new.source.as_str())
            .bind(new.refresh_token.as_deref())
            .bind(new.created_at.seconds())
            .bind(new.checked_at.seconds())
            .execute(&mut *tx)
            .await?;
        if inserted.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        unite(&new.user_id, &mut tx).await?;
        for event in events {
            audit::record(event, &mut tx).await?;
        }
        tx.commit().await?;
        Ok(Applied::Done)
    }

    async fn try_note_hearing(&self, hearing: &Hearing, event: Option<&Event>) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let Some(person) = person_of(&hearing.identity, &mut tx).await? else { return Ok(Applied::Lost) };
        lock(&person, &mut tx).await?;
        // Only the provider's own word renews how long the groups hold.
        let sql = "update identities set email = coalesce($1, email), group_names = $2, source = $3,
            refresh_token = coalesce($4, refresh_token),
            checked_at = case when $5 = 1 then $6 else checked_at end,
            claimed_until = null, ended_at = null
            where id = $7 and ($8 = 0 or claimed_until = $8)";
        let noted = sqlx::query(sql)
            .bind(hearing.email.as_deref())
            .bind(json_list(hearing.standing.groups.iter().map(String::as_str)))
            .bind(hearing.standing.source.as_str())
            .bind(hearing.refresh_token.as_deref())
            .bind(i64::from(hearing.standing.heard))
            .bind(hearing.at.seconds())
            .bind(hearing.identity.as_str())
            .bind(hearing.claim.map_or(0, Timestamp::seconds))
            .execute(&mut *tx)
            .await?;
        if noted.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        unite(&person, &mut tx).await?;
        if let Some(event) = event {
            audit::record(event, &mut tx).await?;
        }
        tx.commit().await?;
        Ok(Applied::Done)
    }

    async fn try_end(
        &self,
        identity: &Identity,
        claim: Timestamp,
        grants: &[(Revocation, Event)],
        event: &Event,
    ) -> Result<Applied> {
        let mut tx = self.begin().await?;
        // First, as everywhere; undone if the claim is not good any more. One that was ended meanwhile is over anyway.
        for (revocation, event) in grants {
            let _ended = ends::end_one(revocation, event, &mut tx).await?;
        }
        lock(&identity.user_id, &mut tx).await?;
        let sql = "update identities set group_names = '[]', source = $1, refresh_token = null, claimed_until = null,
            ended_at = $2 where id = $3 and claimed_until = $4";
        let ended = sqlx::query(sql)
            .bind(Source::Ended.as_str())
            .bind(event.at.seconds())
            .bind(identity.id.as_str())
            .bind(claim.seconds())
            .execute(&mut *tx)
            .await?;
        if ended.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        sessions::end_at_provider(&identity.user_id, &identity.provider, event.at, &mut tx).await?;
        unite(&identity.user_id, &mut tx).await?;
        audit::record(event, &mut tx).await?;
        self.commit_and_nudge(tx).await?;
        Ok(Applied::Done)
    }

    async fn try_remove(&self, unlinking: &Unlinking) -> Result<Applied> {
        let mut tx = self.begin().await?;
        end_made_through(unlinking, &mut tx).await?;
        if remove(unlinking, &mut tx).await? == Applied::Lost {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        self.commit_and_nudge(tx).await?;
        Ok(Applied::Done)
    }

    async fn try_forget_provider(&self, provider: &str, now: Timestamp) -> Result<()> {
        let mut tx = self.begin().await?;
        sessions::end_of_provider(provider, now, &mut tx).await?;
        let sql =
            "select user_id from identities where provider = $1 and group_names <> '[]' order by user_id";
        let people: Vec<String> = sqlx::query_scalar(sql).bind(provider).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        for person in people {
            let person = UserId::parse(&person).ok_or_else(|| senseless("identities.user_id"))?;
            self.try_take_groups(&person, provider, now, Source::Ended).await?;
        }
        Ok(())
    }

    /// Takes the groups that a provider gave to a person, if it was last heard by then.
    async fn try_take_groups(
        &self,
        person: &UserId,
        provider: &str,
        heard_by: Timestamp,
        why: Source,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        lock(person, &mut tx).await?;
        let sql = "update identities set group_names = '[]', source = $1
            where user_id = $2 and provider = $3 and checked_at <= $4";
        sqlx::query(sql)
            .bind(why.as_str())
            .bind(person.as_str())
            .bind(provider)
            .bind(heard_by.seconds())
            .execute(&mut *tx)
            .await?;
        unite(person, &mut tx).await?;
        Ok(tx.commit().await?)
    }
}

/// Ends the grants that were made through a link, within a transaction and before it is removed. One that ended meanwhile is over
/// anyway.
pub(super) async fn end_made_through(unlinking: &Unlinking, tx: &mut Transaction<'_, Db>) -> Result<()> {
    for (revocation, event) in &unlinking.grants {
        let _ended = ends::end_one(revocation, event, tx).await?;
    }
    Ok(())
}

/// Removes a link within a transaction. `Lost`: it is gone already.
pub(super) async fn remove(unlinking: &Unlinking, tx: &mut Transaction<'_, Db>) -> Result<Applied> {
    let Unlinking { identity, event, .. } = unlinking;
    lock(&identity.user_id, tx).await?;
    let gone = sqlx::query("delete from identities where id = $1")
        .bind(identity.id.as_str())
        .execute(&mut **tx)
        .await?;
    if gone.rows_affected() == 0 {
        return Ok(Applied::Lost);
    }
    sessions::end_at_provider(&identity.user_id, &identity.provider, event.at, tx).await?;
    unite(&identity.user_id, tx).await?;
    audit::record(event, tx).await?;
    Ok(Applied::Done)
}

async fn person_of(id: &IdentityId, tx: &mut Transaction<'_, Db>) -> Result<Option<UserId>> {
    let sql = "select user_id from identities where id = $1";
    let found: Option<String> = sqlx::query_scalar(sql).bind(id.as_str()).fetch_optional(&mut **tx).await?;
    found.map(|text| UserId::parse(&text).ok_or_else(|| senseless("identities.user_id"))).transpose()
}

/// Two identities of one person that change at once must not each miss the other.
async fn lock(person: &UserId, tx: &mut Transaction<'_, Db>) -> Result<()> {
    let sql = "update users set upstream_groups = upstream_groups where id = $1";
    sqlx::query(sql).bind(person.as_str()).execute(&mut **tx).await?;
    Ok(())
}

/// Writes the groups of all identities of a person to the person.
async fn unite(person: &UserId, tx: &mut Transaction<'_, Db>) -> Result<()> {
    let sql = r#"select group_names as "identities.group_names" from identities where user_id = $1"#;
    let rows = sqlx::query(sql).bind(person.as_str()).fetch_all(&mut **tx).await?;
    let mut groups = BTreeSet::new();
    for row in &rows {
        let names: Vec<String> = list(row, "identities.group_names", |text| Some(text.to_owned()))?;
        groups.extend(names);
    }
    sqlx::query("update users set upstream_groups = $1 where id = $2")
        .bind(json_list(groups.iter().map(String::as_str)))
        .bind(person.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn identity(row: &Row) -> Result<Identity> {
    Ok(Identity {
        id: read(row, "identities.id", IdentityId::parse)?,
        provider: cell(row, "identities.provider")?,
        subject: cell(row, "identities.subject")?,
        user_id: read(row, "identities.user_id", UserId::parse)?,
        email: cell(row, "identities.email")?,
        groups: list(row, "identities.group_names", |text| Some(text.to_owned()))?,
        source: read(row, "identities.source", Source::parse)?,
        refresh_token: cell(row, "identities.refresh_token")?,
        created_at: time(row, "identities.created_at")?,
        checked_at: time(row, "identities.checked_at")?,
        ended_at: maybe_time(row, "identities.ended_at")?,
    })
}
