//! Follows the revocation feed: one background task asks for what comes after the last page, and the authorization server
//! answers as soon as there is something.

use std::{mem, sync::Arc, time::Duration};

use doorward_shared::{
    jose::jws::{JwsError, Unverified},
    revocation::{self, Claim, Page, PageError},
    secret::{Entropy, SystemEntropy},
    time::{Clock, Seconds, Timestamp},
};
use reqwest::{Client, StatusCode, header::ACCEPT};
use tokio::time::{Instant, sleep};
use url::Url;

use crate::{
    Credentials, Settings,
    fetch::{self, FetchError},
    keys::{Keys, Lookup, Seeker},
    maker::Recording,
    metrics::Counters,
    reach::Reach,
    revocations::{PATIENCE, Position, Revocations},
    settings::seconds,
};

/// Longest time that the server is asked to wait for something to say.
const LONGEST_WAIT: Duration = Duration::from_secs(25);
/// How long an answer may take beyond that.
const MARGIN: Duration = Duration::from_secs(10);
/// First pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Pause after the server said no to us, which asking again does not change.
const DECLINED_PAUSE: Duration = Duration::from_secs(30);
/// A server that answers "nothing new" without waiting is not asked more often than this.
const SHORTEST_TURN: Duration = Duration::from_millis(250);
/// How far the clocks of the authorization server's replicas may disagree.
const REPLICA_SKEW: Seconds = Seconds::new(5);
/// How often entries are forgotten and the file copy is renewed when there is nothing new.
const HOUSEKEEPING: Seconds = Seconds::minutes(1);

/// The reader of the feed.
pub(crate) struct Feed {
    client: Client,
    reach: Reach,
    credentials: Credentials,
    keys: Arc<Keys>,
    revocations: Arc<Revocations>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Counters>,
    leeway: Seconds,
    /// How long the server may wait for something to say.
    wait: Duration,
    position: Position,
    /// Somebody who takes down what is revoked, if there is one.
    recording: Option<Recording>,
    /// The last housekeeping, and whether there is something that the file does not have.
    kept_at: Timestamp,
    unwritten: bool,
}

/// What a good page leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// There is more already.
    More,
    /// Everything is known, and there was something new or not.
    CaughtUp { news: bool },
    /// The database of the server was restored: from the beginning.
    Restored,
}

/// Why there is no good page.
#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error("the metadata document names an address for the feed that is neither https nor on this machine")]
    Address,
    #[error("the credentials of this resource server are not accepted; `doorward resource add` prints them")]
    Credentials,
    #[error(transparent)]
    Fetch(FetchError),
    #[error("the page cannot be read: {0}")]
    Signature(#[from] JwsError),
    #[error("the page is signed with a key that is not known")]
    UnknownKey,
    #[error("the page is signed with a key that was revoked")]
    RevokedKey,
    #[error(transparent)]
    Page(#[from] PageError),
}

impl From<FetchError> for FeedError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Status(StatusCode::UNAUTHORIZED, _) => Self::Credentials,
            error => Self::Fetch(error),
        }
    }
}

impl Feed {
    pub(crate) fn new(
        settings: &Settings,
        reach: Reach,
        credentials: Credentials,
        (keys, revocations, metrics): (Arc<Keys>, Arc<Revocations>, Arc<Counters>),
        position: Position,
        recording: Option<Recording>,
    ) -> Result<Self, reqwest::Error> {
        let wait = (settings.max_feed_lag / 3).clamp(Duration::from_secs(1), LONGEST_WAIT);
        let clock = Arc::clone(&settings.clock);
        Ok(Self {
            client: fetch::client(&reach, wait + MARGIN)?,
            reach,
            credentials,
            keys,
            revocations,
            metrics,
            leeway: seconds(settings.leeway),
            wait,
            position,
            recording,
            kept_at: clock.now(),
            clock,
            unwritten: false,
        })
    }

    /// The background task.
    pub(crate) async fn follow_forever(mut self) {
        let (keys, revocations) = (Arc::clone(&self.keys), Arc::clone(&self.revocations));
        let patience = async move {
            let mut fetches = keys.fetches();
            while keys.endpoints().is_none() {
                fetches.next().await;
            }
            sleep(PATIENCE).await;
            revocations.wait_no_more();
        };
        tokio::join!(self.follow(), patience);
    }

    async fn follow(&mut self) {
        let mut failures: u32 = 0;
        let mut caught_up = false;
        loop {
            let address = self.address().await;
            let begun = Instant::now();
            // After a failure the first answer comes at once, so that an outage ends when it ends.
            let wait = if caught_up { self.wait } else { Duration::ZERO };
            let turn = match address {
                Some(address) => self.turn(&address, wait).await,
                None => Err(FeedError::Address),
            };
            match turn {
                Ok(turn) => {
                    Counters::count(&self.metrics.pages);
                    if failures > 0 {
                        tracing::info!(issuer = %self.reach.issuer(), "revocations are followed again");
                    }
                    failures = 0;
                    caught_up = matches!(turn, Turn::CaughtUp { .. });
                    match turn {
                        Turn::More => {}
                        Turn::Restored => sleep(FIRST_PAUSE).await,
                        Turn::CaughtUp { news } => {
                            self.revocations.wait_no_more();
                            self.keep_house().await;
                            if !news {
                                let rest = SHORTEST_TURN.min(wait).saturating_sub(begun.elapsed());
                                sleep(rest).await;
                            }
                        }
                    }
                }
                Err(error) => {
                    Counters::count(&self.metrics.failed_pages);
                    self.revocations.wait_no_more();
                    self.keep_house().await;
                    // Once per outage: an authorization server that is away for a day must not fill the log.
                    if failures == 0 {
                        tracing::warn!(issuer = %self.reach.issuer(), %error, "revocations cannot be followed; what is known stays revoked");
                    }
                    failures = failures.saturating_add(1);
                    caught_up = false;
                    sleep(jittered(pause(&error, failures), &SystemEntropy)).await;
                }
            }
        }
    }

