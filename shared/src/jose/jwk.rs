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
