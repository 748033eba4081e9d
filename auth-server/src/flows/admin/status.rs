//! How the server is doing.

use super::view;
use crate::{flows::Context, store::StoreError};

/// What administrators are told of the server.
pub async fn status(ctx: &Context) -> Result<view::Status, StoreError> {
    let heads = ctx.store.heads().await?;
    Ok(view::Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        issuer: ctx.policy.issuer.to_string(),
        store: ctx.store.kind().to_owned(),
        signing_key: ctx.keys.current().kid().to_owned(),
        feed_epoch: ctx.feed.epoch().to_owned(),
        feed_sequence: heads.revocations,
        audit_sequence: heads.audit,
    })
}