    /// Where to ask, as soon as the metadata says so. `None`: at a place that is not safe.
    async fn address(&self) -> Option<Url> {
        let (mut fetches, mut told) = (self.keys.fetches(), false);
        loop {
            match self.keys.endpoints().map(|endpoints| endpoints.revocation_feed) {
                Some(Some(address)) => return self.reach.to(&address),
                Some(None) if !told => {
                    told = true;
                    self.revocations.wait_no_more();
                    tracing::warn!(issuer = %self.reach.issuer(), "the authorization server has no revocation feed; tokens are good until they expire");
                }
                Some(None) | None => {}
            }
            fetches.next().await;
        }
    }

    /// Asks for the next page and takes it over.
    async fn turn(&mut self, address: &Url, wait: Duration) -> Result<Turn, FeedError> {
        let after = self.position.sequence;
        let mut address = address.clone();
        address
            .query_pairs_mut()
            .append_pair("after", &after.to_string())
            .append_pair("wait", &wait.as_secs().to_string());
        let request = self.client.get(address).header(ACCEPT, revocation::MEDIA_TYPE);
        let answer = self.credentials.sign_in(request).send().await.map_err(FetchError::Transport)?;
        let text = fetch::read(answer, |found| found == revocation::MEDIA_TYPE, revocation::MAX_PAGE).await?;

        let now = self.clock.now();
        let payload = self.verify(&text, now).await?;
        // Pages come from replicas whose clocks are not quite the same.
        let last = self.position.made_at.map(|made_at| made_at.minus(REPLICA_SKEW));
        let page = Page::read(&payload, self.reach.issuer(), after, last, now, self.leeway)?;
        Ok(self.take(page, now))
    }

    /// The payload of a page that a key of the issuer signed.
    async fn verify(&self, text: &str, now: Timestamp) -> Result<Vec<u8>, FeedError> {
        let unverified = Unverified::parse_up_to(text, revocation::MAX_PAGE)?;
        let kid = unverified.kid().ok_or(FeedError::UnknownKey)?;
        if self.revocations.refuses_key(kid) {
            return Err(FeedError::RevokedKey);
        }
        match self.keys.find(kid, Seeker::Page, now).await {
            Lookup::Found(key, _) => Ok(unverified.verify(&key, revocation::TYPES)?),
            Lookup::Unknown | Lookup::NoKeys => Err(FeedError::UnknownKey),
        }
    }

    fn take(&mut self, page: Page, now: Timestamp) -> Turn {
        let position = &mut self.position;
        self.revocations.learn(&page.entries, now);
        self.unwritten |= !page.entries.is_empty();
        if page.entries.iter().any(|entry| entry.claim == Claim::Kid) {
            tracing::info!(issuer = %page.iss, "the authorization server has revoked a signing key");
            // Its successor is there, and the key itself should not stay in our copy.
            self.keys.fetch_now();
        }
        // One that is ahead of us must not make the pages of all others old ones.
        position.made_at = position.made_at.max(Some(page.iat.min(now)));
        let another = mem::replace(&mut position.epoch, page.epoch) != position.epoch;
        let from_the_beginning = page.after == 0;
        if !from_the_beginning && (another || page.sequence < page.after) {
            tracing::warn!(issuer = %page.iss, "the feed begins anew: its database was restored; what is known stays revoked");
            position.sequence = 0;
            return Turn::Restored;
        }
        let moved = page.sequence > page.after;
        position.sequence = page.sequence.max(0);
        if let Some(recording) = &self.recording {
            let ours = page.entries.into_iter().filter(|entry| self.revocations.concerns_us(entry));
            recording.send(ours.collect(), position.clone());
        }
        if page.more && moved { Turn::More } else { Turn::CaughtUp { news: moved } }
    }

    /// Writes down what is new, and forgets what is over.
    async fn keep_house(&mut self) {
        let now = self.clock.now();
        if now.since(self.kept_at) >= HOUSEKEEPING {
            self.revocations.forget(now);
        } else if !self.unwritten {
            return;
        }
        self.kept_at = now;
        self.unwritten = false;
        // What was not taken down is asked for again after a restart.
        let recorded = self.recording.as_ref().map(Recording::position);
        self.revocations.write_file(recorded.as_ref().unwrap_or(&self.position)).await;
    }
}

/// The pause after the `failures`-th failure in a row.
fn pause(error: &FeedError, failures: u32) -> Duration {
    let growing = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    match error {
        FeedError::Credentials
        | FeedError::Fetch(FetchError::Status(StatusCode::FORBIDDEN | StatusCode::NOT_FOUND, _)) => {
            DECLINED_PAUSE
        }
        FeedError::Fetch(FetchError::Status(_, Some(asked))) => growing.max(*asked).min(LONGEST_PAUSE),
        _ => growing,
    }
}

/// Something between half of the pause and the whole: resource servers that lost the same server do not come back as one.
fn jittered(pause: Duration, entropy: &dyn Entropy) -> Duration {
    let mut byte = [0];
    entropy.fill(&mut byte);
    pause / 2 + pause * u32::from(byte[0]) / 512
}
