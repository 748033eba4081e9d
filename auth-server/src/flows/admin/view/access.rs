//! What somebody would get, and what a mapping document comes to.

use doorward_shared::allowance::MAX_NODES;
use schemars::JsonSchema;
use serde::Serialize;

use super::{AllowedAt, Entitlement};
use crate::{
    domain::preview::{Limit, TierReport},
    flows::admin::{
        access::OrganizationReport,
        mappings::{Effect, Outcome},
    },
};

/// What a person would get with the data of one organization.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Access {
    /// The identifier of the organization.
    pub organization: String,
    /// What it is called; null: it is the person's own.
    pub name: Option<String>,
    /// Place by place.
    pub places: Vec<AccessAt>,
}

/// What a person would get at one place.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AccessAt {
    /// The path of the node; null: the whole organization.
    pub node: Option<String>,
    /// Each tier of the resource server, lowest first.
    pub tiers: Vec<AccessTier>,
}

/// Whether one tier is possible at one place.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AccessTier {
    /// The identifier of the tier.
    pub tier: String,
    /// Whether it is possible in full.
    pub allowed: bool,
    /// What keeps it from being so.
    pub because: Vec<String>,
}

impl From<&OrganizationReport> for Access {
    fn from(report: &OrganizationReport) -> Self {
        let tier = |tier: &TierReport| AccessTier {
            tier: tier.tier.clone(),
            allowed: tier.limits.is_empty(),
            because: tier.limits.iter().map(words).collect(),
        };
        let places = report.places.iter().map(|place| AccessAt {
            node: place.node.as_ref().map(ToString::to_string),
            tiers: place.tiers.iter().map(tier).collect(),
        });
        Self {
            organization: report.organization.to_string(),
            name: report.name.clone(),
            places: places.collect(),
        }
    }
}

fn words(limit: &Limit) -> String {
    match limit {
        Limit::PersonDisabled => "the account is disabled".to_owned(),
        Limit::ClientDisabled => "the client is disabled".to_owned(),
        Limit::ResourceDisabled => "the resource server is disabled".to_owned(),
        Limit::NoRule => "no rule lets the person or one of their groups do it here".to_owned(),
        Limit::CeilingTier(tier) => format!("the ceiling of the client is the tier {tier}"),
        Limit::RegisteredTier(tier) => {
            format!("clients that registered themselves have the tier {tier} at most (registration.max_tier)")
        }
        Limit::CeilingPlace => "the ceiling of the client leaves this place out".to_owned(),
        Limit::TooManyNodes => format!(
            "a token names {MAX_NODES} nodes at most, fewer where their names are long, and so many come before this one; allow a node above them instead, or \
             choose fewer on the consent page"
        ),
    }
}

/// What a mapping document comes to.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Mapping {
    /// Whether it was carried out.
    pub applied: bool,
    /// What its author should know.
    pub findings: Vec<MappingFinding>,
    /// Rules that come.
    pub added: Vec<Entitlement>,
    /// Disabled rules that are in force by it.
    pub enabled: Vec<Entitlement>,
    /// Rules that go.
    pub removed: Vec<Entitlement>,
    /// Addresses of the resource servers that are for listed people only by it, and were not before.
    pub listed: Vec<String>,
    /// For whom it changes what.
    pub people: Vec<MappingEffect>,
}

/// Something about a document that its author should know.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MappingFinding {
    /// `note`, `warning`, or `error`: with an error it is not carried out.
    pub level: String,
    /// In which scope of the document.
    pub scope: String,
    /// What.
    pub text: String,
}

/// What a document changes for one person, at one resource server, with the data of one organization.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MappingEffect {
    /// Who: the identifier.
    pub user_id: String,
    /// Their e-mail address.
    pub email: String,
    /// At which resource server.
    pub resource: String,
    /// With the data of which organization.
    pub organization: String,
    /// What they may do from then on and could not do before.
    pub gains: Vec<AllowedAt>,
    /// What they may do no longer.
    pub loses: Vec<AllowedAt>,
    /// All that they may do from then on.
    pub has: Vec<AllowedAt>,
}

impl From<&Outcome> for Mapping {
    fn from(outcome: &Outcome) -> Self {
        let findings = outcome.findings.iter().map(|finding| MappingFinding {
            level: finding.level.as_str().to_owned(),
            scope: finding.scope.clone(),
            text: finding.text.clone(),
        });
        let effect = |effect: &Effect| MappingEffect {
            user_id: effect.user.id.to_string(),
            email: effect.user.email.to_string(),
            resource: effect.resource.to_string(),
            organization: effect.organization.to_string(),
            gains: AllowedAt::all(&effect.gains),
            loses: AllowedAt::all(&effect.loses),
            has: AllowedAt::all(&effect.has),
        };
        Self {
            applied: outcome.applied,
            findings: findings.collect(),
            added: outcome.added.iter().map(Entitlement::from).collect(),
            enabled: outcome.enabled.iter().map(Entitlement::from).collect(),
            removed: outcome.removed.iter().map(Entitlement::from).collect(),
            listed: outcome.listed.clone(),
            people: outcome.people.iter().map(effect).collect(),
        }
    }
}
