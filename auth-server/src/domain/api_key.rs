//! API keys: what a person gives to a script instead of a browser. A key is worth no more than its person: what it allows is
//! what the person may do at that moment ∩ what was written into it.

use std::{collections::BTreeSet, num::NonZeroU32};

use doorward_shared::{
    allowance::{Allowance, MAX_NODES},
    node::NodePath,
    permission::PermissionModel,
    resource::ResourceUri,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

mod secret;

pub use self::secret::{ApiKeyHash, ApiKeySecret, is_api_key};
use super::{
    entitlement::{Rule, Seat, entitlement},
    ids::{ApiKeyId, OrganizationId, UserId},
    key_life::KeyLife,
    organization::Node,
    policy::TokenPolicy,
    resource::Resource,
    user::User,
};

/// A key as it is stored.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its identifier; `sid` and `client_id` of what is said about it.
    pub id: ApiKeyId,
    /// Whose it is.
    pub user_id: UserId,
    /// What its person calls it.
    pub name: String,
    /// For whose data.
    pub organization: OrganizationId,
    /// For which resource server, in the registered spelling; `None`: for each.
    pub resource: Option<ResourceUri>,
    /// What may be done with it at most.
    pub powers: Powers,
    /// How many requests a minute each process of a resource server lets it make; `None`: as many as is usual.
    pub rate_limit: Option<NonZeroU32>,
    /// Hash of its text.
    pub hash: ApiKeyHash,
    /// How its text begins, by which its person knows it.
    pub prefix: String,
    /// When it was made. What was revoked up to then does not concern it.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked. Nothing makes it live again.
    pub revoked_at: Option<Timestamp>,
}

/// What may be done with a key at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Powers {
    /// Everything that its person may do.
    Full,
    /// This; what is allowed at a node is allowed below it.
    Scoped(Vec<Power>),
}

/// A tier at a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// At this node and below it; `None`: in the whole organization.
    pub node: Option<NodePath>,
    /// All permissions of the tier with this identifier.
    pub tier: String,
}

impl Powers {
    /// One tier at each of these nodes; without a node, in the whole organization.
    pub fn simple(tier: &str, nodes: Vec<NodePath>) -> Self {
        let power = |node| Power { node, tier: tier.to_owned() };
        if nodes.is_empty() {
            return Self::Scoped(vec![power(None)]);
        }
        Self::Scoped(nodes.into_iter().map(Some).map(power).collect())
    }

    /// The places and their tiers; `None` for a key that may do everything.
    pub fn list(&self) -> Option<&[Power]> {
        match self {
            Self::Full => None,
            Self::Scoped(powers) => Some(powers),
        }
    }

    /// True when they name this node or one below it.
    pub fn name(&self, path: &NodePath) -> bool {
        let named = self.list().unwrap_or_default().iter().filter_map(|power| power.node.as_ref());
        named.into_iter().any(|node| path.covers(node))
    }

    /// What they allow at a resource server. A tier that it does not have allows nothing.
    pub fn allowance(&self, model: &PermissionModel) -> Allowance {
        match self {
            Self::Full => Allowance::everywhere(model.all()),
            Self::Scoped(powers) => powers.iter().fold(Allowance::default(), |all, power| {
                let atoms = model.expand([power.tier.as_str()]).unwrap_or_default();
                let here = power.node.clone();
                all.union(&here.map_or_else(
                    || Allowance::everywhere(atoms.clone()),
                    |node| Allowance::at_node(node, atoms.clone()),
                ))
            }),
        }
    }
}

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It can be used.
    Active,
    /// It is past its time.
    Expired,
    /// It was revoked.
    Revoked,
}

impl State {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// Why a key is not good. For the log: whoever presents it is told nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dead {
    /// It was revoked.
    #[error("the API key was revoked")]
    Revoked,
    /// It is past its time.
    #[error("the API key has expired")]
    Expired,
    /// Its person may not use this server.
    #[error("the account of the API key is disabled")]
    Disabled,
    /// It is for another resource server.
    #[error("the API key is for another resource server")]
    Elsewhere,
    /// Everything of this person or for this resource server was revoked after it was made.
    #[error("the API key was made before everything of its person or its resource server was revoked")]
    Swept,
}

