//! Bytes on a socket, for requests that no HTTP client would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stage::Stage;

/// How long a server may think about bytes before a test reads on without it.
const PATIENCE: Duration = Duration::from_secs(3);

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) text: String,
    /// Whether the server ended the connection.
    pub(crate) closed: bool,
}

impl Reply {
    /// The status codes of all answers, in order.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        let heads = self.text.split("HTTP/1.1 ").skip(1);
        heads.filter_map(|head| head.get(..3)?.parse().ok()).collect()
    }

    /// True when nothing was done: one answer in the 400s, or none at all, and the connection is over.
    pub(crate) fn refused(&self) -> bool {
        let statuses = self.statuses();
        self.closed && statuses.len() <= 1 && statuses.iter().all(|status| (400..500).contains(status))
    }
}

/// A fresh connection.
pub(crate) async fn connect(stage: &Stage) -> TcpStream {
    TcpStream::connect(("127.0.0.1", stage.port())).await.expect("the server listens")
}

/// Sends bytes on a fresh connection and reads until the server closes it or falls silent.
pub(crate) async fn exchange(stage: &Stage, bytes: &[u8]) -> Reply {
    let mut stream = connect(stage).await;
    // A server may refuse before everything is sent.
    let _ = tokio::time::timeout(PATIENCE, stream.write_all(bytes)).await;
    read(&mut stream, PATIENCE).await
}

/// Reads until the server closes the connection or says nothing for `patience`.
pub(crate) async fn read(stream: &mut TcpStream, patience: Duration) -> Reply {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    let closed = loop {
        match tokio::time::timeout(patience, stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => break true,
            Ok(Ok(count)) => all.extend_from_slice(&buffer[..count]),
            Err(_) => break false,
        }
    };
    Reply { text: String::from_utf8_lossy(&all).into_owned(), closed }
}
