//! The rows as values.

use std::collections::BTreeMap;

use doorward_resource_server::NodePath;
use doorward_shared::time::{Seconds, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::{Row, error::BoxDynError, sqlite::SqliteRow};

use crate::{
    errors::{Code, Refusal},
    ids::{ArtifactId, BlobId, SessionId, hex},
};

/// Who wrote something, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The user.
    pub subject: String,
    /// The client whose token it was.
    pub client_id: String,
    /// The name of the API key, when it was one.
    pub credential: Option<String>,
}

/// An artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its id.
    pub id: ArtifactId,
    /// Where it lies in the data tree; `None` for the organization itself.
    pub folder: Option<NodePath>,
    /// The label that its owner gave it; never a path.
    pub filename: String,
    /// Media type.
    pub content_type: String,
    /// Length in bytes; of a pending artifact, the length that was announced.
    pub size_bytes: i64,
    /// SHA-256 in hexadecimal, once the bytes are here.
    pub content_hash: Option<String>,
    /// Where the bytes are.
    pub blob: Option<BlobId>,
    /// The session it belongs to.
    pub session_id: Option<SessionId>,
    /// The agent that made it, in the words of the caller.
    pub agent_id: Option<String>,
    /// What the caller noted about it.
    pub metadata: BTreeMap<String, String>,
    /// Who stored it.
    pub created_by: Writer,
    /// Who changed it last, and when.
    pub updated: Option<(Timestamp, Writer)>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its bytes were complete.
    pub activated_at: Option<Timestamp>,
    /// When its life ends.
    pub expires_at: Option<Timestamp>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

/// Where an artifact is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its bytes have not been confirmed.
    Pending,
    /// It can be read.
    Active,
    /// Its life is over.
    Expired,
    /// It was deleted.
    Deleted,
}

impl Status {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
        }
    }
}

impl Artifact {
    /// Where it is in its life at `now`.
    pub fn status(&self, now: Timestamp) -> Status {
        if self.deleted_at.is_some() {
            Status::Deleted
        } else if self.expires_at.is_some_and(|end| end <= now) {
            Status::Expired
        } else if self.activated_at.is_none() {
            Status::Pending
        } else {
            Status::Active
        }
    }

    /// The artifact, unless it was deleted or its life is over.
    pub fn living(self, now: Timestamp) -> Result<Self, Refusal> {
        match self.status(now) {
            Status::Deleted => Err(Refusal::new(Code::ArtifactAlreadyDeleted, "This artifact was deleted.")),
            Status::Expired => Err(Refusal::new(
                Code::ArtifactExpired,
                "The life of this artifact is over; store it again if it is needed.",
            )),
            Status::Pending | Status::Active => Ok(self),
        }
    }

    /// The artifact and its bytes, if they can be read.
    pub fn readable(self, now: Timestamp) -> Result<(Self, BlobId), Refusal> {
        let artifact = self.living(now)?;
        match artifact.blob.clone() {
            Some(blob) if artifact.activated_at.is_some() => Ok((artifact, blob)),
            _ => Err(Refusal::new(
                Code::UploadNotFound,
                "The bytes of this artifact are not complete: PUT them to the upload_url, then call complete_upload.",
            )),
        }
    }
}

/// What is known of an artifact before it is stored.
#[derive(Clone, Debug, Serialize)]
pub struct Draft {
    /// The label.
    pub filename: String,
    /// Media type.
    pub content_type: String,
    /// Session.
    pub session_id: Option<String>,
    /// Agent.
    pub agent_id: Option<String>,
    /// Notes.
    pub metadata: BTreeMap<String, String>,
    /// How long it lives.
    pub ttl: Option<Seconds>,
    /// Where it goes.
    pub folder: Option<NodePath>,
}

impl Draft {
    /// What `size` bytes with these notes count against the plan.
    pub(super) fn charge(&self, size: i64) -> i64 {
        let notes = self.metadata.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        size.saturating_add(i64::try_from(notes).unwrap_or(i64::MAX))
    }
}

/// A key under which the same call may be sent again.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    /// As the caller chose it.
    pub key: String,
    /// Hash of everything the call stores.
    pub fingerprint: String,
}

impl IdempotencyKey {
    /// The key of a call that stores `draft` with `bytes`.
    pub fn new(key: String, draft: &Draft, bytes: &[u8]) -> Result<Self, Refusal> {
        let described = serde_json::to_vec(draft).map_err(Refusal::fault)?;
        let mut hash = Sha256::new();
        // The bytes enter as a hash of fixed length, so that no draft can pass for the beginning of the bytes.
        hash.update(Sha256::digest(bytes));
        hash.update(described);
        Ok(Self { key, fingerprint: hex(&hash.finalize()) })
    }
}

/// A session: artifacts that belong together, as far as the caller may read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// Artifacts in it that were not deleted.
    pub artifact_count: i64,
    /// When the first of them was made.
    pub first_artifact_at: Timestamp,
    /// When the latest of them was made or completed.
    pub last_artifact_at: Timestamp,
    /// When it was sealed, and by whom.
    pub sealed: Option<(Timestamp, Writer)>,
}

