//! What was revoked, as far as this server knows. Every request asks it, [`crate::feed`] fills it, and a file keeps it over
//! a restart.

use std::{
    path::PathBuf,
    sync::{
        PoisonError, RwLock, RwLockReadGuard,
        atomic::{
            AtomicI64, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use doorward_shared::{
    issuer::Issuer,
    revocation::{Claim, Entry, Facts, RevocationSet},
    time::{Seconds, Timestamp},
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    Access, FeedLag, Maker, Settings,
    settings::{Checked, seconds},
};

/// Longest time that a request waits after the start for the first answer of the feed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// A page that came more than a minute from now came while the clock was wrong, and would be young for too long.
const FUTURE: Seconds = Seconds::new(-60);

/// The entries of the feed that are still of use.
pub(crate) struct Revocations {
    issuer: Issuer,
    audience: String,
    file: Option<PathBuf>,
    leeway: Seconds,
    max_lag: Seconds,
    on_lag: FeedLag,
    set: RwLock<RevocationSet>,
    /// How many entries there are, so that nobody takes the lock while there is none.
    held: AtomicUsize,
    /// Counts up with every page that had entries.
    news: AtomicU64,
    /// When the last good page came, in seconds since the epoch; 0 for never.
    last_page: AtomicI64,
    /// True when nobody need wait any more for the first answer after the start.
    answered: watch::Sender<bool>,
}

/// How far the feed was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Which life of the feed.
    pub(crate) epoch: String,
    /// Everything up to this number is known.
    pub(crate) sequence: i64,
    /// When the last page was made: no older one is taken.
    pub(crate) made_at: Option<Timestamp>,
}

/// The file copy.
#[derive(Serialize, Deserialize)]
struct FileCopy {
    issuer: String,
    received_at: Timestamp,
    position: Position,
    entries: Vec<Entry>,
}

impl Revocations {
    pub(crate) fn new(settings: &Settings, checked: &Checked) -> Self {
        // Keys that survive a restart without the revocations would revive what was revoked.
        let beside = || settings.key_cache_file.as_ref().map(|keys| keys.with_extension("revocations.json"));
        let followed = settings.credentials.is_some();
        Self {
            issuer: checked.reach.issuer().clone(),
            audience: checked.resource.folded().to_owned(),
            file: settings.revocations_file.clone().or_else(beside).filter(|_| followed),
            leeway: seconds(settings.leeway),
            max_lag: seconds(settings.max_feed_lag),
            on_lag: settings.on_feed_lag,
            set: RwLock::default(),
            held: AtomicUsize::new(0),
            news: AtomicU64::new(0),
            last_page: AtomicI64::new(0),
            answered: watch::Sender::new(!followed),
        }
    }

    /// Which claim of the token was revoked, if one was.
    pub(crate) fn refuses(&self, access: &Access) -> Option<Claim> {
        self.held_against(&Facts {
            iss: self.issuer.as_str(),
            aud: &self.audience,
            sub: &access.subject,
            client_id: &access.client_id,
            org: &access.organization,
            sid: &access.grant,
            jti: &access.token_id,
            kid: access.key_id.as_deref(),
            iat: access.issued_at,
        })
    }

    /// Which claim of the token that made something was revoked, if one was.
    pub(crate) fn refuses_maker(&self, maker: &Maker) -> Option<Claim> {
        self.held_against(&Facts {
            iss: self.issuer.as_str(),
            aud: &self.audience,
            sub: &maker.subject,
            client_id: &maker.client_id,
            org: &maker.organization,
            sid: &maker.grant,
            jti: &maker.token_id,
            kid: maker.key_id.as_deref(),
            iat: maker.issued_at,
        })
    }

    fn held_against(&self, facts: &Facts<'_>) -> Option<Claim> {
        if self.len() == 0 { None } else { self.read().refuses(facts) }
    }

    /// True unless the entry is about another resource server.
    pub(crate) fn concerns_us(&self, entry: &Entry) -> bool {
        entry.claim != Claim::Aud || entry.value == self.audience
    }

    /// True when a key was revoked. Nothing that it signed is good, whenever that was.
    pub(crate) fn refuses_key(&self, kid: &str) -> bool {
        // No entry has an empty value.
        let any_time = Timestamp::from_seconds(i64::MIN);
        let key = Facts {
            iss: "",
            aud: "",
            sub: "",
            client_id: "",
            org: "",
            sid: "",
            jti: "",
            kid: Some(kid),
            iat: any_time,
        };
        self.held_against(&key).is_some()
    }

    /// True unless the operator wants no token taken without news from the feed, and there was none for too long.
    pub(crate) fn are_current(&self, now: Timestamp) -> bool {
        match self.on_lag {
            FeedLag::Serve => true,
            FeedLag::Refuse => self.lag(now).is_some_and(|lag| (FUTURE..=self.max_lag).contains(&lag)),
        }
    }

    /// How long ago the last page came; `None` for never.
    pub(crate) fn lag(&self, now: Timestamp) -> Option<Seconds> {
        self.last_page().map(|last| now.since(last))
    }

    /// When the last page came.
    pub(crate) fn last_page(&self) -> Option<Timestamp> {
        let last = self.last_page.load(Relaxed);
        (last > 0).then(|| Timestamp::from_seconds(last))
    }

    /// How many entries are held.
    pub(crate) fn len(&self) -> usize {
        self.held.load(Acquire)
    }

    /// A number that changes with every page that had entries.
    pub(crate) fn news(&self) -> u64 {
        self.news.load(Acquire)
    }

    /// Waits after the start until the feed has answered or cannot be had, at most [`PATIENCE`].
    pub(crate) async fn first_answer(&self) {
        if !*self.answered.borrow() {
            let mut answered = self.answered.subscribe();
            let _ = tokio::time::timeout(PATIENCE, answered.wait_for(|answered| *answered)).await;
        }
    }

    /// Nobody need wait for the first answer any more.
    pub(crate) fn wait_no_more(&self) {
        self.answered.send_if_modified(|answered| !std::mem::replace(answered, true));
    }

    /// Takes over what a page said.
    pub(crate) fn learn(&self, entries: &[Entry], now: Timestamp) {
        if !entries.is_empty() {
            self.change(|set| entries.iter().for_each(|entry| set.insert(entry)));
            // Last: whoever sees the number also sees the entries.
            self.news.fetch_add(1, Release);
        }
        self.last_page.store(now.seconds(), Relaxed);
    }

    /// Forgets what concerns no token any more. A token is taken a little beyond its expiry, so an entry is kept as long.
    pub(crate) fn forget(&self, now: Timestamp) {
        self.change(|set| set.forget(now.minus(self.leeway)));
    }

    fn change(&self, change: impl FnOnce(&mut RevocationSet)) {
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut set);
        self.held.store(set.len(), Release);
    }

    fn read(&self) -> RwLockReadGuard<'_, RevocationSet> {
        self.set.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the file copy into use, if it is of this issuer. How far the feed was read.
    pub(crate) async fn read_file(&self, now: Timestamp) -> Position {
        let Some(path) = &self.file else { return Position::default() };
        let text = match tokio::fs::read(path).await {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Position::default(),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the copy of the revocations cannot be read");
                return Position::default();
            }
        };
        let copy = serde_json::from_slice::<FileCopy>(&text).ok();
        let Some(copy) = copy.filter(|copy| copy.issuer == self.issuer.as_str()) else {
            tracing::error!(path = %path.display(), "the copy of the revocations is of another issuer or damaged");
            return Position::default();
        };
        self.learn(&copy.entries, copy.received_at);
        self.forget(now);
        // A clock that was wrong then must not make every page of now an old one.
        let made_at = copy.position.made_at.map(|made_at| made_at.min(now));
        Position { made_at, ..copy.position }
    }

    /// Writes the file copy beside the old one and renames it, so that a crash leaves one of the two.
    pub(crate) async fn write_file(&self, position: &Position) {
        let Some(path) = &self.file else { return };
        let copy = FileCopy {
            issuer: self.issuer.as_str().to_owned(),
            received_at: self.last_page().unwrap_or(Timestamp::from_seconds(0)),
            position: position.clone(),
            entries: self.read().entries().collect(),
        };
        if let Err(error) = write(path.clone(), copy).await {
            tracing::error!(path = %path.display(), %error, "the copy of the revocations cannot be written");
        }
    }
}

/// Whole and on the disk, or not at all.
async fn write(path: PathBuf, copy: FileCopy) -> std::io::Result<()> {
    use tokio::io::AsyncWriteExt;
    let text = serde_json::to_vec(&copy)?;
    let mut beside = path.clone().into_os_string();
    beside.push(".new");
    let mut file = tokio::fs::File::create(&beside).await?;
    file.write_all(&text).await?;
    file.sync_all().await?;
    tokio::fs::rename(&beside, &path).await
}
