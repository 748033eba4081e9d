//! Shared organizations, their nodes, and the rules.

use doorward::{
    domain::{
        entitlement::{Change, Entitlement, Holder, Rule},
        ids::{EntitlementId, OrganizationId},
        organization::{Node, Organization, Place, Realm},
        resource::{Access, Resource},
        user::User,
    },
    store::{Applied, Changed, Store},
};
use doorward_shared::{
    allowance::Allowance,
    node::NodePath,
    permission::{Permission, PermissionModel, Tier},
    resource::ResourceUri,
    secret::SystemEntropy,
};

use crate::{
    backend::{Backend, at, race},
    world::{World, barred_resource, event, event_at, resource, user},
};

on_each_backend! {
    what_is_stored_of_organizations_and_nodes_comes_back_as_it_was,
    a_node_stands_below_one_that_is_there,
    rules_come_back_as_they_were_and_to_those_only_whom_they_can_concern,
    a_rule_that_says_the_same_or_names_what_is_not_there_changes_nothing,
    the_first_rule_of_a_resource_lists_it_and_a_later_one_does_not,
    enabling_a_rule_closes_what_adding_it_would,
    the_first_rule_lists_a_resource_that_came_after_rules_for_all_and_no_other,
    a_resource_that_comes_while_a_rule_for_all_is_in_force_is_listed,
    a_change_of_rules_happens_whole_or_not_at_all,
    of_many_equal_rules_at_once_one_is_stored,
    a_disabled_rule_is_in_force_again_when_it_is_enabled,
    removing_a_node_removes_what_is_below_it_and_the_rules_that_name_it,
    removing_a_resource_removes_its_rules,
    the_grants_that_name_a_node_are_found,
}

fn organization(name: &str) -> Organization {
    let id = OrganizationId::generate(at(0), &SystemEntropy);
    Organization { id, name: name.to_owned(), created_at: at(0) }
}

pub(crate) fn path(text: &str) -> NodePath {
    NodePath::parse(text).unwrap()
}

fn node(organization: &Organization, text: &str) -> Node {
    let title = Some(format!("Ordner 📁 {text}"));
    Node { organization: organization.id.clone(), path: path(text), title, created_at: at(3) }
}

pub(crate) fn rule(holder: Holder, tier: &str, resource: Option<&ResourceUri>, place: Place) -> Rule {
    Rule {
        id: EntitlementId::generate(at(0), &SystemEntropy),
        says: Entitlement { holder, tier: tier.to_owned(), resource: resource.cloned(), place },
        created_at: at(0),
        disabled_at: None,
    }
}

/// A model with the tier `read` alone.
fn wiki() -> PermissionModel {
    let permission = Permission { name: "wiki:read".to_owned(), tools: vec!["search".to_owned()] };
    let tier = Tier {
        id: "read".to_owned(),
        title: "Read".to_owned(),
        sentence: "Read the wiki.".to_owned(),
        permissions: vec!["wiki:read".to_owned()],
        irreversible: false,
    };
    PermissionModel::new(vec![permission], vec![tier]).unwrap()
}

fn own() -> Place {
    Place { realm: Realm::Own, node: None }
}

fn group(name: &str) -> Holder {
    Holder::Group(name.to_owned())
}

async fn add(store: &dyn Store, rules: &[&Rule]) -> Changed {
    let add = rules.iter().map(|rule| (*rule).clone()).collect();
    store.change_rules(&Change { add, ..Change::default() }, &event()).await.unwrap()
}

/// An organization with a small tree.
pub(crate) async fn acme(store: &dyn Store) -> Organization {
    let acme = organization("Acme");
    assert_eq!(store.insert_organization(&acme, &event()).await.unwrap(), Applied::Done);
    for text in ["alpha", "alpha/site", "alpha/site/specs", "alpha/sites", "beta"] {
        assert_eq!(store.insert_node(&node(&acme, text), &event()).await.unwrap(), Applied::Done);
    }
    acme
}

