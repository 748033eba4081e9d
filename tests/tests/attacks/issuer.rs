//! Group 1.4: the issuer, mix-up, metadata.

use e2e::answer::Answer;
use e2e::client::{Tokens, decode, text, well_known};
use e2e::house::{Plan, Store};
use e2e::visitor::Visitor;
use serde_json::{Value, json};

use crate::stage::{PUB1, Stage, ask, assert_json_error, assert_login, assert_refused, http, metadata};

// IM-01, IM-02, IM-03
#[tokio::test]
async fn every_answer_to_a_client_names_the_issuer_once() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let issuer = stage.house.issuer();
    assert_eq!(stage.discovery.server["issuer"], issuer);
    assert_eq!(stage.discovery.server["authorization_response_iss_parameter_supported"], true);

    let planted = || client.request().with("iss", "https://evil.test");
    for (request, error) in [
        (planted().with("response_type", "token"), "unsupported_response_type"),
        (planted().with("scope", "artifacts:read"), "invalid_scope"),
        (planted().with("resource", "https://unknown.test"), "invalid_target"),
        (planted().with("prompt", "none"), "login_required"),
        (planted().without("code_challenge"), "invalid_request"),
    ] {
        assert_refused(&stage, &request, error).await;
    }
    let visitor = Visitor::new();
    for (decision, error) in [("authorize", None), ("deny", Some("access_denied"))] {
        let request = planted();
        let page = visitor.reach_consent(&request.url(), stage.house.alice()).await;
        let callback = visitor.decide(&page, &["read"], decision).await.away();
        assert_eq!(callback.get("iss").as_deref(), Some(issuer), "{}", callback.url);
        assert_eq!(callback.get("state"), Some(request.get("state")));
        assert_eq!(callback.get("error").as_deref(), error);
    }
    let tokens = stage.tokens(&client, &visitor).await;
    assert_eq!(decode(&tokens.access).1["iss"], issuer);
    assert_eq!(decode(&text(&tokens.all["id_token"])).1["iss"], issuer);
    stage.close().await;
}

// IM-04
#[tokio::test]
async fn no_header_changes_what_the_server_says_about_itself() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let paths = [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/.well-known/jwks.json",
    ];
    for path in paths {
        let plain = ask(&stage.at(path)).await;
        for (name, value) in [
            ("host", "evil.test"),
            ("x-forwarded-host", "evil.test"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-prefix", "/evil"),
            ("forwarded", "host=evil.test;proto=https"),
            ("x-original-url", "/evil"),
            ("x-rewrite-url", "/evil"),
        ] {
            let bent = Answer::to(http().get(stage.at(path)).header(name, value)).await;
            assert_eq!(bent.body, plain.body, "{name}: {value}");
            let told =
                bent.headers.values().any(|value| value.to_str().is_ok_and(|text| text.contains("evil")));
            assert!(!told, "{bent:#?}");
        }
    }
    let request = http().get(client.request().with("prompt", "none").url());
    let answer =
        Answer::to(request.header("host", "evil.test").header("x-forwarded-host", "evil.test")).await;
    assert!(!answer.header("location").contains("evil"), "{answer:#?}");
    let answer = Answer::to(http().get(stage.at("/login")).header("host", "evil.test")).await;
    assert!(!answer.body.contains("evil"), "{answer:#?}");
    stage.close().await;
}

// IM-05
#[tokio::test]
async fn an_issuer_with_a_path_is_found_at_its_own_addresses_alone() {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("SERVER__ISSUER", "https://as.test/t1");
    let stage = Stage::build(plan).await;
    for path in [
        "/.well-known/oauth-authorization-server/t1",
        "/t1/.well-known/openid-configuration",
        "/.well-known/openid-configuration/t1",
    ] {
        let document = ask(&stage.at(path)).await.expect(200);
        assert_eq!(document["issuer"], "https://as.test/t1", "{path}");
        for (member, value) in document.as_object().expect("an object") {
            let address = value.as_str().filter(|text| text.starts_with("http"));
            assert!(address.is_none_or(|text| text.starts_with("https://as.test/t1")), "{member}: {value}");
        }
    }
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/t2",
        "/.well-known/oauth-authorization-server/t1/",
        "/.well-known/jwks.json",
        "/oauth2/token",
        "/login",
    ] {
        assert_json_error(&ask(&stage.at(path)).await, 404, "not_found");
    }
    assert_eq!(ask(&stage.at("/t1/.well-known/jwks.json")).await.status, 200);
    assert_eq!(ask(&stage.at("/t1/login")).await.status, 200);
    stage.close_quietly();
}

