//! One wide event per request: route, status, duration, tool, subject, client, name of the key. No path, no query, no header
//! and no body is ever logged, since all of them can hold a secret; of a tool's arguments only ids and folders are.

use std::{
    io::IsTerminal,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use doorward_shared::secret::Entropy;
use http::{HeaderName, HeaderValue, Method};
use tracing_subscriber::EnvFilter;

use crate::{caller::Caller, config::LogFormat, errors::Refusal, ids::RequestId};

/// What is noted about a request while it is served. Clones share one note.
#[derive(Clone, Debug)]
pub struct Event {
    request_id: RequestId,
    fields: Arc<Mutex<Fields>>,
}

#[derive(Debug, Default)]
struct Fields {
    method: Option<String>,
    tool: Option<&'static str>,
    input: Option<String>,
    subject: Option<String>,
    organization: Option<String>,
    client: Option<String>,
    grant: Option<String>,
    credential: Option<String>,
    code: Option<&'static str>,
    cause: Option<String>,
}

impl Event {
    /// A note with a new request id.
    pub fn new(entropy: &dyn Entropy) -> Self {
        Self { request_id: RequestId::generate(entropy), fields: Arc::default() }
    }

    /// The id of the request, as answers show it.
    pub fn request_id(&self) -> &str {
        self.request_id.as_str()
    }

    /// Notes who calls.
    pub fn caller(&self, caller: &Caller) {
        self.note(|fields| {
            fields.subject = Some(caller.subject.clone());
            fields.organization = Some(caller.organization.clone());
            fields.client = Some(caller.client_id.clone());
            fields.grant = Some(caller.grant.clone());
            fields.credential.clone_from(&caller.credential);
        });
    }

    /// Notes which MCP method is served.
    pub fn method(&self, method: &str) {
        self.note(|fields| fields.method = Some(method.to_owned()));
    }

    /// Notes which tool is called, and what it is asked. Only names of the table are noted, never what a caller made up.
    pub fn tool(&self, tool: &'static str, input: &str) {
        self.note(|fields| {
            fields.tool = Some(tool);
            fields.input = Some(input.to_owned());
        });
    }

    /// Notes a refusal, with its private cause.
    pub fn refusal(&self, refusal: &Refusal) {
        self.note(|fields| {
            fields.code = Some(refusal.code().as_str());
            fields.cause = refusal.cause();
        });
    }

    fn note(&self, change: impl FnOnce(&mut Fields)) {
        change(&mut self.fields.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Times a request, gives it an id, and writes its event when it has been answered.
pub async fn record(State(entropy): State<Arc<dyn Entropy>>, mut request: Request, next: Next) -> Response {
    let event = Event::new(&*entropy);
    let route = route(&request);
    let verb = verb(request.method());
    request.extensions_mut().insert(event.clone());
    #[expect(clippy::disallowed_methods, reason = "telemetry measures durations")]
    let begun = std::time::Instant::now();
    let mut response = next.run(request).await;
    let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    if let Ok(id) = HeaderValue::from_str(event.request_id()) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), id);
    }
    let status = response.status().as_u16();
    let fields = event.fields.lock().unwrap_or_else(PoisonError::into_inner);
    macro_rules! write_event {
        ($level:ident) => {
            tracing::$level!(
                request_id = event.request_id(),
                route,
                verb,
                status,
                duration_ms,
                method = fields.method,
                tool = fields.tool,
                input = fields.input,
                subject = fields.subject,
                organization = fields.organization,
                client = fields.client,
                grant = fields.grant,
                credential = fields.credential,
                code = fields.code,
                cause = fields.cause,
                "request"
            )
        };
    }
    // Whoever watches over the server asks every few seconds; that all is well is no news.
    let routine = status == 200 && matches!(&*route, "/healthz" | "/readyz");
    if fields.cause.is_some() || status >= 500 {
        write_event!(error);
    } else if routine {
        write_event!(debug);
    } else {
        write_event!(info);
    }
    drop(fields);
    response
}

/// The method, if it is one that HTTP knows. Any other word is the caller's, of any length, and not for the log.
fn verb(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => "other",
    }
}

/// The route as it is written in the router: `/downloads/{address}`, never the address itself.
fn route(request: &Request) -> String {
    match request.extensions().get::<MatchedPath>() {
        Some(path) => path.as_str().to_owned(),
        None if request.uri().path().starts_with("/.well-known/oauth-protected-resource") => {
            "/.well-known/oauth-protected-resource".to_owned()
        }
        None => "(none)".to_owned(),
    }
}

/// Starts the log on standard error.
pub fn start(format: LogFormat, filter: &str) {
    // What rmcp prints at finer levels holds tool answers, and with them the addresses of downloads.
    let quiet =
        ["rmcp=warn", "sqlx=warn", "hyper=warn"].into_iter().filter_map(|directive| directive.parse().ok());
    let filter = quiet.fold(EnvFilter::new(filter), EnvFilter::add_directive);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Pretty => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_a_caller_made_up_is_not_logged() {
        for known in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"] {
            assert_eq!(verb(&known.parse().unwrap()), known);
        }
        for made_up in ["get", "PROPFIND", &"X".repeat(10_000)] {
            assert_eq!(verb(&made_up.parse().unwrap()), "other");
        }
    }
}
