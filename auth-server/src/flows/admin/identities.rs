//! Accounts of people at upstream providers.

use super::{
    Desk,
    users::{self, UserError},
    view,
};
use crate::{
    domain::{
        ids::IdentityId,
        revocation::revoke,
        upstream::{Identity, Source},
    },
    flows::upstream::unlink::{self as links, Hand},
    store::{Applied, StoreError},
};

/// Why nothing was done. Every message says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is none.
    #[error("there is no identity {0}; `user identities EMAIL` shows those of a person")]
    Unknown(String),
    /// The person has none there.
    #[error("{0} has no identity at the provider {1}; `user identities {0}` shows all")]
    NotThere(String, String),
    /// The person.
    #[error(transparent)]
    User(#[from] UserError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The identities of a person, by their identifiers.
pub async fn list(desk: Desk<'_>, who: &str) -> Result<Vec<Identity>, IdentityError> {
    let user = users::show(desk, who).await?;
    let mut identities = desk.store.identities_of(&user.id).await?;
    identities.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(identities)
}

/// Takes the link to a person's account at this provider away.
pub async fn unlink_at(desk: Desk<'_>, who: &str, provider: &str) -> Result<Identity, IdentityError> {
    let found = list(desk, who).await?.into_iter().find(|identity| identity.provider == provider);
    let identity = found.ok_or_else(|| IdentityError::NotThere(who.to_owned(), provider.to_owned()))?;
    remove(desk, identity).await
}

/// Takes a link away.
pub async fn unlink(desk: Desk<'_>, id: &str) -> Result<Identity, IdentityError> {
    let unknown = || IdentityError::Unknown(id.to_owned());
    let parsed = IdentityId::parse(id).ok_or_else(unknown)?;
    let identity = desk.store.identity_by_id(&parsed).await?.ok_or_else(unknown)?;
    remove(desk, identity).await
}

async fn remove(desk: Desk<'_>, identity: Identity) -> Result<Identity, IdentityError> {
    let now = desk.clock.now();
    let hand = Hand { revoke, event: &|action| desk.event(action, &identity.id, now) };
    match links::unlink(desk.store, desk.policy, &identity, &hand, now).await? {
        Applied::Done => Ok(identity),
        Applied::Lost => Err(IdentityError::Unknown(identity.id.to_string())),
    }
}

impl From<&Identity> for view::Identity {
    fn from(identity: &Identity) -> Self {
        Self {
            id: identity.id.to_string(),
            user_id: identity.user_id.to_string(),
            provider: identity.provider.clone(),
            subject: identity.subject.clone(),
            email: identity.email.clone(),
            groups: identity.groups.clone(),
            groups_source: identity.source.as_str().to_owned(),
            note: note(identity.source).map(str::to_owned),
            refreshable: identity.refresh_token.is_some(),
            created_at: identity.created_at,
            checked_at: identity.checked_at,
            ended_at: identity.ended_at,
        }
    }
}

/// What an administrator should know about groups that are not simply listed.
const fn note(source: Source) -> Option<&'static str> {
    match source {
        Source::Listed => None,
        Source::Absent => Some("the provider sent no groups claim; docs/upstream.md says how to add it"),
        Source::Overage => Some(
            "overage: more groups than fit into a token; the last known ones count until max_stale. Limit the claim to groups \
             assigned to the application, or set graph_url",
        ),
        Source::Malformed => Some("the groups claim is no list of names; check groups_claim"),
        Source::Stale => {
            Some("the provider could not be asked for longer than max_stale; signing in again helps")
        }
        Source::Ended => {
            Some("the provider does not stand for this person any more; signing in there again helps")
        }
    }
}
