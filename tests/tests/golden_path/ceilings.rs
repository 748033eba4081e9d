//! The bounds of clients: set, changed, and set for all that registered themselves.

use std::time::Duration;

use e2e::admin::{Admin, expect_problem};
use e2e::answer::Answer;
use e2e::client::{Client, text};
use e2e::house::{House, Plan, Store};
use e2e::mcp::Mcp;
use e2e::session::Session;
use serde_json::{Value, json};

use crate::permissions::{acme, agree, consent_of};

e2e::on_both_stores!(
    a_lower_ceiling_counts_at_once_for_what_was_allowed_before_and_a_higher_one_at_the_next_refresh,
    a_client_is_changed_over_http_as_by_command,
    clients_that_registered_themselves_stay_under_the_operators_bound,
);

/// What introspection says of an access token.
async fn told(house: &House, session: &Session) -> Value {
    let (id, secret) = house.resource_credentials();
    let request = e2e::process::client()
        .post(session.client.discovery.endpoint("introspection_endpoint"))
        .basic_auth(id, Some(secret))
        .form(&[("token", &session.tokens.access)]);
    Answer::to(request).await.expect(200)
}

async fn a_lower_ceiling_counts_at_once_for_what_was_allowed_before_and_a_higher_one_at_the_next_refresh(
    store: Store,
) {
    let house = House::start(store).await;
    acme(&house);
    let mut session = Session::begin(&house, &["destroy"]).await;
    let id = session.client.client_id.clone();
    let set = |arguments: &[&str]| house.cli(&[&["client", "set", &id], arguments].concat(), "");
    assert_eq!(Mcp::hello(house.mcp_url(), &session.tokens.access).await.status, 200);

    let said = set(&["--ceiling", "read", "--json"]).json();
    assert_eq!((&said["ceiling"], &said["label"]), (&json!("read"), &json!("unverified")));
    // Those who ask know at once, and those who follow the feed within a moment.
    assert_eq!(told(&house, &session).await, json!({"active": false}));
    let mut tries = 0;
    while Mcp::hello(house.mcp_url(), &session.tokens.access).await.status == 200 {
        tries += 1;
        assert!(tries < 100, "the resource server does not hear of it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    session.refresh().await;
    assert_eq!(session.tokens.permissions(), ["artifacts:read"]);
    assert_eq!(told(&house, &session).await["scope"], "artifacts:read openid");
    assert_eq!(Mcp::hello(house.mcp_url(), &session.tokens.access).await.status, 200);
    let asked = consent_of(&house, &session.client, house.alice()).await;
    assert_eq!(asked.2.form("decision").ticks("tier"), ["read"], "the page never offers more");

    // What was agreed to comes back with a higher one, and nothing else does; tokens that are out stay good.
    set(&["--ceiling", "write"]).ok();
    assert_eq!(told(&house, &session).await["scope"], "artifacts:read openid");
    session.refresh().await;
    assert_eq!(session.tokens.permissions(), ["artifacts:create", "artifacts:read", "artifacts:update"]);
    let wide = set(&["--no-ceiling", "--ceiling-node", "Acme"]).ok();
    assert!(wide.contains("every tier, for org_"), "{wide}");
    session.refresh().await;
    assert!(session.tokens.permissions().is_empty(), "the grant is for Alice's own data");
    set(&["--no-ceiling-nodes"]).ok();
    session.refresh().await;
    assert_eq!(session.tokens.permissions().len(), 5);

    for (wrong, why) in [
        (&["--ceiling", "everything"][..], "known tiers"),
        (&["--ceiling-node", "Globex"], "no organization"),
        (&["--name", "Verified"], "describes itself"),
        (&["--redirect-uri", "https://elsewhere.test/cb"], "describes itself"),
    ] {
        let refused = set(wrong);
        assert_eq!(refused.code, 1, "{wrong:?}");
        assert!(refused.stderr.contains(why), "{wrong:?}: {}", refused.stderr);
    }
    for misunderstood in [&[][..], &["--ceiling", "read", "--no-ceiling"]] {
        assert_eq!(set(misunderstood).code, 2, "{misunderstood:?}");
    }
}

async fn a_client_is_changed_over_http_as_by_command(store: Store) {
    let house = House::build(Plan::on(store).without_artifacts()).await;
    let acme = acme(&house);
    let admin = Admin::with(&house, &["clients:read", "clients:write", "audit:read"]);
    let new = json!({
        "client_name": "Report", "redirect_uris": ["https://app.test/cb"], "token_endpoint_auth_method": "none",
    });
    let made = admin.send("POST", "/clients", &new).await.expect(201);
    let path = format!("/clients/{}", text(&made["client_id"]));
    let change = async |body: Value| admin.send("PATCH", &path, &body).await;

    let places = json!([format!("{acme}:alpha"), "own"]);
    let body = json!({
        "client_name": "Nightly", "redirect_uris": ["https://app.test/cb", "https://new.test/cb"],
        "ceiling": "read", "ceiling_nodes": ["Acme:alpha", "own"],
    });
    let changed = change(body.clone()).await.expect(200);
    let mut expected = made.clone();
    for (member, value) in body.as_object().expect("an object") {
        expected[member] = value.clone();
    }
    expected["ceiling_nodes"] = places.clone();
    assert_eq!(changed, expected);
    assert_eq!(admin.get(&path).await.expect(200), expected);
    // The same once more changes nothing, and neither does nothing.
    assert_eq!(change(body).await.expect(200), expected);
    assert_eq!(change(json!({})).await.expect(200), expected);
    let object = text(&made["client_id"]);
    let lines = admin.all(&format!("/audit?action=client_changed&object={object}"), 50).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let detail = &lines[0]["detail"];
    assert_eq!((&detail["ceiling"], &detail["narrowed"]), (&json!("read"), &json!(true)), "{detail:#}");
    assert_eq!((&detail["ceiling_places"], &detail["client_name"]), (&places, &json!("Nightly")));
    assert_eq!(detail["redirect_uris"], json!(["https://app.test/cb", "https://new.test/cb"]));

    // null and an empty list are no bound; what is left out stays.
    let wider = change(json!({"ceiling": null})).await.expect(200);
    assert_eq!((&wider["ceiling"], &wider["ceiling_nodes"]), (&Value::Null, &places));
    let wider = change(json!({"ceiling_nodes": []})).await.expect(200);
    assert_eq!((&wider["ceiling_nodes"], &wider["client_name"]), (&json!([]), &json!("Nightly")));
    let lines = admin.all(&format!("/audit?action=client_changed&object={object}"), 50).await;
    let narrowed: Vec<_> = lines.iter().map(|line| &line["detail"]["narrowed"]).collect();
    assert_eq!(narrowed.iter().filter(|narrowed| **narrowed == &json!(true)).count(), 1);

    for wrong in [
        json!({"ceiling": "everything"}),
        json!({"ceiling": 1}),
        json!({"ceiling_nodes": ["Globex"]}),
        json!({"ceiling_nodes": ["Acme:nowhere"]}),
        json!({"redirect_uris": []}),
        json!({"redirect_uris": ["javascript:alert(1)"]}),
        json!({"redirect_uris": [format!("{}/cb", house.issuer())]}),
        json!({"client_name": ""}),
        json!({"client_id": "another"}),
    ] {
        expect_problem(&change(wrong).await, 400, "invalid_request");
    }
    let fixed = format!("/clients/{}", e2e::house::FIXED_CLIENT);
    let refused = admin.send("PATCH", &fixed, &json!({"client_name": "Mine"})).await;
    assert!(expect_problem(&refused, 409, "conflict").contains("configuration"));
    assert_eq!(admin.send("PATCH", &fixed, &json!({"ceiling": "read"})).await.expect(200)["ceiling"], "read");
    expect_problem(&admin.send("PATCH", "/clients/nobody", &json!({})).await, 404, "not_found");
}

async fn clients_that_registered_themselves_stay_under_the_operators_bound(store: Store) {
    let mut house = House::start(store).await;
    let redirect = "http://127.0.0.1:49152/callback";
    let create = ["client", "create", "--name", "Known", "--public", "--redirect-uri", redirect, "--json"];
    let known = text(&house.cli(&create, "").json()["client_id"]);
    let mut before = Session::begin(&house, &["destroy"]).await;
    let known = Client::known(before.client.discovery.clone(), &known, redirect);
    let mut known = Session::of(known, house.alice(), &["destroy"]).await;

    house.set("DCR_MAX_TIER", "write");
    house.restart_auth_server().await;
    // Also what was allowed before.
    assert_eq!(
        told(&house, &before).await["scope"],
        "artifacts:create artifacts:read artifacts:update openid"
    );
    before.refresh().await;
    assert_eq!(before.tokens.permissions(), ["artifacts:create", "artifacts:read", "artifacts:update"]);
    let client = Client::register(house.mcp_url()).await;
    let asked = consent_of(&house, &client, house.alice()).await;
    assert_eq!(asked.2.form("decision").ticks("tier"), ["read", "write"]);
    let tokens = agree(&client, &asked, &[], &[("tier", "write")]).await;
    assert_eq!(tokens.permissions().len(), 3);
    // An administrator's word goes below it, and not above.
    house.cli(&["client", "set", &client.client_id, "--ceiling", "destroy"], "").ok();
    let asked = consent_of(&house, &client, house.alice()).await;
    assert_eq!(asked.2.form("decision").ticks("tier"), ["read", "write"]);
    let why = ["access", "--user", &house.alice().email, "--client", &client.client_id];
    let why = house.cli(&[&why[..], &["--resource", house.mcp_url()]].concat(), "").ok();
    assert!(why.contains("registration.max_tier"), "{why}");

    known.refresh().await;
    assert_eq!(known.tokens.permissions().len(), 5, "an administrator registered it");
}
