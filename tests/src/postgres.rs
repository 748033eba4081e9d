//! `PostgreSQL` of the tests: a database of a house's own in the server that `tests/with-stores` starts, or a whole server
//! that a test may stop, freeze and kill.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::fresh;
use crate::ports::Port;
use crate::process::signal;

/// A fresh database in the server that `tests/with-stores` starts. It is gone when this is dropped.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    #[expect(clippy::disallowed_methods, reason = "how tests/with-stores says where its server is")]
    /// A new one.
    pub fn create() -> Self {
        let Ok(server) = std::env::var("DOORWARD_TEST_POSTGRES") else {
            panic!("DOORWARD_TEST_POSTGRES names no PostgreSQL: run this through tests/with-stores");
        };
        // Only a lower-case name needs no quotes anywhere.
        let name = format!("house_{}", fresh().replace(['-', '_'], "").to_lowercase());
        let database = Self { server, name };
        if let Err(reason) = database.sql(&format!("create database {}", database.name)) {
            panic!("no database: {reason}");
        }
        database
    }

    fn sql(&self, statement: &str) -> Result<String, String> {
        let done = psql(&self.server).arg("--command").arg(statement).output().expect("psql runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
    }

    /// A `psql` that talks to this database.
    pub fn psql(&self) -> Command {
        psql(&self.url())
    }

    /// Carries out statements in this database; gives what they answer, unaligned.
    pub fn ask(&self, statements: &str) -> String {
        let done = self.psql().arg("--command").arg(statements).output().expect("psql runs");
        assert!(done.status.success(), "{statements}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim_end().to_owned()
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let mut url = url::Url::parse(&self.server).expect("DOORWARD_TEST_POSTGRES is a URL");
        url.set_path(&self.name);
        url.into()
    }
}

fn psql(url: &str) -> Command {
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1"]);
    psql.args(["--dbname", url]);
    psql
}

impl Drop for Database {
    fn drop(&mut self) {
        // What cannot be dropped goes with the server; a panic here would hide why a test failed.
        let _ = self.sql(&format!("drop database {} with (force)", self.name));
    }
}

/// A `PostgreSQL` server of a test's own, which syncs as one in production does. It is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    home: TempDir,
    port: Port,
}

impl Server {
    /// Makes one and starts it.
    pub fn start() -> Self {
        let home = tempfile::Builder::new().prefix("doorward-own-postgres.").tempdir().expect("a folder");
        let server = Self { home, port: Port::reserve() };
        if is_root() {
            run(Command::new("chown").arg("postgres:").arg(server.home.path()));
        }
        let initdb = ["--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C"];
        run(server.owned("initdb").args(initdb).arg("--no-sync").arg("--pgdata").arg(server.data()));
        let settings =
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nmax_connections = 100\n";
        let file = server.data().join("postgresql.conf");
        let all = fs::read_to_string(&file).expect("initdb wrote it") + settings;
        fs::write(&file, all).expect("the settings can be written");
        server.start_again();
        server
    }

    /// Starts it after it was stopped.
    pub fn start_again(&self) {
        let port = format!("-p {}", self.port.number());
        let log = self.home.path().join("server.log");
        run(self.ctl("start").args(["--wait", "--timeout", "60", "--options", &port]).arg("--log").arg(log));
    }

    /// Stops it without a word to its clients and without a checkpoint: the next start recovers.
    pub fn stop_at_once(&self) {
        run(self.ctl("stop").args(["--mode", "immediate"]));
    }

    /// Keeps all its processes from doing anything. Connections stay open, and new ones are taken by the system.
    pub fn freeze(&self) {
        // Its children last: one that it no longer makes cannot be missed.
        signal("-STOP", self.postmaster());
        self.signal_children("-STOP");
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.signal_children("-CONT");
        signal("-CONT", self.postmaster());
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port.number())
    }

    fn postmaster(&self) -> u32 {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).expect("it runs");
        file.lines().next().and_then(|line| line.parse().ok()).expect("a process id")
    }

    fn signal_children(&self, name: &str) {
        let parent = self.postmaster();
        let children = format!("/proc/{parent}/task/{parent}/children");
        let children = fs::read_to_string(children).expect("Linux tells the children of a process");
        for id in children.split_whitespace() {
            // One that has ended meanwhile needs no signal.
            let _ = Command::new("kill").args([name, id]).stderr(Stdio::null()).status();
        }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn ctl(&self, what: &str) -> Command {
        let mut command = self.owned("pg_ctl");
        command.args([what, "--silent"]).arg("--pgdata").arg(self.data());
        command
    }

    /// A program of `PostgreSQL`, as its owner: it refuses to run as root.
    fn owned(&self, program: &str) -> Command {
        let program = programs().join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.home.path()).stdout(Stdio::null());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be stopped already. What is frozen stops only when it goes on.
        if self.data().join("postmaster.pid").exists() {
            self.thaw();
            let _ = self.ctl("stop").args(["--mode", "immediate"]).status();
        }
    }
}

fn programs() -> PathBuf {
    let versions =
        fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is there; tests/install installs it");
    let versions = versions.map(|version| version.expect("an entry").path());
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    versions.max_by_key(|path| number(path)).expect("a version").join("bin")
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").expect("Linux").uid() == 0
}

fn run(command: &mut Command) {
    let status = command.status().expect("a program of PostgreSQL runs");
    assert!(status.success(), "{command:?}: {status}");
}
