//! What the tools answer. Names and types of these members are the output schemas, and so a contract.
#![expect(clippy::doc_markdown, reason = "the comments of members are the descriptions of the schemas")]

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_shared::{scope::Scope, time::Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    caller::Caller,
    dates::rfc3339,
    errors::Refusal,
    store::{Artifact, Page, Session},
};

/// Who calls, and what is used of the plan.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Identity {
    /// The organization.
    pub(super) tenant_name: String,
    /// The name of its plan.
    pub(super) plan: String,
    /// The last four characters of the API key; null when the credential is none.
    pub(super) api_key_last_4: Option<String>,
    /// Requests of this calendar month (UTC), this one included.
    pub(super) usage_requests_month: i64,
    /// Requests that the plan allows in a month.
    pub(super) plan_requests_limit_month: i64,
    /// Bytes held in the folders that you may read, metadata included.
    pub(super) usage_storage_bytes: i64,
    /// Bytes that the plan allows.
    pub(super) plan_storage_limit_bytes: i64,
    /// The user.
    pub(super) subject: String,
    /// The client that acts for the user.
    pub(super) client_id: String,
    /// The name of the API key; null when the credential is none.
    pub(super) credential_name: Option<String>,
    /// The permissions that were granted.
    pub(super) granted: Vec<String>,
    /// Where they were granted, when not in the whole organization.
    pub(super) granted_in: Vec<Granted>,
}

/// What was granted in one folder and everything below it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Granted {
    /// The folder; null for the whole organization.
    pub(super) folder: Option<String>,
    pub(super) permissions: Vec<String>,
}

