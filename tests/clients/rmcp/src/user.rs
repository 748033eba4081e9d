//! The loopback listener and the browser that ends there.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use url::Url;

use crate::Outcome;

/// The person who signs in, and the address where their browser comes back to.
#[derive(Debug)]
pub(crate) struct User {
    listener: TcpListener,
    uri: String,
    sign_ins: u32,
}

/// One sign-in, from the address that was opened to the one where it ended.
#[derive(Debug)]
pub(crate) struct SignIn {
    url: Url,
    pub(crate) callback: Url,
    /// What the person saw: the report of `user.mjs`.
    pub(crate) saw: Value,
}

impl User {
    pub(crate) async fn listen() -> Outcome<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let uri = format!("http://127.0.0.1:{}/callback", listener.local_addr()?.port());
        Ok(Self { listener, uri, sign_ins: 0 })
    }

    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    pub(crate) fn sign_ins(&self) -> u32 {
        self.sign_ins
    }

    /// Sends the browser to `url` and waits until it has come back and is closed.
    pub(crate) async fn sign_in(&mut self, url: String) -> Outcome<SignIn> {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no folder of clients")?;
        let browser = tokio::process::Command::new(clients.join("node_modules/.bin/node"))
            .arg(clients.join("user.mjs"))
            .arg(&url)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (printed, target) = tokio::try_join!(printed(browser), self.next_callback())?;
        self.sign_ins += 1;
        let callback = Url::parse(&self.uri)?.join(&target)?;
        Ok(SignIn { url: url.parse()?, callback, saw: serde_json::from_slice(&printed)? })
    }

    /// Serves requests until one is for the callback; gives its target.
    async fn next_callback(&self) -> Outcome<String> {
        loop {
            if let Some(target) = self.visit().await? {
                return Ok(target);
            }
        }
    }

    /// Serves one request; gives its target if it is for the callback.
    async fn visit(&self) -> Outcome<Option<String>> {
        let (mut stream, _) = self.listener.accept().await?;
        let mut lines = BufReader::new(&mut stream).lines();
        let first = lines.next_line().await?.unwrap_or_default();
        while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
        let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let known = target.starts_with("/callback?");
        let (status, text) =
            if known { ("200 OK", "You can close this tab.") } else { ("404 Not Found", "") };
        let length = text.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n");
        stream.write_all(format!("{head}Connection: close\r\n\r\n{text}").as_bytes()).await?;
        Ok(known.then_some(target))
    }
}

impl SignIn {
    /// The parameters of the authorization request.
    pub(crate) fn authorize(&self) -> Value {
        pairs(&self.url)
    }

    /// The parameters that came back.
    pub(crate) fn callback(&self) -> Value {
        pairs(&self.callback)
    }
}

/// What a browser that succeeded has printed. One that failed never comes back, so its failure ends the waiting too.
async fn printed(browser: tokio::process::Child) -> Outcome<Vec<u8>> {
    let output = browser.wait_with_output().await?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("the browser: {}", output.status).into())
    }
}

fn pairs(url: &Url) -> Value {
    url.query_pairs().map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect()
}
