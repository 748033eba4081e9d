//! Group 1.1: the authorization request and PKCE.

use std::time::Duration;

use e2e::answer::Answer;
use e2e::client::{Tokens, text};
use e2e::house::Store;
use e2e::visitor::Visitor;
use serde_json::json;

use crate::stage::{
    EVIL, PUB1, Stage, again, ask, assert_login, assert_page, assert_refused, assert_sent_back, http,
};

/// The challenge of RFC 7636, appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

// AZ-01, AZ-02, AZ-03, AZ-04, AZ-05, AZ-06
#[tokio::test]
async fn without_an_s256_challenge_nothing_begins() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let good = || client.request().with("code_challenge", CHALLENGE);
    assert_login(&ask(&good().url()).await);
    for request in [
        good().without("code_challenge").without("code_challenge_method"),
        good().without("code_challenge"),
        good().without("code_challenge_method"),
        good().with("code_challenge", ""),
        good().with("code_challenge_method", ""),
    ] {
        assert_refused(&stage, &request, "invalid_request").await;
    }
    for method in ["plain", "PLAIN", "s256", "S256 ", " S256", "S512", "none", "S256 plain"] {
        assert_refused(&stage, &good().with("code_challenge_method", method), "invalid_request").await;
    }
    for challenge in [
        &CHALLENGE[1..],
        &format!("{CHALLENGE}A"),
        &format!("{CHALLENGE}="),
        &CHALLENGE.replace('-', "+"),
        &CHALLENGE.replace('-', "/"),
        // The last character carries bits that no SHA-256 has.
        &format!("{}N", &CHALLENGE[..42]),
        &"A".repeat(128),
    ] {
        assert_refused(&stage, &good().with("code_challenge", challenge), "invalid_request").await;
    }
    let answer = ask(&good().with("code_challenge", &CHALLENGE.replace('-', "\0")).url()).await;
    assert_page(&answer, 400, "invalid_request");
    stage.close().await;
}

// AZ-07, AZ-08
#[tokio::test]
async fn of_a_parameter_that_comes_twice_neither_is_taken() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let evil = stage.client(&[EVIL]).await;
    let good =
        || client.request().with("prompt", "login").with("max_age", "60").with("response_mode", "query");
    for (name, value) in [
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("scope", "openid"),
        ("response_type", "code"),
        ("response_mode", "query"),
        ("nonce", "other"),
        ("prompt", "login"),
        ("max_age", "60"),
    ] {
        assert_refused(&stage, &again(good(), name, value), "invalid_request").await;
        // An empty one is not the same as none when there is another.
        assert_refused(&stage, &again(good(), name, ""), "invalid_request").await;
    }
    let twice = again(good(), "state", "other");
    let answer = ask(&twice.url()).await;
    assert_sent_back(&stage, &answer, &twice, "invalid_request");
    assert!(!answer.header("location").contains("state="), "neither state is handed back: {answer:#?}");
    for (name, value) in
        [("client_id", evil.client_id.as_str()), ("redirect_uri", EVIL), ("redirect_uri", PUB1)]
    {
        assert_page(&ask(&again(good(), name, value).url()).await, 400, "invalid_request");
    }
    stage.close().await;
}

// AZ-09, AZ-10, AZ-11
#[tokio::test]
async fn a_code_in_the_query_is_the_only_answer_there_is() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    for kind in ["token", "id_token", "id_token token", "code token", "code id_token", "none", "CODE"] {
        let request = client.request().with("response_type", kind);
        assert_refused(&stage, &request, "unsupported_response_type").await;
    }
    assert_refused(&stage, &client.request().without("response_type"), "invalid_request").await;
    for mode in ["fragment", "form_post", "form_post.jwt", "web_message", "query.jwt", "jwt", "Query"] {
        assert_refused(&stage, &client.request().with("response_mode", mode), "invalid_request").await;
    }
    assert_login(&ask(&client.request().with("response_mode", "query").url()).await);
    assert_eq!(stage.discovery.server["response_types_supported"], json!(["code"]));
    assert_eq!(stage.discovery.server["response_modes_supported"], json!(["query"]));
    stage.close().await;
}

