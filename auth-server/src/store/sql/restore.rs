//! What ends as a backup is restored.

use doorward_shared::{revocation::Claim, time::Timestamp};
use serde_json::Value;
use sqlx::Transaction;

use super::{
    Db, audit,
    feed::{self, Head},
};
use crate::{
    domain::{
        audit::{Event, StoredEvent},
        grant::EndReason,
        restore::{Restoration, Seal, Which},
    },
    store::{
        Result, StoreError,
        archive::{self, ArchiveError, Continuation},
    },
};

/// Carries out the verdict within the transaction that filled the tables.
pub(super) async fn apply(
    verdict: &Restoration,
    epoch: &str,
    event: &Event,
    tx: &mut Transaction<'_, Db>,
) -> Result<()> {
    let sql = "insert into facts (name, value) values ('feed_epoch', $1)
        on conflict (name) do update set value = excluded.value";
    sqlx::query(sql).bind(epoch).execute(&mut **tx).await?;
    let mut event = event.clone();
    if verdict.ends() {
        event = event.with("grants", end_all(verdict, tx).await?);
        event = event.with("signing_keys", revoke_signing_keys(verdict, tx).await?);
        bar(verdict, tx).await?;
    }
    if verdict.seal() == Seal::Lost {
        // What nobody can open is of no use, and would stop the next start.
        for sql in [
            "delete from facts where name <> 'feed_epoch'",
            "delete from audit_checkpoints where sequence > 0",
        ] {
            sqlx::query(sql).execute(&mut **tx).await?;
        }
    }
    audit::record(&event, tx).await
}

/// Ends whatever came of signing in. Answers how many grants.
async fn end_all(verdict: &Restoration, tx: &mut Transaction<'_, Db>) -> Result<u64> {
    let at = verdict.at().seconds();
    let sql = "update grants set ended_at = $1, end_reason = $2 where ended_at is null";
    let ended = sqlx::query(sql).bind(at).bind(EndReason::Restored.as_str()).execute(&mut **tx).await?;
    for sql in [
        "update sessions set ended_at = $1 where ended_at is null",
        "update api_keys set revoked_at = $1 where revoked_at is null",
        "update users set revoked_until = $1 where revoked_until is null or revoked_until < $1",
        "update clients set revoked_until = $1 where revoked_until is null or revoked_until < $1",
        "update resources set revoked_until = $1 where revoked_until is null or revoked_until < $1",
    ] {
        sqlx::query(sql).bind(at).execute(&mut **tx).await?;
    }
    for id in verdict.unlinked_identities() {
        sqlx::query("delete from identities where id = $1").bind(id).execute(&mut **tx).await?;
    }
    // A provider may have taken them away since, and may have given other refresh tokens.
    for sql in [
        "update identities set group_names = '[]', source = 'ended', refresh_token = null, claimed_until = null",
        "update users set upstream_groups = '[]'",
    ] {
        sqlx::query(sql).execute(&mut **tx).await?;
    }
    // They may have been replaced since.
    sqlx::query("update clients set registration_token_hash = null").execute(&mut **tx).await?;
    // It may have been used since; the next start makes another one if there is still no administrator.
    sqlx::query("delete from setup_links where used_at is null").execute(&mut **tx).await?;
    sqlx::query("delete from account_links where used_at is null").execute(&mut **tx).await?;
    // The lost database may have told them, of sessions that are long over.
    sqlx::query("delete from logouts").execute(&mut **tx).await?;
    let issuer = verdict.issuer().as_str();
    feed::push(Claim::Iss, issuer, Some(verdict.at()), verdict.forget_at(), tx).await?;
    Ok(ended.rows_affected())
}

/// Revokes every key that could have signed a token that somebody still takes; the next start makes new ones. Answers how many.
async fn revoke_signing_keys(verdict: &Restoration, tx: &mut Transaction<'_, Db>) -> Result<u64> {
    let sql = "select kid from signing_keys where state in ('next', 'active', 'retired')";
    let mut kids: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut **tx).await?;
    kids.extend(verdict.lost_signing_keys().map(String::from));
    kids.sort_unstable();
    kids.dedup();
    for kid in &kids {
        feed::push(Claim::Kid, kid, None, verdict.forget_keys_at(), tx).await?;
    }
    let sql = "update signing_keys set state = 'revoked', sealed = null, removed_at = $1
        where state in ('next', 'active', 'retired')";
    sqlx::query(sql).bind(verdict.at().seconds()).execute(&mut **tx).await?;
    feed::advance(Head::SigningKeys, tx).await?;
    Ok(kids.len() as u64)
}

