//! Public keys and sets of them (RFC 7517), named by their thumbprint (RFC 7638).

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Algorithm, strict_json};

/// Most keys in one set. Ours hold three.
const MAX_KEYS: usize = 64;
/// Longest `kid`, in bytes; a thumbprint has 43.
pub(super) const MAX_KID: usize = 128;
/// What only a private or symmetric key has (RFC 7518 §6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public signature key. It has no room for a private member, so that no answer can carry one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicJwk {
    kid: String,
    material: Material,
}

/// The public numbers, as base64url text without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Material {
    Rsa { n: String, e: String },
    P256 { x: String, y: String },
    Ed25519 { x: String },
}

/// A set of public keys, each with its own `kid`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    keys: Vec<PublicJwk>,
}

/// Why a text is no key set.
#[derive(Debug, thiserror::Error)]
pub enum JwkSetError {
    /// No JSON, or JSON with a member twice.
    #[error(transparent)]
    Json(#[from] strict_json::StrictJsonError),
    /// No object with an array `keys` of objects (RFC 7517 §5).
    #[error("not an object with an array of keys")]
    Shape,
    /// More than 64 keys.
    #[error("more than {MAX_KEYS} keys")]
    TooMany,
    /// Two keys have one `kid`: which of them verifies would depend on the reader.
    #[error("two keys have the same kid")]
    DuplicateKid,
}

impl PublicJwk {
    /// A key of these big-endian numbers, named by its thumbprint.
    pub(super) fn new(material: Material) -> Self {
        Self { kid: thumbprint(&material), material }
    }

    /// Reads one member of a key set. `None` for a key that must not verify signatures: symmetric, RSA below 2048 or above
    /// 8192 bits, another curve, another `use` or `alg`, `key_ops` without `verify`, private members present. A key
    /// without `kid` gets its thumbprint.
    pub fn from_members(members: &Map<String, Value>) -> Option<Self> {
        if PRIVATE_MEMBERS.iter().any(|name| members.contains_key(*name)) {
            return None;
        }
        if !matches!(members.get("use"), None | Some(Value::String(_)))
            || text(members, "use").is_some_and(|u| u != "sig")
        {
            return None;
        }
        if let Some(operations) = members.get("key_ops")
            && !operations.as_array()?.iter().any(|operation| operation == "verify")
        {
            return None;
        }
        let material = Material::from_members(members)?;
        if let Some(alg) = members.get("alg")
            && alg.as_str()? != material.algorithm().as_str()
        {
            return None;
        }
        let kid = match members.get("kid") {
            None => thumbprint(&material),
            Some(kid) => kid.as_str().filter(|kid| !kid.is_empty() && kid.len() <= MAX_KID)?.to_owned(),
        };
        Some(Self { kid, material })
    }

    /// The key's name (RFC 7517 §4.5).
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm that this key verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.material.algorithm()
    }

    /// The SHA-256 thumbprint of RFC 7638, as base64url text.
    pub fn thumbprint(&self) -> String {
        thumbprint(&self.material)
    }

    pub(super) fn material(&self) -> &Material {
        &self.material
    }
}

impl Material {
    fn from_members(members: &Map<String, Value>) -> Option<Self> {
        match text(members, "kty")? {
            "RSA" => {
                let (n, e) = (unsigned(members, "n")?, unsigned(members, "e")?);
                let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
                let odd = |bytes: &[u8]| bytes.last().is_some_and(|byte| byte % 2 == 1);
                let good = (2048..=8192).contains(&bits) && odd(&n) && odd(&e) && e.len() <= 5 && e != [1];
                good.then(|| Self::rsa(&n, &e))
            }
            "EC" if text(members, "crv")? == "P-256" => Some(Self::P256 {
                x: URL_SAFE_NO_PAD.encode(octets(members, "x")?),
                y: URL_SAFE_NO_PAD.encode(octets(members, "y")?),
            }),
            "OKP" if text(members, "crv")? == "Ed25519" => {
                Some(Self::Ed25519 { x: URL_SAFE_NO_PAD.encode(octets(members, "x")?) })
            }
            _ => None,
        }
    }

