use doorward_shared::{node::NodePath, resource::ResourceUri, secret::SystemEntropy};
use proptest::prelude::*;

use super::*;
use crate::domain::{
    client::{Client, Origin},
    fixture::{self, NOW},
    organization::Realm,
    policy::RegistrationPolicy,
};

const TIERS: [&str; 4] = ["read", "write", "destroy", "unknown"];
const NODES: [&str; 5] = ["alpha", "alpha/site", "alpha/site/specs", "alpha/other", "beta"];

/// The whole world of the tests: one person with two groups, two resource servers, two shared organizations.
struct Scene {
    user: User,
    client: Client,
    resource: Resource,
    shared: OrganizationId,
    foreign: OrganizationId,
}

fn scene() -> Scene {
    let organization = || OrganizationId::generate(NOW, &SystemEntropy);
    let user = User { groups: vec!["staff".to_owned(), "ops".to_owned()], ..fixture::user() };
    let (client, resource) = (fixture::client(), fixture::resource());
    Scene { user, client, resource, shared: organization(), foreign: organization() }
}

impl Scene {
    fn seat<'a>(&'a self, organization: &'a OrganizationId, rules: &'a [Rule]) -> Seat<'a> {
        Seat { user: &self.user, resource: &self.resource, organization, rules }
    }
}

fn node(path: &str) -> NodePath {
    NodePath::parse(path).unwrap()
}

fn atoms(text: &str) -> Scope {
    Scope::parse(text).unwrap()
}

fn rule(holder: Holder, tier: &str, resource: Option<&str>, realm: Realm, path: Option<&str>) -> Rule {
    Rule {
        id: EntitlementId::generate(NOW, &SystemEntropy),
        says: Entitlement {
            holder,
            tier: tier.to_owned(),
            resource: resource.map(|uri| ResourceUri::parse(uri).unwrap()),
            place: Place { realm, node: path.map(node) },
        },
        created_at: NOW,
        disabled_at: None,
    }
}

/// What a rule is made from, before there is a scene.
type Draft = (u8, &'static str, Option<&'static str>, u8, Option<&'static str>, bool);

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    let draft = (
        0_u8..5,
        proptest::sample::select(TIERS.to_vec()),
        proptest::option::of(proptest::sample::select(vec!["https://mcp.test/a", "https://mcp.test/b"])),
        0_u8..3,
        proptest::option::of(proptest::sample::select(NODES.to_vec())),
        proptest::bool::weighted(0.1),
    );
    proptest::collection::vec(draft, 0..6)
}

fn made(drafts: &[Draft], scene: &Scene) -> Vec<Rule> {
    let rule = |(who, tier, resource, realm, path, disabled): &Draft| {
        let holder = match who {
            0 => Holder::Everyone,
            1 => Holder::Group("staff".to_owned()),
            2 => Holder::Group("elsewhere".to_owned()),
            3 => Holder::Person(scene.user.id.clone()),
            _ => Holder::Person(fixture::user().id),
        };
        let realm = match realm {
            0 => Realm::Own,
            1 => Realm::Shared(scene.shared.clone()),
            _ => Realm::Shared(scene.foreign.clone()),
        };
        Rule { disabled_at: disabled.then_some(NOW), ..rule(holder, tier, *resource, realm, *path) }
    };
    drafts.iter().map(rule).collect()
}

fn consents() -> impl Strategy<Value = Allowance> {
    let ticked = proptest::sample::subsequence(vec!["read", "create", "update", "delete", "share"], 0..=5);
    let nodes = proptest::sample::subsequence(NODES.to_vec(), 0..=3);
    (ticked, nodes).prop_map(|(ticked, nodes)| {
        let text = ticked.iter().map(|atom| format!("artifacts:{atom}")).collect::<Vec<_>>().join(" ");
        Allowance::at(&nodes.iter().map(|path| node(path)).collect::<Vec<_>>(), &atoms(&text))
    })
}

fn ceilings() -> impl Strategy<Value = (Option<&'static str>, Vec<(bool, Option<&'static str>)>)> {
    let place = (any::<bool>(), proptest::option::of(proptest::sample::select(NODES.to_vec())));
    (proptest::option::of(proptest::sample::select(TIERS.to_vec())), proptest::collection::vec(place, 0..3))
}

fn registration(max_tier: Option<&str>) -> RegistrationPolicy {
    RegistrationPolicy { max_tier: max_tier.map(String::from), ..fixture::policy().registration }
}

fn bounded(scene: &Scene, (tier, places): &(Option<&str>, Vec<(bool, Option<&str>)>)) -> Client {
    let place = |(own, path): &(bool, Option<&str>)| Place {
        realm: if *own { Realm::Own } else { Realm::Shared(scene.shared.clone()) },
        node: path.map(node),
    };
    let ceiling_places = places.iter().map(place).collect();
    Client { ceiling: tier.map(String::from), ceiling_places, ..scene.client.clone() }
}

