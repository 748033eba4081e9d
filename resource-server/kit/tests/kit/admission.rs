//! Who gets in, and what everybody else is told.

use doorward_resource_server::{Refusal, ResourceServer, Settings, StartError};
use doorward_shared::{bearer::Challenge, time::Seconds};
use serde_json::json;

use crate::{
    issuer::ScriptedIssuer,
    tokens::{FIRST, claims, jwks, now},
    web::{FRONTS, Front, Web},
};

async fn started(front: Front) -> (ScriptedIssuer, Web) {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let web = Web::start(front, &issuer).await.ready().await;
    (issuer, web)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_reaches_the_handler_as_an_access() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        let claims = web.claims();
        let reply = web.with_token(&FIRST.sign(&claims)).await;
        assert_eq!(reply.status, 200, "{front:?}: {reply:?}");
        assert_eq!(
            reply.json(),
            json!({
                "subject": "01ALICE",
                "client_id": "01CLIENT",
                "organization": "01ORG",
                "grant": "01GRANT",
                "scope": "artifacts:read openid",
                "expires_at": claims.exp,
                "reads": true,
                "deletes": false,
                "saw_authorization": false,
            })
        );
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert_eq!(
            reply.header("access-control-expose-headers"),
            Some("WWW-Authenticate, Mcp-Session-Id, Retry-After")
        );
        assert_eq!(web.with_token(&FIRST.sign(&claims)).await.status, 200);
        let metrics = web.server.metrics();
        assert_eq!((metrics.verified, metrics.remembered), (1, 1));
    }
}

// JT-35: what no handler has, no handler can forward.
#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_taken_out_of_the_request_and_other_paths_are_untouched() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        let bearer = format!("Bearer {}", web.good_token());
        for path in ["/mcp", "/mcp/files", "/mcp/upload"] {
            let reply = web.send("POST", path, &[("Authorization", &bearer)]).await;
            assert_eq!(reply.json()["saw_authorization"], false, "{front:?} {path}");
        }
        let reply = web.send("GET", "/open", &[("Authorization", &bearer)]).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "open true"));
        assert_eq!(reply.header("access-control-allow-origin"), None);
        assert_eq!(web.send("GET", "/nowhere", &[]).await.status, 404);
        assert_eq!(web.send("GET", "/.well-known/other", &[]).await.status, 404);
    }
}

// JT-30
#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_every_method_is_challenged_before_anything_else() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "BREW"] {
            // `/mcp/upload` takes POST only and `/mcp/nowhere` does not exist: the challenge comes before 405 and 404.
            for path in ["/mcp", "/mcp/", "/mcp/files", "/mcp/upload", "/mcp/nowhere", "/mcp?x=1"] {
                let reply = web.send(method, path, &[]).await;
                assert_eq!(reply.status, 401, "{front:?} {method} {path}");
                let challenge = reply.header("www-authenticate").unwrap();
                assert_eq!(challenge, format!("Bearer resource_metadata=\"{}\"", web.document_url()));
                assert_eq!(reply.header("cache-control"), Some("no-store"));
                assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
                assert_eq!(reply.header("content-type"), Some("application/json"));
                if method != "HEAD" {
                    assert_eq!(reply.json()["error"], "unauthorized");
                    assert!(
                        reply.json()["error_description"].as_str().unwrap().contains(&web.document_url())
                    );
                }
            }
        }
        let bearer = format!("Bearer {}", web.good_token());
        let reply = web.send("GET", "/mcp/upload", &[("Authorization", &bearer)]).await;
        assert!([404, 405].contains(&reply.status), "{front:?} {}", reply.status);
    }
}

