//! An OpenID Connect provider in the dialect of a test's choice, which lies where it is told to. Real HTTP, real RS256
//! signatures; people sign in there by being named.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use url::Url;

mod http;
mod protocol;

use self::http::serve;
use crate::{answer::Answer, house::Plan, visitor::Visitor};

/// What the server under test is called there.
pub const CLIENT_ID: &str = "doorward";
/// The secret with which it proves it; nothing of it is real.
pub const CLIENT_SECRET: &str = "upstream-test-secret-0123456789";

/// What a test changes in an answer before it is sent.
pub type Twist = Arc<dyn Fn(&mut Lie) + Send + Sync>;

/// What can be changed in an ID token.
#[derive(Debug)]
pub struct Lie {
    /// Its claims.
    pub claims: Map<String, Value>,
    /// Its header's algorithm, and with it the key: `RS256`, `HS256` with the client's secret, `none`, or `other` for RS256 with
    /// a key that is not published.
    pub signed: &'static str,
    /// Whether there is an ID token at all.
    pub present: bool,
}

/// What the token endpoint does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    /// What it should.
    Fine,
    /// It answers with this status and this body.
    Answers(u16, String),
    /// It answers nothing.
    Silent,
}

/// The provider's memory, which a test reads and writes.
pub struct State {
    /// Claims of the person who signs in next; `sub` is one of them.
    pub person: Map<String, Value>,
    /// Claims that only userinfo has.
    pub userinfo: Map<String, Value>,
    /// What Microsoft Graph says about groups.
    pub graph: Vec<String>,
    /// What the metadata says otherwise.
    pub metadata: Map<String, Value>,
    /// Whether the answer says whose it is (RFC 9207).
    pub says_iss: bool,
    /// The error with which the next person is sent back.
    pub denies: Option<&'static str>,
    /// What is changed in the next ID tokens.
    pub twist: Option<Twist>,
    /// What the token endpoint does.
    pub mood: Mood,
    /// How long every answer is on its way.
    pub delay: Duration,
    /// Whether refresh tokens are taken.
    pub refreshes: bool,
    /// Whether answers to a refresh have an ID token.
    pub refresh_has_id_token: bool,
    /// Every request for a token: its form.
    pub token_requests: Vec<BTreeMap<String, String>>,
    /// Every code and token that it gave.
    pub secrets: Vec<String>,
    /// Every authorization request.
    pub authorizations: Vec<BTreeMap<String, String>>,
    codes: BTreeMap<String, BTreeMap<String, String>>,
    refresh_token: Option<String>,
    kid: String,
}

/// A running provider. It is gone when this is dropped.
pub struct Idp {
    issuer: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for Idp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the provider {}", self.issuer)
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Idp {
    /// A provider on a free port, at which `sub` signs in with this address, verified.
    pub async fn start(sub: &str, email: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let issuer = format!("http://127.0.0.1:{}", listener.local_addr().expect("bound").port());
        let person = json!({"sub": sub, "email": email, "email_verified": true, "name": "Somebody Upstream"});
        let state = Arc::new(Mutex::new(State {
            person: object(person),
            userinfo: Map::new(),
            graph: Vec::new(),
            metadata: Map::new(),
            says_iss: true,
            denies: None,
            twist: None,
            mood: Mood::Fine,
            delay: Duration::ZERO,
            refreshes: true,
            refresh_has_id_token: true,
            token_requests: Vec::new(),
            secrets: Vec::new(),
            authorizations: Vec::new(),
            codes: BTreeMap::new(),
            refresh_token: None,
            kid: "first".to_owned(),
        }));
        let task = tokio::spawn(serve(listener, issuer.clone(), Arc::clone(&state)));
        Self { issuer, state, task }
    }

    /// What it calls itself.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its memory.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a claim of the person in place, or takes it away with `null`.
    pub fn claim(&self, name: &str, value: Value) {
        let mut state = self.state();
        if value.is_null() {
            state.person.remove(name);
        } else {
            state.person.insert(name.to_owned(), value);
        }
    }

    /// Changes the next ID tokens; signing in is otherwise as it should be.
    pub fn lie(&self, twist: impl Fn(&mut Lie) + Send + Sync + 'static) {
        self.state().twist = Some(Arc::new(twist));
    }

    /// Tells the truth again.
    pub fn honest(&self) {
        self.state().twist = None;
    }

    /// Signs with the same key under another name.
    pub fn rename_key(&self, kid: &str) {
        kid.clone_into(&mut self.state().kid);
    }

    /// A house at which people can sign in here, under this name and in this dialect.
    pub fn known_to(&self, plan: Plan, id: &str, dialect: &str) -> Plan {
        let name = |key: &str| format!("UPSTREAM__{}__{key}", id.to_uppercase().replace('-', "_"));
        plan.with(&name("ISSUER"), &self.issuer)
            .with(&name("CLIENT_ID"), CLIENT_ID)
            .with(&name("CLIENT_SECRET"), CLIENT_SECRET)
            .with(&name("TITLE"), &format!("Provider {id}"))
            .with(&name("DIALECT"), dialect)
    }
}

/// Goes the way to a provider: from the address of an authorization request to where its page sends the browser.
pub async fn way_there(visitor: &Visitor, authorization: &str, provider: &str) -> Url {
    let login = visitor.open(authorization).await.page();
    assert_eq!(login.kind, "login", "{login:#?}");
    let link = login.providers.get(provider).unwrap_or_else(|| panic!("no link to {provider}: {login:#?}"));
    visitor.open(link.as_str()).await.away().url
}

/// Follows the pages of a provider until they lead back to this origin, and stops before that.
pub async fn way_back(visitor: &Visitor, there: Url, home: &str) -> Url {
    let mut url = there;
    for _ in 0..12 {
        let answer = Answer::to(visitor.http().get(url.clone())).await;
        assert!((300..400).contains(&answer.status), "{url}: {answer:#?}");
        url = url.join(answer.header("location")).expect("a URL");
        if url.as_str().starts_with(home) {
            return url;
        }
    }
    panic!("the provider does not lead back: {url}");
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { panic!("an object: {value}") };
    members
}

/// The time of this machine, as the provider's own clock.
#[expect(clippy::disallowed_methods, reason = "the provider has a clock of its own")]
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_secs()).expect("a time")
}
