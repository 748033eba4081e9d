//! Artifacts: stored, found, listed, deleted.

use doorward_resource_server::NodePath;
use doorward_shared::time::Timestamp;
use sqlx::{Row, Sqlite, Transaction};

use super::{
    REPLAY_WINDOW, Store,
    blobs::Received,
    reach::{enter, find, in_places, places, row, within},
    records::{
        Artifact, ArtifactFilter, Draft, IdempotencyKey, Page, PageRequest, artifact, artifact_columns,
        optional,
    },
    sessions, usage,
};
use crate::{
    caller::Caller,
    errors::{Code, Refusal},
    ids::{ArtifactId, BlobId},
    permissions::{CREATE, DELETE, READ},
    plans::Plan,
};

/// A page ends early when the notes in it pass this.
const LIST_BYTES: usize = 256 * 1024;

/// What became of a call that stores.
#[derive(Debug)]
pub enum Stored {
    /// A new artifact.
    New(Artifact),
    /// The artifact that the first call with this key made.
    Replayed(Artifact),
}

impl Stored {
    /// The artifact.
    pub fn into_artifact(self) -> Artifact {
        match self {
            Self::New(artifact) | Self::Replayed(artifact) => artifact,
        }
    }
}

impl Store {
    /// Stores `bytes`. With a key, the same call within 24 hours finds the same artifact and changes nothing.
    pub async fn store(
        &self,
        caller: &Caller,
        draft: &Draft,
        bytes: &[u8],
        key: Option<&IdempotencyKey>,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<Stored, Refusal> {
        // Spares a replay the trip to the disk; the transaction below decides again.
        if let Some(key) = key {
            let mut connection = self.read.acquire().await?;
            if let Some(artifact) = replay(&mut connection, caller, draft, key, now).await? {
                return Ok(Stored::Replayed(artifact));
            }
        }
        let received = self.blobs.put(bytes).await?;
        let outcome = self.insert(caller, draft, &received, key, plan, now).await;
        match &outcome {
            Ok(Stored::Replayed(_)) => self.blobs.remove(&received.id).await,
            // After a fault of the database nobody knows whether the row is there. The file stays; without a row it
            // is an orphan and goes later.
            Err(refusal) if refusal.code() != Code::ServerError => self.blobs.remove(&received.id).await,
            _ => {}
        }
        outcome
    }

    async fn insert(
        &self,
        caller: &Caller,
        draft: &Draft,
        received: &Received,
        key: Option<&IdempotencyKey>,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<Stored, Refusal> {
        let mut tx = self.begin().await?;
        if let Some(key) = key
            && let Some(artifact) = replay(&mut tx, caller, draft, key, now).await?
        {
            return Ok(Stored::Replayed(artifact));
        }
        let id = &ArtifactId::generate(&*self.entropy);
        usage::reserve(&mut tx, &caller.organization, draft.charge(received.size), plan).await?;
        insert_row(&mut tx, caller, draft, id, received.size, Some(received), now).await?;
        if let Some(key) = key {
            sqlx::query(
                "insert into idempotency_keys (organization, subject, folder, key, fingerprint, artifact_id, created_at) \
                 values ($1, $2, $3, $4, $5, $6, $7) on conflict (organization, subject, folder, key) do update set \
                 fingerprint = excluded.fingerprint, artifact_id = excluded.artifact_id, created_at = excluded.created_at",
            )
            .bind(&caller.organization)
            .bind(&caller.subject)
            .bind(key_folder(draft))
            .bind(&key.key)
            .bind(&key.fingerprint)
            .bind(id.as_str())
            .bind(now.seconds())
            .execute(&mut *tx)
            .await?;
        }
        let artifact = row(&mut tx, &caller.organization, id)
            .await?
            .ok_or_else(|| Refusal::fault("the new row is missing"))?;
        tx.commit().await?;
        Ok(Stored::New(artifact))
    }

    /// The artifact, in whatever state it is, if `permission` is allowed where it lies.
    pub async fn artifact(
        &self,
        caller: &Caller,
        permission: &str,
        id: &ArtifactId,
    ) -> Result<Artifact, Refusal> {
        let mut connection = self.read.acquire().await?;
        find(&mut connection, caller, permission, id).await
    }

    /// Part of the list of the artifacts that the caller may read and that are neither deleted nor expired, newest first.
    pub async fn artifacts(
        &self,
        caller: &Caller,
        filter: &ArtifactFilter,
        page: &PageRequest,
        now: Timestamp,
    ) -> Result<Page<Artifact>, Refusal> {
        let readable = places(caller, READ);
        // A cursor names an artifact that its reader may read, so it tells nobody what else there is.
        let before: Option<i64> = match &page.after {
            None => None,
            Some(id) => {
                let seq = sqlx::query(concat!(
                    "select seq from artifacts where organization = $1 and artifact_id = $2 and ",
                    in_places!("$3"),
                ))
                .bind(&caller.organization)
                .bind(id)
                .bind(&readable)
                .fetch_optional(&self.read)
                .await?;
                Some(
                    seq.ok_or_else(|| Refusal::invalid("cursor: not one that this list gave out"))?
                        .try_get("seq")?,
                )
            }
        };
        let metadata = serde_json::to_string(&filter.metadata).map_err(Refusal::fault)?;
        let rows = sqlx::query(concat!(
            "select ",
            artifact_columns!(),
            " from artifacts where organization = $1 and ",
            in_places!("$2"),
            " and ",
            in_places!("$13"),
            " and ($3 is null or seq < $3) and deleted_at is null and (expires_at is null or expires_at > $4) \
             and ($5 is null or session_id = $5) and ($6 is null or agent_id = $6) \
             and ($7 is null or filename = $7) and ($8 is null or content_type = $8) \
             and ($9 is null or created_at > $9) and ($10 is null or created_at < $10) \
             and not exists (select 1 from json_each($11) as wanted where not exists (select 1 from \
             json_each(artifacts.metadata) as noted where noted.key = wanted.key and noted.value = wanted.value)) \
             order by seq desc limit $12",
        ))
        .bind(&caller.organization)
        .bind(&readable)
        .bind(before)
        .bind(now.seconds())
        .bind(&filter.session_id)
        .bind(&filter.agent_id)
        .bind(&filter.filename)
        .bind(&filter.content_type)
        .bind(filter.created_after.map(Timestamp::seconds))
        .bind(filter.created_before.map(Timestamp::seconds))
        .bind(metadata)
        .bind(i64::from(page.limit) + 1)
        .bind(filter.folder.as_ref().map(|folder| within([folder])))
        .fetch_all(&self.read)
        .await?;
        let artifacts = rows.iter().map(artifact).collect::<Result<_, _>>()?;
        Ok(Page::of(artifacts, page.limit).within(LIST_BYTES, noted))
    }

    /// Deletes an artifact: its bytes go, its row stays and says when. Answers the artifact, and whether it had been
    /// deleted before.
    pub async fn delete(
        &self,
        caller: &Caller,
        id: &ArtifactId,
        now: Timestamp,
    ) -> Result<(Artifact, bool), Refusal> {
        let mut tx = self.begin().await?;
        let before = find(&mut tx, caller, DELETE, id).await?;
        if before.deleted_at.is_some() {
            return Ok((before, true));
        }
        let freed = bury(&mut tx, &caller.organization, id, now).await?;
        stamp(&mut tx, caller, id, now).await?;
        let after = find(&mut tx, caller, DELETE, id).await?;
        tx.commit().await?;
        for blob in freed {
            self.blobs.remove(&blob).await;
        }
        Ok((after, false))
    }
}

/// How much was noted about an artifact.
fn noted(artifact: &Artifact) -> usize {
    artifact.filename.len()
        + artifact.metadata.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>()
}

/// Marks an artifact as deleted, gives its bytes back to the plan, and answers the files that nothing names any more.
pub(super) async fn bury(
    tx: &mut Transaction<'static, Sqlite>,
    organization: &str,
    id: &ArtifactId,
    now: Timestamp,
) -> Result<Vec<BlobId>, Refusal> {
    let row = sqlx::query(
        "select artifacts.blob_id as blob_id, uploads.blob_id as upload_blob_id from artifacts left join uploads \
         on uploads.artifact_id = artifacts.artifact_id where artifacts.artifact_id = $1",
    )
    .bind(id.as_str())
    .fetch_one(&mut **tx)
    .await?;
    let mut freed: Vec<BlobId> = Vec::new();
    for column in ["blob_id", "upload_blob_id"] {
        freed.extend(optional(&row, column, BlobId::parse)?.filter(|blob| !freed.contains(blob)));
    }
    // `released_at` is set once, so that no byte is given back twice: an expired artifact gave its bytes back already.
    let released = sqlx::query(
        "update artifacts set released_at = $1 where artifact_id = $2 and released_at is null returning charged_bytes",
    )
    .bind(now.seconds())
    .bind(id.as_str())
    .fetch_optional(&mut **tx)
    .await?;
    if let Some(row) = released {
        usage::release(tx, organization, row.try_get("charged_bytes")?).await?;
    }
    sqlx::query(
        "update artifacts set deleted_at = $1, blob_id = null, metadata = '{}' where artifact_id = $2",
    )
    .bind(now.seconds())
    .bind(id.as_str())
    .execute(&mut **tx)
    .await?;
    sqlx::query("update uploads set blob_id = null where artifact_id = $1")
        .bind(id.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(freed)
}

/// Writes the row of a new artifact; without `received` it is pending.
pub(super) async fn insert_row(
    tx: &mut Transaction<'static, Sqlite>,
    caller: &Caller,
    draft: &Draft,
    id: &ArtifactId,
    size: i64,
    received: Option<&Received>,
    now: Timestamp,
) -> Result<(), Refusal> {
    enter(tx, &caller.organization, draft.folder.as_ref()).await?;
    if let Some(session) = &draft.session_id {
        sessions::enter(tx, &caller.organization, &caller.subject, session).await?;
    }
    sqlx::query(
        "insert into artifacts (artifact_id, organization, folder, subject, client_id, credential, filename, \
         content_type, size_bytes, content_hash, blob_id, session_id, agent_id, metadata, created_at, activated_at, \
         expires_at, charged_bytes) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(id.as_str())
    .bind(&caller.organization)
    .bind(draft.folder.as_ref().map(NodePath::as_str))
    .bind(&caller.subject)
    .bind(&caller.client_id)
    .bind(&caller.credential)
    .bind(&draft.filename)
    .bind(&draft.content_type)
    .bind(size)
    .bind(received.map(|received| received.hash.as_str()))
    .bind(received.map(|received| received.id.as_str()))
    .bind(&draft.session_id)
    .bind(&draft.agent_id)
    .bind(serde_json::to_string(&draft.metadata).map_err(Refusal::fault)?)
    .bind(now.seconds())
    .bind(received.map(|_| now.seconds()))
    .bind(draft.ttl.map(|ttl| now.plus(ttl).seconds()))
    .bind(draft.charge(size))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes who changed an artifact.
pub(super) async fn stamp(
    tx: &mut Transaction<'static, Sqlite>,
    caller: &Caller,
    id: &ArtifactId,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update artifacts set updated_at = $1, updated_by = $2, updated_by_client_id = $3, updated_by_credential = $4 \
         where artifact_id = $5",
    )
    .bind(now.seconds())
    .bind(&caller.subject)
    .bind(&caller.client_id)
    .bind(&caller.credential)
    .bind(id.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The folder in whose name a key counts.
fn key_folder(draft: &Draft) -> &str {
    draft.folder.as_ref().map_or("", NodePath::as_str)
}

/// The artifact that the first call with this key made, if that was within 24 hours. One that was moved to where the caller
/// could not have stored it is none of the caller's: the call stores anew.
async fn replay(
    connection: &mut sqlx::SqliteConnection,
    caller: &Caller,
    draft: &Draft,
    key: &IdempotencyKey,
    now: Timestamp,
) -> Result<Option<Artifact>, Refusal> {
    let row = sqlx::query(concat!(
        "select fingerprint, ",
        artifact_columns!(),
        " from idempotency_keys join artifacts on artifacts.artifact_id = idempotency_keys.artifact_id \
         where idempotency_keys.organization = $1 and idempotency_keys.subject = $2 and key = $3 \
         and idempotency_keys.created_at > $4 and idempotency_keys.folder = $5 and ",
        in_places!("$6"),
    ))
    .bind(&caller.organization)
    .bind(&caller.subject)
    .bind(&key.key)
    .bind(now.minus(REPLAY_WINDOW).seconds())
    .bind(key_folder(draft))
    .bind(places(caller, CREATE))
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.try_get::<String, _>("fingerprint")? != key.fingerprint {
        return Err(Refusal::invalid(
            "idempotency_key: used within the last 24 hours for other content; use a new key for new content",
        ));
    }
    Ok(Some(artifact(&row)?))
}
