//! Whether a key is made as it is wished for.

use std::{collections::BTreeSet, num::NonZeroU32};

use doorward_shared::{
    allowance::MAX_NODES, node::NodePath, permission::PermissionModel, resource::ResourceUri, time::Timestamp,
};

use super::{ApiKey, ApiKeySecret, Power, Powers, effective};
use crate::domain::{
    entitlement::{Rule, Seat},
    ids::{ApiKeyId, OrganizationId},
    key_life::KeyLife,
    organization::Node,
    resource::Resource,
    user::User,
};

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
pub(super) const MOST_KEYS: usize = 50;
/// Longest name, in characters: it is said in every answer about the key.
pub(super) const LONGEST_NAME: usize = 60;

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
