//! Tokens that somebody made up (group JT of the attack catalogue), through both fronts. What each check does in detail is
//! tested beside its code in `doorward-shared`; here stands that nothing of it is lost on the way to HTTP.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_resource_server::Reason;
use doorward_shared::{
    jose::id_token::{IdTokenClaims, PersonClaims},
    time::Seconds,
};
use serde_json::{Value, json};

use crate::{
    issuer::ScriptedIssuer,
    tokens::{EVIL, FIRST, jwks},
    web::{FRONTS, Front, Web},
};

async fn started(front: Front) -> (ScriptedIssuer, Web) {
    let issuer = ScriptedIssuer::up(jwks(&[&FIRST])).await;
    let web = Web::start(front, &issuer).await.ready().await;
    (issuer, web)
}

impl Web {
    fn payload(&self) -> Value {
        serde_json::to_value(self.claims()).unwrap()
    }

    /// A rightly signed token whose header has one member replaced.
    fn with_header(&self, name: &str, value: Value) -> String {
        let mut header = FIRST.header();
        header[name] = value;
        FIRST.forge(&header, &self.payload())
    }

    /// A rightly signed token that has one claim replaced.
    fn with_claim(&self, name: &str, value: Value) -> String {
        let mut payload = self.payload();
        payload[name] = value;
        FIRST.forge(&FIRST.header(), &payload)
    }

    fn without_claim(&self, name: &str) -> String {
        let mut payload = self.payload();
        payload.as_object_mut().unwrap().remove(name);
        FIRST.forge(&FIRST.header(), &payload)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_forger_of_these_tests_can_make_a_good_token() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        assert_eq!(web.with_token(&FIRST.forge(&FIRST.header(), &web.payload())).await.status, 200);
    }
}

// JT-01, JT-02, JT-03
#[tokio::test(flavor = "multi_thread")]
async fn no_header_changes_the_algorithm_of_the_key() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        for alg in ["none", "None", "nOnE", "HS256", "RS384", "PS256", "ES256", "EdDSA"] {
            web.assert_refused(&web.with_header("alg", json!(alg)), Reason::Algorithm).await;
        }
        let unsigned = web.with_header("alg", json!("none"));
        let (signed, _) = unsigned.rsplit_once('.').unwrap();
        web.assert_refused(&format!("{signed}."), Reason::Format).await;
        web.assert_refused(signed, Reason::Format).await;

        let confused = web.with_header("alg", json!("HS256"));
        let (signed, _) = confused.rsplit_once('.').unwrap();
        let jwk = FIRST.jwk();
        let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
        for secret in [jwk.to_string().into_bytes(), jwk["n"].to_string().into_bytes(), modulus] {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
            web.assert_refused(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag)), Reason::Algorithm).await;
        }
    }
}

// JT-04
#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_good_for_one_text_only() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        let token = web.good_token();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let other = web.with_claim("sub", json!("mallory"));
        let (_, foreign) = other.rsplit_once('.').unwrap();
        web.assert_refused(&format!("{signed}.{foreign}"), Reason::Signature).await;
        web.assert_refused(&format!("{signed}.{}", &signature[..signature.len() - 4]), Reason::Signature)
            .await;
        web.assert_refused(&format!("{signed}.{signature}AAAA"), Reason::Signature).await;
        web.assert_refused(&format!("{signed}.{signature}=="), Reason::Format).await;
        web.assert_refused(&format!("{signed}.+/{}", &signature[2..]), Reason::Format).await;
        web.assert_refused(&EVIL.forge(&FIRST.header(), &web.payload()), Reason::Signature).await;
    }
}

// JT-05
#[tokio::test(flavor = "multi_thread")]
async fn a_kid_is_only_ever_looked_up() {
    for front in FRONTS {
        let (issuer, web) = started(front).await;
        for kid in [json!("../../etc/passwd"), json!("' OR 1=1"), json!("http://169.254.169.254/"), json!("")]
        {
            web.assert_refused(&web.with_header("kid", kid), Reason::UnknownKey).await;
        }
        let header = json!({"alg": "RS256", "typ": "at+jwt"});
        web.assert_refused(&FIRST.forge(&header, &web.payload()), Reason::UnknownKey).await;
        for kid in [json!(1), json!(["x"]), json!(null), json!("k".repeat(4000))] {
            web.assert_refused(&web.with_header("kid", kid), Reason::Format).await;
        }
        assert!(issuer.asked().iter().all(|path| path == "/jwks" || path.starts_with("/.well-known/")));
    }
}

