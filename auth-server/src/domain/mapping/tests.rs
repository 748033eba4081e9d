use doorward_shared::secret::SystemEntropy;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::{
    fixture::{self, NOW},
    ids::OrganizationId,
};

/// The reference server, and an organization Acme with the node `alpha`.
fn world() -> (Vec<Resource>, Vec<(Organization, Vec<Node>)>) {
    let id = OrganizationId::generate(NOW, &SystemEntropy);
    let alpha = NodePath::parse("alpha").unwrap();
    let node = Node { organization: id.clone(), path: alpha, title: None, created_at: NOW };
    let acme = Organization { id, name: "Acme".to_owned(), created_at: NOW };
    (vec![fixture::resource()], vec![(acme, vec![node])])
}

fn planned(document: &Value) -> Plan {
    let (resources, organizations) = world();
    let groups = BTreeSet::from(["people".to_owned()]);
    let known = Known { resources: &resources, organizations: &organizations, rules: &[], groups: &groups };
    plan(&read(&document.to_string()).unwrap(), known)
}

/// What one entry of `server_access` comes to, with the findings.
fn entry(access: &Value) -> (Vec<String>, Vec<Level>) {
    let plan = planned(&json!([{"_id": "s", "group_mappings": ["g"], "server_access": [access]}]));
    let tiers = plan.add.iter().map(|says| format!("{} {}", says.tier, says.place)).collect();
    (tiers, plan.findings.iter().map(|finding| finding.level).collect())
}

fn findings(document: &Value) -> Vec<(Level, String)> {
    planned(document).findings.into_iter().map(|finding| (finding.level, finding.text)).collect()
}

