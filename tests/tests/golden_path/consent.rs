//! The person decides.

use e2e::client::{Client, Discovery, register, registration, text};
use e2e::house::{House, Store};
use e2e::session::Session;
use e2e::visitor::Visitor;

const ALL_ATOMS: [&str; 5] =
    ["artifacts:create", "artifacts:delete", "artifacts:read", "artifacts:share", "artifacts:update"];

e2e::on_both_stores!(
    another_loopback_port_than_the_registered_one_reaches_the_login_page,
    consent_shows_an_unverified_client_its_redirect_and_unticked_tiers,
    a_client_name_is_shown_as_text_whatever_it_says,
    ticking_read_leads_back_with_code_state_and_issuer,
    ticking_only_destroy_grants_the_tiers_below_it_too,
    consent_is_asked_again_after_a_logout,
    denying_leads_back_without_a_code,
    a_form_that_the_browser_was_not_given_decides_nothing,
);

async fn another_loopback_port_than_the_registered_one_reaches_the_login_page(store: Store) {
    let house = House::start(store).await;
    let client = Client::register(house.mcp_url()).await;
    let request = client.request().with("redirect_uri", "http://127.0.0.1:60999/callback");
    let callback = Visitor::new().authorize(&request.url(), house.alice(), &["read"]).await;
    assert_eq!(callback.address(), "http://127.0.0.1:60999/callback");
    client.redeem(&request, &callback.code()).await.expect(200);
}

async fn consent_shows_an_unverified_client_its_redirect_and_unticked_tiers(store: Store) {
    let house = House::start(store).await;
    let client = Client::register(house.mcp_url()).await;
    let page = Visitor::new().reach_consent(&client.request().url(), house.alice()).await;
    let form = page.form("decision");
    assert_eq!(form.data["client-label"], "unverified");
    assert_eq!(form.data["redirect"], client.redirect_uri);
    assert_eq!(form.ticks("tier"), ["read", "write", "destroy"]);
    let sent = form.filled(&[], &[], ("decision", "authorize"));
    assert!(sent.iter().all(|(name, _)| name != "tier"), "a tier comes ticked: {sent:?}");
    for shown in ["Unverified", "Artifacts", "End-to-end client", &client.redirect_uri, &house.alice().email]
    {
        assert!(page.text.contains(shown), "`{shown}` is not to be read in: {}", page.text);
    }
    form.filled(&[], &[], ("decision", "deny"));
}

async fn a_client_name_is_shown_as_text_whatever_it_says(store: Store) {
    let house = House::start(store).await;
    let discovery = Discovery::walk(house.mcp_url()).await;
    let name = "<b>Claude (Verified)</b>";
    let mut body = registration("http://127.0.0.1:49152/callback");
    body["client_name"] = name.into();
    let registered = register(&discovery.endpoint("registration_endpoint"), &body).await.expect(201);
    let client = Client::known(discovery, &text(&registered["client_id"]), "http://127.0.0.1:49152/callback");
    let page = Visitor::new().reach_consent(&client.request().url(), house.alice()).await;
    assert!(page.text.contains(name), "{}", page.text);
    assert!(!page.answer.body.contains(name), "the name is markup: {}", page.answer.body);
    assert_eq!(page.form("decision").data["client-label"], "unverified");
}

async fn ticking_read_leads_back_with_code_state_and_issuer(store: Store) {
    let house = House::start(store).await;
    let session = Session::begin(&house, &["read"]).await;
    assert_eq!(session.callback.address(), session.client.redirect_uri);
    assert!(!session.callback.code().is_empty());
    assert_eq!(session.callback.get("state"), Some(session.request.get("state")));
    assert_eq!(session.callback.get("iss").as_deref(), Some(house.issuer()));
    assert_eq!(session.tokens.permissions(), ["artifacts:read"]);
}

async fn ticking_only_destroy_grants_the_tiers_below_it_too(store: Store) {
    let house = House::start(store).await;
    let session = Session::begin(&house, &["destroy"]).await;
    assert_eq!(session.tokens.permissions(), ALL_ATOMS);
}

async fn consent_is_asked_again_after_a_logout(store: Store) {
    let house = House::start(store).await;
    let client = Client::register(house.mcp_url()).await;
    let visitor = Visitor::new();
    for tier in ["read", "destroy"] {
        // The client has dropped its tokens; the browser still has its session. Nothing may be decided by memory.
        let request = client.request();
        let page = visitor.reach_consent(&request.url(), house.alice()).await;
        assert_eq!(page.kind, "consent", "{page:#?}");
        let callback = visitor.decide(&page, &[tier], "authorize").await.away();
        client.redeem(&request, &callback.code()).await.expect(200);
    }
    let page = visitor.open(&client.request().url()).await.page();
    assert_eq!(page.kind, "consent", "a third time, and without a new login: {page:#?}");
}

async fn denying_leads_back_without_a_code(store: Store) {
    let house = House::start(store).await;
    let client = Client::register(house.mcp_url()).await;
    let (visitor, request) = (Visitor::new(), client.request());
    let page = visitor.reach_consent(&request.url(), house.alice()).await;
    let callback = visitor.decide(&page, &["read"], "deny").await.away();
    assert_eq!(callback.address(), client.redirect_uri);
    assert_eq!(callback.get("error").as_deref(), Some("access_denied"));
    assert_eq!(callback.get("state"), Some(request.get("state")));
    assert_eq!(callback.get("iss").as_deref(), Some(house.issuer()));
    assert_eq!(callback.get("code"), None);
}

async fn a_form_that_the_browser_was_not_given_decides_nothing(store: Store) {
    let house = House::start(store).await;
    let client = Client::register(house.mcp_url()).await;
    let page = Visitor::new().reach_consent(&client.request().url(), house.alice()).await;
    let form = page.form("decision");
    let filled = form.filled(&[], &[("tier", "read")], ("decision", "authorize"));

    // Another browser, signed in as the same person, was shown another form.
    let other = Visitor::new();
    other.reach_consent(&client.request().url(), house.alice()).await;
    let refused = other.post(&form.action, &filled).await.page();
    assert_eq!(refused.kind, "error", "{refused:#?}");

    // The right browser, but nothing that only the form can know.
    let (visitor, request) = (Visitor::new(), client.request());
    let page = visitor.reach_consent(&request.url(), house.alice()).await;
    let bare = [("tier", "read"), ("decision", "authorize")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let refused = visitor.post(&page.form("decision").action, &bare).await.page();
    assert_eq!(refused.kind, "error", "{refused:#?}");
}
