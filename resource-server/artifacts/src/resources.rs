//! MCP resources: who calls, and the caller's own artifacts. They need the permission to read.

use base64::{Engine, engine::general_purpose::STANDARD};
use doorward_shared::time::Timestamp;
use rmcp::model::{
    ListResourceTemplatesResult, ListResourcesResult, ReadResourceResult, Resource, ResourceContents,
    ResourceTemplate,
};
use tokio::io::AsyncReadExt;

use crate::{
    caller::Caller,
    context::Context,
    errors::{Code, Refusal},
    ids::ArtifactId,
    permissions::READ,
    store::{ArtifactFilter, PageRequest},
    tools,
};

const WHOAMI: &str = "artifacts://whoami";
const ARTIFACT: &str = "artifacts://artifact/";
/// More does not belong into a conversation.
const INLINE_BYTES: i64 = 10 * 1024 * 1024;
const PAGE: u32 = 100;

/// Lists the resources of `caller`, in pages. Without the permission to read there are none.
pub async fn list(
    context: &Context,
    caller: &Caller,
    cursor: Option<&str>,
) -> Result<ListResourcesResult, Refusal> {
    if !caller.may(READ) {
        return Ok(ListResourcesResult::default());
    }
    let after = cursor.map(tools::open_cursor).transpose()?;
    let mut resources = Vec::new();
    if after.is_none() {
        resources.push(
            Resource::new(WHOAMI, "whoami")
                .with_title("Who am I")
                .with_description(
                    "Who you are here, what you were granted, what your organization has used of its plan.",
                )
                .with_mime_type("application/json"),
        );
    }
    let page = PageRequest { limit: PAGE, after };
    let found =
        context.store.artifacts(caller, &ArtifactFilter::default(), &page, context.clock.now()).await?;
    let next = found.items.last().filter(|_| found.more).map(|artifact| tools::cursor(artifact.id.as_str()));
    // A pending artifact has nothing to read yet.
    for artifact in found.items.into_iter().filter(|artifact| artifact.activated_at.is_some()) {
        let resource = Resource::new(format!("{ARTIFACT}{}", artifact.id), artifact.filename)
            .with_mime_type(artifact.content_type)
            .with_size(u64::try_from(artifact.size_bytes).unwrap_or_default());
        resources.push(resource);
    }
    let mut result = ListResourcesResult::with_all_items(resources);
    result.next_cursor = next;
    Ok(result)
}

/// Lists the forms of addresses. Without the permission to read there are none.
pub fn templates(caller: &Caller) -> ListResourceTemplatesResult {
    if !caller.may(READ) {
        return ListResourceTemplatesResult::default();
    }
    ListResourceTemplatesResult::with_all_items(vec![
        ResourceTemplate::new(format!("{ARTIFACT}{{artifact_id}}"), "artifact")
            .with_title("An artifact")
            .with_description(
                "The bytes of one of your artifacts, up to 10 MiB: text as text, everything else as base64.",
            ),
    ])
}

/// Reads a resource.
pub async fn read(
    context: &Context,
    caller: &Caller,
    uri: &str,
    now: Timestamp,
) -> Result<ReadResourceResult, Refusal> {
    if !caller.may(READ) {
        return Err(Refusal::new(
            Code::InsufficientScope,
            format!(
                "Resources need the permission {READ}, which was not granted. Permissions are ticked on the consent page at \
                 sign-in."
            ),
        ));
    }
    if !tools::admitted(context, caller, now).await? {
        return Err(tools::exhausted(context, caller));
    }
    let contents = if uri == WHOAMI {
        let identity = tools::whoami(context, caller, now).await?;
        let text = serde_json::to_string_pretty(&identity).map_err(Refusal::fault)?;
        ResourceContents::text(text, uri).with_mime_type("application/json")
    } else {
        let id =
            uri.strip_prefix(ARTIFACT).and_then(ArtifactId::parse).ok_or_else(Refusal::artifact_not_found)?;
        bytes(context, caller, &id, uri, now).await?
    };
    Ok(ReadResourceResult::new(vec![contents]))
}

async fn bytes(
    context: &Context,
    caller: &Caller,
    id: &ArtifactId,
    uri: &str,
    now: Timestamp,
) -> Result<ResourceContents, Refusal> {
    let (artifact, blob) = context.store.artifact(caller, READ, id).await?.readable(now)?;
    if artifact.size_bytes > INLINE_BYTES {
        return Err(Refusal::new(
            Code::FileTooLarge,
            "This artifact has more than 10 MiB; fetch it from the address that get_artifact_download_url answers.",
        ));
    }
    let mut bytes = Vec::new();
    context.store.blobs().read(&blob).await?.read_to_end(&mut bytes).await?;
    let contents = match String::from_utf8(bytes) {
        Ok(text) if is_text(&artifact.content_type) => ResourceContents::text(text, uri),
        Ok(text) => ResourceContents::blob(STANDARD.encode(text), uri),
        Err(error) => ResourceContents::blob(STANDARD.encode(error.as_bytes()), uri),
    };
    Ok(contents.with_mime_type(artifact.content_type))
}

fn is_text(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || matches!(
            essence.as_str(),
            "application/json"
                | "application/x-ndjson"
                | "application/xml"
                | "application/yaml"
                | "application/toml"
        )
}
