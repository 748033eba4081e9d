//! Keys of people: in which header they come, what is checked before anybody is asked, and what a handler hears of them.

use doorward_resource_server::{Reason, Refusal};
use serde_json::json;

use crate::{
    opaque::place,
    tokens::{ak_live, sta},
    web::{FRONTS, Front},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_taken_in_either_header_and_no_handler_sees_it() {
    for front in FRONTS {
        let place = place(front).await;
        for key in [sta("one"), ak_live("one")] {
            place.say(key, |_| {});
            let bearer = format!("Bearer {key}");
            for (name, value) in [("X-Api-Key", key), ("x-api-key", key), ("Authorization", &bearer)] {
                let reply = place.web.send("POST", "/mcp", &[(name, value)]).await;
                assert_eq!(reply.status, 200, "{front:?} {name}: {reply:?}");
                assert_eq!(reply.json()["saw_authorization"], false);
            }
        }
        let preflight = place.web.send("OPTIONS", "/mcp", &[]).await;
        assert!(preflight.header("access-control-allow-headers").unwrap().contains("X-Api-Key"));
        let document = place.web.send("GET", "/.well-known/oauth-protected-resource/mcp", &[]).await;
        assert_eq!(document.json()["bearer_methods_supported"], json!(["header"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_credentials_are_one_too_many_whatever_they_are() {
    for front in FRONTS {
        let place = place(front).await;
        let key = sta("one");
        place.say(key, |_| {});
        let (bearer, signed) = (format!("Bearer {key}"), format!("Bearer {}", place.web.good_token()));
        for authorization in [bearer.as_str(), &signed, "Basic eDp5", "Bearer", key, ""] {
            let headers = [("Authorization", authorization), ("x-api-key", key)];
            let reply = place.web.send("POST", "/mcp", &headers).await;
            assert_eq!(
                (reply.status, &reply.json()["error"]),
                (400, &json!("invalid_request")),
                "{authorization}"
            );
        }
        for second in [key, ""] {
            let reply = place.web.send("POST", "/mcp", &[("x-api-key", key), ("X-API-Key", second)]).await;
            assert_eq!(
                (reply.status, &reply.json()["error"]),
                (400, &json!("invalid_request")),
                "{second:?}"
            );
        }
        assert_eq!(place.issuer.opaque.questions(), 0);
    }
}

// AK-08
#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_any_other_place_is_no_key() {
    for front in FRONTS {
        let place = place(front).await;
        let (key, signed) = (sta("one"), place.web.good_token());
        place.say(key, |_| {});
        for raw in [key, ak_live("one"), &format!("sta {key}"), &format!("ApiKey {key}")] {
            let reply = place.web.send("GET", "/mcp", &[("Authorization", raw)]).await;
            assert_eq!(reply.status, 401, "{front:?} {raw}");
            assert!(reply.header("www-authenticate").is_some());
            assert!(reply.json()["error_description"].as_str().unwrap().contains("Bearer"), "{reply:?}");
        }
        for wrong in [signed.as_str(), "", "aa_at_1", "Bearer", &format!("Bearer {key}"), "sta_", "x"] {
            let reply = place.web.send("GET", "/mcp", &[("x-api-key", wrong)]).await;
            assert_eq!(
                (reply.status, &reply.json()["error"]),
                (401, &json!("invalid_token")),
                "{front:?} {wrong:?}"
            );
        }
        for (path, header) in [(format!("/mcp?api_key={key}"), "x"), ("/mcp".to_owned(), "Cookie")] {
            let reply = place.web.send("GET", &path, &[(header, &format!("x-api-key={key}"))]).await;
            assert_eq!(reply.status, 401);
        }
        assert_eq!(place.issuer.opaque.questions(), 0);
    }
}

// AK-02
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_about_a_key_whose_checksum_is_wrong() {
    let place = place(Front::Tower).await;
    for key in [sta("one"), ak_live("one")] {
        place.say(key, |_| {});
        let (body, last) = key.split_at(key.len() - 1);
        let other = if last == "A" { "B" } else { "A" };
        for wrong in [
            body.to_owned(),
            format!("{body}{other}"),
            format!("{key}A"),
            format!("{}A", &key[..key.len() - 7]),
        ] {
            place.web.assert_refused(&wrong, Reason::Checksum).await;
            assert_eq!(place.web.send("GET", "/mcp", &[("x-api-key", &wrong)]).await.status, 401);
        }
        assert_eq!(place.issuer.opaque.questions(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_hears_the_name_of_a_key_and_its_last_four_characters() {
    let place = place(Front::Tower).await;
    let key = sta("one");
    place.say(key, |answer| answer["credential"] = json!("Nightly build"));
    for _ in 0..2 {
        let access = place.web.server.verify(key).await.unwrap();
        assert_eq!(access.credential.as_deref(), Some("Nightly build"));
        assert_eq!(access.api_key_last_4.as_deref(), Some(&key[key.len() - 4..]));
    }
    let access = place.web.server.verify(&place.web.good_token()).await.unwrap();
    assert_eq!((&access.credential, &access.api_key_last_4), (&None, &None));
    // Tokens of agents are opaque too, and no keys of people.
    place.say("aa_at_1", |_| {});
    assert_eq!(place.web.server.verify("aa_at_1").await.unwrap().api_key_last_4, None);
    for (i, bad) in [json!(""), json!("a\nb"), json!(7), json!("x".repeat(256))].into_iter().enumerate() {
        let key = sta(&format!("bad {i}"));
        place.say(key, |answer| answer["credential"] = bad.clone());
        assert_eq!(place.web.server.verify(key).await, Err(Refusal::Unavailable), "{bad}");
    }
}
