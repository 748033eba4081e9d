//! Effective permission: what the person may do ∩ what they agreed to ∩ what the client may have at most, each of them a table
//! of what is allowed where. It is the same function at issue, at every refresh, at introspection and in the preview.

use doorward_shared::{
    allowance::Allowance,
    permission::{PermissionModel, Tier},
    resource::ResourceUri,
    scope::Scope,
    time::Timestamp,
};
use serde_json::{Value, json};

use super::{
    client::Bounded,
    ids::{EntitlementId, OrganizationId, UserId},
    organization::Place,
    resource::{Access, Resource},
    user::User,
};

/// An administrator's word on who may do what where. Rules only ever add up; what no rule allows is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its identifier.
    pub id: EntitlementId,
    /// What it says.
    pub says: Entitlement,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it does not count: it was disabled, or restored from a backup.
    pub disabled_at: Option<Timestamp>,
}

/// What a rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitlement {
    /// Who.
    pub holder: Holder,
    /// May do what: all permissions of the tier with this identifier.
    pub tier: String,
    /// At which resource server; `None`: at each that has such a tier.
    pub resource: Option<ResourceUri>,
    /// With which data.
    pub place: Place,
}

/// A change of the rules, all or nothing.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Rules that go.
    pub remove: Vec<EntitlementId>,
    /// Disabled rules that are in force from then on.
    pub enable: Vec<EntitlementId>,
    /// Rules that come.
    pub add: Vec<Rule>,
    /// Resource servers that are for listed people only from then on.
    pub list: Vec<ResourceUri>,
}

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// This person.
    Person(UserId),
    /// Everybody in the group with this name.
    Group(String),
    /// Everybody with an account.
    Everyone,
}

impl Rule {
    /// What the audit trail says of it: who, what, at which resource server, and where.
    pub fn told(&self) -> Value {
        let Entitlement { holder, tier, resource, place } = &self.says;
        let holder = match holder {
            Holder::Person(id) => json!({ "user": id.as_str() }),
            Holder::Group(name) => json!({ "group": name }),
            Holder::Everyone => json!("everyone"),
        };
        json!({
            "id": self.id.as_str(), "holder": holder, "tier": tier, "place": place.to_string(),
            "resource": resource.as_ref().map(ResourceUri::as_str),
        })
    }

    /// True when it is in force, names no resource server, and gives a tier of this model: a resource server with the model
    /// is then not for everyone.
    pub fn concerns_any(&self, model: &PermissionModel) -> bool {
        self.disabled_at.is_none() && self.says.resource.is_none() && model.tier(&self.says.tier).is_some()
    }
}

impl Holder {
    /// True when it is about this person.
    pub fn is(&self, person: &User) -> bool {
        match self {
            Self::Person(id) => id == &person.id,
            Self::Group(name) => person.is_in(name),
            Self::Everyone => true,
        }
    }
}

/// Whether a resource server that is open to everyone is for listed people only from now on, since these rules come into
/// force, added or enabled. It is so when they are the first that name it, and when they are the first about it at all. One
/// that is open although a rule is about it was opened on purpose, and another rule that does not name it leaves it open.
pub fn closes(resource: &Resource, in_force: &[Rule], coming: &[Rule]) -> bool {
    let names = |rule: &Rule| rule.says.resource.as_ref().is_some_and(|named| named.same_as(&resource.uri));
    let concerns = |rule: &Rule| names(rule) || rule.concerns_any(&resource.model);
    let (named, concerned) = (in_force.iter().any(names), in_force.iter().any(concerns));
    let first = |rule: &Rule| (!named && names(rule)) || (!concerned && concerns(rule));
    resource.access == Access::Everyone && coming.iter().any(first)
}

/// One person at one resource server, with the data of one organization.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'a> {
    /// Who.
    pub user: &'a User,
    /// Where.
    pub resource: &'a Resource,
    /// Whose data.
    pub organization: &'a OrganizationId,
    /// The rules in force. Those that concern somebody or something else may be among them.
    pub rules: &'a [Rule],
}

/// What this person may do here. A disabled person may do nothing. Everybody may do everything with their own data, unless
/// the resource server is for those only whom a rule names.
pub fn entitlement(seat: Seat<'_>) -> Allowance {
    let Seat { user, resource, organization, rules } = seat;
    if user.disabled_at.is_some() {
        return Allowance::default();
    }
    let own = resource.access == Access::Everyone && &user.organization == organization;
    let own = Allowance::everywhere(if own { resource.model.all() } else { Scope::default() });
    let counting = rules.iter().filter(|rule| counts(rule, seat));
    let given = counting.map(|rule| given(rule, resource));
    Allowance::all(std::iter::once(own).chain(given))
}

/// What the rule gives whom it is about, if it is in force and about this resource server. A tier that the resource server
/// does not have allows nothing.
pub fn given(rule: &Rule, resource: &Resource) -> Allowance {
    let atoms = resource.model.expand([rule.says.tier.as_str()]).unwrap_or_default();
    rule.says.place.allowing(atoms)
}

/// True when this person may do anything here, with whosever data.
pub fn is_entitled(user: &User, resource: &Resource, rules: &[Rule]) -> bool {
    let may = |organization| !entitlement(Seat { user, resource, organization, rules }).is_empty();
    may(&user.organization) || rules.iter().filter_map(|rule| rule.says.place.realm.shared()).any(may)
}

/// True when the rule is about this seat.
pub fn counts(rule: &Rule, seat: Seat<'_>) -> bool {
    let Entitlement { holder, resource, place, .. } = &rule.says;
    rule.disabled_at.is_none()
        && resource.as_ref().is_none_or(|resource| resource.same_as(&seat.resource.uri))
        && place.realm.means(seat.organization, seat.user)
        && holder.is(seat.user)
}

/// The most that this client may have: its ceiling, and the operator's bound if it registered itself. A tier that the model does not know bounds to nothing, and one that names places
/// bounds to nothing elsewhere.
pub fn ceiling(bounded: Bounded<'_>, seat: Seat<'_>) -> Allowance {
    let (client, model) = (bounded.client, &seat.resource.model);
    let lower = |atoms: Scope, tier| atoms.intersection(&model.expand([tier]).unwrap_or_default());
    let atoms = bounded.tiers().fold(model.all(), lower);
    if client.ceiling_places.is_empty() {
        return Allowance::everywhere(atoms);
    }
    let places = client.ceiling_places.iter();
    let here = places.filter(|place| place.realm.means(seat.organization, seat.user));
    Allowance::all(here.map(|place| place.allowing(atoms.clone())))
}

/// The most that this person could allow this client here.
pub fn most(client: Bounded<'_>, seat: Seat<'_>) -> Allowance {
    entitlement(seat).intersection(&ceiling(client, seat))
}

/// What is allowed in the end: never more than any of the three.
pub fn effective(consented: &Allowance, client: Bounded<'_>, seat: Seat<'_>) -> Allowance {
    most(client, seat).intersection(consented)
}

/// The tiers that the consent page may offer: those that `most` allows in full somewhere.
pub fn offered<'a>(most: &Allowance, resource: &'a Resource) -> Vec<&'a Tier> {
    let fits = |tier: &&Tier| {
        let full = |held: &Scope| tier.permissions.iter().all(|atom| held.contains(atom));
        full(most.held_everywhere()) || most.nodes().keys().any(|node| full(&most.held_at(node)))
    };
    resource.model.tiers().iter().filter(fits).collect()
}

#[cfg(test)]
mod tests;
