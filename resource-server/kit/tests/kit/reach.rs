//! Where the authorization server is reached.

use doorward_resource_server::{Credentials, ResourceServer, Settings};
use serde_json::json;

use crate::{
    issuer::ScriptedIssuer,
    tokens::{EVIL, FIRST, jwks},
    web::{FRONTS, Front, Web, eventually},
};

const NAME: &str = "https://login.example.test/t1";

/// An issuer that says it is [`NAME`], reached somewhere else.
async fn elsewhere() -> ScriptedIssuer {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    issuer.serve_metadata_at(&["/t1/.well-known/openid-configuration"]);
    issuer.set_metadata("issuer", json!(NAME));
    issuer.set_metadata("jwks_uri", json!("https://login.example.test/jwks"));
    issuer
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_is_asked_where_the_operator_says_and_keeps_its_name() {
    for front in FRONTS {
        let issuer = elsewhere().await;
        let address = issuer.issuer();
        let web =
            Web::with(front, NAME, |settings| Settings { issuer_address: Some(address.clone()), ..settings })
                .await
                .ready()
                .await;
        assert_eq!(web.with_token(&web.good_token()).await.status, 200, "{front:?}");
        assert_eq!(web.with_token(&EVIL.sign(&web.claims())).await.status, 401);
        let document = web.send("GET", "/.well-known/oauth-protected-resource", &[]).await;
        assert_eq!(document.json()["authorization_servers"], json!([NAME]));
        let mirror = web.send("GET", "/.well-known/oauth-authorization-server", &[]).await;
        assert_eq!(mirror.json()["issuer"], NAME);
        // A token that says where the keys come from is a token of somebody else.
        let mut claims = web.claims();
        claims.iss = doorward_shared::issuer::Issuer::parse(&address).unwrap();
        assert_eq!(web.with_token(&FIRST.sign(&claims)).await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_vouches_for_the_issuer_and_for_nobody_else() {
    let issuer = elsewhere().await;
    let address = issuer.issuer();
    // Keys over plain http of another host are still anybody's keys.
    for jwks_uri in [format!("{address}/jwks"), "http://keys.example.test/jwks".to_owned()] {
        issuer.set_metadata("jwks_uri", json!(jwks_uri));
        let web = Web::with(Front::Tower, NAME, |settings| Settings {
            issuer_address: Some(address.clone()),
            ..settings
        })
        .await;
        eventually("a fetch fails", || web.server.metrics().failed_fetches > 0).await;
        assert!(!web.server.is_ready(), "{jwks_uri}");
    }
    assert_eq!(issuer.jwks_fetches(), 0);
}

#[tokio::test]
async fn what_cannot_be_meant_stops_the_start() {
    let settings = || Settings::new("http://localhost:1/mcp", "http://as.example.test");
    let refused = async |settings: Settings| match ResourceServer::start(settings).await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    };
    assert!(refused(settings()).await.contains("must be https"));
    let path = Settings { issuer_address: Some("http://doorward:9000/path".to_owned()), ..settings() };
    assert!(refused(path).await.contains("scheme, host and port alone"));
    let place = Settings { issuer_address: Some("http://localhost:1".to_owned()), ..settings() };
    assert!(ResourceServer::start(place.clone()).await.is_ok());
    for credentials in [Credentials::new("", "secret"), Credentials::new("rs", "")] {
        let half = Settings { credentials: Some(credentials), ..place.clone() };
        assert!(refused(half).await.contains("incomplete"));
    }
}