// JT-06, JT-07
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_comes_with_the_token_is_neither_used_nor_fetched() {
    for front in FRONTS {
        let (issuer, web) = started(front).await;
        let before = issuer.asked();
        let there = format!("{}/elsewhere", issuer.issuer());
        for (name, value) in [
            ("jwk", EVIL.jwk()),
            ("x5c", json!(["MIIB"])),
            ("jku", json!(there)),
            ("x5u", json!("http://169.254.169.254/latest")),
        ] {
            let mut header = FIRST.header();
            header[name] = value;
            web.assert_refused(&EVIL.forge(&header, &web.payload()), Reason::Signature).await;
        }
        assert_eq!(issuer.asked(), before);
        assert_eq!(issuer.followed(), 0);
    }
}

// JT-08, JT-09, JT-10
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_asks_for_an_extension_is_refused() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        for (name, value) in [
            ("crit", json!(["exp"])),
            ("crit", json!(["b64"])),
            ("crit", json!(["x"])),
            ("crit", json!([])),
            ("crit", json!("exp")),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
        ] {
            web.assert_refused(&web.with_header(name, value), Reason::Format).await;
        }
        web.assert_refused("eyJhbGciOiJSU0EtT0FFUCJ9.AA.AA.AA.AA", Reason::Format).await;
    }
}

// JT-11, JT-13
#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_kind_is_no_access_token() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        for typ in
            ["JWT", "id_token+jwt", "logout+jwt", "dpop+jwt", "oauth-id-jag+jwt", "client-authentication+jwt"]
        {
            web.assert_refused(&web.with_header("typ", json!(typ)), Reason::Type).await;
        }
        let untyped = json!({"alg": "RS256", "kid": FIRST.key.kid()});
        web.assert_refused(&FIRST.forge(&untyped, &web.payload()), Reason::Type).await;
        assert_eq!(web.with_token(&web.with_header("typ", json!("application/at+jwt"))).await.status, 200);
    }
}

// JT-12
#[tokio::test(flavor = "multi_thread")]
async fn a_real_id_token_of_the_same_issuer_and_key_is_refused() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        let claims = web.claims();
        let id_token = IdTokenClaims {
            iss: claims.iss,
            sub: claims.sub,
            aud: claims.client_id,
            exp: claims.exp,
            iat: claims.iat,
            auth_time: claims.iat,
            nonce: None,
            at_hash: None,
            amr: &[],
            sid: None,
            person: PersonClaims::default(),
        };
        let token = FIRST.key.sign(doorward_shared::jose::id_token::TYPE, &id_token).unwrap();
        web.assert_refused(&token, Reason::Type).await;
    }
}

// JT-14, IM-12
#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_issuer_is_refused_though_its_key_is_trusted() {
    for front in FRONTS {
        let (issuer, web) = started(front).await;
        for iss in
            [format!("{}/", issuer.issuer()), "https://other.test".to_owned(), issuer.issuer().to_uppercase()]
        {
            web.assert_refused(&web.with_claim("iss", json!(iss)), Reason::Issuer).await;
        }
        web.assert_refused(&web.with_claim("iss", json!([issuer.issuer()])), Reason::Claims).await;
        web.assert_refused(&web.without_claim("iss"), Reason::Claims).await;
    }
}

// JT-15, JT-16, JT-17
#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_somebody_else_is_refused() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        let us = web.resource.clone();
        for aud in [
            format!("{us}x"),
            format!("{us}/x"),
            us.replace("/mcp", ""),
            us.replace("/mcp", "/other"),
            "https://other.test/mcp".to_owned(),
        ] {
            web.assert_refused(&web.with_claim("aud", json!(aud)), Reason::Audience).await;
        }
        for aud in [
            json!([us, "https://other.test"]),
            json!([us]),
            json!(null),
            json!(""),
            json!([]),
            json!({}),
            json!(1),
        ] {
            web.assert_refused(&web.with_claim("aud", aud), Reason::Claims).await;
        }
        web.assert_refused(&web.without_claim("aud"), Reason::Claims).await;
        assert_eq!(web.with_token(&web.with_claim("aud", json!(format!("{us}/")))).await.status, 200);
    }
}

// JT-19, JT-20, JT-21, JT-22
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_only_in_its_time_and_times_are_whole_numbers() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        let ago = |seconds: i64| {
            let mut claims = web.claims();
            claims.iat = claims.iat.minus(Seconds::new(900 + seconds));
            claims.exp = claims.exp.minus(Seconds::new(900 + seconds));
            FIRST.sign(&claims)
        };
        web.assert_refused(&ago(61), Reason::Expired).await;
        assert_eq!(web.with_token(&ago(30)).await.status, 200);
        web.assert_refused(&web.without_claim("exp"), Reason::Claims).await;

        for (name, text) in [
            ("exp", r#""9999999999""#),
            ("exp", "null"),
            ("exp", "true"),
            ("exp", "9999999999.5"),
            ("exp", "9223372036854775808"),
            ("exp", "1e400"),
            ("exp", "NaN"),
            ("nbf", r#""1""#),
            ("nbf", "{}"),
            ("iat", "null"),
        ] {
            let payload = web.with_placeholder(name).replace("\"@@@\"", text);
            web.assert_refused(&FIRST.forge_text(&FIRST.header().to_string(), &payload), Reason::Claims)
                .await;
        }
        web.assert_refused(&web.with_claim("exp", json!(-1)), Reason::Expired).await;
        let later = |seconds| json!(web.claims().iat.plus(Seconds::new(seconds)));
        web.assert_refused(&web.with_claim("nbf", later(65)), Reason::NotYet).await;
        web.assert_refused(&web.with_claim("iat", later(3600)), Reason::NotYet).await;
        web.assert_refused(&web.with_claim("exp", later(90_000)), Reason::Lifetime).await;
        assert_eq!(web.server.metrics().clock_skew, 0);
    }
}