// HT-16 for the kit: the router behind may decode and fold what the kit must therefore protect.
#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_the_path_gets_around_the_challenge() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        for path in [
            "/%6dcp",
            "/%6Dcp/files",
            "//mcp",
            "/mcp//files",
            "/./mcp",
            "/open/../mcp",
            "/mcp%2ffiles",
            "/mcp/%2e%2e/mcp",
        ] {
            assert_eq!(web.send("GET", path, &[]).await.status, 401, "{front:?} {path}");
        }
        for path in ["/mcpx", "/MCP", "/mcp;x"] {
            assert_eq!(web.send("GET", path, &[]).await.status, 404, "{front:?} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_on_a_path_that_is_not_protected_never_runs_without_an_access() {
    let (_issuer, web) = started(Front::Actix).await;
    let bearer = format!("Bearer {}", web.good_token());
    assert_eq!(web.send("GET", "/unprotected", &[("Authorization", &bearer)]).await.status, 500);
}

// JT-31
#[tokio::test(flavor = "multi_thread")]
async fn the_scheme_has_any_case_and_everything_else_one_form() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        let token = web.good_token();
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let reply = web.send("GET", "/mcp", &[("authorization", &format!("{scheme} {token}"))]).await;
            assert_eq!(reply.status, 200, "{front:?} {scheme}");
        }
        for value in [
            format!("Bearer  {token}"),
            format!("Bearer\t{token}"),
            format!("Bearer {token},{token}"),
            format!("Bearer {token} {token}"),
            format!("Bearer \"{token}\""),
            "Bearer".to_owned(),
            "Bearer undefined null".to_owned(),
        ] {
            let reply = web.send("GET", "/mcp", &[("Authorization", &value)]).await;
            assert_eq!(reply.status, 401, "{front:?} {value}");
            assert_eq!(reply.json()["error"], "invalid_token");
        }
        let basic = web.send("GET", "/mcp", &[("Authorization", "Basic YTpi")]).await;
        assert_eq!((basic.status, basic.json()["error"].clone()), (401, json!("unauthorized")));
        assert!(!basic.header("www-authenticate").unwrap().contains("error="));
    }
}

// JT-31
#[tokio::test(flavor = "multi_thread")]
async fn of_two_authorization_headers_none_is_picked() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        let good = format!("Bearer {}", web.good_token());
        for other in [good.as_str(), "Bearer x", "Basic YTpi"] {
            for (one, two) in [(good.as_str(), other), (other, good.as_str())] {
                let reply = web.send("GET", "/mcp", &[("Authorization", one), ("Authorization", two)]).await;
                assert_eq!(reply.status, 400, "{front:?}");
                assert_eq!(reply.json()["error"], "invalid_request");
                let challenge = Challenge::parse(reply.header("www-authenticate").unwrap()).unwrap();
                assert_eq!(challenge.error.as_deref(), Some("invalid_request"));
            }
        }
    }
}

// JT-32
#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_query_the_body_or_a_cookie_is_not_read() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        let token = web.good_token();
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let cookie = format!("access_token={token}; Authorization=Bearer {token}");
        let proxy = format!("Bearer {token}");
        for reply in [
            web.send("GET", &format!("/mcp?access_token={token}"), &[]).await,
            web.send_body("POST", "/mcp", &form, &format!("access_token={token}")).await,
            web.send("GET", "/mcp", &[("Cookie", &cookie)]).await,
            web.send("GET", "/mcp", &[("Proxy-Authorization", &proxy)]).await,
            web.send("GET", "/mcp", &[("X-Authorization", &proxy)]).await,
            web.send("GET", "/mcp", &[("Sec-WebSocket-Protocol", &proxy)]).await,
        ] {
            assert_eq!(reply.status, 401, "{front:?}");
            assert!(!reply.header("www-authenticate").unwrap().contains("error="));
        }
    }
}

