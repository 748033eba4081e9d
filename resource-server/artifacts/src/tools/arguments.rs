//! What the tools are called with. The types are the schemas; what a schema cannot say is read by `values`.
#![expect(clippy::doc_markdown, reason = "the comments of members are the descriptions of the schemas")]

use std::collections::BTreeMap;

use doorward_shared::time::Seconds;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::Value;

use super::values::{
    agent, artifact_id, content_type, filename, guess, metadata, session, session_id, target, ttl,
};
use crate::{
    caller::Caller,
    errors::{Code, Refusal},
    ids::{ArtifactId, SessionId},
    plans::Plan,
    store::Draft,
};

/// No arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// One artifact.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ArtifactRef {
    /// The artifact's id, for example from list_artifacts.
    #[schemars(regex(pattern = "^art_[A-Za-z0-9]{16}$"))]
    artifact_id: String,
}

impl ArtifactRef {
    pub(super) fn id(&self) -> Result<ArtifactId, Refusal> {
        artifact_id(&self.artifact_id)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = without_null)]
pub(super) struct ListArtifacts {
    /// Only artifacts in this folder or below it, for example alpha/site.
    pub(super) folder: Option<String>,
    /// Only artifacts of this session.
    pub(super) session_id: Option<String>,
    /// Only artifacts of this agent.
    pub(super) agent_id: Option<String>,
    /// Only artifacts with exactly this file name.
    pub(super) filename: Option<String>,
    /// Only artifacts of this media type.
    pub(super) content_type: Option<String>,
    /// Only artifacts made after this time (RFC 3339).
    pub(super) created_after: Option<String>,
    /// Only artifacts made before this time (RFC 3339).
    pub(super) created_before: Option<String>,
    /// Only artifacts with all of these metadata entries.
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
    /// How many to answer: 1 to 200, 50 unless said otherwise.
    #[schemars(range(min = 1, max = 200))]
    pub(super) limit: Option<i64>,
    /// next_cursor of the page before.
    pub(super) cursor: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = without_null)]
pub(super) struct ListSessions {
    /// Only sessions begun after this time (RFC 3339).
    pub(super) created_after: Option<String>,
    /// Only sessions begun before this time (RFC 3339).
    pub(super) created_before: Option<String>,
    /// true: only sealed sessions; false: only open ones.
    pub(super) sealed: Option<bool>,
    /// How many to answer: 1 to 200, 50 unless said otherwise.
    #[schemars(range(min = 1, max = 200))]
    pub(super) limit: Option<i64>,
    /// next_cursor of the page before.
    pub(super) cursor: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = without_null)]
pub(super) struct StoreArtifact {
    /// The file's name: a label, never a path on the server.
    #[schemars(length(min = 1, max = 255))]
    filename: String,
    /// The file's bytes in base64, at most 10 MiB of them.
    pub(super) content: String,
    /// Folder to store it in, for example alpha/site/specs; needed where whoami tells of several that are open to you.
    #[schemars(length(min = 1, max = 519))]
    folder: Option<String>,
    /// Media type; guessed from the file name when left out.
    content_type: Option<String>,
    /// Session to store it in; begins with its first artifact.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"))]
    session_id: Option<String>,
    /// Name of the agent that made it.
    #[schemars(length(min = 1, max = 128))]
    agent_id: Option<String>,
    /// Notes: up to 64 entries, values of at most 1024 characters.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// How long it is kept, for example 30m, 12h or 7d, or never for no end.
    ttl: Option<String>,
    /// Key under which this very call can be repeated for 24 hours.
    #[schemars(length(min = 1, max = 256))]
    pub(super) idempotency_key: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = without_null)]
pub(super) struct RequestUploadUrl {
    /// The file's name: a label, never a path on the server.
    #[schemars(length(min = 1, max = 255))]
    filename: String,
    /// Folder to store it in, for example alpha/site/specs; needed where whoami tells of several that are open to you.
    #[schemars(length(min = 1, max = 519))]
    folder: Option<String>,
    /// Media type; the PUT must come with the same.
    content_type: String,
    /// Exact length of the file in bytes; the PUT must have the same.
    #[schemars(range(min = 1))]
    pub(super) size_bytes: i64,
    /// Session to store it in; begins with its first artifact.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"))]
    session_id: Option<String>,
    /// Name of the agent that made it.
    #[schemars(length(min = 1, max = 128))]
    agent_id: Option<String>,
    /// Notes: up to 64 entries, values of at most 1024 characters.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// How long it is kept, for example 30m, 12h or 7d, or never for no end.
    ttl: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = without_null)]
