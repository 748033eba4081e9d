//! What a provider answers: metadata, keys, codes, tokens and claims.

use std::sync::OnceLock;

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::{KeySize, PublicKeyComponents},
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{CLIENT_ID, CLIENT_SECRET, Lie, Mood, State, http::Request, now, object};
use crate::fresh;

/// Status, headers and body.
type Reply = (u16, String, String);

fn json_reply(status: u16, body: &Value) -> Reply {
    (status, "content-type: application/json\r\n".to_owned(), body.to_string())
}

/// The answer, or none at all.
pub(super) fn respond(request: &Request, issuer: &str, state: &mut State) -> Option<Reply> {
    Some(match request.path.as_str() {
        "/.well-known/openid-configuration" => {
            let mut metadata = object(json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "userinfo_endpoint": format!("{issuer}/userinfo"),
                "jwks_uri": format!("{issuer}/jwks"),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
                "authorization_response_iss_parameter_supported": state.says_iss,
            }));
            metadata.extend(state.metadata.clone());
            json_reply(200, &Value::Object(metadata))
        }
        "/jwks" => json_reply(200, &json!({"keys": [jwk(&state.kid)]})),
        "/authorize" => authorize(request, issuer, state),
        "/token" => return token(request, issuer, state),
        "/userinfo" => {
            let mut claims = state.person.clone();
            claims.extend(state.userinfo.clone());
            json_reply(200, &Value::Object(claims))
        }
        "/graph/me/getMemberObjects" if request.authorization.starts_with("Bearer ") => {
            json_reply(200, &json!({"value": state.graph}))
        }
        _ => json_reply(404, &json!({"error": "not_found"})),
    })
}

fn authorize(request: &Request, issuer: &str, state: &mut State) -> Reply {
    state.authorizations.push(request.query.clone());
    let code = fresh();
    let mut back: Url = request.query["redirect_uri"].parse().expect("a redirect URI");
    {
        let mut pairs = back.query_pairs_mut();
        match state.denies {
            Some(error) => pairs.append_pair("error", error),
            None => pairs.append_pair("code", &code),
        };
        pairs.append_pair("state", &request.query["state"]);
        if state.says_iss {
            pairs.append_pair("iss", issuer);
        }
    }
    state.secrets.push(code.clone());
    state.codes.insert(code, request.query.clone());
    (302, format!("location: {back}\r\n"), String::new())
}

fn token(request: &Request, issuer: &str, state: &mut State) -> Option<Reply> {
    state.token_requests.push(request.form.clone());
    match &state.mood {
        Mood::Fine => {}
        Mood::Answers(status, body) => {
            return Some((*status, "content-type: text/html\r\n".to_owned(), body.clone()));
        }
        Mood::Silent => return None,
    }
    let refused = |code: &str| Some(json_reply(400, &json!({"error": code})));
    let basic = format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"))
    );
    if request.authorization != basic {
        return Some(json_reply(401, &json!({"error": "invalid_client"})));
    }
    let refreshing = request.form["grant_type"] == "refresh_token";
    let nonce = if refreshing {
        // Rotated, and good for one use: a second use is a theft.
        if !state.refreshes || request.form.get("refresh_token") != state.refresh_token.as_ref() {
            return refused("invalid_grant");
        }
        None
    } else {
        let Some(asked) = state.codes.remove(&request.form["code"]) else { return refused("invalid_grant") };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(request.form["code_verifier"].as_bytes()));
        if asked["code_challenge"] != challenge || asked["redirect_uri"] != request.form["redirect_uri"] {
            return refused("invalid_grant");
        }
        asked.get("nonce").cloned()
    };
    let now = now();
    let mut claims = state.person.clone();
    claims.extend(object(json!({"iss": issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300})));
    claims.entry("auth_time").or_insert_with(|| now.into());
    if let Some(nonce) = nonce {
        claims.insert("nonce".to_owned(), nonce.into());
    }
    let mut lie = Lie { claims, signed: "RS256", present: !refreshing || state.refresh_has_id_token };
    if let Some(twist) = &state.twist {
        twist(&mut lie);
    }
    let refresh_token = fresh();
    let access_token = fresh();
    state.secrets.extend([access_token.clone(), refresh_token.clone()]);
    let mut body = json!({
        "access_token": access_token, "token_type": "Bearer", "expires_in": 300, "refresh_token": refresh_token,
    });
    state.refresh_token = Some(refresh_token);
    if lie.present {
        body["id_token"] = sign(&lie, &state.kid).into();
    }
    Some(json_reply(200, &body))
}

/// The keys of every provider of this process: one that is published, and one that is not.
fn keys() -> &'static [RsaKeyPair; 2] {
    static KEYS: OnceLock<[RsaKeyPair; 2]> = OnceLock::new();
    KEYS.get_or_init(|| [(); 2].map(|()| RsaKeyPair::generate(KeySize::Rsa2048).expect("a key can be made")))
}

fn jwk(kid: &str) -> Value {
    let public = PublicKeyComponents::<Vec<u8>>::from(keys()[0].public_key());
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": text(&public.n), "e": text(&public.e)})
}

fn sign(lie: &Lie, kid: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let algorithm = if lie.signed == "other" { "RS256" } else { lie.signed };
    let head = part(&json!({"alg": algorithm, "kid": kid, "typ": "JWT"}));
    let message = format!("{head}.{}", part(&Value::Object(lie.claims.clone())));
    let signature = match lie.signed {
        "RS256" => rs256(&keys()[0], &message),
        "other" => rs256(&keys()[1], &message),
        "HS256" => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, CLIENT_SECRET.as_bytes());
            hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
        }
        "none" => Vec::new(),
        other => panic!("no way to sign is called {other}"),
    };
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn rs256(key: &RsaKeyPair, message: &str) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).expect("signed");
    signature
}
