//! Real clients of other people, run as child processes. Each reports its steps as lines of JSON on standard output.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::client::text;
use crate::house::{House, Person};
use crate::ports::Port;
use crate::process::program;

/// How long one whole story may take; two browsers start in it.
const LIMIT: Duration = Duration::from_secs(150);

/// An MCP client library and the program of ours that uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// npm `@modelcontextprotocol/sdk`.
    TypeScript1,
    /// npm `@modelcontextprotocol/client`.
    TypeScript2,
    /// `PyPI` `mcp`.
    Python,
    /// crates.io `rmcp`.
    Rust,
}

/// An OpenID Connect library for server-side applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// npm `openid-client`.
    OpenidClient,
    /// npm `oauth4webapi`.
    Oauth4webapi,
}

impl Library {
    /// Lets this library go through sign-in, refresh, userinfo, introspection, revocation and logout, once for each method of
    /// client authentication, as clients that an administrator registered.
    pub async fn run(self, house: &House, person: &Person) -> Steps {
        let port = Port::reserve();
        let at = |path: &str| format!("http://127.0.0.1:{}/{path}", port.number());
        let (callback, signed_out) = (at("callback"), at("signed-out"));
        let register = |method: &str, kind: &[&str]| {
            let plain = ["client", "create", "--name", method, "--redirect-uri", &callback, "--json"];
            let plain = [&plain[..], &["--post-logout-redirect-uri", &signed_out]].concat();
            let made = house.cli(&[&plain[..], kind].concat(), "").json();
            json!({"id": made["client_id"], "secret": made["client_secret"], "method": method})
        };
        let clients = json!([
            register("none", &["--public"]),
            register("client_secret_basic", &["--confidential", "basic"]),
            register("client_secret_post", &["--confidential", "post"]),
        ]);
        let (id, secret) = house.resource_credentials();
        let script = match self {
            Self::OpenidClient => "openid-client.mjs",
            Self::Oauth4webapi => "oauth4webapi.mjs",
        };
        let mut command = Command::new(node());
        command
            .arg(clients_folder().join(script))
            .env("ISSUER", house.issuer())
            .env("RESOURCE", house.mcp_url())
            .env("CALLBACK_PORT", port.number().to_string())
            .env("CLIENTS", clients.to_string())
            .env(
                "RESOURCE_SERVER",
                json!({"id": id, "secret": secret, "method": "client_secret_basic"}).to_string(),
            )
            .stdout(Stdio::piped());
        Steps::of(with_user(&mut command, person, &["read"]), self).await
    }
}

/// What a driver reported.
#[derive(Clone, Debug)]
pub struct Steps(Vec<Value>);

impl Driver {
    fn command(self) -> Command {
        let script = |interpreter: PathBuf, name: &str| {
            let mut command = Command::new(interpreter);
            command.arg(clients_folder().join(name));
            command
        };
        match self {
            Self::TypeScript1 => script(node(), "ts1.mjs"),
            Self::TypeScript2 => script(node(), "ts2.mjs"),
            Self::Python => script(installed("../.cache/python/bin/python"), "py.py"),
            Self::Rust => Command::new(program("rmcp-client")),
        }
    }

    /// Lets this client tell its whole story, with `person` at the browser ticking `tiers`.
    pub async fn run(self, house: &House, person: &Person, tiers: &[&str]) -> Steps {
        let mut command = self.command();
        command
            .env("MCP_URL", house.mcp_url())
            .env("CREDENTIALS", house.folder().join(format!("{self:?}.json")))
            .stdout(Stdio::piped());
        Steps::of(with_user(&mut command, person, tiers), self).await
    }
}

impl Steps {
    /// What a driver reports until it ends, which must be well.
    async fn of(mut child: Child, driver: impl std::fmt::Debug) -> Self {
        let mut lines = lines_of(&mut child);
        let mut steps = Vec::new();
        let story = async {
            while let Some(line) = lines.next_line().await.expect("the report can be read") {
                steps.push(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}")));
            }
            child.wait().await.expect("the driver ends")
        };
        let ended = tokio::time::timeout(LIMIT, story).await;
        let steps = Self(steps);
        assert!(ended.as_ref().is_ok_and(ExitStatus::success), "{driver:?} {ended:?}: {steps:#?}");
        steps
    }

    /// The facts of one step, which must have been reported exactly once.
    pub fn step(&self, name: &str) -> &Value {
        let found: Vec<_> = self.0.iter().filter(|step| step["step"] == name).collect();
        assert_eq!(found.len(), 1, "step `{name}` in {self:#?}");
        found[0]
    }

