//! The documents that clients discover, and what browsers may read.

use serde_json::json;

use crate::{
    issuer::ScriptedIssuer,
    tokens::{FIRST, jwks},
    web::{FRONTS, Reply, Web},
};

const PROTECTED_RESOURCE: [&str; 3] = [
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp",
    "/mcp/.well-known/oauth-protected-resource",
];
const AUTHORIZATION_SERVER: [&str; 3] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/oauth-authorization-server/mcp",
    "/mcp/.well-known/oauth-authorization-server",
];

fn assert_readable_by_pages(reply: &Reply) {
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("access-control-allow-credentials"), None);
    assert_eq!(
        reply.header("access-control-expose-headers"),
        Some("WWW-Authenticate, Mcp-Session-Id, Retry-After")
    );
}

// RI-13, IM-09
#[tokio::test(flavor = "multi_thread")]
async fn the_resource_describes_itself_wherever_clients_look() {
    for front in FRONTS {
        let issuer = ScriptedIssuer::down("", jwks(&[&FIRST])).await;
        let web = Web::start(front, &issuer).await;
        for path in PROTECTED_RESOURCE {
            let reply = web.send("GET", path, &[]).await;
            assert_eq!(reply.status, 200, "{front:?} {path}");
            assert_eq!(reply.header("content-type"), Some("application/json"));
            assert_readable_by_pages(&reply);
            assert_eq!(
                reply.json(),
                json!({
                    "resource": web.resource,
                    "authorization_servers": [issuer.issuer()],
                    "scopes_supported": ["openid"],
                    "bearer_methods_supported": ["header"],
                })
            );
            let head = web.send("HEAD", path, &[]).await;
            assert_eq!((head.status, head.body.as_str()), (200, ""));
            let post = web.send("POST", path, &[]).await;
            assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_for_people_are_in_the_document_when_they_are_configured() {
    for front in FRONTS {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let web = Web::with(front, &issuer.issuer(), |settings| doorward_resource_server::Settings {
            resource_name: Some("Invoices".to_owned()),
            resource_documentation: Some("https://docs.test".to_owned()),
            ..settings
        })
        .await;
        let document = web.send("GET", PROTECTED_RESOURCE[0], &[]).await.json();
        assert_eq!(document["resource_name"], "Invoices");
        assert_eq!(document["resource_documentation"], "https://docs.test");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issuers_metadata_is_mirrored_unchanged_and_is_404_until_it_is_known() {
    for front in FRONTS {
        let mut issuer = ScriptedIssuer::down("", jwks(&[&FIRST])).await;
        let web = Web::start(front, &issuer).await;
        for path in AUTHORIZATION_SERVER {
            let reply = web.send("GET", path, &[]).await;
            assert_eq!(reply.status, 404, "{front:?} {path}");
            assert_eq!(reply.header("content-type"), Some("application/json"));
        }
        issuer.start();
        let web = web.ready().await;
        for path in AUTHORIZATION_SERVER {
            let reply = web.send("GET", path, &[]).await;
            assert_eq!(reply.status, 200, "{front:?} {path}");
            assert_readable_by_pages(&reply);
            assert_eq!(reply.json(), issuer.metadata());
        }
        issuer.stop().await;
        assert_eq!(web.send("GET", AUTHORIZATION_SERVER[0], &[]).await.json()["issuer"], issuer.issuer());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_does_not_exist_below_the_resource_is_404_and_no_challenge() {
    for front in FRONTS {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let web = Web::start(front, &issuer).await;
        let reply = web.send("GET", "/mcp/.well-known/openid-configuration", &[]).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (404, Some("application/json")),
            "{front:?}"
        );
        assert_eq!(reply.header("www-authenticate"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_needs_no_token_and_allows_what_mcp_clients_send() {
    for front in FRONTS {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let web = Web::start(front, &issuer).await;
        for path in ["/mcp", "/mcp/files", PROTECTED_RESOURCE[1], AUTHORIZATION_SERVER[0]] {
            let headers = [
                ("Origin", "http://localhost:6274"),
                ("Access-Control-Request-Method", "POST"),
                ("Access-Control-Request-Headers", "authorization, mcp-protocol-version"),
            ];
            let reply = web.send("OPTIONS", path, &headers).await;
            assert_eq!((reply.status, reply.body.as_str()), (204, ""), "{front:?} {path}");
            assert_readable_by_pages(&reply);
            let allowed = reply.header("access-control-allow-headers").unwrap();
            for name in [
                "Authorization",
                "Content-Type",
                "MCP-Protocol-Version",
                "Mcp-Method",
                "Mcp-Name",
                "Mcp-Session-Id",
                "Last-Event-ID",
            ] {
                assert!(allowed.split(", ").any(|one| one == name), "{name}");
            }
            let methods = reply.header("access-control-allow-methods").unwrap();
            assert!(
                ["GET", "POST", "DELETE"].iter().all(|method| methods.split(", ").any(|one| one == *method))
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_without_a_path_has_one_document_and_protects_everything_else() {
    for front in FRONTS {
        let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
        let web =
            Web::named(front, &issuer.issuer(), "localhost", "", |settings| settings).await.ready().await;
        let document = web.send("GET", PROTECTED_RESOURCE[0], &[]).await;
        assert_eq!(document.json()["resource"], web.resource);
        for path in ["/", "/open", "/mcp", "/nowhere"] {
            let reply = web.send("GET", path, &[]).await;
            assert_eq!(reply.status, 401, "{front:?} {path}");
            let url = format!("Bearer resource_metadata=\"{}{}\"", web.resource, PROTECTED_RESOURCE[0]);
            assert_eq!(reply.header("www-authenticate"), Some(url.as_str()));
        }
        assert_eq!(web.send("GET", "/.well-known/openid-configuration", &[]).await.status, 404);
        assert_eq!(web.with_token(&web.good_token()).await.status, 200);
    }
}
