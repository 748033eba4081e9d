//! A reverse proxy on loopback: every request goes to the next server, or to the one that a test wants, and an answer may be
//! lost on its way.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::ports::Port;

/// Larger than any head of a request that a test sends through.
const MAX_HEAD: usize = 64 * 1024;
/// How long a server may take to accept a connection before the next one is asked.
const CONNECT: Duration = Duration::from_secs(1);
/// Pinned to no server.
const NONE: usize = usize::MAX;

/// The proxy. It is gone when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    servers: Vec<u16>,
    next: AtomicUsize,
    pinned: AtomicUsize,
    to_lose: AtomicUsize,
}

impl Proxy {
    /// Starts one in front of the servers on these ports, which may come later.
    pub async fn start(servers: Vec<u16>) -> Self {
        let port = Port::reserve();
        let (next, pinned, to_lose) = (AtomicUsize::new(0), AtomicUsize::new(NONE), AtomicUsize::new(0));
        let shared = Arc::new(Shared { servers, next, pinned, to_lose });
        let mut tasks = Vec::new();
        for host in ["127.0.0.1", "::1"] {
            let listener = TcpListener::bind((host, port.number())).await.expect("the port is ours");
            tasks.push(tokio::spawn(accept(listener, Arc::clone(&shared))));
        }
        Self { port, shared, tasks }
    }

    /// Where it is.
    pub fn origin(&self) -> String {
        format!("http://localhost:{}", self.port.number())
    }

    /// Sends everything to this server from now on.
    pub fn pin(&self, server: usize) {
        assert!(server < self.shared.servers.len(), "there is no server {server}");
        self.shared.pinned.store(server, Ordering::SeqCst);
    }

    /// Spreads requests over all servers again.
    pub fn spread(&self) {
        self.shared.pinned.store(NONE, Ordering::SeqCst);
    }

    /// Waits for the whole answer to the next request, and does not pass it on.
    pub fn lose_next_answer(&self) {
        self.shared.to_lose.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Shared {
    /// A connection to the server whose turn it is, or to the first after it that is there.
    async fn connect(&self) -> io::Result<TcpStream> {
        let pinned = self.pinned.load(Ordering::SeqCst);
        let (first, tries) = if pinned == NONE {
            (self.next.fetch_add(1, Ordering::SeqCst), self.servers.len())
        } else {
            (pinned, 1)
        };
        let mut failed = io::Error::other("there is no server");
        for i in first..first + tries {
            let server = self.servers[i % self.servers.len()];
            match tokio::time::timeout(CONNECT, TcpStream::connect(("127.0.0.1", server))).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failed = error,
                Err(_) => failed = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(failed)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // Whoever goes away in the middle has seen it already.
            let _ = carry(client, &shared).await;
        });
    }
}

/// Carries one request to a server and its answer back, and ends the connection.
async fn carry(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if bytes.len() > MAX_HEAD || client.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let Ok(mut server) = shared.connect().await else {
        return client
            .write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .await;
    };
    let visitor = client.peer_addr()?.ip();
    server.write_all(&bytes[..end]).await?;
    server
        .write_all(format!("\r\nX-Forwarded-For: {visitor}\r\nConnection: close\r\n\r\n").as_bytes())
        .await?;
    server.write_all(&bytes[end + 4..]).await?;
    let lost =
        shared.to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let answer = async {
        if lost {
            return tokio::io::copy(&mut from_server, &mut tokio::io::sink()).await;
        }
        tokio::io::copy(&mut from_server, &mut to_client).await
    };
    tokio::select! {
        done = answer => done.map(|_| ()),
        done = tokio::io::copy(&mut from_client, &mut to_server) => done.map(|_| ()),
    }
}
