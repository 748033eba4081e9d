//! Clients whose identifier is the URL of a document in which they describe themselves.

use e2e::client::{Client, Discovery};
use e2e::house::{House, Plan, Store};
use e2e::origin::Origin;
use e2e::session::Session;
use e2e::visitor::Visitor;
use serde_json::json;

e2e::on_both_stores!(
    a_client_that_is_the_url_of_its_document_needs_no_registration,
    what_was_allowed_outlives_its_document_and_so_does_the_copy_of_it,
    a_changed_document_counts_from_the_next_request_on,
    the_operator_chooses_whose_documents_are_accepted,
    an_administrator_can_disable_bound_and_delete_such_a_client,
);

const REDIRECT: &str = "http://127.0.0.1:49152/callback";

async fn client(house: &House, url: &str) -> Client {
    Client::known(Discovery::walk(house.mcp_url()).await, url, REDIRECT)
}

async fn a_client_that_is_the_url_of_its_document_needs_no_registration(store: Store) {
    let house = House::start(store).await;
    let origin = Origin::start().await;
    let url = origin.publish("/client.json", &json!({}));
    let client = client(&house, &url).await;
    assert_eq!(client.discovery.server["client_id_metadata_document_supported"], true);
    assert_eq!(client.discovery.server["token_endpoint_auth_methods_supported"][0], "none");

    let request = client.request();
    let visitor = Visitor::new();
    let page = visitor.reach_consent(&request.url(), house.alice()).await;
    let form = page.form("decision");
    assert_eq!(
        (form.data["client-label"].as_str(), form.data["redirect"].as_str()),
        ("unverified", REDIRECT)
    );
    let host = origin.url("").replace("http://", "");
    for words in [
        &format!("The name is what {host} says at {url}"),
        "Published",
        "Any program on this computer can pose",
    ] {
        assert!(page.text.contains(words), "{words} in {}", page.text);
    }
    assert!(
        house.cli(&["client", "list"], "").ok().lines().all(|line| !line.contains(&url)),
        "not before consent"
    );
    let callback = visitor.decide(&page, &["write"], "authorize").await.away();
    client.redeem(&request, &callback.code()).await.expect(200);
    // One look at the document was enough for all pages of the sign-in.
    assert_eq!(origin.asked("/client.json"), 1);

    let mut session = Session::of(client, house.alice(), &["read"]).await;
    assert_eq!(session.mcp(&house).await.tools().await.len(), 5);
    session.refresh().await;
    let listed = house.cli(&["client", "list", "--json"], "").json();
    let known = listed.as_array().expect("a list").iter().find(|known| known["client_id"] == url.as_str());
    assert_eq!(known.expect("it is listed")["origin"], "document", "{listed:#}");
    let grants = house.cli(&["grant", "list", "--client", &url, "--json"], "").json();
    assert_eq!(grants.as_array().map(Vec::len), Some(2), "{grants:#}");
    assert_eq!(grants[0]["method"], "cimd", "{grants:#}");
}

async fn what_was_allowed_outlives_its_document_and_so_does_the_copy_of_it(store: Store) {
    let mut house = House::start(store).await;
    let origin = Origin::start().await;
    let url = origin.publish("/client.json", &json!({}));
    let client = client(&house, &url).await;
    let mut session = Session::of(client.clone(), house.alice(), &["read"]).await;

    for (status, headers) in [
        (403, "content-type: text/html\r\n"),
        (302, "location: /elsewhere\r\n"),
        (200, "content-type: text/html\r\n"),
    ] {
        origin.say("/client.json", status, headers, "<p>Are you human?");
        // What this process kept in memory is gone, what was consented to is not.
        house.restart_auth_server().await;
        session.refresh().await;
        Session::of(client.clone(), house.alice(), &["read"]).await;
    }
    // The origin itself says that the document is no more.
    origin.say("/client.json", 404, "", "");
    house.restart_auth_server().await;
    session.refresh().await;
    let page = Visitor::new().open(&client.request().url()).await.page();
    assert_eq!(page.error.as_deref(), Some("client_metadata_unavailable"), "{page:#?}");
    assert_eq!(page.answer.status, 400);
    // It is not revived by a fault that comes after that.
    origin.say("/client.json", 503, "", "");
    let page = Visitor::new().open(&client.request().url()).await.page();
    assert_eq!(page.error.as_deref(), Some("client_metadata_unavailable"), "{page:#?}");
    origin.publish("/client.json", &json!({}));
    Session::of(client, house.alice(), &["read"]).await;
}

