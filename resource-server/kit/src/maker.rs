//! What was made with a token and outlives it: links, upload addresses, jobs. The token is not there when they are used, so
//! whoever keeps them keeps beside them what a revocation can name.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use doorward_shared::{revocation::Entry, time::Timestamp};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use crate::{Access, Reason, Refusal, ResourceServer, revocations::Position};

/// Pause after entries could not be taken down.
const RECORD_AGAIN: Duration = Duration::from_secs(1);

/// What a revocation can name of the token or key with which something was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maker {
    /// The person (`sub`).
    pub subject: String,
    /// The client (`client_id`).
    pub client_id: String,
    /// The organization (`org`).
    pub organization: String,
    /// The grant (`sid`).
    pub grant: String,
    /// The token's own name (`jti`).
    pub token_id: String,
    /// The key that signed the token (`kid`); `None` for an opaque one.
    pub key_id: Option<String>,
    /// When the token was made (`iat`).
    pub issued_at: Timestamp,
}

/// Takes down what is revoked. The feed tells of an end only for some time, and the kit keeps an entry only while there can be
/// tokens that it concerns; whatever lives longer than tokens is to be ended here.
#[async_trait]
pub trait RevocationLog: Send + Sync {
    /// Takes down entries, in their order. The kit refuses the tokens already. An entry may come again: after a failure, and
    /// when the feed is read from its beginning. Entries about other resource servers are left out.
    ///
    /// # Errors
    ///
    /// Any failure: the same entries come again until they are taken down, also after a restart.
    async fn record(&self, entries: &[Entry]) -> Result<(), Unrecorded>;
}

/// Why revocations were not taken down. For the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unrecorded(pub String);

impl Access {
    /// What to keep beside something that is made with this token and outlives it.
    pub fn maker(&self) -> Maker {
        Maker {
            subject: self.subject.clone(),
            client_id: self.client_id.clone(),
            organization: self.organization.clone(),
            grant: self.grant.clone(),
            token_id: self.token_id.clone(),
            key_id: self.key_id.clone(),
            issued_at: self.issued_at,
        }
    }
}

impl ResourceServer {
    /// Whether the token with which something was made still counts, whatever has become of its lifetime. Ask it together with
    /// your own record of what ended ([`RevocationLog`]): the kit forgets an end when no token can be left that it concerns.
    ///
    /// # Errors
    ///
    /// [`Refusal::InvalidToken`] with [`Reason::Revoked`], or [`Refusal::Unavailable`] when the feed is silent for longer than
    /// the operator allows.
    pub async fn still_counts(&self, maker: &Maker) -> Result<(), Refusal> {
        self.revocations.first_answer().await;
        if !self.revocations.are_current(self.clock.now()) {
            return Err(Refusal::Unavailable);
        }
        match self.revocations.refuses_maker(maker) {
            Some(_) => Err(Refusal::InvalidToken(Reason::Revoked)),
            None => Ok(()),
        }
    }
}

/// The reader's end: what is to be taken down, and how far that is done.
pub(crate) struct Recording {
    queue: mpsc::UnboundedSender<Batch>,
    done: watch::Receiver<Position>,
}

/// The log's end.
pub(crate) struct Recorder {
    log: Arc<dyn RevocationLog>,
    queue: mpsc::UnboundedReceiver<Batch>,
    done: watch::Sender<Position>,
}

/// Entries, and how far the feed was read with them.
type Batch = (Vec<Entry>, Position);

/// Both ends. A log that is slow does not keep the reader from the next page: tokens are refused at once.
pub(crate) fn recording(log: Arc<dyn RevocationLog>, position: Position) -> (Recording, Recorder) {
    let (sender, queue) = mpsc::unbounded_channel();
    let (done, seen) = watch::channel(position);
    (Recording { queue: sender, done: seen }, Recorder { log, queue, done })
}

impl Recording {
    pub(crate) fn send(&self, entries: Vec<Entry>, position: Position) {
        // Nobody listens only when the server is being dropped.
        let _ = self.queue.send((entries, position));
    }

    /// Up to where everything is taken down.
    pub(crate) fn position(&self) -> Position {
        self.done.borrow().clone()
    }
}

impl Recorder {
    pub(crate) async fn record_forever(mut self) {
        while let Some((entries, position)) = self.queue.recv().await {
            let mut told = false;
            while !entries.is_empty()
                && let Err(error) = self.log.record(&entries).await
            {
                if !told {
                    tracing::error!(%error, "revocations could not be taken down; their tokens are refused already, and it is tried again");
                }
                told = true;
                sleep(RECORD_AGAIN).await;
            }
            self.done.send_replace(position);
        }
    }
}
