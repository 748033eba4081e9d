//! A scripted authorization server: it answers whatever the test says, on a port of its own.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::authority::{Asked, Feed, Opaque, Said};

/// How the key set is answered.
#[derive(Clone)]
pub(crate) enum Mode {
    Good,
    Redirect,
    Huge,
    Slow,
    Html,
    WrongType,
    ServerError,
    Late(Duration),
    Raw(String),
}

struct Script {
    issuer: String,
    /// The well-known paths that exist; the others answer 404.
    metadata_paths: Vec<String>,
    metadata: Value,
    jwks: Value,
    mode: Mode,
    asked: Vec<String>,
}

/// The authorization server. It keeps its port while it is down.
pub(crate) struct ScriptedIssuer {
    script: Arc<Mutex<Script>>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) opaque: Arc<Opaque>,
    jwks_fetches: Arc<AtomicUsize>,
    elsewhere: Arc<AtomicUsize>,
    address: SocketAddr,
    /// The port, held but not listened on, so that connections are refused and nobody else gets it.
    held: Option<TcpSocket>,
    running: Option<JoinHandle<()>>,
}

impl ScriptedIssuer {
    /// Chooses a port and a script, and does not answer yet.
    pub(crate) async fn down(path: &str, jwks: Value) -> Self {
        let socket = hold(([127, 0, 0, 1], 0).into()).await;
        let address = socket.local_addr().unwrap();
        let issuer = format!("http://{address}{path}");
        let script = Script {
            metadata_paths: vec![format!("/.well-known/oauth-authorization-server{path}")],
            metadata: json!({
                "issuer": issuer,
                "jwks_uri": format!("http://{address}/jwks"),
                "introspection_endpoint": format!("http://{address}/introspect"),
                "revocation_feed_endpoint": format!("http://{address}/revocations"),
                "x_extra": "kept",
            }),
            issuer,
            jwks,
            mode: Mode::Good,
            asked: Vec::new(),
        };
        let feed = Arc::new(Feed::new(script.issuer.clone()));
        Self {
            script: Arc::new(Mutex::new(script)),
            feed,
            opaque: Arc::default(),
            jwks_fetches: Arc::default(),
            elsewhere: Arc::default(),
            address,
            held: Some(socket),
            running: None,
        }
    }

    pub(crate) async fn up(jwks: Value) -> Self {
        let mut issuer = Self::down("", jwks).await;
        issuer.start();
        issuer
    }

    pub(crate) fn start(&mut self) {
        let listener = self.held.take().unwrap().listen(64).unwrap();
        let (script, fetches, elsewhere) =
            (Arc::clone(&self.script), Arc::clone(&self.jwks_fetches), Arc::clone(&self.elsewhere));
        let (feed, opaque) = (Arc::clone(&self.feed), Arc::clone(&self.opaque));
        self.running = Some(tokio::spawn(async move {
            // Ends all connections when it is ended itself.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (script, fetches, elsewhere) =
                    (Arc::clone(&script), Arc::clone(&fetches), Arc::clone(&elsewhere));
                let (feed, opaque) = (Arc::clone(&feed), Arc::clone(&opaque));
                connections.spawn(async move {
                    let _ = answer(stream, &script, &fetches, &elsewhere, &feed, &opaque).await;
                });
            }
        }));
    }

    /// Stops, in the middle of whatever it does.
    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            let _ = running.await;
            self.held = Some(hold(self.address).await);
        }
    }

    pub(crate) fn issuer(&self) -> String {
        self.script.lock().unwrap().issuer.clone()
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.script.lock().unwrap().mode = mode;
    }

    pub(crate) fn set_jwks(&self, jwks: Value) {
        self.script.lock().unwrap().jwks = jwks;
    }

    pub(crate) fn set_metadata(&self, name: &str, value: Value) {
        self.script.lock().unwrap().metadata[name] = value;
    }

    pub(crate) fn forget_metadata(&self, name: &str) {
        self.script.lock().unwrap().metadata.as_object_mut().unwrap().remove(name);
    }

    pub(crate) fn serve_metadata_at(&self, paths: &[&str]) {
        self.script.lock().unwrap().metadata_paths = paths.iter().copied().map(String::from).collect();
    }

    pub(crate) fn metadata(&self) -> Value {
        self.script.lock().unwrap().metadata.clone()
    }

    /// The paths that were asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.script.lock().unwrap().asked.clone()
    }

    /// How often the key set was asked for.
    pub(crate) fn jwks_fetches(&self) -> usize {
        self.jwks_fetches.load(SeqCst)
    }

    /// How often a redirect was followed.
    pub(crate) fn followed(&self) -> usize {
        self.elsewhere.load(SeqCst)
    }
}

