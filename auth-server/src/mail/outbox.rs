//! Letters that wait: taken in at once, carried in the background, a bounded number of them, for a bounded time.

use std::{fmt, future::ready, sync::Arc, time::Duration};

use doorward_shared::{issuer::Issuer, secret::Entropy};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
};

use super::{
    MailError, Settings,
    smtp::{Line, Sealed},
};
use crate::domain::letter::{Letter, pause};

/// How many letters may wait at once; more are not taken in.
pub const ROOM: u32 = 256;
/// How many are carried at the same time.
const CARRIERS: usize = 4;

/// The way to the SMTP server.
#[derive(Clone)]
pub struct Mail(Arc<Outbox>);

struct Outbox {
    line: Line,
    entropy: Arc<dyn Entropy>,
    /// A permit for each letter that waits.
    room: Arc<Semaphore>,
    carriers: Semaphore,
    closing: watch::Sender<bool>,
    /// The runtime of the process: those of the HTTP workers end before the last letters are sent.
    runtime: Handle,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mail")
    }
}

impl Mail {
    /// Reads which authorities this machine trusts. No connection is made before there is a letter. Letters are carried on the
    /// runtime that this is called on.
    pub fn new(settings: Settings, issuer: &Issuer, entropy: Arc<dyn Entropy>) -> Result<Self, MailError> {
        Ok(Self(Arc::new(Outbox {
            line: Line::new(settings, issuer)?,
            entropy,
            room: Arc::new(Semaphore::new(ROOM as usize)),
            carriers: Semaphore::new(CARRIERS),
            closing: watch::Sender::new(false),
            runtime: Handle::current(),
        })))
    }

    /// Hands a letter to the SMTP server now, in one try.
    pub async fn deliver(&self, letter: Letter) -> Result<(), MailError> {
        let sealed = self.0.seal(letter)?;
        self.0.line.deliver(&sealed).await
    }

    /// Takes a letter in and carries it in the background. What becomes of it is in the log.
    pub fn post(&self, letter: Letter) {
        self.later(ready(Some(letter)));
    }

    /// Finds out in the background whether there is a letter to carry, and carries it. The caller learns nothing, and takes no
    /// longer either way.
    pub fn later(&self, errand: impl Future<Output = Option<Letter>> + Send + 'static) {
        let Ok(place) = Arc::clone(&self.0.room).try_acquire_owned() else {
            tracing::error!(waiting = ROOM, "too many mails wait; one was dropped");
            return;
        };
        let outbox = Arc::clone(&self.0);
        self.0.runtime.spawn(async move {
            if let Some(letter) = errand.await {
                outbox.carry(letter).await;
            }
            drop(place);
        });
    }

    /// Waits until no letter waits any more, at most so long. What waits for its next try is tried once more now.
    pub async fn close(&self, limit: Duration) {
        self.0.closing.send_replace(true);
        let empty = tokio::time::timeout(limit, self.0.room.acquire_many(ROOM)).await.is_ok();
        if !empty {
            let waiting = (ROOM as usize).saturating_sub(self.0.room.available_permits());
            tracing::error!(waiting, "stopping, although mails wait that could not be sent");
        }
    }
}

impl Outbox {
    fn seal(&self, letter: Letter) -> Result<Sealed, MailError> {
        let mut random = [0_u8; 16];
        self.entropy.fill(&mut random);
        self.line.seal(letter, &format!("{:032x}", u128::from_be_bytes(random)))
    }

    async fn carry(&self, letter: Letter) {
        let kind = letter.kind.as_str();
        let sealed = match self.seal(letter) {
            Ok(sealed) => sealed,
            Err(error) => return tracing::error!(mail = kind, reason = error.brief(), "a mail was not sent"),
        };
        let mut closing = self.closing.subscribe();
        for tries in 1.. {
            let error = match self.attempt(&sealed).await {
                Ok(()) => return tracing::debug!(mail = kind, tries, "a mail was sent"),
                Err(error) => error,
            };
            let next = pause(tries).filter(|_| !error.is_final() && !*closing.borrow());
            let Some(pause) = next else {
                return tracing::error!(mail = kind, tries, reason = error.brief(), "a mail was not sent");
            };
            let seconds = pause.get().unsigned_abs();
            tracing::warn!(
                mail = kind,
                tries,
                seconds,
                reason = error.brief(),
                "a mail is tried again later"
            );
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
        }
    }

    async fn attempt(&self, sealed: &Sealed) -> Result<(), MailError> {
        let _carrier = self.carriers.acquire().await;
        self.line.deliver(sealed).await
    }
}
