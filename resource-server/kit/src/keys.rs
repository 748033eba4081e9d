//! The keys of the authorization server: one background task fetches them, requests only read.
//!
//! Since only that task fetches, there is never more than one fetch at a time, however many requests wait. A request waits
//! for it in two cases, and at most [`PATIENCE`]: no keys are held yet and a fetch is running, or its token names an
//! unknown key and the cool-down allows to look for it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock, atomic::Ordering::Relaxed},
    time::Duration,
};

use doorward_shared::{
    issuer::Issuer,
    jose::{
        jwk::JwkSet,
        jws::{VerifyingKey, VerifyingKeys},
    },
    time::{Clock, Seconds, Timestamp},
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    Settings,
    fetch::{self, Endpoints, Fetched, Fetcher},
    metrics::Counters,
    reach::Reach,
    settings::seconds,
};

/// Longest time that a request waits for a running fetch.
const PATIENCE: Duration = Duration::from_secs(2);
/// First pause after a failed fetch; it doubles up to one of the two limits.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause while no keys are held: people are waiting.
const LONGEST_PAUSE_EMPTY: Duration = Duration::from_secs(3);
/// Longest pause while the last good keys are in use.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// At most one fetch in this time because of a page with an unknown key.
const PAGE_COOL_DOWN: Duration = Duration::from_secs(1);

/// A key set in use.
pub(crate) struct Held {
    keys: VerifyingKeys,
    set: JwkSet,
    metadata: Arc<str>,
    endpoints: Endpoints,
    /// Changes whenever the set of keys does.
    pub(crate) generation: u64,
    /// The last time the authorization server confirmed this set.
    confirmed_at: Timestamp,
}

/// What is known about a `kid`.
pub(crate) enum Lookup {
    Found(VerifyingKey, u64),
    Unknown,
    NoKeys,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    running: bool,
    done: u64,
}

pub(crate) struct Keys {
    issuer: Issuer,
    reach: Reach,
    clock: Arc<dyn Clock>,
    metrics: Arc<Counters>,
    file: Option<PathBuf>,
    refresh_every: Duration,
    cool_down: Duration,
    max_stale: Seconds,
    held: RwLock<Option<Arc<Held>>>,
    progress: watch::Sender<Progress>,
    wake: Notify,
    searches: [Mutex<Option<Instant>>; 2],
}

/// Beginnings and ends of fetches. What happens between [`Keys::fetches`] and [`Fetches::next`] is not missed, so whoever looks
/// for something in between does not wait for it in vain.
pub(crate) struct Fetches(watch::Receiver<Progress>);

impl Fetches {
    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // Without keys there are no fetches any more.
            std::future::pending::<()>().await;
        }
    }
}

/// Who looks for a key that is not held. Each has a cool-down of its own, so that tokens of strangers cannot keep the pages
/// of the feed unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seeker {
    Token,
    Page,
}

/// The file copy: the two documents as they were sent.
#[derive(Serialize, Deserialize)]
struct FileCopy {
    issuer: String,
    confirmed_at: Timestamp,
    metadata: String,
    jwks: String,
}

impl Keys {
    pub(crate) fn new(settings: &Settings, reach: Reach, metrics: Arc<Counters>) -> Self {
        Self {
            issuer: reach.issuer().clone(),
            reach,
            clock: Arc::clone(&settings.clock),
            metrics,
            file: settings.key_cache_file.clone(),
            refresh_every: settings.refresh_every,
            cool_down: settings.cool_down,
            max_stale: seconds(settings.max_stale),
            held: RwLock::new(None),
            // Running from the start: a request that comes before the first fetch has begun waits for it too.
            progress: watch::Sender::new(Progress { running: true, done: 0 }),
            wake: Notify::new(),
            searches: Default::default(),
        }
    }

    /// The key set, if it was confirmed within `max_stale`.
    pub(crate) fn usable(&self, now: Timestamp) -> Option<Arc<Held>> {
        self.held().filter(|held| now.since(held.confirmed_at) <= self.max_stale)
    }

