//! Two servers with the same routes behind the kit, and a client that sends exactly the bytes it is told.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use doorward_resource_server::{Access, Reason, ResourceServer, Settings};
use doorward_shared::jose::access_token::AccessTokenClaims;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    issuer::ScriptedIssuer,
    tokens::{self, FIRST},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    Tower,
    Actix,
}

pub(crate) const FRONTS: [Front; 2] = [Front::Tower, Front::Actix];

/// A protected server at `http://localhost:<port>/mcp`.
pub(crate) struct Web {
    pub(crate) server: Arc<ResourceServer>,
    pub(crate) address: SocketAddr,
    pub(crate) resource: String,
    pub(crate) issuer: String,
}

/// An answer, as it came over the wire.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: BTreeMap<String, Vec<String>>,
    pub(crate) body: String,
}

impl Reply {
    /// The one header of this name; a repeated one is a failure of the test.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.headers.get(name)?;
        assert_eq!(values.len(), 1, "{name} occurs more than once: {values:?}");
        Some(&values[0])
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Web {
    pub(crate) async fn start(front: Front, issuer: &ScriptedIssuer) -> Self {
        Self::with(front, &issuer.issuer(), |settings| settings).await
    }

    /// Starts with settings of the test's choice.
    pub(crate) async fn with(front: Front, issuer: &str, change: impl FnOnce(Settings) -> Settings) -> Self {
        Self::named(front, issuer, "localhost", "/mcp", change).await
    }

    /// Starts with an identifier of the test's choice: `host` without port means the bound port is added.
    pub(crate) async fn named(
        front: Front,
        issuer: &str,
        host: &str,
        path: &str,
        change: impl FnOnce(Settings) -> Settings,
    ) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let resource = if host == "localhost" {
            format!("http://{host}:{}{path}", address.port())
        } else {
            format!("https://{host}{path}")
        };
        let server = ResourceServer::start(change(Settings::new(&resource, issuer))).await.unwrap();
        match front {
            Front::Tower => serve_axum(listener, Arc::clone(&server)),
            Front::Actix => serve_actix(listener, Arc::clone(&server)),
        }
        Self { server, address, resource, issuer: issuer.to_owned() }
    }

    pub(crate) async fn ready(self) -> Self {
        eventually("the kit is ready", || self.server.is_ready()).await;
        self
    }

    pub(crate) fn claims(&self) -> AccessTokenClaims {
        tokens::claims(&self.issuer, &self.resource, tokens::now())
    }

    pub(crate) fn good_token(&self) -> String {
        FIRST.sign(&self.claims())
    }

    /// The name and port that a well-behaved client sends as `Host`.
    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// Sends a request with these headers (`Host` is added) and no body.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send_body(method, path, headers, "").await
    }

    pub(crate) async fn send_body(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let host = self.host();
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        if !body.is_empty() {
            text.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        self.send_raw(&format!("{text}\r\n{body}")).await
    }

    /// Sends these bytes and reads until the other side closes.
    pub(crate) async fn send_raw(&self, request: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("the server closes").unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) =
            text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {request:?}: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            headers.entry(name.to_ascii_lowercase()).or_default().push(value.trim().to_owned());
        }
        Reply { status, headers, body: body.to_owned() }
    }

    /// `GET` of the resource with this token.
    pub(crate) async fn with_token(&self, token: &str) -> Reply {
        self.send("GET", "/mcp", &[("Authorization", &format!("Bearer {token}"))]).await
    }

    pub(crate) fn refused(&self, reason: Reason) -> u64 {
        self.server.metrics().refused(reason)
    }

    /// The refusal of a token that was sent: 401, one challenge, nothing about why.
    pub(crate) async fn assert_refused(&self, token: &str, reason: Reason) {
        let before = self.refused(reason);
        let reply = self.with_token(token).await;
        let shown: String = token.chars().take(200).collect();
        assert_eq!(reply.status, 401, "{shown}");
        assert_eq!(reply.json()["error"], "invalid_token");
        let challenge = reply.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer error=\"invalid_token\", "), "{challenge}");
        assert!(
            challenge.ends_with(&format!("resource_metadata=\"{}\"", self.document_url())),
            "{challenge}"
        );
        assert!(!challenge.contains("scope="), "{challenge}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(self.refused(reason), before + 1, "{} expected for {shown}", reason.as_str());
    }

    pub(crate) fn document_url(&self) -> String {
        let (scheme_and_host, _) = self.resource.rsplit_once('/').unwrap();
        format!("{scheme_and_host}/.well-known/oauth-protected-resource/mcp")
    }
}

/// What the handler saw.
fn seen(access: &Access, authorization: bool) -> String {
    json!({
        "subject": access.subject,
        "client_id": access.client_id,
        "organization": access.organization,
        "grant": access.grant,
        "scope": access.scope,
        "expires_at": access.expires_at,
        "reads": access.allows("artifacts:read"),
        "deletes": access.allows("artifacts:delete"),
        "saw_authorization": authorization,
    })
    .to_string()
}

fn serve_axum(listener: std::net::TcpListener, server: Arc<ResourceServer>) {
    use axum::{
        Extension, Router,
        http::{HeaderMap, header::AUTHORIZATION},
        routing::{any, post},
    };

    async fn protected(Extension(access): Extension<Access>, headers: HeaderMap) -> String {
        seen(&access, headers.contains_key(AUTHORIZATION) || headers.contains_key("x-api-key"))
    }

    async fn open(headers: HeaderMap) -> String {
        format!("open {}", headers.contains_key(AUTHORIZATION))
    }

    let app = Router::new()
        .route("/mcp", any(protected))
        .route("/mcp/files", any(protected))
        .route("/mcp/upload", post(protected))
        .route("/open", any(open))
        .layer(doorward_resource_server::tower::ProtectLayer::new(server));
    tokio::spawn(async move {
        axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), app).await.unwrap();
    });
}

fn serve_actix(listener: std::net::TcpListener, server: Arc<ResourceServer>) {
    use actix_web::{App, HttpRequest, HttpServer, http::header::AUTHORIZATION, web};

    async fn protected(access: Access, request: HttpRequest) -> String {
        let headers = request.headers();
        seen(&access, headers.contains_key(AUTHORIZATION) || headers.contains_key("x-api-key"))
    }

    async fn open(request: HttpRequest) -> String {
        format!("open {}", request.headers().contains_key(AUTHORIZATION))
    }

    let server = HttpServer::new(move || {
        App::new()
            .wrap(doorward_resource_server::actix::Protect::new(Arc::clone(&server)))
            .route("/mcp", web::to(protected))
            .route("/mcp/files", web::to(protected))
            .route("/mcp/upload", web::post().to(protected))
            .route("/unprotected", web::to(protected))
            .route("/open", web::to(open))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)
    .unwrap()
    .run();
    tokio::spawn(server);
}

/// Waits until `condition` holds, at most ten seconds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within ten seconds: {what}");
}