async fn what_is_stored_of_organizations_and_nodes_comes_back_as_it_was(backend: &Backend) {
    let store = backend.store().await;
    let acme = acme(store.as_ref()).await;
    let zoo = organization("Zoo 🦊");
    assert_eq!(store.insert_organization(&zoo, &event()).await.unwrap(), Applied::Done);
    let again = organization("Acme");
    assert_eq!(store.insert_organization(&again, &event()).await.unwrap(), Applied::Lost);
    assert_eq!(store.organizations().await.unwrap(), [acme.clone(), zoo.clone()]);
    assert_eq!(store.organization(&zoo.id).await.unwrap(), Some(zoo.clone()));
    assert_eq!(store.organization(&again.id).await.unwrap(), None);
    let nodes = store.nodes(&acme.id).await.unwrap();
    assert_eq!(nodes[2], node(&acme, "alpha/site/specs"));
    assert_eq!(nodes.len(), 5);
    assert!(store.nodes(&zoo.id).await.unwrap().is_empty());
}

async fn a_node_stands_below_one_that_is_there(backend: &Backend) {
    let store = backend.store().await;
    let acme = acme(store.as_ref()).await;
    for (one, answer) in [
        (node(&acme, "alpha"), Applied::Lost),
        (node(&acme, "gamma/site"), Applied::Lost),
        (node(&organization("gone"), "alpha"), Applied::Lost),
        (node(&acme, "beta/site"), Applied::Done),
    ] {
        assert_eq!(store.insert_node(&one, &event()).await.unwrap(), answer, "{one:?}");
    }
}

async fn rules_come_back_as_they_were_and_to_those_only_whom_they_can_concern(backend: &Backend) {
    let world = World::new(backend).await;
    let store = world.store.as_ref();
    let acme = acme(store).await;
    let bob = user("bob@example.test");
    assert_eq!(store.insert_user(&bob, &event()).await.unwrap(), Applied::Done);
    let other = resource("https://mcp.test/b");
    assert_eq!(store.insert_resource(&other, &event()).await.unwrap(), Applied::Done);
    let at_node = Place { realm: Realm::Shared(acme.id.clone()), node: Some(path("alpha/site")) };
    let whole = Place { realm: Realm::Shared(acme.id.clone()), node: None };
    let rules = [
        rule(Holder::Person(world.user.id.clone()), "read", Some(&world.resource.uri), at_node),
        rule(group("日本, \"quoted\" 🦊"), "write", None, whole),
        rule(Holder::Everyone, "read", Some(&other.uri), own()),
        rule(Holder::Person(bob.id.clone()), "destroy", None, Place { node: Some(path("x")), ..own() }),
    ];
    assert_eq!(add(store, &rules.iter().collect::<Vec<_>>()).await.applied, Applied::Done);
    assert_eq!(store.rules().await.unwrap().len(), 4);
    let theirs = |person: User, resource: ResourceUri| {
        let store = world.store.clone();
        async move {
            let mut found = store.rules_for(&person.id, &resource).await.unwrap();
            found.sort_by(|a, b| a.id.cmp(&b.id));
            found
        }
    };
    let sorted = |which: &[usize]| {
        let mut rules: Vec<_> = which.iter().map(|i| rules[*i].clone()).collect();
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        rules
    };
    assert_eq!(theirs(world.user.clone(), world.resource.uri.clone()).await, sorted(&[0, 1]));
    assert_eq!(theirs(world.user.clone(), other.uri.clone()).await, sorted(&[1, 2]));
    assert_eq!(theirs(bob.clone(), other.uri.clone()).await, sorted(&[1, 2, 3]));
    // Another spelling of the address is the same resource server.
    let shouted = ResourceUri::parse("HTTPS://MCP.test/a").unwrap();
    assert_eq!(theirs(world.user.clone(), shouted).await, sorted(&[0, 1]));
}

