//! Clients are told that a session ended (OpenID Connect Back-Channel Logout 1.0). Whom to tell was written down with the end; any
//! replica sends it, at least once.

use doorward_shared::{jose::logout_token, time::Timestamp};
use futures_util::future::join_all;

use super::{Context, random_hex};
use crate::{
    domain::{
        audit::{Action, Actor, Event},
        backchannel_logout::{Next, PendingLogout, pause},
    },
    store::{Applied, StoreError},
};

/// Most clients that are told at the same time.
const AT_ONCE: u32 = 16;

/// Tells whoever is due. Answers when somebody is due again.
pub async fn tick(ctx: &Context) -> Result<Option<Timestamp>, StoreError> {
    let now = ctx.now();
    let due = ctx.store.due_logouts(now, AT_ONCE).await?;
    join_all(due.iter().map(|logout| tell(ctx, logout, now))).await.into_iter().collect::<Result<(), _>>()?;
    ctx.store.next_logout().await
}

/// Waits until there may be somebody to tell: because they are due, or because the counter of the store has gone on from `seen`,
/// which is what it said before the last look.
pub async fn wait(ctx: &Context, seen: i64, next: Option<Timestamp>) {
    let mut heads = ctx.feed.heads();
    let news = heads.wait_for(|heads| heads.logouts != seen);
    let _ = tokio::time::timeout(pause(next, ctx.now()), news).await;
}

async fn tell(ctx: &Context, logout: &PendingLogout, now: Timestamp) -> Result<(), StoreError> {
    if ctx.store.claim_logout(logout, PendingLogout::claimed_until(now)).await? == Applied::Lost {
        return Ok(());
    }
    let (client_id, session) = (&logout.client_id, &logout.session);
    let Err(reason) = send(ctx, logout, now).await else {
        tracing::debug!(%client_id, %session, "told a client that a session ended");
        // Lost: it took so long that somebody else tried too.
        let _settled = ctx.store.settle_logout(logout, None).await?;
        return Ok(());
    };
    let _settled = match logout.after_failure(now) {
        Next::Again(at) => {
            tracing::info!(%client_id, %session, reason, "a client could not be told that a session ended; trying again");
            ctx.store.postpone_logout(logout, at).await?
        }
        Next::GiveUp => {
            tracing::warn!(%client_id, %session, reason, "a client could not be told that a session ended; given up");
            ctx.store.settle_logout(logout, Some(&undelivered(ctx, logout, &reason, now))).await?
        }
    };
    Ok(())
}

async fn send(ctx: &Context, logout: &PendingLogout, now: Timestamp) -> Result<(), String> {
    let claims = logout.token(random_hex(ctx.entropy.as_ref()), &ctx.policy.issuer, now);
    let signer = ctx.keys.signer().map_err(|error| error.to_string())?;
    let token = signer.sign(logout_token::TYPE, &claims).map_err(|error| error.to_string())?;
    ctx.relying_parties.tell(&logout.uri, &token).await.map_err(|error| error.to_string())
}

fn undelivered(ctx: &Context, logout: &PendingLogout, reason: &str, now: Timestamp) -> Event {
    Event::new(Action::LogoutUndelivered, Actor::Server, now, ctx.entropy.as_ref())
        .on(&logout.client_id)
        .with("sid", logout.session.as_str())
        .with("user", logout.user_id.as_str())
        .with("reason", reason)
}
