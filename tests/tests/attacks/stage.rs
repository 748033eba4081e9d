//! The stage on which every attack is tried: one server, the clients of the catalogue's fixtures, and what must be true of
//! the server when the attack is over.

use std::sync::OnceLock;

use e2e::answer::Answer;
use e2e::client::{Client, Discovery, Request, Tokens, text, well_known};
use e2e::house::{House, Person, Plan, Store};
use e2e::process;
use e2e::visitor::Visitor;
use serde_json::{Value, json};

/// Where `pub1` wants its users back.
pub(crate) const PUB1: &str = "https://app.test/cb";
/// Where `nat1` wants its users back.
pub(crate) const NAT1: &str = "http://127.0.0.1/cb";
/// Where the attacker wants everybody.
pub(crate) const EVIL: &str = "https://evil.test/cb";

/// A running server without its MCP server, and what a client finds out about it.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) house: House,
    pub(crate) discovery: Discovery,
}

/// A code that waits to be redeemed.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) client: Client,
    pub(crate) request: Request,
    pub(crate) text: String,
}

impl Stage {
    /// With default settings.
    pub(crate) async fn start(store: Store) -> Self {
        Self::build(Plan::on(store).without_artifacts()).await
    }

    /// As `plan` wants it, with everything that the server can say about itself in its log.
    pub(crate) async fn build(plan: Plan) -> Self {
        let house = House::build(plan.with("LOG__LEVEL", "trace").with("LOG__FORMAT", "json")).await;
        // An issuer with a path answers below it; the address of its document is in the settings, not here.
        let found =
            Answer::to(process::client().get(well_known(house.issuer(), "oauth-authorization-server"))).await;
        let server = if found.status == 200 { found.json() } else { Value::Null };
        let discovery = Discovery {
            challenge: found,
            resource_metadata_url: String::new(),
            resource: json!({"resource": house.mcp_url()}),
            server,
        };
        Self { house, discovery }
    }

    /// An address below the issuer.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.house.issuer())
    }

    /// The TCP port of the server.
    pub(crate) fn port(&self) -> u16 {
        let (_, port) = self.house.issuer().rsplit_once(':').expect("a port");
        port.parse().expect("a number")
    }

    /// Registers a public client with these redirect URIs; it will use the first.
    pub(crate) async fn client(&self, redirect_uris: &[&str]) -> Client {
        let registered = self.register(&metadata(redirect_uris)).await.expect(201);
        self.known(&text(&registered["client_id"]), redirect_uris[0])
    }

    /// Registers a confidential client; gives its secret too.
    pub(crate) async fn confidential(&self, method: &str) -> (Client, String) {
        let mut body = metadata(&[PUB1]);
        body["token_endpoint_auth_method"] = method.into();
        let registered = self.register(&body).await.expect(201);
        (self.known(&text(&registered["client_id"]), PUB1), text(&registered["client_secret"]))
    }

    /// A client that is registered already.
    pub(crate) fn known(&self, client_id: &str, redirect_uri: &str) -> Client {
        Client::known(self.discovery.clone(), client_id, redirect_uri)
    }

    /// Sends a registration.
    pub(crate) async fn register(&self, body: &Value) -> Answer {
        Answer::to(http().post(self.at("/oauth/clients/register")).json(body)).await
    }

    /// Lets Alice allow `tiers` in the browser that is given, and gives the code.
    pub(crate) async fn code(&self, client: &Client, visitor: &Visitor, tiers: &[&str]) -> Code {
        self.code_of(client, visitor, self.house.alice(), tiers).await
    }

    /// Lets somebody allow `tiers`, and gives the code.
    pub(crate) async fn code_of(
        &self,
        client: &Client,
        visitor: &Visitor,
        person: &Person,
        tiers: &[&str],
    ) -> Code {
        let request = client.request();
        let text = visitor.authorize(&request.url(), person, tiers).await.code();
        Code { client: client.clone(), request, text }
    }

    /// Lets Alice allow `read`, and gives the tokens.
    pub(crate) async fn tokens(&self, client: &Client, visitor: &Visitor) -> Tokens {
        Tokens::read(&self.code(client, visitor, &["read"]).await.redeem().await)
    }

    /// Fails unless the server is as it was: it still takes a good request, it never broke, and it wrote down no secret.
    pub(crate) async fn close(self) {
        let client = self.client(&[PUB1]).await;
        assert_login(&ask(&client.request().url()).await);
        self.close_quietly();
    }

    /// The same, where a good request cannot be sent.
    pub(crate) fn close_quietly(self) {
        assert_quiet(&self.house, |status| status < 500);
    }
}

impl Code {
    /// Redeems it as its client should.
    pub(crate) async fn redeem(&self) -> Answer {
        self.redeem_with(&[]).await
    }

