//! Clients.

use async_trait::async_trait;
use doorward_shared::{
    client_id::ClientId,
    redirect_uri::RedirectUri,
    revocation::Claim,
    secret::{ClientSecret, RegistrationToken, SecretHash},
    time::Timestamp,
    token::GrantType,
};
use sqlx::query::Query;

use super::{
    Database, Db, audit, ends, feed, retry,
    rows::{self, client_columns, json_about, json_backchannel_logout, json_list},
};
use crate::{
    domain::{
        amendment::Amendment,
        audit::Event,
        client::{Client, Credentials, Origin},
        registration::{Deregistration, Replacement},
        revocation::Sweep,
    },
    store::{Applied, Clients, Result},
};

macro_rules! insert {
    () => {
        "insert into clients (id, name, origin, redirect_uris, post_logout_redirect_uris, grant_types, auth_method, secret_hash,
        former_secret_hash, registration_token_hash, ceiling, ceiling_places, backchannel_logout, created_at, disabled_at,
        revoked_until, about, document_read_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
    };
}

#[async_trait]
impl Clients for Database {
    async fn insert_client(&self, client: &Client, event: &Event) -> Result<Applied> {
        retry(|| self.try_insert_client(client, event)).await
    }

    async fn put_configured_client(&self, client: &Client) -> Result<()> {
        // When it was made, whether it is disabled and what bounds it are not for the configuration to say.
        let put = sqlx::query(concat!(
            insert!(),
            " on conflict (id) do update set name = excluded.name, origin = excluded.origin,
            redirect_uris = excluded.redirect_uris,
            post_logout_redirect_uris = excluded.post_logout_redirect_uris, grant_types = excluded.grant_types,
            auth_method = excluded.auth_method, secret_hash = excluded.secret_hash, former_secret_hash = excluded.former_secret_hash,
            registration_token_hash = excluded.registration_token_hash,
            backchannel_logout = excluded.backchannel_logout,
            about = excluded.about"
        ));
        bind(put, client).execute(&self.writer).await?;
        Ok(())
    }

    async fn put_document_client(&self, client: &Client, event: &Event) -> Result<()> {
        retry(|| self.try_put_document_client(client, event)).await
    }

    async fn client(&self, id: &ClientId) -> Result<Option<Client>> {
        let sql = concat!("select ", client_columns!(), " from clients where id = $1");
        let row = sqlx::query(sql).bind(id.as_str()).fetch_optional(&self.reader).await?;
        row.as_ref().map(rows::client).transpose()
    }

    async fn clients(&self) -> Result<Vec<Client>> {
        let sql = concat!("select ", client_columns!(), " from clients");
        let rows = sqlx::query(sql).fetch_all(&self.reader).await?;
        let mut clients: Vec<_> = rows.iter().map(rows::client).collect::<Result<_>>()?;
        clients.sort_by(|a, b| (b.created_at, a.id.as_str()).cmp(&(a.created_at, b.id.as_str())));
        Ok(clients)
    }

    async fn change_client(&self, amendment: &Amendment, event: &Event) -> Result<Applied> {
        retry(|| self.try_change_client(amendment, event)).await
    }

    async fn disable_client(&self, id: &ClientId, sweep: &Sweep, event: &Event) -> Result<Applied> {
        let sql = "update clients set disabled_at = $1 where id = $2";
        retry(|| self.try_bar(sql, id.as_str(), sweep, event)).await
    }

    async fn enable_client(&self, id: &ClientId, sweep: &Sweep, event: &Event) -> Result<Applied> {
        let sql = "update clients set disabled_at = null where $1 > 0 and id = $2";
        retry(|| self.try_bar(sql, id.as_str(), sweep, event)).await
    }

    async fn rotate_client_secret(
        &self,
        id: &ClientId,
        (before, after): (&SecretHash<ClientSecret>, &SecretHash<ClientSecret>),
        event: &Event,
    ) -> Result<Applied> {
        let sql = "update clients set former_secret_hash = secret_hash, secret_hash = $1
            where id = $2 and secret_hash = $3";
        let change = || sqlx::query(sql).bind(after.to_text()).bind(id.as_str()).bind(before.to_text());
        retry(|| self.try_change_secret(change(), event)).await
    }

    async fn retire_client_secret(&self, id: &ClientId, event: &Event) -> Result<Applied> {
        let sql =
            "update clients set former_secret_hash = null where id = $1 and former_secret_hash is not null";
        retry(|| self.try_change_secret(sqlx::query(sql).bind(id.as_str()), event)).await
    }

    async fn delete_client(&self, id: &ClientId, sweep: &Sweep, event: &Event) -> Result<Applied> {
        retry(|| self.try_delete_client(id, None, sweep, event)).await
    }

    async fn replace_registration(&self, replacement: &Replacement, event: &Event) -> Result<Applied> {
        retry(|| self.try_replace_registration(replacement, event)).await
    }

