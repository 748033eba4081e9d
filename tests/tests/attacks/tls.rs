//! Databases behind TLS: the right certificate is accepted, any other is not.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::authority::{Authority, run};
use e2e::house::{House, Plan, Store};
use e2e::ports::Port;
use e2e::process::command;
use e2e::redis::Server;
use tempfile::TempDir;

/// A `PostgreSQL` that speaks TLS. It is stopped when this is dropped.
struct Postgres {
    folder: TempDir,
    bin: PathBuf,
    port: Port,
}

impl Postgres {
    fn start(authority: &Authority) -> Self {
        let versions = std::fs::read_dir("/usr/lib/postgresql").expect("tests/install installs PostgreSQL");
        let bin = versions.map(|entry| entry.expect("an entry").path().join("bin")).max().expect("a version");
        let folder = tempfile::Builder::new().prefix("doorward-postgres.").tempdir().expect("a folder");
        let postgres = Self { folder, bin, port: Port::reserve() };
        for name in ["cert.pem", "key.pem"] {
            std::fs::copy(authority.path(name), postgres.folder.path().join(name)).expect("a copy");
        }
        if is_root() {
            run("chown", &["-R", "postgres:", &postgres.path("")], Path::new("/"));
        }
        run("chmod", &["600", &postgres.path("key.pem")], Path::new("/"));
        let (data, cert, key) = (postgres.path("data"), postgres.path("cert.pem"), postgres.path("key.pem"));
        postgres
            .ctl("initdb", &["--pgdata", &data, "--username", "postgres", "--auth", "trust", "--no-sync"]);
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c ssl=on \
             -c ssl_cert_file={cert} -c ssl_key_file={key}",
            postgres.port.number()
        );
        let log = postgres.path("log");
        postgres.ctl("pg_ctl", &["start", "--pgdata", &data, "--wait", "--log", &log, "--options", &options]);
        postgres
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// `PostgreSQL` refuses to run as root: the server then belongs to Debian's user for it.
    fn ctl(&self, program: &str, arguments: &[&str]) {
        let program = self.bin.join(program).display().to_string();
        if is_root() {
            let as_owner = ["-u", "postgres", "--", &program];
            run("runuser", &[&as_owner[..], arguments].concat(), self.folder.path());
        } else {
            run(&program, arguments, self.folder.path());
        }
    }

    /// What `doorward migrate` says to it: how it ends, and its error.
    fn migrate(&self, host: &str, query: &str) -> (Option<i32>, String) {
        let url = format!("postgres://postgres@{host}:{}/postgres?{query}", self.port.number());
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = command("doorward", folder.path());
        let done = command.env("DOORWARD__STORE__URL", url).arg("migrate").output().expect("doorward runs");
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.path("data");
        self.ctl("pg_ctl", &["stop", "--pgdata", &data, "--mode", "immediate"]);
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout.trim_ascii() == b"0"
}

mod postgres {
    use super::*;

    #[tokio::test]
    async fn a_database_over_the_network_has_to_show_the_certificate_of_its_name() {
        let (right, wrong) = (Authority::create(), Authority::create());
        let postgres = Postgres::start(&right);
        let verify =
            |authority: &Authority| format!("sslmode=verify-full&sslrootcert={}", authority.path("ca.pem"));
        let (code, error) = postgres.migrate("localhost", &verify(&right));
        assert_eq!(code, Some(0), "{error}");
        for (host, query) in [
            ("localhost", verify(&wrong)),
            ("127.0.0.1", verify(&right)),
            ("localhost", "sslmode=verify-full".to_owned()),
        ] {
            let (code, error) = postgres.migrate(host, &query);
            assert_eq!(code, Some(1), "{host} {query}: {error}");
            assert!(error.contains("certificate"), "{error}");
        }
    }
}

#[tokio::test]
async fn redis_over_the_network_has_to_show_the_certificate_of_its_name() {
    let (right, wrong) = (Authority::create(), Authority::create());
    let tls = Port::reserve();
    let redis = Server::start(&[
        "--tls-port",
        &tls.number().to_string(),
        "--tls-cert-file",
        &right.path("cert.pem"),
        "--tls-key-file",
        &right.path("key.pem"),
        "--tls-ca-cert-file",
        &right.path("ca.pem"),
        "--tls-auth-clients",
        "no",
    ])
    .await;
    for (host, authority, is_kept) in [
        ("localhost", Some(&right), true),
        ("localhost", Some(&wrong), false),
        ("localhost", None, false),
        ("127.0.0.1", Some(&right), false),
    ] {
        let url = format!("rediss://{host}:{}", tls.number());
        let mut plan = Plan::on(Store::Sqlite).without_artifacts().with("EPHEMERAL__URL", &url);
        if let Some(authority) = authority {
            plan.settings.push(("SSL_CERT_FILE".to_owned(), authority.path("ca.pem")));
        }
        let house = House::build(plan).await;
        assert_eq!(house.logs().contains("are kept in Redis"), is_kept, "{host}: {}", house.logs());
        assert_eq!(house.logs().contains("Redis does not answer"), !is_kept, "{host}: {}", house.logs());
    }
    drop(redis);
}