    /// The issuer's metadata document, as it was last sent.
    pub(crate) fn metadata(&self) -> Option<Arc<str>> {
        self.held().map(|held| Arc::clone(&held.metadata))
    }

    /// What the issuer's metadata names beside the keys; `None` while there is no metadata.
    pub(crate) fn endpoints(&self) -> Option<Endpoints> {
        self.held().map(|held| held.endpoints.clone())
    }

    /// The same, after the first fetch if that is running, at most [`PATIENCE`].
    pub(crate) async fn endpoints_soon(&self) -> Option<Endpoints> {
        let mut fetches = self.fetches();
        let known = async {
            // Nobody waits for a pause between two fetches.
            while self.endpoints().is_none() && fetches.0.borrow().running {
                fetches.next().await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, known).await;
        self.endpoints()
    }

    /// Tells of fetches from now on.
    pub(crate) fn fetches(&self) -> Fetches {
        Fetches(self.progress.subscribe())
    }

    /// Fetches as soon as possible.
    pub(crate) fn fetch_now(&self) {
        self.wake.notify_one();
    }

    /// Finds a key by its name. Returns at once when the key is held.
    pub(crate) async fn find(&self, kid: &str, seeker: Seeker, now: Timestamp) -> Lookup {
        let mut progress = self.progress.subscribe();
        let before = *progress.borrow_and_update();
        let first = self.look(kid, now);
        let wait = match first {
            Lookup::Found(..) => false,
            Lookup::Unknown => before.running || self.begin_search(seeker),
            Lookup::NoKeys => before.running,
        };
        if !wait {
            return first;
        }
        let finished = progress.wait_for(|progress| progress.done > before.done);
        let _ = tokio::time::timeout(PATIENCE, finished).await;
        self.look(kid, now)
    }

    fn look(&self, kid: &str, now: Timestamp) -> Lookup {
        let Some(held) = self.usable(now) else { return Lookup::NoKeys };
        match held.keys.get(kid) {
            Some(key) => Lookup::Found(key.clone(), held.generation),
            None => Lookup::Unknown,
        }
    }

    /// Wakes the task because of an unknown key, unless it was woken for one within the cool-down.
    fn begin_search(&self, seeker: Seeker) -> bool {
        let cool_down = match seeker {
            Seeker::Token => self.cool_down,
            Seeker::Page => self.cool_down.min(PAGE_COOL_DOWN),
        };
        let mut last = self.searches[seeker as usize].lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < cool_down) {
            return false;
        }
        *last = Some(Instant::now());
        self.wake.notify_one();
        true
    }

