//! API keys of people: made, listed and revoked, by an administrator or by the person.

use std::num::NonZeroU32;

use doorward_shared::{
    node::{NodePath, NodeSyntax},
    resource::{ResourceSyntax, ResourceUri},
    time::Timestamp,
};

use super::{
    Desk,
    places::{self, PlaceError},
    users::{self, UserError},
};
use crate::{
    domain::{
        api_key::{
            ApiKey, ApiKeySecret, Ground, NotMade, Power, Powers, State, Wanted, make as decide,
            revoke as withdraw,
        },
        audit::Action,
        ids::{ApiKeyId, OrganizationId},
        key_life::KeyLife,
        organization::Realm,
        user::User,
    },
    store::{Applied, StoreError},
};

/// What a key is made from, in the words of the command line, the API and the page.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// What to call it.
    pub name: String,
    /// For whose data: an organization by its identifier or name; `None`: the person's own.
    pub organization: Option<String>,
    /// For which resource server; `None`: for each.
    pub resource: Option<String>,
    /// What may be done with it at most.
    pub powers: NewPowers,
    /// How many requests a minute it may make; `None`: as many as is usual.
    pub rate_limit: Option<NonZeroU32>,
    /// How long it lives.
    pub life: KeyLife,
}

/// What may be done with a key at most, before it is read.
#[derive(Clone, Debug)]
pub enum NewPowers {
    /// Everything that the person may do.
    Full,
    /// A tier at each of these places; without a node, in the whole organization.
    Scoped(Vec<(Option<String>, String)>),
}

impl NewPowers {
    /// The nodes that are named.
    pub fn nodes(&self) -> Vec<&str> {
        match self {
            Self::Full => Vec::new(),
            Self::Scoped(places) => places.iter().filter_map(|(node, _)| node.as_deref()).collect(),
        }
    }

    /// One tier at each of these nodes; without a node, in the whole organization.
    pub fn simple(tier: &str, nodes: Vec<String>) -> Self {
        if nodes.is_empty() {
            return Self::Scoped(vec![(None, tier.to_owned())]);
        }
        Self::Scoped(nodes.into_iter().map(|node| (Some(node), tier.to_owned())).collect())
    }

    fn read(&self) -> Result<Powers, NodeSyntax> {
        let Self::Scoped(list) = self else { return Ok(Powers::Full) };
        let read = |(node, tier): &(Option<String>, String)| {
            let node = node.as_deref().map(NodePath::parse).transpose()?;
            Ok(Power { node, tier: tier.clone() })
        };
        Ok(Powers::Scoped(list.iter().map(read).collect::<Result<_, _>>()?))
    }
}

