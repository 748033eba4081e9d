//! Organizations, nodes and rules.

use doorward_shared::{resource::ResourceUri, time::Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    domain::{
        self,
        entitlement::{Holder, Rule},
        ids::OrganizationId,
    },
    flows::admin::{entitlements::MadeRule, organizations::WentWith},
};

/// An organization that people share.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Organization {
    /// Its identifier; `org` of the tokens for its data.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// When it was made.
    #[schemars(with = "i64")]
    pub created_at: Timestamp,
}

impl From<&domain::organization::Organization> for Organization {
    fn from(organization: &domain::organization::Organization) -> Self {
        let domain::organization::Organization { id, name, created_at } = organization;
        Self { id: id.to_string(), name: name.clone(), created_at: *created_at }
    }
}

/// A node of an organization's data tree.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Node {
    /// Whose tree.
    pub organization: String,
    /// Where.
    pub path: String,
    /// What it is, by its depth: `workspace`, `project`, `folder`.
    pub kind: String,
    /// What people read instead of the path.
    pub title: Option<String>,
    /// When it was made.
    #[schemars(with = "i64")]
    pub created_at: Timestamp,
}

impl From<&domain::organization::Node> for Node {
    fn from(node: &domain::organization::Node) -> Self {
        Self {
            organization: node.organization.to_string(),
            path: node.path.to_string(),
            kind: node.path.kind().as_str().to_owned(),
            title: node.title.clone(),
            created_at: node.created_at,
        }
    }
}

/// What went with a node that was removed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RemovedNode {
    /// How many rules.
    pub rules: usize,
    /// How many grants ended.
    pub grants: usize,
    /// How many live API keys were revoked.
    pub api_keys: usize,
}

impl From<WentWith> for RemovedNode {
    fn from(WentWith { rules, grants, api_keys }: WentWith) -> Self {
        Self { rules, grants, api_keys }
    }
}

/// A rule: who may do what where.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Entitlement {
    /// Its identifier.
    pub id: String,
    /// Whom it is about: `person`, `group`, `everyone`.
    pub holder: String,
    /// The person.
    pub user_id: Option<String>,
    /// The name of the group.
    pub group: Option<String>,
    /// What they may do: the identifier of a tier.
    pub tier: String,
    /// At which resource server; null: at each.
    pub resource: Option<String>,
    /// With whose data: the identifier of an organization; null: each with their own.
    pub organization: Option<String>,
    /// With which node of it; null: all of it.
    pub node: Option<String>,
    /// Whether it is disabled, so that it allows nothing.
    pub disabled: bool,
    /// When it was made.
    #[schemars(with = "i64")]
    pub created_at: Timestamp,
}

impl From<&Rule> for Entitlement {
    fn from(rule: &Rule) -> Self {
        let says = &rule.says;
        let (holder, user_id, group) = match &says.holder {
            Holder::Person(id) => ("person", Some(id.to_string()), None),
            Holder::Group(name) => ("group", None, Some(name.clone())),
            Holder::Everyone => ("everyone", None, None),
        };
        Self {
            id: rule.id.to_string(),
            holder: holder.to_owned(),
            user_id,
            group,
            tier: says.tier.clone(),
            resource: says.resource.as_ref().map(ResourceUri::to_string),
            organization: says.place.realm.shared().map(OrganizationId::to_string),
            node: says.place.node.as_ref().map(ToString::to_string),
            disabled: rule.disabled_at.is_some(),
            created_at: rule.created_at,
        }
    }
}

/// A rule that was just made.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct NewEntitlement {
    /// The rule.
    #[serde(flatten)]
    pub entitlement: Entitlement,
    /// Addresses of the resource servers that are for listed people only from now on, since this is the first rule about them.
    pub listed: Vec<String>,
}

impl From<&MadeRule> for NewEntitlement {
    fn from(made: &MadeRule) -> Self {
        Self { entitlement: Entitlement::from(&made.rule), listed: made.listed.clone() }
    }
}
