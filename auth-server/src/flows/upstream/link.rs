//! Linking an upstream account to a local one that has its address. The offer waits for this browser alone, says which account
//! at the provider and which person it is for, and is taken once; the person proves the local account by signing in to it.

use doorward_shared::{
    secret::{BrowserCookie, Secret},
    time::Timestamp,
};
use zeroize::Zeroizing;

use super::{
    Stopped,
    people::{linked, new_identity},
};
use crate::{
    domain::{
        ids::UserId,
        session::SignedIn,
        upstream::{Identity, Provider},
        user::User,
    },
    ephemeral::{LINK_OFFERS, LinkOffer, PendingUpstream},
    flows::{Context, Peer, login},
    keys::KeyError,
    store::{Applied, StoreError},
    upstream::Answer,
};

/// An offer as its page shows it.
#[derive(Debug)]
pub struct Offered {
    /// What the provider is called.
    pub provider: String,
    /// The address that both accounts have.
    pub email: String,
    /// Who has to prove the account.
    pub user: UserId,
    /// The request that waits for it.
    pub request: Option<String>,
    /// Who is signed in, if it is that person and just proved it.
    pub proven: Option<SignedIn>,
    /// True when somebody else is signed in.
    pub somebody_else: bool,
}

/// The accounts are one.
#[derive(Debug)]
pub struct Linked {
    /// The request to go on with.
    pub request: Option<String>,
    /// The session in which it was proved.
    pub proven: SignedIn,
}

/// Why nothing was linked.
#[derive(Debug, thiserror::Error)]
pub enum NotLinked {
    /// There is no offer for this browser, or it is over.
    #[error("there is nothing to link any more")]
    Gone,
    /// The person has not just proved the account.
    #[error("the account has to be proved first")]
    NotProven,
    /// It is linked elsewhere by now.
    #[error("one of the accounts is linked to another one by now")]
    Taken,
    /// The refresh token cannot be sealed.
    #[error(transparent)]
    Seal(#[from] KeyError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Offers a link to this browser.
pub(super) async fn offer(
    ctx: &Context,
    rules: &Provider,
    answer: &Answer,
    user: &User,
    pending: &PendingUpstream,
    browser: &Secret<BrowserCookie>,
    now: Timestamp,
) -> Result<(), Stopped> {
    let key = browser.hash().to_text();
    let seal = |token: &Zeroizing<String>| {
        ctx.keys.data_key().seal(&offer_context(&key), token.as_bytes(), ctx.entropy.as_ref())
    };
    let offer = LinkOffer {
        provider: rules.id.clone(),
        asserted: answer.asserted.clone(),
        refresh_token: answer.refresh_token.as_ref().map(seal).transpose()?,
        user: user.id.to_string(),
        email: user.email.to_string(),
        request: pending.request.clone(),
    };
    ctx.ephemeral.put(&LINK_OFFERS, &key, &offer, now).await;
    Ok(())
}

/// The offer for this browser.
pub async fn offered(
    ctx: &Context,
    browser: &Secret<BrowserCookie>,
    session: Option<&str>,
) -> Result<Offered, NotLinked> {
    let now = ctx.now();
    let key = browser.hash().to_text();
    let offer = ctx.ephemeral.get(&LINK_OFFERS, &key, now).await.ok_or(NotLinked::Gone)?;
    show(ctx, &offer, session, now).await
}

/// Links, as the person who just proved the account says. `agreed` is false for somebody who does not want it.
pub async fn link(
    ctx: &Context,
    browser: &Secret<BrowserCookie>,
    session: Option<&str>,
    agreed: bool,
    peer: &Peer,
) -> Result<Linked, NotLinked> {
    let now = ctx.now();
    let key = browser.hash().to_text();
    let seen = ctx.ephemeral.get(&LINK_OFFERS, &key, now).await.ok_or(NotLinked::Gone)?;
    let proven = show(ctx, &seen, session, now).await?.proven.ok_or(NotLinked::NotProven)?;
    // Taken before anything is written: whatever becomes of it, this proof is good for one link.
    let offer: LinkOffer = ctx.ephemeral.take(&LINK_OFFERS, &key, now).await.ok_or(NotLinked::Gone)?;
    if offer.user != proven.user.id.as_str() {
        return Err(NotLinked::Gone);
    }
    if agreed {
        let rules = ctx.policy.provider(&offer.provider).ok_or(NotLinked::Gone)?;
        let refresh_token = offer.refresh_token.as_deref().and_then(|sealed| {
            let plain = ctx.keys.data_key().open(&offer_context(&key), sealed)?;
            Some(Zeroizing::new(String::from_utf8(plain.to_vec()).ok()?))
        });
        let answer = Answer { asserted: offer.asserted, refresh_token, heard: true, auth_time: None };
        let identity: Identity = new_identity(ctx, rules, &answer, &proven.user.id, now)?;
        let event = linked(ctx, &identity, peer, now);
        if ctx.store.insert_identity(&identity, &event).await? == Applied::Lost {
            return Err(NotLinked::Taken);
        }
    }
    Ok(Linked { request: offer.request, proven })
}

async fn show(
    ctx: &Context,
    offer: &LinkOffer,
    session: Option<&str>,
    now: Timestamp,
) -> Result<Offered, NotLinked> {
    let user = UserId::parse(&offer.user).ok_or(NotLinked::Gone)?;
    let rules = ctx.policy.provider(&offer.provider).ok_or(NotLinked::Gone)?;
    let live = login::signed_in(ctx, session, now).await?;
    let somebody_else = live.as_ref().is_some_and(|found| found.user.id != user);
    let proven = live.filter(|found| found.user.id == user && found.session.is_fresh(now));
    Ok(Offered {
        provider: rules.title.clone(),
        email: offer.email.clone(),
        user,
        request: offer.request.clone(),
        proven,
        somebody_else,
    })
}

fn offer_context(browser: &str) -> String {
    format!("link_offers/{browser}/refresh_token")
}