// AZ-12
#[tokio::test]
async fn a_request_object_is_refused_and_nothing_is_fetched() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let here = format!("http://127.0.0.1:{}/x", listener.local_addr().expect("it is bound").port());

    let unsigned = "eyJhbGciOiJub25lIn0.eyJyZWRpcmVjdF91cmkiOiJodHRwczovL2V2aWwudGVzdC8ifQ.";
    assert_refused(&stage, &client.request().with("request", unsigned), "request_not_supported").await;
    for uri in [
        here.as_str(),
        "https://169.254.169.254/x",
        "urn:ietf:params:oauth:request_uri:x",
        "file:///etc/passwd",
    ] {
        let request = client.request().with("request_uri", uri);
        assert_refused(&stage, &request, "request_uri_not_supported").await;
    }
    let visit = tokio::time::timeout(Duration::from_millis(500), listener.accept()).await;
    assert!(visit.is_err(), "the server fetched a stranger's address");
    stage.close().await;
}

// AZ-13, AZ-14, AZ-15
#[tokio::test]
async fn who_is_not_known_gets_a_page_and_never_a_redirect() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    for id in ["nope", "https://evil.test/", "'OR'1'='1", "%", "../x"] {
        assert_page(&ask(&client.request().with("client_id", id).url()).await, 400, "unknown_client");
    }
    let long = "x".repeat(256);
    for id in ["", "a b", "é", "\n", &long] {
        assert_page(&ask(&client.request().with("client_id", id).url()).await, 400, "invalid_request");
    }
    assert_page(&ask(&client.request().without("client_id").url()).await, 400, "invalid_request");

    // One that an administrator took away is as unknown as one that never was.
    let never = ask(&client.request().with("client_id", "nope").url()).await;
    stage.house.cli(&["client", "delete", &client.client_id], "").ok();
    let gone = ask(&client.request().url()).await;
    assert_page(&gone, 400, "unknown_client");
    // But for the mark under which the log knows the page.
    let plain = |answer: &Answer| {
        answer.body.lines().filter(|line| !line.contains("For the log")).collect::<String>()
    };
    assert_eq!(plain(&gone), plain(&never));
    stage.close().await;
}

// AZ-16, AZ-17
#[tokio::test]
async fn a_scope_outside_the_grammar_is_refused_and_an_endless_one_costs_nothing() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    for scope in [
        "openid  email",
        " openid",
        "openid ",
        "openid\temail",
        "open\"id",
        "open\\id",
        "open\u{7f}id",
        "é",
        "\n",
    ] {
        assert_refused(&stage, &client.request().with("scope", scope), "invalid_scope").await;
    }
    assert_page(&ask(&client.request().with("scope", "open\0id").url()).await, 400, "invalid_request");

    let begun = tokio::time::Instant::now();
    let within = "openid ".repeat(1000);
    assert_refused(&stage, &client.request().with("scope", within.trim_end()), "invalid_scope").await;
    let ten_thousand: Vec<_> = (0..10_000).map(|i| format!("s{i}")).collect();
    let answer = ask(&client.request().with("scope", &ten_thousand.join(" ")).url()).await;
    assert!(matches!(answer.status, 400 | 414) && !answer.headers.contains_key("location"), "{answer:#?}");
    let answer = ask(&client.request().with("scope", &"x".repeat(60_000)).url()).await;
    assert!(matches!(answer.status, 400 | 414) && !answer.headers.contains_key("location"), "{answer:#?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?} for three requests", begun.elapsed());
    stage.close().await;
}

// AZ-18
#[tokio::test]
async fn without_a_scope_exactly_what_was_ticked_is_granted_and_said() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let request = client.request().without("scope");
    let visitor = Visitor::new();
    let page = visitor.reach_consent(&request.url(), stage.house.alice()).await;
    assert_eq!(page.form("decision").ticks("tier"), ["read", "write", "destroy"]);
    let callback = visitor.decide(&page, &["read"], "authorize").await.away();
    let tokens = Tokens::read(&client.redeem(&request, &callback.code()).await);
    assert_eq!(tokens.scope(), ["artifacts:read"]);
    assert!(tokens.all.get("id_token").is_none(), "nobody asked for openid: {:#}", tokens.all);
    stage.close().await;
}