async fn hold(address: SocketAddr) -> TcpSocket {
    for _ in 0..100 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        if socket.bind(address).is_ok() {
            return socket;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the port {address} cannot be had");
}

async fn answer(
    mut stream: TcpStream,
    script: &Mutex<Script>,
    fetches: &AtomicUsize,
    elsewhere: &AtomicUsize,
    feed: &Feed,
    opaque: &Opaque,
) -> std::io::Result<()> {
    let Some(asked) = Asked::read(&mut stream).await? else { return Ok(()) };
    let path = asked.path.clone();
    let (metadata, jwks, mode) = {
        let mut script = script.lock().unwrap();
        script.asked.push(path.clone());
        let known = script.metadata_paths.contains(&path);
        (known.then(|| script.metadata.to_string()), script.jwks.to_string(), script.mode.clone())
    };
    if let Some(metadata) = metadata {
        return reply(&mut stream, "200 OK", "application/json", &metadata).await;
    }
    if path.starts_with("/revocations") || path == "/introspect" {
        let Said { status, headers, body } =
            if path == "/introspect" { opaque.answer(&asked).await } else { feed.answer(&asked).await };
        return reply_with(&mut stream, &status, &headers, &body).await;
    }
    if path == "/elsewhere" {
        elsewhere.fetch_add(1, SeqCst);
        return reply(&mut stream, "200 OK", "application/json", &jwks).await;
    }
    if path != "/jwks" {
        return reply(&mut stream, "404 Not Found", "application/json", "{}").await;
    }
    fetches.fetch_add(1, SeqCst);
    match mode {
        Mode::Good => reply(&mut stream, "200 OK", "application/json", &jwks).await,
        Mode::Raw(text) => {
            reply(&mut stream, "200 OK", "application/jwk-set+json; charset=utf-8", &text).await
        }
        Mode::Html => reply(&mut stream, "200 OK", "text/html", "<!doctype html><p>Welcome").await,
        Mode::WrongType => reply(&mut stream, "200 OK", "text/plain", &jwks).await,
        Mode::ServerError => reply(&mut stream, "500 Internal Server Error", "application/json", &jwks).await,
        Mode::Late(time) => {
            tokio::time::sleep(time).await;
            reply(&mut stream, "200 OK", "application/json", &jwks).await
        }
        Mode::Redirect => {
            let head = "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(head.as_bytes()).await
        }
        Mode::Huge => {
            // A good set in front, so that a reader that stops early would take it.
            let text = format!("{jwks}{}", " ".repeat(10 << 20));
            reply(&mut stream, "200 OK", "application/json", &text).await
        }
        Mode::Slow => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 600\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(b" ").await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn reply(stream: &mut TcpStream, status: &str, content_type: &str, body: &str) -> std::io::Result<()> {
    reply_with(stream, status, &format!("content-type: {content_type}\r\n"), body).await
}

async fn reply_with(stream: &mut TcpStream, status: &str, headers: &str, body: &str) -> std::io::Result<()> {
    let date =
        httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(crate::tokens::real_now()));
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\ndate: {date}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await
}
