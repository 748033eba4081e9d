//! The house: both servers on free ports and an empty store of their own.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::fresh;
use crate::ports::Port;
use crate::postgres::Database;
use crate::process::{Process, command, command_of, program};
use crate::redis::Keyspace;

/// The id of the public client that a fresh house knows from its configuration.
pub const FIXED_CLIENT: &str = "d685c6a7-5cb9-4612-ba2b-cab12e38d9e0";
/// The redirect URI of [`FIXED_CLIENT`].
pub const FIXED_REDIRECT: &str = "http://localhost:8080/callback";

/// Where the house keeps what must survive a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// A file in the house's own folder; what may be lost is in memory.
    Sqlite,
    /// Fresh databases in the PostgreSQL and the Redis that `tests/with-stores` starts.
    Postgres,
}

/// Somebody with an account.
#[derive(Clone, Debug)]
pub struct Person {
    /// What they sign in with.
    pub email: String,
    /// Their password.
    pub password: String,
}

/// What a command of `doorward` did.
#[derive(Debug)]
pub struct Output {
    /// Its exit code.
    pub code: i32,
    /// What it printed for programs.
    pub stdout: String,
    /// What it printed for people.
    pub stderr: String,
}

impl Output {
    /// Its standard output, if it succeeded.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.stdout
    }

    /// Its standard output as JSON, if it succeeded.
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }
}

/// What a house is started with, beside its defaults.
#[derive(Debug)]
pub struct Plan {
    /// Where it keeps its data.
    pub store: Store,
    /// Whether the reference MCP server is started too.
    pub artifacts: bool,
    /// Where it listens.
    pub port: Option<Port>,
    /// What the server is called, if that is another place than the one where it listens.
    pub issuer: Option<String>,
    /// A program that starts `doorward`, and its first arguments: `strace` with its options.
    pub through: Vec<String>,
    /// Further environment of `doorward`.
    pub settings: Vec<(String, String)>,
}

impl Plan {
    /// Both servers with default settings.
    pub fn on(store: Store) -> Self {
        Self { store, artifacts: true, port: None, issuer: None, through: Vec::new(), settings: Vec::new() }
    }

    /// Adds one setting of `doorward`: `TOKEN__ACCESS_TTL` is `DOORWARD__TOKEN__ACCESS_TTL`.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((format!("DOORWARD__{name}"), value.to_owned()));
        self
    }

    /// Listens on this port instead of a free one.
    #[must_use]
    pub fn at(mut self, port: Port) -> Self {
        self.port = Some(port);
        self
    }

    /// Calls the server by the name of something in front of it, which has to be there by now.
    #[must_use]
    pub fn behind(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.to_owned());
        self
    }

    /// Starts `doorward` through another program, which finds what to start behind its own arguments.
    #[must_use]
    pub fn through(mut self, program: &[&str]) -> Self {
        self.through = program.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Leaves the reference MCP server out; its resource is registered all the same.
    #[must_use]
    pub fn without_artifacts(mut self) -> Self {
        self.artifacts = false;
        self
    }
}

/// How a test changes an `SQLite` file; Debian's Python has the library, the machine need not have the program.
const ALTER: &str = "import sqlite3, sys
with sqlite3.connect(sys.argv[1], timeout=10) as database:
    database.execute(sys.argv[2])";

/// Running servers, an account for Alice, and everything gone when it is dropped.
#[derive(Debug)]
pub struct House {
    // Fields are dropped in this order: servers first, then what they have open.
    auth: Process,
    artifacts: Option<Process>,
    environment: Vec<(String, String)>,
    through: Vec<String>,
    issuer: String,
    origin: String,
    mcp_url: String,
    alice: Person,
    database: Option<Database>,
    _keyspace: Option<Keyspace>,
    folder: TempDir,
    ports: [Port; 2],
}

impl House {
    /// Both servers with default settings on `store`.
    pub async fn start(store: Store) -> Self {
        Self::build(Plan::on(store)).await
    }

