//! Several hundred requests that make no sense, each in its own way, at every endpoint: none breaks anything.

use std::collections::BTreeSet;

use e2e::answer::Answer;
use e2e::house::Store;
use reqwest::Method;

use crate::stage::{PUB1, Stage, http};

const TYPES: [&str; 5] = [
    "application/x-www-form-urlencoded",
    "application/json",
    "text/plain",
    "multipart/form-data; boundary=x",
    "",
];

/// Bodies, as bytes: what is no form, no JSON, no text, or all of it at once.
fn bodies(client_id: &str) -> Vec<Vec<u8>> {
    let mut bodies: Vec<_> = [
        "",
        "{",
        "{}",
        "[]",
        "null",
        "\"",
        "a",
        "=",
        "&&",
        "grant_type",
        "grant_type=",
        "grant_type=authorization_code",
        "grant_type=refresh_token&refresh_token=x",
        "grant_type=x&grant_type=y",
        "%",
        "%00",
        "\0",
        "a=%ff",
        "{\"redirect_uris\":1}",
        "{\"redirect_uris\":[\"\"]}",
        "{\"redirect_uris\":[\"https://app.test/cb\"],\"client_name\":[]}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1e999}",
        "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--",
        "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><x>&e;</x>",
        "csrf=x&request=x&email=x&password=x&action=sign_in",
        "csrf=x&request=x&shown=x&decision=authorize&tier=destroy",
        "token=x&token=y",
        "client_id=&client_secret=&code=&code_verifier=",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    bodies.push(b"\xff\xfe\x00".to_vec());
    bodies.push("é=ü&\u{202e}=\u{0}".as_bytes().to_vec());
    bodies.push(format!("client_id={client_id}&grant_type=authorization_code&code=x").into_bytes());
    bodies.push(
        format!("client_id={client_id}&grant_type=refresh_token&refresh_token=x&scope=a%20%20b").into_bytes(),
    );
    bodies.push(format!("client_id={client_id}&code={}", "x".repeat(60_000)).into_bytes());
    bodies.push(format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000)).into_bytes());
    bodies.push(vec![b'['; 60_000]);
    bodies
}

const QUERIES: [&str; 24] = [
    "",
    "?",
    "?%",
    "?%zz",
    "?%00",
    "?%ff",
    "?&&&",
    "?=",
    "?a=b=c",
    "?client_id",
    "?client_id=",
    "?client_id=%20",
    "?client_id=x&client_id=y",
    "?response_type=code",
    "?redirect_uri=",
    "?request=",
    "?request=req_",
    "?request=%00",
    "?request=x&request=y",
    "?[]=x&a[b]=c",
    "?%F0%9F%92%A9=%F0%9F%92%A9",
    "?state=%0d%0a",
    "?issuer=x",
    "?;;;",
];

#[tokio::test]
async fn hundreds_of_malformed_requests_are_refused_and_none_breaks_anything() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let mut tried = BTreeSet::new();
    let bodies = bodies(&client.client_id);
    let posts = [
        "/oauth2/token",
        "/oauth2/revoke",
        "/oauth/clients/register",
        "/login",
        "/logout",
        "/consent",
        "/setup/x",
        "/oauth2/userinfo",
    ];
    for path in posts {
        for content_type in TYPES {
            for body in &bodies {
                let mut request = http().post(stage.at(path)).body(body.clone());
                if !content_type.is_empty() {
                    request = request.header("content-type", content_type);
                }
                let answer = Answer::to(request).await;
                assert!((400..500).contains(&answer.status), "{path} {content_type} {body:?}: {answer:#?}");
                tried.insert((path, content_type, body.clone()));
            }
        }
    }
    let gets = [
        "/oauth2/authorize",
        "/oauth2/userinfo",
        "/login",
        "/consent",
        "/setup/x",
        "/",
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
        "/healthz",
        "/readyz",
        "/assets/doorward.css",
    ];
    for path in gets {
        for query in QUERIES {
            for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PATCH] {
                let answer =
                    Answer::to(http().request(method.clone(), format!("{}{query}", stage.at(path)))).await;
                assert!(answer.status < 500, "{method} {path}{query}: {answer:#?}");
                let away = answer.headers.get("location").map(|to| to.to_str().expect("text"));
                assert!(away.is_none_or(|to| to.starts_with('/')), "{method} {path}{query}: {answer:#?}");
            }
            tried.insert((path, query, Vec::new()));
        }
    }
    for header in [
        "Basic",
        "Basic ",
        "Basic %%%",
        "Basic eA==",
        "Basic Og==",
        "Basic eDp5",
        "Bearer",
        "Bearer x",
        "x",
        "Digest x",
        "Basic eDp5, Basic eDp5",
        "Negotiate x",
        "\u{e9}",
    ] {
        for path in ["/oauth2/token", "/oauth2/revoke", "/oauth2/userinfo"] {
            let request = http().post(stage.at(path)).header("authorization", header.as_bytes());
            let answer = Answer::to(request.form(&[("grant_type", "refresh_token"), ("token", "x")])).await;
            assert!((400..500).contains(&answer.status), "{path} {header}: {answer:#?}");
            tried.insert((path, header, Vec::new()));
        }
    }
    assert!(tried.len() >= 1000, "{} distinct ones", tried.len());
    stage.close().await;
}
