//! Tokens that were seen before, so that a signature is checked once per token and not once per request.
//!
//! The key is SHA-256 of the **whole** token: two tokens that differ only in their signature are two entries, and no
//! character of a token can act as a delimiter.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use doorward_shared::time::{Seconds, Timestamp};
use sha2::{Digest, Sha256};

use crate::Access;

/// The name of a token.
pub(crate) type TokenHash = [u8; 32];

const SHARDS: usize = 16;

/// A bounded memory of something about tokens; the oldest entry makes room for a new one.
pub(crate) struct Memory<V> {
    shards: [Mutex<Shard<V>>; SHARDS],
    capacity: usize,
}

struct Shard<V> {
    entries: HashMap<TokenHash, V>,
    order: VecDeque<TokenHash>,
}

pub(crate) fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

impl<V: Clone> Memory<V> {
    /// A memory of about `capacity` tokens.
    pub(crate) fn new(capacity: usize) -> Self {
        let shard = |_| Mutex::new(Shard { entries: HashMap::new(), order: VecDeque::new() });
        Self { shards: std::array::from_fn(shard), capacity: capacity.div_ceil(SHARDS) }
    }

    pub(crate) fn get(&self, token: &TokenHash) -> Option<V> {
        self.shard(token).entries.get(token).cloned()
    }

    pub(crate) fn insert(&self, token: TokenHash, value: V) {
        if self.capacity == 0 {
            return;
        }
        let mut shard = self.shard(&token);
        if shard.entries.insert(token, value).is_none() {
            shard.order.push_back(token);
        }
        if shard.order.len() > self.capacity
            && let Some(oldest) = shard.order.pop_front()
        {
            shard.entries.remove(&oldest);
        }
    }

    pub(crate) fn remove(&self, token: &TokenHash) {
        let mut shard = self.shard(token);
        if shard.entries.remove(token).is_some() {
            shard.order.retain(|one| one != token);
        }
    }

    fn shard(&self, token: &TokenHash) -> MutexGuard<'_, Shard<V>> {
        let shard = &self.shards[usize::from(token[0]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Signed tokens that were good. A hit counts only while the key set is the one that verified it and the token has not
/// expired; whether it was revoked since is asked elsewhere, every time.
pub(crate) struct VerifiedTokens(Memory<Verified>);

#[derive(Clone)]
struct Verified {
    access: Arc<Access>,
    generation: u64,
}

impl VerifiedTokens {
    /// A memory of about `capacity` tokens.
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Memory::new(capacity))
    }

    /// The access of a token that was verified with the key set `generation` and lives at `now`.
    pub(crate) fn get(
        &self,
        token: &TokenHash,
        generation: u64,
        now: Timestamp,
        leeway: Seconds,
    ) -> Option<Arc<Access>> {
        let known = self.0.get(token)?;
        let alive = known.generation == generation
            && known.access.expires_at.is_none_or(|expires_at| now < expires_at.plus(leeway));
        alive.then_some(known.access)
    }

    /// Remembers a token that was verified with the key set `generation`.
    pub(crate) fn insert(&self, token: TokenHash, generation: u64, access: Arc<Access>) {
        self.0.insert(token, Verified { access, generation });
    }
}

#[cfg(test)]
mod tests {
    use doorward_shared::scope::Scope;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1000);
    const LEEWAY: Seconds = Seconds::new(60);

    fn access() -> Arc<Access> {
        Arc::new(Access {
            subject: "u".to_owned(),
            client_id: "c".to_owned(),
            organization: "o".to_owned(),
            grant: "g".to_owned(),
            token_id: "j".to_owned(),
            key_id: Some("k".to_owned()),
            scope: Scope::default(),
            issued_at: NOW,
            expires_at: Some(NOW),
            auth_time: None,
            authorization_details: None,
            credential: None,
            api_key_last_4: None,
            rate_limit: None,
            entitled: true,
        })
    }

    #[test]
    fn tokens_that_differ_in_one_character_are_two_entries() {
        let cache = VerifiedTokens::new(100);
        cache.insert(hash("a.b.c"), 1, access());
        assert!(cache.get(&hash("a.b.c"), 1, NOW, LEEWAY).is_some());
        for other in ["a.b.d", "a.b.c ", "a.b", "a.b.c\0", "a.b.c.", "A.b.c"] {
            assert!(cache.get(&hash(other), 1, NOW, LEEWAY).is_none(), "{other:?}");
        }
    }

    #[test]
    fn a_hit_counts_only_with_the_same_keys_and_before_expiry() {
        let cache = VerifiedTokens::new(100);
        cache.insert(hash("t"), 1, access());
        assert!(cache.get(&hash("t"), 2, NOW, LEEWAY).is_none());
        assert!(cache.get(&hash("t"), 1, NOW.plus(Seconds::new(59)), LEEWAY).is_some());
        assert!(cache.get(&hash("t"), 1, NOW.plus(Seconds::new(60)), LEEWAY).is_none());
    }

    #[test]
    fn the_memory_is_bounded_and_the_oldest_makes_room() {
        let cache = VerifiedTokens::new(32);
        for i in 0..10_000 {
            cache.insert(hash(&i.to_string()), 1, access());
            cache.insert(hash(&i.to_string()), 1, access());
        }
        let held: usize = cache.0.shards.iter().map(|shard| shard.lock().unwrap().entries.len()).sum();
        assert!(held <= 32, "{held}");
        assert!(cache.get(&hash("9999"), 1, NOW, LEEWAY).is_some());
    }

    #[test]
    fn what_was_removed_makes_room_once() {
        let memory = Memory::new(SHARDS);
        for _ in 0..3 {
            memory.insert(hash("t"), 1);
            memory.remove(&hash("t"));
        }
        assert_eq!(memory.get(&hash("t")), None);
        memory.insert(hash("t"), 2);
        assert_eq!(memory.get(&hash("t")), Some(2));
    }

    #[test]
    fn without_capacity_nothing_is_remembered() {
        let cache = VerifiedTokens::new(0);
        cache.insert(hash("t"), 1, access());
        assert!(cache.get(&hash("t"), 1, NOW, LEEWAY).is_none());
    }
}