    /// The house that `plan` describes.
    pub async fn build(plan: Plan) -> Self {
        let folder =
            tempfile::Builder::new().prefix("doorward-house.").tempdir().expect("a folder can be made");
        let ports = [plan.port.unwrap_or_else(Port::reserve), Port::reserve()];
        let origin = format!("http://localhost:{}", ports[0].number());
        let issuer = plan.issuer.unwrap_or_else(|| origin.clone());
        let mcp_url = format!("http://localhost:{}/mcp", ports[1].number());
        let database = (plan.store == Store::Postgres).then(Database::create);
        let keyspace = (plan.store == Store::Postgres).then(Keyspace::create);
        let ephemeral_url = keyspace.as_ref().map_or_else(|| "memory:".to_owned(), Keyspace::url);
        let store_url = database
            .as_ref()
            .map_or_else(|| format!("sqlite:{}", folder.path().join("doorward.db").display()), Database::url);
        let mut environment = vec![
            ("DOORWARD__SERVER__ISSUER".to_owned(), issuer.clone()),
            ("DOORWARD__SERVER__LISTEN".to_owned(), ports[0].both_loopbacks()),
            ("DOORWARD__STORE__URL".to_owned(), store_url),
            ("DOORWARD__EPHEMERAL__URL".to_owned(), ephemeral_url),
            ("DOORWARD__KEYS__KEK_FILE".to_owned(), folder.path().join("kek").display().to_string()),
        ];
        environment.extend(plan.settings);
        write_key_encryption_key(&folder.path().join("kek"));

        let auth = start_auth_server(&folder, &plan.through, &environment);
        let alice = Person { email: "alice@example.test".to_owned(), password: fresh() };
        let mut house = Self {
            auth,
            artifacts: None,
            environment,
            through: plan.through,
            issuer,
            origin,
            mcp_url,
            alice: alice.clone(),
            database,
            _keyspace: keyspace,
            folder,
            ports,
        };
        house.auth.ready(&house.origin).await;
        house.add_user(&alice, &["--name", "Alice"]);
        let credentials =
            house.cli(&["resource", "add", "--url", &house.mcp_url, "--name", "Artifacts", "--json"], "");
        std::fs::write(house.credentials_file(), credentials.ok()).expect("the credentials can be written");
        if plan.artifacts {
            house.start_artifacts().await;
        }
        house
    }

    /// The issuer, without a trailing slash.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where the authorization server itself listens: the issuer, unless something is in front of it.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Takes settings away whose names begin like this; they are gone at the next start.
    pub fn forget_settings(&mut self, beginning: &str) {
        let beginning = format!("DOORWARD__{beginning}");
        self.environment.retain(|(name, _)| !name.starts_with(&beginning));
    }

    /// Adds an environment variable for the next start of the authorization server.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The process of the authorization server.
    pub fn auth_server(&mut self) -> &mut Process {
        &mut self.auth
    }

    /// The process id of the authorization server.
    pub fn auth_server_id(&self) -> u32 {
        self.auth.id()
    }

    /// The environment of the authorization server, for another one beside it.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Where the credentials of the resource server are.
    pub fn credentials_file(&self) -> PathBuf {
        self.folder.path().join("artifacts.credentials")
    }

    /// The database of a house on `PostgreSQL`.
    pub fn database(&self) -> &Database {
        self.database.as_ref().expect("a house on PostgreSQL")
    }

    /// The MCP URL of the reference server, which is also its resource identifier.
    pub fn mcp_url(&self) -> &str {
        &self.mcp_url
    }

    /// Alice, who every house knows.
    pub fn alice(&self) -> &Person {
        &self.alice
    }

    /// Somebody new, with an account.
    pub fn user(&self, email: &str) -> Person {
        let person = Person { email: email.to_owned(), password: fresh() };
        self.add_user(&person, &[]);
        person
    }

    fn add_user(&self, person: &Person, more: &[&str]) {
        let mut arguments = vec!["user", "create", "--email", &person.email, "--password-stdin"];
        arguments.extend(more);
        self.cli(&arguments, &person.password).ok();
    }

    /// Runs `doorward` with these arguments and this standard input, beside the running server.
    pub fn cli(&self, arguments: &[&str], stdin: &str) -> Output {
        self.cli_with(&[], arguments, stdin)
    }

