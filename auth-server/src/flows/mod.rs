//! The shell: each function loads, asks `domain`, applies. No HTTP types, no SQL.

mod access_token;
pub mod account;
pub mod admin;
mod api_key;
pub mod authorize;
pub mod backchannel_logout;
pub mod backup;
mod challenge;
pub mod client_configuration;
pub mod client_documents;
pub mod clients;
pub mod clock;
mod ends;
pub mod feed;
pub mod forgotten;
pub mod housekeeping;
mod id_token;
pub mod introspect;
pub mod leaked;
pub mod login;
pub mod logout;
pub mod passkeys;
mod reach;
pub mod register;
mod resource_servers;
pub mod restore;
pub mod revoke;
pub mod second_factor;
pub mod setup;
pub mod signing_keys;
pub mod token;
pub mod trail;
pub mod upstream;
pub mod userinfo;

use std::sync::Arc;

use doorward_shared::{
    error::{ErrorCode, OAuthError},
    secret::Entropy,
    time::{Clock, Timestamp},
};

use crate::{
    domain::{
        audit::{Action, Actor, Event},
        email::Email,
        grant::Use,
        letter::{Letter, Notice},
        policy::Policy,
    },
    ephemeral::Ephemeral,
    keys::{KeyRing, SignError, Tags},
    mail::Mail,
    outbound::Outbound,
    password::Passwords,
    store::{Store, StoreError},
    upstream::{RelyingParties, Upstream},
};

/// Everything that a flow may use.
pub struct Context {
    /// What must survive.
    pub store: Arc<dyn Store>,
    /// What may be lost.
    pub ephemeral: Ephemeral,
    /// Documents of clients that this process fetched.
    pub documents: Ephemeral,
    /// The way to where strangers point.
    pub outbound: Outbound,
    /// What this replica knows of the revocation feed.
    pub feed: feed::Feed,
    /// The key that signs checkpoints of the audit trail.
    pub audit_key: trail::AuditKey,
    /// Signing keys.
    pub keys: KeyRing,
    /// Tags that prove that a browser signed in to an account before.
    pub devices: Tags,
    /// Tags that prove that a password was right a moment ago.
    pub halves: Tags,
    /// Tags that prove that this server set a challenge.
    pub challenges: Tags,
    /// Tags from which the secrets of a sign-in at an upstream provider are derived.
    pub sign_ins: Tags,
    /// Upstream providers.
    pub upstream: Upstream,
    /// The way to the SMTP server, where one is set up.
    pub mail: Option<Mail>,
    /// The way to clients.
    pub relying_parties: RelyingParties,
    /// Password hashing.
    pub passwords: Passwords,
    /// The clock of this machine.
    pub clock: Arc<dyn Clock>,
    /// How wrong it is.
    pub offset: clock::Offset,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The rules in force.
    pub policy: Arc<Policy>,
}

/// An administrator's deeds go by the corrected time too: what they end, ends for tokens of other servers.
impl Clock for Context {
    fn now(&self) -> Timestamp {
        self.now()
    }
}

impl Context {
    /// The time now. A flow asks once.
    pub fn now(&self) -> Timestamp {
        self.offset.correct(self.clock.now())
    }

    /// What an administrator's deeds work with.
    pub fn desk<'a>(&'a self, actor: &'a Actor, address: Option<&'a str>) -> admin::Desk<'a> {
        admin::Desk {
            store: self.store.as_ref(),
            clock: self,
            entropy: self.entropy.as_ref(),
            policy: &self.policy,
            mail: self.mail.as_ref(),
            actor,
            address,
        }
    }

    /// Tells a person by mail what happened to their account, where mail is set up.
    fn tell(&self, to: &Email, what: Notice, peer: &Peer, now: Timestamp) {
        if let Some(mail) = &self.mail {
            mail.post(Letter::notice(&self.policy.issuer, to, what, now, peer.address.as_deref()));
        }
    }

    /// A line for the audit trail.
    fn event(&self, action: Action, actor: Actor, peer: &Peer, now: Timestamp) -> Event {
        Event::new(action, actor, now, self.entropy.as_ref()).from(peer.address.as_deref())
    }

    /// True when a counter is past its limit. The moment of passing it is written down, once and not for every request.
    async fn over(&self, count: u32, limit: u32, name: &'static str, peer: &Peer, now: Timestamp) -> bool {
        if count == limit.saturating_add(1) {
            let event = self.event(Action::LimitReached, Actor::Stranger, peer, now).with("limit", name);
            if let Err(error) = self.store.note(&event).await {
                tracing::warn!(%error, limit = name, "a limit was reached, and the audit trail could not be written");
            }
        }
        count > limit
    }
}

/// Where a request comes from.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// The network, as far as limits are concerned.
    pub network: String,
    /// The address.
    pub address: Option<String>,
    /// What its program calls itself: the `User-Agent` header.
    pub agent: Option<String>,
}

impl Peer {
    /// A use of a grant from here.
    fn uses(&self, now: Timestamp) -> Use {
        Use::new(now, self.address.as_deref(), self.agent.as_deref())
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}

impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::new(
                ErrorCode::TemporarilyUnavailable,
                "the server cannot reach its database; try again soon",
            ),
            StoreError::Row { .. } | StoreError::Unusable(_) => {
                Self::new(ErrorCode::ServerError, "the server made an error; its log has the reason")
            }
        }
        .because(error)
    }
}

/// A signature that could not be made is the server's fault.
fn signing(error: SignError) -> OAuthError {
    let (code, text) = match error {
        SignError::Unconfirmed => {
            (ErrorCode::TemporarilyUnavailable, "the server cannot reach its database; try again soon")
        }
        SignError::Signing(_) => {
            (ErrorCode::ServerError, "the server could not sign; its log has the reason")
        }
    };
    OAuthError::new(code, text).because(error)
}

/// 128 random bits as 32 hexadecimal digits.
fn random_hex(entropy: &dyn Entropy) -> String {
    let mut random = [0_u8; 16];
    entropy.fill(&mut random);
    format!("{:032x}", u128::from_be_bytes(random))
}
