//! What may be lost: requests that wait for a person, and counters. Losing any of it costs somebody a retry and nothing
//! else; whatever safety depends on is in the store.
//!
//! It is kept in the memory of this process, or in Redis, where all replicas see it. Redis may be away, hang, be wiped, be
//! full, or hold what somebody else wrote: then the memory of the process stands in (`redis`), and no verb here can
//! fail. That is safe because of what each slot is for:
//!
//! - *Pending requests* hold parameters that were never trusted. They are parsed, bound and validated again, the browser
//!   that began one has to come back with its cookie, and what a request ends in, a code, is written to the store. One that
//!   is lost is begun again. One that were answered twice would be two consents by the same person in the same browser,
//!   each with a code of its own. One that was parked again from an older copy has forgotten that somebody signed in for
//!   it: they are asked again.
//! - *Used challenges* keep an answer of a passkey from being sent twice. It is good for five minutes and in the browser that it was
//!   made in; whoever could read it there has the session that came of it.
//! - *Sign-ins at upstream providers* hold what a sign-in there has to come back to. One that is lost is begun again; one that
//!   were taken twice would bring the same code twice, and the provider takes that once. The nonce and the code verifier are
//!   not kept: they are derived from the state and the browser's cookie.
//! - *Link offers* hold what a provider said about somebody whose address an account here has. The person proves that account
//!   before anything of it is written, and what was linked once cannot be linked again.
//! - *Questions to upstream providers* and those that are away bound work.
//! - *Client metadata documents* are what anybody can fetch. Each process keeps its own and trusts no other with them: a redirect URI
//!   that somebody wrote into Redis would be one that a client never published. One that is lost is fetched again.
//! - *Counters of pending requests, of registrations and of fetched documents* bound work and room, not rights.
//! - *Counters of resets* bound how many mails somebody can be sent. Links that were sent are in the store, and a newer one
//!   replaces the older.
//! - *Failed sign-ins and failed token requests* slow guesses down. The secrets of clients, codes and tokens have 128
//!   bits or more, so their brake spares the log and the processor and protects no secret; failed tries at a code end it in
//!   the store. Passwords are the one thing that guesses could reach: while Redis is away, or when it was wiped, a guesser
//!   begins again with the free failures of each replica, and each replica still holds an account against a network to one
//!   guess in five minutes, a network to its limit in a minute, and everybody to as many password checks at once as it has
//!   room for.

mod line;
mod memory;
mod redis;

use std::{fmt, marker::PhantomData, sync::Arc};

use doorward_shared::time::{Seconds, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::{line::Line, memory::Memory, redis::Redis};
use crate::domain::{client_document::LAST_GOOD, policy::Policy, throttle::Failures, upstream::Asserted};

/// A key space: what it is called, what it holds, how long a value lasts, and how much room there is in the memory of this
/// process. Each has its own shelf, so that a flood of one kind pushes out nothing of another.
#[derive(Debug)]
pub struct Slot<T> {
    name: &'static str,
    ttl: fn(&Policy) -> Seconds,
    room: usize,
    holds: PhantomData<fn() -> T>,
}

const MIB: usize = 1024 * 1024;

impl<T> Slot<T> {
    const fn new(name: &'static str, ttl: fn(&Policy) -> Seconds, room: usize) -> Self {
        Self { name, ttl, room, holds: PhantomData }
    }

    const fn place<'a>(&self, key: &'a str) -> Place<'a> {
        Place { slot: self.name, room: self.room, key }
    }
}

/// One key of a slot, as a backend sees it.
#[derive(Clone, Copy)]
struct Place<'a> {
    slot: &'static str,
    room: usize,
    key: &'a str,
}

/// An authorization request that waits for its person. Only untrusted parameters are kept: on return they are read,
/// bound and validated again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingRequest {
    /// The query string of the request.
    pub query: String,
    /// When it came.
    pub asked_at: Timestamp,
    /// Hash of the cookie of the browser that began it.
    pub browser: String,
    /// Hash of the session that was opened to go on with it, if one was.
    pub signed_in: Option<String>,
}

/// A sign-in that was begun at an upstream provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingUpstream {
    /// The provider.
    pub provider: String,
    /// Hash of the cookie of the browser that began it.
    pub browser: String,
    /// The authorization request that waits for it, if one does.
    pub request: Option<String>,
    /// The word for the page that asked for a proof, if one did.
    pub then: Option<String>,
}

/// An upstream account that could be linked to a local one, as soon as that is proved.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LinkOffer {
    /// The provider.
    pub provider: String,
    /// What it said.
    pub asserted: Asserted,
    /// Its refresh token, sealed.
    pub refresh_token: Option<String>,
    /// The person here who has the address.
    pub user: String,
    /// The address.
    pub email: String,
    /// The authorization request that waits, if one does.
    pub request: Option<String>,
}

