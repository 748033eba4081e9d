//! Grants: seen, revoked one by one or many at once, and narrowed.

use doorward_shared::{
    allowance::Allowance,
    client_id::{ClientId, ClientIdSyntax},
    node::{NodePath, NodeSyntax},
    resource::{ResourceSyntax, ResourceUri},
    scope::{Scope, ScopeToken},
    time::Timestamp,
};

use super::Desk;
use crate::{
    domain::{
        audit::Action,
        email::{Email, EmailSyntax},
        grant::{Grant, Method, State},
        ids::{GrantId, OrganizationId, UserId},
        revocation::{Narrower, NotNarrowed, Sweep, Whose, narrow, revoke as decide},
        user::User,
    },
    store::{Applied, GrantFilter, StoreError},
};

/// Why nothing was done. Every message says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The text is no identifier of a grant.
    #[error("{0:?} is no identifier of a grant; `grant list` shows them, each begins with grt_")]
    Id(String),
    /// There is none.
    #[error("there is no grant {0}; `grant list` shows all that are remembered")]
    Unknown(GrantId),
    /// It is over.
    #[error("the grant {0} has ended already")]
    Ended(GrantId),
    /// The address of a person.
    #[error("{0}")]
    Email(#[from] EmailSyntax),
    /// There is no such account.
    #[error("there is no account {0}; `user list` shows all")]
    UnknownUser(String),
    /// The identifier of a client.
    #[error("{0}")]
    Client(#[from] ClientIdSyntax),
    /// There is no such client.
    #[error("there is no client {0}; `client list` shows all")]
    UnknownClient(ClientId),
    /// The address of a resource server.
    #[error("{0}")]
    Resource(#[from] ResourceSyntax),
    /// There is no such resource server.
    #[error("there is no resource {0}; `resource list` shows all")]
    UnknownResource(ResourceUri),
    /// There is no such organization.
    #[error(
        "there is no organization {0:?}; `organization list` shows all that people share, and `user list --json` the \
         identifiers of people's own, each of which begins with org_"
    )]
    Organization(String),
    /// The tier does not exist.
    #[error("the resource of this grant has no tier {0:?}; its tiers: {1}")]
    Tier(String, String),
    /// A permission is no scope token.
    #[error("{0:?} is no permission; `resource show` lists those of the resource")]
    Permission(String),
    /// A node has no such path.
    #[error(transparent)]
    Node(#[from] NodeSyntax),
    /// It cannot be narrowed like this.
    #[error(transparent)]
    NotNarrowed(#[from] NotNarrowed),
    /// Somebody else changed it at the same moment.
    #[error("the grant was changed by somebody else at the same moment; look at it and try again")]
    Busy,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which grants to list, in the words of the command line and the API. What is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The e-mail address of a person, or the identifier of the account.
    pub user: Option<String>,
    /// The identifier of a client.
    pub client: Option<String>,
    /// The address of a resource server.
    pub resource: Option<String>,
    /// The identifier or the name of an organization.
    pub organization: Option<String>,
    /// How they came about.
    pub method: Option<Method>,
    /// Where they stand.
    pub state: Option<State>,
    /// Not used for so many days.
    pub unused_days: Option<u16>,
}

/// Whose grants are revoked together, in the words of the command line and the API.
#[derive(Clone, Debug)]
pub enum All {
    /// Of a person: the e-mail address, or the identifier of the account.
    OfUser(String),
    /// Of a client.
    OfClient(String),
    /// For a resource server.
    ForResource(String),
    /// For the data of an organization: the identifier or the name.
    OfOrganization(String),
    /// Everybody's.
    OfEverybody,
}

/// What stays of a grant, in the words of the command line and the API.
#[derive(Clone, Debug, Default)]
pub struct Rest {
    /// The permissions of this tier, as far as the grant has them.
    pub tier: Option<String>,
    /// Exactly these permissions.
    pub permissions: Option<Vec<String>>,
    /// At these nodes and below them, as far as the grant has them.
    pub nodes: Vec<String>,
    /// It ends then.
    pub expires_at: Option<Timestamp>,
}

/// The grants that are asked for, newest first: at most `limit`, of those older than `before`.
pub async fn list(
    desk: Desk<'_>,
    wanted: &Wanted,
    before: Option<&GrantId>,
    limit: u32,
) -> Result<Vec<(Grant, User)>, GrantError> {
    let now = desk.clock.now();
    let days = |days: u16| now.minus(doorward_shared::time::Seconds::days(i64::from(days)));
    let filter = GrantFilter {
        user: match &wanted.user {
            Some(text) => Some(user(desk, text).await?),
            None => None,
        },
        client: wanted.client.as_deref().map(ClientId::parse).transpose()?,
        resource: wanted.resource.as_deref().map(ResourceUri::parse).transpose()?,
        organization: match &wanted.organization {
            Some(text) => Some(organization(desk, text).await?),
            None => None,
        },
        method: wanted.method,
        state: wanted.state,
        unused_since: wanted.unused_days.map(days),
    };
    Ok(desk.store.grants(&filter, before, limit, now).await?)
}

/// One grant and its person.
pub async fn show(desk: Desk<'_>, id: &str) -> Result<(Grant, User), GrantError> {
    let id = GrantId::parse(id).ok_or_else(|| GrantError::Id(id.to_owned()))?;
    desk.store.grant(&id).await?.ok_or(GrantError::Unknown(id))
}

/// Ends a grant. When this returns, no replica gives anything on it, and the feed has told every resource server that
/// listens.
pub async fn revoke(desk: Desk<'_>, id: &str) -> Result<GrantId, GrantError> {
    let (grant, _) = show(desk, id).await?;
    let now = desk.clock.now();
    let Some(revocation) = decide(&grant, &desk.policy.token, now) else {
        return Err(GrantError::Ended(grant.id));
    };
    let event = desk.event(Action::GrantRevoked, &grant.id, now).with("user", grant.user_id.as_str());
    match desk.store.end_grant(&revocation, &event).await? {
        Applied::Done => Ok(grant.id),
        Applied::Lost => Err(GrantError::Ended(grant.id)),
    }
}

/// Ends many grants at once. Answers how many there were.
pub async fn revoke_all(desk: Desk<'_>, all: &All) -> Result<u64, GrantError> {
    let now = desk.clock.now();
    let whose = match all {
        All::OfUser(text) => Whose::User(user(desk, text).await?),
        All::OfClient(text) => {
            let id = ClientId::parse(text)?;
            desk.store.client(&id).await?.ok_or_else(|| GrantError::UnknownClient(id.clone()))?;
            Whose::Client(id)
        }
        All::ForResource(text) => {
            let uri = ResourceUri::parse(text)?;
            let found = desk.store.resource(&uri).await?;
            Whose::Resource(found.ok_or(GrantError::UnknownResource(uri))?.uri)
        }
        All::OfOrganization(text) => Whose::Organization(organization(desk, text).await?),
        All::OfEverybody => Whose::Everybody(desk.policy.issuer.clone()),
    };
    let sweep = Sweep::revoked(whose, &desk.policy.token, now);
    let (claim, value) = sweep.whose().claim();
    let event = desk.event(Action::GrantsRevoked, value, now).with("of", claim.as_str());
    Ok(desk.store.end_grants(&sweep, &event).await?)
}

/// Makes a grant smaller or shorter. Access tokens from before are refused; the client gets a smaller one at its next
/// refresh.
pub async fn narrow_to(desk: Desk<'_>, id: &str, rest: &Rest) -> Result<(Grant, User), GrantError> {
    let (grant, _) = show(desk, id).await?;
    let now = desk.clock.now();
    let atoms = match (&rest.tier, &rest.permissions) {
        (Some(tier), _) => Some(tier_of(desk, &grant, tier).await?),
        (None, Some(names)) => Some(named(names, &grant)?),
        (None, None) => None,
    };
    let nodes: Vec<_> = rest.nodes.iter().map(|node| NodePath::parse(node)).collect::<Result<_, _>>()?;
    let allowance = (atoms.is_some() || !nodes.is_empty()).then(|| {
        let atoms = atoms.unwrap_or_else(|| grant.allowance.atoms());
        Allowance::at(&nodes, &atoms).intersection(&grant.allowance)
    });
    let wanted = Narrower { allowance, expires_at: rest.expires_at };
    let narrowing = narrow(&grant, &wanted, &desk.policy.token, now)?;
    let event = desk
        .event(Action::GrantNarrowed, &grant.id, now)
        .allowing("before", narrowing.before())
        .allowing("permissions", narrowing.allowance())
        .with("expires_at", narrowing.expires_at().seconds());
    match desk.store.narrow_grant(&narrowing, &event).await? {
        Applied::Done => show(desk, id).await,
        Applied::Lost => Err(GrantError::Busy),
    }
}

/// The permissions of a tier. The grant may lack some of them: what both have in common is no widening.
async fn tier_of(desk: Desk<'_>, grant: &Grant, tier: &str) -> Result<Scope, GrantError> {
    let found = desk.store.resource(&grant.resource).await?;
    let model = found.ok_or_else(|| GrantError::UnknownResource(grant.resource.clone()))?.model;
    let Some(permissions) = model.expand([tier]) else {
        let known = model.tiers().iter().map(|tier| tier.id.as_str()).collect::<Vec<_>>().join(", ");
        return Err(GrantError::Tier(tier.to_owned(), known));
    };
    Ok(permissions)
}

/// Exactly these permissions, each of which the grant has somewhere.
fn named(names: &[String], grant: &Grant) -> Result<Scope, GrantError> {
    let held = grant.allowance.atoms();
    let token = |name: &String| {
        let token = ScopeToken::parse(name).map_err(|_| GrantError::Permission(name.clone()))?;
        if held.contains(name) { Ok(token) } else { Err(NotNarrowed::Wider(name.clone()).into()) }
    };
    names.iter().map(token).collect()
}

async fn user(desk: Desk<'_>, text: &str) -> Result<UserId, GrantError> {
    let found = match UserId::parse(text) {
        Some(id) => desk.store.user(&id).await?,
        None => desk.store.user_by_email(&Email::parse(text)?).await?,
    };
    Ok(found.ok_or_else(|| GrantError::UnknownUser(text.to_owned()))?.id)
}

/// An identifier, also of one that a person has of their own, or the name of one that people share.
async fn organization(desk: Desk<'_>, text: &str) -> Result<OrganizationId, GrantError> {
    if let Some(id) = OrganizationId::parse(text) {
        return Ok(id);
    }
    let all = desk.store.organizations().await?;
    let named = all.into_iter().find(|organization| organization.name == text);
    named.map(|organization| organization.id).ok_or_else(|| GrantError::Organization(text.to_owned()))
}