// IM-07, IM-08: everything that is advertised works, and what is not is refused.
#[tokio::test]
async fn the_metadata_say_what_works_and_nothing_else() {
    let stage = Stage::start(Store::Sqlite).await;
    let server = stage.discovery.server.clone();
    let client = stage.client(&[PUB1]).await;
    assert_eq!(server["code_challenge_methods_supported"], json!(["S256"]));
    let words = |name: &str| -> Vec<String> {
        server[name].as_array().unwrap_or_else(|| panic!("{name} in {server:#}")).iter().map(text).collect()
    };
    for scope in words("scopes_supported") {
        assert_login(&ask(&client.request().with("scope", &scope).url()).await);
    }
    for scope in ["artifacts:read", "artifacts:*", "address", "phone", "admin", "*"] {
        assert_refused(&stage, &client.request().with("scope", scope), "invalid_scope").await;
    }
    for mode in words("response_modes_supported") {
        assert_login(&ask(&client.request().with("response_mode", &mode).url()).await);
    }
    let methods = words("token_endpoint_auth_methods_supported");
    assert_eq!(server["revocation_endpoint_auth_methods_supported"], json!(methods));
    for method in [
        "none",
        "client_secret_post",
        "client_secret_basic",
        "client_secret_jwt",
        "private_key_jwt",
        "tls_client_auth",
        "self_signed_tls_client_auth",
        "attest_jwt_client_auth",
    ] {
        let mut body = metadata(&[PUB1]);
        body["token_endpoint_auth_method"] = method.into();
        let status = if methods.iter().any(|known| known == method) { 201 } else { 400 };
        assert_eq!(stage.register(&body).await.status, status, "{method}");
    }
    let visitor = Visitor::new();
    let tokens = stage.tokens(&client, &visitor).await;
    assert_eq!(words("grant_types_supported"), ["authorization_code", "refresh_token"]);
    let tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    let algorithms = words("id_token_signing_alg_values_supported");
    assert_eq!(json!(algorithms), json!([decode(&tokens.access).0["alg"]]));
    for prompt in words("prompt_values_supported") {
        let location =
            ask(&client.request().with("prompt", &prompt).url()).await.header("location").to_owned();
        assert_eq!(prompt == "none", location.contains("error=login_required"), "{prompt}: {location}");
    }
    let asked = http().get(stage.discovery.endpoint("userinfo_endpoint")).bearer_auth(&tokens.access);
    let person = Answer::to(asked).await.expect(200);
    let mut claims: Vec<_> = person.as_object().expect("an object").keys().cloned().collect();
    let id_token = text(&tokens.all["id_token"]);
    claims.extend(decode(&id_token).1.as_object().expect("an object").keys().cloned());
    for claim in claims {
        assert!(words("claims_supported").contains(&claim), "`{claim}` is told but not advertised");
    }
    assert_eq!(client.revoke(&tokens.refresh).await.status, 200);
    let asked = visitor.open(&stage.discovery.endpoint("end_session_endpoint")).await.page();
    assert_eq!(asked.kind, "logout");
    for absent in
        ["device_authorization_endpoint", "pushed_authorization_request_endpoint", "check_session_iframe"]
    {
        assert_eq!(server.get(absent), None, "{absent}");
    }
    for no in ["request_parameter_supported", "request_uri_parameter_supported"] {
        assert_eq!(server[no], false, "{no}");
    }
    assert_eq!(server["client_id_metadata_document_supported"], true);
    stage.close().await;
}

// IM-10, IM-11, JK-08
#[tokio::test]
async fn the_metadata_may_be_kept_and_are_the_same_for_everybody() {
    let stage = Stage::start(Store::Sqlite).await;
    for name in ["oauth-authorization-server", "openid-configuration", "jwks.json"] {
        let url = well_known(stage.house.issuer(), name);
        let plain = ask(&url).await;
        assert_eq!(plain.header("cache-control"), "public, max-age=300", "{name}");
        assert_eq!(plain.header("access-control-allow-origin"), "*");
        assert!(!plain.headers.contains_key("access-control-allow-credentials"));
        assert!(
            !plain.headers.contains_key("set-cookie") && !plain.headers.contains_key("vary"),
            "{plain:#?}"
        );
        let tag = plain.header("etag").to_owned();
        let known = Answer::to(http().get(&url).header("if-none-match", &tag)).await;
        assert_eq!((known.status, known.body.as_str()), (304, ""), "{known:#?}");
        assert_eq!(known.header("etag"), tag);
        let other = Answer::to(http().get(&url).header("if-none-match", "\"other\"")).await;
        assert_eq!(other.body, plain.body);
        for (header, value) in [
            ("accept-language", "de"),
            ("accept", "text/html"),
            ("cookie", "doorward-session=x"),
            ("user-agent", "evil"),
            ("origin", "https://evil.test"),
            ("authorization", "Bearer x"),
            ("accept-encoding", "br"),
        ] {
            let bent = Answer::to(http().get(&url).header(header, value)).await;
            assert_eq!((bent.status, &bent.body), (200, &plain.body), "{header}: {value}");
            assert_eq!(bent.header("etag"), tag);
        }
        let bent = ask(&format!("{url}?ui_locales=de&issuer=https://evil.test")).await;
        assert_eq!(bent.body, plain.body);
        let head = Answer::to(http().head(&url)).await;
        assert_eq!((head.status, head.body.as_str(), head.header("etag")), (200, "", tag.as_str()));
    }
    let keys: Value = ask(&well_known(stage.house.issuer(), "jwks.json")).await.expect(200);
    for key in keys["keys"].as_array().expect("a list") {
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            assert_eq!(key.get(private), None, "`{private}` in {key:#}");
        }
    }
    stage.close().await;
}
