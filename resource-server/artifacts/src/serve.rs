//! Connections: taken up to a number, given up when silent, and closed in order at the end.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

/// What strangers may take before they have said anything.
#[derive(Clone, Debug)]
pub struct Door {
    /// How long the head of a request may take, counted from the opening of the connection or the answer before.
    pub head: Duration,
    /// Free places for connections, on all addresses together. Further ones wait in the queue of the system.
    pub places: Arc<Semaphore>,
}

impl Default for Door {
    fn default() -> Self {
        Self { head: Duration::from_secs(10), places: Arc::new(Semaphore::new(1024)) }
    }
}

/// Serves `router` until `stop` is done, then finishes the requests under way.
pub async fn serve(listener: TcpListener, router: Router, door: Door, stop: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (connection, place) = tokio::select! {
            () = &mut stop => break,
            taken = accept(&listener, &door) => taken,
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(door.head)
            .serve_connection(TokioIo::new(connection), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A connection that ends badly is its client's affair; requests have their own events.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// The next connection and its place. The place comes first: what is not accepted costs this process nothing.
async fn accept(
    listener: &TcpListener,
    door: &Door,
) -> (TcpStream, Option<tokio::sync::OwnedSemaphorePermit>) {
    // Nobody closes the semaphore.
    let place = door.places.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((connection, _)) => return (connection, place),
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                // Most likely there are no file descriptors left; they come back when connections end.
                tracing::error!(%error, "no connection can be taken");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::oneshot,
        task::JoinHandle,
        time::timeout,
    };

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    /// A server whose one page takes half a second; its address, its end, and what ends it.
    async fn start(
        head: Duration,
        places: usize,
    ) -> (std::net::SocketAddr, JoinHandle<()>, oneshot::Sender<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let page = get(async || {
            tokio::time::sleep(Duration::from_millis(500)).await;
            "done"
        });
        let (end, ended) = oneshot::channel();
        let door = Door { head, places: Arc::new(Semaphore::new(places)) };
        let stop = async { drop(ended.await) };
        let server = tokio::spawn(serve(listener, Router::new().route("/", page), door, stop));
        (address, server, end)
    }

    async fn ask(address: std::net::SocketAddr) -> TcpStream {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        connection
    }

    async fn hear(mut connection: TcpStream) -> String {
        let mut heard = String::new();
        timeout(SOON, connection.read_to_string(&mut heard)).await.expect("it ends").unwrap();
        heard
    }

    #[tokio::test]
    async fn who_says_nothing_or_half_a_head_is_given_up() {
        let (address, _server, _end) = start(Duration::from_millis(200), 8).await;
        let silent = TcpStream::connect(address).await.unwrap();
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
        assert!(!hear(silent).await.contains("200"));
        assert!(!hear(slow).await.contains("200"));
        assert!(hear(ask(address).await).await.ends_with("done"), "an answer may take longer than a head");
    }

    #[tokio::test]
    async fn beyond_the_places_a_connection_waits_for_one() {
        let (address, _server, _end) = start(Duration::from_millis(700), 1).await;
        let silent = TcpStream::connect(address).await.unwrap();
        let waiting = ask(address).await;
        let mut byte = [0; 1];
        assert!(
            timeout(Duration::from_millis(200), waiting.peek(&mut byte)).await.is_err(),
            "not yet served"
        );
        hear(silent).await;
        assert!(hear(waiting).await.ends_with("done"));
    }

    #[tokio::test]
    async fn a_request_under_way_is_finished_after_the_signal_to_stop() {
        let (address, server, end) = start(SOON, 8).await;
        let asked = ask(address).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        end.send(()).unwrap();
        assert!(hear(asked).await.ends_with("done"));
        timeout(SOON, server).await.expect("it stops").unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "no connection is taken any more");
    }
}
