//! Who may do what where: rules, groups, organizations, and the bounds of clients.

use e2e::admin::Admin;
use e2e::client::{Client, Tokens, decode, text};
use e2e::house::{House, Person, Store};
use e2e::mcp::Mcp;
use e2e::page::Page;
use e2e::session::Session;
use e2e::visitor::{Callback, Visitor};
use serde_json::{Value, json};

e2e::on_both_stores!(
    who_is_named_by_no_rule_consents_is_refused_and_may_after_the_next_refresh,
    who_may_use_another_organization_only_is_told_so,
    a_group_that_is_lost_is_gone_at_the_next_refresh_and_at_once_for_introspection,
    a_grant_is_for_the_ticked_nodes_of_the_chosen_organization,
    what_was_not_offered_is_not_chosen,
    read_in_a_workspace_and_everything_in_a_folder_is_exactly_that,
    a_ceiling_in_places_bounds_what_is_offered_and_what_is_given,
    a_grant_is_narrowed_to_nodes_and_never_moved,
    removing_a_node_ends_what_names_it_and_says_so_first,
);

/// An organization Acme with a small tree; gives its identifier.
pub(crate) fn acme(house: &House) -> String {
    let made = house.cli(&["organization", "create", "Acme", "--json"], "").json();
    for path in ["alpha/site/specs", "beta"] {
        house.cli(&["node", "add", "Acme", path], "").ok();
    }
    text(&made["id"])
}

/// Adds a rule for the resource server of the house.
pub(crate) fn rule(house: &House, arguments: &[&str]) -> Value {
    let fixed = ["entitlement", "add", "--resource", house.mcp_url(), "--json"];
    house.cli(&[&fixed, arguments].concat(), "").json()
}

pub(crate) async fn consent_of(
    house: &House,
    client: &Client,
    person: &Person,
) -> (Visitor, e2e::client::Request, Page) {
    let (visitor, request) = (Visitor::new(), client.request());
    let page = visitor.reach_consent(&request.url(), person).await;
    assert_eq!(page.kind, "consent", "{page:#?} at {}", house.issuer());
    (visitor, request, page)
}

/// Answers the consent page with these ticks.
pub(crate) async fn agree(
    client: &Client,
    (visitor, request, page): &(Visitor, e2e::client::Request, Page),
    entered: &[(&str, &str)],
    ticked: &[(&str, &str)],
) -> Tokens {
    let form = page.form("decision");
    let filled = form.filled(entered, ticked, ("decision", "authorize"));
    let callback: Callback = visitor.post(&form.action, &filled).await.away();
    Tokens::read(&client.redeem(request, &callback.code()).await)
}

pub(crate) fn details(tokens: &Tokens) -> Value {
    decode(&tokens.access).1["authorization_details"].clone()
}

pub(crate) fn at(node: &str, actions: &[&str]) -> Value {
    let actions: Vec<_> = actions.iter().map(|action| format!("artifacts:{action}")).collect();
    json!({"type": "node", "identifier": node, "actions": actions})
}

async fn refresh(client: &Client, tokens: &Tokens) -> Tokens {
    Tokens::read(&client.refresh(&tokens.refresh).await)
}

async fn who_is_named_by_no_rule_consents_is_refused_and_may_after_the_next_refresh(store: Store) {
    let house = House::start(store).await;
    acme(&house);
    let bob = house.user("bob@example.test");
    let first = rule(
        &house,
        &["--group", "artifact-users", "--tier", "destroy", "--organization", "Acme", "--node", "alpha"],
    );
    assert_eq!(
        first["listed"],
        json!([house.mcp_url()]),
        "the first rule closes it to everybody else, and says so"
    );
    let client = Client::register(house.mcp_url()).await;
    let asked = consent_of(&house, &client, &bob).await;
    assert!(asked.2.text.contains("may do nothing"), "{}", asked.2.text);
    let tokens = agree(&client, &asked, &[], &[("tier", "write")]).await;
    assert!(tokens.permissions().is_empty(), "{:#}", tokens.all);
    assert_eq!(decode(&tokens.access).1["entitled"], false);
    let refused = Mcp::hello(house.mcp_url(), &tokens.access).await;
    assert_eq!(refused.status, 403, "{refused:#?}");
    assert!(refused.body.contains("group"), "it says what is missing: {}", refused.body);

    house.cli(&["user", "groups", &bob.email, "--join", "artifact-users"], "").ok();
    let tokens = refresh(&client, &tokens).await;
    assert_eq!(tokens.permissions(), ["artifacts:create", "artifacts:read", "artifacts:update"]);
    assert_eq!(details(&tokens), json!([at("alpha", &["create", "read", "update"])]));
    assert_eq!(Mcp::hello(house.mcp_url(), &tokens.access).await.status, 200);
}

