//! Compact signatures (RFC 7515 §7.1): the one place that calls the signature libraries.
//!
//! Verification goes through `jsonwebtoken` with a key that is kept. Signing does not: its `encode` parses the private key
//! at every call, which costs more than the signature itself, so [`SigningKey`] keeps the parsed key and writes the three
//! parts on its own.

use std::{collections::HashMap, fmt};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeySize, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde::Serialize;
use serde_json::Value;

use super::{
    Algorithm,
    jwk::{JwkSet, MAX_KID, Material, PublicJwk},
    strict_json,
};

/// Longest compact token that is looked at, in bytes. Nothing of a longer one is decoded.
pub const MAX_TOKEN: usize = 16 * 1024;

/// A private key, parsed once, and its public half.
pub struct SigningKey {
    pair: Pair,
    public: PublicJwk,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A private key could not be made, read or used. Says no more on purpose: the details are about key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The bytes are no PKCS #8 private key of a supported kind, or an RSA key is outside 2048 to 8192 bits.
    #[error("not a usable PKCS #8 private key (RSA of 2048 bits or more, P-256, Ed25519)")]
    Key,
    /// The cryptographic library could not make a key.
    #[error("the key could not be generated")]
    Generate,
    /// The claims could not be written as a JSON object.
    #[error("the claims are not a JSON object")]
    Claims,
    /// The cryptographic library could not sign.
    #[error("the token could not be signed")]
    Sign,
}

impl SigningKey {
    /// Makes a new private key for `algorithm` (RSA: 2048 bits) and returns it as PKCS #8 DER, ready to be encrypted.
    pub fn generate(algorithm: Algorithm) -> Result<Vec<u8>, SigningError> {
        let der = match algorithm {
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| SigningError::Generate)?;
                AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| SigningError::Generate)?.as_ref().to_vec()
            }
            Algorithm::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                    .map_err(|_| SigningError::Generate)?
                    .as_ref()
                    .to_vec()
            }
            Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
                .map_err(|_| SigningError::Generate)?
                .as_ref()
                .to_vec(),
        };
        Ok(der)
    }

    /// Parses a PKCS #8 private key; its kind decides the algorithm.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SigningError> {
        let (pair, material) = if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
            // The library reads keys that are too short to verify with.
            if !(256..=1024).contains(&pair.public_modulus_len()) {
                return Err(SigningError::Key);
            }
            let public = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
            let material = Material::rsa(&public.n, &public.e);
            (Pair::Rsa(Box::new(pair)), material)
        } else if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            // An uncompressed point: 0x04, then x and y of 32 bytes each.
            let point = pair.public_key().as_ref();
            let (x, y) = point.get(1..65).ok_or(SigningError::Key)?.split_at(32);
            let material = Material::P256 { x: URL_SAFE_NO_PAD.encode(x), y: URL_SAFE_NO_PAD.encode(y) };
            (Pair::P256(pair), material)
        } else {
            let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| SigningError::Key)?;
            let material = Material::Ed25519 { x: URL_SAFE_NO_PAD.encode(pair.public_key()) };
            (Pair::Ed25519(pair), material)
        };
        Ok(Self { pair, public: PublicJwk::new(material) })
    }

    /// The public half, to be published.
    pub fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    /// The key's name: the thumbprint of RFC 7638.
    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    /// Signs `claims` as a compact token with the header members `alg`, `kid` and `typ` (RFC 8725 §3.11: always typed).
    pub fn sign<C: Serialize>(&self, typ: &str, claims: &C) -> Result<String, SigningError> {
        #[derive(Serialize)]
        struct Header<'a> {
            alg: &'static str,
            kid: &'a str,
            typ: &'a str,
        }
        let header = Header { alg: self.public.algorithm().as_str(), kid: self.kid(), typ };
        let header = serde_json::to_vec(&header).map_err(|_| SigningError::Claims)?;
        let claims = serde_json::to_vec(claims).map_err(|_| SigningError::Claims)?;
        if claims.first() != Some(&b'{') {
            return Err(SigningError::Claims);
        }
        let mut token = String::with_capacity((header.len() + claims.len()) * 4 / 3 + 400);
        URL_SAFE_NO_PAD.encode_string(header, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.pair.sign(token.as_bytes()).ok_or(SigningError::Sign)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

impl Pair {
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Self::P256(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Self::Ed25519(pair) => Some(pair.try_sign(message).ok()?.as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} private key {}>", self.public.algorithm().as_str(), self.kid())
    }
}

/// Why a token is no acceptable signature. For logs and metrics; the stranger hears `invalid_token` and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum JwsError {
    /// Longer than [`MAX_TOKEN`].
    #[error("the token is longer than {MAX_TOKEN} bytes")]
    TooLong,
    /// Not three parts of base64url without padding.
    #[error("the token is not three parts of base64url")]
    Compact,
    /// The header is no JSON object, a member occurs twice or has the wrong type.
    #[error("the token's header is malformed")]
    Header,
    /// `crit`, `b64` or `zip`: we understand no extension (RFC 7515 §4.1.11, RFC 7797 §7).
    #[error("the token's header asks for an extension")]
    Extension,
    /// `typ` is not one that was asked for (RFC 8725 §3.11).
    #[error("the token is of another type")]
    Type,
    /// `alg` is not the algorithm of the key (RFC 8725 §3.1).
    #[error("the token names another algorithm than its key has")]
    Algorithm,
    /// The signature does not belong to header, payload and key.
    #[error("the signature does not verify")]
    Signature,
}

