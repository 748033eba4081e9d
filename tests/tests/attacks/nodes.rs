//! Several servers on one database, and a database that can be taken away.

use e2e::client::Client;
use e2e::fresh;
use e2e::house::{Plan, Store};
use e2e::ports::Port;
use e2e::process::{Process, command};

use crate::stage::Stage;

/// A `PostgreSQL` database of one test.
#[derive(Debug)]
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    #[expect(clippy::disallowed_methods, reason = "how tests/with-stores says where its server is")]
    fn create() -> Self {
        let Ok(server) = std::env::var("DOORWARD_TEST_POSTGRES") else {
            panic!("DOORWARD_TEST_POSTGRES names no PostgreSQL: run this through tests/with-stores");
        };
        let name = format!("attack_{}", fresh().replace(['-', '_'], "").to_lowercase());
        let database = Self { server, name };
        assert!(database.sql(&format!("create database {}", database.name)), "no database");
        database
    }

    fn url(&self) -> String {
        let mut url = url::Url::parse(&self.server).expect("DOORWARD_TEST_POSTGRES is a URL");
        url.set_path(&self.name);
        url.into()
    }

    fn sql(&self, statement: &str) -> bool {
        let arguments = ["--no-psqlrc", "--quiet", "--dbname", &self.server, "--command", statement];
        let done = std::process::Command::new("psql").args(arguments).output().expect("psql runs");
        done.status.success()
    }

    /// Ends all connections and lets no new one in: for the servers it is as if the machine were gone.
    pub(crate) fn take_away(&self) {
        assert!(self.sql(&format!("alter database {} with allow_connections false", self.name)));
        let end = "select pg_terminate_backend(pid) from pg_stat_activity where datname";
        assert!(self.sql(&format!("{end} = '{}'", self.name)));
    }

    /// Lets everybody in again.
    pub(crate) fn give_back(&self) {
        assert!(self.sql(&format!("alter database {} with allow_connections true", self.name)));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // What cannot be dropped goes with the server; a panic here would hide why a test failed.
        let _ = self.sql(&format!("drop database {} with (force)", self.name));
    }
}

/// A stage on a database of its own, with further servers beside the first.
#[derive(Debug)]
pub(crate) struct Cluster {
    // Fields are dropped in this order: servers first, then what they have open.
    others: Vec<Process>,
    /// Where each server is.
    pub(crate) origins: Vec<String>,
    pub(crate) stage: Stage,
    pub(crate) database: Database,
    _ports: Vec<Port>,
}

impl Cluster {
    /// Starts `count` servers that are one. Each keeps in its own memory what may be lost.
    pub(crate) async fn start(count: usize) -> Self {
        Self::with(&vec!["memory:".to_owned(); count], &[]).await
    }

    /// Starts a server for each of these places for what may be lost, all with the same further settings.
    pub(crate) async fn with(ephemeral: &[String], settings: &[(&str, &str)]) -> Self {
        let database = Database::create();
        let plan = Plan::on(Store::Sqlite)
            .without_artifacts()
            .with("STORE__URL", &database.url())
            .with("EPHEMERAL__URL", &ephemeral[0]);
        let plan = settings.iter().fold(plan, |plan, (name, value)| plan.with(name, value));
        let stage = Stage::build(plan).await;
        let ports: Vec<_> = ephemeral[1..].iter().map(|_| Port::reserve()).collect();
        let mut others = Vec::new();
        let mut origins = vec![stage.house.issuer().to_owned()];
        for (port, ephemeral) in ports.iter().zip(&ephemeral[1..]) {
            let folder = stage.house.folder();
            let mut command = command("doorward", &folder);
            command
                .env("DOORWARD__SERVER__ISSUER", stage.house.issuer())
                .env("DOORWARD__SERVER__LISTEN", port.both_loopbacks())
                .env("DOORWARD__STORE__URL", database.url())
                .env("DOORWARD__EPHEMERAL__URL", ephemeral)
                .env("DOORWARD__KEYS__KEK_FILE", folder.join("kek"))
                .envs(settings.iter().map(|(name, value)| (format!("DOORWARD__{name}"), value)))
                .arg("serve");
            let log = folder.join(format!("doorward-{}.log", port.number()));
            let origin = format!("http://localhost:{}", port.number());
            let mut other = Process::start("doorward", &mut command, log);
            other.ready(&origin).await;
            others.push(other);
            origins.push(origin);
        }
        Self { others, origins, stage, database, _ports: ports }
    }

    /// What the servers beside the first have printed.
    pub(crate) fn logs_of_others(&self) -> Vec<String> {
        self.others.iter().map(Process::printed).collect()
    }

    /// The same client, once for each server, each talking to its own.
    pub(crate) fn clients(&self, client: &Client) -> Vec<Client> {
        let elsewhere = |origin: &String| {
            let mut client = client.clone();
            client.discovery.server["token_endpoint"] = format!("{origin}/oauth2/token").into();
            client
        };
        self.origins.iter().map(elsewhere).collect()
    }
}
