//! Pages of the feed that are not the issuer's own fresh word.

use doorward_shared::revocation::{Claim, MAX_PAGE};
use serde_json::{Value, json};

use crate::{
    authority::Feed,
    issuer::ScriptedIssuer,
    revocations::{HEADERS, following, refused_soon},
    tokens::{self, EVIL, FIRST, SECOND, jwks},
    web::{Front, eventually},
};

type BadPage = (&'static str, (&'static str, &'static str, String));

/// Everything that is like a page of the issuer and is none.
fn bad_pages(template: &Feed, issuer: &str) -> Vec<BadPage> {
    let good = template.page(0);
    let page = |change: &dyn Fn(&mut Value)| {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let payload = URL_SAFE_NO_PAD.decode(good.split('.').nth(1).unwrap()).unwrap();
        let mut payload: Value = serde_json::from_slice(&payload).unwrap();
        change(&mut payload);
        payload
    };
    let same = page(&|_| {});
    let header = json!({"alg": "RS256", "typ": "revocations+jwt", "kid": FIRST.key.kid()});
    let with = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        FIRST.forge(&header, &same)
    };
    let now = tokens::now().seconds();
    let ok = |body: String| ("200 OK", HEADERS, body);
    let forged = |change: &dyn Fn(&mut Value)| ok(FIRST.forge(&header, &page(change)));
    vec![
        ("another key", ok(EVIL.forge(&EVIL.header(), &same))),
        ("another key under the same name", ok(EVIL.forge(&header, &same))),
        ("another type", ok(with("typ", json!("at+jwt")))),
        ("another type", ok(with("typ", json!("JWT")))),
        ("no type", ok(FIRST.forge(&json!({"alg": "RS256", "kid": FIRST.key.kid()}), &same))),
        ("no key", ok(FIRST.forge(&json!({"alg": "RS256", "typ": "revocations+jwt"}), &same))),
        ("another algorithm", ok(with("alg", json!("none")))),
        ("another algorithm", ok(with("alg", json!("HS256")))),
        ("an access token", ok(FIRST.sign(&tokens::claims(issuer, "http://localhost:1/mcp", tokens::now())))),
        ("another issuer", forged(&|page| page["iss"] = json!("https://other.test"))),
        ("an old page", forged(&|page| page["iat"] = json!(now - 120))),
        ("a page from the future", forged(&|page| page["iat"] = json!(now + 120))),
        ("another question", forged(&|page| page["after"] = json!(7))),
        ("no epoch", forged(&|page| page["epoch"] = json!(""))),
        ("an entry out of place", forged(&|page| page["entries"][0]["sequence"] = json!(2))),
        ("an entry about nothing", forged(&|page| page["entries"][0]["value"] = json!(""))),
        ("not a page", forged(&|page| *page = json!({"active": true}))),
        ("not signed", ok(same.to_string())),
        ("nothing", ok(String::new())),
        ("a text that was changed", ok(format!("{}A{}", &good[..300], &good[301..]))),
        ("too long", ok(format!("{good}{}", "A".repeat(MAX_PAGE)))),
        ("another media type", ("200 OK", "content-type: application/jwt\r\n", good.clone())),
        ("no media type", ("200 OK", "", good.clone())),
        ("an error", ("500 Internal Server Error", HEADERS, good.clone())),
        (
            "a redirect",
            (
                "302 Found",
                "location: /elsewhere\r\ncontent-type: application/revocations+jwt\r\n",
                good.clone(),
            ),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_not_the_issuers_own_fresh_word_is_not_taken() {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST, &SECOND])).await;
    // A page as the issuer would sign it.
    let template = ScriptedIssuer::down("", jwks(&[])).await.feed;
    template.change(|log| log.issuer = issuer.issuer());
    template.revoke(Claim::Sid, "01GRANT", None);
    for case in 0..bad_pages(&template, &issuer.issuer()).len() {
        let (what, said) = bad_pages(&template, &issuer.issuer()).swap_remove(case);
        let web = following(Front::Tower, &issuer).await;
        let before = web.server.metrics();
        issuer.feed.change(|log| log.instead = Some(said));
        eventually(what, || web.server.metrics().failed_pages > before.failed_pages).await;
        assert_eq!(web.server.metrics().revocations, 0, "{what}");
        assert_eq!(web.with_token(&web.good_token()).await.status, 200, "{what}");
        issuer.feed.change(|log| log.instead = None);
    }
    assert_eq!(issuer.followed(), 0);
    // The page from which all of them were made is a good one.
    let web = following(Front::Tower, &issuer).await;
    issuer.feed.change(|log| log.instead = Some(("200 OK", HEADERS, template.page(0))));
    refused_soon(&web, &web.good_token()).await;
}