/// A compact token whose header was read and whose signature was **not** checked: only [`Unverified::verify`] gives out
/// the payload.
#[derive(Debug)]
pub struct Unverified<'a> {
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
}

/// Which `typ` a caller takes. Comparison ignores case and the prefix `application/` (RFC 7515 §4.1.9).
#[derive(Clone, Copy, Debug)]
pub enum Types<'a> {
    /// One of these must be there.
    Required(&'a [&'a str]),
    /// One of these, or none at all: for kinds of token that are older than typing.
    Optional(&'a [&'a str]),
}

impl<'a> Unverified<'a> {
    /// Reads a compact token. `jwk`, `jku`, `x5c` and `x5u` in the header are not looked at: a token does not choose its key.
    pub fn parse(token: &'a str) -> Result<Self, JwsError> {
        if token.len() > MAX_TOKEN {
            return Err(JwsError::TooLong);
        }
        // Two searches, never a split of the whole: a text of a million dots costs no more than any other.
        let (header, rest) = token.split_once('.').ok_or(JwsError::Compact)?;
        let (payload, signature) = rest.split_once('.').ok_or(JwsError::Compact)?;
        let base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let plain = |part: &str| !part.is_empty() && part.bytes().all(base64url);
        if !(plain(header) && plain(payload) && plain(signature)) {
            return Err(JwsError::Compact);
        }
        let members = URL_SAFE_NO_PAD.decode(header).map_err(|_| JwsError::Compact)?;
        let members = strict_json::object(&members).map_err(|_| JwsError::Header)?;
        if ["crit", "b64", "zip"].iter().any(|name| members.contains_key(*name)) {
            return Err(JwsError::Extension);
        }
        let text = |name: &str, longest: usize| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= longest => Ok(Some(text.clone())),
            Some(_) => Err(JwsError::Header),
        };
        Ok(Self {
            signed: &token[..header.len() + 1 + payload.len()],
            payload,
            signature,
            alg: text("alg", 16)?.ok_or(JwsError::Header)?,
            kid: text("kid", MAX_KID)?,
            typ: text("typ", 64)?,
        })
    }

    /// The name of the key that is said to have signed; at most 128 bytes. Use it to look up a key, never to print.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Checks type, algorithm and signature, in this order, and gives out the payload.
    pub fn verify(&self, key: &VerifyingKey, types: Types<'_>) -> Result<Vec<u8>, JwsError> {
        if !types.admit(self.typ.as_deref()) {
            return Err(JwsError::Type);
        }
        if self.alg != key.algorithm.as_str() {
            return Err(JwsError::Algorithm);
        }
        let algorithm = match key.algorithm {
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        };
        match jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), &key.key, algorithm) {
            Ok(true) => URL_SAFE_NO_PAD.decode(self.payload).map_err(|_| JwsError::Compact),
            Ok(false) | Err(_) => Err(JwsError::Signature),
        }
    }
}

impl Types<'_> {
    fn admit(self, typ: Option<&str>) -> bool {
        let (allowed, absent) = match self {
            Self::Required(allowed) => (allowed, false),
            Self::Optional(allowed) => (allowed, true),
        };
        let Some(typ) = typ else { return absent };
        let typ = typ.to_ascii_lowercase();
        let short = typ.strip_prefix("application/").unwrap_or(&typ);
        allowed.iter().any(|one| one.eq_ignore_ascii_case(short))
    }
}

/// A public key, ready to verify.
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl VerifyingKey {
    /// Prepares a key.
    pub fn new(jwk: &PublicJwk) -> Option<Self> {
        let key = match jwk.material() {
            Material::Rsa { n, e } => DecodingKey::from_rsa_components(n, e),
            Material::P256 { x, y } => DecodingKey::from_ec_components(x, y),
            Material::Ed25519 { x } => DecodingKey::from_ed_components(x),
        };
        Some(Self { algorithm: jwk.algorithm(), key: key.ok()? })
    }

    /// The one algorithm of this key.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} public key>", self.algorithm.as_str())
    }
}

/// The keys of a set, ready to verify, by `kid`.
#[derive(Clone, Debug, Default)]
pub struct VerifyingKeys(HashMap<String, VerifyingKey>);

impl VerifyingKeys {
    /// The key with this name.
    pub fn get(&self, kid: &str) -> Option<&VerifyingKey> {
        self.0.get(kid)
    }

    /// True when no key is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the keys.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl From<&JwkSet> for VerifyingKeys {
    fn from(set: &JwkSet) -> Self {
        let ready = |jwk: &PublicJwk| Some((jwk.kid().to_owned(), VerifyingKey::new(jwk)?));
        Self(set.keys().iter().filter_map(ready).collect())
    }
}
