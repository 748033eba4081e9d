//! What the operator chose, validated: plain data for every decision.

use std::num::NonZeroU32;

use doorward_shared::{
    client_id::ClientId,
    issuer::Issuer,
    jose::Algorithm,
    redirect_uri::RedirectUri,
    time::{Seconds, Timestamp},
};

use super::{client_document::HostPattern, upstream::Provider};

/// The rules in force.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The issuer: the `iss` of everything.
    pub issuer: Issuer,
    /// Lifetimes and rules of tokens.
    pub token: TokenPolicy,
    /// Rules of signing keys.
    pub keys: KeyPolicy,
    /// Rules of refresh tokens.
    pub refresh: RefreshPolicy,
    /// Rules of browser sessions.
    pub session: SessionPolicy,
    /// Rules of self-registration.
    pub registration: RegistrationPolicy,
    /// Rules of clients that describe themselves in a document.
    pub client_documents: ClientDocumentPolicy,
    /// Brakes on guessing.
    pub limits: Limits,
    /// The public client that exists from the start.
    pub fixed_client: Option<FixedClient>,
    /// Whether mail can be sent.
    pub mail: bool,
    /// Where else people may sign in.
    pub upstream: Vec<Provider>,
}

impl Policy {
    /// The provider with this name.
    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.upstream.iter().find(|provider| provider.id == id)
    }
}

/// Lifetimes of what the token endpoint gives.
#[derive(Clone, Debug)]
pub struct TokenPolicy {
    /// Life of an authorization code.
    pub code_ttl: Seconds,
    /// Life of an access token.
    pub access_ttl: Seconds,
}

impl TokenPolicy {
    /// When no access token that was issued by `now` can be left, clocks that disagree included. The hour covers tokens
    /// that are older than a shortening of `access_ttl`.
    pub fn forget_at(&self, now: Timestamp) -> Timestamp {
        now.plus(self.access_ttl.max(Seconds::hours(1))).plus(Seconds::minutes(5))
    }
}

/// How long others may keep a copy of the key set.
pub const JWKS_MAX_AGE: Seconds = Seconds::minutes(5);

/// Rules of signing keys.
#[derive(Clone, Copy, Debug)]
pub struct KeyPolicy {
    /// The algorithm of new keys.
    pub algorithm: Algorithm,
    /// A key signs for so long.
    pub rotate_every: Seconds,
    /// A key is published for so long before it signs.
    pub publish_lead: Seconds,
    /// A key that signs no more stays published for so long.
    pub verify_for: Seconds,
}

impl KeyPolicy {
    /// Rules that keep a retired key until no token of it can be left, and nobody who still has an old copy of the key set can
    /// meet one.
    pub fn new(
        algorithm: Algorithm,
        rotate_every: Seconds,
        publish_lead: Seconds,
        token: &TokenPolicy,
    ) -> Self {
        let start = Timestamp::from_seconds(0);
        let verify_for = token.forget_at(start).plus(JWKS_MAX_AGE).since(start);
        Self { algorithm, rotate_every, publish_lead, verify_for }
    }
}

/// Rules of refresh tokens.
#[derive(Clone, Debug)]
pub struct RefreshPolicy {
    /// A refresh token unused for this long is dead.
    pub idle: Seconds,
    /// No family lives longer than this.
    pub absolute: Seconds,
    /// What a replay is answered with.
    pub replay_error: ReplayError,
    /// For so long after its use a refresh token gets the same answer again, if its successor was not used; 0: never.
    pub retry_window: Seconds,
}

/// The wire code of a replayed refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// `refresh_replayed`, which names the cause.
    RefreshReplayed,
    /// `invalid_grant`, the code of RFC 6749 §5.2.
    InvalidGrant,
}

/// Rules of browser sessions.
#[derive(Clone, Debug)]
pub struct SessionPolicy {
    /// A session unused for this long is over.
    pub idle: Seconds,
    /// No session lives longer than this.
    pub absolute: Seconds,
    /// How long a request waits for its person.
    pub pending_request: Seconds,
}

/// Rules of self-registration.
#[derive(Clone, Debug)]
pub struct RegistrationPolicy {
    /// Whether clients may register themselves.
    pub enabled: bool,
    /// Private-use schemes without a dot that are accepted.
    pub app_schemes: Vec<String>,
    /// Registrations an hour from one network.
    pub per_address: u32,
    /// Registrations an hour in all.
    pub overall: u32,
    /// The highest tier that a client can be given that registered itself; `None` sets no bound.
    pub max_tier: Option<String>,
    /// A registration that was never used is forgotten after this.
    pub unused_ttl: Seconds,
}

/// Rules of clients whose identifier is the URL of a metadata document.
#[derive(Clone, Debug)]
pub struct ClientDocumentPolicy {
    /// Whether they are accepted.
    pub enabled: bool,
    /// Hosts from which documents are accepted; none of them means all.
    pub allowed_hosts: Vec<HostPattern>,
    /// Hosts from which none is.
    pub denied_hosts: Vec<HostPattern>,
    /// Ports from which documents are fetched.
    pub ports: Vec<u16>,
    /// Fetches a minute for one network.
    pub per_address: u32,
}

/// Brakes on guessing.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Failed token requests a minute from one network before it has to wait.
    pub token_failures: u32,
    /// Failed sign-ins a minute from one network, over all accounts.
    pub sign_in_failures: u32,
    /// Sign-ins that one network may begin within the time that one waits.
    pub pending_requests: u32,
    /// Requests a minute of an API key at each process of a resource server, unless the key says otherwise.
    pub api_key_requests: NonZeroU32,
}

/// The public client that exists from the start, for clients that cannot register themselves.
#[derive(Clone, Debug)]
pub struct FixedClient {
    /// Its identifier: public, stable, safe to commit.
    pub client_id: ClientId,
    /// Its name on the consent page.
    pub name: String,
    /// Where it gets its answers.
    pub redirect_uris: Vec<RedirectUri>,
}