    /// The same with further environment.
    pub fn cli_with(&self, more: &[(&str, &str)], arguments: &[&str], stdin: &str) -> Output {
        let mut child = command("doorward", self.folder.path())
            .envs(self.environment.iter().cloned())
            .envs(more.iter().copied())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("doorward runs");
        // A command that reads no input may be gone before it is written: that is not its failure.
        let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
        let done = child.wait_with_output().expect("doorward ends");
        Output {
            code: done.status.code().expect("no signal ended it"),
            stdout: String::from_utf8(done.stdout).expect("it prints text"),
            stderr: String::from_utf8(done.stderr).expect("it prints text"),
        }
    }

    /// Changes rows behind the back of the running server: time that has passed, or what a test cannot wait for.
    pub fn alter(&self, statement: &str) {
        if let Some(database) = &self.database {
            database.ask(statement);
            return;
        }
        let file = self.folder.path().join("doorward.db");
        let done =
            std::process::Command::new("python3").args(["-c", ALTER]).arg(file).arg(statement).output();
        let done = done.expect("python3 runs");
        assert!(done.status.success(), "{statement}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Everything that `doorward serve` has printed, over all its starts.
    pub fn logs(&self) -> String {
        self.auth.printed()
    }

    /// A folder that is gone with the house.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Puts another key into the file of the key-encryption key.
    pub fn put_key_encryption_key(&self, text: &str) {
        write_private(&self.folder.path().join("kek"), text);
    }

    /// Kills the authorization server as `kill -9` does.
    pub fn kill9(&mut self) {
        self.auth.kill9();
    }

    /// Kills the authorization server as `kill -9` does and starts it again on the same store.
    pub async fn restart_auth_server(&mut self) {
        self.auth.kill9();
        self.auth = start_auth_server(&self.folder, &self.through, &self.environment);
        self.auth.ready(&self.origin).await;
    }

    /// Stops the MCP server.
    pub fn stop_artifacts(&mut self) {
        self.artifacts = None;
    }

    /// Kills the reference MCP server as `kill -9` does and starts it again on its data.
    pub async fn restart_artifacts(&mut self) {
        self.stop_artifacts();
        self.start_artifacts().await;
    }

    async fn start_artifacts(&mut self) {
        let port = self.ports[1].both_loopbacks();
        let origin = self.mcp_url.trim_end_matches("/mcp").to_owned();
        let mut command = command("doorward-artifacts", self.folder.path());
        command
            .env("DOORWARD_ARTIFACTS__LISTEN", port)
            .env("DOORWARD_ARTIFACTS__RESOURCE", &self.mcp_url)
            .env("DOORWARD_ARTIFACTS__ISSUER", &self.issuer)
            .env("DOORWARD_ARTIFACTS__DATA_DIR", self.folder.path().join("artifacts"))
            .env("DOORWARD_ARTIFACTS__CREDENTIALS_FILE", self.credentials_file());
        let log = self.folder.path().join("doorward-artifacts.log");
        let mut artifacts = Process::start("doorward-artifacts", &mut command, log);
        artifacts.ready(&origin).await;
        self.artifacts = Some(artifacts);
    }

    /// The credentials of the resource server: its client id and its secret.
    pub fn resource_credentials(&self) -> (String, String) {
        let text = std::fs::read_to_string(self.credentials_file()).expect("the house wrote them");
        let all: Value = serde_json::from_str(&text).expect("JSON");
        let text = |name: &str| all[name].as_str().expect("a text").to_owned();
        (text("client_id"), text("client_secret"))
    }
}

fn start_auth_server(folder: &TempDir, through: &[String], environment: &[(String, String)]) -> Process {
    let mut command = if let [other, arguments @ ..] = through {
        let mut other = command_of(other, folder.path());
        other.args(arguments).arg(program("doorward"));
        other
    } else {
        command("doorward", folder.path())
    };
    command.envs(environment.iter().cloned()).arg("serve");
    Process::start("doorward", &mut command, folder.path().join("doorward.log"))
}

/// A key-encryption key, as an operator makes one.
fn write_key_encryption_key(file: &Path) {
    write_private(file, &fresh());
}

/// Writes a file that only its owner can read.
pub fn write_private(file: &Path, text: &str) {
    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(file).expect("the file can be made");
    file.write_all(text.as_bytes()).expect("it can be written");
}
