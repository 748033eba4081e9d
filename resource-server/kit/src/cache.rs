//! Tokens that were verified before, so that a signature is checked once per token and not once per request.
//!
//! The key is SHA-256 of the **whole** token: two tokens that differ only in their signature are two entries, and no
//! character of a token can act as a delimiter. Only good tokens are kept. A hit counts only while the key set is the one
//! that verified it and the token has not expired.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use doorward_shared::time::{Seconds, Timestamp};
use sha2::{Digest, Sha256};

use crate::Access;

/// The name of a token.
pub(crate) type TokenHash = [u8; 32];

const SHARDS: usize = 16;

/// A bounded memory of verified tokens; the oldest entry makes room for a new one.
pub(crate) struct VerifiedTokens {
    shards: [Mutex<Shard>; SHARDS],
    capacity: usize,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<TokenHash, Entry>,
    order: VecDeque<TokenHash>,
}

struct Entry {
    access: Arc<Access>,
    generation: u64,
}

pub(crate) fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

impl VerifiedTokens {
    /// A memory of about `capacity` tokens.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { shards: Default::default(), capacity: capacity.div_ceil(SHARDS) }
    }

    /// The access of a token that was verified with the key set `generation` and lives at `now`.
    pub(crate) fn get(
        &self,
        token: &TokenHash,
        generation: u64,
        now: Timestamp,
        leeway: Seconds,
    ) -> Option<Arc<Access>> {
        let shard = self.shard(token);
        let entry = shard.entries.get(token)?;
        let alive = entry.generation == generation && now < entry.access.expires_at.plus(leeway);
        alive.then(|| Arc::clone(&entry.access))
    }

    /// Remembers a token that was verified with the key set `generation`.
    pub(crate) fn insert(&self, token: TokenHash, generation: u64, access: Arc<Access>) {
        if self.capacity == 0 {
            return;
        }
        let mut shard = self.shard(&token);
        if shard.entries.insert(token, Entry { access, generation }).is_none() {
            shard.order.push_back(token);
        }
        if shard.order.len() > self.capacity
            && let Some(oldest) = shard.order.pop_front()
        {
            shard.entries.remove(&oldest);
        }
    }

    fn shard(&self, token: &TokenHash) -> std::sync::MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(token[0]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
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
            scope: Scope::default(),
            expires_at: NOW,
            auth_time: None,
            authorization_details: None,
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
        let held: usize = cache.shards.iter().map(|shard| shard.lock().unwrap().entries.len()).sum();
        assert!(held <= 32, "{held}");
        assert!(cache.get(&hash("9999"), 1, NOW, LEEWAY).is_some());
    }

    #[test]
    fn without_capacity_nothing_is_remembered() {
        let cache = VerifiedTokens::new(0);
        cache.insert(hash("t"), 1, access());
        assert!(cache.get(&hash("t"), 1, NOW, LEEWAY).is_none());
    }
}