async fn who_may_use_another_organization_only_is_told_so(store: Store) {
    let house = House::start(store).await;
    acme(&house);
    let alice = house.alice().email.clone();
    let mut session = Session::begin(&house, &["destroy"]).await;
    assert_eq!(session.tokens.permissions().len(), 5);
    rule(&house, &["--user", &alice, "--tier", "read", "--organization", "Acme", "--node", "alpha"]);
    session.refresh().await;
    assert_eq!(decode(&session.tokens.access).1["entitled"], false);
    let refused = Mcp::hello(house.mcp_url(), &session.tokens.access).await;
    let told = refused.expect_error(403, "insufficient_scope");
    assert!(told.contains("organization") && told.contains("choose it on the consent page"), "{told}");
    assert!(told.contains("group mapping") && told.contains(house.mcp_url()), "{told}");
    let again = Session::of(session.client.clone(), house.alice(), &["read"]).await;
    assert_eq!(details(&again.tokens), json!([at("alpha", &["read"])]));
    assert_eq!(Mcp::hello(house.mcp_url(), &again.tokens.access).await.status, 200);
}

async fn a_group_that_is_lost_is_gone_at_the_next_refresh_and_at_once_for_introspection(store: Store) {
    let house = House::start(store).await;
    let alice = house.alice().email.clone();
    house.cli(&["user", "groups", &alice, "--join", "staff"], "").ok();
    rule(&house, &["--group", "staff", "--tier", "destroy"]);
    rule(&house, &["--everyone", "--tier", "read"]);
    let mut session = Session::begin(&house, &["destroy"]).await;
    assert_eq!(session.tokens.permissions().len(), 5);
    house.cli(&["user", "groups", &alice, "--leave", "staff"], "").ok();
    let (id, secret) = house.resource_credentials();
    let request = e2e::process::client()
        .post(session.client.discovery.endpoint("introspection_endpoint"))
        .basic_auth(id, Some(secret))
        .form(&[("token", &session.tokens.access)]);
    let told = e2e::answer::Answer::to(request).await.expect(200);
    assert_eq!(told["scope"], "artifacts:read openid");
    session.refresh().await;
    assert_eq!(session.tokens.permissions(), ["artifacts:read"]);
    // What was agreed to comes back with the group, and nothing else does.
    house.cli(&["user", "groups", &alice, "--join", "staff"], "").ok();
    session.refresh().await;
    assert_eq!(session.tokens.permissions().len(), 5);
}

async fn a_grant_is_for_the_ticked_nodes_of_the_chosen_organization(store: Store) {
    let house = House::start(store).await;
    let acme = acme(&house);
    house.cli(&["resource", "set", house.mcp_url(), "--access", "everyone"], "").ok();
    rule(&house, &["--everyone", "--tier", "write", "--organization", "Acme"]);
    house.cli(&["resource", "set", house.mcp_url(), "--access", "everyone"], "").ok();
    let client = Client::register(house.mcp_url()).await;
    let asked = consent_of(&house, &client, house.alice()).await;
    let form = asked.2.form("decision");
    let own = form.ticks("organization")[1].to_owned();
    assert_eq!(form.ticks("organization"), [acme.as_str(), own.as_str()]);
    assert_eq!(form.field("organization").map(|field| field.value.as_str()), Some(acme.as_str()));
    assert_eq!(form.ticks("tier"), ["read", "write", "destroy"], "in full somewhere");
    let node = |path: &str| format!("{acme}:{path}");
    assert_eq!(form.ticks("node"), ["alpha", "alpha/site", "alpha/site/specs", "beta"].map(node));

    let whole = agree(&client, &asked, &[], &[("tier", "destroy")]).await;
    assert_eq!(decode(&whole.access).1["org"], json!(acme));
    assert_eq!(
        whole.permissions(),
        ["artifacts:create", "artifacts:read", "artifacts:update"],
        "no rule allows more"
    );
    assert_eq!(details(&whole), Value::Null, "nothing is narrowed");

    let asked = consent_of(&house, &client, house.alice()).await;
    let ticked = [("tier", "read"), ("node", &node("alpha/site")), ("node", &node("beta"))];
    let narrowed = agree(&client, &asked, &[], &ticked).await;
    assert_eq!(details(&narrowed), json!([at("alpha/site", &["read"]), at("beta", &["read"])]));
    assert_eq!(details(&refresh(&client, &narrowed).await), details(&narrowed));

    let asked = consent_of(&house, &client, house.alice()).await;
    let mine = agree(&client, &asked, &[("organization", &own)], &[("tier", "destroy")]).await;
    assert_eq!(decode(&mine.access).1["org"], json!(own));
    assert_eq!(mine.permissions().len(), 5);
}

