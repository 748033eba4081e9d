//! What a token allows and where, and who is told that they are entitled to nothing.

use doorward_resource_server::{Access, NodePath, Reason, Refusal};
use doorward_shared::{revocation::Claim, scope::Scope};
use serde_json::{Value, json};

use crate::{
    opaque::{Place, place},
    tokens::{FIRST, sta},
    web::{FRONTS, Front, eventually},
};

fn node(path: &str) -> NodePath {
    NodePath::parse(path).unwrap()
}

/// The access of a signed token and of a key with these members.
async fn both(place: &Place, scope: &str, details: Value) -> [Access; 2] {
    let mut claims = place.web.claims();
    claims.scope = Scope::parse(scope).unwrap();
    claims.authorization_details = serde_json::from_value(details.clone()).unwrap();
    let signed = place.web.server.verify(&FIRST.sign(&claims)).await.unwrap();
    let key = sta(&format!("{scope} {details}"));
    place.say(key, |answer| {
        answer["scope"] = json!(scope);
        answer["authorization_details"] = details;
    });
    let opaque = place.web.server.verify(key).await.unwrap();
    [signed, opaque].map(|access| Access::clone(&access))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_allows_holds_where_it_says_so() {
    let place = place(Front::Tower).await;
    let granular = json!([
        {"type": "node", "identifier": "alpha", "actions": ["artifacts:read"]},
        {"type": "node", "identifier": "alpha/site/specs", "actions": ["artifacts:read", "artifacts:delete"]},
    ]);
    for access in both(&place, "artifacts:read artifacts:delete openid", granular).await {
        for (path, reads, deletes) in [
            ("alpha", true, false),
            ("alpha/site", true, false),
            ("alpha/site/specs", true, true),
            ("alpha/site/specs/old", true, true),
            ("alpha/site/specs2", true, false),
            ("alphabet", false, false),
            ("beta", false, false),
        ] {
            let at = |atom| access.allows_at(atom, Some(&node(path)));
            assert_eq!((at("artifacts:read"), at("artifacts:delete")), (reads, deletes), "{path}");
            assert_eq!(access.allowance().allows("artifacts:read", Some(&node(path))), reads, "{path}");
        }
        assert!(!access.allows("artifacts:read") && !access.allows_at("artifacts:read", None));
    }
    let mixed = json!([
        {"type": "node", "actions": ["artifacts:read"]},
        {"type": "node", "identifier": "alpha", "actions": ["artifacts:delete"]},
        {"type": "payment", "actions": ["artifacts:share"]},
    ]);
    for access in both(&place, "artifacts:read artifacts:delete artifacts:share", mixed).await {
        assert!(access.allows("artifacts:read") && access.allows_at("artifacts:read", Some(&node("beta"))));
        assert!(
            !access.allows("artifacts:delete")
                && access.allows_at("artifacts:delete", Some(&node("alpha/x")))
        );
        assert!(!access.allows_at("artifacts:share", Some(&node("alpha"))));
    }
    for access in both(&place, "artifacts:read", json!(null)).await {
        assert!(
            access.allows("artifacts:read") && access.allows_at("artifacts:read", Some(&node("any/where")))
        );
    }
    // A token of somebody who ticked nothing is good.
    for access in both(&place, "openid", json!([])).await {
        assert!(access.allowance().is_empty() && !access.allows("openid"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_entitled_to_nothing_is_told_what_is_missing_and_not_to_sign_in_again() {
    for front in FRONTS {
        let place = place(front).await;
        let mut claims = place.web.claims();
        claims.entitled = false;
        claims.scope = Scope::parse("openid").unwrap();
        let signed = FIRST.sign(&claims);
        place.say(sta("bob"), |answer| answer["entitled"] = json!(false));
        for token in [signed.as_str(), sta("bob")] {
            for round in 0..2 {
                let reply = place.web.with_token(token).await;
                assert_eq!(reply.status, 403, "{front:?} {round}: {reply:?}");
                assert_eq!(reply.header("www-authenticate"), None, "a challenge would start a loop");
                assert_eq!(reply.header("cache-control"), Some("no-store"));
                assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
                let body = reply.json();
                assert_eq!(body["error"], "insufficient_scope");
                let text = body["error_description"].as_str().unwrap();
                let person = if token == signed { &claims.sub } else { "01ALICE" };
                let command = format!(
                    "doorward entitlement add --user {person} --tier TIER --resource {} --organization {} (in place of TIER",
                    place.web.resource, claims.org
                );
                for part in ["entitled to nothing", "administrator", "group mapping", &command] {
                    assert!(text.contains(part), "{text}");
                }
            }
        }
        assert_eq!(place.web.server.metrics().not_entitled, 4);
        // Whose token is not good hears that first.
        place.issuer.feed.revoke(Claim::Jti, "01TOKEN", None);
        eventually("the entry is known", || place.web.server.metrics().revocations == 1).await;
        place.web.assert_refused(&signed, Reason::Revoked).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entitlement_of_the_wrong_type_is_a_failure_and_never_a_yes() {
    let place = place(Front::Tower).await;
    for (i, bad) in [json!(null), json!("true"), json!(1), json!([]), json!({})].into_iter().enumerate() {
        let mut claims = serde_json::to_value(place.web.claims()).unwrap();
        claims["entitled"] = bad.clone();
        place.web.assert_refused(&FIRST.forge(&FIRST.header(), &claims), Reason::Claims).await;
        let key = sta(&i.to_string());
        place.say(key, |answer| answer["entitled"] = bad.clone());
        assert_eq!(place.web.server.verify(key).await, Err(Refusal::Unavailable), "{bad}");
    }
}
