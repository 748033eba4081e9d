//! The revocation feed: every replica follows the counters of the store, and resource servers wait here for what is new.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use doorward_shared::{
    error::{ErrorCode, OAuthError},
    revocation::{MAX_ENTRIES, Page, TYPE},
    time::Timestamp,
    token::PresentedClient,
};
use tokio::sync::{Mutex, watch};

use super::{
    Context, Peer, random_hex, resource_servers, signing, signing_keys,
    token::authenticate::{self, Refused},
};
use crate::{
    domain::revocation,
    store::{Heads, Result, Store},
};

/// The longest time that a resource server waits for something new.
pub const LONGEST_WAIT: Duration = Duration::from_secs(25);
/// How often the counters are looked at when nothing tells of a change: what another process of this machine wrote is told
/// to resource servers within this time.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Resource servers that wait at once; whoever comes on top is answered at once.
const MOST_WAITING: usize = 4096;
/// Pages that are kept for others who ask the same.
const MOST_PAGES: usize = 32;

/// What this replica knows of the feed.
pub struct Feed {
    epoch: String,
    heads: watch::Sender<Heads>,
    open: watch::Sender<bool>,
    waiting: AtomicUsize,
    pages: Mutex<Vec<Ready>>,
}

/// A page, signed and ready.
struct Ready {
    after: i64,
    head: i64,
    made_at: Timestamp,
    page: Arc<str>,
}

impl Feed {
    /// Takes up the feed where the store has it.
    pub async fn open(store: &dyn Store, entropy: &dyn doorward_shared::secret::Entropy) -> Result<Self> {
        let epoch = store.settle("feed_epoch", &random_hex(entropy)).await?;
        let heads = watch::Sender::new(store.heads().await?);
        let (open, waiting) = (watch::Sender::new(true), AtomicUsize::new(0));
        Ok(Self { epoch, heads, open, waiting, pages: Mutex::default() })
    }

    /// The name of this life of the feed.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// How far everything is, as far as this replica knows.
    pub fn heads(&self) -> watch::Receiver<Heads> {
        self.heads.subscribe()
    }

    /// Answers everybody who waits, because this replica stops.
    pub fn close(&self) {
        self.open.send_replace(false);
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Feed({:?})", *self.heads.borrow())
    }
}

/// Follows the counters of the store until the process ends.
pub async fn follow(ctx: &Context) {
    let (mut away, mut strange) = (false, false);
    loop {
        match ctx.store.heads().await {
            Ok(heads) => {
                if away {
                    tracing::info!("the database answers again");
                }
                away = false;
                // First, so that whoever is woken finds the keys in place that sign from now on.
                let followed = signing_keys::follow(ctx, heads.signing_keys).await;
                if let Err(error) = &followed
                    && !strange
                {
                    tracing::error!(%error, "the signing keys of the database cannot be used; in a minute nothing is signed any more");
                }
                strange = followed.is_err();
                ctx.feed.heads.send_if_modified(|known| std::mem::replace(known, heads) != heads);
            }
            Err(error) => {
                if !away {
                    tracing::warn!(%error, "the database does not answer; resource servers learn of revocations when it is back");
                }
                away = true;
            }
        }
        // Lost nudges cost a quarter of a second, never a revocation.
        let _ = tokio::time::timeout(LOOK_EVERY, ctx.store.nudged()).await;
    }
}

/// Answers a resource server with what came after this number, as soon as there is something, or after `wait`.
pub async fn read(
    ctx: &Context,
    presented: &PresentedClient,
    after: i64,
    wait: Duration,
    peer: &Peer,
) -> std::result::Result<Arc<str>, Refused> {
    if let Err(error) = resource_servers::authenticate(ctx, presented).await {
        return Err(authenticate::brake(ctx, error.into(), peer).await);
    }
    wait_for_news(&ctx.feed, after, wait).await;
    page(ctx, after).await.map_err(Refused::to_known_client)
}

/// Returns when there is something after this number, when the time is over, or when the replica stops.
async fn wait_for_news(feed: &Feed, after: i64, wait: Duration) {
    let _here = Waiting::new(&feed.waiting);
    if feed.waiting.load(Ordering::Relaxed) > MOST_WAITING {
        return;
    }
    let (mut heads, mut open) = (feed.heads.subscribe(), feed.open.subscribe());
    // A reader that is ahead of us read from a database that was restored since: it is answered at once.
    let news = heads.wait_for(|heads| heads.revocations != after);
    let stop = open.wait_for(|open| !open);
    let either = async {
        tokio::select! {
            _ = news => {}
            _ = stop => {}
        }
    };
    let _ = tokio::time::timeout(wait.min(LONGEST_WAIT), either).await;
}

/// One who waits, counted as long as it is there.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The page after this number. It always comes from the store: a replica that cannot reach it must not say that nothing is
/// new. Those who ask the same at the same moment get the same page.
async fn page(ctx: &Context, after: i64) -> std::result::Result<Arc<str>, OAuthError> {
    let mut pages = ctx.feed.pages.lock().await;
    let now = ctx.now();
    let heads = ctx.store.heads().await?;
    // A page that says that a key is bad must not be signed with it: both became true in one transaction.
    signing_keys::follow(ctx, heads.signing_keys).await.map_err(unfollowed)?;
    let head = heads.revocations;
    if let Some(ready) = pages.iter().find(|p| (p.after, p.head, p.made_at) == (after, head, now)) {
        return Ok(Arc::clone(&ready.page));
    }
    let entries = ctx.store.revocations_after(after, MAX_ENTRIES, revocation::told_since(now)).await?;
    // Something may have been added since the head was read; the page ends where both agree.
    let entries: Vec<_> = entries.into_iter().filter(|entry| entry.sequence <= head).collect();
    let full = entries.len() == MAX_ENTRIES;
    let sequence = if full { entries.last().map_or(head, |entry| entry.sequence) } else { head };
    let claims = Page {
        iss: ctx.policy.issuer.clone(),
        iat: now,
        epoch: ctx.feed.epoch.clone(),
        after,
        sequence,
        more: sequence < head,
        entries,
    };
    let page: Arc<str> = ctx.keys.sign(TYPE, &claims).map_err(signing)?.into();
    if pages.len() == MOST_PAGES {
        pages.remove(0);
    }
    pages.push(Ready { after, head, made_at: now, page: Arc::clone(&page) });
    Ok(page)
}

/// The keys that the database has now cannot be taken.
fn unfollowed(error: signing_keys::SigningKeyError) -> OAuthError {
    let text = "the server cannot take over its signing keys; its log has the reason";
    OAuthError::new(ErrorCode::TemporarilyUnavailable, text).because(error)
}