async fn a_rule_that_says_the_same_or_names_what_is_not_there_changes_nothing(backend: &Backend) {
    let world = World::new(backend).await;
    let store = world.store.as_ref();
    let acme = acme(store).await;
    let first = rule(group("staff"), "read", None, own());
    assert_eq!(add(store, &[&first]).await.applied, Applied::Done);
    let shared = |node| Place { realm: Realm::Shared(acme.id.clone()), node };
    let nowhere = Place { realm: Realm::Shared(organization("x").id), node: None };
    let gone = ResourceUri::parse("https://gone.test/x").unwrap();
    for bad in [
        rule(group("staff"), "read", None, own()),
        rule(group("a"), "read", Some(&gone), own()),
        rule(group("b"), "read", None, nowhere),
        rule(group("c"), "read", None, shared(Some(path("gamma")))),
        rule(Holder::Person(user("x@example.test").id), "read", None, own()),
    ] {
        let other = rule(group("innocent"), "read", None, own());
        assert_eq!(add(store, &[&other, &bad]).await.applied, Applied::Lost, "{bad:?}");
    }
    assert_eq!(store.rules().await.unwrap(), [first]);
}

async fn the_first_rule_of_a_resource_lists_it_and_a_later_one_does_not(backend: &Backend) {
    let world = World::new(backend).await;
    let store = world.store.as_ref();
    let uri = &world.resource.uri;
    let access = || async { world.store.resource(uri).await.unwrap().unwrap().access };
    assert_eq!(access().await, Access::Everyone);
    let first = add(store, &[&rule(group("a"), "read", Some(uri), own())]).await;
    assert_eq!(first.listed, [uri.folded()]);
    assert_eq!(access().await, Access::Listed);
    assert_eq!(store.set_access(uri, Access::Everyone, &event()).await.unwrap(), Applied::Done);
    assert!(add(store, &[&rule(group("b"), "read", Some(uri), own())]).await.listed.is_empty());
    assert_eq!(access().await, Access::Everyone);
    // A change that says so lists it all the same.
    let change = Change { list: vec![uri.clone()], ..Change::default() };
    assert_eq!(store.change_rules(&change, &event()).await.unwrap().listed, [uri.folded()]);
    // One for every resource is the first of each that has none.
    let other = resource("https://mcp.test/b");
    assert_eq!(store.insert_resource(&other, &event()).await.unwrap(), Applied::Done);
    assert_eq!(add(store, &[&rule(group("c"), "read", None, own())]).await.listed, [other.uri.folded()]);
    let gone = ResourceUri::parse("https://gone.test/x").unwrap();
    assert_eq!(store.set_access(&gone, Access::Listed, &event()).await.unwrap(), Applied::Lost);
}

async fn enabling_a_rule_closes_what_adding_it_would(backend: &Backend) {
    let world = World::new(backend).await;
    let store = world.store.as_ref();
    let uri = &world.resource.uri;
    let open = async || {
        assert_eq!(store.set_access(uri, Access::Everyone, &event()).await.unwrap(), Applied::Done);
    };
    let (one, two) = (rule(group("a"), "read", Some(uri), own()), rule(group("b"), "read", Some(uri), own()));
    assert_eq!(add(store, &[&one, &two]).await.listed, [uri.folded()]);
    let set = async |rule: &Rule, enabled| store.set_rule(&rule.id, enabled, &event()).await.unwrap().listed;
    assert!(set(&one, false).await.is_empty() && set(&two, false).await.is_empty());
    open().await;
    assert_eq!(set(&one, true).await, [uri.folded()]);
    assert_eq!(store.resource(uri).await.unwrap().unwrap().access, Access::Listed);
    open().await;
    assert!(set(&two, true).await.is_empty(), "another one names it already");
    assert!(set(&two, true).await.is_empty(), "nothing comes into force");
    assert_eq!(store.resource(uri).await.unwrap().unwrap().access, Access::Everyone);
    // All at once, as an import does.
    assert!(set(&one, false).await.is_empty() && set(&two, false).await.is_empty());
    let change = Change { enable: vec![one.id, two.id], ..Change::default() };
    assert_eq!(store.change_rules(&change, &event()).await.unwrap().listed, [uri.folded()]);
    let told = "select count(*) from audit_events where detail like '%\"listed\":[\"https://mcp.test/%'";
    assert_eq!(backend.number(told).await, 3);
}