    /// The background task.
    pub(crate) async fn refresh_forever(self: Arc<Self>, fetcher: Fetcher) {
        let mut failures: u32 = 0;
        loop {
            self.progress.send_modify(|progress| progress.running = true);
            let outcome = fetcher.fetch().await;
            Counters::count(&self.metrics.fetches);
            let pause = match outcome {
                Ok(news) => {
                    if failures > 0 {
                        tracing::info!(issuer = %self.issuer, "the authorization server answers again");
                    }
                    failures = 0;
                    self.learn(news).await;
                    self.refresh_every
                }
                Err(error) => {
                    Counters::count(&self.metrics.failed_fetches);
                    // Once per outage: an authorization server that is away for a day must not fill the log.
                    if failures == 0 {
                        tracing::warn!(issuer = %self.issuer, %error, "no new keys; the last good ones stay in use");
                    }
                    failures = failures.saturating_add(1);
                    self.pause(failures)
                }
            };
            self.progress.send_modify(|progress| {
                progress.running = false;
                progress.done += 1;
            });
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    async fn learn(&self, news: Fetched) {
        let now = self.clock.now();
        if let Some(date) = news.date {
            let offset = date.saturating_sub(now.seconds());
            self.metrics.clock_offset.store(offset, Relaxed);
            if offset.abs() > 60 {
                tracing::warn!(offset, "the clock of the authorization server is ahead by so many seconds");
            }
        }
        self.metrics.last_contact.store(now.seconds(), Relaxed);
        let copy = FileCopy {
            issuer: self.issuer.as_str().to_owned(),
            confirmed_at: now,
            metadata: news.metadata,
            jwks: news.jwks,
        };
        self.hold(news.keys, &copy.metadata, news.endpoints, now);
        self.write_file(&copy).await;
    }

    fn hold(&self, set: JwkSet, metadata: &str, endpoints: Endpoints, confirmed_at: Timestamp) {
        let previous = self.held();
        let generation = match &previous {
            Some(previous) if previous.set == set => previous.generation,
            Some(previous) => previous.generation + 1,
            None => 1,
        };
        let held = Held {
            keys: VerifyingKeys::from(&set),
            set,
            metadata: metadata.into(),
            endpoints,
            generation,
            confirmed_at,
        };
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(held));
    }

    fn held(&self) -> Option<Arc<Held>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the file copy into use, if it is of this issuer.
    pub(crate) async fn read_file(&self) {
        let Some(path) = &self.file else { return };
        let text = match tokio::fs::read(path).await {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                return tracing::warn!(path = %path.display(), %error, "the copy of the keys cannot be read");
            }
        };
        let now = self.clock.now();
        let copy = serde_json::from_slice::<FileCopy>(&text).ok().filter(|copy| {
            // An old copy may be held: `usable` decides. One from the future would be young for too long.
            copy.issuer == self.issuer.as_str() && now.since(copy.confirmed_at) >= Seconds::new(-60)
        });
        let keys_of = |copy: &FileCopy| {
            let (_, endpoints) = fetch::read_metadata(&copy.metadata, &self.reach).ok()?;
            Some((fetch::parse_keys(&copy.jwks).ok()?, endpoints))
        };
        match copy.and_then(|copy| Some((keys_of(&copy)?, copy))) {
            Some(((keys, endpoints), copy)) => self.hold(keys, &copy.metadata, endpoints, copy.confirmed_at),
            None => {
                tracing::warn!(path = %path.display(), "the copy of the keys is of another issuer, from the future or damaged");
            }
        }
    }

    /// Writes the file copy beside the old one and renames it, so that a crash leaves one of the two.
    async fn write_file(&self, copy: &FileCopy) {
        let Some(path) = &self.file else { return };
        let beside = path.with_extension("new");
        let written = async {
            tokio::fs::write(&beside, serde_json::to_vec(copy)?).await?;
            tokio::fs::rename(&beside, path).await
        };
        if let Err(error) = written.await {
            tracing::warn!(path = %path.display(), %error, "the copy of the keys cannot be written");
        }
    }

    /// The pause after the `failures`-th failure in a row.
    fn pause(&self, failures: u32) -> Duration {
        let empty = self.usable(self.clock.now()).is_none();
        let longest = if empty { LONGEST_PAUSE_EMPTY } else { LONGEST_PAUSE };
        FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use doorward_shared::time::FixedClock;

    use super::*;

    #[test]
    fn pauses_double_and_stay_within_three_seconds_while_nothing_is_held() {
        let clock = Arc::new(FixedClock::at(Timestamp::from_seconds(1_800_000_000)));
        let settings =
            Settings { clock: clock.clone(), ..Settings::new("https://mcp.test", "https://as.test") };
        let reach = Reach::new(Issuer::parse("https://as.test").unwrap(), None).unwrap();
        let keys = Keys::new(&settings, reach, Arc::default());
        let pauses = || (1..9).map(|n| keys.pause(n).as_millis()).collect::<Vec<_>>();
        assert_eq!(pauses(), [250, 500, 1000, 2000, 3000, 3000, 3000, 3000]);
        keys.hold(JwkSet::default(), "{}", Endpoints::default(), clock.now());
        assert_eq!(pauses(), [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000]);
        assert_eq!(keys.pause(u32::MAX), LONGEST_PAUSE);
        clock.advance(Seconds::hours(25));
        assert_eq!(keys.pause(u32::MAX), LONGEST_PAUSE_EMPTY);
    }
}
