//! Group 1.5: being led away, and being signed out by others.

use e2e::answer::Answer;
use e2e::client::{Client, Tokens, decode, text};
use e2e::house::Store;
use e2e::page::Page;
use e2e::visitor::{Landing, Visitor};
use serde_json::{Value, json};

use crate::raw::exchange;
use crate::stage::{PUB1, Stage, assert_page, metadata};

const OUT: &str = "https://app.test/out";

fn url(stage: &Stage, parameters: &[(&str, &str)]) -> String {
    let mut url = url::Url::parse(&stage.at("/oauth2/logout")).expect("a URL");
    url.query_pairs_mut().extend_pairs(parameters);
    url.into()
}

async fn signed_in(visitor: &Visitor, stage: &Stage) -> bool {
    visitor.open(&stage.at("/")).await.page().kind == "home"
}

/// A client that may ask to be answered at [`OUT`]: one that registered itself, and one of an administrator.
async fn clients(stage: &Stage) -> (Client, Client) {
    let mut body = metadata(&[PUB1]);
    body["post_logout_redirect_uris"] = json!([OUT]);
    let registered = stage.register(&body).await.expect(201);
    assert_eq!(registered["post_logout_redirect_uris"], json!([OUT]));
    let own = stage.known(&text(&registered["client_id"]), PUB1);
    let arguments = [
        "client",
        "create",
        "--name",
        "App",
        "--public",
        "--redirect-uri",
        PUB1,
        "--post-logout-redirect-uri",
        OUT,
        "--json",
    ];
    let made: Value = stage.house.cli(&arguments, "").json();
    (own, stage.known(&text(&made["client_id"]), PUB1))
}

/// Signs in, and gives the ID token.
async fn id_token(stage: &Stage, client: &Client, visitor: &Visitor) -> String {
    let request = client.request().with("scope", "openid");
    let code = visitor.authorize(&request.url(), stage.house.alice(), &["read"]).await.code();
    let answer = client.redeem(&request, &code).await;
    Tokens::read(&answer);
    text(&answer.expect(200)["id_token"])
}

/// Presses the one button of the page.
async fn press(visitor: &Visitor, page: &Page) -> Landing {
    let form = &page.forms[0];
    let fields: Vec<_> = form.fields.iter().map(|field| (field.name.clone(), field.value.clone())).collect();
    visitor.post(&form.action, &fields).await
}