async fn the_first_rule_lists_a_resource_that_came_after_rules_for_all_and_no_other(backend: &Backend) {
    let world = World::new(backend).await;
    let store = world.store.as_ref();
    let uri = &world.resource.uri;
    let other_model = Resource { model: wiki(), ..resource("https://mcp.test/wiki") };
    assert_eq!(store.insert_resource(&other_model, &event()).await.unwrap(), Applied::Done);
    // One that has no such tier is none of its business.
    let all = rule(group("a"), "write", None, own());
    assert_eq!(add(store, &[&all]).await.listed, [uri.folded()]);
    let open = async |uri: &ResourceUri| {
        assert_eq!(store.set_access(uri, Access::Everyone, &event()).await.unwrap(), Applied::Done);
    };
    open(uri).await;
    let named = rule(group("b"), "read", Some(uri), own());
    assert_eq!(add(store, &[&named]).await.listed, [uri.folded()], "no rule has named it before");
    open(uri).await;
    assert_eq!(store.set_rule(&named.id, false, &event()).await.unwrap().applied, Applied::Done);
    let again = rule(group("c"), "read", Some(uri), own());
    assert_eq!(add(store, &[&again]).await.listed, [uri.folded()], "a disabled rule is none");
    // Opened on purpose, it stays open for another rule that does not name it.
    open(uri).await;
    assert!(add(store, &[&rule(group("d"), "write", None, own())]).await.listed.is_empty());
    assert_eq!(store.set_rule(&again.id, false, &event()).await.unwrap().applied, Applied::Done);
    assert!(add(store, &[&rule(group("e"), "write", None, own())]).await.listed.is_empty());
}

async fn a_resource_that_comes_while_a_rule_for_all_is_in_force_is_listed(backend: &Backend) {
    let world = World::new(backend).await;
    let store = world.store.as_ref();
    let all = rule(group("a"), "write", None, own());
    assert_eq!(add(store, &[&all]).await.applied, Applied::Done);
    let comes = async |new: Resource| {
        assert_eq!(store.insert_resource(&new, &event()).await.unwrap(), Applied::Done);
        store.resource(&new.uri).await.unwrap().unwrap().access
    };
    assert_eq!(comes(resource("https://mcp.test/b")).await, Access::Listed);
    assert_eq!(comes(Resource { model: wiki(), ..resource("https://mcp.test/c") }).await, Access::Everyone);
    assert_eq!(store.set_rule(&all.id, false, &event()).await.unwrap().applied, Applied::Done);
    assert_eq!(comes(resource("https://mcp.test/d")).await, Access::Everyone);
}

async fn a_change_of_rules_happens_whole_or_not_at_all(backend: &Backend) {
    let world = World::new(backend).await;
    let store = world.store.as_ref();
    let (one, two) = (rule(group("a"), "read", None, own()), rule(group("b"), "read", None, own()));
    assert_eq!(add(store, &[&one, &two]).await.applied, Applied::Done);
    let three = rule(group("c"), "read", None, own());
    let change = |remove: &[&Rule]| Change {
        remove: remove.iter().map(|rule| rule.id.clone()).collect(),
        add: vec![three.clone()],
        ..Change::default()
    };
    let unknown = rule(group("d"), "read", None, own());
    let lost = store.change_rules(&change(&[&one, &unknown]), &event()).await.unwrap();
    assert_eq!(lost.applied, Applied::Lost);
    assert_eq!(store.rules().await.unwrap().len(), 2);
    let done = store.change_rules(&change(&[&one, &two]), &event()).await.unwrap();
    assert_eq!(done.applied, Applied::Done);
    assert_eq!(store.rules().await.unwrap(), [three]);
}

