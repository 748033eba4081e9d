//! Who may do what where: shared organizations with their nodes, and the rules.

use async_trait::async_trait;
use doorward_shared::{node::NodePath, resource::ResourceUri};

use super::{Applied, Result};
use crate::domain::{
    api_key::ApiKey,
    audit::Event,
    entitlement::{Change, Rule},
    ids::{EntitlementId, GrantId, OrganizationId, UserId},
    organization::{Node, Organization},
    resource::Access,
};

/// Organizations that people share, and the nodes of their data trees.
#[async_trait]
pub trait Organizations: Send + Sync {
    /// Stores a new organization. `Lost`: the name is taken.
    async fn insert_organization(&self, organization: &Organization, event: &Event) -> Result<Applied>;
    /// The shared organization with this identifier.
    async fn organization(&self, id: &OrganizationId) -> Result<Option<Organization>>;
    /// All shared organizations, by name.
    async fn organizations(&self) -> Result<Vec<Organization>>;
    /// Stores a new node. `Lost`: there is one at this path, there is none above it, or there is no such organization.
    async fn insert_node(&self, node: &Node, event: &Event) -> Result<Applied>;
    /// The nodes of a shared organization, by path.
    async fn nodes(&self, organization: &OrganizationId) -> Result<Vec<Node>>;
    /// Removes a node, everything below it, and the rules that name one of them; the event gets their identifiers as
    /// `removed`. `Lost`: there is no such node.
    async fn remove_node(
        &self,
        organization: &OrganizationId,
        path: &NodePath,
        event: &Event,
    ) -> Result<Applied>;
    /// The grants that have not ended and that name this node or one below it.
    async fn grants_naming(&self, organization: &OrganizationId, path: &NodePath) -> Result<Vec<GrantId>>;
    /// The API keys that were not revoked and that name this node or one below it.
    async fn api_keys_naming(&self, organization: &OrganizationId, path: &NodePath) -> Result<Vec<ApiKey>>;
}

/// Rules, and whom a resource server is for.
#[async_trait]
pub trait Entitlements: Send + Sync {
    /// All rules, oldest first.
    async fn rules(&self) -> Result<Vec<Rule>>;
    /// The rules in force that can concern this person at this resource server, in any organization. Those for groups that
    /// the person is not in are among them.
    async fn rules_for(&self, user: &UserId, resource: &ResourceUri) -> Result<Vec<Rule>>;
    /// Removes rules, enables disabled ones and adds others, all or nothing. A resource server that is [closed](crate::domain::entitlement::closes) by
    /// the rules that come is for listed people only from then on, and so is every one that the change names; the event gets them as `listed`. Nothing happens
    /// when a rule that is removed is gone, when one that is enabled is not there disabled, when a rule that is added says the same as another one, or when it names what is
    /// not there.
    async fn change_rules(&self, change: &Change, event: &Event) -> Result<Changed>;
    /// Disables or enables a rule at the event's time. Enabling closes what adding it would; the event gets that as `listed`.
    /// `Lost`: there is none.
    async fn set_rule(&self, id: &EntitlementId, enabled: bool, event: &Event) -> Result<Changed>;
    /// Says whom a resource server is for. `Lost`: there is none.
    async fn set_access(&self, uri: &ResourceUri, access: Access, event: &Event) -> Result<Applied>;
}

/// What came of a change of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Whether it happened.
    pub applied: Applied,
    /// Addresses of the resource servers that are for listed people only from now on, and were not before.
    pub listed: Vec<String>,
}