    /// RSA numbers, big-endian, without leading zeros (`Base64urlUInt`, RFC 7518 §2).
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Self {
        Self::Rsa { n: URL_SAFE_NO_PAD.encode(n), e: URL_SAFE_NO_PAD.encode(e) }
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::P256 { .. } => Algorithm::Es256,
            Self::Ed25519 { .. } => Algorithm::EdDsa,
        }
    }

    /// The members that RFC 7638 §3.2 and RFC 8037 §2 require; `serde_json` writes them in alphabetical order, without space.
    fn required(&self) -> Value {
        match self {
            Self::Rsa { n, e } => json!({"e": e, "kty": "RSA", "n": n}),
            Self::P256 { x, y } => json!({"crv": "P-256", "kty": "EC", "x": x, "y": y}),
            Self::Ed25519 { x } => json!({"crv": "Ed25519", "kty": "OKP", "x": x}),
        }
    }
}

impl Serialize for PublicJwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = self.material.required();
        members["use"] = json!("sig");
        members["alg"] = json!(self.algorithm().as_str());
        members["kid"] = json!(self.kid);
        members.serialize(serializer)
    }
}

impl JwkSet {
    /// A set to publish. `None` when two keys have one `kid`.
    pub fn new(keys: Vec<PublicJwk>) -> Option<Self> {
        let names: BTreeSet<_> = keys.iter().map(PublicJwk::kid).collect();
        (names.len() == keys.len()).then_some(Self { keys })
    }

    /// Reads a set for verification. Keys that must not verify are left out (RFC 7517 §5); two entries with one `kid`
    /// spoil the whole set. The caller bounds the length.
    pub fn parse(bytes: &[u8]) -> Result<Self, JwkSetError> {
        let members = strict_json::object(bytes)?;
        let entries = members.get("keys").and_then(Value::as_array).ok_or(JwkSetError::Shape)?;
        if entries.len() > MAX_KEYS {
            return Err(JwkSetError::TooMany);
        }
        let mut names = BTreeSet::new();
        let mut keys = Vec::new();
        for entry in entries {
            let entry = entry.as_object().ok_or(JwkSetError::Shape)?;
            let key = PublicJwk::from_members(entry);
            let kid = text(entry, "kid").or(key.as_ref().map(PublicJwk::kid));
            if kid.is_some_and(|kid| !names.insert(kid.to_owned())) {
                return Err(JwkSetError::DuplicateKid);
            }
            keys.extend(key);
        }
        Ok(Self { keys })
    }

    /// The keys.
    pub fn keys(&self) -> &[PublicJwk] {
        &self.keys
    }
}

fn thumbprint(material: &Material) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(material.required().to_string().as_bytes()))
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name)?.as_str()
}

/// A `Base64urlUInt`: big-endian, leading zeros dropped, not zero.
fn unsigned(members: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text(members, name)?).ok()?;
    let start = bytes.iter().position(|&byte| byte != 0)?;
    Some(bytes[start..].to_vec())
}

