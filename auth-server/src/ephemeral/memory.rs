//! The memory of this process: a shelf for each kind, each bounded in bytes.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use doorward_shared::time::Timestamp;

use super::Place;

/// What an entry costs beside its key (held twice) and its value, roughly.
const OVERHEAD: usize = 200;

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<&'static str, Shelf>>);

#[derive(Debug, Default)]
struct Shelf {
    values: HashMap<String, (String, Timestamp)>,
    by_expiry: BTreeSet<(Timestamp, String)>,
    bytes: usize,
}

fn weight(key: &str, value: &str) -> usize {
    2 * key.len() + value.len() + OVERHEAD
}

impl Shelf {
    fn remove(&mut self, key: &str) -> Option<(String, Timestamp)> {
        let (value, expires_at) = self.values.remove(key)?;
        self.by_expiry.remove(&(expires_at, key.to_owned()));
        self.bytes -= weight(key, &value);
        Some((value, expires_at))
    }

    /// What expires first makes room, and with it all that has expired already.
    fn insert(&mut self, room: usize, key: &str, value: String, expires_at: Timestamp) {
        self.remove(key);
        let needed = weight(key, &value);
        while self.bytes + needed > room {
            let Some((_, first)) = self.by_expiry.first().cloned() else { return };
            self.remove(&first);
        }
        self.bytes += needed;
        self.by_expiry.insert((expires_at, key.to_owned()));
        self.values.insert(key.to_owned(), (value, expires_at));
    }

    /// Forgets a few entries that are over, so that a shelf that was full once does not stay so.
    fn tidy(&mut self, now: Timestamp) {
        for _ in 0..4 {
            match self.by_expiry.first().cloned() {
                Some((expires_at, key)) if expires_at <= now => self.remove(&key),
                _ => return,
            };
        }
    }
}

impl Memory {
    fn shelves(&self) -> MutexGuard<'_, HashMap<&'static str, Shelf>> {
        // No code between lock and unlock can leave a half-made change that matters: everything here may be lost.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, place: Place<'_>, value: String, expires_at: Timestamp) {
        self.shelves().entry(place.slot).or_default().insert(place.room, place.key, value, expires_at);
    }

    pub(super) fn get(&self, place: Place<'_>, now: Timestamp) -> Option<String> {
        let shelves = self.shelves();
        let (value, expires_at) = shelves.get(place.slot)?.values.get(place.key)?;
        (*expires_at > now).then(|| value.clone())
    }

    pub(super) fn take(&self, place: Place<'_>, now: Timestamp) -> Option<String> {
        let (value, expires_at) = self.shelves().get_mut(place.slot)?.remove(place.key)?;
        (expires_at > now).then_some(value)
    }

    /// Keeps a value if what is there is what was seen.
    pub(super) fn replace(
        &self,
        place: Place<'_>,
        seen: Option<&str>,
        value: String,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> bool {
        let mut shelves = self.shelves();
        let shelf = shelves.entry(place.slot).or_default();
        let there = shelf.values.get(place.key).filter(|(_, expires_at)| *expires_at > now);
        let as_seen = there.map(|(value, _)| value.as_str()) == seen;
        if as_seen {
            shelf.insert(place.room, place.key, value, expires_at);
        }
        as_seen
    }

    /// Adds to a counter and answers what it is then. A counter that runs keeps its end, unless the clock was set back
    /// since: no window lasts longer from now on than a new one.
    pub(super) fn add(&self, place: Place<'_>, change: i32, expires_at: Timestamp, now: Timestamp) -> u32 {
        let mut shelves = self.shelves();
        let shelf = shelves.entry(place.slot).or_default();
        shelf.tidy(now);
        let running = shelf.remove(place.key).filter(|(_, expires_at)| *expires_at > now);
        let (count, expires_at) =
            running.map_or((0, expires_at), |(text, end)| (text.parse().unwrap_or(0), end.min(expires_at)));
        let count = u32::saturating_add_signed(count, change);
        shelf.insert(place.room, place.key, count.to_string(), expires_at);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 10_000;

    fn place<'a>(slot: &'static str, key: &'a str) -> Place<'a> {
        Place { slot, room: ROOM, key }
    }

    #[test]
    fn a_flood_of_one_kind_pushes_out_its_own_oldest_and_nothing_of_another_kind() {
        let memory = Memory::default();
        memory.put(place("brakes", "victim"), "1".into(), Timestamp::from_seconds(110));
        for i in 0..1000 {
            let key = format!("k{i}");
            memory.put(place("requests", &key), "x".repeat(100), Timestamp::from_seconds(1000 + i));
        }
        let shelves = memory.shelves();
        let flooded = &shelves["requests"];
        assert!(flooded.bytes <= ROOM);
        assert_eq!(flooded.values.len(), flooded.by_expiry.len());
        assert!(flooded.values.contains_key("k999") && !flooded.values.contains_key("k0"));
        assert!(shelves["brakes"].values.contains_key("victim"));
    }

    #[test]
    fn what_is_larger_than_the_shelf_is_not_kept() {
        let memory = Memory::default();
        memory.put(place("s", "k"), "x".repeat(ROOM), Timestamp::from_seconds(110));
        assert_eq!(memory.get(place("s", "k"), Timestamp::from_seconds(100)), None);
    }
}