async fn what_was_not_offered_is_not_chosen(store: Store) {
    let house = House::start(store).await;
    let acme = acme(&house);
    let bob = house.user("bob@example.test");
    rule(
        &house,
        &["--user", &bob.email, "--tier", "write", "--organization", "Acme", "--node", "alpha/site"],
    );
    house.cli(&["resource", "set", house.mcp_url(), "--access", "everyone"], "").ok();
    let client = Client::register(house.mcp_url()).await;
    let asked = consent_of(&house, &client, &bob).await;
    let form = asked.2.form("decision");
    let own = form.ticks("organization")[1].to_owned();
    let node = |path: &str| format!("{acme}:{path}");
    assert_eq!(
        form.ticks("node"),
        ["alpha/site", "alpha/site/specs"].map(node),
        "where something is allowed"
    );
    let alices = consent_of(&house, &client, house.alice()).await;
    assert_eq!(
        alices.2.form("decision").ticks("organization"),
        Vec::<&str>::new(),
        "Alice has her own data only"
    );

    let yes = form.filled(&[], &[("tier", "read")], ("decision", "authorize"));
    let with = |organization: &str, node: &str| {
        let mut sent: Vec<_> = yes.iter().filter(|(name, _)| name != "organization").cloned().collect();
        sent.push(("organization".to_owned(), organization.to_owned()));
        if !node.is_empty() {
            sent.push(("node".to_owned(), node.to_owned()));
        }
        sent
    };
    for (organization, node) in [
        ("org_01J0000000000000000000000A", ""),
        (acme.as_str(), "alpha"),
        (acme.as_str(), "beta"),
        (acme.as_str(), "../beta"),
        (own.as_str(), "alpha/site"),
        (own.as_str(), &node("beta")),
    ] {
        let page = asked.0.post(&form.action, &with(organization, node)).await.page();
        page.expect_error(400, "invalid_request");
    }
    let mut twice = with(&acme, "");
    twice.push(("organization".to_owned(), own.clone()));
    asked.0.post(&form.action, &twice).await.page().expect_error(400, "invalid_request");
    // The request still waits for an honest answer.
    let tokens = agree(&client, &asked, &[], &[("tier", "write"), ("node", &node("alpha/site/specs"))]).await;
    assert_eq!(details(&tokens), json!([at("alpha/site/specs", &["create", "read", "update"])]));
}

async fn read_in_a_workspace_and_everything_in_a_folder_is_exactly_that(store: Store) {
    let house = House::start(store).await;
    acme(&house);
    rule(&house, &["--everyone", "--tier", "read", "--organization", "Acme", "--node", "alpha"]);
    let narrow = rule(
        &house,
        &["--everyone", "--tier", "destroy", "--organization", "Acme", "--node", "alpha/site/specs"],
    );
    let mut session = Session::begin(&house, &["destroy"]).await;
    let more = at("alpha/site/specs", &["create", "delete", "share", "update"]);
    assert_eq!(details(&session.tokens), json!([at("alpha", &["read"]), more]));
    house.cli(&["entitlement", "remove", &text(&narrow["id"])], "").ok();
    session.refresh().await;
    assert_eq!(details(&session.tokens), json!([at("alpha", &["read"])]));
    assert_eq!(session.tokens.permissions(), ["artifacts:read"]);
}

async fn a_ceiling_in_places_bounds_what_is_offered_and_what_is_given(store: Store) {
    let house = House::start(store).await;
    acme(&house);
    rule(&house, &["--everyone", "--tier", "destroy", "--organization", "Acme"]);
    let create = [
        "client",
        "create",
        "--name",
        "Reader",
        "--confidential",
        "post",
        "--redirect-uri",
        "https://app.example.test/cb",
        "--ceiling",
        "read",
        "--ceiling-node",
        "Acme:alpha",
        "--json",
    ];
    let made = house.cli(&create, "").json();
    let client = Client::register(house.mcp_url()).await;
    let client = Client::known(client.discovery, &text(&made["client_id"]), "https://app.example.test/cb");
    let asked = consent_of(&house, &client, house.alice()).await;
    let form = asked.2.form("decision");
    assert_eq!(form.ticks("tier"), ["read"], "never above the ceiling");
    assert_eq!(form.ticks("node"), ["alpha", "alpha/site", "alpha/site/specs"]);
    assert_eq!(form.data["client-label"], "registered");
    let filled = form.filled(&[], &[("tier", "read")], ("decision", "authorize"));
    let callback = asked.0.post(&form.action, &filled).await.away();
    let secret = text(&made["client_secret"]);
    let tokens = Tokens::read(
        &client
            .token(&[
                ("grant_type", "authorization_code"),
                ("code", &callback.code()),
                ("redirect_uri", &client.redirect_uri),
                ("code_verifier", &asked.1.verifier),
                ("client_id", &client.client_id),
                ("client_secret", &secret),
            ])
            .await,
    );
    assert_eq!(details(&tokens), json!([at("alpha", &["read"])]));
}

