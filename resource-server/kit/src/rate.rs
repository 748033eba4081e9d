//! How often an API key may be used, and how often strangers may make the authorization server be asked.

use std::{
    collections::HashMap,
    mem,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};

use doorward_shared::time::{Seconds, Timestamp};

use crate::{Access, Refusal, ResourceServer, metrics::Counters};

/// How many API keys are kept count of at the least. Those that were not used for longest are forgotten, and begin anew.
const KEYS: usize = 10_000;
/// Tokens that were never seen and turn out to be no good: so many at once, and so many a minute from then on.
const GUESSES: Rate = Rate { burst: 500, a_minute: NonZeroU32::new(6_000).unwrap() };
/// What one request takes out of a bucket: a second fills in as many of these parts as requests are allowed in a minute.
const PARTS: u64 = 60;

/// How often something may happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    burst: u32,
    a_minute: NonZeroU32,
}

impl Rate {
    /// So many a minute, all of them at once at most.
    const fn of_key(a_minute: NonZeroU32) -> Self {
        Self { burst: a_minute.get(), a_minute }
    }

    fn full(self) -> u64 {
        u64::from(self.burst) * PARTS
    }
}

/// What is left of a rate: a bucket that fills evenly and never beyond the burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    parts: u64,
    at: Timestamp,
}

impl Bucket {
    /// One that nothing was taken from.
    fn full(rate: Rate, now: Timestamp) -> Self {
        Self { parts: rate.full(), at: now }
    }

    /// What is in it now. A clock that goes back fills nothing.
    fn filled(self, rate: Rate, now: Timestamp) -> Self {
        let passed = u64::try_from(now.since(self.at).get()).unwrap_or(0);
        let parts = passed.saturating_mul(u64::from(rate.a_minute.get())).saturating_add(self.parts);
        Self { parts: parts.min(rate.full()), at: now.max(self.at) }
    }

    /// Takes one request out. The error is when the next one will be in it, at least a second.
    fn take(self, rate: Rate, now: Timestamp) -> Result<Self, Seconds> {
        let filled = self.filled(rate, now);
        if let Some(parts) = filled.parts.checked_sub(PARTS) {
            return Ok(Self { parts, ..filled });
        }
        let missing = (PARTS - filled.parts).div_ceil(u64::from(rate.a_minute.get()));
        // It fills from the latest moment that was seen, which a clock that went back has yet to reach.
        let ahead = filled.at.since(now).get().max(0);
        Err(Seconds::new(i64::try_from(missing).unwrap_or(i64::MAX).saturating_add(ahead)))
    }

    /// Puts back one request that was taken out and does not count.
    fn put_back(self, rate: Rate) -> Self {
        Self { parts: self.parts.saturating_add(PARTS).min(rate.full()), ..self }
    }
}

/// Which key was used too often. What of it may be shown to whoever presents it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimited {
    /// The identifier of the key.
    pub key: String,
    /// The name that its owner gave to it.
    pub credential: Option<String>,
    /// How many requests a minute it may make.
    pub limit: NonZeroU32,
    /// In how many seconds the next one is let in.
    pub retry_after: Seconds,
    /// When that is.
    pub until: Timestamp,
}

/// The counts of this process. They are lost with it, and no other process knows of them.
pub(crate) struct Rates {
    keys: Mutex<Generations>,
    guesses: Mutex<Option<Bucket>>,
}

/// The keys that were used of late, and those before them: bounded, and the ones that were not used for longest go first.
#[derive(Default)]
struct Generations {
    young: HashMap<String, Bucket>,
    old: HashMap<String, Bucket>,
}

impl Generations {
    fn get(&self, key: &str) -> Option<Bucket> {
        self.young.get(key).or_else(|| self.old.get(key)).copied()
    }

    fn set(&mut self, key: &str, bucket: Bucket) {
        if self.young.len() >= KEYS && !self.young.contains_key(key) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key.to_owned(), bucket);
    }
}

impl Rates {
    pub(crate) fn new() -> Self {
        Self { keys: Mutex::default(), guesses: Mutex::new(None) }
    }