    async fn deregister(&self, deregistration: &Deregistration, event: &Event) -> Result<Applied> {
        let Deregistration { client, token, sweep } = deregistration;
        retry(|| self.try_delete_client(client, Some(token), sweep, event)).await
    }

    async fn forget_unused_clients(&self, before: Timestamp) -> Result<u64> {
        retry(|| self.try_forget_unused_clients(before)).await
    }
}

impl Database {
    async fn try_insert_client(&self, client: &Client, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        // One that was removed in this very second may come back under its name; its tokens from before must not.
        let revoked_until = ends::revoked_until(Claim::ClientId, client.id.as_str(), &mut tx).await?;
        let client = Client { revoked_until: client.revoked_until.max(revoked_until), ..client.clone() };
        let insert = sqlx::query(concat!(insert!(), " on conflict do nothing"));
        let inserted = bind(insert, &client).execute(&mut *tx).await?;
        if inserted.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        audit::record(event, &mut tx).await?;
        tx.commit().await?;
        Ok(Applied::Done)
    }

    async fn try_change_client(&self, amendment: &Amendment, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let (before, after) = (amendment.before(), amendment.after());
        let id = after.id.as_str();
        if amendment.narrows() {
            let (at, forget_at) = (amendment.at(), amendment.forget_at());
            feed::push(Claim::ClientId, id, Some(at), forget_at, &mut tx).await?;
        }
        // Only what was decided upon is changed: of two changes at once, the second is decided anew.
        let sql = "update clients set name = $1, redirect_uris = $2, ceiling = $3, ceiling_places = $4,
            revoked_until = coalesce($5, revoked_until)
            where id = $6 and coalesce(name, '') = $7 and redirect_uris = $8 and coalesce(ceiling, '') = $9
            and ceiling_places = $10";
        let changed = sqlx::query(sql)
            .bind(after.name.as_deref())
            .bind(json_list(after.redirect_uris.iter().map(RedirectUri::as_str)))
            .bind(after.ceiling.as_deref())
            .bind(json_places(after))
            .bind(amendment.narrows().then_some(amendment.at().seconds()))
            .bind(id)
            .bind(before.name.as_deref().unwrap_or_default())
            .bind(json_list(before.redirect_uris.iter().map(RedirectUri::as_str)))
            .bind(before.ceiling.as_deref().unwrap_or_default())
            .bind(json_places(before))
            .execute(&mut *tx)
            .await?;
        if changed.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        audit::record(event, &mut tx).await?;
        self.commit_and_nudge(tx).await?;
        Ok(Applied::Done)
    }