// OR-06, OR-07
#[tokio::test]
async fn nobody_is_signed_out_or_sent_away_without_pressing_a_button() {
    let stage = Stage::start(Store::Sqlite).await;
    let (own, vouched) = clients(&stage).await;
    for (client, at_once) in [(&own, false), (&vouched, true)] {
        let visitor = Visitor::new();
        let hint = id_token(&stage, client, &visitor).await;
        let asked = [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", OUT), ("state", "a b&c")];
        let page = visitor.open(&url(&stage, &asked)).await.page();
        assert_eq!(page.kind, "logout", "{page:#?}");
        assert!(page.text.contains(OUT) && page.text.contains("alice@"), "{page:#?}");
        assert!(signed_in(&visitor, &stage).await, "a GET changes nothing");
        // A form of another site, and the same without its tag.
        let form = &page.forms[0];
        let mut fields: Vec<_> = form.fields.iter().map(|f| (f.name.clone(), f.value.clone())).collect();
        let forged = visitor.http().post(form.action.clone()).header("sec-fetch-site", "cross-site");
        assert_page(&Answer::to(forged.form(&fields)).await, 403, "csrf");
        fields.retain(|(name, _)| name != "csrf");
        assert_page(&Answer::to(visitor.http().post(form.action.clone()).form(&fields)).await, 403, "csrf");
        assert!(signed_in(&visitor, &stage).await);

        let away = press(&visitor, &page).await.away();
        assert!(away.address().starts_with(OUT), "{away:#?}");
        assert_eq!(away.get("state").as_deref(), Some("a b&c"));
        assert!(!signed_in(&visitor, &stage).await);
        // With nobody to ask, only a client that an administrator vouches for is sent whoever comes.
        let landing = visitor.open(&url(&stage, &asked)).await;
        if at_once {
            assert!(landing.away().address().starts_with(OUT));
        } else {
            let page = landing.page();
            assert_eq!(page.kind, "done");
            assert!(page.answer.body.contains("href=\"https://app.test/out?state="), "{page:#?}");
        }
    }
    stage.close().await;
}

// OR-06
#[tokio::test]
async fn an_address_that_is_not_registered_is_never_gone_to() {
    let stage = Stage::start(Store::Sqlite).await;
    let (own, vouched) = clients(&stage).await;
    let visitor = Visitor::new();
    let hint = id_token(&stage, &own, &visitor).await;
    for address in [
        "https://app.test/out/",
        "https://app.test/out?x=1",
        "https://app.test/ou",
        PUB1,
        "https://evil.test/out",
        "//evil.test",
        "javascript:alert(1)",
        "https://app.test\\@evil.test/out",
    ] {
        for who in [("id_token_hint", hint.as_str()), ("client_id", vouched.client_id.as_str())] {
            let asked = url(&stage, &[who, ("post_logout_redirect_uri", address)]);
            visitor.open(&asked).await.page().expect_error(400, "invalid_request");
        }
    }
    for senseless in [
        vec![("post_logout_redirect_uri", OUT)],
        vec![("client_id", "nobody")],
        vec![("client_id", &vouched.client_id), ("id_token_hint", &hint)],
        vec![("state", "a"), ("state", "b")],
    ] {
        visitor.open(&url(&stage, &senseless)).await.page().expect_error(400, "invalid_request");
    }
    // The fields of the page are no safer than those of the address.
    let page = visitor
        .open(&url(&stage, &[("client_id", &own.client_id), ("post_logout_redirect_uri", OUT)]))
        .await
        .page();
    let mut fields: Vec<_> = page.forms[0].fields.iter().map(|f| (f.name.clone(), f.value.clone())).collect();
    for (name, value) in &mut fields {
        if name == "post_logout_redirect_uri" {
            *value = "https://evil.test/out".to_owned();
        }
    }
    visitor.post(&page.forms[0].action, &fields).await.page().expect_error(400, "invalid_request");
    assert!(signed_in(&visitor, &stage).await);
    stage.close().await;
}

// OR-08
#[tokio::test]
async fn a_hint_is_an_id_token_of_ours_or_nothing() {
    let stage = Stage::start(Store::Sqlite).await;
    let (own, _) = clients(&stage).await;
    let visitor = Visitor::new();
    let request = own.request().with("scope", "openid");
    let code = visitor.authorize(&request.url(), stage.house.alice(), &["read"]).await.code();
    let answer = own.redeem(&request, &code).await.expect(200);
    let (hint, access) = (text(&answer["id_token"]), text(&answer["access_token"]));
    let (mut other, claims) =
        hint.rsplit_once('.').map(|(head, mac)| (mac.to_owned(), head.to_owned())).expect("a JWT");
    let flipped = if other.starts_with('A') { "B" } else { "A" };
    other.replace_range(..1, flipped);
    let none =
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", claims.split_once('.').expect("a payload").1);
    for forged in [format!("{claims}.{other}"), none, access, "rubbish".to_owned()] {
        visitor
            .open(&url(&stage, &[("id_token_hint", &forged)]))
            .await
            .page()
            .expect_error(400, "invalid_request");
    }
    assert_eq!(decode(&hint).1["aud"], own.client_id);
    assert_eq!(visitor.open(&url(&stage, &[("id_token_hint", &hint)])).await.page().kind, "logout");

    // A form of the client's page: the browser leaves the session's cookie out of it, and sends it with the redirect.
    let posted = visitor.http().post(stage.at("/oauth2/logout")).header("sec-fetch-site", "cross-site");
    let answer =
        Answer::to(posted.form(&[("id_token_hint", hint.as_str()), ("state", "s"), ("x", "y")])).await;
    assert_eq!(answer.status, 303);
    let location = answer.header("location");
    assert!(
        location.starts_with("/oauth2/logout?id_token_hint=") && location.ends_with("&state=s"),
        "{location}"
    );
    assert!(signed_in(&visitor, &stage).await);
    stage.close().await;
}

// OR-04, OR-05
#[tokio::test]
async fn no_address_in_a_link_of_ours_is_gone_to_after_signing_in() {
    let stage = Stage::start(Store::Sqlite).await;
    for evil in [
        "https://evil.test",
        "//evil.test",
        "/\\evil.test",
        "/%2f%2fevil.test",
        "javascript:alert(1)",
        "/x//../..//evil.test",
    ] {
        let visitor = Visitor::new();
        let mut login = url::Url::parse(&stage.at("/login")).expect("a URL");
        for name in ["return_to", "next", "redirect", "then", "redirect_uri"] {
            login.query_pairs_mut().append_pair(name, evil);
        }
        let page = visitor.open(login.as_str()).await.page();
        let landed = visitor.sign_in(&page, stage.house.alice()).await.page();
        assert_eq!((landed.kind.as_str(), landed.url.as_str()), ("home", stage.at("/").as_str()), "{evil}");
    }
    for path in ["//evil.test/%2e%2e", "//evil.test", "/%2f%2fevil.test/.."] {
        let host = stage.port();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost:{host}\r\nConnection: close\r\n\r\n");
        let reply = exchange(&stage, request.as_bytes()).await;
        assert!(reply.refused() && !reply.text.to_lowercase().contains("location:"), "{path}: {reply:#?}");
    }
    stage.close().await;
}
