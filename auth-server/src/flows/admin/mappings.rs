//! Mapping documents: what they come to, whom that changes what for, and the change itself.

use std::collections::BTreeSet;

use doorward_shared::{allowance::Allowance, resource::ResourceUri, scope::Scope};

use super::Desk;
use crate::{
    domain::{
        audit::Action,
        entitlement::{Change, Rule, Seat, entitlement},
        ids::{EntitlementId, OrganizationId},
        mapping::{self, Finding, Known, Level, MappedScope, MappingSyntax, Plan},
        organization::{Node, Organization},
        resource::{Access, Resource},
        user::User,
    },
    store::{Applied, StoreError},
};

/// Whether a document is carried out, or only what it would come to is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing changes.
    Preview,
    /// The rules change.
    Apply,
}

/// What a document comes to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Whether it was carried out.
    pub applied: bool,
    /// What its author should know.
    pub findings: Vec<Finding>,
    /// Rules that come.
    pub added: Vec<Rule>,
    /// Disabled rules that are in force by it.
    pub enabled: Vec<Rule>,
    /// Rules that go.
    pub removed: Vec<Rule>,
    /// Addresses of the resource servers that are for listed people only by it, and were not before.
    pub listed: Vec<String>,
    /// For whom it changes what.
    pub people: Vec<Effect>,
}

/// What a document changes for one person, at one resource server, with the data of one organization.
#[derive(Clone, Debug)]
pub struct Effect {
    /// Who.
    pub user: User,
    /// Where.
    pub resource: ResourceUri,
    /// Whose data.
    pub organization: OrganizationId,
    /// What they may do from then on and could not do before.
    pub gains: Allowance,
    /// What they may do no longer.
    pub loses: Allowance,
    /// All that they may do from then on.
    pub has: Allowance,
}

/// Why nothing was done. Every message says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The document cannot be read.
    #[error(transparent)]
    Syntax(#[from] MappingSyntax),
    /// Something in it is wrong.
    #[error("nothing was changed: {0}")]
    Wrong(String),
    /// Somebody else changed the rules.
    #[error("the rules were changed by somebody else at the same moment; look at the preview and try again")]
    Raced,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Everything that a document can name.
struct World {
    resources: Vec<Resource>,
    organizations: Vec<(Organization, Vec<Node>)>,
    rules: Vec<Rule>,
    users: Vec<User>,
    groups: BTreeSet<String>,
}

impl World {
    async fn load(desk: Desk<'_>) -> Result<Self, StoreError> {
        let mut organizations = Vec::new();
        for organization in desk.store.organizations().await? {
            let nodes = desk.store.nodes(&organization.id).await?;
            organizations.push((organization, nodes));
        }
        let (resources, rules) = (desk.store.resources().await?, desk.store.rules().await?);
        let users = desk.store.users().await?;
        let groups = users.iter().flat_map(User::all_groups).collect();
        Ok(Self { resources, organizations, rules, users, groups })
    }

    fn known(&self) -> Known<'_> {
        let Self { resources, organizations, rules, groups, .. } = self;
        Known { resources, organizations, rules, groups }
    }
}

/// Reads a document, says what it comes to, and carries it out if that is asked for and nothing in it is wrong.
pub async fn import(desk: Desk<'_>, text: &str, mode: Mode) -> Result<Outcome, MappingError> {
    let scopes = mapping::read(text)?;
    let world = World::load(desk).await?;
    let Plan { add, enable, remove, named, list, findings } = mapping::plan(&scopes, world.known());
    let wrong: Vec<_> = findings.iter().filter(|finding| finding.level == Level::Error).collect();
    if mode == Mode::Apply && !wrong.is_empty() {
        let said = wrong.iter().map(|finding| format!("scope {:?}: {}", finding.scope, finding.text));
        return Err(MappingError::Wrong(said.collect::<Vec<_>>().join("; ")));
    }
    let now = desk.clock.now();
    let made = |says| Rule {
        id: EntitlementId::generate(now, desk.entropy),
        says,
        created_at: now,
        disabled_at: None,
    };
    let added: Vec<Rule> = add.into_iter().map(made).collect();
    let (removed, left): (Vec<_>, Vec<_>) =
        world.rules.iter().cloned().partition(|rule| remove.contains(&rule.id));
    let (enabled, left): (Vec<_>, Vec<_>) = left.into_iter().partition(|rule| enable.contains(&rule.id));
    let enabled: Vec<_> = enabled.into_iter().map(|rule| Rule { disabled_at: None, ..rule }).collect();
    let after: Vec<Rule> = left.into_iter().chain(enabled.iter().chain(&added).cloned()).collect();
    let people = effects(&world, &after, &named, &list);
    let open = |uri: &ResourceUri| {
        let found = world.resources.iter().find(|resource| resource.uri.same_as(uri));
        found
            .filter(|resource| resource.access == Access::Everyone)
            .map(|resource| resource.uri.folded().to_owned())
    };
    let mut outcome = Outcome {
        applied: false,
        findings,
        listed: list.iter().filter_map(open).collect(),
        added,
        enabled,
        removed,
        people,
    };
    if mode == Mode::Apply {
        let event = desk
            .event(Action::EntitlementsChanged, "mapping", now)
            .about_rules("added", &outcome.added)
            .about_rules("enabled", &outcome.enabled)
            .about_rules("removed", &outcome.removed);
        let change = Change { remove, enable, add: outcome.added.clone(), list };
        let done = desk.store.change_rules(&change, &event).await?;
        if done.applied == Applied::Lost {
            return Err(MappingError::Raced);
        }
        outcome.applied = true;
        outcome.listed = done.listed;
    }
    Ok(outcome)
}

/// For whom what changes.
fn effects(world: &World, after: &[Rule], named: &[ResourceUri], list: &[ResourceUri]) -> Vec<Effect> {
    let among = |uris: &[ResourceUri], resource: &Resource| uris.iter().any(|uri| uri.same_as(&resource.uri));
    let mut effects = Vec::new();
    for user in &world.users {
        for resource in world.resources.iter().filter(|resource| among(named, resource)) {
            let access = if among(list, resource) { Access::Listed } else { resource.access };
            let then = Resource { access, ..resource.clone() };
            let shared = world.organizations.iter().map(|(organization, _)| &organization.id);
            for organization in std::iter::once(&user.organization).chain(shared) {
                let before = entitlement(Seat { user, resource, organization, rules: &world.rules });
                let after = entitlement(Seat { user, resource: &then, organization, rules: after });
                let (gains, loses) = (beyond(&after, &before), beyond(&before, &after));
                if !gains.is_empty() || !loses.is_empty() {
                    let (user, organization) = (user.clone(), organization.clone());
                    let (resource, has) = (resource.uri.clone(), after);
                    effects.push(Effect { user, resource, organization, gains, loses, has });
                }
            }
        }
    }
    effects
}

/// What `one` allows where `other` does not.
fn beyond(one: &Allowance, other: &Allowance) -> Allowance {
    let less = |held: &Scope, than: &Scope| -> Scope {
        held.iter().filter(|atom| !than.contains(atom.as_str())).cloned().collect()
    };
    let whole = Allowance::everywhere(less(one.held_everywhere(), other.held_everywhere()));
    one.nodes().keys().fold(whole, |all, node| {
        let atoms = less(&one.held_at(node), &other.held_at(node));
        all.union(&Allowance::at_node(node.clone(), atoms))
    })
}

/// The group rules in force, as a document.
pub async fn export(desk: Desk<'_>) -> Result<Vec<MappedScope>, MappingError> {
    Ok(mapping::export(World::load(desk).await?.known()))
}
