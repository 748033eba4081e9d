//! What is configured, and what stops the start.

use std::{path::PathBuf, sync::Arc, time::Duration};

use doorward_shared::{
    issuer::{Issuer, IssuerError},
    resource::{ResourceSyntax, ResourceUri},
    time::{Clock, Seconds, SystemClock},
};

use crate::{
    RevocationLog,
    credentials::Credentials,
    reach::{AddressSyntax, Reach},
};

/// The settings of a [`ResourceServer`](crate::ResourceServer). `resource` and `issuer` must be given; everything else has
/// a default that is safe:
///
/// ```
/// use doorward_resource_server::Settings;
///
/// let settings = Settings {
///     resource_name: Some("Invoices".to_owned()),
///     ..Settings::new("https://mcp.example.test/mcp", "https://login.example.test")
/// };
/// ```
#[derive(Clone)]
pub struct Settings {
    /// The identifier of this resource: the address that people type into an MCP client, for example
    /// `https://mcp.example.test/mcp`. It is the audience of its tokens (RFC 8707), its path is what is protected, and its
    /// host is the one that requests must name.
    pub resource: String,
    /// The issuer, exactly as the authorization server is configured: no slash at its end.
    pub issuer: String,
    /// Where the issuer is really reached, when that is another place than its name says: scheme, host and port, such as
    /// `http://doorward:9000` between two containers. Whatever is fetched from the issuer's own origin is fetched from there;
    /// `iss` and all documents keep the issuer's name. Over plain http whoever sits on the way can put in keys of his own,
    /// so name such a place only inside one machine or a private network.
    pub issuer_address: Option<String>,
    /// What `doorward resource add` printed for this resource. Without them revocations are not followed and opaque tokens
    /// are refused: a token is then good until it expires.
    pub credentials: Option<Credentials>,
    /// A name for people, in the metadata document.
    pub resource_name: Option<String>,
    /// The address of a page for developers, in the metadata document.
    pub resource_documentation: Option<String>,
    /// Further host names (without port) that requests may name, for example the internal one that a reverse proxy sends.
    pub allowed_hosts: Vec<String>,
    /// Web origins whose pages may call. `None`: on a resource on this machine only pages of the allowed hosts, elsewhere
    /// every page; a page has no ambient credentials here, so only a local server has something to lose to it.
    pub allowed_origins: Option<Vec<String>>,
    /// Whether `Host` and `Origin` are checked at all. Leave it on unless something in front does the same.
    pub check_host: bool,
    /// A file for the last good copy of the keys, so that a restart works while the authorization server is away. Who may
    /// write this file decides which tokens are good: keep it where only this program can write.
    pub key_cache_file: Option<PathBuf>,
    /// A file for what was revoked, so that a restart revives nothing while the authorization server is away. `None`: beside
    /// `key_cache_file`, if there is one. It deserves the same care.
    pub revocations_file: Option<PathBuf>,
    /// Is told what is revoked, so that what was made with a token and outlives it can end with it.
    pub revocation_log: Option<Arc<dyn RevocationLog>>,
    /// How long the revocation feed may be silent before `on_feed_lag` applies. It is asked to speak three times as often.
    pub max_feed_lag: Duration,
    /// What happens to signed tokens while the feed is silent for longer than `max_feed_lag`. Opaque tokens are asked about
    /// anyway.
    pub on_feed_lag: FeedLag,
    /// What opaque tokens begin with, beside `sta_`, `ak_live_` and `aa_at_`. The authorization server is asked about them.
    pub opaque_prefixes: Vec<String>,
    /// How often the keys are fetched again. It bounds how long a withdrawn key goes on verifying.
    pub refresh_every: Duration,
    /// How long keys are used when no fetch succeeds.
    pub max_stale: Duration,
    /// How often a token with an unknown key may cause a fetch.
    pub cool_down: Duration,
    /// How far the clocks of the two servers may disagree.
    pub leeway: Duration,
    /// The longest lifetime (`exp` − `iat`) of a token that is taken.
    pub max_lifetime: Duration,
    /// How many good tokens are remembered, signed and opaque ones each; 0 switches the memory off.
    pub token_cache: usize,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

impl Settings {
    /// Settings for `resource`, protected by `issuer`, with the defaults.
    pub fn new(resource: impl Into<String>, issuer: impl Into<String>) -> Self {
        Self { resource: resource.into(), issuer: issuer.into(), ..Self::default() }
    }

