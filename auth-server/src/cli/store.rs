//! Opens the store for one command.

use std::sync::Arc;

use doorward_shared::{secret::SystemEntropy, time::SystemClock};

use crate::{
    config::Config,
    domain::audit::Actor,
    flows::admin::Desk,
    store::{self, Store, StoreError},
};

/// An open store with an up-to-date schema, so that every command works before the first `serve`.
pub(super) struct Open {
    store: Arc<dyn Store>,
}

impl Open {
    pub(super) async fn at(config: &Config) -> Result<Self, StoreError> {
        let store = store::open(&config.store).await?;
        store.migrate().await?;
        Ok(Self { store })
    }

    /// What the administrator's flows work with.
    pub(super) fn desk<'a>(&'a self, config: &'a Config) -> Desk<'a> {
        Desk {
            store: self.store.as_ref(),
            clock: &SystemClock,
            entropy: &SystemEntropy,
            policy: &config.policy,
            mail: None,
            actor: &Actor::Operator,
            address: None,
        }
    }

    pub(super) async fn close(self) {
        self.store.close().await;
    }
}
