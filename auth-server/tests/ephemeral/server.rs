//! A `redis-server` of a test's own, and the servers that use it.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use deadpool_redis::redis::{self, FromRedisValue, aio::MultiplexedConnection};
use doorward::{
    config::Config,
    domain::policy::Policy,
    ephemeral::{Ephemeral, Location, PendingRequest},
};
use doorward_shared::{issuer::Issuer, time::Timestamp};

/// Runs a test on both backends.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::server::Backend::memory()).await;
            })+
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::server::Backend::redis()).await;
            })+
        }
    };
}

/// A time for tests, `seconds` after a fixed one.
pub(crate) const fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + seconds)
}

/// A request that waits, told from others by its text.
pub(crate) fn waiting(query: &str) -> PendingRequest {
    PendingRequest {
        query: query.to_owned(),
        asked_at: at(0),
        browser: "browser".to_owned(),
        signed_in: None,
    }
}

/// The default rules, for a server of this name.
pub(crate) fn policy(issuer: &str) -> Arc<Policy> {
    let issuer = Issuer::parse(issuer).unwrap();
    Arc::new(Policy { issuer, ..Config::read(None, []).unwrap().policy })
}

pub(crate) const ISSUER: &str = "http://localhost:9000";

/// Where a test keeps things.
pub(crate) struct Backend {
    server: Option<Server>,
    /// One replica.
    pub(crate) here: Arc<Ephemeral>,
    /// Another one; in memory there is none, and it is the same.
    pub(crate) there: Arc<Ephemeral>,
}

impl Backend {
    pub(crate) fn memory() -> Self {
        let here = Arc::new(Ephemeral::in_memory(policy(ISSUER)));
        Self { server: None, there: Arc::clone(&here), here }
    }

    pub(crate) fn redis() -> Self {
        let server = Server::start(&[]);
        let [here, there] = [server.replica(), server.replica()];
        Self { server: Some(server), here, there }
    }

    /// Redis holds nothing that it would keep for ever.
    pub(crate) async fn close(self) {
        if let Some(server) = self.server {
            server.keeps_nothing_for_ever().await;
        }
    }
}

/// A running `redis-server`. It is killed when this is dropped.
pub(crate) struct Server {
    child: Option<Child>,
    port: u16,
    folder: PathBuf,
    more: Vec<String>,
}

impl Server {
    /// Starts one that keeps nothing on disk, unless `more` says otherwise.
    pub(crate) fn start(more: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("doorward-redis-{}", ulid::Ulid::generate()));
        std::fs::create_dir_all(&folder).unwrap();
        let more = more.iter().map(|&option| option.to_owned()).collect();
        let mut server = Self { child: None, port: 0, folder, more };
        // A port that was free when it was looked for may be taken when it is needed.
        for _ in 0..10 {
            server.port = free_port();
            if server.run() {
                return server;
            }
        }
        panic!("redis-server does not start; tests/install installs it");
    }

    fn run(&mut self) -> bool {
        let mut child = Command::new("redis-server")
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--loglevel",
                "notice",
            ])
            .args(&self.more)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server runs; tests/install installs it");
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while lines.read_line(&mut line).unwrap() > 0 {
            if line.contains("eady to accept connections") {
                // It must never wait for somebody to read what it says.
                std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
                self.child = Some(child);
                return true;
            }
            line.clear();
        }
        child.wait().unwrap();
        false
    }

    /// Starts it again, where it was.
    pub(crate) fn start_again(&mut self) {
        for _ in 0..50 {
            if self.run() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("redis-server does not start again on port {}", self.port);
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill9(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Stops it from doing anything, without ending it or its connections.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A server that keeps what may be lost here.
    pub(crate) fn replica(&self) -> Arc<Ephemeral> {
        replica(&self.url(), ISSUER)
    }

    /// A connection of somebody else.
    pub(crate) async fn connect(&self) -> MultiplexedConnection {
        redis::Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// Carries out a command of somebody else: words with blanks between them.
    pub(crate) async fn run_command<T: FromRedisValue>(&self, words: &str) -> T {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        words.for_each(|word| {
            command.arg(word);
        });
        command.query_async(&mut self.connect().await).await.unwrap()
    }

    pub(crate) async fn keeps_nothing_for_ever(&self) {
        for key in self.run_command::<Vec<Vec<u8>>>("KEYS *").await {
            let left: i64 =
                redis::cmd("PTTL").arg(&key).query_async(&mut self.connect().await).await.unwrap();
            // Redis says -1 of what has no end.
            assert_ne!(left, -1, "{}", String::from_utf8_lossy(&key));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A server of this name that keeps what may be lost behind `url`.
pub(crate) fn replica(url: &str, issuer: &str) -> Arc<Ephemeral> {
    Arc::new(Ephemeral::new(&Location::parse(url).unwrap(), policy(issuer)))
}

/// A port on which nobody listens.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
