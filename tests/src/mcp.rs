//! MCP over Streamable HTTP, one request at a time.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::client::text;
use crate::process;

/// The revision that this client speaks.
const REVISION: &str = "2025-06-18";

/// An MCP connection with one bearer token.
#[derive(Clone, Debug)]
pub struct Mcp {
    http: reqwest::Client,
    url: String,
    token: String,
    session: Option<String>,
}

impl Mcp {
    /// Says hello; fails if the server refuses the token.
    pub async fn connect(url: &str, token: &str) -> Self {
        let mut mcp = Self::unconnected(url, token);
        let hello = mcp.post(&initialize()).await;
        assert_eq!(hello.status, 200, "{hello:#?}");
        assert!(message(&hello)["result"]["serverInfo"]["name"].is_string(), "{hello:#?}");
        let session = hello.headers.get("mcp-session-id");
        mcp.session = session.map(|id| id.to_str().expect("a session id is text").to_owned());
        let known = mcp.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        assert!(known.status < 300, "{known:#?}");
        mcp
    }

    /// A connection on which nothing was said yet: for tokens that are expected to be refused.
    pub fn unconnected(url: &str, token: &str) -> Self {
        Self { http: process::client(), url: url.to_owned(), token: token.to_owned(), session: None }
    }

    /// What the server answers to a first request with this token.
    pub async fn hello(url: &str, token: &str) -> Answer {
        Self::unconnected(url, token).post(&initialize()).await
    }

    /// Posts one JSON-RPC message.
    pub async fn post(&self, message: &Value) -> Answer {
        let mut request = self
            .http
            .post(&self.url)
            .bearer_auth(&self.token)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", REVISION);
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        Answer::to(request.json(message)).await
    }

    /// Calls one method and gives the whole JSON-RPC answer.
    pub async fn rpc(&self, method: &str, params: Value) -> Value {
        let answer = self.post(&json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})).await;
        assert_eq!(answer.status, 200, "{answer:#?}");
        message(&answer)
    }

    /// The names of all tools that the server shows, sorted.
    pub async fn tools(&self) -> Vec<String> {
        let answer = self.rpc("tools/list", json!({})).await;
        let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("no tools in {answer:#}"));
        let mut names: Vec<_> = tools.iter().map(|tool| text(&tool["name"])).collect();
        names.sort_unstable();
        names
    }

    /// The resources that the server shows.
    pub async fn resources(&self) -> Vec<Value> {
        let answer = self.rpc("resources/list", json!({})).await;
        answer["result"]["resources"]
            .as_array()
            .unwrap_or_else(|| panic!("no resources in {answer:#}"))
            .clone()
    }

    /// Calls a tool and gives the whole JSON-RPC answer.
    pub async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.rpc("tools/call", json!({"name": tool, "arguments": arguments})).await
    }
}

fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": REVISION, "capabilities": {}, "clientInfo": {"name": "e2e", "version": "1"},
    }})
}

/// The JSON-RPC message of an answer, which may come as JSON or as the one message of an event stream.
fn message(answer: &Answer) -> Value {
    if answer.header("content-type").starts_with("application/json") {
        return answer.json();
    }
    let data = answer.body.lines().filter_map(|line| line.strip_prefix("data:"));
    let messages = data.filter_map(|data| serde_json::from_str::<Value>(data.trim()).ok());
    let answers: Vec<_> = messages.filter(|message| message.get("id").is_some()).collect();
    assert_eq!(answers.len(), 1, "one answer to one request: {answer:#?}");
    answers.into_iter().next().expect("one")
}
