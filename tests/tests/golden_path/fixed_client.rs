//! The public client that every house knows, and the answers that help those who set it up wrongly.

use e2e::client::{Client, Discovery};
use e2e::house::{FIXED_CLIENT, FIXED_REDIRECT, House, Store};
use e2e::session::Session;
use e2e::visitor::Visitor;

e2e::on_both_stores!(
    the_fixed_client_works_beside_a_registered_one,
    asking_for_permissions_by_scope_is_refused_with_directions,
    a_scope_that_is_empty_repeated_or_missing_is_no_error,
    a_public_client_that_sends_a_secret_is_told_to_remove_it,
    an_unknown_client_gets_an_error_page_and_no_redirect,
);

async fn fixed(house: &House) -> Client {
    Client::known(Discovery::walk(house.mcp_url()).await, FIXED_CLIENT, FIXED_REDIRECT)
}

async fn the_fixed_client_works_beside_a_registered_one(store: Store) {
    let house = House::start(store).await;
    let mut registered = Session::begin(&house, &["destroy"]).await;
    let client = fixed(&house).await;
    let request = client.request();
    let visitor = Visitor::new();
    let page = visitor.reach_consent(&request.url(), house.alice()).await;
    assert_eq!(page.form("decision").data["redirect"], FIXED_REDIRECT);
    let callback = visitor.decide(&page, &["read"], "authorize").await.away();
    assert_eq!(callback.address(), FIXED_REDIRECT);
    client.redeem(&request, &callback.code()).await.expect(200);

    let session = Session::of(client, house.alice(), &["read"]).await;
    assert_eq!(session.mcp(&house).await.tools().await.len(), 5);
    registered.refresh().await;
    assert_eq!(registered.mcp(&house).await.tools().await.len(), 11);
}

async fn asking_for_permissions_by_scope_is_refused_with_directions(store: Store) {
    let house = House::start(store).await;
    let client = fixed(&house).await;
    for scope in ["artifacts:*", "artifacts:read", "openid artifacts:read"] {
        let request = client.request().with("scope", scope);
        let callback = Visitor::new().open(&request.url()).await.away();
        assert_eq!(callback.address(), FIXED_REDIRECT);
        assert_eq!(callback.get("error").as_deref(), Some("invalid_scope"), "{scope}");
        assert_eq!(callback.get("state"), Some(request.get("state")), "{scope}");
        assert_eq!(callback.get("iss").as_deref(), Some(house.issuer()), "{scope}");
        let why = callback.get("error_description").expect("a description");
        let offending = scope.trim_start_matches("openid ");
        assert!(why.starts_with(&format!("unsupported scope {offending}")), "{scope}: {why}");
        assert!(why.contains("consent"), "where permissions are chosen: {why}");
    }
}

async fn a_scope_that_is_empty_repeated_or_missing_is_no_error(store: Store) {
    let house = House::start(store).await;
    let client = fixed(&house).await;
    let whole = "openid openid email profile offline_access";
    for request in [
        client.request().with("scope", ""),
        client.request().with("scope", "openid openid"),
        client.request().with("scope", whole),
        client.request().without("scope"),
    ] {
        let page = Visitor::new().open(&request.url()).await.page();
        assert_eq!(page.kind, "login", "{request:#?} led to {page:#?}");
    }
}

async fn a_public_client_that_sends_a_secret_is_told_to_remove_it(store: Store) {
    let house = House::start(store).await;
    let client = fixed(&house).await;
    let request = client.request();
    let code = Visitor::new().authorize(&request.url(), house.alice(), &["read"]).await.code();
    let plain = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", FIXED_REDIRECT),
        ("client_id", FIXED_CLIENT),
        ("code_verifier", &request.verifier),
    ];
    let basic = client.token_request(&plain).basic_auth(FIXED_CLIENT, Some("something"));
    let in_body = [&plain[..], &[("client_secret", "something")]].concat();
    for answer in [e2e::answer::Answer::to(basic).await, client.token(&in_body).await] {
        let why = answer.expect_error(401, "invalid_client");
        assert!(why.contains("public") && why.contains("secret"), "{why}");
    }
    client.token(&plain).await.expect(200);
}

async fn an_unknown_client_gets_an_error_page_and_no_redirect(store: Store) {
    let house = House::start(store).await;
    let client =
        Client::known(Discovery::walk(house.mcp_url()).await, "nobody", "http://127.0.0.1:1/callback");
    let page = Visitor::new().open(&client.request().url()).await.page();
    assert_eq!((page.kind.as_str(), page.answer.status), ("error", 400), "{page:#?}");
    assert!(page.error.is_some(), "{page:#?}");
    let answer = client.refresh("anything").await;
    answer.expect_error(401, "invalid_client");
}
