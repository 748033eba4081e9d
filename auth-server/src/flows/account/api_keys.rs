//! One's own API keys.

use crate::{
    domain::{
        api_key::{ApiKey, ApiKeySecret, State},
        audit::{Action, Actor},
        entitlement::{Seat, entitlement},
        ids::ApiKeyId,
        organization::{Node, Organization, Realm},
        resource::Resource,
        session::SignedIn,
    },
    flows::{
        Context, Peer,
        admin::api_keys::{ApiKeyError, NewApiKey, end, make},
        reach,
    },
    store::{Applied, StoreError},
};

/// The keys of a person, and what another one could be for.
#[derive(Debug)]
pub struct Board {
    /// All that there ever were, newest first.
    pub keys: Vec<ApiKey>,
    /// Resource servers.
    pub resources: Vec<Resource>,
    /// Organizations beside the person's own in which they may do anything, with the nodes that this concerns.
    pub shared: Vec<(Organization, Vec<Node>)>,
}

/// Why no key is made. Every message says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// The sign-in is too long ago.
    #[error("sign in again: a key is made within five minutes of a sign-in only")]
    NotFresh,
    /// A live key has this name. It also keeps a page that is loaded anew from making a second key.
    #[error("you have a live key with this name already; give another name, or revoke that one first")]
    Named,
    /// Not theirs, or not there: whoever guesses names learns nothing.
    #[error("you may do nothing in {0}, or it does not exist; choose what the page offers")]
    NotYours(String),
    /// It is not made.
    #[error(transparent)]
    Key(#[from] ApiKeyError),
}

/// The keys of a person, newest first: all that there ever were.
pub async fn list(ctx: &Context, person: &SignedIn) -> Result<Vec<ApiKey>, StoreError> {
    let found = ctx.store.api_keys(Some(&person.user.id), None, u32::MAX).await?;
    Ok(found.into_iter().map(|(key, _)| key).collect())
}

/// The keys of a person, and what another one could be for.
pub async fn board(ctx: &Context, person: &SignedIn) -> Result<Board, StoreError> {
    let mut resources = ctx.store.resources().await?;
    resources.retain(|resource| resource.disabled_at.is_none());
    let mut shared: Vec<(Organization, Vec<Node>)> = Vec::new();
    for resource in &resources {
        let reach = reach::load(ctx.store.as_ref(), &person.user, resource).await?;
        for (organization, nodes) in reach.shared {
            let rules = &reach.rules;
            let seat = Seat { user: &person.user, resource, organization: &organization.id, rules };
            let allowed = entitlement(seat);
            let seen = nodes.into_iter().filter(|node| allowed.concerns(&node.path));
            let known = shared.iter_mut().find(|(known, _)| known.id == organization.id);
            if let Some((_, known)) = known {
                known.extend(seen);
                known.sort_by(|a, b| a.path.cmp(&b.path));
                known.dedup_by(|a, b| a.path == b.path);
            } else if !allowed.is_empty() {
                shared.push((organization, seen.collect()));
            }
        }
    }
    Ok(Board { keys: list(ctx, person).await?, resources, shared })
}

/// Makes a key. Its text is seen this once.
pub async fn create(
    ctx: &Context,
    person: &SignedIn,
    new: &NewApiKey,
    peer: &Peer,
) -> Result<(ApiKey, ApiKeySecret), NotMade> {
    let now = ctx.now();
    if !person.session.is_fresh(now) {
        return Err(NotMade::NotFresh);
    }
    let user = &person.user;
    let board = board(ctx, person).await.map_err(ApiKeyError::from)?;
    let same = |key: &ApiKey| key.name == new.name.trim() && key.state(now) == State::Active;
    if board.keys.iter().any(same) {
        return Err(NotMade::Named);
    }
    if let Some(foreign) = not_theirs(&board, person, new) {
        return Err(NotMade::NotYours(foreign));
    }
    let actor = Actor::User(user.id.clone());
    let desk = ctx.desk(&actor, peer.address.as_deref());
    Ok(make(desk, user, new, Some(ctx.policy.limits.api_key_requests)).await?)
}

/// The organization or the first node that a new key names and its person has nothing to do with.
fn not_theirs(board: &Board, person: &SignedIn, new: &NewApiKey) -> Option<String> {
    let named = new.organization.as_deref().filter(|text| *text != Realm::OWN);
    let named = named.filter(|text| *text != person.user.organization.as_str())?;
    let found = board.shared.iter().find(|(known, _)| known.id.as_str() == named || known.name == named);
    let Some((_, nodes)) = found else { return Some(named.to_owned()) };
    let wanted = new.powers.nodes();
    wanted.into_iter().find(|wanted| nodes.iter().all(|node| node.path.as_str() != *wanted)).map(String::from)
}

/// Revokes one of them for good. `Lost`: it was revoked before, or is somebody else's.
pub async fn revoke(ctx: &Context, person: &SignedIn, id: &str, peer: &Peer) -> Result<Applied, StoreError> {
    let Some(id) = ApiKeyId::parse(id) else { return Ok(Applied::Lost) };
    let found = ctx.store.api_key(&id).await?.filter(|(key, _)| key.user_id == person.user.id);
    let Some((key, user)) = found else { return Ok(Applied::Lost) };
    let actor = Actor::User(user.id);
    end(ctx.desk(&actor, peer.address.as_deref()), &key, Action::ApiKeyRevoked).await
}
