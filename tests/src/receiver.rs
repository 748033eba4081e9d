//! Clients that are told when a session ends: a process that verifies what it is sent with a library of others.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::client::text;
use crate::driver::{clients_folder, node};
use crate::house::House;
use crate::ports::Port;

/// How long a loaded machine may take until a client has heard.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the clients of a house are told.
#[derive(Debug)]
pub struct Receiver {
    lines: Lines<BufReader<ChildStdout>>,
    port: Port,
    _process: Child,
}

impl Receiver {
    /// Begins to listen.
    pub async fn start(issuer: &str) -> Self {
        let port = Port::reserve();
        let mut process = Command::new(node())
            .arg(clients_folder().join("receiver.mjs"))
            .env("ISSUER", issuer)
            .env("PORT", port.number().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the receiver starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let mut receiver = Self { lines, port, _process: process };
        assert_eq!(receiver.next(PATIENCE).await.expect("it listens")["step"], "ready");
        receiver
    }

    /// Where this client is told, and how it answers there: `ok`, `flaky`, `never`, `away` or `hangs`.
    pub fn uri(&self, client_id: &str, manner: &str) -> String {
        format!("http://127.0.0.1:{}/{client_id}/{manner}", self.port.number())
    }

    /// Registers a client that is told here.
    pub fn client(&self, house: &House, client_id: &str, redirect_uri: &str, manner: &str) -> String {
        let uri = self.uri(client_id, manner);
        let made = house.cli(
            &[
                "client",
                "create",
                "--name",
                client_id,
                "--client-id",
                client_id,
                "--public",
                "--redirect-uri",
                redirect_uri,
                "--backchannel-logout-uri",
                &uri,
                "--backchannel-logout-session-required",
                "--json",
            ],
            "",
        );
        let made = made.json();
        assert_eq!(made["backchannel_logout_uri"], uri);
        text(&made["client_id"])
    }

    /// The claims that a client is told next, and verified.
    pub async fn told(&mut self) -> Value {
        let line = self.next(PATIENCE).await.expect("a client is told");
        assert!(line["error"].is_null(), "{line:#}");
        assert_eq!(line["method"], "POST");
        assert_eq!(line["type"], "application/x-www-form-urlencoded");
        assert!(line["cookie"].is_null(), "{line:#}");
        line["claims"].clone()
    }

    /// Fails if anybody is told within a while.
    pub async fn is_quiet(&mut self) {
        let line = self.next(Duration::from_secs(3)).await;
        assert!(line.is_none(), "{line:#?}");
    }

    async fn next(&mut self, patience: Duration) -> Option<Value> {
        let line = tokio::time::timeout(patience, self.lines.next_line()).await.ok()?;
        let line = line.expect("it can be read").expect("it goes on");
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}")))
    }
}
