//! `PATCH {resource}/artifacts/{artifact_id}`: moves an artifact to another folder. Behind the kit, like the MCP endpoint.

use std::sync::Arc;

use axum::{
    Extension,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    response::{IntoResponse, Response},
    routing::{MethodRouter, patch},
};
use doorward_resource_server::NodePath;
use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::{
    caller::Caller,
    context::Context,
    errors::{Code, Refusal},
    ids::ArtifactId,
    permissions::UPDATE,
    telemetry::Event,
    tools::{self, ArtifactRecord},
};

/// Longest body.
const BODY_BYTES: usize = 4096;

/// What is asked: where it shall lie.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    /// `null` is the organization itself, and must be said: a body that forgot it moves nothing.
    #[serde(deserialize_with = "named")]
    folder: Option<NodePath>,
}

fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NodePath>, D::Error> {
    Option::deserialize(deserializer)
}

/// The route.
pub fn route() -> MethodRouter<Arc<Context>> {
    patch(relocate).layer(DefaultBodyLimit::max(BODY_BYTES))
}

async fn relocate(
    State(context): State<Arc<Context>>,
    Extension(event): Extension<Event>,
    caller: Option<Extension<Caller>>,
    Path(artifact_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let moved = match caller {
        Some(Extension(caller)) => {
            event.caller(&caller);
            carry(&context, &caller, &artifact_id, &headers, &body).await
        }
        // Behind the kit this cannot happen; without it, nothing is served.
        None => Err(Refusal::new(Code::Unauthorized, "No verified caller.")),
    };
    match moved {
        Ok(record) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (headers, json!(record).to_string()).into_response()
        }
        Err(refusal) => {
            event.refusal(&refusal);
            refusal.into_http(event.request_id())
        }
    }
}

async fn carry(
    context: &Context,
    caller: &Caller,
    artifact_id: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<ArtifactRecord, Refusal> {
    if !caller.may(UPDATE) {
        return Err(caller.missing(UPDATE));
    }
    let now = context.clock.now();
    if !tools::admitted(context, caller, now).await? {
        return Err(tools::exhausted(context, caller));
    }
    if !crate::transport::is_json(headers) {
        return Err(Refusal::invalid("Content-Type: must be application/json"));
    }
    let Move { folder } = serde_json::from_slice(body).map_err(|_| {
        Refusal::invalid("body: must be {\"folder\": \"alpha/site\"}, or null for the organization itself")
    })?;
    let id = ArtifactId::parse(artifact_id).ok_or_else(Refusal::artifact_not_found)?;
    let artifact = context.store.relocate(caller, &id, folder.as_ref(), now).await?;
    Ok(ArtifactRecord::new(artifact, now))
}