async fn bar(verdict: &Restoration, tx: &mut Transaction<'_, Db>) -> Result<()> {
    for (which, all, one) in [
        (
            verdict.disabled_users(),
            "update users set disabled_at = $1 where disabled_at is null",
            "update users set disabled_at = $1 where disabled_at is null and id = $2",
        ),
        (
            verdict.disabled_clients(),
            "update clients set disabled_at = $1 where disabled_at is null",
            "update clients set disabled_at = $1 where disabled_at is null and id = $2",
        ),
        (
            verdict.disabled_resources(),
            "update resources set disabled_at = $1 where disabled_at is null",
            "update resources set disabled_at = $1 where disabled_at is null and folded = $2",
        ),
        (
            verdict.disabled_rules(),
            "update entitlements set disabled_at = $1 where disabled_at is null",
            "update entitlements set disabled_at = $1 where disabled_at is null and id = $2",
        ),
        (
            verdict.revoked_admin_keys(),
            "update admin_keys set revoked_at = $1 where revoked_at is null",
            "update admin_keys set revoked_at = $1 where revoked_at is null and id = $2",
        ),
    ] {
        let at = verdict.at().seconds();
        match which {
            Which::None => {}
            Which::All => {
                sqlx::query(all).bind(at).execute(&mut **tx).await?;
            }
            Which::These(these) => {
                for id in these {
                    sqlx::query(one).bind(at).bind(id.as_str()).execute(&mut **tx).await?;
                }
            }
        }
    }
    for id in verdict.removed_clients() {
        let unlink = "update grants set client_row = null where client_row = $1";
        remove(unlink, "delete from clients where id = $1", id, tx).await?;
    }
    for id in verdict.removed_rules() {
        sqlx::query("delete from entitlements where id = $1").bind(id).execute(&mut **tx).await?;
    }
    for folded in verdict.listed_resources() {
        let sql = "update resources set access = 'listed' where folded = $1";
        sqlx::query(sql).bind(folded).execute(&mut **tx).await?;
    }
    for folded in verdict.removed_resources() {
        let unlink = "delete from entitlements where resource = $1";
        sqlx::query(unlink).bind(folded).execute(&mut **tx).await?;
        let unlink = "update api_keys set resource_row = null where resource_row = $1";
        sqlx::query(unlink).bind(folded).execute(&mut **tx).await?;
        let unlink = "update grants set resource_row = null where resource_row = $1";
        remove(unlink, "delete from resources where folded = $1", folded, tx).await?;
    }
    Ok(())
}

async fn remove(
    unlink: &'static str,
    delete: &'static str,
    id: &str,
    tx: &mut Transaction<'_, Db>,
) -> Result<()> {
    for sql in [unlink, delete] {
        sqlx::query(sql).bind(id).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Takes the events that the lost database had after the backup, in their places of the chain. One that the backup has, but
/// not in its place yet, gets it.
pub(super) async fn continue_trail(
    from: Continuation<'_>,
    tx: &mut Transaction<'_, Db>,
) -> archive::Result<()> {
    let Continuation { mut trail, end } = from;
    while let Some(stored) = trail.next_event()? {
        place(&stored, tx).await?;
    }
    if trail.end() != Some(&end) {
        return Err(ArchiveError::Moved);
    }
    let sql = "update heads set sequence = $1 where name = 'audit' and sequence < $1";
    sqlx::query(sql).bind(end.sequence).execute(&mut **tx).await.map_err(StoreError::from)?;
    Ok(())
}

async fn place(stored: &StoredEvent, tx: &mut Transaction<'_, Db>) -> Result<()> {
    let StoredEvent { event, link } = stored;
    let sql = "insert into audit_events (id, at, actor_kind, actor, action, object, address, detail, sequence, hash)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        on conflict (id) do update set sequence = excluded.sequence, hash = excluded.hash";
    let (kind, actor) = event.actor.parts();
    sqlx::query(sql)
        .bind(event.id.as_str())
        .bind(Timestamp::seconds(event.at))
        .bind(kind)
        .bind(actor)
        .bind(event.action.as_str())
        .bind(event.object.as_deref())
        .bind(event.address.as_deref())
        .bind(Value::Object(event.detail.clone()).to_string())
        .bind(link.as_ref().map(|link| link.sequence))
        .bind(link.as_ref().map(|link| link.hash.as_str()))
        .execute(&mut **tx)
        .await?;
    Ok(())
}