impl ApiKey {
    /// Where it stands.
    pub fn state(&self, now: Timestamp) -> State {
        if self.revoked_at.is_some() {
            State::Revoked
        } else if self.expires_at.is_some_and(|end| now >= end) {
            State::Expired
        } else {
            State::Active
        }
    }

    /// True when its use should be written down: at most once a minute.
    pub fn wants_touch(&self, now: Timestamp) -> bool {
        self.last_used_at.is_none_or(|last| now.since(last).get() >= TOUCH_EVERY)
    }
}

/// Seconds between two uses that are written down.
pub const TOUCH_EVERY: i64 = 60;

/// Is the key good at this resource server, now?
pub fn is_live(key: &ApiKey, user: &User, resource: &Resource, now: Timestamp) -> Result<(), Dead> {
    match key.state(now) {
        State::Active => {}
        State::Expired => return Err(Dead::Expired),
        State::Revoked => return Err(Dead::Revoked),
    }
    if user.disabled_at.is_some() || user.id != key.user_id {
        return Err(Dead::Disabled);
    }
    let elsewhere = key.resource.as_ref().is_some_and(|own| !own.same_as(&resource.uri));
    if elsewhere || resource.disabled_at.is_some() {
        return Err(Dead::Elsewhere);
    }
    // As with access tokens: what was made up to that moment is revoked, whoever enables what again later.
    let swept = [user.revoked_until, resource.revoked_until].into_iter().flatten().max();
    if swept.is_some_and(|until| key.created_at <= until) {
        return Err(Dead::Swept);
    }
    Ok(())
}

/// What a key allows in the end: never more than its person may do, and never more than it says.
pub fn effective(key: &ApiKey, seat: Seat<'_>) -> Allowance {
    entitlement(seat).intersection(&key.powers.allowance(&seat.resource.model))
}

/// The verdict that a key is revoked.
#[derive(Clone, Debug)]
pub struct Withdrawal {
    key: ApiKeyId,
    at: Timestamp,
    forget_at: Timestamp,
}

impl Withdrawal {
    /// Which key.
    pub const fn key(&self) -> &ApiKeyId {
        &self.key
    }

    /// When.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// When no resource server can still take it for good, so that the feed may forget it.
    pub const fn forget_at(&self) -> Timestamp {
        self.forget_at
    }
}

/// Decides on a revocation. `None`: it was revoked before.
pub fn revoke(key: &ApiKey, policy: &TokenPolicy, now: Timestamp) -> Option<Withdrawal> {
    let withdrawal = || Withdrawal { key: key.id.clone(), at: now, forget_at: policy.forget_at(now) };
    key.revoked_at.is_none().then(withdrawal)
}

/// What somebody wants a key for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What to call it.
    pub name: String,
    /// For whose data.
    pub organization: OrganizationId,
    /// For which resource server; `None`: for each.
    pub resource: Option<ResourceUri>,
    /// What may be done with it at most.
    pub powers: Powers,
    /// How many requests a minute it may make; `None`: as many as is usual.
    pub rate_limit: Option<NonZeroU32>,
    /// How long it lives.
    pub life: KeyLife,
}

/// What has to be known to decide on a new key.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// Whose it is to be.
    pub user: &'a User,
    /// The resource servers that it is for, each with the rules that may concern the person there.
    pub resources: &'a [(Resource, Vec<Rule>)],
    /// The nodes of the organization; `None` where a node comes to exist by being named.
    pub nodes: Option<&'a [Node]>,
    /// How many live keys the person has.
    pub live: usize,
    /// The highest limit of requests a minute that whoever asks may give; `None`: any.
    pub most_requests: Option<NonZeroU32>,
}

/// Most live keys of one person.
pub const MOST_KEYS: usize = 50;
/// Longest name, in characters: it is said in every answer about the key.
pub const LONGEST_NAME: usize = 60;