    pub(crate) fn check(&self) -> Result<Checked, StartError> {
        if self.resource.is_empty() {
            return Err(StartError::NoResource);
        }
        if self.issuer.is_empty() {
            return Err(StartError::NoIssuer);
        }
        let resource = ResourceUri::parse(&self.resource)?;
        let issuer = Issuer::parse(&self.issuer)?;
        if !issuer.is_https() && !issuer.is_loopback() && self.issuer_address.is_none() {
            return Err(StartError::PlainHttpIssuer);
        }
        if self.credentials.as_ref().is_some_and(|credentials| !credentials.are_whole()) {
            return Err(StartError::Credentials);
        }
        if self.on_feed_lag == FeedLag::Refuse && self.credentials.is_none() {
            return Err(StartError::NoFeed);
        }
        // What a signed token begins with is the JSON of its header.
        let taken = |prefix: &&String| {
            prefix.is_empty() || prefix.starts_with("ey") || "ey".starts_with(prefix.as_str())
        };
        if let Some(prefix) = self.opaque_prefixes.iter().find(taken) {
            return Err(StartError::OpaquePrefix(prefix.clone()));
        }
        let reach = Reach::new(issuer, self.issuer_address.as_deref())?;
        Ok(Checked { resource, reach })
    }
}

impl Default for Settings {
    /// The defaults, without a resource and without an issuer.
    fn default() -> Self {
        Self {
            resource: String::new(),
            issuer: String::new(),
            issuer_address: None,
            credentials: None,
            resource_name: None,
            resource_documentation: None,
            allowed_hosts: Vec::new(),
            allowed_origins: None,
            check_host: true,
            key_cache_file: None,
            revocations_file: None,
            revocation_log: None,
            max_feed_lag: Duration::from_mins(1),
            on_feed_lag: FeedLag::Serve,
            opaque_prefixes: Vec::new(),
            refresh_every: Duration::from_mins(5),
            max_stale: Duration::from_hours(24),
            cool_down: Duration::from_secs(30),
            leeway: Duration::from_mins(1),
            max_lifetime: Duration::from_hours(24),
            token_cache: 10_000,
            clock: Arc::new(SystemClock),
        }
    }
}

/// What happens while the revocation feed is silent for too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeedLag {
    /// Tokens are checked offline, and what was revoked until then stays revoked. The authorization server may be away.
    #[default]
    Serve,
    /// Tokens are answered 503 until the feed speaks again. Nothing that was revoked is ever taken, and this server stops
    /// when the authorization server does.
    Refuse,
}

/// A length of time in whole seconds.
pub(crate) fn seconds(length: Duration) -> Seconds {
    Seconds::new(i64::try_from(length.as_secs()).unwrap_or(i64::MAX))
}

/// Settings that were read.
pub(crate) struct Checked {
    pub(crate) resource: ResourceUri,
    pub(crate) reach: Reach,
}

/// Why a resource server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Without a resource there is no audience to compare, and every token of the issuer would be good here.
    #[error(
        "no resource is configured: set it to the address of this server, such as https://mcp.example.test/mcp"
    )]
    NoResource,
    /// The resource is no resource indicator.
    #[error("the resource cannot be used: {0}")]
    Resource(#[from] ResourceSyntax),
    /// There is nobody to trust.
    #[error("no issuer is configured: set it to the address of the authorization server")]
    NoIssuer,
    /// The issuer is not in its normal form.
    #[error("the issuer cannot be used: {0}")]
    Issuer(#[from] IssuerError),
    /// Keys that come over plain http are anybody's keys (RFC 8414 §2).
    #[error(
        "the issuer must be https, or on this machine: whoever sits on the way could put in keys of his own. Name the place \
         where it is reached (issuer_address) if that is inside a private network"
    )]
    PlainHttpIssuer,
    /// The issuer is to be reached at something that is no origin.
    #[error("{0}")]
    Address(#[from] AddressSyntax),
    /// Half of the credentials is missing.
    #[error("the credentials of this resource server are incomplete: both client id and secret are needed")]
    Credentials,
    /// Tokens would be refused for ever.
    #[error(
        "tokens are to be refused while the revocation feed is silent, and without credentials it never speaks"
    )]
    NoFeed,
    /// A prefix of opaque tokens that signed tokens begin with as well.
    #[error("opaque tokens cannot begin with {0:?}: signed tokens do")]
    OpaquePrefix(String),
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be built: {0}")]
    Client(#[from] reqwest::Error),
}
