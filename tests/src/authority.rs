//! An authority that signs certificates for the servers that tests start.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Runs a program in a folder; fails with what it said.
pub fn run(program: &str, arguments: &[&str], folder: &Path) {
    let done = Command::new(program).args(arguments).current_dir(folder).output();
    let done = done.unwrap_or_else(|error| panic!("{program}: {error}; tests/install installs it"));
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// An authority of its own, and a certificate of it: `ca.pem`, `cert.pem`, `key.pem`.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    /// Makes one that nobody knows, with a certificate for `localhost`.
    pub fn create() -> Self {
        Self::for_names(&["localhost"])
    }

    /// The same with a certificate for these names.
    pub fn for_names(names: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("doorward-tls.").tempdir().expect("a folder");
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let root = [
            "req",
            "-x509",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-days",
            "2",
            "-subj",
            "/CN=test authority",
        ];
        let request = ["req", "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=localhost"];
        run("openssl", &[&root[..], &key].concat(), folder.path());
        run("openssl", &[&request[..], &key].concat(), folder.path());
        let names: Vec<_> = names.iter().map(|name| format!("DNS:{name}")).collect();
        let names = format!("subjectAltName={}\n", names.join(","));
        std::fs::write(folder.path().join("names"), names).expect("a file");
        let sign =
            ["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        let signed = ["-days", "2", "-extfile", "names", "-out", "cert.pem"];
        run("openssl", &[&sign[..], &signed].concat(), folder.path());
        Self { folder }
    }

    /// The path of one of its files.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}