// AZ-19, AZ-20
#[tokio::test]
async fn state_comes_back_byte_for_byte_and_never_as_a_header() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let reserved = "-._~:/?#[]@!$&'()*+,;=%20 \"<>\\^`{|}";
    let kilobyte: String = reserved.chars().cycle().take(1024).collect();
    for state in [kilobyte.as_str(), "S1\r\nSet-Cookie: a=b", "S1\r\n\r\n<script>", "é\u{202e}", "%0d%0a"] {
        let request = client.request().with("state", state).with("response_type", "token");
        let answer = ask(&request.url()).await;
        assert_sent_back(&stage, &answer, &request, "unsupported_response_type");
        let ours = ["doorward-browser="];
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().expect("text");
            assert!(ours.iter().any(|name| cookie.starts_with(name)), "{cookie}");
        }
        assert!(answer.body.is_empty(), "{answer:#?}");
    }
    let answer = ask(&client.request().with("state", &"s".repeat(16 * 1024)).url()).await;
    assert_page(&answer, 400, "invalid_request");
    stage.close().await;
}

// AZ-21
#[tokio::test]
async fn a_form_at_the_authorization_endpoint_is_what_its_link_would_be() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let request = client.request();
    let endpoint = stage.discovery.endpoint("authorization_endpoint");
    let post = |url: &str, form: &[(String, String)]| http().post(url).form(form);
    // A page of another site sends it, so the browser leaves its cookies out; they come with the redirect.
    let foreign = post(&endpoint, &request.parameters).header("sec-fetch-site", "cross-site");
    let answer = Answer::to(foreign).await;
    assert_eq!(answer.status, 303, "{answer:#?}");
    assert!(!answer.headers.contains_key("set-cookie"), "{answer:#?}");
    let link = url::Url::parse(&endpoint).and_then(|base| base.join(answer.header("location")));
    let link = link.expect("a URL");
    assert!(link.query_pairs().into_owned().eq(request.parameters.iter().cloned()), "{link}");
    assert_eq!(link.as_str().split('?').next(), Some(endpoint.as_str()));
    let page = Visitor::new().open(link.as_str()).await.page();
    assert_eq!(page.kind, "login", "{page:#?}");

    // Its own query is not read, and nothing is merged.
    let good: Vec<_> = request.clone().without("redirect_uri").parameters;
    let with_query = format!("{endpoint}?redirect_uri={EVIL}");
    let answer = Answer::to(post(&with_query, &good)).await;
    assert!(!answer.header("location").contains("evil.test"), "{answer:#?}");
    let answer = ask(&stage.at(answer.header("location"))).await;
    assert_page(&answer, 400, "invalid_request");
    // What is wrong with it is as wrong as in a link.
    for twice in ["state", "client_id"] {
        let twice = again(request.clone(), twice, "x");
        let answer = Answer::to(post(&endpoint, &twice.parameters)).await;
        let followed = ask(&stage.at(answer.header("location"))).await;
        assert_eq!(followed.status, ask(&twice.url()).await.status, "{followed:#?}");
    }
    let long = request.clone().with("state", &"s".repeat(16 * 1024));
    assert_page(&Answer::to(post(&endpoint, &long.parameters)).await, 400, "invalid_request");
    let json = http().post(&endpoint).json(&serde_json::json!({"client_id": client.client_id}));
    assert_page(&Answer::to(json).await, 415, "invalid_request");

    for answer in [Answer::to(http().put(request.url())).await, Answer::to(http().head(request.url())).await]
    {
        assert_eq!(answer.status, 405, "{answer:#?}");
        assert_eq!(answer.header("allow"), "GET, POST");
        assert!(!answer.headers.contains_key("location"), "{answer:#?}");
    }
    stage.close().await;
}