/// Which artifacts to list.
#[derive(Clone, Debug, Default)]
pub struct ArtifactFilter {
    /// Of this session.
    pub session_id: Option<String>,
    /// In this folder or below it.
    pub folder: Option<NodePath>,
    /// Of this agent.
    pub agent_id: Option<String>,
    /// With exactly this label.
    pub filename: Option<String>,
    /// Of this media type.
    pub content_type: Option<String>,
    /// Made after.
    pub created_after: Option<Timestamp>,
    /// Made before.
    pub created_before: Option<Timestamp>,
    /// With all of these notes.
    pub metadata: BTreeMap<String, String>,
}

/// Which sessions to list.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Begun after.
    pub created_after: Option<Timestamp>,
    /// Begun before.
    pub created_before: Option<Timestamp>,
    /// Sealed ones, or open ones.
    pub sealed: Option<bool>,
}

/// Which part of a list.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// At most this many.
    pub limit: u32,
    /// The id of the last item of the page before.
    pub after: Option<String>,
}

/// Part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// True when there are more.
    pub more: bool,
}

impl<T> Page<T> {
    /// A page of `rows`, of which one more than `limit` was asked for.
    pub(super) fn of(mut rows: Vec<T>, limit: u32) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        Self { items: rows, more }
    }

    /// The page, ended before the item that passes `most`; the first item stays in any case.
    pub(super) fn within(mut self, most: usize, weigh: impl Fn(&T) -> usize) -> Self {
        let mut sum = 0;
        let fits = self.items.iter().take_while(|item| {
            sum += weigh(item);
            sum <= most
        });
        let fits = fits.count().max(1);
        self.more |= fits < self.items.len();
        self.items.truncate(fits);
        self
    }
}

/// The columns of [`artifact`], as a literal, so that every statement stays a constant.
macro_rules! artifact_columns {
    () => {
        "artifacts.artifact_id, artifacts.folder, filename, content_type, size_bytes, artifacts.content_hash, \
         artifacts.blob_id, session_id, agent_id, metadata, artifacts.subject, \
         artifacts.client_id, artifacts.credential, updated_at, \
         updated_by, updated_by_client_id, updated_by_credential, artifacts.created_at, activated_at, \
         artifacts.expires_at, deleted_at"
    };
}
pub(super) use artifact_columns;

/// Reads a row of `artifact_columns!()`.
pub(super) fn artifact(row: &SqliteRow) -> Result<Artifact, sqlx::Error> {
    let metadata: String = row.try_get("metadata")?;
    Ok(Artifact {
        id: parsed(row, "artifact_id", ArtifactId::parse)?,
        folder: optional(row, "folder", |text| NodePath::parse(text).ok())?,
        filename: row.try_get("filename")?,
        content_type: row.try_get("content_type")?,
        size_bytes: row.try_get("size_bytes")?,
        content_hash: row.try_get("content_hash")?,
        blob: optional(row, "blob_id", BlobId::parse)?,
        session_id: optional(row, "session_id", SessionId::parse)?,
        agent_id: row.try_get("agent_id")?,
        metadata: serde_json::from_str(&metadata).map_err(|error| nonsense("metadata", error))?,
        created_by: Writer {
            subject: row.try_get("subject")?,
            client_id: row.try_get("client_id")?,
            credential: row.try_get("credential")?,
        },
        updated: time(row, "updated_at")?.map(|at| Ok::<_, sqlx::Error>((at, updater(row)?))).transpose()?,
        created_at: Timestamp::from_seconds(row.try_get("created_at")?),
        activated_at: time(row, "activated_at")?,
        expires_at: time(row, "expires_at")?,
        deleted_at: time(row, "deleted_at")?,
    })
}

fn updater(row: &SqliteRow) -> Result<Writer, sqlx::Error> {
    Ok(Writer {
        subject: row.try_get("updated_by")?,
        client_id: row.try_get("updated_by_client_id")?,
        credential: row.try_get("updated_by_credential")?,
    })
}

/// Reads an optional point in time.
pub(super) fn time(row: &SqliteRow, column: &'static str) -> Result<Option<Timestamp>, sqlx::Error> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_seconds))
}

/// Reads an id.
pub(super) fn parsed<T>(
    row: &SqliteRow,
    column: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, sqlx::Error> {
    optional(row, column, parse)?.ok_or_else(|| nonsense(column, "is empty"))
}

/// Reads an id that may be missing.
pub(super) fn optional<T>(
    row: &SqliteRow,
    column: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, sqlx::Error> {
    let Some(text) = row.try_get::<Option<String>, _>(column)? else { return Ok(None) };
    parse(&text).map(Some).ok_or_else(|| nonsense(column, "has not the form of an id"))
}

fn nonsense(column: &'static str, why: impl Into<BoxDynError>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_before_it_grows_too_large_and_is_never_empty() {
        let page = |most| Page::of(vec![3_usize, 3, 3, 3], 3).within(most, |item| *item);
        assert_eq!((page(9).items.len(), page(9).more), (3, true));
        assert_eq!((page(8).items.len(), page(8).more), (2, true));
        assert_eq!((page(1).items.len(), page(1).more), (1, true));
        let last = Page::of(vec![3_usize, 3], 3);
        assert_eq!(
            (last.clone().within(6, |item| *item).more, last.within(5, |item| *item).more),
            (false, true)
        );
        assert!(!Page::of(Vec::<usize>::new(), 3).within(1, |item| *item).more);
    }
}
