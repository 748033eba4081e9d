//! `PATCH {resource}/artifacts/{artifact_id}`: moves an artifact to another folder. Behind the kit, like the MCP endpoint.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::{MethodRouter, patch},
};
use doorward_resource_server::NodePath;
use http::{HeaderValue, header};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::{
    body::Pieces,
    caller::Caller,
    context::Context,
    errors::{Code, Refusal},
    ids::ArtifactId,
    permissions::UPDATE,
    telemetry::Event,
    tools::{self, ArtifactRecord},
    transport::is_json,
};

/// Longest body, in bytes, and longest time for it to come.
const BODY_BYTES: usize = 4096;
const WHOLE: Duration = Duration::from_secs(30);

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
    patch(relocate)
}

async fn relocate(
    State(context): State<Arc<Context>>,
    Extension(event): Extension<Event>,
    caller: Option<Extension<Caller>>,
    Path(artifact_id): Path<String>,
    request: Request,
) -> Response {
    let moved = match caller {
        Some(Extension(caller)) => {
            event.caller(&caller);
            carry(&context, &caller, &artifact_id, request).await
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
    request: Request,
) -> Result<ArtifactRecord, Refusal> {
    if !caller.may(UPDATE) {
        return Err(caller.missing(UPDATE));
    }
    let now = context.clock.now();
    if !tools::admitted(context, caller, now).await? {
        return Err(tools::exhausted(context, caller));
    }
    if !is_json(request.headers()) {
        return Err(Refusal::invalid("Content-Type: must be application/json"));
    }
    let body = read(request.into_body()).await?;
    let Move { folder } = serde_json::from_slice(&body).map_err(|_| {
        Refusal::invalid("body: must be {\"folder\": \"alpha/site\"}, or null for the organization itself")
    })?;
    let id = ArtifactId::parse(artifact_id).ok_or_else(Refusal::artifact_not_found)?;
    let artifact = context.store.relocate(caller, &id, folder.as_ref(), now).await?;
    Ok(ArtifactRecord::new(artifact, now))
}

async fn read(body: Body) -> Result<Vec<u8>, Refusal> {
    let (mut pieces, mut bytes) = (Pieces::of(body, WHOLE), Vec::new());
    while let Some(piece) = pieces.next().await? {
        if piece.len() > BODY_BYTES - bytes.len() {
            return Err(Refusal::new(
                Code::FileTooLarge,
                "The body names a folder; it has at most 4096 bytes.",
            ));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
