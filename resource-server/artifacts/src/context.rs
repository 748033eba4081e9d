//! What every request needs, built once.

use std::sync::Arc;

use doorward_shared::{
    resource::ResourceUri,
    secret::Entropy,
    time::{Clock, Timestamp},
};
use tokio::sync::Semaphore;

use crate::{
    caller::Caller, dates, errors::Refusal, plans::Plans, store::Store, store::Usage, uploads::UnderWay,
};

/// Uploads that may be under way at one time. Each holds an open file; one more is told to come again.
const TRANSFERS: usize = 64;
/// Bytes of messages that may be held at one time, by all callers together.
pub const MESSAGE_BYTES: usize = 128 * 1024 * 1024;

/// The instruments of this server.
pub struct Context {
    /// Rows and bytes.
    pub store: Store,
    /// Limits.
    pub plans: Plans,
    /// Time, read once per request.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// What this server is, as registered with the authorization server. Addresses are built from it, never from the
    /// headers of a request.
    pub resource: ResourceUri,
    /// Free places for uploads.
    pub transfers: Semaphore,
    /// Upload addresses in use right now.
    pub under_way: UnderWay,
    /// Free bytes for messages.
    pub messages: Arc<Semaphore>,
}

impl Context {
    /// The instruments.
    pub fn new(
        store: Store,
        plans: Plans,
        resource: ResourceUri,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            store,
            plans,
            clock,
            entropy,
            resource,
            transfers: Semaphore::new(TRANSFERS),
            under_way: UnderWay::default(),
            messages: Arc::new(Semaphore::new(MESSAGE_BYTES)),
        }
    }

    /// An address on this server's own origin. `path` begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.resource.origin())
    }

    /// What the organization of `caller` has used so far this month, as far as the caller may know.
    pub async fn usage(&self, caller: &Caller, now: Timestamp) -> Result<Usage, Refusal> {
        self.store.usage(caller, &dates::month(now)).await
    }
}