// JT-29, in consent mode: the challenge names no scope, since the authorization endpoint would refuse it.
#[tokio::test(flavor = "multi_thread")]
async fn a_right_token_without_the_permission_is_answered_403_without_a_scope_hint() {
    let (_issuer, web) = started(Front::Tower).await;
    let answer = web.server.answer(Refusal::InsufficientScope);
    assert_eq!(answer.status, 403);
    let header = answer.headers.iter().find(|(name, _)| *name == "www-authenticate").unwrap();
    let challenge = Challenge::parse(&header.1).unwrap();
    assert_eq!(challenge.error.as_deref(), Some("insufficient_scope"));
    assert_eq!(challenge.scope, None);
    assert_eq!(challenge.resource_metadata, Some(web.document_url()));
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["error"], "insufficient_scope");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_narrowed_to_a_part_allows_nothing_everywhere() {
    let (_issuer, web) = started(Front::Tower).await;
    let mut claims = web.claims();
    claims.authorization_details = Some(vec![json!({"type": "folder"}).as_object().unwrap().clone()]);
    let access = web.server.verify(&FIRST.sign(&claims)).await.unwrap();
    assert!(access.scope.contains("artifacts:read") && !access.allows("artifacts:read"));
    assert_eq!(access.authorization_details, claims.authorization_details);
}

// JT-36
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_verified_before_covers_no_other_token() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        let token = web.good_token();
        assert_eq!(web.with_token(&token).await.status, 200);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut other = signature.to_owned();
        let first = other.remove(0);
        other.insert(0, if first == 'A' { 'B' } else { 'A' });
        for changed in
            [format!("{signed}.{other}"), format!("{signed}."), format!("{token}."), format!("{token}=")]
        {
            for _ in 0..2 {
                assert_eq!(web.with_token(&changed).await.status, 401, "{front:?}");
            }
        }
        assert_eq!(web.with_token(&token).await.status, 200);
    }
}

// JT-36
#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_token_still_expires() {
    use std::sync::Arc;

    use doorward_shared::time::{Clock, FixedClock};

    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let clock = Arc::new(FixedClock::at(now()));
    let web =
        Web::with(Front::Tower, &issuer.issuer(), |settings| Settings { clock: clock.clone(), ..settings })
            .await
            .ready()
            .await;
    let token = FIRST.sign(&claims(&web.issuer, &web.resource, clock.now()));
    assert_eq!(web.with_token(&token).await.status, 200);
    clock.advance(Seconds::new(900 + 59));
    assert_eq!(web.with_token(&token).await.status, 200);
    assert_eq!(web.server.metrics().remembered, 1);
    clock.advance(Seconds::new(1));
    assert_eq!(web.with_token(&token).await.status, 401);
}

// JT-18, JK-09, IM-09
#[tokio::test(flavor = "multi_thread")]
async fn the_kit_does_not_start_without_something_to_protect_and_somebody_to_trust() {
    async fn start(resource: &str, issuer: &str) -> Option<StartError> {
        ResourceServer::start(Settings::new(resource, issuer)).await.err()
    }
    const RESOURCE: &str = "https://mcp.test/a";
    const ISSUER: &str = "https://as.test";
    assert!(start(RESOURCE, ISSUER).await.is_none());
    assert!(start("http://localhost:1/mcp", "http://localhost:2").await.is_none());
    assert!(matches!(start("", ISSUER).await, Some(StartError::NoResource)));
    assert!(matches!(start(RESOURCE, "").await, Some(StartError::NoIssuer)));
    for resource in ["mcp.test", "https://mcp.test/a#f", "javascript:x", "*", "https://u@mcp.test"] {
        assert!(matches!(start(resource, ISSUER).await, Some(StartError::Resource(_))), "{resource}");
    }
    for issuer in ["as.test", "https://as.test/", "javascript:x", "ftp://as.test"] {
        assert!(matches!(start(RESOURCE, issuer).await, Some(StartError::Issuer(_))), "{issuer}");
    }
    for issuer in ["http://as.test", "http://10.0.0.1", "http://localhost.as.test"] {
        assert!(matches!(start(RESOURCE, issuer).await, Some(StartError::PlainHttpIssuer)), "{issuer}");
    }
}
