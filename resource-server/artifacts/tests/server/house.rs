//! A whole server on a free port, with a clock that stands still and callers that tests name themselves.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{extract::Request, middleware};
use base64::{Engine, engine::general_purpose::STANDARD};
use doorward_artifacts::{
    app,
    caller::Caller,
    context::Context,
    ids::hex,
    plans::{Plan, Plans},
    standing::Standing,
    store::{OpenError, Store},
    telemetry,
};
use doorward_resource_server::{Allowance, NodePath};
use doorward_shared::{
    resource::ResourceUri,
    scope::Scope,
    secret::{Entropy, SystemEntropy},
    time::{FixedClock, Seconds, Timestamp},
};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, task::JoinHandle};

/// Everything that can be granted.
pub(crate) const ALL: &str =
    "artifacts:read artifacts:create artifacts:update artifacts:share artifacts:delete";
/// 2026-11-21T00:00:00Z, some hours into a day of which much is left in the month.
pub(crate) const START: Timestamp = Timestamp::from_seconds(1_795_219_200);

/// A directory for one test, removed when the test is over.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("artifacts-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// All files below, with their paths.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        files_below(&self.0)
    }

    /// The files that hold bytes of artifacts.
    pub(crate) fn blobs(&self) -> Vec<PathBuf> {
        self.files().into_iter().filter(|path| path.starts_with(self.0.join("blobs"))).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The server.
pub(crate) struct House {
    pub(crate) origin: String,
    pub(crate) context: Arc<Context>,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) scratch: Scratch,
    pub(crate) http: reqwest::Client,
    server: JoinHandle<()>,
}

impl House {
    pub(crate) async fn start() -> Self {
        Self::with_plan(Plan::pro()).await
    }

    pub(crate) async fn with_plan(plan: Plan) -> Self {
        let name = plan.name.clone();
        Self::open(Scratch::new(), Plans::new([plan], &name, BTreeMap::new()).unwrap()).await
    }

    pub(crate) async fn open(scratch: Scratch, plans: Plans) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let clock = Arc::new(FixedClock::at(START));
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let store = opened(scratch.path(), &entropy).await;
        let resource = ResourceUri::parse(&format!("{origin}/mcp")).unwrap();
        let context = Arc::new(Context::new(store, plans, resource, clock.clone(), entropy.clone()));
        let router = app::routes(&context, Standing::written())
            .layer(middleware::map_request(identify))
            .layer(middleware::from_fn_with_state(entropy, telemetry::record));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { origin, context, clock, scratch, http, server }
    }

    /// Stops the server in the middle of whatever it does, and gives its directory back.
    pub(crate) async fn kill(self) -> Scratch {
        let Self { context, scratch, http, server, .. } = self;
        server.abort();
        drop(http);
        context.store.close().await;
        // The lock goes with the last request that still holds the store.
        while Arc::strong_count(&context) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        scratch
    }

    pub(crate) fn advance(&self, length: Seconds) {
        self.clock.advance(length);
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        self.origin.strip_prefix("http://").unwrap()
    }

    /// The files of transfers under way.
    pub(crate) fn incoming(&self) -> Vec<PathBuf> {
        let incoming = self.scratch.path().join("incoming");
        self.scratch.files().into_iter().filter(|path| path.starts_with(&incoming)).collect()
    }

    /// A user of the organization `acme` with everything granted.
    pub(crate) fn user(&self, subject: &str) -> User<'_> {
        self.caller("acme", subject, ALL)
    }

    pub(crate) fn caller<'a>(&'a self, organization: &str, subject: &str, scope: &str) -> User<'a> {
        let allowance = Allowance::everywhere(Scope::parse(scope).unwrap());
        self.holder(organization, subject, &allowance, None)
    }

    /// A user of the organization `acme` with an API key for these folders, each with its permissions; an empty name is the
    /// whole organization.
    pub(crate) fn key<'a>(&'a self, subject: &str, granted: &[(&str, &str)]) -> User<'a> {
        self.holder("acme", subject, &allowance(granted), Some("Nightly build"))
    }

    pub(crate) fn holder<'a>(
        &'a self,
        organization: &str,
        subject: &str,
        allowance: &Allowance,
        credential: Option<&str>,
    ) -> User<'a> {
        let identity = json!({
            "organization": organization, "subject": subject, "allowance": allowance, "credential": credential,
        });
        User { house: self, identity: identity.to_string() }
    }

    pub(crate) fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    pub(crate) async fn get(&self, url: &str) -> Response {
        self.http.get(url).send().await.unwrap()
    }
}

