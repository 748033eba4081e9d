//! The memory of this process: bounded, and cleaned as it is used.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use doorward_shared::time::Timestamp;

/// Most values at once. A flood pushes out what would have expired first.
const CAPACITY: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    values: HashMap<String, (String, Timestamp)>,
    by_expiry: BTreeSet<(Timestamp, String)>,
}

impl Shelf {
    fn remove(&mut self, key: &str) -> Option<(String, Timestamp)> {
        let (value, expires_at) = self.values.remove(key)?;
        self.by_expiry.remove(&(expires_at, key.to_owned()));
        Some((value, expires_at))
    }

    fn insert(&mut self, key: String, value: String, expires_at: Timestamp, now: Timestamp) {
        self.remove(&key);
        while let Some((first, _)) = self.by_expiry.first() {
            if *first > now && self.values.len() < CAPACITY {
                break;
            }
            if let Some((_, oldest)) = self.by_expiry.pop_first() {
                self.values.remove(&oldest);
            }
        }
        self.by_expiry.insert((expires_at, key.clone()));
        self.values.insert(key, (value, expires_at));
    }
}

impl Memory {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // No code between lock and unlock can leave a half-made change that matters: everything here may be lost.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, key: String, value: String, expires_at: Timestamp, now: Timestamp) {
        self.shelf().insert(key, value, expires_at, now);
    }

    pub(super) fn get(&self, key: &str, now: Timestamp) -> Option<String> {
        let shelf = self.shelf();
        shelf.values.get(key).filter(|(_, expires_at)| *expires_at > now).map(|(value, _)| value.clone())
    }

    pub(super) fn take(&self, key: &str, now: Timestamp) -> Option<String> {
        let (value, expires_at) = self.shelf().remove(key)?;
        (expires_at > now).then_some(value)
    }

    pub(super) fn bump(&self, key: String, expires_at: Timestamp, now: Timestamp) -> u32 {
        let mut shelf = self.shelf();
        let old = shelf.remove(&key).filter(|(_, expires_at)| *expires_at > now);
        let (count, expires_at) =
            old.map_or((0, expires_at), |(text, until)| (text.parse().unwrap_or(0), until));
        let count: u32 = u32::saturating_add(count, 1);
        shelf.insert(key, count.to_string(), expires_at, now);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(100);
    const SOON: Timestamp = Timestamp::from_seconds(110);
    const LATER: Timestamp = Timestamp::from_seconds(111);

    #[test]
    fn a_value_lasts_until_its_time_and_is_taken_once() {
        let memory = Memory::default();
        memory.put("k".into(), "v".into(), SOON, NOW);
        assert_eq!(memory.get("k", NOW).as_deref(), Some("v"));
        assert_eq!(memory.get("k", SOON), None);
        assert_eq!(memory.take("k", NOW).as_deref(), Some("v"));
        assert_eq!(memory.take("k", NOW), None);
    }

    #[test]
    fn a_counter_starts_anew_when_its_window_is_over() {
        let memory = Memory::default();
        assert_eq!(memory.bump("c".into(), SOON, NOW), 1);
        assert_eq!(memory.bump("c".into(), LATER, NOW), 2);
        assert_eq!(memory.bump("c".into(), LATER, SOON), 1);
    }

    #[test]
    fn a_flood_pushes_out_the_oldest_and_never_grows_beyond_the_bound() {
        let memory = Memory::default();
        for i in 0..CAPACITY + 10 {
            let expires_at = Timestamp::from_seconds(1000 + i64::try_from(i).unwrap());
            memory.put(format!("k{i}"), String::new(), expires_at, NOW);
        }
        assert_eq!(memory.shelf().values.len(), CAPACITY);
        assert_eq!(memory.shelf().by_expiry.len(), CAPACITY);
        assert_eq!(memory.get("k0", NOW), None);
        assert!(memory.get(&format!("k{}", CAPACITY + 9), NOW).is_some());
    }
}