proptest! {
    #[test]
    fn the_effective_permission_is_the_intersection_of_its_parts_at_every_node(
        drafts in drafts(), consented in consents(), bound in ceilings(),
        registered in proptest::option::of(proptest::sample::select(TIERS.to_vec())), listed: bool, disabled: bool, own: bool,
    ) {
        let mut scene = scene();
        scene.user.disabled_at = disabled.then_some(NOW);
        scene.resource.access = if listed { Access::Listed } else { Access::Everyone };
        let (rules, client) = (made(&drafts, &scene), bounded(&scene, &bound));
        let policy = registration(registered);
        let organization = if own { scene.user.organization.clone() } else { scene.shared.clone() };
        let seat = scene.seat(&organization, &rules);
        let effective = effective(&consented, client.under(&policy), seat);
        let (entitled, ceiling) = (entitlement(seat), ceiling(client.under(&policy), seat));
        for part in [&entitled, &consented, &ceiling] {
            prop_assert!(effective.is_subset(part));
        }
        for place in NODES.iter().map(|path| Some(node(path))).chain([None, Some(node("elsewhere"))]) {
            for atom in scene.resource.model.all().iter() {
                let all = [&entitled, &consented, &ceiling].iter().all(|part| part.allows(atom.as_str(), place.as_ref()));
                prop_assert_eq!(effective.allows(atom.as_str(), place.as_ref()), all);
            }
        }
        prop_assert!(!disabled || effective.is_empty());
    }

    #[test]
    fn more_of_any_part_never_gives_less(
        drafts in drafts(), more in drafts(), consented in consents(), wider in consents(), bound in ceilings(), own: bool,
        registered in proptest::option::of(proptest::sample::select(TIERS.to_vec())),
    ) {
        let scene = scene();
        let organization = if own { scene.user.organization.clone() } else { scene.shared.clone() };
        let (rules, client) = (made(&drafts, &scene), bounded(&scene, &bound));
        let policy = registration(registered);
        let all: Vec<_> = rules.iter().cloned().chain(made(&more, &scene)).collect();
        let small = effective(&consented, client.under(&policy), scene.seat(&organization, &rules));
        prop_assert!(small.is_subset(&effective(&consented, client.under(&policy), scene.seat(&organization, &all))));
        prop_assert!(small.is_subset(&effective(&consented.union(&wider), client.under(&policy), scene.seat(&organization, &rules))));
        let unbounded = scene.client.clone();
        prop_assert!(small.is_subset(&effective(&consented, client.under(&registration(None)), scene.seat(&organization, &rules))));
        prop_assert!(small.is_subset(&effective(&consented, unbounded.under(&policy), scene.seat(&organization, &rules))));
        // A higher tier in place of a lower one, and one group more, never take anything away.
        let higher: Vec<_> = rules.iter().cloned().map(|mut rule| {
            if rule.says.tier == "read" { rule.says.tier = "write".to_owned() }
            rule
        }).collect();
        prop_assert!(small.is_subset(&effective(&consented, client.under(&policy), scene.seat(&organization, &higher))));
        let mut joined = scene.user.clone();
        joined.groups.push("elsewhere".to_owned());
        let seat = Seat { user: &joined, ..scene.seat(&organization, &rules) };
        prop_assert!(small.is_subset(&effective(&consented, client.under(&policy), seat)));
    }

    #[test]
    fn a_rule_that_is_not_about_this_seat_changes_nothing(drafts in drafts(), own: bool) {
        let scene = scene();
        let organization = if own { scene.user.organization.clone() } else { scene.shared.clone() };
        let rules = made(&drafts, &scene);
        let counting: Vec<_> =
            rules.iter().filter(|rule| counts(rule, scene.seat(&organization, &rules))).cloned().collect();
        prop_assert_eq!(
            entitlement(scene.seat(&organization, &rules)),
            entitlement(scene.seat(&organization, &counting))
        );
        prop_assert!(counting.iter().all(|rule| rule.disabled_at.is_none() && rule.says.holder.is(&scene.user)));
        prop_assert!(entitlement(scene.seat(&scene.foreign, &counting)).is_empty());
    }
}

#[test]
fn without_a_word_everybody_may_do_everything_with_their_own_data_and_nothing_with_others() {
    let scene = scene();
    let all = Allowance::everywhere(scene.resource.model.all());
    assert_eq!(entitlement(scene.seat(&scene.user.organization, &[])), all);
    assert!(entitlement(scene.seat(&scene.shared, &[])).is_empty());
}

#[test]
fn where_people_are_listed_only_rules_count() {
    let mut scene = scene();
    scene.resource.access = Access::Listed;
    let own = scene.user.organization.clone();
    assert!(entitlement(scene.seat(&own, &[])).is_empty());
    let rules = [rule(Holder::Group("staff".to_owned()), "read", None, Realm::Own, None)];
    assert_eq!(entitlement(scene.seat(&own, &rules)), Allowance::everywhere(atoms("artifacts:read")));
    assert!(is_entitled(&scene.user, &scene.resource, &rules));
    let left = User { groups: vec![], ..scene.user.clone() };
    assert!(!is_entitled(&left, &scene.resource, &rules));
    let elsewhere =
        [rule(Holder::Everyone, "read", None, Realm::Shared(scene.shared.clone()), Some("alpha"))];
    assert!(is_entitled(&left, &scene.resource, &elsewhere));
    assert!(entitlement(Seat { user: &left, ..scene.seat(&own, &rules) }).is_empty());
}