#[test]
fn the_form_of_mcp_scopes_is_read_with_its_two_names_and_three_covers() {
    let scope =
        json!({"_id": "s", "group_mappings": ["g"], "server_access": [{"server": "*", "tools": "*"}]});
    let renamed = json!({"scope_name": "s", "group_mappings": ["g"], "create_in_idp": true,
        "server_access": [{"server": "Artifacts", "methods": ["all"], "tools": ["all"]}]});
    for document in
        [json!([scope]), scope.clone(), json!({"scopes": [scope]}), json!({"mcp_scopes": [renamed]})]
    {
        let plan = planned(&document);
        assert_eq!(plan.add.len(), 1, "{document}");
        assert_eq!((plan.add[0].tier.as_str(), plan.list.len()), ("destroy", 1));
        assert!(plan.findings.is_empty(), "{:?}", plan.findings);
    }
    for bad in
        ["", "[", "7", "[7]", r#"{"group_mappings": ["g"]}"#, r#"[{"_id": "s", "group_mappings": "g"}]"#]
    {
        assert!(read(bad).is_err(), "{bad}");
    }
}

#[test]
fn tools_come_to_the_highest_tier_that_opens_no_other_tool() {
    let read = ["whoami", "list_artifacts", "get_artifact", "get_artifact_download_url", "list_sessions"];
    let of = |tools: &[&str]| entry(&json!({"server": "artifacts", "tools": tools}));
    assert_eq!(of(&read), (vec!["read own".to_owned()], vec![]));
    assert_eq!(of(&read[1..]), (vec![], vec![Level::Warning]));
    let more = [&read[..], &["store_artifact"]].concat();
    assert_eq!(
        of(&more),
        (vec!["read own".to_owned()], vec![Level::Warning]),
        "write opens more than one more"
    );
    assert_eq!(of(&["*"]), (vec!["destroy own".to_owned()], vec![]));
    assert_eq!(entry(&json!({"server": "artifacts"})), (vec![], vec![Level::Warning]));
    let listing = json!({"server": "artifacts", "methods": ["initialize", "tools/list"], "tools": ["*"]});
    assert_eq!(entry(&listing), (vec![], vec![Level::Note]));
}

#[test]
fn our_own_members_say_tier_and_data() {
    let at = |organization: &str, node: &str, tier: &str| {
        entry(
            &json!({"server": "https://mcp.test/a", "tier": tier, "organization": organization, "node": node}),
        )
    };
    let (places, findings) = at("Acme", "alpha", "write");
    assert!(places[0].starts_with("write org_") && places[0].ends_with(":alpha"), "{places:?}");
    assert!(findings.is_empty());
    assert_eq!(at("own", "alpha", "read"), (vec!["read own:alpha".to_owned()], vec![]));
    for (organization, node, tier) in [
        ("Nobody", "alpha", "read"),
        ("Acme", "beta", "read"),
        ("Acme", "../x", "read"),
        ("Acme", "alpha", "admin"),
    ] {
        assert_eq!(
            at(organization, node, tier),
            (vec![], vec![Level::Error]),
            "{organization} {node} {tier}"
        );
    }
}

#[test]
fn nothing_in_a_document_makes_an_administrator() {
    let document = json!([{
        "_id": "admins", "group_mappings": ["ops"], "server_access": [],
        "ui_permissions": {"modify_service": ["all"], "delete_service": ["all"]},
    }]);
    let plan = planned(&document);
    assert!(plan.add.is_empty() && plan.list.is_empty());
    assert!(
        matches!(&plan.findings[..], [Finding { level: Level::Note, text, .. }] if text.contains("administrator"))
    );
}

#[test]
fn what_is_probably_wrong_is_said() {
    let inverted = findings(&json!([
        {"_id": "artifact-users", "group_mappings": ["artifacts-read"], "server_access": [{"server": "artifacts", "tools": "*"}]},
        {"_id": "artifacts-read", "group_mappings": ["artifact-users"], "server_access": [{"server": "artifacts", "tools": "*"}]},
    ]));
    assert_eq!(inverted.len(), 2);
    assert!(inverted.iter().all(|(level, text)| *level == Level::Error && text.contains("wrong way round")));
    let spaced = findings(&json!([{"_id": "a ", "group_mappings": [" a"]}]));
    assert!(matches!(&spaced[..], [(Level::Error, text)] if text.contains("wrong way round")), "{spaced:?}");
    // Each scope is a group, and what it lists are scopes that the document does not have.
    let all = json!([{"_id": "people", "group_mappings": ["artifacts-read"], "server_access": []}]);
    assert!(matches!(&findings(&all)[..], [(Level::Warning, text)] if text.contains("wrong way round")));
    let held = json!([{"_id": "people", "group_mappings": ["people2", "people"], "server_access": []}]);
    assert_eq!(findings(&held)[0].0, Level::Error);
    let right =
        json!([{"_id": "artifacts-read", "group_mappings": ["people", "coming"], "server_access": []}]);
    assert_eq!(findings(&right), []);
    let unknown = findings(
        &json!([{"_id": "s", "group_mappings": ["g"], "server_access": [{"server": "nobody", "tools": "*"}]}]),
    );
    assert!(matches!(&unknown[..], [(Level::Warning, text)] if text.contains("\"nobody\"")));
    assert_eq!(findings(&json!([{"_id": "s", "server_access": []}]))[0].0, Level::Warning);
    assert_eq!(findings(&json!([{"_id": "s", "group_mappings": [" "]}]))[0].0, Level::Error);
    let agents =
        json!([{"_id": "s", "group_mappings": ["g"], "server_access": [{"agent": "a", "actions": ["all"]}]}]);
    assert_eq!(findings(&agents)[0].0, Level::Note);
    assert_eq!(findings(&json!([{"_id": "s", "group_mappings": ["g"], "color": "red"}]))[0].0, Level::Note);
}

#[test]
fn the_group_rules_of_the_named_servers_become_those_of_the_document_and_no_others_change() {
    let (mut resources, organizations) = world();
    let other = ResourceUri::parse("https://mcp.test/other").unwrap();
    resources.push(Resource { uri: other.clone(), name: "Other".to_owned(), ..fixture::resource() });
    let here = resources[0].uri.clone();
    let rule = |holder: Holder, tier: &str, resource: Option<&ResourceUri>| Rule {
        id: EntitlementId::generate(NOW, &SystemEntropy),
        says: Entitlement {
            holder,
            tier: tier.to_owned(),
            resource: resource.cloned(),
            place: Place { realm: Realm::Own, node: None },
        },
        created_at: NOW,
        disabled_at: None,
    };
    let group = |name: &str| Holder::Group(name.to_owned());
    let rules = [
        rule(group("stays"), "read", Some(&here)),
        rule(group("goes"), "read", Some(&here)),
        rule(group("stays"), "write", Some(&here)),
        rule(group("elsewhere"), "read", Some(&other)),
        rule(group("everywhere"), "read", None),
        rule(Holder::Everyone, "read", Some(&here)),
        rule(Holder::Person(fixture::user().id), "read", Some(&here)),
    ];
    let groups = BTreeSet::new();
    let known =
        Known { resources: &resources, organizations: &organizations, rules: &rules, groups: &groups };
    let document = json!([{"_id": "s", "group_mappings": ["stays", "comes"], "server_access": [{"server": here, "tier": "read"}]}]);
    let plan = plan(&read(&document.to_string()).unwrap(), known);
    assert_eq!(plan.remove, [rules[1].id.clone(), rules[2].id.clone()]);
    assert_eq!(plan.add.iter().map(|says| says.holder.clone()).collect::<Vec<_>>(), [group("comes")]);
    assert_eq!(plan.list, [here]);
}

#[test]
fn what_is_exported_is_imported_without_a_change() {
    let (resources, organizations) = world();
    let document = json!([
        {"_id": "a", "group_mappings": ["staff", "ops"], "server_access": [{"server": "artifacts", "tools": "*"}]},
        {"_id": "b", "group_mappings": ["staff"], "server_access": [
            {"server": "artifacts", "tier": "write", "organization": "Acme", "node": "alpha"},
            {"server": "artifacts", "tier": "read", "organization": "Acme"},
        ]},
    ]);
    let groups = BTreeSet::new();
    let empty = Known { resources: &resources, organizations: &organizations, rules: &[], groups: &groups };
    let first = plan(&read(&document.to_string()).unwrap(), empty);
    assert_eq!(first.add.len(), 4);
    let made = |says: Entitlement| Rule {
        id: EntitlementId::generate(NOW, &SystemEntropy),
        says,
        created_at: NOW,
        disabled_at: None,
    };
    let rules: Vec<_> = first.add.into_iter().map(made).collect();
    let known = Known { rules: &rules, ..empty };
    let text = serde_json::to_string(&export(known)).unwrap();
    let scopes = read(&text).unwrap();
    assert_eq!(scopes.len(), 3, "{text}");
    let again = plan(&scopes, known);
    assert!(again.add.is_empty() && again.remove.is_empty() && again.findings.is_empty(), "{again:?}");
}

#[test]
fn an_entry_with_a_member_that_is_not_understood_is_an_error() {
    let good = json!({"server": "artifacts", "tier": "destroy", "organization": "Acme", "node": "alpha"});
    assert_eq!(entry(&good).1, []);
    for (member, value) in [
        ("folder", json!("alpha/site")),
        ("deny", json!(["*"])),
        ("Node", json!("alpha")),
        ("agent", json!("a")),
    ] {
        let mut entry_ = good.clone();
        entry_[member] = value;
        assert_eq!(entry(&entry_).1, [Level::Error], "{member}");
    }
    assert_eq!(entry(&json!({"agent": "a", "actions": ["all"]})), (vec![], vec![Level::Note]));
    // What belongs into an entry says nothing beside it.
    let beside = json!([{"_id": "s", "group_mappings": ["g"], "node": "alpha", "server_access": [good]}]);
    assert_eq!(findings(&beside)[0].0, Level::Error);
}

fn rule_of(group: &str, tier: &str, disabled: bool) -> Rule {
    let (holder, resource) = (Holder::Group(group.to_owned()), Some(fixture::resource().uri));
    let place = Place { realm: Realm::Own, node: None };
    Rule {
        id: EntitlementId::generate(NOW, &SystemEntropy),
        says: Entitlement { holder, tier: tier.to_owned(), resource, place },
        created_at: NOW,
        disabled_at: disabled.then_some(NOW),
    }
}

#[test]
fn what_allows_nothing_leaves_the_server_as_it_is() {
    let (resources, organizations) = world();
    let (rules, groups) = ([rule_of("staff", "read", false)], BTreeSet::new());
    let known =
        Known { resources: &resources, organizations: &organizations, rules: &rules, groups: &groups };
    let typo = json!({"server": "artifacts", "tools": ["whoamy"]});
    let none = json!({"server": "artifacts", "tools": "*", "methods": ["initialize"]});
    let nobody = json!([{"_id": "s", "group_mappings": [], "server_access": [{"server": "artifacts", "tier": "read"}]}]);
    let of = |entry: Value| json!([{"_id": "s", "group_mappings": ["g"], "server_access": [entry]}]);
    for document in [of(typo), of(none), nobody] {
        let plan = plan(&read(&document.to_string()).unwrap(), known);
        assert!(plan.add.is_empty() && plan.remove.is_empty() && plan.list.is_empty(), "{plan:?}");
        assert!(!plan.findings.is_empty());
    }
}

#[test]
fn a_disabled_rule_that_is_wanted_is_enabled_and_another_stays_as_it_is() {
    let (resources, organizations) = world();
    let rules =
        [rule_of("comes", "read", true), rule_of("asleep", "read", true), rule_of("goes", "read", false)];
    let groups = BTreeSet::new();
    let known =
        Known { resources: &resources, organizations: &organizations, rules: &rules, groups: &groups };
    let document = json!([{"_id": "s", "group_mappings": ["comes"], "server_access": [{"server": "artifacts", "tier": "read"}]}]);
    let plan = plan(&read(&document.to_string()).unwrap(), known);
    assert_eq!(
        (&plan.enable[..], &plan.remove[..]),
        (&[rules[0].id.clone()][..], &[rules[2].id.clone()][..])
    );
    assert!(plan.add.is_empty());
}

fn rules() -> impl Strategy<Value = Vec<(Holder, usize, Option<usize>, usize, bool)>> {
    let holder = prop_oneof![
        4 => "(a|b|Artifacts/read|Other/write/Acme)".prop_map(Holder::Group),
        1 => Just(Holder::Everyone),
    ];
    prop::collection::vec(
        (holder, 0_usize..3, prop::option::weighted(0.8, 0_usize..2), 0_usize..4, any::<bool>()),
        0..12,
    )
}

proptest! {
    #[test]
    fn importing_what_was_exported_changes_nothing(said in rules(), open in any::<[bool; 2]>()) {
        let (mut resources, organizations) = world();
        let uri = ResourceUri::parse("https://mcp.test/other").unwrap();
        resources.push(Resource { uri, name: "Other".to_owned(), ..fixture::resource() });
        for (resource, open) in resources.iter_mut().zip(open) {
            resource.access = if open { Access::Everyone } else { Access::Listed };
        }
        let acme = Realm::Shared(organizations[0].0.id.clone());
        let alpha = Some(NodePath::parse("alpha").unwrap());
        let mut rules: Vec<Rule> = Vec::new();
        for (holder, tier, resource, place, disabled) in said {
            let (realm, node) = [
                (Realm::Own, None), (Realm::Own, alpha.clone()), (acme.clone(), None), (acme.clone(), alpha.clone()),
            ][place].clone();
            let says = Entitlement {
                holder,
                tier: ["read", "write", "destroy"][tier].to_owned(),
                resource: resource.map(|i| resources[i].uri.clone()),
                place: Place { realm, node },
            };
            if rules.iter().all(|rule| rule.says != says) {
                let disabled_at = disabled.then_some(NOW);
                let id = EntitlementId::generate(NOW, &SystemEntropy);
                rules.push(Rule { id, says, created_at: NOW, disabled_at });
            }
        }
        let groups = BTreeSet::from(["Artifacts/write".to_owned(), "a".to_owned()]);
        let known = Known { resources: &resources, organizations: &organizations, rules: &rules, groups: &groups };
        let text = serde_json::to_string(&export(known)).unwrap();
        let plan = plan(&read(&text).unwrap(), known);
        prop_assert!(plan.add.is_empty() && plan.enable.is_empty() && plan.remove.is_empty(), "{plan:?}\n{text}");
        prop_assert!(plan.findings.is_empty(), "{plan:?}");
        for listed in &plan.list {
            let resource = resources.iter().find(|resource| resource.uri.same_as(listed)).unwrap();
            prop_assert_eq!(resource.access, Access::Listed);
        }
    }
}