async fn a_grant_is_narrowed_to_nodes_and_never_moved(store: Store) {
    let house = House::start(store).await;
    acme(&house);
    rule(&house, &["--everyone", "--tier", "destroy", "--organization", "Acme"]);
    let mut session = Session::begin(&house, &["write"]).await;
    let grant = text(&decode(&session.tokens.access).1["sid"]);
    let narrow =
        |arguments: &[&str]| house.cli(&[&["grant", "narrow", &grant, "--json"], arguments].concat(), "");
    let narrowed = narrow(&["--tier", "read", "--node", "alpha", "--node", "beta"]).json();
    assert_eq!(narrowed["places"][0], json!({"node": "alpha", "permissions": ["artifacts:read"]}));
    session.refresh().await;
    assert_eq!(details(&session.tokens), json!([at("alpha", &["read"]), at("beta", &["read"])]));
    narrow(&["--node", "alpha/site"]).ok();
    session.refresh().await;
    assert_eq!(details(&session.tokens), json!([at("alpha/site", &["read"])]));
    for bad in [
        &["--node", "beta"][..],
        &["--node", "gamma"],
        &["--node", "Alpha"],
        &["--permission", "artifacts:create"],
    ] {
        assert_eq!(narrow(bad).code, 1, "{bad:?}");
    }
    let admin = Admin::with(&house, &["*"]);
    let path = format!("/grants/{grant}");
    let none = admin.send("PATCH", &path, &json!({"nodes": []})).await;
    e2e::admin::expect_problem(&none, 400, "invalid_request");
    let specs = admin.send("PATCH", &path, &json!({"nodes": ["alpha/site/specs"]})).await.expect(200);
    assert_eq!(specs["places"][0]["node"], "alpha/site/specs");
}

async fn removing_a_node_ends_what_names_it_and_says_so_first(store: Store) {
    let house = House::start(store).await;
    acme(&house);
    rule(&house, &["--everyone", "--tier", "read", "--organization", "Acme", "--node", "alpha/site"]);
    rule(&house, &["--everyone", "--tier", "read", "--organization", "Acme"]);
    let client = Client::register(house.mcp_url()).await;
    let asked = consent_of(&house, &client, house.alice()).await;
    let named = agree(&client, &asked, &[], &[("tier", "read"), ("node", "alpha/site/specs")]).await;
    let mut whole = Session::of(client.clone(), house.alice(), &["read"]).await;
    let key = |name: &str, node: &str| {
        let arguments = [
            "key",
            "create",
            "--user",
            "alice@example.test",
            "--name",
            name,
            "--tier",
            "read",
            "--organization",
            "Acme",
        ];
        house.cli(&[&arguments[..], &["--node", node, "--json"]].concat(), "").json()["id"].clone()
    };
    let (inside, outside) = (key("In", "alpha/site"), key("Out", "beta"));
    let remove =
        |more: &[&str]| house.cli(&[&["node", "remove", "Acme", "alpha", "--json"], more].concat(), "");
    let refused = remove(&[]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("1 rules, 1 grants and 1 API keys"), "{}", refused.stderr);
    assert_eq!(remove(&["--force"]).json(), json!({"rules": 1, "grants": 1, "api_keys": 1}));
    assert_eq!(client.refresh(&named.refresh).await.status, 400);
    whole.refresh().await;
    let keys = house.cli(&["key", "list", "--json"], "").json();
    let state = |id: &Value| {
        keys.as_array().expect("a list").iter().find(|key| &key["id"] == id).expect("it is there")["state"]
            .clone()
    };
    assert_eq!((state(&inside), state(&outside)), (json!("revoked"), json!("active")));
    let nodes = house.cli(&["node", "list", "Acme", "--json"], "").json();
    assert_eq!(nodes.as_array().expect("a list").len(), 1);
    let asked = consent_of(&house, &client, house.alice()).await;
    assert_eq!(asked.2.form("decision").ticks("node"), ["beta"]);
}
