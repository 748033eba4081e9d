//! MCP over Streamable HTTP, one JSON answer per request and no sessions. What the transport of `rmcp` leaves open or
//! answers in another form than MCP clients expect is settled here, before it.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    body::Pieces,
    caller::Caller,
    context::Context,
    errors::{Code, Refusal},
    mcp::Server,
    telemetry::Event,
};

mod nodes;

/// The largest message. A file of 10 MiB in base64 fits more than twice.
pub const BODY_BYTES: usize = 32 * 1024 * 1024;

/// The most values in a message. A value of two bytes costs some hundred in memory; no tool takes nearly as many.
const NODES: usize = 20_000;
/// How long a message may take to come.
const WHOLE: Duration = Duration::from_mins(5);

/// The MCP endpoint.
#[derive(Clone)]
pub struct Endpoint {
    service: StreamableHttpService<Server, NeverSessionManager>,
    messages: Arc<Semaphore>,
}

/// Makes the MCP endpoint over `context`.
pub fn endpoint(context: Arc<Context>) -> Endpoint {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(BODY_BYTES)
        // The kit has checked Host and Origin before a request comes here.
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let messages = context.messages.clone();
    let service =
        StreamableHttpService::new(move || Ok(Server::new(context.clone())), Arc::default(), config);
    Endpoint { service, messages }
}

/// Serves one MCP request of a verified caller.
pub async fn serve(
    State(endpoint): State<Endpoint>,
    Extension(event): Extension<Event>,
    caller: Option<Extension<Caller>>,
    request: Request,
) -> Response {
    let mut response = if let Some(Extension(caller)) = caller {
        event.caller(&caller);
        answer(&endpoint, &event, request).await
    } else {
        // Behind the kit this cannot happen; without it, nothing is served.
        let refusal = Refusal::new(Code::Unauthorized, "No verified caller.");
        event.refusal(&refusal);
        refusal.into_http(event.request_id())
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn answer(endpoint: &Endpoint, event: &Event, request: Request) -> Response {
    match message(&endpoint.messages, request).await {
        // The bytes stay weighed until the call is done: until then something of them is held.
        Ok((request, _weight)) => {
            let response = endpoint.service.handle(request).await;
            // The content type was right, so this status can only mean JSON that is no MCP message.
            if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
                return json_rpc_error(
                    -32600,
                    "Invalid Request: the body is not one JSON-RPC message of MCP",
                );
            }
            response.map(Body::new)
        }
        Err(Unread::NoJson) => json_rpc_error(-32700, "Parse error: the body is not JSON"),
        Err(Unread::Refused(refusal)) => {
            event.refusal(&refusal);
            let wrong_method = refusal.status() == StatusCode::METHOD_NOT_ALLOWED;
            let mut response = refusal.into_http(event.request_id());
            if wrong_method {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            response
        }
    }
}

/// Why there is no message to hand on.
enum Unread {
    Refused(Refusal),
    NoJson,
}

impl From<Refusal> for Unread {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The request with its whole body, which is JSON, in the form that the transport expects.
async fn message(
    messages: &Arc<Semaphore>,
    request: Request,
) -> Result<(Request, Option<OwnedSemaphorePermit>), Unread> {
    if request.method() != Method::POST {
        let why = "This endpoint takes POST only; there is no stream to GET and no session to DELETE.";
        return Err(Refusal::invalid(why).with_status(StatusCode::METHOD_NOT_ALLOWED).into());
    }
    let (mut parts, body) = request.into_parts();
    if !is_json(&parts.headers) {
        let why = "Content-Type: must be application/json";
        return Err(Refusal::invalid(why).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE).into());
    }
    let (bytes, weight) = read(messages, &parts.headers, body).await?;
    nodes::count(&bytes, NODES).map_err(|wrong| match wrong {
        nodes::Wrong::NoJson => Unread::NoJson,
        nodes::Wrong::TooMany => {
            Refusal::new(Code::FileTooLarge, format!("A message has at most {NODES} values.")).into()
        }
    })?;
    // A plain HTTP tool sends another Accept, or none; there is only one form to answer in.
    parts.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    Ok((Request::from_parts(parts, Body::from(bytes)), weight))
}

pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.and_then(|value| value.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}

/// Reads a body and weighs it piece by piece, so that nobody holds room for bytes that have not come.
async fn read(
    messages: &Arc<Semaphore>,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), Refusal> {
    let too_large = || {
        Refusal::new(
            Code::FileTooLarge,
            "A message has at most 32 MiB; announce large files with request_upload_url and PUT them.",
        )
    };
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES as u64) {
        return Err(too_large());
    }
    let (mut pieces, mut bytes) = (Pieces::of(body, WHOLE), Vec::new());
    let mut weight: Option<OwnedSemaphorePermit> = None;
    while let Some(piece) = pieces.next().await? {
        if piece.len() > BODY_BYTES - bytes.len() {
            return Err(too_large());
        }
        let length = u32::try_from(piece.len()).map_err(|_| too_large())?;
        let more = messages.clone().try_acquire_many_owned(length).map_err(|_| Refusal::busy())?;
        match &mut weight {
            Some(weight) => weight.merge(more),
            None => weight = Some(more),
        }
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes, weight))
}

fn json_rpc_error(code: i32, message: &str) -> Response {
    let body = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": message } });
    let mut response = (StatusCode::BAD_REQUEST, body.to_string()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
