//! What is over is forgotten, in the background and in small steps.

use std::time::Duration;

use doorward_shared::time::Seconds;

use super::Context;
use crate::{domain::revocation, store::StoreError};

/// Between two rounds.
pub const EVERY: Duration = Duration::from_mins(10);
/// Ended grants stay this long, so that an administrator can still see what happened.
const KEEP_ENDED: Seconds = Seconds::days(30);

/// No answer is given again after this: the longest `refresh.retry_window`, and clocks that disagree.
const LONGEST_RETRY: Seconds = Seconds::minutes(2);

/// One round.
pub async fn tidy(ctx: &Context) -> Result<(), StoreError> {
    let now = ctx.now();
    let clients = ctx.store.forget_unused_clients(now.minus(ctx.policy.registration.unused_ttl)).await?;
    let grants = ctx.store.forget_ended(now.minus(KEEP_ENDED), &ctx.policy.session).await?;
    ctx.store.forget_answers(now.minus(LONGEST_RETRY)).await?;
    let links = ctx.store.forget_account_links(now.minus(KEEP_ENDED)).await?;
    for provider in &ctx.policy.upstream {
        ctx.store.lapse_groups(&provider.id, now.minus(provider.max_stale)).await?;
    }
    let revocations = ctx.store.forget_revocations(revocation::told_since(now)).await?;
    tracing::debug!(clients, grants, links, revocations, "forgot what is over");
    Ok(())
}