impl Web {
    fn with_placeholder(&self, name: &str) -> String {
        let mut payload = self.payload();
        payload[name] = json!("@@@");
        payload.to_string()
    }
}

// JT-23, JT-24, JT-25
#[tokio::test(flavor = "multi_thread")]
async fn claims_that_two_readers_could_read_differently_are_refused() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        let header = FIRST.header().to_string();
        let text = web.payload().to_string();
        let forge = |payload: &str| FIRST.forge_text(&header, payload);
        for extra in [r#""aud":"x""#, r#""\u0061ud":"x""#, r#""sub":"x""#, r#""deep":{"a":1,"a":1}"#] {
            web.assert_refused(&forge(&text.replacen('{', &format!("{{{extra},"), 1)), Reason::Claims).await;
        }
        for (name, other) in [("aud", "AUD"), ("sub", "Sub"), ("sub", "sub\\u0000")] {
            let renamed = text.replacen(&format!("\"{name}\""), &format!("\"{other}\""), 1);
            web.assert_refused(&forge(&renamed), Reason::Claims).await;
        }
        let deep = text.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(1000), "]".repeat(1000)), 1);
        let surrogate = text.replacen("01ALICE", "\\ud800", 1);
        for payload in [
            "",
            "x",
            "[]",
            &format!("\u{feff}{text}"),
            &format!("{text}{{}}"),
            &format!("[{text}]"),
            &deep,
            &surrogate,
        ] {
            let reason = if payload.is_empty() { Reason::Format } else { Reason::Claims };
            web.assert_refused(&forge(payload), reason).await;
        }
        let twice = header.replacen('{', "{\"\\u0061lg\":\"none\",", 1);
        web.assert_refused(&FIRST.forge_text(&twice, &text), Reason::Format).await;
    }
}

// JT-26
#[tokio::test(flavor = "multi_thread")]
async fn a_giant_token_is_refused_cheaply() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        web.assert_refused(&"a".repeat(17 * 1024), Reason::Format).await;
        web.assert_refused(&".".repeat(20_000), Reason::Format).await;
    }
    let (_issuer, web) = started(Front::Tower).await;
    // Servers cut such headers off; somebody who calls the kit with one is still safe.
    for token in ["a".repeat(1 << 20), ".".repeat(1_000_000)] {
        assert!(web.server.verify(&token).await.is_err());
    }
}

// JT-27, JT-28, JT-33
#[tokio::test(flavor = "multi_thread")]
async fn incomplete_malformed_and_bound_tokens_are_refused() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        for name in ["sub", "client_id", "jti", "sid", "org"] {
            web.assert_refused(&web.without_claim(name), Reason::Claims).await;
        }
        web.assert_refused(&web.with_claim("scope", json!(["artifacts:read"])), Reason::Claims).await;
        web.assert_refused(&web.with_claim("cnf", json!({"jkt": "x"})), Reason::Bound).await;
        let repeated = web.with_claim("scope", json!("artifacts:read artifacts:read"));
        assert_eq!(web.with_token(&repeated).await.json()["scope"], "artifacts:read");
    }
}

// JT-34
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_not_ours_opens_nothing() {
    for front in FRONTS {
        let (_issuer, web) = started(front).await;
        for (name, value) in [
            ("roles", json!(["admin"])),
            ("permissions", json!(["artifacts:delete"])),
            ("scp", json!(["artifacts:delete"])),
        ] {
            let reply = web.with_token(&web.with_claim(name, value)).await;
            assert_eq!(reply.json()["deletes"], false, "{front:?} {name}");
        }
    }
}

// JT-37: the exhaustive form stands in `doorward-shared`; here one bit of every seventh character.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_token_is_refused_wherever_it_was_changed() {
    let (_issuer, web) = started(Front::Tower).await;
    let token = web.good_token();
    for at in (0..token.len()).step_by(7) {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1_u8 << bit;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(web.server.verify(&changed).await.is_err(), "byte {at}, bit {bit}");
        }
    }
    assert!(web.server.verify(&token).await.is_ok());
}