#[test]
fn read_in_a_workspace_and_everything_in_a_folder_of_it_is_exactly_that() {
    let scene = scene();
    let shared = || Realm::Shared(scene.shared.clone());
    let rules = [
        rule(Holder::Group("staff".to_owned()), "read", None, shared(), Some("alpha")),
        rule(Holder::Person(scene.user.id.clone()), "destroy", None, shared(), Some("alpha/site/specs")),
    ];
    let allowed = entitlement(scene.seat(&scene.shared, &rules));
    let at = |path: &str| allowed.held_at(&node(path));
    assert_eq!(at("alpha/other"), atoms("artifacts:read"));
    assert_eq!(at("alpha/site/specs/old"), scene.resource.model.all());
    assert!(at("beta").is_empty() && allowed.held_everywhere().is_empty());
}

#[test]
fn the_first_rule_about_an_open_resource_server_closes_it_and_one_that_names_another_does_not() {
    let resource = fixture::resource();
    let (here, elsewhere) = (resource.uri.as_str().to_owned(), "https://mcp.test/other");
    let some = |tier: &str, at: Option<&str>| rule(Holder::Everyone, tier, at, Realm::Own, None);
    let (named, for_all) = (some("read", Some(&here)), some("write", None));
    let (foreign, unknown) = (some("read", Some(elsewhere)), some("no such", None));
    let [named, for_all, foreign, unknown] = [&named, &for_all, &foreign, &unknown].map(std::slice::from_ref);
    for (in_force, coming, closed) in [
        (&[][..], named, true),
        (&[], for_all, true),
        (&[], foreign, false),
        (&[], unknown, false),
        (foreign, for_all, true),
        (unknown, for_all, true),
        // Open although a rule is about it: that was on purpose.
        (for_all, for_all, false),
        (named, for_all, false),
        (named, named, false),
        // But nobody has named it yet.
        (for_all, named, true),
    ] {
        assert_eq!(closes(&resource, in_force, coming), closed, "{in_force:?} {coming:?}");
        let listed = Resource { access: Access::Listed, ..resource.clone() };
        assert!(!closes(&listed, in_force, coming), "it is closed already");
    }
}

#[test]
fn a_client_that_registered_itself_has_no_more_than_the_operator_lets_it() {
    let scene = scene();
    let organization = &scene.user.organization;
    let atoms_of = |client: &Client, max_tier| {
        let policy = registration(max_tier);
        most(client.under(&policy), scene.seat(organization, &[])).atoms().iter().count()
    };
    for (max_tier, ceiling, count) in [
        (None, None, 5),
        (Some("read"), None, 1),
        (Some("write"), Some("read"), 1),
        (Some("read"), Some("write"), 1),
        (Some("unknown"), None, 0),
    ] {
        let ceiling = ceiling.map(String::from);
        let itself = Client { origin: Origin::Dynamic, ceiling, ..scene.client.clone() };
        assert_eq!(atoms_of(&itself, max_tier), count, "{max_tier:?} {itself:?}");
        for origin in [Origin::Administrator, Origin::Fixed] {
            let other = Client { origin, ..itself.clone() };
            assert_eq!(atoms_of(&other, max_tier), atoms_of(&other, None));
        }
    }
}

#[test]
fn only_tiers_that_are_possible_in_full_somewhere_are_offered() {
    let (scene, policy) = (scene(), registration(None));
    let ids = |client: &Client, organization: &OrganizationId, rules: &[Rule]| {
        let most = most(client.under(&policy), scene.seat(organization, rules));
        offered(&most, &scene.resource).iter().map(|tier| tier.id.clone()).collect::<Vec<_>>()
    };
    let own = &scene.user.organization;
    let bounded = |tier: &str| Client { ceiling: Some(tier.to_owned()), ..scene.client.clone() };
    assert_eq!(ids(&scene.client, own, &[]), ["read", "write", "destroy"]);
    assert_eq!(ids(&bounded("write"), own, &[]), ["read", "write"]);
    assert!(ids(&bounded("unknown"), own, &[]).is_empty());
    let shared = || Realm::Shared(scene.shared.clone());
    let rules = [
        rule(Holder::Everyone, "read", None, shared(), None),
        rule(Holder::Everyone, "write", None, shared(), Some("alpha/site")),
    ];
    assert_eq!(ids(&scene.client, &scene.shared, &rules), ["read", "write"]);
    assert_eq!(ids(&bounded("read"), &scene.shared, &rules), ["read"]);
    let elsewhere = Place { realm: shared(), node: Some(node("alpha/other")) };
    let elsewhere = Client { ceiling_places: vec![elsewhere], ..scene.client.clone() };
    assert_eq!(ids(&elsewhere, &scene.shared, &rules), ["read"]);
    assert!(ids(&elsewhere, own, &rules).is_empty());
}