async fn of_many_equal_rules_at_once_one_is_stored(backend: &Backend) {
    let world = World::new(backend).await;
    let answers = race(12, |_| {
        let store = world.store.clone();
        async move { add(store.as_ref(), &[&rule(group("a"), "read", None, own())]).await.applied }
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1);
    assert_eq!(world.store.rules().await.unwrap().len(), 1);
}

async fn a_disabled_rule_is_in_force_again_when_it_is_enabled(backend: &Backend) {
    let world = World::new(backend).await;
    let store = world.store.as_ref();
    let one = rule(group("a"), "read", None, own());
    assert_eq!(add(store, &[&one]).await.applied, Applied::Done);
    let in_force = || async { store.rules_for(&world.user.id, &world.resource.uri).await.unwrap().len() };
    assert_eq!(store.set_rule(&one.id, false, &event_at(at(7))).await.unwrap().applied, Applied::Done);
    assert_eq!((in_force().await, store.rules().await.unwrap()[0].disabled_at), (0, Some(at(7))));
    assert_eq!(store.set_rule(&one.id, true, &event_at(at(8))).await.unwrap().applied, Applied::Done);
    assert_eq!((in_force().await, store.rules().await.unwrap()[0].disabled_at), (1, None));
    let enable = Change { enable: vec![one.id.clone()], ..Change::default() };
    let changed = async || store.change_rules(&enable, &event()).await.unwrap().applied;
    assert_eq!(changed().await, Applied::Lost, "it is enabled");
    assert_eq!(store.set_rule(&one.id, false, &event_at(at(9))).await.unwrap().applied, Applied::Done);
    assert_eq!((changed().await, in_force().await), (Applied::Done, 1));
    let unknown = EntitlementId::generate(at(0), &SystemEntropy);
    assert_eq!(store.set_rule(&unknown, true, &event()).await.unwrap().applied, Applied::Lost);
}

async fn removing_a_node_removes_what_is_below_it_and_the_rules_that_name_it(backend: &Backend) {
    let world = World::new(backend).await;
    let store = world.store.as_ref();
    let acme = acme(store).await;
    let place = |text: Option<&str>| Place { realm: Realm::Shared(acme.id.clone()), node: text.map(path) };
    let named =
        [Some("alpha/site"), Some("alpha/site/specs"), Some("alpha/sites"), Some("alpha"), None].map(place);
    let rules: Vec<_> = named.into_iter().map(|place| rule(group("a"), "read", None, place)).collect();
    let elsewhere = rule(group("a"), "read", None, Place { node: Some(path("alpha/site")), ..own() });
    assert_eq!(
        add(store, &rules.iter().chain([&elsewhere]).collect::<Vec<_>>()).await.applied,
        Applied::Done
    );
    assert_eq!(store.remove_node(&acme.id, &path("alpha/site"), &event()).await.unwrap(), Applied::Done);
    let left: Vec<_> =
        store.nodes(&acme.id).await.unwrap().into_iter().map(|node| node.path.to_string()).collect();
    assert_eq!(left, ["alpha", "alpha/sites", "beta"]);
    let left = store.rules().await.unwrap();
    assert_eq!(left.len(), 4);
    assert!(!left.contains(&rules[0]) && !left.contains(&rules[1]) && left.contains(&elsewhere));
    assert_eq!(store.remove_node(&acme.id, &path("alpha/site"), &event()).await.unwrap(), Applied::Lost);
}

async fn removing_a_resource_removes_its_rules(backend: &Backend) {
    let world = World::new(backend).await;
    let (store, uri) = (world.store.as_ref(), &world.resource.uri);
    let (its, all) = (rule(group("a"), "read", Some(uri), own()), rule(group("a"), "read", None, own()));
    assert_eq!(add(store, &[&its, &all]).await.applied, Applied::Done);
    let sweep = barred_resource(uri, at(5));
    assert_eq!(store.remove_resource(uri, &sweep, &event()).await.unwrap(), Applied::Done);
    assert_eq!(store.rules().await.unwrap(), [all]);
}

async fn the_grants_that_name_a_node_are_found(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, _) = world.family().await;
    let organization = &world.user.organization;
    let store = world.store.as_ref();
    let naming = async |text: &str| store.grants_naming(organization, &path(text)).await.unwrap();
    assert!(naming("alpha").await.is_empty(), "it is for the whole organization");
    let allowance = Allowance::at_node(path("alpha/site"), world.resource.model.all());
    let text = serde_json::to_string(&allowance).unwrap();
    backend.change(&format!("update grants set allowance = '{text}'")).await;
    for (text, named) in
        [("alpha", true), ("alpha/site", true), ("alpha/site/specs", false), ("alpha/sit", false)]
    {
        assert_eq!(naming(text).await.contains(&grant), named, "{text}");
    }
    backend.change("update grants set ended_at = 1, end_reason = 'revoked'").await;
    assert!(naming("alpha").await.is_empty());
}
