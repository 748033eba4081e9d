//! A server as a child process: started, watched until it serves, and gone with the value that stands for it.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a server may take from its start to its first 200 on `/readyz`.
const START_LIMIT: Duration = Duration::from_mins(1);

/// The path of a program of this workspace, as cargo built it beside this test.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let folder = test.parent().and_then(Path::parent).expect("tests are in a folder below the programs");
    let program = folder.join(name);
    assert!(program.exists(), "{} is missing: build the workspace before its tests", program.display());
    program
}

/// A command that sees nothing of our environment but the search path.
pub fn command(name: &str, folder: &Path) -> Command {
    command_of(program(name), folder)
}

/// The same for any other program.
pub fn command_of(program: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// A running server. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with everything it prints appended to `log`.
    pub fn start(name: &'static str, command: &mut Command, log: PathBuf) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(&log).expect("the log can be written");
        let again = File::try_clone(&file).expect("the log can be shared");
        let child = command.stdin(Stdio::null()).stdout(file).stderr(again).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name, child, log }
    }

    /// Waits until `GET {origin}/readyz` answers 200.
    pub async fn ready(&mut self, origin: &str) {
        let http = client();
        let url = format!("{origin}/readyz");
        let serving = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                    panic!("{} ended with {status} before it served:\n{}", self.name, self.printed());
                }
                if http.get(&url).send().await.is_ok_and(|answer| answer.status() == 200) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let served = tokio::time::timeout(START_LIMIT, serving).await.is_ok();
        assert!(served, "{} did not serve {url} within {START_LIMIT:?}:\n{}", self.name, self.printed());
    }

    /// Kills it at once, as `kill -9` does, and waits until it is gone.
    pub fn kill9(&mut self) {
        // Both fail only if the child is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, named as `kill` wants it: `-STOP`.
    pub fn signal(&self, name: &str) {
        signal(name, self.id());
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Waits until it has ended by itself; gives its exit code, or nothing if a signal ended it.
    pub async fn ended(&mut self, within: Duration) -> Option<i32> {
        let ending = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                    return status.code();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let ended = tokio::time::timeout(within, ending).await;
        ended.unwrap_or_else(|_| panic!("{} did not end within {within:?}:\n{}", self.name, self.printed()))
    }

    /// What it has printed so far, over all its starts.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log can be read")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            show(&format!("{} printed:\n{}", self.name, self.printed()));
        }
    }
}

/// Sends a signal to a process that this test, or a server it started, has started.
pub fn signal(name: &str, id: u32) {
    let done = Command::new("kill").args([name, &id.to_string()]).status().expect("kill runs");
    assert!(done.success(), "kill {name} {id}");
}

/// Shows text beside a failing test.
#[expect(clippy::print_stderr, reason = "what a failing test saw is for the one who reads its output")]
fn show(text: &str) {
    eprintln!("{text}");
}

/// An HTTP client that follows no redirect and waits for nothing longer than a test would.
pub fn client() -> reqwest::Client {
    builder().build().expect("an HTTP client can be made")
}

/// The settings of [`client`], for one that also keeps cookies.
pub fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .no_proxy()
}
