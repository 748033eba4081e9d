use doorward_shared::secret::SystemEntropy;
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
    let known = Known { resources: &resources, organizations: &organizations, rules: &[] };
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
    assert!(
        inverted.iter().all(|(level, text)| *level == Level::Warning && text.contains("wrong way round"))
    );
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
    let known = Known { resources: &resources, organizations: &organizations, rules: &rules };
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
    let empty = Known { resources: &resources, organizations: &organizations, rules: &[] };
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