/// Why no key is made. Every message says what to do instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotMade {
    /// The name.
    #[error("a key is named with 1 to {LONGEST_NAME} characters and no line breaks; give another name")]
    Name,
    /// Its person may not use this server.
    #[error("the account is disabled; enable it first")]
    Disabled,
    /// There are too many.
    #[error("there are {MOST_KEYS} live keys of this account; revoke one that is not used any more")]
    TooMany,
    /// The limit of requests is higher than what whoever asks may give.
    #[error(
        "a key may make at most {0} requests a minute here; give a lower limit, or ask an administrator for the key"
    )]
    TooOften(NonZeroU32),
    /// It would allow nothing by its own words.
    #[error("name at least one tier that the key allows")]
    Nothing,
    /// Too many nodes.
    #[error("a key names at most {MAX_NODES} nodes; name one that is above several of them")]
    TooManyNodes,
    /// A place is named twice.
    #[error("{0} is named twice; name each node once")]
    Twice(String),
    /// There is no such tier.
    #[error("there is no tier {0:?}; there are: {1}")]
    Tier(String, String),
    /// There is no such node.
    #[error("the organization has no node {0}; make it first, or name another one")]
    Node(NodePath),
    /// There is no resource server that it could be for.
    #[error("there is no resource server that the key could be for; register one first")]
    NoResource,
    /// Its person may do nothing of it.
    #[error(
        "the key would allow nothing, since the account may do nothing of it there; allow that first, or name another \
         place or tier"
    )]
    Worthless,
}

/// Decides on a new key.
pub fn make(
    wanted: Wanted,
    ground: Ground<'_>,
    (id, secret): (ApiKeyId, &ApiKeySecret),
    now: Timestamp,
) -> Result<ApiKey, NotMade> {
    let Ground { user, resources, nodes, live, most_requests } = ground;
    let name = wanted.name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(NotMade::Name);
    }
    if user.disabled_at.is_some() {
        return Err(NotMade::Disabled);
    }
    if live >= MOST_KEYS {
        return Err(NotMade::TooMany);
    }
    if let (Some(wanted), Some(most)) = (wanted.rate_limit, most_requests)
        && wanted > most
    {
        return Err(NotMade::TooOften(most));
    }
    let usable = || resources.iter().filter(|(resource, _)| resource.disabled_at.is_none());
    if usable().next().is_none() {
        return Err(NotMade::NoResource);
    }
    if let Powers::Scoped(powers) = &wanted.powers {
        check(powers, &mut usable().map(|(resource, _)| &resource.model), nodes)?;
    }
    let key = ApiKey {
        id,
        user_id: user.id.clone(),
        name: name.to_owned(),
        organization: wanted.organization,
        resource: wanted.resource,
        powers: wanted.powers,
        rate_limit: wanted.rate_limit,
        hash: secret.hash(),
        prefix: secret.prefix(),
        created_at: now,
        expires_at: wanted.life.end(now),
        last_used_at: None,
        revoked_at: None,
    };
    let allows = |(resource, rules): &(Resource, Vec<Rule>)| {
        !effective(&key, Seat { user, resource, organization: &key.organization, rules }).is_empty()
    };
    if usable().any(allows) { Ok(key) } else { Err(NotMade::Worthless) }
}

fn check(
    powers: &[Power],
    models: &mut dyn Iterator<Item = &PermissionModel>,
    nodes: Option<&[Node]>,
) -> Result<(), NotMade> {
    if powers.is_empty() {
        return Err(NotMade::Nothing);
    }
    if powers.len() > MAX_NODES {
        return Err(NotMade::TooManyNodes);
    }
    let mut known: Vec<&str> = Vec::new();
    for tier in models.flat_map(PermissionModel::tiers) {
        if !known.contains(&tier.id.as_str()) {
            known.push(&tier.id);
        }
    }
    let mut places = BTreeSet::new();
    for Power { node, tier } in powers {
        if !known.contains(&tier.as_str()) {
            return Err(NotMade::Tier(tier.clone(), known.join(", ")));
        }
        if !places.insert(node) {
            let whole = || "the whole organization".to_owned();
            return Err(NotMade::Twice(node.as_ref().map_or_else(whole, ToString::to_string)));
        }
        if let (Some(node), Some(nodes)) = (node, nodes)
            && !nodes.iter().any(|there| &there.path == node)
        {
            return Err(NotMade::Node(node.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
