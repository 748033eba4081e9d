//! Shared organizations and the nodes of their data trees.

use doorward_shared::{
    node::{NodePath, NodeSyntax},
    time::Timestamp,
};

use super::{
    Desk, NameError, clean_name,
    places::{self, PlaceError},
};
use crate::{
    domain::{
        api_key::{ApiKey, State, revoke as withdraw},
        audit::Action,
        grant::Grant,
        ids::OrganizationId,
        organization::{Node, Organization, OrganizationName, check_name},
        revocation::revoke,
    },
    flows::ends::{one_by_one, verdicts},
    store::{Applied, StoreError},
};

/// Why nothing was done. Every message says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum OrganizationError {
    /// The name of the organization.
    #[error(transparent)]
    Name(#[from] OrganizationName),
    /// The title of the node.
    #[error("the title of a node: {0}")]
    Title(#[from] NameError),
    /// The path.
    #[error(transparent)]
    Path(#[from] NodeSyntax),
    /// There is one.
    #[error("there is an organization {0:?} already; `organization list` shows all")]
    Taken(String),
    /// There is no such organization or node.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// There is one.
    #[error("there is a node {0} already; `node list` shows all")]
    NodeTaken(NodePath),
    /// There is none.
    #[error("there is no node {0}; `node list` shows all")]
    UnknownNode(NodePath),
    /// Something names it.
    #[error(
        "{rules} rules, {grants} grants and {api_keys} API keys name {node} or a node below it; remove them first, or say so \
         (--force, or \"force\": true): the rules are removed, the grants end and the keys are revoked"
    )]
    Named {
        /// The node.
        node: NodePath,
        /// How many rules.
        rules: usize,
        /// How many grants.
        grants: usize,
        /// How many live API keys.
        api_keys: usize,
    },
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What went with a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WentWith {
    /// Rules that named it or a node below it.
    pub rules: usize,
    /// Grants that did.
    pub grants: usize,
    /// API keys that did.
    pub api_keys: usize,
}

/// Makes an organization.
pub async fn create(desk: Desk<'_>, name: &str) -> Result<Organization, OrganizationError> {
    let now = desk.clock.now();
    let organization = Organization {
        id: OrganizationId::generate(now, desk.entropy),
        name: check_name(name)?,
        created_at: now,
    };
    let event = desk.event(Action::OrganizationCreated, &organization.id, now);
    match desk.store.insert_organization(&organization, &event).await? {
        Applied::Done => Ok(organization),
        Applied::Lost => Err(OrganizationError::Taken(organization.name)),
    }
}

/// All shared organizations, by name.
pub async fn list(desk: Desk<'_>) -> Result<Vec<Organization>, OrganizationError> {
    Ok(desk.store.organizations().await?)
}

/// The nodes of an organization, by path. It is named by its identifier or its name.
pub async fn nodes(desk: Desk<'_>, organization: &str) -> Result<Vec<Node>, OrganizationError> {
    let organization = places::organization(desk, organization).await?;
    Ok(desk.store.nodes(&organization.id).await?)
}

/// Makes a node, and those above it that are not there yet.
pub async fn add_node(
    desk: Desk<'_>,
    organization: &str,
    path: &str,
    title: Option<&str>,
) -> Result<Node, OrganizationError> {
    let now = desk.clock.now();
    let path = NodePath::parse(path)?;
    let title = title.map(clean_name).transpose()?;
    let organization = places::organization(desk, organization).await?.id;
    let there = desk.store.nodes(&organization).await?;
    let above = std::iter::successors(path.parent(), NodePath::parent);
    let mut missing: Vec<_> =
        above.take_while(|above| !there.iter().any(|node| &node.path == above)).collect();
    missing.reverse();
    for path in missing {
        // Lost: somebody made it a moment earlier.
        let _made = insert(desk, &organization, path, None, now).await?;
    }
    match insert(desk, &organization, path, title, now).await? {
        (Applied::Done, node) => Ok(node),
        (Applied::Lost, node) => Err(OrganizationError::NodeTaken(node.path)),
    }
}

async fn insert(
    desk: Desk<'_>,
    organization: &OrganizationId,
    path: NodePath,
    title: Option<String>,
    now: Timestamp,
) -> Result<(Applied, Node), StoreError> {
    let node = Node { organization: organization.clone(), path, title, created_at: now };
    let event = desk.event(Action::NodeAdded, organization, now).with("node", node.path.as_str());
    Ok((desk.store.insert_node(&node, &event).await?, node))
}

/// Removes a node and everything below it. Nothing that names one of them is left: where there is something, it goes only
/// when `force` says so.
pub async fn remove_node(
    desk: Desk<'_>,
    organization: &str,
    path: &str,
    force: bool,
) -> Result<WentWith, OrganizationError> {
    let now = desk.clock.now();
    let path = NodePath::parse(path)?;
    let organization = places::organization(desk, organization).await?.id;
    let naming = |rule: &crate::domain::entitlement::Rule| {
        let place = &rule.says.place;
        place.realm.shared() == Some(&organization)
            && place.node.as_ref().is_some_and(|node| path.covers(node))
    };
    let rules = desk.store.rules().await?.iter().filter(|rule| naming(rule)).count();
    let grants = desk.store.grants_naming(&organization, &path).await?.len();
    let keys = desk.store.api_keys_naming(&organization, &path).await?;
    let api_keys = keys.iter().filter(|key| key.state(now) == State::Active).count();
    if !force && rules + grants + api_keys > 0 {
        return Err(OrganizationError::Named { node: path, rules, grants, api_keys });
    }
    let mut went = WentWith {
        rules,
        grants: end_grants(desk, &organization, &path, now).await?,
        api_keys: end_keys(desk, &organization, &path, now).await?,
    };
    let event = desk.event(Action::NodeRemoved, &organization, now).with("node", path.as_str());
    if desk.store.remove_node(&organization, &path, &event).await? == Applied::Lost {
        return Err(OrganizationError::UnknownNode(path));
    }
    // Those that were allowed while the others ended. From here on neither the consent page nor a new key takes the node.
    went.grants += end_grants(desk, &organization, &path, now).await?;
    went.api_keys += end_keys(desk, &organization, &path, now).await?;
    Ok(went)
}

/// Expired keys end with the others, silently: nothing that names the node is left.
async fn end_keys(
    desk: Desk<'_>,
    organization: &OrganizationId,
    path: &NodePath,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let keys = desk.store.api_keys_naming(organization, path).await?;
    let (live, over): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.state(now) == State::Active);
    let end = async |keys: &[ApiKey]| {
        let event = |key: &ApiKey| {
            let event = desk.event(Action::ApiKeyRevoked, &key.id, now).with("user", key.user_id.as_str());
            event.with("node_removed", path.as_str())
        };
        let verdicts = verdicts(keys, |key| withdraw(key, &desk.policy.token, now), event);
        one_by_one(verdicts, async |key, event| desk.store.revoke_api_key(key, event).await).await
    };
    end(&over).await?;
    end(&live).await
}

async fn end_grants(
    desk: Desk<'_>,
    organization: &OrganizationId,
    path: &NodePath,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let mut grants = Vec::new();
    for id in desk.store.grants_naming(organization, path).await? {
        grants.extend(desk.store.grant(&id).await?.map(|(grant, _)| grant));
    }
    let event = |grant: &Grant| {
        let event = desk.event(Action::GrantRevoked, &grant.id, now).with("user", grant.user_id.as_str());
        event.with("node_removed", path.as_str())
    };
    let verdicts = verdicts(&grants, |grant| revoke(grant, &desk.policy.token, now), event);
    one_by_one(verdicts, async |grant, event| desk.store.end_grant(grant, event).await).await
}
