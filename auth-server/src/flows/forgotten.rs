//! A forgotten password: whoever asks is told nothing, and whoever reads the mail of the account gets a link.

use std::sync::Arc;

use doorward_shared::time::{Seconds, Timestamp};

use super::{Context, Peer, admin::links};
use crate::{
    domain::{
        audit::Actor,
        email::{Email, EmailSyntax},
        letter::Letter,
        link::may_ask,
    },
    ephemeral::{RESETS_OF_ACCOUNT, RESETS_OF_NETWORK},
    store::StoreError,
};

/// Mails that one account is sent within an hour, whoever asks.
pub const PER_ACCOUNT: u32 = 3;
/// Askings an hour from one network, over all accounts.
const PER_NETWORK: u32 = 30;

/// Why nothing was taken in. None of it depends on what accounts there are.
#[derive(Debug, thiserror::Error)]
pub enum NotAsked {
    /// The text is no address.
    #[error(transparent)]
    Email(#[from] EmailSyntax),
    /// Too many from this network; the next one is looked at after this long.
    #[error("too many resets were asked for")]
    Wait(Seconds),
}

/// Takes in that somebody forgot the password of the account with this address. Whether there is one is looked up after the
/// answer, so neither the answer nor its time tells.
pub async fn ask(ctx: &Arc<Context>, email: &str, peer: &Peer) -> Result<(), NotAsked> {
    let email = Email::parse(email)?;
    let now = ctx.now();
    let from_here = ctx.ephemeral.bump(&RESETS_OF_NETWORK, &peer.network, now).await;
    if ctx.over(from_here, PER_NETWORK, "resets", peer, now).await {
        return Err(NotAsked::Wait(Seconds::hours(1)));
    }
    // Addresses are counted whether or not they are accounts. Who asks too often is answered as ever.
    let asked = ctx.ephemeral.bump(&RESETS_OF_ACCOUNT, email.as_str(), now).await;
    if let Some(mail) = ctx.mail.as_ref().filter(|_| asked <= PER_ACCOUNT) {
        let (ctx, peer) = (Arc::clone(ctx), peer.clone());
        mail.later(async move {
            letter(&ctx, &email, &peer, now).await.unwrap_or_else(|error| {
                tracing::error!(%error, "a reset that somebody asked for could not be looked up");
                None
            })
        });
    }
    Ok(())
}

/// The letter with the link, if the address is an account whose person may have one.
async fn letter(
    ctx: &Context,
    email: &Email,
    peer: &Peer,
    now: Timestamp,
) -> Result<Option<Letter>, StoreError> {
    let Some(user) = ctx.store.user_by_email(email).await? else { return Ok(None) };
    if !may_ask(&user, &ctx.store.identities_of(&user.id).await?) {
        return Ok(None);
    }
    let desk = ctx.desk(&Actor::Stranger, peer.address.as_deref());
    let made = links::asked(desk, user, now).await?;
    Ok(made.map(|made| Letter::link(&ctx.policy.issuer, &made.link, &made.url(desk))))
}
