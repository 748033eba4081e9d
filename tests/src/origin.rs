//! A web server on which clients publish documents about themselves: plain on loopback, or with TLS anywhere.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::authority::Authority;
use crate::ports::Port;

/// The origin. It is gone when this is dropped.
#[derive(Debug)]
pub struct Origin {
    base: String,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
    _port: Option<Port>,
}

#[derive(Debug, Default)]
struct Shared {
    answers: HashMap<String, String>,
    asked: HashMap<String, usize>,
}

/// How long a client may take to send its request.
const PATIENCE: Duration = Duration::from_secs(10);

impl Origin {
    /// One on a free port of 127.0.0.1, without TLS.
    pub async fn start() -> Self {
        let port = Port::reserve();
        let listener = TcpListener::bind(("127.0.0.1", port.number())).await.expect("the port is ours");
        let base = format!("http://127.0.0.1:{}", port.number());
        Self::serve(listener, base, None, Some(port))
    }

    /// One with TLS at this address, port 443, which is to be known as `name`.
    pub async fn with_tls(address: &str, name: &str, authority: &Authority) -> Self {
        let listener = TcpListener::bind((address, 443)).await.expect("the address is ours");
        let file = |name| BufReader::new(File::open(authority.path(name)).expect("a file"));
        let certificates = CertificateDer::pem_reader_iter(file("cert.pem"));
        let certificates: Result<Vec<_>, _> = certificates.collect();
        let key = PrivateKeyDer::from_pem_reader(file("key.pem")).expect("a key");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(certificates.expect("certificates"), key)
            .expect("they fit");
        Self::serve(listener, format!("https://{name}"), Some(TlsAcceptor::from(Arc::new(config))), None)
    }

    fn serve(listener: TcpListener, base: String, tls: Option<TlsAcceptor>, port: Option<Port>) -> Self {
        let shared = Arc::<Mutex<Shared>>::default();
        let served = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, tls) = (Arc::clone(&served), tls.clone());
                tokio::spawn(async move {
                    let answered = async {
                        match tls {
                            // A caller that does not trust the certificate goes away; that is its right.
                            Some(tls) => match tls.accept(stream).await {
                                Ok(stream) => answer(stream, &shared).await,
                                Err(_) => None,
                            },
                            None => answer(stream, &shared).await,
                        }
                    };
                    let _ = tokio::time::timeout(PATIENCE, answered).await;
                });
            }
        });
        Self { base, shared, task, _port: port }
    }

    /// The address of a document here.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Answers this from now on: status line and headers as they are given, then the body.
    pub fn say(&self, path: &str, status: u16, headers: &str, body: &str) {
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        self.shared.lock().expect("not poisoned").answers.insert(path.to_owned(), text);
    }

    /// Publishes a document under its own address; gives that.
    pub fn publish(&self, path: &str, change: &Value) -> String {
        let url = self.url(path);
        let mut document = document(&url);
        document.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        self.say(path, 200, "content-type: application/json\r\n", &document.to_string());
        url
    }

    /// How often this was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.shared.lock().expect("not poisoned").asked.get(path).copied().unwrap_or_default()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a native client says about itself at `url`.
pub fn document(url: &str) -> Value {
    json!({
        "client_id": url,
        "client_name": "Published",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    })
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, shared: &Mutex<Shared>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1)?.to_owned();
    let text = {
        let mut shared = shared.lock().expect("not poisoned");
        *shared.asked.entry(path.clone()).or_default() += 1;
        shared.answers.get(&path).cloned()
    };
    let missing = || "HTTP/1.1 404 X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned();
    stream.write_all(text.unwrap_or_else(missing).as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}