/// A client metadata document that was fetched.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeptDocument {
    /// The document.
    pub body: String,
    /// When it was fetched.
    pub read_at: Timestamp,
    /// Until when it need not be fetched again.
    pub good_until: Timestamp,
}

/// Requests that wait, by their identifier.
pub const PENDING_REQUESTS: Slot<PendingRequest> =
    Slot::new("pending requests", |policy| policy.session.pending_request, 256 * MIB);
/// Requests that began to wait, by network.
pub const PENDING_REQUESTS_OF_NETWORK: Slot<u32> =
    Slot::new("pending requests of a network", |policy| policy.session.pending_request, 8 * MIB);
/// Failed sign-ins in a row, by account and network.
pub const SIGN_IN_FAILURES: Slot<Failures> = Slot::new("sign-in failures", |_| Seconds::hours(1), 16 * MIB);
/// Failed sign-ins by network, over all accounts.
pub const SIGN_IN_FAILURES_OF_NETWORK: Slot<u32> =
    Slot::new("sign-in failures of a network", |_| Seconds::minutes(1), 8 * MIB);
/// Sign-ins that were begun at an upstream provider, by the hash of their state.
pub const UPSTREAM_SIGN_INS: Slot<PendingUpstream> =
    Slot::new("upstream sign-ins", |_| Seconds::minutes(10), 32 * MIB);
/// Links that are offered, by the hash of the browser's cookie.
pub const LINK_OFFERS: Slot<LinkOffer> = Slot::new("link offers", |_| Seconds::minutes(10), 32 * MIB);
/// Questions about one identity, by its identifier.
pub const UPSTREAM_ASKED: Slot<u32> = Slot::new("upstream questions", |_| Seconds::minutes(1), 8 * MIB);
/// Identities that were asked about a moment ago, by identifier and the time at which the provider was last heard: it said nothing
/// new if this still names one.
pub const UPSTREAM_ASKED_OF_LATE: Slot<bool> =
    Slot::new("upstream questions of late", |_| Seconds::minutes(1), 8 * MIB);
/// Providers that did not answer a moment ago.
pub const UPSTREAM_AWAY: Slot<bool> =
    Slot::new("upstream providers that are away", |_| Seconds::new(10), MIB);
/// Failed token requests by network.
pub const TOKEN_FAILURES: Slot<u32> = Slot::new("token failures", |_| Seconds::minutes(1), 8 * MIB);
/// Challenges for passkeys that were answered; longer than one is good.
pub const USED_CHALLENGES: Slot<u32> = Slot::new("used challenges", |_| Seconds::minutes(10), 8 * MIB);
/// Client metadata documents, by their URL. Only ever in the memory of a process.
pub const CLIENT_DOCUMENTS: Slot<KeptDocument> =
    Slot::new("client metadata documents", |_| LAST_GOOD, 32 * MIB);
/// Client metadata documents that could not be had a moment ago: what stands in for one is then not made to wait again.
pub const DOCUMENTS_AWAY: Slot<bool> = Slot::new("documents that are away", |_| Seconds::minutes(1), MIB);
/// Client metadata documents that their origin withdrew, or made unfit: no older copy stands in for one.
pub const DOCUMENTS_WITHDRAWN: Slot<bool> = Slot::new("documents that are withdrawn", |_| LAST_GOOD, MIB);
/// Fetches of client metadata documents, by the network of who asked.
pub const DOCUMENT_FETCHES: Slot<u32> = Slot::new("document fetches", |_| Seconds::minutes(1), 8 * MIB);
/// Registrations by network.
pub const REGISTRATIONS: Slot<u32> = Slot::new("registrations", |_| Seconds::hours(1), 8 * MIB);
/// Resets that were asked for, by account.
pub const RESETS_OF_ACCOUNT: Slot<u32> = Slot::new("resets of an account", |_| Seconds::hours(1), 8 * MIB);
/// Resets that were asked for, by network.
pub const RESETS_OF_NETWORK: Slot<u32> = Slot::new("resets of a network", |_| Seconds::hours(1), 8 * MIB);
/// Reports of leaked keys by network.
pub const LEAK_REPORTS: Slot<u32> = Slot::new("leak reports", |_| Seconds::minutes(1), 8 * MIB);

/// Where what may be lost is kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// In the memory of this process.
    Memory,
    /// In Redis, behind this URL; it may hold a password and is never printed.
    Redis(String),
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Redis(_) => "redis",
        })
    }
}

impl Location {
    /// Reads `memory:`, `redis://…` or `rediss://…`. The error says what to write instead and repeats nothing of the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("redis" | "rediss", _)) if text.contains('#') => {
                Err("a Redis URL has no part after #: certificates are always verified")
            }
            Some(("redis" | "rediss", _)) if Line::can_read(text) => Ok(Self::Redis(text.to_owned())),
            Some(("redis" | "rediss", _)) => Err(
                "the Redis URL cannot be read; write redis://USER:PASSWORD@HOST:PORT/NUMBER, or rediss:// with TLS",
            ),
            _ => Err("write memory:, redis://HOST or rediss://HOST"),
        }
    }
}

