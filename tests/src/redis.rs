//! Redis of the tests: a database of a house's own in the server that `tests/with-stores` starts, or a whole server that a
//! test may stop and kill.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::ports::Port;

/// A database that nobody else uses, empty when it is given and when it is given back.
#[derive(Debug)]
pub struct Keyspace(String);

/// How many databases the server has (`tests/with-stores`), but for the first, which counts them.
const KEYSPACES: u64 = 4999;

impl Keyspace {
    /// The next one.
    #[expect(clippy::disallowed_methods, reason = "how tests/with-stores says where its server is")]
    pub fn create() -> Self {
        let Ok(server) = std::env::var("DOORWARD_TEST_REDIS") else {
            panic!("DOORWARD_TEST_REDIS names no Redis: run this through tests/with-stores");
        };
        let given = ask(&server, &["INCR", "given"]).expect("Redis counts");
        let number = given.parse::<u64>().expect("a count") % KEYSPACES + 1;
        let keyspace = Self(format!("{server}/{number}"));
        ask(&keyspace.0, &["FLUSHDB"]).expect("Redis forgets");
        keyspace
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.0.clone()
    }

    /// Carries out a command there.
    pub fn ask(&self, command: &[&str]) -> String {
        ask(&self.0, command).expect("Redis answers")
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        // What is left goes with the server; a panic here would hide why a test failed.
        let _ = ask(&self.0, &["FLUSHDB"]);
    }
}

/// A `redis-server` of a test's own. It is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Option<Child>,
    more: Vec<String>,
    folder: TempDir,
    port: Port,
}

impl Server {
    /// Starts one with these options beside the necessary ones.
    pub async fn start(more: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("doorward-redis.").tempdir().expect("a folder");
        let more = more.iter().map(|&option| option.to_owned()).collect();
        let mut server = Self { child: None, more, folder, port: Port::reserve() };
        server.start_again().await;
        server
    }

    /// Starts it again after it was killed, where it was, with nothing in it.
    pub async fn start_again(&mut self) {
        let port = self.port.number().to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(&self.more)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server runs; tests/install installs it");
        self.child = Some(child);
        let ready = async {
            while std::net::TcpStream::connect(("127.0.0.1", self.port.number())).is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ready).await.expect("redis-server listens");
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port.number())
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Its own folder.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Carries out a command there.
    pub fn ask(&self, command: &[&str]) -> String {
        ask(&self.url(), command).expect("Redis answers")
    }

    /// Kills it as `kill -9` does.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only if it is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Keeps it from doing anything, without ending it or its connections.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        let done = Command::new("kill").args([signal, &id]).status().expect("kill runs");
        assert!(done.success(), "kill {signal} {id}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill9();
    }
}

fn ask(url: &str, command: &[&str]) -> Result<String, String> {
    let done = Command::new("redis-cli")
        .args(["-u", url, "-e", "--raw"])
        .args(command)
        .output()
        .expect("redis-cli runs; tests/install installs it");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end().to_owned();
    if done.status.success() { Ok(text(done.stdout)) } else { Err(text(done.stderr)) }
}