pub(super) struct CreateDownloadLink {
    /// The artifact's id.
    #[schemars(regex(pattern = "^art_[A-Za-z0-9]{16}$"))]
    artifact_id: String,
    /// Seconds until the link ends: 604800 (7 days) unless said otherwise, 7776000 (90 days) at most.
    #[schemars(range(min = 1, max = 7_776_000))]
    expires_in: Option<i64>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SealSession {
    /// The session's id.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"))]
    session_id: String,
}

impl SealSession {
    pub(super) fn id(&self) -> Result<SessionId, Refusal> {
        session_id(&self.session_id)
    }
}

impl CreateDownloadLink {
    pub(super) fn id(&self) -> Result<ArtifactId, Refusal> {
        artifact_id(&self.artifact_id)
    }

    pub(super) fn life(&self, plan: &Plan) -> Result<Seconds, Refusal> {
        let asked = self.expires_in.unwrap_or(Seconds::days(7).get());
        if asked < 1 {
            return Err(Refusal::invalid("expires_in: must be at least 1 second"));
        }
        let longest = plan.longest_link();
        if asked <= longest.get() {
            return Ok(Seconds::new(asked));
        }
        // What nobody asked for must not fail: the default bends to the plan.
        if self.expires_in.is_none() {
            return Ok(longest);
        }
        Err(Refusal::new(
            Code::TtlExceedsPlanLimit,
            format!(
                "expires_in: the plan {:?} allows {} seconds ({} days) at most",
                plan.name,
                longest.get(),
                plan.link_days
            ),
        ))
    }
}

impl StoreArtifact {
    pub(super) fn draft(&mut self, caller: &Caller, plan: &Plan) -> Result<Draft, Refusal> {
        let content_type = match self.content_type.take() {
            Some(given) => content_type(given)?,
            None => guess(&self.filename).to_owned(),
        };
        Ok(Draft {
            filename: filename(std::mem::take(&mut self.filename))?,
            content_type,
            session_id: session(self.session_id.take())?,
            agent_id: agent(self.agent_id.take())?,
            metadata: metadata(std::mem::take(&mut self.metadata))?,
            ttl: ttl(self.ttl.as_deref(), plan)?,
            folder: target(self.folder.as_deref(), caller)?,
        })
    }
}

impl RequestUploadUrl {
    pub(super) fn draft(&mut self, caller: &Caller, plan: &Plan) -> Result<Draft, Refusal> {
        Ok(Draft {
            filename: filename(std::mem::take(&mut self.filename))?,
            content_type: content_type(std::mem::take(&mut self.content_type))?,
            session_id: session(self.session_id.take())?,
            agent_id: agent(self.agent_id.take())?,
            metadata: metadata(std::mem::take(&mut self.metadata))?,
            ttl: ttl(self.ttl.as_deref(), plan)?,
            folder: target(self.folder.as_deref(), caller)?,
        })
    }
}

/// Writes "may be left out" as such, and not as "or null": some clients cannot read a list of types.
fn without_null(schema: &mut Schema) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for property in properties.values_mut().filter_map(Value::as_object_mut) {
        let single = match property.get("type") {
            Some(Value::Array(types)) => types.iter().find(|name| *name != "null").cloned(),
            _ => None,
        };
        if let Some(single) = single {
            property.insert("type".to_owned(), single);
        }
        property.remove("default");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_lives_for_seven_days_and_never_beyond_the_plan() {
        let link = |expires_in| CreateDownloadLink { artifact_id: String::new(), expires_in };
        assert_eq!(link(None).life(&Plan::pro()).unwrap(), Seconds::days(7));
        assert_eq!(link(Some(7_776_000)).life(&Plan::pro()).unwrap(), Seconds::days(90));
        assert_eq!(link(Some(7_776_001)).life(&Plan::pro()).unwrap_err().code(), Code::TtlExceedsPlanLimit);
        assert_eq!(link(Some(0)).life(&Plan::pro()).unwrap_err().code(), Code::InvalidRequest);
        assert_eq!(link(None).life(&Plan { link_days: 1, ..Plan::free() }).unwrap(), Seconds::days(1));
    }
}