    async fn try_put_document_client(&self, client: &Client, event: &Event) -> Result<()> {
        let mut tx = self.begin().await?;
        let revoked_until = ends::revoked_until(Claim::ClientId, client.id.as_str(), &mut tx).await?;
        let new = Client { revoked_until, ..client.clone() };
        let insert = sqlx::query(concat!(insert!(), " on conflict do nothing"));
        if bind(insert, &new).execute(&mut *tx).await?.rows_affected() == 1 {
            audit::record(event, &mut tx).await?;
        } else {
            let sql = "select 1 from clients where id = $1 and origin = 'document' and document_read_at <= $2
                and (coalesce(name, '') <> $3 or redirect_uris <> $4)";
            let other = sqlx::query(sql)
                .bind(client.id.as_str())
                .bind(read_at(client))
                .bind(client.name.as_deref().unwrap_or_default())
                .bind(json_list(client.redirect_uris.iter().map(RedirectUri::as_str)))
                .fetch_optional(&mut *tx)
                .await?;
            if other.is_some() {
                audit::record(event, &mut tx).await?;
            }
            let sql = "update clients set name = $1, redirect_uris = $2, post_logout_redirect_uris = $3, grant_types = $4,
                auth_method = $5, about = $6, document_read_at = $7
                where id = $8 and origin = 'document' and document_read_at <= $7";
            sqlx::query(sql)
                .bind(client.name.as_deref())
                .bind(json_list(client.redirect_uris.iter().map(RedirectUri::as_str)))
                .bind(json_list(client.post_logout_redirect_uris.iter().map(RedirectUri::as_str)))
                .bind(json_list(client.grant_types.iter().copied().map(GrantType::as_str)))
                .bind(client.auth_method().as_str())
                .bind(json_about(&client.about))
                .bind(read_at(client))
                .bind(client.id.as_str())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn try_change_secret(
        &self,
        change: Query<'_, Db, Arguments>,
        event: &Event,
    ) -> Result<Applied> {
        let mut tx = self.begin().await?;
        if change.execute(&mut *tx).await?.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        audit::record(event, &mut tx).await?;
        tx.commit().await?;
        Ok(Applied::Done)
    }

    /// A grant that is being made for the client right now makes the deletion fail on its foreign key; the retry ends that
    /// grant as well. With a registration token only a client that has it, and that nobody disabled.
    async fn try_delete_client(
        &self,
        id: &ClientId,
        token: Option<&SecretHash<RegistrationToken>>,
        sweep: &Sweep,
        event: &Event,
    ) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let ended = ends::sweep(sweep, &mut tx).await?;
        sqlx::query("update grants set client_row = null where client_row = $1 and ended_at is not null")
            .bind(id.as_str())
            .execute(&mut *tx)
            .await?;
        sqlx::query("delete from logouts where client_id = $1").bind(id.as_str()).execute(&mut *tx).await?;
        let sql = "delete from clients where id = $1
            and ($2 = '' or (registration_token_hash = $2 and disabled_at is null))";
        let token = token.map(SecretHash::to_text).unwrap_or_default();
        let deleted = sqlx::query(sql).bind(id.as_str()).bind(token).execute(&mut *tx).await?;
        if deleted.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        audit::record(&ended.told(event), &mut tx).await?;
        self.commit_and_nudge(tx).await?;
        Ok(Applied::Done)
    }

    /// Of several at once one has the token that is still good.
    async fn try_replace_registration(&self, replacement: &Replacement, event: &Event) -> Result<Applied> {
        let (client, before) = (replacement.client(), replacement.before());
        let mut tx = self.begin().await?;
        let ended = match replacement.sweep() {
            Some(sweep) => Some(ends::sweep_and_date(sweep, &mut tx).await?),
            None => None,
        };
        let sql = "update clients set name = $1, redirect_uris = $2, post_logout_redirect_uris = $3, grant_types = $4,
            auth_method = $5, about = $6, registration_token_hash = $7
            where id = $8 and registration_token_hash = $9 and disabled_at is null";
        let replaced = sqlx::query(sql)
            .bind(client.name.as_deref())
            .bind(json_list(client.redirect_uris.iter().map(RedirectUri::as_str)))
            .bind(json_list(client.post_logout_redirect_uris.iter().map(RedirectUri::as_str)))
            .bind(json_list(client.grant_types.iter().copied().map(GrantType::as_str)))
            .bind(client.auth_method().as_str())
            .bind(json_about(&client.about))
            .bind(client.registration_token.map(|hash| hash.to_text()))
            .bind(client.id.as_str())
            .bind(before.to_text())
            .execute(&mut *tx)
            .await?;
        if replaced.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        let event = ended.map_or_else(|| event.clone(), |ended| ended.told(event));
        audit::record(&event, &mut tx).await?;
        self.commit_and_nudge(tx).await?;
        Ok(Applied::Done)
    }

    /// A client that gets its first grant right now makes the deletion fail on the foreign key; the retry leaves it alone.
    async fn try_forget_unused_clients(&self, before: Timestamp) -> Result<u64> {
        // A document would bring its client back without what an administrator said of it.
        let sql = "delete from clients where created_at < $1
            and (origin = 'dynamic'
                or (origin = 'document' and disabled_at is null and ceiling is null and ceiling_places = '[]'))
            and not exists (select 1 from grants where grants.client_row = clients.id)";
        Ok(sqlx::query(sql).bind(before.seconds()).execute(&self.writer).await?.rows_affected())
    }
}

fn json_places(client: &Client) -> String {
    let places: Vec<_> = client.ceiling_places.iter().map(ToString::to_string).collect();
    json_list(places.iter().map(String::as_str))
}

type Arguments = <Db as sqlx::Database>::Arguments;

fn bind<'q>(query: Query<'q, Db, Arguments>, client: &'q Client) -> Query<'q, Db, Arguments> {
    let (secret, former) = match &client.credentials {
        Credentials::Public => (None, None),
        Credentials::Confidential { secret, former, .. } => {
            (Some(secret.to_text()), former.map(|hash| hash.to_text()))
        }
    };
    query
        .bind(client.id.as_str())
        .bind(client.name.as_deref())
        .bind(client.origin.as_str())
        .bind(json_list(client.redirect_uris.iter().map(RedirectUri::as_str)))
        .bind(json_list(client.post_logout_redirect_uris.iter().map(RedirectUri::as_str)))
        .bind(json_list(client.grant_types.iter().copied().map(GrantType::as_str)))
        .bind(client.auth_method().as_str())
        .bind(secret)
        .bind(former)
        .bind(client.registration_token.map(|hash| hash.to_text()))
        .bind(client.ceiling.as_deref())
        .bind(json_places(client))
        .bind(client.backchannel_logout.as_ref().map(json_backchannel_logout))
        .bind(client.created_at.seconds())
        .bind(client.disabled_at.map(Timestamp::seconds))
        .bind(client.revoked_until.map(Timestamp::seconds))
        .bind(json_about(&client.about))
        .bind(read_at(client))
}

/// When its document was read, for a client that has one.
fn read_at(client: &Client) -> Option<i64> {
    match client.origin {
        Origin::Document(read_at) => Some(read_at.seconds()),
        Origin::Dynamic | Origin::Administrator | Origin::Fixed => None,
    }
}