/// Opens the store. A process that another test starts holds, for the moment between fork and exec, every file that this
/// process has open; so a lock that was just given up can still be taken for that moment.
async fn opened(directory: &Path, entropy: &Arc<dyn Entropy>) -> Store {
    for _ in 0..200 {
        match Store::open(directory, entropy.clone()).await {
            Err(OpenError::InUse(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            opened => return opened.unwrap(),
        }
    }
    panic!("the directory stays in use");
}

/// Stands where the kit stands in the program: says who calls.
async fn identify(mut request: Request) -> Request {
    let identity = request.headers().get("x-test-caller").map(|value| value.to_str().unwrap().to_owned());
    if let Some(identity) = identity {
        let identity: Value = serde_json::from_str(&identity).unwrap();
        let credential = identity["credential"].as_str().map(str::to_owned);
        request.extensions_mut().insert(Caller {
            organization: text(&identity, "organization").to_owned(),
            subject: text(&identity, "subject").to_owned(),
            client_id: "client-1".to_owned(),
            grant: identity["grant"].as_str().unwrap_or("grant-1").to_owned(),
            token_id: "token-1".to_owned(),
            key_id: Some("key-1".to_owned()),
            issued_at: START,
            allowance: serde_json::from_value(identity["allowance"].clone()).unwrap(),
            api_key_last_4: credential.as_ref().map(|_| "last".to_owned()),
            credential,
        });
    }
    request
}

/// Somebody with a token.
#[derive(Clone)]
pub(crate) struct User<'a> {
    house: &'a House,
    identity: String,
}

impl User<'_> {
    /// The same caller by another grant.
    pub(crate) fn of_grant(mut self, grant: &str) -> Self {
        let mut identity: Value = serde_json::from_str(&self.identity).unwrap();
        identity["grant"] = json!(grant);
        self.identity = identity.to_string();
        self
    }

    /// A request with this user's credential.
    pub(crate) fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.house.request(method, url).header("x-test-caller", &self.identity)
    }

    /// One POST to the MCP endpoint.
    pub(crate) fn post(&self) -> RequestBuilder {
        self.request(Method::POST, &format!("{}/mcp", self.house.origin))
            .header("accept", "application/json, text/event-stream")
    }

    /// One MCP request; the whole JSON-RPC answer.
    pub(crate) async fn rpc(&self, method: &str, params: Value) -> Value {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let response = self.post().json(&message).send().await.unwrap();
        assert_eq!(response.status(), 200, "{method}");
        response.json().await.unwrap()
    }

    /// One tool call; the tool result.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.rpc("tools/call", json!({ "name": tool, "arguments": arguments })).await;
        assert!(answer["error"].is_null(), "{answer}");
        answer["result"].clone()
    }

    /// One tool call that succeeds; what it answers.
    pub(crate) async fn ok(&self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_eq!(result["isError"], json!(false), "{tool}: {result}");
        assert_eq!(result["_meta"]["code"], json!("ok"), "{tool}: {result}");
        let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, result["structuredContent"], "{tool}: both forms say the same");
        text
    }

    /// One tool call that is refused; its code.
    pub(crate) async fn refused(&self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments).await;
        assert_eq!(result["isError"], json!(true), "{tool}: {result}");
        let meta = &result["_meta"];
        assert!(meta["status"].is_u64() && meta["retry_hint"].is_string(), "{meta}");
        assert!(meta["request_id"].as_str().unwrap().starts_with("req_"), "{meta}");
        meta["code"].as_str().unwrap().to_owned()
    }

    /// Stores `bytes` under `filename`; the artifact's id.
    pub(crate) async fn store(&self, filename: &str, bytes: &[u8]) -> String {
        let stored = self.ok("store_artifact", content(filename, bytes)).await;
        stored["artifact_id"].as_str().unwrap().to_owned()
    }

    /// Stores an artifact in a folder; its id.
    pub(crate) async fn store_in(&self, folder: &str, more: Value) -> String {
        let folder = if folder.is_empty() { json!({}) } else { json!({ "folder": folder }) };
        let stored = self.ok("store_artifact", with(with(content("a.txt", b"x"), folder), more)).await;
        text(&stored, "artifact_id").to_owned()
    }

    /// Asks to move an artifact; an empty name is the organization itself. Status and body, without the request id.
    pub(crate) async fn relocate(&self, artifact_id: &str, folder: &str) -> (u16, Value) {
        let url = format!("{}/mcp/artifacts/{artifact_id}", self.house.origin);
        let folder = Some(folder).filter(|folder| !folder.is_empty());
        let response =
            self.request(Method::PATCH, &url).json(&json!({ "folder": folder })).send().await.unwrap();
        let status = response.status().as_u16();
        let mut body: Value = response.json().await.unwrap();
        if status != 200 {
            assert!(text(&body, "request_id").starts_with("req_"));
            body["request_id"] = Value::Null;
        }
        (status, body)
    }

    /// One tool call; the tool result without the request id, which differs each time.
    pub(crate) async fn answer(&self, tool: &str, arguments: Value) -> Value {
        let mut result = self.call(tool, arguments).await;
        result["_meta"]["request_id"] = Value::Null;
        result
    }

    /// Reads an artifact as a resource; the JSON-RPC answer without the request id.
    pub(crate) async fn read(&self, artifact_id: &str) -> Value {
        let uri = format!("artifacts://artifact/{artifact_id}");
        let mut answer = self.rpc("resources/read", json!({ "uri": uri })).await;
        if !answer["error"].is_null() {
            answer["error"]["data"]["request_id"] = Value::Null;
        }
        answer
    }

    /// The ids that `list_artifacts` answers, in order.
    pub(crate) async fn listed(&self, filter: Value) -> Vec<String> {
        let list = self.ok("list_artifacts", filter).await;
        let items = list["artifacts"].as_array().unwrap();
        items.iter().map(|item| text(item, "artifact_id").to_owned()).collect()
    }

    /// Downloads an artifact by a new download address.
    pub(crate) async fn download(&self, artifact_id: &str) -> Vec<u8> {
        let url = self.ok("get_artifact_download_url", json!({ "artifact_id": artifact_id })).await;
        let response = self.house.get(url["download_url"].as_str().unwrap()).await;
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap().to_vec()
    }

    pub(crate) async fn used_bytes(&self) -> i64 {
        self.ok("whoami", json!({})).await["usage_storage_bytes"].as_i64().unwrap()
    }
}

/// These permissions in these folders; an empty name is the whole organization.
pub(crate) fn allowance(granted: &[(&str, &str)]) -> Allowance {
    granted.iter().fold(Allowance::default(), |all, (folder, scope)| {
        let atoms = Scope::parse(scope).unwrap();
        all.union(&match *folder {
            "" => Allowance::everywhere(atoms),
            folder => Allowance::at_node(NodePath::parse(folder).unwrap(), atoms),
        })
    })
}

/// All files in a directory and below it.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// The arguments that store `bytes`.
pub(crate) fn content(filename: &str, bytes: &[u8]) -> Value {
    json!({ "filename": filename, "content": STANDARD.encode(bytes) })
}

/// `value` with further members.
pub(crate) fn with(mut value: Value, more: Value) -> Value {
    let (Value::Object(members), Value::Object(more)) = (&mut value, more) else { panic!("two objects") };
    members.extend(more);
    value
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// `length` bytes that no compression and no chance repeats.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SystemEntropy.fill(&mut bytes);
    bytes
}

pub(crate) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("{member} of {value}"))
}