#[derive(Debug)]
enum Backend {
    Memory(Memory),
    Redis(Redis),
}

/// The place for what may be lost.
pub struct Ephemeral {
    backend: Backend,
    policy: Arc<Policy>,
}

impl fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ephemeral")
    }
}

impl Ephemeral {
    /// Keeps everything at `location`. Redis is not asked before it is needed, or [greeted](Self::greet). Needs a runtime, on
    /// which connections to Redis then live.
    pub fn new(location: &Location, policy: Arc<Policy>) -> Self {
        let backend = match location {
            Location::Memory => Backend::Memory(Memory::default()),
            // A location that was parsed can be read; one that cannot is a Redis that is never there.
            Location::Redis(url) => Backend::Redis(Redis::new(url, policy.issuer.as_str())),
        };
        Self { backend, policy }
    }

    /// Keeps everything in the memory of this process.
    pub fn in_memory(policy: Arc<Policy>) -> Self {
        Self { backend: Backend::Memory(Memory::default()), policy }
    }

    /// Asks Redis, if it is used, whether it can do what it is needed for, and says so in the log. Whatever it answers, the
    /// server can go on.
    pub async fn greet(&self) {
        if let Backend::Redis(redis) = &self.backend {
            redis.greet().await;
        }
    }

    /// Keeps a value for the slot's time, replacing the one that was there.
    pub async fn put<T: Serialize>(&self, slot: &Slot<T>, key: &str, value: &T, now: Timestamp) {
        self.put_back(slot, key, value, now, now).await;
    }

    /// Keeps a value whose time runs from an earlier moment.
    pub async fn put_back<T: Serialize>(
        &self,
        slot: &Slot<T>,
        key: &str,
        value: &T,
        from: Timestamp,
        now: Timestamp,
    ) {
        // Plain data always serialises; a value that did not would be one that was lost, which is allowed here.
        let Ok(text) = serde_json::to_string(value) else { return };
        let (place, end) = (slot.place(key), self.end(slot, from));
        match &self.backend {
            Backend::Memory(memory) => memory.put(place, text, end),
            Backend::Redis(redis) => redis.put(place, text, end, now).await,
        }
    }

    /// The value, if it is still there.
    pub async fn get<T: DeserializeOwned>(&self, slot: &Slot<T>, key: &str, now: Timestamp) -> Option<T> {
        let text = match &self.backend {
            Backend::Memory(memory) => memory.get(slot.place(key), now),
            Backend::Redis(redis) => redis.get(slot.place(key), now).await,
        };
        serde_json::from_str(&text?).ok()
    }

    /// Takes the value out; of several callers one gets it.
    pub async fn take<T: DeserializeOwned>(&self, slot: &Slot<T>, key: &str, now: Timestamp) -> Option<T> {
        let text = match &self.backend {
            Backend::Memory(memory) => memory.take(slot.place(key), now),
            Backend::Redis(redis) => redis.take(slot.place(key), now).await,
        };
        serde_json::from_str(&text?).ok()
    }

    /// Keeps a value in place of the one that was seen, or of none. Of several callers who saw the same one succeeds; `false`:
    /// something else is there by now.
    pub async fn replace<T: Serialize>(
        &self,
        slot: &Slot<T>,
        key: &str,
        seen: Option<&T>,
        value: &T,
        now: Timestamp,
    ) -> bool {
        let seen = seen.map(serde_json::to_string).transpose();
        let (Ok(seen), Ok(text)) = (seen, serde_json::to_string(value)) else { return false };
        let (place, seen, end) = (slot.place(key), seen.as_deref(), self.end(slot, now));
        match &self.backend {
            Backend::Memory(memory) => memory.replace(place, seen, text, end, now),
            Backend::Redis(redis) => redis.replace(place, seen, text, end, now).await,
        }
    }

    /// Adds one to a counter that starts anew when its time is over. Answers the new count.
    pub async fn bump(&self, slot: &Slot<u32>, key: &str, now: Timestamp) -> u32 {
        self.add(slot, key, 1, now).await
    }

    /// Takes one back from a counter.
    pub async fn unbump(&self, slot: &Slot<u32>, key: &str, now: Timestamp) {
        self.add(slot, key, -1, now).await;
    }

    async fn add(&self, slot: &Slot<u32>, key: &str, change: i32, now: Timestamp) -> u32 {
        let (place, end) = (slot.place(key), self.end(slot, now));
        match &self.backend {
            Backend::Memory(memory) => memory.add(place, change, end, now),
            Backend::Redis(redis) => redis.add(place, change, end, now).await,
        }
    }

    fn end<T>(&self, slot: &Slot<T>, from: Timestamp) -> Timestamp {
        from.plus((slot.ttl)(&self.policy))
    }
}