// CM-23.
async fn a_changed_document_counts_from_the_next_request_on(store: Store) {
    let mut house = House::start(store).await;
    let origin = Origin::start().await;
    let url = origin.publish("/client.json", &json!({}));
    let client = client(&house, &url).await;
    let mut session = Session::of(client.clone(), house.alice(), &["read"]).await;
    let request = client.request();
    let code = Visitor::new().authorize(&request.url(), house.alice(), &["read"]).await.code();

    origin.publish(
        "/client.json",
        &json!({"client_name": "Renamed", "redirect_uris": ["https://app.test/cb"]}),
    );
    house.restart_auth_server().await;
    client.redeem(&request, &code).await.expect(200);
    session.refresh().await;
    let page = Visitor::new().open(&client.request().url()).await.page();
    assert_eq!(page.error.as_deref(), Some("invalid_redirect_uri"), "{page:#?}");
    let moved = client.request().with("redirect_uri", "https://app.test/cb");
    let page = Visitor::new().reach_consent(&moved.url(), house.alice()).await;
    assert!(page.text.contains("Renamed"), "{}", page.text);
}

async fn the_operator_chooses_whose_documents_are_accepted(store: Store) {
    let origin = Origin::start().await;
    let url = origin.publish("/client.json", &json!({}));
    for (setting, value, error) in [
        ("CLIENT_DOCUMENTS__DENIED_HOSTS", "127.0.0.1", Some("client_not_accepted")),
        ("CLIENT_DOCUMENTS__ALLOWED_HOSTS", "claude.ai,*.example.com", Some("client_not_accepted")),
        ("CLIENT_DOCUMENTS__ALLOWED_HOSTS", "claude.ai,127.0.0.1", None),
        ("CLIENT_DOCUMENTS__ENABLED", "false", Some("client_not_accepted")),
    ] {
        let house = House::build(Plan::on(store).with(setting, value)).await;
        let before = origin.asked("/client.json");
        let client = client(&house, &url).await;
        let supported = setting != "CLIENT_DOCUMENTS__ENABLED";
        assert_eq!(client.discovery.server["client_id_metadata_document_supported"], supported);
        let page = Visitor::new().open(&client.request().url()).await.page();
        assert_eq!(page.error.as_deref(), error, "{setting}={value}: {page:#?}");
        assert_eq!(origin.asked("/client.json") - before, usize::from(error.is_none()), "{setting}={value}");
    }
}

async fn an_administrator_can_disable_bound_and_delete_such_a_client(store: Store) {
    let house = House::start(store).await;
    let origin = Origin::start().await;
    let url = origin.publish("/client.json", &json!({}));
    let client = client(&house, &url).await;
    let session = Session::of(client.clone(), house.alice(), &["write"]).await;

    house.cli(&["client", "disable", &url], "").ok();
    session.client.refresh(&session.tokens.refresh).await.expect(401);
    let page = Visitor::new().open(&client.request().url()).await.page();
    assert_eq!(page.error.as_deref(), Some("unknown_client"), "{page:#?}");
    assert_eq!(origin.asked("/client.json"), 1, "who is not let in is not looked up");

    house.cli(&["client", "enable", &url], "").ok();
    let again = Session::of(client.clone(), house.alice(), &["write"]).await;
    house.cli(&["client", "delete", &url], "").ok();
    again.client.refresh(&again.tokens.refresh).await.expect(401);
    // It is deleted, not kept out: who consents anew lets it in anew.
    Session::of(client, house.alice(), &["read"]).await;
}
