//! What may be lost: requests that wait for a person, and counters. Losing any of it costs somebody a retry and nothing
//! else; whatever safety depends on is in the store.

mod memory;

use std::{marker::PhantomData, sync::Arc};

use doorward_shared::time::{Seconds, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::memory::Memory;
use crate::domain::{policy::Policy, throttle::Failures};

/// A key space: what it is called, what it holds, how long a value lasts, and how much room there is. Each has its own
/// shelf, so that a flood of one kind pushes out nothing of another.
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
    Slot::new("pending requests", |policy| policy.session.pending_request, 256 * MIB);
/// Requests that began to wait, by network.
pub const PENDING_REQUESTS_OF_NETWORK: Slot<u32> =
    Slot::new("pending requests of a network", |policy| policy.session.pending_request, 8 * MIB);
/// Failed sign-ins in a row, by account and network.
pub const SIGN_IN_FAILURES: Slot<Failures> = Slot::new("sign-in failures", |_| Seconds::hours(1), 16 * MIB);
/// Failed sign-ins by network, over all accounts.
pub const SIGN_IN_FAILURES_OF_NETWORK: Slot<u32> =
    Slot::new("sign-in failures of a network", |_| Seconds::minutes(1), 8 * MIB);
/// Failed token requests by network.
pub const TOKEN_FAILURES: Slot<u32> = Slot::new("token failures", |_| Seconds::minutes(1), 8 * MIB);
/// Registrations by network.
pub const REGISTRATIONS: Slot<u32> = Slot::new("registrations", |_| Seconds::hours(1), 8 * MIB);

/// The place for what may be lost.
pub struct Ephemeral {
    backend: Memory,
    policy: Arc<Policy>,
}

impl std::fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ephemeral")
    }
}

#[expect(
    clippy::unused_async,
    reason = "the verbs are those of every backend; memory alone has nothing to wait for"
)]
impl Ephemeral {
    /// Keeps everything in the memory of this process.
    pub fn in_memory(policy: Arc<Policy>) -> Self {
        Self { backend: Memory::default(), policy }
    }

    /// Keeps a value for the slot's time, counted from `from`, replacing the one that was there.
    pub async fn put<T: Serialize>(&self, slot: &Slot<T>, key: &str, value: &T, from: Timestamp) {
        // Plain data always serialises; a value that did not would be one that was lost, which is allowed here.
        if let Ok(text) = serde_json::to_string(value) {
            self.backend.put(slot.name, slot.room, key, text, self.end(slot, from));
        }
    }

    /// The value, if it is still there.
    pub async fn get<T: DeserializeOwned>(&self, slot: &Slot<T>, key: &str, now: Timestamp) -> Option<T> {
        serde_json::from_str(&self.backend.get(slot.name, key, now)?).ok()
    }

    /// Takes the value out; of several callers one gets it.
    pub async fn take<T: DeserializeOwned>(&self, slot: &Slot<T>, key: &str, now: Timestamp) -> Option<T> {
        serde_json::from_str(&self.backend.take(slot.name, key, now)?).ok()
    }

    /// Adds one to a counter that starts anew when its time is over. Answers the new count.
    pub async fn bump(&self, slot: &Slot<u32>, key: &str, now: Timestamp) -> u32 {
        self.backend.add(slot.name, slot.room, key, 1, self.end(slot, now), now)
    }

    /// Takes one back from a counter.
    pub async fn unbump(&self, slot: &Slot<u32>, key: &str, now: Timestamp) {
        self.backend.add(slot.name, slot.room, key, -1, self.end(slot, now), now);
    }

    fn end<T>(&self, slot: &Slot<T>, from: Timestamp) -> Timestamp {
        from.plus((slot.ttl)(&self.policy))
    }
}
