//! Groups get rights by a mapping document.

use e2e::admin::Admin;
use e2e::client::text;
use e2e::house::{House, Store};
use serde_json::{Value, json};

use crate::permissions::acme;

e2e::on_both_stores!(a_mapping_is_previewed_then_taken_over_and_says_who_may_what);

async fn a_mapping_is_previewed_then_taken_over_and_says_who_may_what(store: Store) {
    let house = House::start(store).await;
    acme(&house);
    let bob = house.user("bob@example.test");
    house.cli(&["user", "groups", &bob.email, "--join", "artifact-users"], "").ok();
    let file = house.folder().join("mapping.json");
    let write = |document: &Value| std::fs::write(&file, document.to_string()).expect("it is written");
    let import = |more: &[&str]| {
        let file = file.to_str().expect("text");
        house.cli(&[&["mapping", "import", file, "--json"], more].concat(), "")
    };
    let scope = |tier: &str| {
        json!([{"_id": "artifacts", "group_mappings": ["artifact-users"], "ui_permissions": {"modify_service": ["all"]},
            "server_access": [{"server": "Artifacts", "tier": tier, "organization": "Acme", "node": "alpha"}]}])
    };
    write(&scope("destroy"));
    let preview = import(&["--dry-run"]).json();
    assert_eq!((&preview["applied"], preview["added"].as_array().map(Vec::len)), (&json!(false), Some(1)));
    let people = preview["people"].as_array().expect("a list");
    let of = |email: &str| people.iter().filter(|one| one["email"] == email).cloned().collect::<Vec<_>>();
    let alice = of(&house.alice().email);
    assert_eq!(alice.len(), 1, "she loses her own data: {people:#?}");
    assert_eq!(
        (&alice[0]["gains"], alice[0]["loses"][0]["permissions"].as_array().map(Vec::len)),
        (&json!([]), Some(5))
    );
    assert_eq!(alice[0]["has"], json!([]));
    assert_eq!(of(&bob.email).len(), 2, "he gains a workspace, and loses his own data");
    let gained =
        of(&bob.email).into_iter().find(|one| one["gains"] != json!([])).expect("he gains something");
    assert_eq!((&gained["has"], &gained["has"][0]["node"]), (&gained["gains"], &json!("alpha")));
    assert_eq!(
        house.cli(&["entitlement", "list", "--json"], "").json(),
        json!([]),
        "a preview changes nothing"
    );

    let done = import(&[]).json();
    assert_eq!((&done["applied"], &done["listed"]), (&json!(true), &json!([house.mcp_url()])));
    assert_eq!(done["people"], preview["people"], "it says before what it does");
    let exported = house.cli(&["mapping", "export", "--json"], "").json();
    assert_eq!(exported[0]["group_mappings"], json!(["artifact-users"]));
    write(&exported);
    let again = import(&[]).json();
    assert_eq!((&again["added"], &again["removed"], &again["people"]), (&json!([]), &json!([]), &json!([])));
    // A rule that was disabled, as every one is after a restore, is not lost, and comes back when the document says it.
    let rule = text(&house.cli(&["entitlement", "list", "--json"], "").json()[0]["id"]);
    house.cli(&["entitlement", "disable", &rule], "").ok();
    let back = import(&["--dry-run"]).json();
    assert_eq!((&back["enabled"][0]["id"], &back["added"]), (&json!(rule), &json!([])));
    assert_eq!(import(&[]).json()["enabled"][0]["disabled"], false);
    let rules = house.cli(&["entitlement", "list", "--json"], "").json();
    assert_eq!((&rules[0]["id"], &rules[0]["disabled"]), (&json!(rule), &json!(false)));
    let mut narrower = exported.clone();
    narrower[0]["server_access"][0]["folder"] = json!("site");
    write(&narrower);
    let refused = import(&[]);
    assert!(refused.code == 1 && refused.stderr.contains("folder"), "{refused:#?}");
    let users = house.cli(&["user", "list", "--json"], "").json();
    let admins = users.as_array().expect("a list").iter().filter(|user| user["admin"] == true);
    assert!(
        admins.clone().all(|user| user["email"] != bob.email.as_str()),
        "a mapping makes nobody an administrator"
    );

    let ask = ["access", "--user", &bob.email, "--resource", house.mcp_url(), "--json"];
    let access = house.cli(&ask, "").json();
    let alpha = access[0]["places"].as_array().expect("places").iter().find(|place| place["node"] == "alpha");
    assert_eq!(alpha.expect("alpha")["tiers"][2], json!({"tier": "destroy", "allowed": true, "because": []}));
    let beta = access[0]["places"].as_array().expect("places").iter().find(|place| place["node"] == "beta");
    assert_eq!(beta.expect("beta")["tiers"][0]["allowed"], false);
    assert!(text(&beta.expect("beta")["tiers"][0]["because"][0]).contains("no rule"));

    write(&scope("admin"));
    let refused = import(&[]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("known tiers"), "{}", refused.stderr);
    assert_eq!(import(&["--dry-run"]).json()["findings"][1]["level"], "error");
    let admin = Admin::with(&house, &["entitlements:read", "entitlements:write"]);
    let document = scope("read").to_string();
    let preview = admin.send("POST", "/mappings", &json!({"document": document})).await.expect(200);
    assert_eq!((&preview["applied"], preview["removed"].as_array().map(Vec::len)), (&json!(false), Some(1)));
    let done =
        admin.send("POST", "/mappings", &json!({"document": document, "apply": true})).await.expect(200);
    assert_eq!(done["applied"], true);
    e2e::admin::expect_problem(
        &admin.send("POST", "/mappings", &json!({"document": "["})).await,
        400,
        "invalid_request",
    );
    let exported: Value =
        serde_json::from_str(&text(&admin.get("/mappings").await.expect(200)["document"])).expect("JSON");
    assert_eq!(exported[0]["server_access"][0]["tier"], "read");
    let query = format!("/access?user={}&resource={}&organization=Acme", bob.email, house.mcp_url());
    let access = admin.get(&query).await.expect(200);
    assert_eq!(
        (&access["items"][0]["name"], access["items"].as_array().map(Vec::len)),
        (&json!("Acme"), Some(1))
    );
}
