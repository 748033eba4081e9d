//! Commands of `doorward`, run as an operator runs them: each in a folder that belongs to the test.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// A folder of its own, in which nothing was ever started. It is gone when this is dropped.
pub(crate) struct Bench(pub(crate) PathBuf);

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Bench {
    pub(crate) fn new(name: &str) -> Self {
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        Self(folder)
    }

    /// Runs a command with this input and this environment, and no other.
    pub(crate) fn run_with(&self, stdin: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let mut child = Command::new(env!("CARGO_BIN_EXE_doorward"))
            .args(arguments)
            .current_dir(&self.0)
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("doorward runs");
        // A command that reads no input may be gone before it is written.
        let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
        let done = child.wait_with_output().expect("doorward ends");
        Ended {
            code: done.status.code().expect("no signal ended it"),
            stdout: String::from_utf8(done.stdout).expect("it prints text"),
            stderr: String::from_utf8(done.stderr).expect("it prints text"),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Ended {
    /// What it printed for programs.
    pub(crate) fn printed(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.stderr);
        serde_json::from_str(&self.stdout).expect("it prints JSON")
    }

    /// Why it refused, in one line.
    pub(crate) fn refusal(self) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (1, ""), "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "one line says what to do: {}", self.stderr);
        self.stderr
    }
}
