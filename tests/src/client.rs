//! An MCP client down to its single requests, so that a test can bend any of them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::answer::Answer;
use crate::{fresh, process};

/// What a client learns from the MCP URL alone.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// The answer to a request without a token.
    pub challenge: Answer,
    /// Where the challenge said the resource metadata is.
    pub resource_metadata_url: String,
    /// The protected resource metadata (RFC 9728).
    pub resource: Value,
    /// The authorization server metadata (RFC 8414).
    pub server: Value,
}

impl Discovery {
    /// Walks from the MCP URL to the authorization server's metadata, as the specification describes it.
    pub async fn walk(mcp_url: &str) -> Self {
        let http = process::client();
        let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "e2e", "version": "1"},
        }});
        let request =
            http.post(mcp_url).header("accept", "application/json, text/event-stream").json(&initialize);
        let challenge = Answer::to(request).await;
        assert_eq!(challenge.status, 401, "{challenge:#?}");
        let resource_metadata_url =
            challenge_parameter(challenge.header("www-authenticate"), "resource_metadata");
        let resource_metadata_url = resource_metadata_url.expect("the challenge names the resource metadata");
        let resource = Answer::to(http.get(&resource_metadata_url)).await.expect(200);
        let issuer = text(&resource["authorization_servers"][0]);
        let server =
            Answer::to(http.get(well_known(&issuer, "oauth-authorization-server"))).await.expect(200);
        assert_eq!(server["issuer"], issuer, "the metadata must name the issuer it was found by");
        Self { challenge, resource_metadata_url, resource, server }
    }

    /// An address that the authorization server's metadata names.
    pub fn endpoint(&self, name: &str) -> String {
        self.server[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {:#}", self.server)).to_owned()
    }
}

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    /// What it found out.
    pub discovery: Discovery,
    /// Its id.
    pub client_id: String,
    /// Where it wants its users back.
    pub redirect_uri: String,
}

/// An authorization request and what the client keeps to itself about it.
#[derive(Clone, Debug)]
pub struct Request {
    endpoint: String,
    /// The query, in order.
    pub parameters: Vec<(String, String)>,
    /// The PKCE code verifier.
    pub verifier: String,
}

/// What a token answer holds.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
    /// The whole answer.
    pub all: Value,
}

impl Client {
    /// Discovers and registers itself as a native public client with a loopback redirect does.
    pub async fn register(mcp_url: &str) -> Self {
        let discovery = Discovery::walk(mcp_url).await;
        let redirect_uri = "http://127.0.0.1:49152/callback";
        let answer =
            register(&discovery.endpoint("registration_endpoint"), &registration(redirect_uri)).await;
        let client_id = text(&answer.expect(201)["client_id"]);
        Self::known(discovery, &client_id, redirect_uri)
    }

    /// A client that somebody registered already.
    pub fn known(discovery: Discovery, client_id: &str, redirect_uri: &str) -> Self {
        let (client_id, redirect_uri) = (client_id.to_owned(), redirect_uri.to_owned());
        Self { http: process::client(), discovery, client_id, redirect_uri }
    }

    /// A new authorization request: S256, `scope=openid`, the resource, and fresh `state` and `nonce`.
    pub fn request(&self) -> Request {
        let verifier = fresh();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let (state, nonce) = (fresh(), fresh());
        let resource = text(&self.discovery.resource["resource"]);
        let parameters = [
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("scope", "openid"),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", &resource),
        ];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Request { endpoint: self.discovery.endpoint("authorization_endpoint"), parameters, verifier }
    }

    /// Redeems a code as the request it belongs to wants it.
    pub async fn redeem(&self, request: &Request, code: &str) -> Answer {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &request.get("redirect_uri")),
            ("client_id", &self.client_id),
            ("code_verifier", &request.verifier),
            ("resource", &request.get("resource")),
        ])
        .await
    }

    /// Refreshes.
    pub async fn refresh(&self, refresh_token: &str) -> Answer {
        self.token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", &self.client_id),
        ])
        .await
    }

    /// Revokes a token of either kind (RFC 7009).
    pub async fn revoke(&self, token: &str) -> Answer {
        let parameters = [("token", token), ("client_id", &self.client_id)];
        Answer::to(self.http.post(self.discovery.endpoint("revocation_endpoint")).form(&parameters)).await
    }

    /// Sends exactly these parameters to the token endpoint.
    pub async fn token(&self, parameters: &[(&str, &str)]) -> Answer {
        Answer::to(self.token_request(parameters)).await
    }

    /// A request to the token endpoint, for a test that adds headers.
    pub fn token_request(&self, parameters: &[(&str, &str)]) -> reqwest::RequestBuilder {
        self.http.post(self.discovery.endpoint("token_endpoint")).form(parameters)
    }
}

impl Request {
    /// The value of a parameter that is there.
    pub fn get(&self, name: &str) -> String {
        let found = self.parameters.iter().find(|(key, _)| key == name);
        found.unwrap_or_else(|| panic!("no `{name}` in {self:#?}")).1.clone()
    }

    /// The same request with one parameter set, or added.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        match self.parameters.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.parameters.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// The same request without one parameter.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.parameters.retain(|(key, _)| key != name);
        self
    }

    /// The address to open in a browser.
    pub fn url(&self) -> String {
        let mut url = Url::parse(&self.endpoint).expect("the authorization endpoint is a URL");
        url.query_pairs_mut().extend_pairs(&self.parameters);
        url.into()
    }
}

impl Tokens {
    /// Reads a token answer that must have succeeded.
    pub fn read(answer: &Answer) -> Self {
        let all = answer.expect(200);
        Self { access: text(&all["access_token"]), refresh: text(&all["refresh_token"]), all }
    }

    /// The words of `scope`, sorted.
    pub fn scope(&self) -> Vec<String> {
        let mut words: Vec<_> = text(&self.all["scope"]).split(' ').map(str::to_owned).collect();
        words.sort_unstable();
        words
    }

    /// The permissions among the words of `scope`, sorted.
    pub fn permissions(&self) -> Vec<String> {
        self.scope().into_iter().filter(|word| word.contains(':')).collect()
    }
}

/// The registration that a native client sends, as Claude Code does.
pub fn registration(redirect_uri: &str) -> Value {
    json!({
        "client_name": "End-to-end client",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    })
}

/// Sends a registration (RFC 7591).
pub async fn register(endpoint: &str, body: &Value) -> Answer {
    Answer::to(process::client().post(endpoint).json(body)).await
}

/// The address of a well-known document of an issuer without a path.
pub fn well_known(origin: &str, name: &str) -> String {
    format!("{origin}/.well-known/{name}")
}

/// The header of a JWT and its claims, unverified.
pub fn decode(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| {
        let json = URL_SAFE_NO_PAD.decode(part).expect("each part of a JWT is base64url");
        serde_json::from_slice(&json).unwrap_or_default()
    });
    (parts.next().expect("a JWT has a header"), parts.next().expect("a JWT has claims"))
}

/// One quoted parameter of a `WWW-Authenticate` header.
pub fn challenge_parameter(header: &str, name: &str) -> Option<String> {
    assert!(header.starts_with("Bearer"), "{header}");
    let start = header.find(&format!("{name}=\""))? + name.len() + 2;
    header[start..].split('"').next().map(str::to_owned)
}

/// The text of a JSON string.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_owned()
}
