//! The operator of `docker-compose.yml`: brings it up, scales it, stops it, reads its logs.
//!
//! Where the file is, and which engine is meant, is in the environment that `tests/compose/run` prepares.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::fresh;
use crate::house::{Output, Person};
use crate::mcp::Mcp;
use crate::process;
use crate::session::Session;
use crate::visitor::Visitor;

/// How long everything may take from `up` to the first 200 of both servers.
const START_LIMIT: Duration = Duration::from_mins(3);

/// Everything that `docker-compose.yml` describes, running. It is taken down with all its data when this is dropped.
#[derive(Debug)]
pub struct Compose {
    folder: PathBuf,
    settings: Vec<(&'static str, String)>,
    issuer: String,
    mcp_origin: String,
}

impl Compose {
    /// Brings everything up from nothing, as a first `docker-compose up` does, on one replica.
    pub async fn first_contact() -> Self {
        Self::with(Vec::new(), "http://localhost:9000", "http://localhost:9100").await
    }

    /// The same with the profile `tls`, under these public origins and the certificate that the run has made.
    pub async fn with_tls(issuer: &str, mcp_origin: &str) -> Self {
        let settings = vec![
            ("COMPOSE_PROFILES", "tls".to_owned()),
            ("DOORWARD_ISSUER", issuer.to_owned()),
            ("DOORWARD_MCP_ORIGIN", mcp_origin.to_owned()),
        ];
        Self::with(settings, issuer, mcp_origin).await
    }

    #[expect(clippy::disallowed_methods, reason = "how tests/compose/run says what it has prepared")]
    async fn with(settings: Vec<(&'static str, String)>, issuer: &str, mcp_origin: &str) -> Self {
        let Ok(folder) = std::env::var("DOORWARD_TEST_COMPOSE") else {
            panic!("DOORWARD_TEST_COMPOSE names no folder: run this through make compose");
        };
        let (issuer, mcp_origin) = (issuer.to_owned(), mcp_origin.to_owned());
        let house = Self { folder: folder.into(), settings, issuer, mcp_origin };
        house.compose(&["up", "-d"]).ok();
        house.ready().await;
        house
    }

    /// The issuer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The origin of the MCP server.
    pub fn mcp_origin(&self) -> &str {
        &self.mcp_origin
    }

    /// The address of the MCP endpoint.
    pub fn mcp_url(&self) -> String {
        format!("{}/mcp", self.mcp_origin)
    }

    /// Waits until both servers can serve.
    pub async fn ready(&self) {
        let http = process::client();
        for origin in [&self.issuer, &self.mcp_origin] {
            let url = format!("{origin}/readyz");
            let serving = async {
                while !http.get(&url).send().await.is_ok_and(|answer| answer.status() == 200) {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            };
            let served = tokio::time::timeout(START_LIMIT, serving).await.is_ok();
            assert!(served, "{url} is not ready:\n{}", self.compose(&["logs", "--no-color"]).stdout);
        }
    }

    /// Changes how many replicas the authorization server has.
    pub async fn scale(&self, replicas: usize) {
        self.compose(&["up", "-d", "--scale", &format!("auth-server={replicas}")]).ok();
        for id in self.containers("auth-server") {
            let healthy = async {
                while inspect(&id, "{{.State.Health.Status}}") != "healthy" {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            };
            let became = tokio::time::timeout(START_LIMIT, healthy).await.is_ok();
            assert!(became, "a replica is not healthy:\n{}", self.logs("auth-server"));
        }
        assert_eq!(self.containers("auth-server").len(), replicas);
    }

    /// Runs `docker-compose` with these arguments.
    pub fn compose(&self, arguments: &[&str]) -> Output {
        self.compose_with(arguments, "")
    }

    fn compose_with(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut command = Command::new("docker-compose");
        command.current_dir(&self.folder).envs(self.settings.iter().cloned()).args(arguments);
        run(command, stdin)
    }

    /// Runs `doorward` beside a running server, in its container.
    pub fn cli(&self, arguments: &[&str], stdin: &str) -> Output {
        self.compose_with(&[&["exec", "-T", "auth-server", "doorward"], arguments].concat(), stdin)
    }

    /// What all containers of a service have printed.
    pub fn logs(&self, service: &str) -> String {
        let printed = self.compose(&["logs", "--no-color", "--no-log-prefix", service]);
        printed.ok()
    }

    /// The containers of a service.
    pub fn containers(&self, service: &str) -> Vec<String> {
        self.compose(&["ps", "-q", service]).ok().lines().map(str::to_owned).collect()
    }

    /// Opens the setup link that the log shows, as the first administrator.
    pub async fn set_up(&self) {
        let logs = self.logs("auth-server");
        let links: Vec<_> = logs.lines().filter_map(|line| line.strip_prefix("setup: ")).collect();
        assert_eq!(links.len(), 1, "{logs}");
        let visitor = Visitor::new();
        let page = visitor.open(links[0]).await.page();
        let form = page.form("action");
        let password = fresh();
        let typed = [("email", "admin@example.test"), ("password", password.as_str())];
        let home = visitor.post(&form.action, &form.filled(&typed, &[], ("action", "create"))).await.page();
        assert_eq!(home.kind, "home", "{home:#?}");
    }

    /// A secret that `deploy/secrets` made.
    pub fn secret(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join("secrets").join(name))
            .expect("it was made")
            .trim()
            .to_owned()
    }

    /// Makes an account.
    pub fn user(&self, email: &str) -> Person {
        let person = Person { email: email.to_owned(), password: fresh() };
        self.cli(&["user", "create", "--email", email, "--password-stdin"], &person.password).ok();
        person
    }

    /// The MCP server, with the present access token of a session.
    pub async fn mcp(&self, session: &Session) -> Mcp {
        Mcp::connect(&self.mcp_url(), &session.tokens.access).await
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        if std::thread::panicking() {
            show(&self.compose(&["logs", "--no-color", "--tail", "100"]).stdout);
        }
        // A panic here would hide why a test failed; what is left then is found by the next test.
        self.compose(&["down", "--volumes", "--timeout", "5"]);
    }
}

/// Runs `docker` with these arguments.
pub fn docker(arguments: &[&str]) -> Output {
    let mut command = Command::new("docker");
    command.args(arguments);
    run(command, "")
}

/// One fact about a container or an image, by a Go template.
pub fn inspect(what: &str, template: &str) -> String {
    docker(&["inspect", "--format", template, what]).ok().trim().to_owned()
}

fn run(mut command: Command, stdin: &str) -> Output {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("the Docker clients are installed");
    // A command that reads no input may be gone before it is written.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
    let done = child.wait_with_output().expect("it ends");
    Output {
        code: done.status.code().expect("no signal ended it"),
        stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

/// Shows text beside a failing test.
#[expect(clippy::print_stderr, reason = "what a failing test saw is for the one who reads its output")]
fn show(text: &str) {
    eprintln!("{text}");
}
