//! Requests that must not lead anybody anywhere they did not register for.

use e2e::client::Client;
use e2e::house::{House, Store};
use e2e::visitor::Visitor;

e2e::on_both_stores!(
    a_redirect_that_was_not_registered_gets_an_error_page,
    a_request_without_a_proper_challenge_returns_only_to_its_own_client,
);

async fn a_redirect_that_was_not_registered_gets_an_error_page(store: Store) {
    let house = House::start(store).await;
    let client = Client::register(house.mcp_url()).await;
    for redirect in [
        "http://attacker.example.test/callback",
        "https://attacker.example.test/callback",
        "http://localhost.evil.test/callback",
        "http://127.0.0.1.evil.test/callback",
        "http://127.0.0.1@evil.test/callback",
        "http://127.0.0.1:49152@evil.test/callback",
        "http://evil.test\\@127.0.0.1:49152/callback",
        "http://127.0.0.1:49152/callback#fragment",
        "http://127.0.0.1:49152/callback?added=1",
        "http://127.0.0.1:49152/callback/",
        "http://127.0.0.1:49152/callback/../other",
        "http://127.0.0.1:49152/CALLBACK",
        "http://127.0.0.1:49152/",
        "http://127.0.0.1:49152/%63allback",
        "http://127.0.0.1:99999/callback",
        "http://127.1:49152/callback",
        "http://127.0.0.2:49152/callback",
        // Registered for one loopback name does not mean registered for all of them.
        "http://localhost:49152/callback",
        "http://[::1]:49152/callback",
        "https://127.0.0.1:49152/callback",
        "//evil.test/callback",
        "javascript:alert(1)",
        "",
    ] {
        let page = Visitor::new().open(&client.request().with("redirect_uri", redirect).url()).await.page();
        assert_eq!((page.kind.as_str(), page.answer.status), ("error", 400), "{redirect}: {page:#?}");
        assert!(page.error.is_some(), "{redirect}: {page:#?}");
    }
}

async fn a_request_without_a_proper_challenge_returns_only_to_its_own_client(store: Store) {
    let house = House::start(store).await;
    let client = Client::register(house.mcp_url()).await;
    for request in [
        client.request().without("code_challenge"),
        client.request().without("code_challenge").without("code_challenge_method"),
        client.request().with("code_challenge_method", "plain"),
        client.request().with("code_challenge_method", "s256"),
        // Without a method RFC 7636 means `plain`.
        client.request().without("code_challenge_method"),
        client.request().with("code_challenge", "tooshort"),
    ] {
        let callback = Visitor::new().open(&request.url()).await.away();
        assert_eq!(callback.address(), client.redirect_uri, "{request:#?}");
        assert_eq!(callback.get("error").as_deref(), Some("invalid_request"), "{request:#?}");
        assert_eq!(callback.get("state"), Some(request.get("state")), "{request:#?}");
        assert_eq!(callback.get("iss").as_deref(), Some(house.issuer()), "{request:#?}");
        assert_eq!(callback.get("code"), None, "{request:#?}");
    }
}
