//! Several servers that are one: on one `PostgreSQL` and one Redis, behind one proxy, under one issuer; and resource servers
//! that follow different ones of them.

use std::process::Command;
use std::time::Duration;

use crate::client::Client;
use crate::house::{House, Plan, Store};
use crate::mcp::Mcp;
use crate::ports::Port;
use crate::process::{Process, command};
use crate::proxy::Proxy;
use crate::scene::Scene;

/// The servers. They are gone when this is dropped.
#[derive(Debug)]
pub struct Replicas {
    // Fields are dropped in this order: servers first, then what they have open.
    resource_servers: Vec<ResourceServer>,
    others: Vec<Process>,
    /// The first server, with the database and Alice.
    pub house: House,
    /// What stands in front of all of them, at the issuer's address.
    pub proxy: Proxy,
    /// Clients and Alice, who reach the servers through the proxy.
    pub scene: Scene,
    ports: Vec<Port>,
}

/// One process of the resource server. All of them are one resource.
#[derive(Debug)]
struct ResourceServer {
    _process: Process,
    url: String,
    _port: Port,
}

impl Replicas {
    /// Starts `count` servers with default settings.
    pub async fn start(count: usize) -> Self {
        Self::build(count, &[], |_, _| {}).await
    }

    /// Starts `count` servers with these settings; `bend` may change the command of each one but the first.
    pub async fn build(count: usize, settings: &[(&str, &str)], bend: impl Fn(usize, &mut Command)) -> Self {
        let ports: Vec<_> = (1..count).map(|_| Port::reserve()).collect();
        let first = Port::reserve();
        let servers = std::iter::once(&first).chain(&ports).map(Port::number).collect();
        let proxy = Proxy::start(servers).await;
        let plan = Plan::on(Store::Postgres).without_artifacts().behind(&proxy.origin()).at(first);
        let plan = plan.with("SERVER__TRUSTED_PROXIES", "127.0.0.1,::1");
        // What one network may do is not the question here, and all of a test is one.
        let plan = plan.with("LIMITS__TOKEN_FAILURES", "1000000").with("LIMITS__PENDING_REQUESTS", "1000000");
        let plan = settings.iter().fold(plan, |plan, (name, value)| plan.with(name, value));
        let house = House::build(plan).await;
        let scene = Scene::at(&house).await;
        let others = Vec::new();
        let mut replicas = Self { resource_servers: Vec::new(), others, house, proxy, scene, ports };
        for i in 1..count {
            let mut process = replicas.launch(i, &bend);
            process.ready(&replicas.origin(i)).await;
            replicas.others.push(process);
        }
        replicas
    }

    fn launch(&self, i: usize, bend: impl Fn(usize, &mut Command)) -> Process {
        let folder = self.house.folder();
        let mut command = command("doorward", &folder);
        command.envs(self.house.environment().iter().cloned());
        command.env("DOORWARD__SERVER__LISTEN", self.ports[i - 1].both_loopbacks()).arg("serve");
        bend(i, &mut command);
        Process::start("doorward", &mut command, folder.join(format!("doorward-{i}.log")))
    }

    /// Where one of them is reached directly.
    pub fn origin(&self, i: usize) -> String {
        if i == 0 {
            return self.house.origin().to_owned();
        }
        format!("http://localhost:{}", self.ports[i - 1].number())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.others.len() + 1
    }

    /// The process of one of them.
    pub fn process(&mut self, i: usize) -> &mut Process {
        if i == 0 { self.house.auth_server() } else { &mut self.others[i - 1] }
    }

    /// Starts one again after it was killed.
    pub async fn restart(&mut self, i: usize) {
        if i == 0 {
            self.house.restart_auth_server().await;
            return;
        }
        self.others[i - 1].kill9();
        let mut process = self.launch(i, |_, _| {});
        process.ready(&self.origin(i)).await;
        self.others[i - 1] = process;
    }

    /// Starts resource servers: the first follows the first of these replicas, and so on. All are one resource.
    pub async fn follow(&mut self, replicas: &[usize]) {
        for (number, &i) in replicas.iter().enumerate() {
            let (port, folder) = (Port::reserve(), self.house.folder());
            let url = format!("http://localhost:{}/mcp", port.number());
            let mut command = command("doorward-artifacts", &folder);
            command
                .env("DOORWARD_ARTIFACTS__LISTEN", port.both_loopbacks())
                .env("DOORWARD_ARTIFACTS__RESOURCE", self.house.mcp_url())
                .env("DOORWARD_ARTIFACTS__ISSUER", self.house.issuer())
                .env("DOORWARD_ARTIFACTS__ISSUER_ADDRESS", self.origin(i))
                .env("DOORWARD_ARTIFACTS__DATA_DIR", folder.join(format!("artifacts-{number}")))
                .env("DOORWARD_ARTIFACTS__CREDENTIALS_FILE", self.house.credentials_file());
            let log = folder.join(format!("doorward-artifacts-{number}.log"));
            let mut process = Process::start("doorward-artifacts", &mut command, log);
            process.ready(url.trim_end_matches("/mcp")).await;
            self.resource_servers.push(ResourceServer { _process: process, url, _port: port });
        }
    }

    /// The MCP URLs of the resource servers.
    pub fn resource_servers(&self) -> Vec<String> {
        self.resource_servers.iter().map(|server| server.url.clone()).collect()
    }

    /// The same client, talking to one server directly.
    pub fn at(&self, i: usize, client: &Client) -> Client {
        let mut client = client.clone();
        for name in ["token_endpoint", "revocation_endpoint"] {
            let endpoint = self.scene.endpoint(name).replace(self.house.issuer(), &self.origin(i));
            client.discovery.server[name] = endpoint.into();
        }
        client
    }

    /// Waits until every resource server refuses this token; fails if one takes longer than `within`.
    pub async fn refused_everywhere(&self, token: &str, within: Duration) {
        let refused = async {
            for url in self.resource_servers() {
                while Mcp::hello(&url, token).await.status != 401 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        let refused = tokio::time::timeout(within, refused).await.is_ok();
        assert!(refused, "a resource server still takes the token after {within:?}");
    }
}
