//! MCP over Streamable HTTP, one JSON answer per request and no sessions. What the transport of `rmcp` leaves open or
//! answers in another form than MCP clients expect is settled here, before it.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use serde_json::json;

use crate::{
    caller::Caller,
    context::Context,
    errors::{Code, Refusal},
    mcp::Server,
    telemetry::Event,
    uploads::SILENCE,
};

/// The largest message. A file of 10 MiB in base64 fits more than twice.
pub const BODY_BYTES: usize = 32 * 1024 * 1024;

/// The MCP endpoint.
pub type Endpoint = StreamableHttpService<Server, NeverSessionManager>;

/// Makes the MCP endpoint over `context`.
pub fn endpoint(context: Arc<Context>) -> Endpoint {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(BODY_BYTES)
        // The kit has checked Host and Origin before a request comes here.
        .disable_allowed_hosts()
        .disable_allowed_origins();
    StreamableHttpService::new(move || Ok(Server::new(context.clone())), Arc::default(), config)
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
    match message(request).await {
        Ok(request) => {
            let response = endpoint.handle(request).await;
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
async fn message(request: Request) -> Result<Request, Unread> {
    if request.method() != Method::POST {
        let why = "This endpoint takes POST only; there is no stream to GET and no session to DELETE.";
        return Err(Refusal::invalid(why).with_status(StatusCode::METHOD_NOT_ALLOWED).into());
    }
    let (mut parts, body) = request.into_parts();
    if !is_json(&parts.headers) {
        let why = "Content-Type: must be application/json";
        return Err(Refusal::invalid(why).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE).into());
    }
    let bytes = read(&parts.headers, body).await?;
    serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).map_err(|_| Unread::NoJson)?;
    // A plain HTTP tool sends another Accept, or none; there is only one form to answer in.
    parts.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.and_then(|value| value.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Refusal> {
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
    let (mut stream, mut bytes) = (body.into_data_stream(), Vec::new());
    loop {
        let piece = tokio::time::timeout(SILENCE, stream.next()).await.map_err(|_| {
            Refusal::invalid("The sender was silent for too long.").with_status(StatusCode::REQUEST_TIMEOUT)
        })?;
        let Some(piece) = piece else { return Ok(bytes) };
        let piece = piece.map_err(|_| Refusal::invalid("The message broke off."))?;
        if piece.len() > BODY_BYTES - bytes.len() {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
}

fn json_rpc_error(code: i32, message: &str) -> Response {
    let body = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": message } });
    let mut response = (StatusCode::BAD_REQUEST, body.to_string()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
