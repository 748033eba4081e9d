//! The network between a server and its Redis, as far as it can fail.

use e2e::redis::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A way to Redis that can be cut: nothing passes any more, and nobody is told.
pub(crate) struct Way {
    /// Where it begins.
    pub(crate) url: String,
    open: watch::Sender<bool>,
}

impl Way {
    pub(crate) async fn to(redis: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("redis://{}", listener.local_addr().expect("an address"));
        let (open, is_open) = watch::channel(true);
        let target = redis.port();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(("127.0.0.1", target)).await.expect("Redis listens");
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::spawn(pass(near_in, far_out, is_open.clone()));
                tokio::spawn(pass(far_in, near_out, is_open.clone()));
            }
        });
        Self { url, open }
    }

    pub(crate) fn cut(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.open.send_replace(true);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut is_open: watch::Receiver<bool>) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if is_open.wait_for(|open| *open).await.is_err() || to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
