//! The program as a process of its own, and an issuer that the test plays.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    future::ready,
    net::TcpListener as Listener,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    routing::{MethodRouter, get, post},
};
use doorward_shared::{
    form::Form,
    jose::{Algorithm, access_token, jws::SigningKey},
    revocation::{self, Claim, Entry, Page},
    secret::{ScopedKey, Secret, SystemEntropy},
    time::{Clock, Seconds, SystemClock},
};
use http::{HeaderMap, StatusCode, Uri};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

use crate::house::Scratch;

/// Plays the authorization server: two documents, a key, a revocation feed, and API keys.
pub(crate) struct Issuer {
    pub(crate) url: String,
    /// Where it is reached; its own documents never say so.
    pub(crate) address: String,
    key: Arc<SigningKey>,
    api_keys: ApiKeys,
    revoked: watch::Sender<Vec<Entry>>,
    pub(crate) server: JoinHandle<()>,
}

/// The credentials of the resource server, and the header that says them.
const CREDENTIALS: (&str, &str) = ("rs_1", "secret-1");
const BASIC: &str = "Basic cnNfMTpzZWNyZXQtMQ==";

/// What is said about each API key.
type ApiKeys = Arc<Mutex<BTreeMap<String, Value>>>;

impl Issuer {
    pub(crate) async fn start() -> Self {
        Self::named(None).await
    }

    /// With a name that may say another place than where it is reached.
    pub(crate) async fn named(name: Option<&str>) -> Self {
        let key = SigningKey::from_pkcs8(&SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
        let key = Arc::new(key);
        let api_keys = ApiKeys::default();
        let (revoked, changes) = watch::channel(Vec::new());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let url = name.unwrap_or(&address).to_owned();
        let metadata = json!({
            "issuer": url,
            "jwks_uri": format!("{url}/jwks"),
            "revocation_feed_endpoint": format!("{url}/revocations"),
            "introspection_endpoint": format!("{url}/introspect"),
        });
        let jwks = json!({ "keys": [serde_json::to_value(key.public_jwk()).unwrap()] });
        let router = Router::new()
            .route("/.well-known/oauth-authorization-server", document(&metadata))
            .route("/jwks", document(&jwks))
            .route("/revocations", feed(url.clone(), key.clone(), changes))
            .route("/introspect", introspection(api_keys.clone()));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, address, key, api_keys, revoked, server }
    }

    /// A new API key of Alice for the resource server, with permission to read and whatever the test adds.
    pub(crate) fn api_key(&self, resource: &str, more: &Value) -> String {
        let key = Secret::<ScopedKey>::generate(&SystemEntropy).expose().to_owned();
        let now = SystemClock.now().seconds();
        let mut answer = json!({
            "active": true, "token_type": "Bearer", "iss": self.url, "aud": resource, "sub": "alice",
            "client_id": "client-1", "scope": "artifacts:read", "sid": "grant-2", "org": "acme", "jti": "key-1", "iat": now,
        });
        answer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.api_keys.lock().unwrap().insert(key.clone(), answer);
        key
    }

    /// Ends a grant.
    pub(crate) fn revoke(&self, grant: &str) {
        self.revoked.send_modify(|entries| {
            entries.push(Entry {
                sequence: i64::try_from(entries.len()).unwrap() + 1,
                claim: Claim::Sid,
                value: grant.to_owned(),
                issued_until: None,
                exp: SystemClock.now().plus(Seconds::hours(1)),
            });
        });
    }

    pub(crate) fn token(&self, resource: &str, scope: &str, more: &Value) -> String {
        let now = SystemClock.now().seconds();
        let mut claims = json!({
            "iss": self.url, "sub": "alice", "aud": resource, "iat": now, "exp": now + 900, "jti": "j1",
            "client_id": "client-1", "scope": scope, "sid": "grant-1", "org": "acme",
        });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.key.sign(access_token::TYPE, &claims).unwrap()
    }
}

/// Serves one JSON document.
fn document(value: &Value) -> MethodRouter {
    let text = value.to_string();
    get(move || ready(([("content-type", "application/json")], text.clone())))
}

/// The pages of the feed, each as soon as there is something new.
fn feed(issuer: String, key: Arc<SigningKey>, changes: watch::Receiver<Vec<Entry>>) -> MethodRouter {
    get(async move |headers: HeaderMap, uri: Uri| {
        if headers.get("authorization").is_none_or(|value| value != BASIC) {
            return (StatusCode::UNAUTHORIZED, [("content-type", "application/json")], String::new());
        }
        let asked = Form::parse(uri.query().unwrap()).unwrap();
        let number = |name| asked.one(name).unwrap().unwrap().parse::<i64>().unwrap();
        let (after, wait) = (number("after"), Duration::from_secs(number("wait").try_into().unwrap()));
        let newer = |entries: &Vec<Entry>| entries.len() > usize::try_from(after).unwrap();
        let mut changes = changes.clone();
        let _ = tokio::time::timeout(wait, changes.wait_for(newer)).await;
        let entries = changes.borrow().clone();
        let page = Page {
            iss: doorward_shared::issuer::Issuer::parse(&issuer).unwrap(),
            iat: SystemClock.now(),
            epoch: "epoch-1".to_owned(),
            after,
            sequence: entries.len().try_into().unwrap(),
            more: false,
            entries: entries.into_iter().filter(|entry| entry.sequence > after).collect(),
        };
        let text = key.sign(revocation::TYPE, &page).unwrap();
        (StatusCode::OK, [("content-type", revocation::MEDIA_TYPE)], text)
    })
}

