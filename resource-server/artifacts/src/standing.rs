//! Whether the credential that made an address still counts. An address opens without a credential, so the one that made it
//! is asked about each time, and its end is written down: the feed forgets it, and the address must not come back.

use std::sync::Arc;

use async_trait::async_trait;
use doorward_resource_server::{Entry, Maker, ResourceServer, RevocationLog, Unrecorded};

use crate::{
    context::Context,
    errors::{Code, Refusal},
};

/// What the kit knows of revocations.
#[derive(Clone)]
pub struct Standing(Option<Arc<ResourceServer>>);

impl Standing {
    /// As the kit says.
    pub const fn at(kit: Arc<ResourceServer>) -> Self {
        Self(Some(kit))
    }

    /// Without a kit in front: what is written down is all that is known.
    pub const fn written() -> Self {
        Self(None)
    }

    /// True when credentials can be checked.
    pub fn is_ready(&self) -> bool {
        self.0.as_ref().is_none_or(|kit| kit.is_ready())
    }

    /// Refuses an address whose maker was revoked with `ended`.
    pub async fn check(&self, maker: &Maker, ended: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
        use doorward_resource_server::Refusal::InvalidToken;
        let Some(kit) = &self.0 else { return Ok(()) };
        kit.still_counts(maker).await.map_err(|refusal| match refusal {
            InvalidToken(_) => ended(),
            _ => Refusal::new(
                Code::RateLimited,
                "It cannot be known at the moment whether this address was ended; try again later.",
            )
            .with_status(http::StatusCode::SERVICE_UNAVAILABLE),
        })
    }
}

/// Ends what revoked credentials made.
pub struct Endings(pub Arc<Context>);

#[async_trait]
impl RevocationLog for Endings {
    async fn record(&self, entries: &[Entry]) -> Result<(), Unrecorded> {
        let now = self.0.clock.now();
        let ended = self.0.store.end_made(entries, now).await;
        let ended =
            ended.map_err(|refusal| Unrecorded(refusal.cause().unwrap_or_else(|| refusal.to_string())))?;
        if ended > 0 {
            tracing::info!(ended, "addresses ended with the credentials that made them");
        }
        Ok(())
    }
}
