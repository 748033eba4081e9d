//! DNS rebinding and pages of other origins (HT-18, HT-19).

use doorward_resource_server::Settings;

use crate::{
    issuer::ScriptedIssuer,
    tokens::{FIRST, jwks},
    web::{FRONTS, Front, Reply, Web},
};

async fn local(front: Front) -> Web {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    Web::start(front, &issuer).await.ready().await
}

async fn remote(front: Front, change: impl FnOnce(Settings) -> Settings) -> Web {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    Web::named(front, &issuer.issuer(), "mcp.test", "/mcp", change).await.ready().await
}

impl Web {
    async fn send_to_host(&self, host: &str) -> Reply {
        let token = self.good_token();
        self.send_raw(&format!(
            "GET /mcp HTTP/1.1\r\n{host}Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        ))
        .await
    }

    async fn send_from_page(&self, host: &str, origin: &str) -> u16 {
        self.send_to_host(&format!("Host: {host}\r\nOrigin: {origin}\r\n")).await.status
    }
}

// HT-18
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_foreign_name_that_points_at_this_machine_is_refused_even_with_a_token() {
    for front in FRONTS {
        let web = local(front).await;
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:9100", "[::1]:9100"] {
            assert_eq!(web.send_to_host(&format!("Host: {host}\r\n")).await.status, 200, "{front:?} {host}");
        }
        for host in
            ["evil.test", "evil.test:9100", "localhost.evil.test", "localhost:9100.evil.test", "0.0.0.0"]
        {
            let reply = web.send_to_host(&format!("Host: {host}\r\n")).await;
            assert_eq!(reply.status, 403, "{front:?} {host}");
            assert_eq!(reply.header("www-authenticate"), None);
            assert_eq!(reply.header("access-control-allow-origin"), None);
        }
        assert!(web.server.metrics().refused_host >= 5);
    }
}

// HT-18
#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_exactly_one_host() {
    for front in FRONTS {
        let web = local(front).await;
        for host in [
            "",
            "Host: localhost\r\nHost: evil.test\r\n",
            "Host: evil.test\r\nHost: localhost\r\n",
            "Host:\r\n",
        ] {
            let status = web.send_to_host(host).await.status;
            assert!([400, 403].contains(&status), "{front:?} {host:?} {status}");
        }
        let token = web.good_token();
        let absolute = format!(
            "GET http://evil.test/mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        assert!([400, 403].contains(&web.send_raw(&absolute).await.status), "{front:?}");
    }
}

// HT-18
#[tokio::test(flavor = "multi_thread")]
async fn on_this_machine_only_pages_of_this_machine_may_call() {
    for front in FRONTS {
        let web = local(front).await;
        for origin in ["http://localhost:6274", "http://127.0.0.1:3000", "http://[::1]", "https://localhost"]
        {
            assert_eq!(web.send_from_page("localhost", origin).await, 200, "{front:?} {origin}");
        }
        for origin in
            ["https://evil.test", "http://localhost.evil.test", "null", "", "http://localhost@evil.test"]
        {
            assert_eq!(web.send_from_page("localhost", origin).await, 403, "{front:?} {origin}");
        }
        let preflight = web.send("OPTIONS", "/mcp", &[("Origin", "https://evil.test")]).await;
        assert_eq!(preflight.status, 403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn elsewhere_the_host_is_checked_and_every_page_may_call_unless_a_list_is_given() {
    for front in FRONTS {
        let web = remote(front, |settings| settings).await;
        assert_eq!(web.send_from_page("mcp.test", "https://inspector.test").await, 200, "{front:?}");
        assert_eq!(web.send_from_page("localhost", "https://inspector.test").await, 403, "{front:?}");

        let listed = remote(front, |settings| Settings {
            allowed_hosts: vec!["Internal.test".to_owned()],
            allowed_origins: Some(vec!["https://inspector.test".to_owned()]),
            ..settings
        })
        .await;
        assert_eq!(
            listed.send_from_page("internal.test:8080", "https://inspector.test").await,
            200,
            "{front:?}"
        );
        assert_eq!(listed.send_from_page("mcp.test", "https://inspector.test:444").await, 403, "{front:?}");
        assert_eq!(listed.send_from_page("mcp.test", "https://mcp.test").await, 403, "{front:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_can_be_left_to_what_is_in_front() {
    for front in FRONTS {
        let web = remote(front, |settings| Settings { check_host: false, ..settings }).await;
        assert_eq!(web.send_from_page("anything.test", "null").await, 200, "{front:?}");
    }
}

// HT-19
#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_a_type_that_pages_post_without_asking_is_refused() {
    for front in FRONTS {
        let web = local(front).await;
        let bearer = format!("Bearer {}", web.good_token());
        let post = async |content_type: &str, path: &str| {
            let headers = [("Authorization", bearer.as_str()), ("Content-Type", content_type)];
            web.send_body("POST", path, &headers, r#"{"jsonrpc":"2.0"}"#).await.status
        };
        for content_type in [
            "text/plain",
            "Text/Plain;charset=UTF-8",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ] {
            assert_eq!(post(content_type, "/mcp").await, 415, "{front:?} {content_type}");
            assert_eq!(post(content_type, "/mcp/").await, 415, "{front:?} {content_type}");
        }
        assert_eq!(post("application/json", "/mcp").await, 200, "{front:?}");
        assert_eq!(post("multipart/form-data; boundary=x", "/mcp/upload").await, 200, "{front:?}");
        let foreign = [("Origin", "https://evil.test"), ("Content-Type", "text/plain")];
        assert_eq!(web.send_body("POST", "/mcp", &foreign, "{}").await.status, 403, "{front:?}");
    }
}