    /// Redeems it with some parameters replaced; an empty value leaves the parameter out.
    pub(crate) async fn redeem_with(&self, changes: &[(&str, &str)]) -> Answer {
        let redirect_uri = self.request.get("redirect_uri");
        let plain = [
            ("grant_type", "authorization_code"),
            ("code", self.text.as_str()),
            ("redirect_uri", redirect_uri.as_str()),
            ("client_id", self.client.client_id.as_str()),
            ("code_verifier", self.request.verifier.as_str()),
        ];
        self.client.token(&changed(&plain, changes)).await
    }
}

/// `plain` with some parameters replaced or added; an empty value leaves the parameter out.
pub(crate) fn changed<'a>(
    plain: &[(&'a str, &'a str)],
    changes: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut all: Vec<_> =
        plain.iter().filter(|(name, _)| !changes.iter().any(|(n, _)| n == name)).copied().collect();
    all.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    all
}

/// Fails when the log of a server holds a panic, a status that is not `fine`, or anything that looks like a secret.
pub(crate) fn assert_quiet(house: &House, fine: impl Fn(u64) -> bool) {
    let logs = house.logs();
    assert!(!logs.contains("panicked"), "{logs}");
    for line in logs.lines().filter(|line| line.starts_with('{')) {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["status"].as_u64().is_none_or(&fine), "{line}");
    }
    // Every opaque secret begins with its kind, every JWT with its algorithm. The setup link is no log line: it is printed
    // for the terminal, on purpose.
    for kind in
        ["dwc_", "dwr_", "dws_", "dwi_", "dwb_", "sta_", "ak_live_", "eyJhbGci", &house.alice().password]
    {
        let leak = logs.lines().find(|line| line.contains(kind) && !line.starts_with("setup: "));
        assert!(leak.is_none(), "a secret is in the log: {leak:?}");
    }
}

/// A registration of a public client.
pub(crate) fn metadata(redirect_uris: &[&str]) -> Value {
    json!({"client_name": "T", "redirect_uris": redirect_uris, "token_endpoint_auth_method": "none"})
}

/// One client for all requests: making one takes longer than any of them. Connections are not kept, since they would
/// belong to the test that opened them.
pub(crate) fn http() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| process::builder().pool_max_idle_per_host(0).build().expect("an HTTP client"))
}

/// What a browser without any cookie is answered.
pub(crate) async fn ask(url: &str) -> Answer {
    Answer::to(http().get(url)).await
}

/// The same request with one parameter sent a second time.
pub(crate) fn again(mut request: Request, name: &str, value: &str) -> Request {
    request.parameters.push((name.to_owned(), value.to_owned()));
    request
}

/// Fails unless the request was good: the person has to sign in.
pub(crate) fn assert_login(answer: &Answer) {
    assert_eq!(answer.status, 303, "{answer:#?}");
    assert!(answer.header("location").starts_with("/login?request=req_"), "{answer:#?}");
}

/// `P400`: a page of the server itself, which leads nowhere.
pub(crate) fn assert_page(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:#?}");
    assert!(answer.header("content-type").starts_with("text/html"), "{answer:#?}");
    assert!(answer.body.contains(&format!("data-error=\"{code}\"")), "{code}: {answer:#?}");
    assert!(!answer.headers.contains_key("location"), "{answer:#?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{answer:#?}");
    assert_eq!(answer.header("x-frame-options"), "DENY");
}

/// `RD(code)`: back to the registered address with exactly one each of `error`, `state` and `iss`, and without a code.
pub(crate) fn assert_sent_back(stage: &Stage, answer: &Answer, request: &Request, code: &str) {
    assert_eq!(answer.status, 303, "{code}: {answer:#?}");
    let redirect_uri = request.get("redirect_uri");
    let location = answer.header("location");
    let query = location.strip_prefix(&redirect_uri).unwrap_or_else(|| panic!("{location}"));
    assert!(query.starts_with(['?', '&']) && !query.contains('#'), "{location}");
    let pairs: Vec<_> = url::form_urlencoded::parse(&query.as_bytes()[1..]).into_owned().collect();
    let one = |name: &str| {
        let values: Vec<_> = pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect();
        assert!(values.len() == 1, "`{name}` comes {} times in {location}", values.len());
        values[0].clone()
    };
    assert_eq!(one("error"), code, "{location}");
    assert_eq!(one("iss"), stage.house.issuer(), "{location}");
    if request.parameters.iter().filter(|(name, _)| name == "state").count() == 1 {
        assert_eq!(one("state"), request.get("state"), "{location}");
    }
    assert!(pairs.iter().all(|(name, _)| name != "code"), "{location}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
}

/// Asks and fails unless the client gets the error `code`.
pub(crate) async fn assert_refused(stage: &Stage, request: &Request, code: &str) {
    assert_sent_back(stage, &ask(&request.url()).await, request, code);
}

/// `T400(code)`, `T401(code)`, `G400(code)`: JSON that nobody may keep.
pub(crate) fn assert_json_error(answer: &Answer, status: u16, code: &str) {
    answer.expect_error(status, code);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("pragma"), "no-cache");
}
