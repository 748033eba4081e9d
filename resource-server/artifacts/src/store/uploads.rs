//! Uploads: reserved, received once, confirmed.

use doorward_resource_server::Maker;
use doorward_shared::{secret::SecretHash, time::Timestamp};
use sqlx::{Row, sqlite::SqliteRow};

use super::{
    Store,
    artifacts::{insert_row, stamp},
    blobs::Received,
    reach::{find, row},
    records::{Artifact, Draft, optional, parsed, time},
    revocations::{self, maker, maker_columns},
    sessions, usage,
};
use crate::{
    caller::Caller,
    errors::{Code, Refusal},
    ids::{ArtifactId, BlobId, UploadToken},
    permissions::CREATE,
    plans::Plan,
};

/// What an upload address stands for.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The pending artifact.
    pub artifact_id: ArtifactId,
    /// The exact length that was announced.
    pub size_bytes: i64,
    /// The media type that was announced.
    pub content_type: String,
    /// Until when a PUT may begin.
    pub expires_at: Timestamp,
    /// When the bytes came.
    pub received_at: Option<Timestamp>,
    /// When the artifact was deleted.
    pub deleted_at: Option<Timestamp>,
    /// The credential that asked for the address, and when that was revoked.
    pub maker: Maker,
    /// When the address ended because of that.
    pub ended_at: Option<Timestamp>,
}

/// An upload that is announced.
#[derive(Clone, Copy, Debug)]
pub struct Reservation<'a> {
    /// Its exact length.
    pub size: i64,
    /// The address that takes it.
    pub address: &'a SecretHash<UploadToken>,
    /// Until when a PUT may begin.
    pub expires_at: Timestamp,
}

/// What became of a PUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// These bytes are the upload.
    Done,
    /// Another PUT was first, or the artifact or the address is gone.
    Lost,
}