/// One artifact.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ArtifactRecord {
    pub(super) artifact_id: String,
    /// Where it lies; null for the organization itself.
    pub(super) folder: Option<String>,
    pub(super) filename: String,
    pub(super) content_type: String,
    pub(super) size_bytes: i64,
    /// SHA-256 of the bytes in hexadecimal; null while they are not complete.
    pub(super) content_hash: Option<String>,
    /// pending, active, expired or deleted.
    pub(super) status: &'static str,
    pub(super) session_id: Option<String>,
    pub(super) agent_id: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    /// The user who stored it.
    pub(super) created_by: String,
    /// The client that stored it.
    pub(super) created_by_client_id: String,
    /// The name of the API key that stored it; null when it was none.
    pub(super) created_by_credential_name: Option<String>,
    pub(super) created_at: String,
    /// When it was last changed: completed or moved; null when it was not.
    pub(super) updated_at: Option<String>,
    /// The user who changed it last.
    pub(super) updated_by: Option<String>,
    /// The client that changed it last.
    pub(super) updated_by_client_id: Option<String>,
    /// The name of the API key that changed it last.
    pub(super) updated_by_credential_name: Option<String>,
    /// When its life ends; null for no end.
    pub(super) expires_at: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ArtifactList {
    pub(super) artifacts: Vec<ArtifactRecord>,
    pub(super) has_more: bool,
    /// cursor of the next page; null after the last one.
    pub(super) next_cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct SessionRecord {
    pub(super) session_id: String,
    /// Artifacts in it that you may read and that were not deleted.
    pub(super) artifact_count: i64,
    pub(super) is_sealed: bool,
    pub(super) sealed_at: Option<String>,
    /// The user who sealed it.
    pub(super) sealed_by: Option<String>,
    /// The client that sealed it.
    pub(super) sealed_by_client_id: Option<String>,
    /// The name of the API key that sealed it; null when it was none.
    pub(super) sealed_by_credential_name: Option<String>,
    pub(super) first_artifact_at: String,
    pub(super) last_artifact_at: String,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct SessionList {
    pub(super) sessions: Vec<SessionRecord>,
    pub(super) has_more: bool,
    /// cursor of the next page; null after the last one.
    pub(super) next_cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the contract")]
pub(super) struct DownloadUrl {
    pub(super) artifact_id: String,
    /// Opens with a plain GET, without further credentials.
    pub(super) download_url: String,
    /// Seconds until it ends.
    pub(super) expires_in: i64,
    pub(super) expires_at: String,
    pub(super) filename: String,
    pub(super) content_type: String,
    pub(super) size_bytes: i64,
    pub(super) content_hash: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "the names are the contract")]
pub(super) struct UploadUrl {
    pub(super) artifact_id: String,
    /// pending, until complete_upload.
    pub(super) status: &'static str,
    /// Takes the bytes once, without further credentials.
    pub(super) upload_url: String,
    /// PUT.
    pub(super) upload_method: &'static str,
    /// Headers that the PUT must have.
    pub(super) upload_headers: BTreeMap<String, String>,
    pub(super) upload_expires_at: String,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct DownloadLink {
    pub(super) link_id: String,
    pub(super) artifact_id: String,
    /// The link. Everybody who has it can download the artifact.
    pub(super) url: String,
    /// The user who made it.
    pub(super) created_by: String,
    /// The client that made it; when it is revoked, the link ends.
    pub(super) created_by_client_id: String,
    /// The name of the API key that made it; null when it was none.
    pub(super) created_by_credential_name: Option<String>,
    pub(super) created_at: String,
    pub(super) expires_at: String,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Deletion {
    pub(super) artifact_id: String,
    pub(super) deleted: bool,
    /// True when it had been deleted before.
    pub(super) already_deleted: bool,
    pub(super) deleted_at: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct SealedSession {
    pub(super) session_id: String,
    /// sealed.
    pub(super) status: &'static str,
    /// True when it had been sealed before.
    pub(super) already_sealed: bool,
    pub(super) sealed_at: Option<String>,
    /// The user who sealed it.
    pub(super) sealed_by: Option<String>,
    /// The client that sealed it.
    pub(super) sealed_by_client_id: Option<String>,
    /// The name of the API key that sealed it; null when it was none.
    pub(super) sealed_by_credential_name: Option<String>,
    pub(super) artifact_count: i64,
}

impl ArtifactRecord {
    pub(crate) fn new(artifact: Artifact, now: Timestamp) -> Self {
        let (updated_at, updated_by) = artifact.updated.clone().unzip();
        Self {
            status: artifact.status(now).as_str(),
            artifact_id: artifact.id.to_string(),
            folder: artifact.folder.map(|folder| folder.to_string()),
            filename: artifact.filename,
            content_type: artifact.content_type,
            size_bytes: artifact.size_bytes,
            content_hash: artifact.content_hash,
            session_id: artifact.session_id.map(|id| id.as_str().to_owned()),
            agent_id: artifact.agent_id,
            metadata: artifact.metadata,
            created_by: artifact.created_by.subject,
            created_by_client_id: artifact.created_by.client_id,
            created_by_credential_name: artifact.created_by.credential,
            updated_at: updated_at.map(rfc3339),
            updated_by: updated_by.as_ref().map(|writer| writer.subject.clone()),
            updated_by_client_id: updated_by.as_ref().map(|writer| writer.client_id.clone()),
            updated_by_credential_name: updated_by.and_then(|writer| writer.credential),
            created_at: rfc3339(artifact.created_at),
            expires_at: artifact.expires_at.map(rfc3339),
        }
    }
}

impl ArtifactList {
    pub(super) fn new(page: Page<Artifact>, now: Timestamp) -> Self {
        let last = page.items.last().map(|artifact| artifact.id.as_str());
        Self {
            next_cursor: last.filter(|_| page.more).map(cursor),
            has_more: page.more,
            artifacts: page.items.into_iter().map(|artifact| ArtifactRecord::new(artifact, now)).collect(),
        }
    }
}

impl SessionList {
    pub(super) fn new(page: &Page<Session>) -> Self {
        let last = page.items.last().map(|session| session.id.as_str());
        Self {
            next_cursor: last.filter(|_| page.more).map(cursor),
            has_more: page.more,
            sessions: page.items.iter().map(SessionRecord::new).collect(),
        }
    }
}

impl SessionRecord {
    fn new(session: &Session) -> Self {
        let (sealed_at, sealed_by) = session.sealed.clone().unzip();
        Self {
            session_id: session.id.as_str().to_owned(),
            artifact_count: session.artifact_count,
            is_sealed: sealed_at.is_some(),
            sealed_at: sealed_at.map(rfc3339),
            sealed_by: sealed_by.as_ref().map(|writer| writer.subject.clone()),
            sealed_by_client_id: sealed_by.as_ref().map(|writer| writer.client_id.clone()),
            sealed_by_credential_name: sealed_by.and_then(|writer| writer.credential),
            first_artifact_at: rfc3339(session.first_artifact_at),
            last_artifact_at: rfc3339(session.last_artifact_at),
        }
    }
}

impl Granted {
    /// The narrowing of a caller's permissions; empty when there is none.
    pub(super) fn of(caller: &Caller) -> Vec<Self> {
        let allowance = &caller.allowance;
        if allowance.nodes().is_empty() {
            return Vec::new();
        }
        let permissions = |held: &Scope| held.iter().map(ToString::to_string).collect();
        let whole = Some(allowance.held_everywhere()).filter(|held| !held.is_empty());
        let whole = whole.map(|held| Self { folder: None, permissions: permissions(held) });
        let folders = allowance.nodes().keys().map(|folder| Self {
            folder: Some(folder.to_string()),
            permissions: permissions(&allowance.held_at(folder)),
        });
        whole.into_iter().chain(folders).collect()
    }
}

/// The cursor of the page after the item with this id. It holds nothing that its reader does not know.
pub(crate) fn cursor(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(last)
}

/// Reads a cursor back.
pub(crate) fn open_cursor(text: &str) -> Result<String, Refusal> {
    let unknown = || Refusal::invalid("cursor: not one that this list gave out");
    // The longest holds the name of a session: 128 characters.
    if text.len() > 256 {
        return Err(unknown());
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| unknown())?;
    String::from_utf8(bytes).map_err(|_| unknown())
}
