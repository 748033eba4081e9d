//! Whose data consent is about.

use e2e::client::{Client, decode, text};
use e2e::house::{House, Store};
use e2e::mcp::Mcp;
use e2e::page::{FieldKind, Form};
use serde_json::json;

use crate::permissions::{acme, agree, at, consent_of, details, rule};

e2e::on_both_stores!(
    the_page_says_whose_data_it_is_about_also_before_anything_is_possible,
    folders_of_another_organization_are_asked_about_again_with_all_that_was_ticked,
    more_folders_than_a_token_names_are_asked_about_again,
    the_command_that_a_refusal_prints_is_what_is_missing,
    grants_are_found_and_revoked_by_the_name_of_an_organization,
);

async fn the_page_says_whose_data_it_is_about_also_before_anything_is_possible(store: Store) {
    let house = House::start(store).await;
    let acme = acme(&house);
    let client = Client::register(house.mcp_url()).await;
    let asked = consent_of(&house, &client, house.alice()).await;
    assert!(asked.2.text.contains("With your own data"), "{}", asked.2.text);

    // Rules about both: whoever may do nothing yet agrees for the shared one.
    let bob = house.user("bob@example.test");
    rule(&house, &["--group", "staff", "--tier", "read"]);
    rule(&house, &["--group", "acme", "--tier", "write", "--organization", "Acme", "--node", "alpha"]);
    let asked = consent_of(&house, &client, &bob).await;
    for words in ["With the data of Acme", "may do nothing"] {
        assert!(asked.2.text.contains(words), "{words}: {}", asked.2.text);
    }
    let tokens = agree(&client, &asked, &[], &[("tier", "write")]).await;
    assert_eq!(decode(&tokens.access).1["org"], json!(acme));
    house.cli(&["user", "groups", &bob.email, "--join", "acme"], "").ok();
    let tokens = e2e::client::Tokens::read(&client.refresh(&tokens.refresh).await);
    assert_eq!(details(&tokens), json!([at("alpha", &["create", "read", "update"])]));
    let asked = consent_of(&house, &client, &bob).await;
    assert!(asked.2.text.contains("With the data of Acme"), "{}", asked.2.text);

    // A client that may have nothing there is for one's own data.
    let create = ["client", "create", "--name", "Own", "--public", "--redirect-uri", &client.redirect_uri];
    let made = house.cli(&[&create[..], &["--ceiling-node", "own", "--json"]].concat(), "").json();
    let own = Client::known(client.discovery.clone(), &text(&made["client_id"]), &client.redirect_uri);
    let asked = consent_of(&house, &own, house.alice()).await;
    assert!(asked.2.text.contains("With your own data"), "{}", asked.2.text);
    let tokens = agree(&own, &asked, &[], &[("tier", "read")]).await;
    assert_ne!(decode(&tokens.access).1["org"], json!(acme));
}

/// What comes ticked and chosen.
fn ticked(form: &Form) -> Vec<(&str, &str)> {
    let kept = |kind: &FieldKind| matches!(kind, FieldKind::Checkbox(true) | FieldKind::Select(_));
    let kept = form.fields.iter().filter(|field| kept(&field.kind));
    kept.map(|field| (field.name.as_str(), field.value.as_str())).collect()
}

async fn folders_of_another_organization_are_asked_about_again_with_all_that_was_ticked(store: Store) {
    let house = House::start(store).await;
    let acme = acme(&house);
    let globex = text(&house.cli(&["organization", "create", "Globex", "--json"], "").json()["id"]);
    house.cli(&["node", "add", "Globex", "plans"], "").ok();
    for name in ["Acme", "Globex"] {
        rule(&house, &["--everyone", "--tier", "write", "--organization", name]);
    }
    let client = Client::register(house.mcp_url()).await;
    let mut asked = consent_of(&house, &client, house.alice()).await;
    let (specs, plans) = (format!("{acme}:alpha/site/specs"), format!("{globex}:plans"));
    let entered = [("organization", globex.as_str()), ("expires", "7d")];
    let form = asked.2.form("decision");
    let sent = form.filled(
        &entered,
        &[("tier", "write"), ("node", &specs), ("node", &plans)],
        ("decision", "authorize"),
    );
    let again = asked.0.post(&form.action, &sent).await.page();
    assert_eq!((again.kind.as_str(), again.answer.status), ("consent", 422), "{again:#?}");
    assert!(again.text.contains("You chose Globex and ticked folders of Acme."), "{}", again.text);
    let kept = [
        ("organization", globex.as_str()),
        ("node", specs.as_str()),
        ("node", plans.as_str()),
        ("tier", "write"),
        ("expires", "7d"),
    ];
    let form = again.form("decision");
    let mut shown = ticked(form);
    shown.sort_unstable();
    let mut expected = kept.to_vec();
    expected.sort_unstable();
    assert_eq!(shown, expected);
    assert!(again.answer.body.matches("<details open>").count() == 2, "what is ticked is seen");

    // The person chooses the other one and leaves its folder ticked.
    let sent: Vec<_> = form
        .filled(&[("organization", &acme)], &[], ("decision", "authorize"))
        .into_iter()
        .filter(|(_, value)| *value != plans)
        .collect();
    let callback = asked.0.post(&form.action, &sent).await.away();
    let tokens = e2e::client::Tokens::read(&client.redeem(&asked.1, &callback.code()).await);
    assert_eq!(decode(&tokens.access).1["org"], json!(acme));
    assert_eq!(details(&tokens), json!([at("alpha/site/specs", &["create", "read", "update"])]));

    // Whoever denies denies, whatever is ticked.
    asked = consent_of(&house, &client, house.alice()).await;
    let form = asked.2.form("decision");
    let no = form.filled(&entered, &[("node", &specs)], ("decision", "deny"));
    let refused = asked.0.post(&form.action, &no).await.away();
    assert_eq!(refused.get("error").as_deref(), Some("access_denied"));
}