    /// The names of all steps, in order.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|step| text(&step["step"])).collect()
    }
}

/// The conformance suite of the MCP project, against the authorization server: all checks it made, as it saved them.
pub async fn conformance(house: &House, person: &Person, tiers: &[&str]) -> Vec<Value> {
    let port = Port::reserve();
    let redirect = format!("http://127.0.0.1:{}/callback", port.number());
    let client = ["client", "create", "--name", "Conformance", "--public", "--client-id", "conformance"];
    let client = [&client[..], &["--redirect-uri", &redirect, "--json"]].concat();
    assert_eq!(house.cli(&client, "").json()["client_id"], "conformance");

    let out = house.folder().join("conformance");
    let mut command = Command::new(node());
    command
        .arg(installed("node_modules/@modelcontextprotocol/conformance/dist/index.js"))
        .args(["authorization", "--spec-version", "2026-07-28", "--client-id", "conformance"])
        .args(["--url", house.issuer(), "--resource", house.mcp_url()])
        .args(["--port", &port.number().to_string()])
        .arg("--output-dir")
        .arg(&out)
        .stdout(Stdio::piped());
    let mut suite = with_user(&mut command, person, tiers);
    let mut lines = lines_of(&mut suite);
    let mut printed = Vec::new();
    let run = async {
        while let Some(line) = lines.next_line().await.expect("the suite can be read") {
            // It prints the address that a person is to open, alone on a line, and waits.
            if line.starts_with(house.issuer()) && line.contains("response_type=code") {
                let mut browser = Command::new(node());
                browser.arg(clients_folder().join("user.mjs")).arg(&line).stdout(Stdio::null());
                let ended = with_user(&mut browser, person, tiers).wait().await.expect("the browser ends");
                assert!(ended.success(), "the browser failed: {ended}");
            }
            printed.push(line);
        }
        suite.wait().await.expect("the suite ends")
    };
    let ended = tokio::time::timeout(LIMIT, run).await;
    assert!(ended.as_ref().is_ok_and(ExitStatus::success), "{ended:?}: {printed:#?}");
    let folders = std::fs::read_dir(&out).expect("the suite saved its results");
    let checks = folders.flat_map(|folder| {
        let checks = std::fs::read(folder.expect("a folder").path().join("checks.json"))
            .expect("the checks are there");
        serde_json::from_slice::<Vec<Value>>(&checks).expect("the checks are a list")
    });
    checks.collect()
}

/// A person in a real browser whose device keeps passkeys: what they saw, step by step.
pub async fn passkeys(house: &House, person: &Person) -> Value {
    let mut command = Command::new(node());
    command.arg(clients_folder().join("passkey.mjs")).arg(house.issuer()).stdout(Stdio::piped());
    let browser = with_user(&mut command, person, &[]);
    let done = tokio::time::timeout(LIMIT, browser.wait_with_output()).await;
    let done = done.expect("the browser is done in time").expect("the browser ends");
    assert!(done.status.success(), "the browser failed: {}", done.status);
    serde_json::from_slice(&done.stdout).expect("it prints JSON")
}

/// Every page that a person meets, looked at by axe-core and by the Tab key: one report for each look. The URLs
/// are one at which the data of several organizations can be chosen, one with a single organization, and a link of a reset.
pub async fn pages(house: &House, person: &Person, urls: [&str; 3]) -> Vec<Value> {
    let mut command = Command::new(node());
    command.arg(clients_folder().join("pages.mjs")).arg(house.issuer()).args(urls).stdout(Stdio::piped());
    Steps::of(with_user(&mut command, person, &[]), "pages.mjs").await.0
}

fn with_user(command: &mut Command, person: &Person, tiers: &[&str]) -> Child {
    command
        .env("USER_EMAIL", &person.email)
        .env("USER_PASSWORD", &person.password)
        .env("TIERS", tiers.join(","))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the driver starts")
}

fn lines_of(child: &mut Child) -> tokio::io::Lines<BufReader<tokio::process::ChildStdout>> {
    BufReader::new(child.stdout.take().expect("standard output is a pipe")).lines()
}

pub(crate) fn clients_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn installed(path: &str) -> PathBuf {
    let path = clients_folder().join(path);
    assert!(path.exists(), "{} is missing: run tests/install", path.display());
    path
}

/// The Node.js that the lock file pins, whatever the machine has: the conformance suite needs 22.
pub(crate) fn node() -> PathBuf {
    installed("node_modules/.bin/node")
}
