//! From two running servers to everything that a client can find out about them.

use std::time::Duration;

use e2e::answer::Answer;
use e2e::client::{Client, Discovery, challenge_parameter, text, well_known};
use e2e::house::{House, Person, Store};
use e2e::mcp::Mcp;
use e2e::process;
use e2e::visitor::Visitor;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

e2e::on_both_stores!(
    both_servers_are_healthy_and_one_setup_link_is_printed,
    no_default_password_opens_the_door,
    every_method_without_a_token_gets_the_challenge,
    a_rubbish_token_is_named_invalid,
    a_refusal_that_comes_before_the_body_says_so_if_it_ends_the_connection,
    the_resource_metadata_names_the_called_url_and_one_foreign_authorization_server,
    both_discovery_documents_name_one_issuer_and_only_living_endpoints,
    the_key_set_holds_rs256_keys_without_private_members,
    pages_of_other_origins_may_use_what_machines_use,
);

async fn both_servers_are_healthy_and_one_setup_link_is_printed(store: Store) {
    let house = House::start(store).await;
    let http = process::client();
    for origin in [house.issuer(), house.mcp_url().trim_end_matches("/mcp")] {
        let health = Answer::to(http.get(format!("{origin}/healthz"))).await;
        assert_eq!(health.status, 200, "{health:#?}");
    }
    let link = format!("setup: {}/setup/", house.issuer());
    let links: Vec<_> =
        house.logs().lines().filter(|line| line.contains("/setup/")).map(str::to_owned).collect();
    assert_eq!(links.len(), 1, "{links:#?}");
    assert!(links[0].starts_with(&link) && links[0].len() > link.len() + 20, "{links:#?}");
}

async fn no_default_password_opens_the_door(store: Store) {
    let house = House::start(store).await;
    let client = Client::register(house.mcp_url()).await;
    let alice = house.alice().email.as_str();
    for (email, password) in
        [("admin@localhost", "admin"), ("admin", "password"), (alice, ""), (alice, "doorward")]
    {
        let visitor = Visitor::new();
        let login = visitor.open(&client.request().url()).await.page();
        let someone = Person { email: email.to_owned(), password: password.to_owned() };
        let again = visitor.sign_in(&login, &someone).await.page();
        assert_eq!(again.kind, "login", "{email}: {again:#?}");
    }
}

async fn every_method_without_a_token_gets_the_challenge(store: Store) {
    let house = House::start(store).await;
    let http = process::client();
    for method in [Method::POST, Method::GET, Method::HEAD, Method::DELETE] {
        let answer = Answer::to(http.request(method.clone(), house.mcp_url())).await;
        assert_eq!(answer.status, 401, "{method}: {answer:#?}");
        let challenge = answer.header("www-authenticate");
        assert!(challenge_parameter(challenge, "resource_metadata").is_some(), "{challenge}");
        assert_eq!(
            challenge_parameter(challenge, "error"),
            None,
            "no token was sent that could be wrong: {challenge}"
        );
        if method != Method::HEAD {
            assert!(answer.json()["error"].is_string(), "a flat error: {answer:#?}");
        }
    }
}

async fn a_rubbish_token_is_named_invalid(store: Store) {
    let house = House::start(store).await;
    for token in ["rubbish", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        let answer = Mcp::hello(house.mcp_url(), token).await;
        assert_eq!(answer.status, 401, "{answer:#?}");
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge_parameter(challenge, "error").as_deref(), Some("invalid_token"), "{challenge}");
        assert!(challenge_parameter(challenge, "resource_metadata").is_some(), "{challenge}");
    }
}

/// Clients send head and body apart and use the connection again for the metadata: one that is closed under them without
/// a word makes their sign-in fail now and then.
async fn a_refusal_that_comes_before_the_body_says_so_if_it_ends_the_connection(store: Store) {
    let house = House::start(store).await;
    for (origin, path) in [(house.mcp_url().trim_end_matches("/mcp"), "/mcp"), (house.issuer(), "/nowhere")] {
        let host = origin.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).await.expect("the server takes connections");
        let body = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}";
        let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.expect("the head is sent");
        // A server may answer at once or wait for the rest; both is fine.
        let mut rest = body.as_slice();
        let mut refused = answer(&mut stream).await;
        if refused.is_empty() {
            stream.write_all(std::mem::take(&mut rest)).await.expect("the body is sent");
            refused = answer(&mut stream).await;
        }
        assert!(refused.starts_with("HTTP/1.1 40"), "{refused}");
        if refused.to_lowercase().contains("\r\nconnection: close\r\n") {
            continue;
        }
        // The rest is slow to come, as over a real network.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let next = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let sent = stream.write_all(&[rest, next.as_bytes()].concat()).await;
        sent.expect("the connection, which nobody said would end, is still open");
        let healthy = answer(&mut stream).await;
        assert!(healthy.starts_with("HTTP/1.1 200"), "{origin} closed the connection after {refused}");
    }
}

/// What comes on a connection within a moment; empty if nothing does.
async fn answer(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 16 * 1024];
    let read = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut buffer)).await;
    let length = read.map_or(0, |read| read.unwrap_or(0));
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