/// What is said about the API keys; every other is not active.
fn introspection(api_keys: ApiKeys) -> MethodRouter {
    post(async move |headers: HeaderMap, body: String| {
        if headers.get("authorization").is_none_or(|value| value != BASIC) {
            return (StatusCode::UNAUTHORIZED, [("content-type", "application/json")], String::new());
        }
        let known = body.strip_prefix("token=").and_then(|key| api_keys.lock().unwrap().get(key).cloned());
        let answer = known.unwrap_or(json!({ "active": false })).to_string();
        (StatusCode::OK, [("content-type", "application/json")], answer)
    })
}

/// The running program.
pub(crate) struct Program {
    pub(crate) child: Child,
    log: PathBuf,
    pub(crate) resource: String,
    pub(crate) http: Client,
}

pub(crate) fn command(scratch: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward-artifacts"));
    command.env_clear().current_dir(scratch);
    command
}

pub(crate) fn free_port() -> u16 {
    Listener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Program {
    pub(crate) async fn start(scratch: &Scratch, issuer: &str) -> Self {
        Self::with(scratch, issuer, free_port(), &[]).await
    }

    /// With credentials at the issuer, and further settings.
    pub(crate) async fn signed_in(
        scratch: &Scratch,
        issuer: &Issuer,
        port: u16,
        more: &[(&str, &str)],
    ) -> Self {
        let (client_id, client_secret) = CREDENTIALS;
        let resource = format!("http://localhost:{port}/mcp");
        let document =
            json!({ "resource": resource, "client_id": client_id, "client_secret": client_secret });
        let path = scratch.path().join("data/artifacts.credentials");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, document.to_string()).unwrap();
        Self::with(scratch, &issuer.url, port, more).await
    }

    async fn with(scratch: &Scratch, issuer: &str, port: u16, more: &[(&str, &str)]) -> Self {
        let resource = format!("http://localhost:{port}/mcp");
        let log = scratch.path().join(format!("log-{port}"));
        let child = command(scratch.path())
            .env("DOORWARD_ARTIFACTS__LISTEN", format!("127.0.0.1:{port},[::1]:{port}"))
            .env("DOORWARD_ARTIFACTS__RESOURCE", &resource)
            .env("DOORWARD_ARTIFACTS__ISSUER", issuer)
            .env("DOORWARD_ARTIFACTS__LOG__FORMAT", "json")
            .env("DOORWARD_ARTIFACTS__LOG__FILTER", "trace")
            .envs(more.iter().copied())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let program = Self { child, log, resource, http: Client::builder().no_proxy().build().unwrap() };
        program.wait_for("/healthz", 200).await;
        program
    }

    pub(crate) async fn ready(scratch: &Scratch, issuer: &str) -> Self {
        let program = Self::start(scratch, issuer).await;
        program.wait_for("/readyz", 200).await;
        program
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.resource.trim_end_matches("/mcp"))
    }

    pub(crate) async fn wait_for(&self, path: &str, status: u16) {
        for _ in 0..400 {
            if let Ok(response) = self.http.get(self.url(path)).send().await
                && response.status() == status
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{path} did not answer {status}");
    }

    pub(crate) async fn post(&self, token: &str, method: &str, params: Value) -> Response {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        self.http.post(&self.resource).bearer_auth(token).json(&message).send().await.unwrap()
    }

    pub(crate) async fn call(&self, token: &str, tool: &str, arguments: Value) -> Value {
        let response = self.post(token, "tools/call", json!({ "name": tool, "arguments": arguments })).await;
        assert_eq!(response.status(), 200);
        response.json::<Value>().await.unwrap()["result"].clone()
    }

    pub(crate) async fn tools(&self, token: &str) -> usize {
        let response = self.post(token, "tools/list", json!({})).await;
        response.json::<Value>().await.unwrap()["result"]["tools"].as_array().unwrap().len()
    }

    /// Asks the program to stop; what it wrote to its log.
    pub(crate) fn stop(mut self) -> String {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        let status = self.child.wait().unwrap();
        let log = fs::read_to_string(&self.log).unwrap();
        assert!(status.success(), "{status}\n{log}");
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A test that failed must not leave the program running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