// AZ-22, AZ-25
#[tokio::test]
async fn without_a_page_nobody_signs_in_and_nobody_agrees() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let silent = || client.request().with("prompt", "none");
    assert_refused(&stage, &silent(), "login_required").await;
    for mix in ["none login", "none consent", "login none", "none none"] {
        assert_refused(&stage, &client.request().with("prompt", mix), "invalid_request").await;
    }

    // A hint signs nobody in, whoever it names.
    let suggesting = client.request().with("login_hint", "alice@example.test");
    let page = Visitor::new().open(&suggesting.url()).await.page();
    assert_eq!(page.kind, "login");
    let field = page.form("action").field("email").expect("a field for the address");
    assert_eq!(field.value, "alice@example.test");
    let alice = Visitor::new();
    let token = text(&stage.tokens(&client, &alice).await.all["id_token"]);
    assert_refused(&stage, &silent().with("id_token_hint", &token), "login_required").await;
    let bob = stage.house.user("bob@example.test");
    let visitor = Visitor::new();
    let code = stage.code_of(&client, &visitor, &bob, &["read"]).await;
    let of_bob = text(&Tokens::read(&code.redeem().await).all["id_token"]);
    // Alice is signed in, and Bob is meant; of herself, she has to be asked: consent has no memory.
    for (hint, error) in [(&of_bob, "login_required"), (&token, "consent_required")] {
        let callback = alice.open(&silent().with("id_token_hint", hint).url()).await.away();
        assert_eq!(callback.get("error").as_deref(), Some(error), "{}", callback.url);
        assert_eq!(callback.get("code"), None);
    }
    // Where a page may be shown, whoever is meant may sign in, and nobody else is taken for them.
    let for_bob = || client.request().with("id_token_hint", &of_bob);
    let page = alice.open(&for_bob().url()).await.page();
    assert_eq!(page.kind, "login", "{page:#?}");
    let callback = alice.sign_in(&page, stage.house.alice()).await.away();
    assert_eq!(callback.get("error").as_deref(), Some("login_required"), "{}", callback.url);
    let page = alice.open(&for_bob().url()).await.page();
    assert_eq!(alice.sign_in(&page, &bob).await.page().kind, "consent");
    // Only what this server made for this very client is a hint.
    let elsewhere = stage.client(&[PUB1]).await;
    let of_another = text(&stage.tokens(&elsewhere, &visitor).await.all["id_token"]);
    let (head, signature) = of_bob.rsplit_once('.').expect("a JWT");
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    let access = stage.tokens(&client, &visitor).await.access;
    for bad in [of_another.as_str(), &forged, &access, "x.y.z"] {
        assert_refused(&stage, &client.request().with("id_token_hint", bad), "invalid_request").await;
    }
    stage.close().await;
}

// AZ-23
#[tokio::test]
async fn a_sign_in_that_is_too_old_is_asked_for_again() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    let page = visitor.reach_consent(&client.request().url(), stage.house.alice()).await;
    assert_eq!(page.kind, "consent");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let page = visitor.open(&client.request().with("max_age", "1").url()).await.page();
    assert_eq!(page.kind, "login", "{page:#?}");
    // What was proven for this request is fresh enough for it, however long the person then reads.
    let page = visitor.sign_in(&page, stage.house.alice()).await.page();
    assert_eq!(page.kind, "consent", "{page:#?}");

    let page = visitor.open(&client.request().with("max_age", "1000000000").url()).await.page();
    assert_eq!(page.kind, "consent", "{page:#?}");
    // However young the sign-in is: one for another request is not for this one.
    for (name, value) in [("max_age", "0"), ("prompt", "select_account")] {
        let page = visitor.open(&client.request().with(name, value).url()).await.page();
        assert_eq!(page.kind, "login", "{name}={value}: {page:#?}");
        let page = visitor.sign_in(&page, stage.house.alice()).await.page();
        assert_eq!(page.kind, "consent", "{page:#?}");
    }
    let page = visitor.open(&client.request().with("prompt", "login").url()).await.page();
    assert_eq!(page.kind, "login", "{page:#?}");
    for age in ["-1", "1e9", "1.5", "0x1", "9999999999999999999999", "now"] {
        assert_refused(&stage, &client.request().with("max_age", age), "invalid_request").await;
    }
    stage.close().await;
}
