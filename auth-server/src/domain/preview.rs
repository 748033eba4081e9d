//! What a person would get at most, place by place, and what keeps it from being more.

use std::collections::BTreeSet;

use doorward_shared::{allowance::Allowance, node::NodePath, scope::Scope};

use super::{
    client::Bounded,
    entitlement::{Seat, ceiling, counts, entitlement},
};

/// One place of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceReport {
    /// Which node; `None`: the whole organization.
    pub node: Option<NodePath>,
    /// Each tier of the resource server, lowest first.
    pub tiers: Vec<TierReport>,
}

/// One tier at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierReport {
    /// Its identifier.
    pub tier: String,
    /// What keeps it from being possible in full; nothing: it is.
    pub limits: Vec<Limit>,
}

/// What keeps somebody from something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The account is disabled.
    PersonDisabled,
    /// The client is disabled.
    ClientDisabled,
    /// The resource server is disabled.
    ResourceDisabled,
    /// No rule lets the person do it here.
    NoRule,
    /// The client is given this tier at most.
    CeilingTier(String),
    /// Clients that registered themselves are given this tier at most.
    RegisteredTier(String),
    /// The client is given nothing here.
    CeilingPlace,
    /// A token names no more nodes, and others come before this one.
    TooManyNodes,
}

/// What this person could allow this client here, or what they may do themselves where there is no client; at the whole
/// organization, at these nodes, and at those that a rule or the ceiling names.
pub fn explain(client: Option<Bounded<'_>>, seat: Seat<'_>, nodes: &[NodePath]) -> Vec<PlaceReport> {
    let (entitled, bound) = (entitlement(seat), client.map(|client| ceiling(client, seat)));
    let whole = bound.as_ref().map_or_else(|| entitled.clone(), |bound| entitled.intersection(bound));
    let carried = whole.fitting();
    let by_rules = seat.rules.iter().filter(|rule| counts(rule, seat)).map(|rule| &rule.says.place);
    let by_ceiling = client.into_iter().flat_map(|bounded| &bounded.client.ceiling_places);
    let by_ceiling = by_ceiling.filter(|place| place.realm.means(seat.organization, seat.user));
    let named = by_rules.chain(by_ceiling).filter_map(|place| place.node.as_ref());
    let places: BTreeSet<Option<&NodePath>> =
        nodes.iter().chain(named).map(Some).chain(std::iter::once(None)).collect();
    let report = |node: Option<&NodePath>| {
        let tiers = seat.resource.model.tiers().iter().map(|tier| {
            let atoms = seat.resource.model.expand([tier.id.as_str()]).unwrap_or_default();
            let mut limits = limits(client, seat, (&entitled, bound.as_ref()), &atoms, node);
            if limits.is_empty() && !holds(&carried, &atoms, node) {
                limits.push(Limit::TooManyNodes);
            }
            TierReport { tier: tier.id.clone(), limits }
        });
        PlaceReport { node: node.cloned(), tiers: tiers.collect() }
    };
    places.into_iter().map(report).collect()
}

fn limits(
    client: Option<Bounded<'_>>,
    seat: Seat<'_>,
    (entitled, bound): (&Allowance, Option<&Allowance>),
    atoms: &Scope,
    node: Option<&NodePath>,
) -> Vec<Limit> {
    let held = |allowance: &Allowance| holds(allowance, atoms, node);
    let mut limits = Vec::new();
    if seat.user.disabled_at.is_some() {
        limits.push(Limit::PersonDisabled);
    } else if !held(entitled) {
        limits.push(Limit::NoRule);
    }
    if seat.resource.disabled_at.is_some() {
        limits.push(Limit::ResourceDisabled);
    }
    let Some(bounded) = client else { return limits };
    if bounded.client.disabled_at.is_some() {
        limits.push(Limit::ClientDisabled);
    }
    let too_high = |tier: &&str| !atoms.is_subset(&seat.resource.model.expand([*tier]).unwrap_or_default());
    if let Some(tier) = bounded.client.ceiling.as_deref().filter(too_high) {
        limits.push(Limit::CeilingTier(tier.to_owned()));
    } else if let Some(tier) = bounded.registered_tier().filter(too_high) {
        limits.push(Limit::RegisteredTier(tier.to_owned()));
    } else if bound.is_some_and(|bound| !held(bound)) {
        limits.push(Limit::CeilingPlace);
    }
    limits
}

fn holds(allowance: &Allowance, atoms: &Scope, node: Option<&NodePath>) -> bool {
    let held = node.map_or_else(|| allowance.held_everywhere().clone(), |node| allowance.held_at(node));
    atoms.is_subset(&held)
}

#[cfg(test)]
mod tests {
    use doorward_shared::allowance::MAX_NODES;
    use doorward_shared::secret::SystemEntropy;

    use super::*;
    use crate::domain::{
        client::{Client, Origin},
        entitlement::{Entitlement, Holder, Rule, most},
        fixture::{self, NOW},
        ids::EntitlementId,
        organization::{Place, Realm},
        policy::RegistrationPolicy,
        resource::{Access, Resource},
        user::User,
    };