async fn more_folders_than_a_token_names_are_asked_about_again(store: Store) {
    let house = House::start(store).await;
    acme(&house);
    rule(&house, &["--everyone", "--tier", "read", "--organization", "Acme"]);
    for i in 0..8 {
        house.cli(&["node", "add", "Acme", &format!("n{i}/b/c/d/e/f/g/h")], "").ok();
    }
    let client = Client::register(house.mcp_url()).await;
    let asked = consent_of(&house, &client, house.alice()).await;
    let form = asked.2.form("decision");
    let nodes: Vec<_> = form.ticks("node").into_iter().map(|node| ("node", node)).collect();
    assert_eq!(nodes.len(), 68);
    let again = asked.0.post(&form.action, &form.filled(&[], &nodes, ("decision", "authorize"))).await.page();
    assert_eq!((again.kind.as_str(), again.answer.status), ("consent", 422), "{again:#?}");
    assert!(again.text.contains("You ticked 68 folders, and 64"), "{}", again.text);
    let form = again.form("decision");
    assert_eq!(ticked(form).into_iter().filter(|(name, _)| *name == "node").count(), 68);
}

async fn the_command_that_a_refusal_prints_is_what_is_missing(store: Store) {
    let house = House::start(store).await;
    acme(&house);
    let client = Client::register(house.mcp_url()).await;
    for (group_rule, email) in [
        (&["--group", "staff", "--tier", "read"][..], "bob@example.test"),
        (&["--group", "staff", "--tier", "read", "--organization", "Acme"], "carol@example.test"),
    ] {
        rule(&house, group_rule);
        let person = house.user(email);
        let asked = consent_of(&house, &client, &person).await;
        let tokens = agree(&client, &asked, &[], &[("tier", "destroy")]).await;
        let refused = Mcp::hello(house.mcp_url(), &tokens.access).await;
        let told = refused.expect_error(403, "insufficient_scope");
        let (_, command) = told.split_once("with this command: doorward ").expect("a command");
        let (command, _) = command.split_once(" (in place of TIER").expect("what to fill in");
        let arguments: Vec<_> =
            command.split(' ').map(|word| if word == "TIER" { "write" } else { word }).collect();
        house.cli(&arguments, "").ok();
        let tokens = e2e::client::Tokens::read(&client.refresh(&tokens.refresh).await);
        assert_eq!(tokens.permissions(), ["artifacts:create", "artifacts:read", "artifacts:update"]);
        assert_eq!(Mcp::hello(house.mcp_url(), &tokens.access).await.status, 200);
    }
}

async fn grants_are_found_and_revoked_by_the_name_of_an_organization(store: Store) {
    let house = House::start(store).await;
    let acme = acme(&house);
    rule(&house, &["--everyone", "--tier", "read", "--organization", "Acme"]);
    rule(&house, &["--everyone", "--tier", "read"]);
    let client = Client::register(house.mcp_url()).await;
    for chosen in 0..2 {
        let asked = consent_of(&house, &client, house.alice()).await;
        let organization = asked.2.form("decision").ticks("organization")[chosen].to_owned();
        agree(&client, &asked, &[("organization", &organization)], &[("tier", "read")]).await;
    }
    let list = |of: &str| house.cli(&["grant", "list", "--organization", of, "--json"], "").json();
    assert_eq!(list("Acme"), list(&acme));
    assert_eq!(list("Acme").as_array().map(Vec::len), Some(1));
    let own = text(&house.cli(&["user", "list", "--json"], "").json()[0]["organization"]);
    assert_eq!(list(&own).as_array().map(Vec::len), Some(1));
    let nobody = house.cli(&["grant", "list", "--organization", "Globex"], "");
    assert_eq!((nobody.code, nobody.stderr.contains("no organization")), (1, true), "{}", nobody.stderr);
    house.cli(&["grant", "revoke", "--organization", "Acme"], "").ok();
    let state = |of: &str| list(of)[0]["state"].clone();
    assert_eq!((state("Acme"), state(&own)), (json!("ended"), json!("active")));
}