/// Why nothing was done. Every message says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    /// The person.
    #[error(transparent)]
    User(#[from] UserError),
    /// The organization.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The path of a node.
    #[error(transparent)]
    Node(#[from] NodeSyntax),
    /// The address of a resource server.
    #[error(transparent)]
    Resource(#[from] ResourceSyntax),
    /// There is no such resource server.
    #[error("there is no resource {0}; `resource list` shows all")]
    UnknownResource(ResourceUri),
    /// It is not made.
    #[error(transparent)]
    NotMade(#[from] NotMade),
    /// There is none.
    #[error("there is no API key {0}; `key list` shows all")]
    Unknown(String),
    /// The account, the resource server or a node was disabled or removed at the same moment.
    #[error(
        "the account, the resource server or a node was changed at the same moment; look at them and try again"
    )]
    Busy,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a key for somebody: the identifier of the account, or its e-mail address. Nobody sees the secret again.
pub async fn create(
    desk: Desk<'_>,
    who: &str,
    new: &NewApiKey,
) -> Result<(ApiKey, User, ApiKeySecret), ApiKeyError> {
    let user = users::show(desk, who).await?;
    let (key, secret) = make(desk, &user, new, None).await?;
    Ok((key, user, secret))
}

/// Makes a key for a person, with a limit of `most_requests` a minute at most.
pub async fn make(
    desk: Desk<'_>,
    user: &User,
    new: &NewApiKey,
    most_requests: Option<NonZeroU32>,
) -> Result<(ApiKey, ApiKeySecret), ApiKeyError> {
    let now = desk.clock.now();
    let organization = organization(desk, user, new.organization.as_deref()).await?;
    let found = match new.resource.as_deref().map(ResourceUri::parse).transpose()? {
        None => desk.store.resources().await?,
        Some(uri) => match desk.store.resource(&uri).await? {
            Some(resource) => vec![resource],
            None => return Err(ApiKeyError::UnknownResource(uri)),
        },
    };
    let mut resources = Vec::new();
    for resource in found {
        let rules = desk.store.rules_for(&user.id, &resource.uri).await?;
        resources.push((resource, rules));
    }
    let nodes =
        if organization == user.organization { None } else { Some(desk.store.nodes(&organization).await?) };
    let all = desk.store.api_keys(Some(&user.id), None, u32::MAX).await?;
    let live = all.iter().filter(|(key, _)| key.state(now) == State::Active).count();
    let powers = new.powers.read()?;
    let secret = ApiKeySecret::generate(&powers, desk.entropy);
    let wanted = Wanted {
        name: new.name.clone(),
        organization,
        // In the registered spelling.
        resource: resources
            .first()
            .filter(|_| new.resource.is_some())
            .map(|(resource, _)| resource.uri.clone()),
        powers,
        rate_limit: new.rate_limit,
        life: new.life,
    };
    let ground = Ground { user, resources: &resources, nodes: nodes.as_deref(), live, most_requests };
    let key = decide(wanted, ground, (ApiKeyId::generate(now, desk.entropy), &secret), now)?;
    let event = desk
        .event(Action::ApiKeyCreated, &key.id, now)
        .with("user", user.id.as_str())
        .with("name", key.name.as_str())
        .with("organization", key.organization.as_str())
        .with("resource", key.resource.as_ref().map(ResourceUri::as_str))
        .with("powers", words(&key.powers))
        .with("rate_limit", key.rate_limit.map(NonZeroU32::get))
        .with("expires_at", key.expires_at.map(Timestamp::seconds));
    match desk.store.insert_api_key(&key, &event).await? {
        Applied::Done => Ok((key, secret)),
        Applied::Lost => Err(ApiKeyError::Busy),
    }
}

async fn organization(
    desk: Desk<'_>,
    user: &User,
    text: Option<&str>,
) -> Result<OrganizationId, ApiKeyError> {
    match text {
        None | Some(Realm::OWN) => Ok(user.organization.clone()),
        Some(text) if text == user.organization.as_str() => Ok(user.organization.clone()),
        Some(text) => Ok(places::organization(desk, text).await?.id),
    }
}

/// The keys of a person, or of all, newest first, those that are over included: at most `limit`, of those older than `before`.
pub async fn list(
    desk: Desk<'_>,
    who: Option<&str>,
    before: Option<&ApiKeyId>,
    limit: u32,
) -> Result<Vec<(ApiKey, User)>, ApiKeyError> {
    let user = match who {
        Some(who) => Some(users::show(desk, who).await?.id),
        None => None,
    };
    Ok(desk.store.api_keys(user.as_ref(), before, limit).await?)
}

/// One key and its person.
pub async fn show(desk: Desk<'_>, id: &str) -> Result<(ApiKey, User), ApiKeyError> {
    let unknown = || ApiKeyError::Unknown(id.to_owned());
    let key = ApiKeyId::parse(id).ok_or_else(unknown)?;
    desk.store.api_key(&key).await?.ok_or_else(unknown)
}

/// Revokes a key for good. Revoking it again changes nothing.
pub async fn revoke(desk: Desk<'_>, id: &str) -> Result<ApiKeyId, ApiKeyError> {
    let (key, _) = show(desk, id).await?;
    let _done_now_or_before: Applied = end(desk, &key, Action::ApiKeyRevoked).await?;
    Ok(key.id)
}

/// Revokes a key that was found. `Lost`: it was revoked before.
pub(in crate::flows) async fn end(
    desk: Desk<'_>,
    key: &ApiKey,
    action: Action,
) -> Result<Applied, StoreError> {
    let now = desk.clock.now();
    let Some(withdrawal) = withdraw(key, &desk.policy.token, now) else { return Ok(Applied::Lost) };
    let event = desk.event(action, &key.id, now).with("user", key.user_id.as_str());
    desk.store.revoke_api_key(&withdrawal, &event).await
}

/// What a key may do at most, in words: `full`, `read`, `read@alpha/site`.
fn words(powers: &Powers) -> Vec<String> {
    let word = |Power { node, tier }: &Power| match node {
        None => tier.clone(),
        Some(node) => format!("{tier}@{node}"),
    };
    powers.list().map_or_else(|| vec!["full".to_owned()], |list| list.iter().map(word).collect())
}