    fn take(&self, key: &str, rate: Rate, now: Timestamp) -> Result<(), Seconds> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = keys.get(key).unwrap_or_else(|| Bucket::full(rate, now)).take(rate, now)?;
        keys.set(key, bucket);
        Ok(())
    }

    /// May the authorization server be asked about a token that was never seen? Whoever asks has to say if it was
    /// [no guess](Self::was_no_guess).
    pub(crate) fn may_ask_about_stranger(&self, now: Timestamp) -> bool {
        let mut guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        let left = guesses.unwrap_or_else(|| Bucket::full(GUESSES, now)).take(GUESSES, now);
        left.map(|left| *guesses = Some(left)).is_ok()
    }

    /// The token was good, or nobody knows.
    pub(crate) fn was_no_guess(&self) {
        let mut guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        *guesses = guesses.map(|left| left.put_back(GUESSES));
    }
}

impl ResourceServer {
    /// Counts one request of a key that has a limit.
    pub(crate) fn within_rate(&self, access: Arc<Access>, now: Timestamp) -> Result<Arc<Access>, Refusal> {
        let Some(limit) = access.rate_limit else { return Ok(access) };
        match self.rates.take(&access.grant, Rate::of_key(limit), now) {
            Ok(()) => Ok(access),
            Err(retry_after) => {
                Counters::count(&self.metrics.rate_limited);
                Err(Refusal::RateLimited(Arc::new(RateLimited {
                    key: access.grant.clone(),
                    credential: access.credential.clone(),
                    limit,
                    retry_after,
                    until: now.plus(retry_after),
                })))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(a_minute: u32) -> Rate {
        Rate::of_key(NonZeroU32::new(a_minute).unwrap())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + seconds)
    }

    #[test]
    fn a_minutes_worth_may_come_at_once_and_then_one_by_one() {
        let rates = Rates::new();
        let take = |seconds| rates.take("key_1", rate(4), at(seconds)).map_err(Seconds::get);
        for _ in 0..4 {
            assert_eq!(take(0), Ok(()));
        }
        assert_eq!(take(0), Err(15));
        assert_eq!(take(14), Err(1));
        assert_eq!(take(15), Ok(()));
        assert_eq!(take(15), Err(15), "who is refused pays nothing for it");
        assert_eq!(rates.take("key_2", rate(4), at(15)), Ok(()), "another key");
        for _ in 0..4 {
            assert_eq!(take(1_000), Ok(()));
        }
        assert_eq!(take(1_000), Err(15), "rest is not saved up");
    }

    #[test]
    fn a_limit_that_was_lowered_holds_at_once() {
        let rates = Rates::new();
        rates.take("key_1", rate(600), at(0)).unwrap();
        rates.take("key_1", rate(1), at(0)).unwrap();
        assert_eq!(rates.take("key_1", rate(1), at(0)).map_err(Seconds::get), Err(60));
    }

    #[test]
    fn the_table_is_bounded_and_keys_in_use_stay_in_it() {
        let rates = Rates::new();
        for i in 0..5 * KEYS {
            rates.take(&format!("key_{i}"), rate(1), at(0)).unwrap();
            if i % 1_000 == 0 {
                let used = rates.take("key_in_use", rate(1_000), at(0));
                assert_eq!(used, Ok(()));
            }
        }
        let keys = rates.keys.lock().unwrap();
        assert!(keys.young.len() + keys.old.len() <= 2 * KEYS);
        let times = 5 * u64::try_from(KEYS).unwrap() / 1_000;
        assert_eq!(keys.get("key_in_use").unwrap().parts, (1_000 - times) * PARTS);
    }

    proptest! {
        /// Whatever comes when: in no stretch of time are more let in than the burst and what was filled in meanwhile, and
        /// whoever waits as long as the answer says is let in.
        #[test]
        fn no_more_than_the_rate_is_let_in(
            a_minute in 1_u32..200,
            pauses in proptest::collection::vec(-3_i64..40, 1..200),
        ) {
            let rate = rate(a_minute);
            let (mut bucket, mut now, mut start, mut latest) = (Bucket::full(rate, at(0)), 0, 0, 0);
            let mut admitted = 0_i64;
            for pause in pauses {
                now += pause;
                start = start.min(now);
                latest = latest.max(now);
                match bucket.take(rate, at(now)) {
                    Ok(left) => {
                        bucket = left;
                        admitted += 1;
                    }
                    Err(wait) => {
                        prop_assert!(wait.get() >= 1 && wait.get() <= 60 + latest - start);
                        prop_assert!(bucket.take(rate, at(now + wait.get())).is_ok());
                    }
                }
                let most = i64::from(a_minute) + (latest - start) * i64::from(a_minute) / 60 + 1;
                prop_assert!(admitted <= most, "{admitted} of {most}");
            }
        }
    }
}
