//! What may be lost: requests that wait for a person, and counters. Losing any of it costs somebody a retry and nothing
//! else; whatever safety depends on is in the store.

mod memory;

use std::{marker::PhantomData, sync::Arc};

use doorward_shared::time::{Clock, Seconds, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::memory::Memory;
use crate::domain::{policy::Policy, throttle::Failures};

/// A key space: what it is called, what it holds, how long a value lasts.
#[derive(Debug)]
pub struct Slot<T> {
    prefix: &'static str,
    ttl: fn(&Policy) -> Seconds,
    holds: PhantomData<fn() -> T>,
}

impl<T> Slot<T> {
    const fn new(prefix: &'static str, ttl: fn(&Policy) -> Seconds) -> Self {
        Self { prefix, ttl, holds: PhantomData }
    }

    fn key(&self, key: &str) -> String {
        format!("{}:{key}", self.prefix)
    }
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

/// Requests that wait, by their identifier.
pub const PENDING_REQUESTS: Slot<PendingRequest> =
    Slot::new("pending", |policy| policy.session.pending_request);
/// Failed sign-ins in a row, by account and network.
pub const SIGN_IN_FAILURES: Slot<Failures> = Slot::new("failures", |_| Seconds::hours(1));
/// Failed sign-ins by network, over all accounts.
pub const SIGN_IN_FAILURES_OF_NETWORK: Slot<u32> = Slot::new("failures-network", |_| Seconds::minutes(1));
/// Failed token requests by network.
pub const TOKEN_FAILURES: Slot<u32> = Slot::new("token-failures", |_| Seconds::minutes(1));
/// Registrations by network.
pub const REGISTRATIONS: Slot<u32> = Slot::new("registrations", |_| Seconds::hours(1));

/// The place for what may be lost.
pub struct Ephemeral {
    backend: Memory,
    policy: Arc<Policy>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ephemeral")
    }
}

impl Ephemeral {
    /// Keeps everything in the memory of this process.
    pub fn in_memory(policy: Arc<Policy>, clock: Arc<dyn Clock>) -> Self {
        Self { backend: Memory::default(), policy, clock }
    }

    /// Keeps a value, replacing the one that was there.
    pub fn put<T: Serialize>(&self, slot: &Slot<T>, key: &str, value: &T) {
        // Plain data always serialises; a value that did not would be one that was lost, which is allowed here.
        if let Ok(text) = serde_json::to_string(value) {
            let now = self.clock.now();
            self.backend.put(slot.key(key), text, now.plus((slot.ttl)(&self.policy)), now);
        }
    }

    /// The value, if it is still there.
    pub fn get<T: DeserializeOwned>(&self, slot: &Slot<T>, key: &str) -> Option<T> {
        serde_json::from_str(&self.backend.get(&slot.key(key), self.clock.now())?).ok()
    }

    /// Takes the value out; of several callers one gets it.
    pub fn take<T: DeserializeOwned>(&self, slot: &Slot<T>, key: &str) -> Option<T> {
        serde_json::from_str(&self.backend.take(&slot.key(key), self.clock.now())?).ok()
    }

    /// Adds one to a counter that starts anew when its time is over. Answers the new count.
    pub fn bump(&self, slot: &Slot<u32>, key: &str) -> u32 {
        let now = self.clock.now();
        self.backend.bump(slot.key(key), now.plus((slot.ttl)(&self.policy)), now)
    }

    /// How far a counter is.
    pub fn count(&self, slot: &Slot<u32>, key: &str) -> u32 {
        self.get(slot, key).unwrap_or_default()
    }
}
