//! Keys, good tokens and forged ones.

use std::sync::LazyLock;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_shared::{
    client_id::ClientId,
    issuer::Issuer,
    jose::{Algorithm, access_token::AccessTokenClaims, jws::SigningKey},
    resource::ResourceUri,
    scope::Scope,
    secret::{Entropy, FullKey, Kind, ScopedKey, Secret},
    time::{Clock, Seconds, SystemClock, Timestamp},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A key pair of which the test can do everything, forging included.
pub(crate) struct Pair {
    pub(crate) key: SigningKey,
    raw: RsaKeyPair,
}

pub(crate) static FIRST: LazyLock<Pair> = LazyLock::new(Pair::new);
pub(crate) static SECOND: LazyLock<Pair> = LazyLock::new(Pair::new);
pub(crate) static EVIL: LazyLock<Pair> = LazyLock::new(Pair::new);

impl Pair {
    fn new() -> Self {
        let der = SigningKey::generate(Algorithm::Rs256).unwrap();
        Self { key: SigningKey::from_pkcs8(&der).unwrap(), raw: RsaKeyPair::from_pkcs8(&der).unwrap() }
    }

    pub(crate) fn jwk(&self) -> Value {
        serde_json::to_value(self.key.public_jwk()).unwrap()
    }

    pub(crate) fn sign(&self, claims: &AccessTokenClaims) -> String {
        self.key.sign("at+jwt", claims).unwrap()
    }

    /// A token of exactly this header and payload, rightly signed with RS256.
    pub(crate) fn forge(&self, header: &Value, payload: &Value) -> String {
        self.forge_text(&header.to_string(), &payload.to_string())
    }

    pub(crate) fn forge_text(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let mut signature = vec![0; self.raw.public_modulus_len()];
        self.raw.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": "RS256", "typ": "at+jwt", "kid": self.key.kid()})
    }
}

pub(crate) fn jwks(pairs: &[&Pair]) -> Value {
    json!({ "keys": pairs.iter().map(|pair| pair.jwk()).collect::<Vec<_>>() })
}

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

pub(crate) fn real_now() -> u64 {
    u64::try_from(now().seconds()).unwrap()
}

/// Claims of a token that `issuer` made for `resource` at `iat`.
pub(crate) fn claims(issuer: &str, resource: &str, iat: Timestamp) -> AccessTokenClaims {
    AccessTokenClaims {
        iss: Issuer::parse(issuer).unwrap(),
        sub: "01ALICE".to_owned(),
        aud: ResourceUri::parse(resource).unwrap(),
        exp: iat.plus(Seconds::new(900)),
        iat,
        jti: "01TOKEN".to_owned(),
        client_id: ClientId::parse("01CLIENT").unwrap(),
        scope: Scope::parse("artifacts:read openid").unwrap(),
        sid: "01GRANT".to_owned(),
        org: "01ORG".to_owned(),
        auth_time: Some(iat),
        authorization_details: None,
        entitled: true,
        act: None,
        cnf: None,
    }
}

/// A source that gives the same bytes for the same name.
struct Named<'a>(&'a str);

impl Entropy for Named<'_> {
    fn fill(&self, bytes: &mut [u8]) {
        for (i, piece) in (0_u64..).zip(bytes.chunks_mut(32)) {
            let hash = Sha256::digest(format!("{i} {}", self.0));
            piece.copy_from_slice(&hash[..piece.len()]);
        }
    }
}

fn key<K: Kind>(name: &str) -> &'static str {
    Secret::<K>::generate(&Named(name)).expose().to_owned().leak()
}

/// A well-formed key for some permissions. The same name gives the same key.
pub(crate) fn sta(name: &str) -> &'static str {
    key::<ScopedKey>(name)
}

/// A well-formed key for everything.
pub(crate) fn ak_live(name: &str) -> &'static str {
    key::<FullKey>(name)
}