impl Store {
    /// Makes a pending artifact and the address to which its bytes may be PUT once.
    pub async fn reserve_upload(
        &self,
        caller: &Caller,
        draft: &Draft,
        reservation: Reservation<'_>,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<Artifact, Refusal> {
        let Reservation { size, address, expires_at } = reservation;
        let id = ArtifactId::generate(&*self.entropy);
        let mut tx = self.begin().await?;
        // Reserved now, so that the bytes cannot be refused for want of space once they have been sent.
        usage::reserve(&mut tx, &caller.organization, draft.charge(size), plan).await?;
        insert_row(&mut tx, caller, draft, &id, size, None, now).await?;
        revocations::may_make(&mut tx, caller).await?;
        sqlx::query(
            "insert into uploads (artifact_id, token_hash, expires_at, organization, subject, client_id, credential, \
             grant_id, token_id, key_id, issued_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(id.as_str())
        .bind(address.to_text())
        .bind(expires_at.seconds())
        .bind(&caller.organization)
        .bind(&caller.subject)
        .bind(&caller.client_id)
        .bind(&caller.credential)
        .bind(&caller.grant)
        .bind(&caller.token_id)
        .bind(&caller.key_id)
        .bind(caller.issued_at.seconds())
        .execute(&mut *tx)
        .await?;
        let artifact = row(&mut tx, &caller.organization, &id)
            .await?
            .ok_or_else(|| Refusal::fault("the new row is missing"))?;
        tx.commit().await?;
        Ok(artifact)
    }

    /// What an address stands for.
    pub async fn upload(&self, address: &SecretHash<UploadToken>) -> Result<Option<Upload>, Refusal> {
        let row = sqlx::query(concat!(
            "select uploads.artifact_id as artifact_id, size_bytes, content_type, uploads.expires_at as expires_at, \
             received_at, deleted_at, ended_at, ",
            maker_columns!("uploads"),
            " from uploads join artifacts on artifacts.artifact_id = uploads.artifact_id where token_hash = $1",
        ))
        .bind(address.to_text())
        .fetch_optional(&self.read)
        .await?;
        Ok(row.as_ref().map(upload).transpose()?)
    }

    /// Takes the bytes of a PUT. The first to write its name has won; the others change nothing.
    pub async fn receive(
        &self,
        address: &SecretHash<UploadToken>,
        received: &Received,
        now: Timestamp,
    ) -> Result<Receipt, Refusal> {
        let mut tx = self.begin().await?;
        let taken = sqlx::query(
            "update uploads set received_at = $1, content_hash = $2, blob_id = $3 where token_hash = $4 \
             and received_at is null and ended_at is null and exists (select 1 from artifacts where \
             artifacts.artifact_id = uploads.artifact_id and deleted_at is null and size_bytes = $5)",
        )
        .bind(now.seconds())
        .bind(&received.hash)
        .bind(received.id.as_str())
        .bind(address.to_text())
        .bind(received.size)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(if taken.rows_affected() == 1 { Receipt::Done } else { Receipt::Lost })
    }

    /// Confirms an upload: reads the bytes back from the disk, compares them with what was received, and makes the
    /// artifact active. Repeating it changes nothing.
    pub async fn complete_upload(
        &self,
        caller: &Caller,
        id: &ArtifactId,
        now: Timestamp,
    ) -> Result<Artifact, Refusal> {
        let missing = || {
            Refusal::new(
                Code::UploadNotFound,
                "The bytes of this artifact have not arrived: PUT them to the upload_url, then call complete_upload \
                 again.",
            )
        };
        let artifact = self.artifact(caller, CREATE, id).await?.living(now)?;
        if artifact.activated_at.is_some() {
            return Ok(artifact);
        }
        let row = sqlx::query(
            "select content_hash, blob_id from uploads where artifact_id = $1 and received_at is not null",
        )
        .bind(id.as_str())
        .fetch_optional(&self.read)
        .await?
        .ok_or_else(missing)?;
        let blob = optional(&row, "blob_id", BlobId::parse)?.ok_or_else(missing)?;
        let hash: String = row.try_get("content_hash")?;
        match self.blobs.measure(&blob).await {
            Ok((size, found)) if size == artifact.size_bytes && found == hash => {
                self.activate(caller, id, &blob, &hash, now).await
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            // The disk lost what it had acknowledged. The address opens again, so that the owner can repeat the PUT.
            _ => {
                self.reopen(id, &blob).await?;
                Err(missing())
            }
        }
    }

    async fn activate(
        &self,
        caller: &Caller,
        id: &ArtifactId,
        blob: &BlobId,
        hash: &str,
        now: Timestamp,
    ) -> Result<Artifact, Refusal> {
        let mut tx = self.begin().await?;
        let current = find(&mut tx, caller, CREATE, id).await?.living(now)?;
        if current.activated_at.is_some() {
            return Ok(current);
        }
        // A session that was sealed since the reservation stays as it was sealed.
        if let Some(session) = &current.session_id {
            let subject = &current.created_by.subject;
            sessions::enter(&mut tx, &caller.organization, subject, session.as_str()).await?;
        }
        sqlx::query(
            "update artifacts set activated_at = $1, content_hash = $2, blob_id = $3 where artifact_id = $4 \
             and activated_at is null and deleted_at is null",
        )
        .bind(now.seconds())
        .bind(hash)
        .bind(blob.as_str())
        .bind(id.as_str())
        .execute(&mut *tx)
        .await?;
        stamp(&mut tx, caller, id, now).await?;
        let artifact = find(&mut tx, caller, CREATE, id).await?;
        tx.commit().await?;
        Ok(artifact)
    }

    async fn reopen(&self, id: &ArtifactId, blob: &BlobId) -> Result<(), Refusal> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "update uploads set received_at = null, content_hash = null, blob_id = null \
             where artifact_id = $1 and blob_id = $2",
        )
        .bind(id.as_str())
        .bind(blob.as_str())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.blobs.remove(blob).await;
        Ok(())
    }
}

impl Upload {
    /// Refuses a PUT that cannot win.
    pub fn check(&self, now: Timestamp) -> Result<(), Refusal> {
        let gone = |message| Refusal::new(Code::UploadNotFound, message).with_status(http::StatusCode::GONE);
        if self.deleted_at.is_some() {
            return Err(gone("The artifact of this upload address was deleted."));
        }
        if self.received_at.is_some() {
            return Err(Self::taken());
        }
        if self.ended_at.is_some() {
            return Err(Self::ended());
        }
        if self.expires_at <= now {
            return Err(gone("This upload address has expired; ask for a new one with request_upload_url."));
        }
        Ok(())
    }

    /// The answer to a PUT to an address whose maker was revoked.
    pub fn ended() -> Refusal {
        let message = "This upload address has ended: the credential that asked for it was revoked.";
        Refusal::new(Code::UploadNotFound, message).with_status(http::StatusCode::GONE)
    }

    /// The answer to every PUT but the first.
    pub fn taken() -> Refusal {
        Refusal::invalid(
            "This upload address has been used; call complete_upload for the bytes that it received.",
        )
        .with_status(http::StatusCode::CONFLICT)
    }
}

fn upload(row: &SqliteRow) -> Result<Upload, sqlx::Error> {
    Ok(Upload {
        artifact_id: parsed(row, "artifact_id", ArtifactId::parse)?,
        size_bytes: row.try_get("size_bytes")?,
        content_type: row.try_get("content_type")?,
        expires_at: Timestamp::from_seconds(row.try_get("expires_at")?),
        received_at: time(row, "received_at")?,
        deleted_at: time(row, "deleted_at")?,
        maker: maker(row)?,
        ended_at: time(row, "ended_at")?,
    })
}
