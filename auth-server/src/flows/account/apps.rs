//! Connected apps: what a person allowed to whom; made smaller, extended, revoked.

use doorward_shared::time::Timestamp;

use crate::{
    domain::{
        audit::{Action, Actor, Event},
        client::Client,
        extension::{NotExtended, extend as decide_extension},
        grant::Grant,
        ids::GrantId,
        resource::Resource,
        revocation::{Narrower, NotNarrowed, narrow as decide_narrowing, revoke_by_person},
        session::SignedIn,
    },
    flows::{Context, Peer},
    store::{Applied, GrantFilter, StoreError},
};

/// How many are shown at most.
const MOST: u32 = 500;

/// An app that is connected.
#[derive(Debug)]
pub struct App {
    /// What it was allowed.
    pub grant: Grant,
    /// Who it is, while it is known.
    pub client: Option<Client>,
    /// Where it may do it, while that is known.
    pub resource: Option<Resource>,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// There is none such, it is somebody else's, or it has ended.
    #[error("the access is over already")]
    Gone,
    /// The tier is not known.
    #[error("this was not offered")]
    Unknown,
    /// It cannot be narrowed so.
    #[error(transparent)]
    Narrow(#[from] NotNarrowed),
    /// It cannot be extended so.
    #[error(transparent)]
    Extend(#[from] NotExtended),
    /// Somebody else changed it at the same time.
    #[error("the access was changed at the same moment from elsewhere; look again")]
    Raced,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The apps that are connected to a person's account, newest first.
pub async fn list(ctx: &Context, person: &SignedIn) -> Result<Vec<App>, StoreError> {
    let now = ctx.now();
    let filter = GrantFilter { user: Some(person.user.id.clone()), ..GrantFilter::default() };
    let grants = ctx.store.grants(&filter, None, MOST, now).await?;
    let mut apps = Vec::new();
    for (grant, _) in grants.into_iter().filter(|(grant, _)| is_live(grant, now)) {
        let client = ctx.store.client(&grant.client_id).await?;
        let resource = ctx.store.resource(&grant.resource).await?;
        apps.push(App { grant, client, resource });
    }
    Ok(apps)
}

fn is_live(grant: &Grant, now: Timestamp) -> bool {
    grant.ended.is_none() && now < grant.expires_at
}

/// One's own grant, while it is live.
async fn own(ctx: &Context, person: &SignedIn, id: &str, now: Timestamp) -> Result<Grant, NotDone> {
    let id = GrantId::parse(id).ok_or(NotDone::Gone)?;
    let found = ctx.store.grant(&id).await?.map(|(grant, _)| grant);
    found.filter(|grant| grant.user_id == person.user.id && is_live(grant, now)).ok_or(NotDone::Gone)
}

fn event(ctx: &Context, action: Action, grant: &Grant, peer: &Peer, now: Timestamp) -> Event {
    ctx.event(action, Actor::User(grant.user_id.clone()), peer, now).on(&grant.id)
}

/// Ends what was allowed. When this returns, no replica gives anything on it, and the feed has told every resource server that
/// listens.
pub async fn revoke(ctx: &Context, person: &SignedIn, id: &str, peer: &Peer) -> Result<(), NotDone> {
    let now = ctx.now();
    let grant = own(ctx, person, id, now).await?;
    let revocation = revoke_by_person(&grant, &ctx.policy.token, now).ok_or(NotDone::Gone)?;
    let event = event(ctx, Action::GrantRevoked, &grant, peer, now);
    match ctx.store.end_grant(&revocation, &event).await? {
        Applied::Done => Ok(()),
        Applied::Lost => Err(NotDone::Gone),
    }
}

/// Leaves the permissions of this tier, where they were allowed. Access tokens from before are refused.
pub async fn narrow(
    ctx: &Context,
    person: &SignedIn,
    (id, tier): (&str, &str),
    peer: &Peer,
) -> Result<(), NotDone> {
    let now = ctx.now();
    let grant = own(ctx, person, id, now).await?;
    let resource = ctx.store.resource(&grant.resource).await?.ok_or(NotDone::Unknown)?;
    let atoms = resource.model.expand([tier]).ok_or(NotDone::Unknown)?;
    let wanted = Narrower { allowance: Some(grant.allowance.only(&atoms)), expires_at: None };
    let narrowing = decide_narrowing(&grant, &wanted, &ctx.policy.token, now)?;
    let event = event(ctx, Action::GrantNarrowed, &grant, peer, now)
        .allowing("before", narrowing.before())
        .allowing("permissions", narrowing.allowance())
        .with("expires_at", narrowing.expires_at().seconds());
    match ctx.store.narrow_grant(&narrowing, &event).await? {
        Applied::Done => Ok(()),
        Applied::Lost => Err(NotDone::Raced),
    }
}

/// Lets it go on for longer, up to the operator's bound.
pub async fn extend(
    ctx: &Context,
    person: &SignedIn,
    (id, choice): (&str, &str),
    peer: &Peer,
) -> Result<(), NotDone> {
    let now = ctx.now();
    let grant = own(ctx, person, id, now).await?;
    let extension = decide_extension(&grant, choice, &ctx.policy.refresh, now)?;
    let event = event(ctx, Action::GrantExtended, &grant, peer, now)
        .with("before", extension.before().seconds())
        .with("expires_at", extension.expires_at().seconds());
    match ctx.store.extend_grant(&extension, &event).await? {
        Applied::Done => Ok(()),
        Applied::Lost => Err(NotDone::Raced),
    }
}