    fn node(path: &str) -> NodePath {
        NodePath::parse(path).unwrap()
    }

    #[test]
    fn every_limit_is_named_and_no_limit_means_that_it_is_possible() {
        let user = fixture::user();
        let resource = Resource { access: Access::Listed, ..fixture::resource() };
        let rule = |tier: &str, path: Option<&str>| Rule {
            id: EntitlementId::generate(NOW, &SystemEntropy),
            says: Entitlement {
                holder: Holder::Everyone,
                tier: tier.to_owned(),
                resource: None,
                place: Place { realm: Realm::Own, node: path.map(node) },
            },
            created_at: NOW,
            disabled_at: None,
        };
        let rules = [rule("read", None), rule("destroy", Some("alpha/site"))];
        let seat = Seat { user: &user, resource: &resource, organization: &user.organization, rules: &rules };
        let policy =
            RegistrationPolicy { max_tier: Some("read".to_owned()), ..fixture::policy().registration };
        let bounded = Client {
            origin: Origin::Administrator,
            ceiling: Some("write".to_owned()),
            ceiling_places: vec![Place { realm: Realm::Own, node: Some(node("alpha")) }],
            ..fixture::client()
        };
        let report = explain(Some(bounded.under(&policy)), seat, &[node("beta")]);
        let nodes: Vec<_> =
            report.iter().map(|place| place.node.as_ref().map_or("", NodePath::as_str)).collect();
        assert_eq!(nodes, ["", "alpha", "alpha/site", "beta"]);
        let of = |i: usize| report[i].tiers.iter().map(|tier| tier.limits.clone()).collect::<Vec<_>>();
        let write = || Limit::CeilingTier("write".to_owned());
        let nowhere = || vec![Limit::CeilingPlace];
        let rule_too = vec![Limit::NoRule, Limit::CeilingPlace];
        assert_eq!(of(0), [nowhere(), rule_too, vec![Limit::NoRule, write()]]);
        assert_eq!(of(1), [vec![], vec![Limit::NoRule], vec![Limit::NoRule, write()]]);
        assert_eq!(of(2), [vec![], vec![], vec![write()]]);
        // What has no limit is exactly what could be allowed.
        let most = most(bounded.under(&policy), seat);
        for place in &report {
            for tier in &place.tiers {
                let atoms = resource.model.expand([tier.tier.as_str()]).unwrap();
                let held =
                    place.node.as_ref().map_or(most.held_everywhere().clone(), |node| most.held_at(node));
                assert_eq!(tier.limits.is_empty(), atoms.is_subset(&held), "{place:?}");
            }
        }
        // One that registered itself has another bound, beside its own.
        let itself = Client { origin: Origin::Dynamic, ..bounded };
        let report = explain(Some(itself.under(&policy)), seat, &[]);
        let limits: Vec<_> = report[2].tiers.iter().map(|tier| tier.limits.clone()).collect();
        assert_eq!(limits, [vec![], vec![Limit::RegisteredTier("read".to_owned())], vec![write()]]);
        let disabled = User { disabled_at: Some(NOW), ..user.clone() };
        let report = explain(None, Seat { user: &disabled, ..seat }, &[]);
        assert!(
            report.iter().flat_map(|place| &place.tiers).all(|tier| tier.limits == [Limit::PersonDisabled])
        );
    }
    #[test]
    fn nodes_beyond_those_that_a_token_names_are_named() {
        let user = fixture::user();
        let resource = Resource { access: Access::Listed, ..fixture::resource() };
        let rule = |path: &str| Rule {
            id: EntitlementId::generate(NOW, &SystemEntropy),
            says: Entitlement {
                holder: Holder::Everyone,
                tier: "read".to_owned(),
                resource: None,
                place: Place { realm: Realm::Own, node: Some(node(path)) },
            },
            created_at: NOW,
            disabled_at: None,
        };
        let rules: Vec<_> = (0..MAX_NODES + 2).map(|i| rule(&format!("n{i:03}"))).collect();
        let seat = Seat { user: &user, resource: &resource, organization: &user.organization, rules: &rules };
        let policy = fixture::policy().registration;
        let cut = |client: Option<&Client>| -> Vec<String> {
            let report = explain(
                client.map(|client| client.under(&policy)),
                seat,
                &[node("n001/below"), node("n065/below")],
            );
            let cut = |place: &&PlaceReport| place.tiers[0].limits == [Limit::TooManyNodes];
            report
                .iter()
                .filter(cut)
                .filter_map(|place| place.node.as_ref())
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(cut(None), ["n064", "n065", "n065/below"]);
        // Where the ceiling leaves room, nothing is cut.
        let one = vec![Place { realm: Realm::Own, node: Some(node("n065")) }];
        assert!(cut(Some(&Client { ceiling_places: one, ..fixture::client() })).is_empty());
    }
}