async fn the_resource_metadata_names_the_called_url_and_one_foreign_authorization_server(store: Store) {
    let house = House::start(store).await;
    let found = Discovery::walk(house.mcp_url()).await;
    assert_eq!(found.resource["resource"], house.mcp_url());
    assert_eq!(found.resource["authorization_servers"], json!([house.issuer()]));
    assert_eq!(found.resource["bearer_methods_supported"], json!(["header"]));
    for scope in words(&found.resource["scopes_supported"]) {
        assert!(
            ["openid", "profile", "email"].contains(&scope.as_str()),
            "`{scope}` would be refused or is not asked"
        );
    }
    let origin = house.mcp_url().trim_end_matches("/mcp");
    for url in
        [well_known(origin, "oauth-protected-resource"), well_known(origin, "oauth-protected-resource/mcp")]
    {
        let document = Answer::to(process::client().get(&url)).await.expect(200);
        assert_eq!(document, found.resource, "{url}");
    }
}

async fn both_discovery_documents_name_one_issuer_and_only_living_endpoints(store: Store) {
    let house = House::start(store).await;
    let http = process::client();
    for name in ["oauth-authorization-server", "openid-configuration"] {
        let document = Answer::to(http.get(well_known(house.issuer(), name))).await.expect(200);
        assert_eq!(document["issuer"], house.issuer(), "{name}");
        assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]), "{name}");
        assert_eq!(document["response_types_supported"], json!(["code"]), "{name}");
        assert_eq!(document["authorization_response_iss_parameter_supported"], true, "{name}");
        assert!(text(&document["registration_endpoint"]).ends_with("/oauth/clients/register"), "{name}");
        assert_eq!(document["token_endpoint_auth_methods_supported"][0], "none", "{name}");
        for scope in words(&document["scopes_supported"]) {
            assert!(
                ["openid", "profile", "email", "offline_access"].contains(&scope.as_str()),
                "{name}: {scope}"
            );
        }
        for (member, value) in document.as_object().expect("an object") {
            assert!(!value.is_null(), "{name}: `{member}` is null; clients refuse that");
            let Some(url) = value.as_str().filter(|url| url.starts_with("http")) else { continue };
            assert!(url.starts_with(house.issuer()), "{name}: `{member}` is elsewhere: {url}");
            if member != "issuer" {
                let answer = Answer::to(http.get(url)).await;
                assert!(answer.status != 404 && answer.status < 500, "{name}: `{member}`: {answer:#?}");
            }
        }
    }
    let unknown = Answer::to(http.get(well_known(house.issuer(), "something-else"))).await;
    assert!(
        unknown.expect(404)["error"].is_string(),
        "clients go on only after a 404 that is no page: {unknown:#?}"
    );
}

async fn the_key_set_holds_rs256_keys_without_private_members(store: Store) {
    let house = House::start(store).await;
    let found = Discovery::walk(house.mcp_url()).await;
    assert_eq!(found.endpoint("jwks_uri"), well_known(house.issuer(), "jwks.json"));
    let keys = Answer::to(process::client().get(found.endpoint("jwks_uri"))).await.expect(200);
    let keys = keys["keys"].as_array().expect("a list of keys").clone();
    let rs256 = keys.iter().any(|key| key["kty"] == "RSA" && key["alg"] == "RS256");
    assert!(rs256, "{keys:#?}");
    for key in &keys {
        assert!(!text(&key["kid"]).is_empty(), "{key:#}");
        for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
            assert!(key.get(private).is_none(), "`{private}` is published: {key:#}");
        }
    }
}

async fn pages_of_other_origins_may_use_what_machines_use(store: Store) {
    let house = House::start(store).await;
    let found = Discovery::walk(house.mcp_url()).await;
    let anywhere = "https://inspector.example.test";
    // A server on loopback takes calls from pages of this machine alone: any other page got here by DNS rebinding.
    let here = "http://localhost:6274";
    for (url, method, origin) in [
        (well_known(house.issuer(), "oauth-authorization-server"), Method::GET, anywhere),
        (found.endpoint("jwks_uri"), Method::GET, anywhere),
        (found.endpoint("registration_endpoint"), Method::POST, anywhere),
        (found.endpoint("token_endpoint"), Method::POST, anywhere),
        (found.endpoint("revocation_endpoint"), Method::POST, anywhere),
        (found.resource_metadata_url.clone(), Method::GET, here),
        (house.mcp_url().to_owned(), Method::POST, here),
    ] {
        let answer = Answer::to(preflight(&url, &method, origin)).await;
        assert!(matches!(answer.status, 200 | 204), "{url}: {answer:#?}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{url}");
        assert!(!answer.headers.contains_key("access-control-allow-credentials"), "{url}: {answer:#?}");
        let allowed = answer.header("access-control-allow-headers").to_lowercase();
        for header in ["content-type", "mcp-protocol-version"] {
            assert!(allowed.contains(header), "{url} does not allow `{header}`: {allowed}");
        }
    }
    let foreign = Answer::to(preflight(house.mcp_url(), &Method::POST, anywhere)).await;
    assert_eq!(foreign.status, 403, "{foreign:#?}");
    let page = Answer::to(preflight(&found.endpoint("authorization_endpoint"), &Method::GET, anywhere)).await;
    assert!(!page.headers.contains_key("access-control-allow-origin"), "a page is for people: {page:#?}");
}

fn preflight(url: &str, method: &Method, origin: &str) -> reqwest::RequestBuilder {
    process::client()
        .request(Method::OPTIONS, url)
        .header("origin", origin)
        .header("access-control-request-method", method.as_str())
        .header("access-control-request-headers", "content-type,mcp-protocol-version")
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(text).collect()
}
