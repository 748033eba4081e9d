//! The resource-server kit of Doorward: what a Rust MCP server, or any API, links to be protected.
//!
//! It checks access tokens offline (RFC 9068), publishes the metadata document that points clients to the authorization
//! server (RFC 9728), and answers everything else with the challenge that makes a client sign in (RFC 6750). The keys of the
//! authorization server are fetched in the background; a request with a usable key never waits on the network, and the
//! authorization server may be away for a day. With the credentials of a resource server it also follows the revocation
//! feed, so that what was revoked is refused within a second, and takes opaque tokens, which it asks about (RFC 7662).
//!
//! Start a [`ResourceServer`] and put it in front of the routes: [`tower::ProtectLayer`] (feature `tower`; axum, rmcp) or
//! [`actix::Protect`] (feature `actix`). Handlers find an [`Access`] in the request's extensions. The token itself never gets
//! that far: the kit takes `Authorization` and `x-api-key` out of the request, because a token is for one resource server and
//! must not be passed on to another (MCP authorization, "token passthrough").
//!
//! | module | duty |
//! |---|---|
//! | `settings` | what is configured, and what stops the start |
//! | `front` | one request: host check, documents, preflight, challenge or access |
//! | `verify` | token → [`Access`], or why not |
//! | `reach`, `credentials` | where the authorization server is reached, and as whom |
//! | `keys`, `fetch` | the authorization server's metadata and keys: background refresh, last good copy |
//! | `revocations`, `feed` | what was revoked: asked for every token, filled by the signed feed, kept over a restart |
//! | `maker` | what was made with a token and outlives it |
//! | `introspect` | opaque tokens: the authorization server is asked |
//! | `cache` | tokens that were seen before |
//! | `rate` | how often an API key may be used, and how often strangers make the authorization server be asked |
//! | `metrics` | counters |

#![cfg_attr(
    not(any(feature = "actix", feature = "tower")),
    expect(dead_code, reason = "without a front, only ResourceServer::verify and ::answer are called")
)]

mod access;
#[cfg(feature = "actix")]
pub mod actix;
mod answer;
mod cache;
mod credentials;
mod feed;
mod fetch;
mod front;
mod introspect;
mod keys;
mod maker;
mod metadata;
mod metrics;
mod rate;
mod reach;
mod revocations;
mod settings;
#[cfg(feature = "tower")]
pub mod tower;
mod verify;

use std::sync::Arc;

use doorward_shared::{issuer::Issuer, resource::ResourceUri, time::Clock};

pub use doorward_shared::{
    allowance::Allowance,
    node::{NodePath, NodeSyntax},
    revocation::{Claim, Entry},
};

pub use self::{
    access::Access,
    answer::{Answer, NotEntitled, Refusal},
    credentials::Credentials,
    maker::{Maker, RevocationLog, Unrecorded},
    metrics::{Metrics, Reason},
    rate::RateLimited,
    reach::AddressSyntax,
    settings::{FeedLag, Settings, StartError},
};

/// A protected resource: its identity, the keys of its issuer, and the rules for its requests.
pub struct ResourceServer {
    resource: ResourceUri,
    issuer: Issuer,
    rules: front::Rules,
    documents: metadata::Documents,
    bounds: verify::Bounds,
    clock: Arc<dyn Clock>,
    keys: Arc<keys::Keys>,
    verified: cache::VerifiedTokens,
    revocations: Arc<revocations::Revocations>,
    introspection: introspect::Introspection,
    rates: rate::Rates,
    metrics: Arc<metrics::Counters>,
    background: Vec<tokio::task::AbortHandle>,
}

impl ResourceServer {
    /// Starts: checks the settings, reads the file copies of keys and revocations if there are any, and begins to fetch in the background
    /// of the current tokio runtime. It does not wait for the authorization server and does not fail when that is away.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the settings cannot protect anything: no resource, no issuer, or an issuer that is reached over
    /// plain http and is not on this machine.
    pub async fn start(settings: Settings) -> Result<Arc<Self>, StartError> {
        let checked = settings.check()?;
        let metrics = Arc::new(metrics::Counters::default());
        let fetcher = fetch::Fetcher::new(checked.reach.clone())?;
        let introspection = introspect::Introspection::new(&settings, &checked.reach)?;
        let keys = Arc::new(keys::Keys::new(&settings, checked.reach.clone(), Arc::clone(&metrics)));
        keys.read_file().await;
        let revocations = Arc::new(revocations::Revocations::new(&settings, &checked));
        let position = revocations.read_file(settings.clock.now()).await;

        let mut background = vec![tokio::spawn(Arc::clone(&keys).refresh_forever(fetcher)).abort_handle()];
        if let Some(credentials) = &settings.credentials {
            let recording = settings.revocation_log.clone().map(|log| {
                let (recording, recorder) = maker::recording(log, position.clone());
                background.push(tokio::spawn(recorder.record_forever()).abort_handle());
                recording
            });
            let feed = feed::Feed::new(
                &settings,
                checked.reach.clone(),
                credentials.clone(),
                (Arc::clone(&keys), Arc::clone(&revocations), Arc::clone(&metrics)),
                position,
                recording,
            )?;
            background.push(tokio::spawn(feed.follow_forever()).abort_handle());
        } else {
            tracing::warn!(
                resource = %checked.resource,
                "no credentials: revocations are not followed, so a token is good until it expires, and opaque tokens are refused"
            );
        }
        Ok(Arc::new(Self {
            rules: front::Rules::new(&settings, &checked),
            documents: metadata::Documents::new(&settings, &checked),
            bounds: verify::Bounds::new(&settings),
            clock: settings.clock,
            verified: cache::VerifiedTokens::new(settings.token_cache),
            resource: checked.resource,
            issuer: checked.reach.issuer().clone(),
            keys,
            revocations,
            introspection,
            rates: rate::Rates::new(),
            metrics,
            background,
        }))
    }

    /// The identifier of this resource, as configured.
    pub fn resource(&self) -> &ResourceUri {
        &self.resource
    }

    /// The issuer that this resource trusts.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// True when tokens can be checked: keys are held that are not older than `max_stale`, and the revocation feed is not
    /// silent for longer than the settings allow.
    pub fn is_ready(&self) -> bool {
        let now = self.clock.now();
        self.keys.usable(now).is_some() && self.revocations.are_current(now)
    }

    /// The counters since the start.
    pub fn metrics(&self) -> Metrics {
        Metrics {
            last_page: self.revocations.last_page(),
            feed_lag: self.revocations.lag(self.clock.now()),
            revocations: self.revocations.len(),
            ..self.metrics.snapshot()
        }
    }
}

/// The guide for authors of servers: its examples are compiled with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/kit.md")]
struct Guide;

impl Drop for ResourceServer {
    fn drop(&mut self) {
        self.background.iter().for_each(tokio::task::AbortHandle::abort);
    }
}
