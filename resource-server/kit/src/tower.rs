//! The kit as a tower layer, for axum and rmcp.
//!
//! ```
//! use std::sync::Arc;
//!
//! use axum::{Extension, Router, routing::get};
//! use doorward_resource_server::{Access, ResourceServer, Settings, tower::ProtectLayer};
//!
//! async fn whoami(Extension(access): Extension<Access>) -> String {
//!     access.subject
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = ResourceServer::start(Settings::new("http://localhost:9100/mcp", "http://localhost:9000")).await?;
//! let app: Router = Router::new().route("/mcp", get(whoami)).layer(ProtectLayer::new(Arc::clone(&server)));
//! # Ok(())
//! # }
//! ```
//!
//! Put the layer on the outermost router, where it sees the whole path, and add it last.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use ::tower::{Layer, Service};
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, ORIGIN},
    request::Parts,
};

use crate::{Answer, ResourceServer, front};

/// Protects the services that it wraps.
#[derive(Clone)]
pub struct ProtectLayer {
    server: Arc<ResourceServer>,
}

impl ProtectLayer {
    /// A layer for one resource.
    pub fn new(server: Arc<ResourceServer>) -> Self {
        Self { server }
    }
}

impl<S> Layer<S> for ProtectLayer {
    type Service = Protect<S>;

    fn layer(&self, inner: S) -> Protect<S> {
        Protect { server: Arc::clone(&self.server), inner }
    }
}

/// A protected service.
#[derive(Clone)]
pub struct Protect<S> {
    server: Arc<ResourceServer>,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Protect<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Send,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that was polled ready must be the one that is called.
        let waiting = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, waiting);
        let server = Arc::clone(&self.server);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match server.decide(&view(&parts)).await {
                front::Decision::Pass => inner.call(Request::from_parts(parts, body)).await,
                front::Decision::Answer(answer) => {
                    let read = read_to_the_end(body).await;
                    let mut response: Response<R> = answer.into();
                    if !read {
                        response
                            .headers_mut()
                            .insert(http::header::CONNECTION, HeaderValue::from_static("close"));
                    }
                    Ok(response)
                }
                front::Decision::Admit(access) => {
                    // What no handler has, no handler can pass on.
                    parts.headers.remove(AUTHORIZATION);
                    parts.headers.remove(front::API_KEY);
                    parts.extensions.insert(Arc::unwrap_or_clone(access));
                    let mut response = inner.call(Request::from_parts(parts, body)).await?;
                    for (name, value) in front::CORS {
                        response
                            .headers_mut()
                            .insert(HeaderName::from_static(name), HeaderValue::from_static(value));
                    }
                    Ok(response)
                }
            }
        })
    }
}

/// Reads what the client still sends, within limits; false if there is more.
///
/// hyper closes a connection whose request was answered before it was read, and says so to nobody. A client that uses the
/// connection again, as the Python SDK does for the metadata after a 401, then fails.
async fn read_to_the_end<B: http_body::Body + Unpin>(mut body: B) -> bool {
    let read = async {
        let mut left = 64 * 1024_usize;
        loop {
            let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
            let Some(frame) = frame else { return true };
            let Ok(frame) = frame else { return false };
            let length = frame.data_ref().map_or(0, bytes::Buf::remaining);
            let Some(rest) = left.checked_sub(length) else { return false };
            left = rest;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(2), read).await.unwrap_or(false)
}

fn view(parts: &Parts) -> front::Request<'_> {
    let all = |name: &str| parts.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    front::Request {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        authority: parts.uri.authority().map(http::uri::Authority::as_str),
        host: all(HOST.as_str()),
        origin: all(ORIGIN.as_str()),
        authorization: all(AUTHORIZATION.as_str()),
        api_key: all(front::API_KEY),
        content_type: parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes),
    }
}

impl<R: From<String>> From<Answer> for Response<R> {
    fn from(answer: Answer) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in answer.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        let mut response = Self::new(R::from(answer.body));
        *response.status_mut() =
            StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = headers;
        response
    }
}