/// Exactly 32 bytes.
fn octets(members: &Map<String, Value>, name: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text(members, name)?).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::jose::jws::SigningKey;

    fn published(algorithm: Algorithm) -> (PublicJwk, Value) {
        let key = SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap()).unwrap();
        (key.public_jwk().clone(), serde_json::to_value(key.public_jwk()).unwrap())
    }

    fn read(entry: &Value) -> Option<PublicJwk> {
        PublicJwk::from_members(entry.as_object().unwrap())
    }

    fn parse(keys: &[&Value]) -> Result<JwkSet, JwkSetError> {
        JwkSet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn the_thumbprint_of_the_example_in_rfc_7638_section_3_1_holds() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3ok\
                 njhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6\
                 qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awa\
                 pJzKnqDKgw";
        let key =
            read(&json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"})).unwrap();
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(key.kid(), "2011-04-29");
    }

    #[test]
    fn the_thumbprint_of_the_example_in_rfc_8037_appendix_a_3_holds() {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        assert_eq!(read(&key).unwrap().kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn what_is_published_has_public_members_only_and_reads_back() {
        for algorithm in Algorithm::ALL {
            let (key, entry) = published(algorithm);
            assert!(PRIVATE_MEMBERS.iter().all(|name| entry.get(name).is_none()), "{entry}");
            assert_eq!(entry["kid"], json!(key.thumbprint()));
            assert_eq!(entry["alg"], json!(algorithm.as_str()));
            assert_eq!(read(&entry), Some(key));
        }
    }

    // JK-07
    #[test]
    fn keys_that_must_not_verify_are_left_out() {
        let (good, entry) = published(Algorithm::Rs256);
        let with = |name: &str, value: Value| {
            let mut changed = entry.clone();
            changed[name] = value;
            changed
        };
        let short = URL_SAFE_NO_PAD.encode([0xFF; 128]);
        let bad = [
            json!({"kty": "oct", "k": "c2VjcmV0", "kid": "o", "alg": "HS256"}),
            json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA", "kid": "x"}),
            json!({"kty": "OKP", "crv": "X25519", "x": URL_SAFE_NO_PAD.encode([1; 32]), "kid": "y"}),
            with("n", json!(short)),
            with("n", json!(format!("{}", URL_SAFE_NO_PAD.encode([0xFF; 1025])))),
            with("e", json!("AQ")),
            with("e", json!("AQABAQABAQAB")),
            with("use", json!("enc")),
            with("use", json!(1)),
            with("key_ops", json!(["encrypt", "sign"])),
            with("key_ops", json!("verify")),
            with("alg", json!("RS384")),
            with("alg", json!("PS256")),
            with("alg", json!("HS256")),
            with("alg", json!(null)),
            with("d", json!("AQAB")),
            with("p", json!("AQAB")),
            with("kid", json!(7)),
            with("kid", json!("")),
            with("kid", json!("k".repeat(MAX_KID + 1))),
        ];
        for entry in &bad {
            assert_eq!(read(entry), None, "{entry}");
        }
        let one_of_each: Vec<_> = bad[..3].iter().chain([&entry]).collect();
        assert_eq!(parse(&one_of_each).unwrap().keys(), [good]);
    }

    // JK-07
    #[test]
    fn two_entries_with_one_kid_spoil_the_set_even_if_one_of_them_would_be_left_out() {
        let (_, mut first) = published(Algorithm::Rs256);
        let (_, mut second) = published(Algorithm::EdDsa);
        first["kid"] = json!("k");
        second["kid"] = json!("k");
        assert!(matches!(parse(&[&first, &second]), Err(JwkSetError::DuplicateKid)));
        second["use"] = json!("enc");
        assert!(matches!(parse(&[&first, &second]), Err(JwkSetError::DuplicateKid)));
        assert_eq!(JwkSet::new(vec![read(&first).unwrap(), read(&first).unwrap()]), None);
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[],"keys":[]}"#] {
            assert!(JwkSet::parse(text.as_bytes()).is_err(), "{text}");
        }
        let many = vec![json!({}); MAX_KEYS + 1];
        assert!(matches!(parse(&many.iter().collect::<Vec<_>>()), Err(JwkSetError::TooMany)));
    }

    proptest! {
        // JK-08: whatever a file, an upstream or an import holds, what is written out has no private member.
        #[test]
        fn no_private_member_survives(name in prop::sample::select(&PRIVATE_MEMBERS[..]), value in "[A-Za-z0-9_-]{0,40}") {
            let mut entry = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
            entry[name] = json!(value);
            let set = parse(&[&entry]).unwrap();
            prop_assert_eq!(serde_json::to_value(&set).unwrap(), json!({"keys": []}));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = JwkSet::parse(&bytes);
        }
    }
}
