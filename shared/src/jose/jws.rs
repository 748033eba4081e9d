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
use zeroize::Zeroizing;

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
    /// The bytes are overwritten when they are dropped.
    pub fn generate(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, SigningError> {
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
        Ok(Zeroizing::new(der))
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
    /// Longer than [`MAX_TOKEN`], or than what the caller takes.
    #[error("the token is too long")]
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
        Self::parse_up_to(token, MAX_TOKEN)
    }

    /// Reads a signed document that may be longer than a token, up to `longest` bytes.
    pub fn parse_up_to(token: &'a str, longest: usize) -> Result<Self, JwsError> {
        if token.len() > longest {
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
        let algorithm = key.algorithm.library();
        match jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), &key.key, algorithm) {
            Ok(true) => URL_SAFE_NO_PAD.decode(self.payload).map_err(|_| JwsError::Compact),
            Ok(false) | Err(_) => Err(JwsError::Signature),
        }
    }
}

impl Algorithm {
    const fn library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
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

    /// True when this key made the signature of these bytes. For readers that took the token apart themselves; whoever has
    /// a whole one calls [`Unverified::verify`].
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = URL_SAFE_NO_PAD.encode(signature);
        let algorithm = self.algorithm.library();
        matches!(jsonwebtoken::crypto::verify(&signature, message, &self.key, algorithm), Ok(true))
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
}

impl From<&JwkSet> for VerifyingKeys {
    fn from(set: &JwkSet) -> Self {
        let ready = |jwk: &PublicJwk| Some((jwk.kid().to_owned(), VerifyingKey::new(jwk)?));
        Self(set.keys().iter().filter_map(ready).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const TYPES: Types<'static> = Types::Required(&["at+jwt"]);

    struct Keys {
        signing: SigningKey,
        verifying: VerifyingKey,
        token: String,
    }

    /// One key per algorithm, made once, and a good token of each.
    fn keys() -> &'static [Keys] {
        static KEYS: OnceLock<Vec<Keys>> = OnceLock::new();
        KEYS.get_or_init(|| Algorithm::ALL.map(new_keys).into())
    }

    fn new_keys(algorithm: Algorithm) -> Keys {
        let signing = SigningKey::from_pkcs8(&SigningKey::generate(algorithm).unwrap()).unwrap();
        let verifying = VerifyingKey::new(signing.public_jwk()).unwrap();
        let token = signing.sign("at+jwt", &json!({"sub": "u", "n": 1})).unwrap();
        Keys { signing, verifying, token }
    }

    fn verify(token: &str, key: &VerifyingKey) -> Result<Vec<u8>, JwsError> {
        Unverified::parse(token)?.verify(key, TYPES)
    }

    /// A token with a header of our choice and a signature by `keys` over it.
    fn with_header(keys: &Keys, header: &str) -> String {
        let payload = keys.token.split('.').nth(1).unwrap();
        let signed = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header));
        let signature = keys.signing.pair.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn what_is_signed_verifies_with_each_algorithm() {
        for keys in keys() {
            let payload = verify(&keys.token, &keys.verifying).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&payload).unwrap(), json!({"sub": "u", "n": 1}));
            let unverified = Unverified::parse(&keys.token).unwrap();
            assert_eq!(unverified.kid(), Some(keys.signing.kid()));
        }
    }

    #[test]
    fn a_private_key_reads_back_and_is_never_printed() {
        for algorithm in Algorithm::ALL {
            let der = SigningKey::generate(algorithm).unwrap();
            let (one, two) = (SigningKey::from_pkcs8(&der).unwrap(), SigningKey::from_pkcs8(&der).unwrap());
            assert_eq!(one.public_jwk(), two.public_jwk());
            assert_eq!(one.public_jwk().algorithm(), algorithm);
            assert_eq!(format!("{one:?}"), format!("<{} private key {}>", algorithm.as_str(), one.kid()));
        }
        for bad in [b"".as_slice(), b"-----BEGIN PRIVATE KEY-----", &[0x30; 64]] {
            assert_eq!(SigningKey::from_pkcs8(bad).unwrap_err(), SigningError::Key);
        }
    }

    #[test]
    fn only_an_object_can_be_signed() {
        assert_eq!(keys()[2].signing.sign("JWT", &json!([1])), Err(SigningError::Claims));
        assert_eq!(keys()[2].signing.sign("JWT", &"text"), Err(SigningError::Claims));
    }

    // JT-01, JT-02, JT-03
    #[test]
    fn the_key_decides_the_algorithm_and_the_header_never_does() {
        for keys in keys() {
            for alg in
                ["none", "None", "nOnE", "", "HS256", "RS384", "RS512", "PS256", "ES384", "ES256K", "rs256"]
            {
                let token = with_header(keys, &json!({"alg": alg, "typ": "at+jwt"}).to_string());
                assert_eq!(verify(&token, &keys.verifying), Err(JwsError::Algorithm), "{alg}");
            }
        }
        for (one, other) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
            assert_eq!(verify(&keys()[one].token, &keys()[other].verifying), Err(JwsError::Algorithm));
            let alg = keys()[other].verifying.algorithm().as_str();
            let token = with_header(&keys()[one], &json!({"alg": alg, "typ": "at+jwt"}).to_string());
            assert_eq!(verify(&token, &keys()[other].verifying), Err(JwsError::Signature));
        }
        let hmac = json!({"alg": "HS256", "typ": "at+jwt"}).to_string();
        let unsigned = format!("{}.e30.", URL_SAFE_NO_PAD.encode(hmac));
        assert_eq!(Unverified::parse(&unsigned).unwrap_err(), JwsError::Compact);
    }

    // JT-04
    #[test]
    fn a_signature_belongs_to_one_text_and_is_written_one_way() {
        for keys in keys() {
            let other = keys.signing.sign("at+jwt", &json!({"sub": "someone else"})).unwrap();
            let (signed, signature) = keys.token.rsplit_once('.').unwrap();
            let (_, foreign) = other.rsplit_once('.').unwrap();
            let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let longer = [bytes.as_slice(), b"\0"].concat();
            for bad in [
                foreign,
                &signature[..signature.len() - 4],
                &URL_SAFE_NO_PAD.encode(&bytes[1..]),
                &URL_SAFE_NO_PAD.encode(&longer),
                "AAAA",
            ] {
                assert_eq!(verify(&format!("{signed}.{bad}"), &keys.verifying), Err(JwsError::Signature));
            }
            for bad in [format!("{signature}="), format!("{signature}=="), "+/+/".to_owned(), String::new()] {
                assert_eq!(verify(&format!("{signed}.{bad}"), &keys.verifying), Err(JwsError::Compact));
            }
        }
    }

    // JT-05
    #[test]
    fn a_kid_is_a_short_text_or_the_header_is_malformed() {
        let keys = &keys()[2];
        for kid in [json!(1), json!(["a"]), json!(null), json!({}), json!("k".repeat(MAX_KID + 1))] {
            let token = with_header(keys, &json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid}).to_string());
            assert_eq!(Unverified::parse(&token).unwrap_err(), JwsError::Header, "{kid}");
        }
        let token = with_header(
            keys,
            &json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "../../etc/passwd"}).to_string(),
        );
        assert!(VerifyingKeys::default().get(Unverified::parse(&token).unwrap().kid().unwrap()).is_none());
    }

    // JT-06, JT-07
    #[test]
    fn a_key_that_the_token_brings_along_is_not_looked_at() {
        let (good, evil) = (&keys()[0], new_keys(Algorithm::Rs256));
        for header in [
            json!({"alg": "RS256", "typ": "at+jwt", "jwk": evil.signing.public_jwk()}),
            json!({"alg": "RS256", "typ": "at+jwt", "jku": "https://evil.test/jwks", "x5u": "http://169.254.169.254/"}),
            json!({"alg": "RS256", "typ": "at+jwt", "x5c": ["MIIB"]}),
        ] {
            let header = header.to_string();
            assert_eq!(verify(&with_header(&evil, &header), &good.verifying), Err(JwsError::Signature));
            assert!(verify(&with_header(good, &header), &good.verifying).is_ok());
        }
    }

    // JT-08, JT-09, JT-10
    #[test]
    fn extensions_are_refused_even_when_they_are_empty() {
        let keys = &keys()[2];
        for extension in [
            r#""crit":["exp"]"#,
            r#""crit":["b64"],"b64":false"#,
            r#""crit":[]"#,
            r#""crit":"exp""#,
            r#""crit":null"#,
            r#""b64":false"#,
            r#""b64":true"#,
            r#""zip":"DEF""#,
            r#""zi\u0070":"DEF""#,
        ] {
            let token = with_header(keys, &format!(r#"{{"alg":"EdDSA","typ":"at+jwt",{extension}}}"#));
            assert_eq!(verify(&token, &keys.verifying), Err(JwsError::Extension), "{extension}");
        }
        assert_eq!(Unverified::parse("e30.e30.e30.e30.e30").unwrap_err(), JwsError::Compact);
    }

    // JT-11, JT-12, JT-13
    #[test]
    fn only_the_types_that_were_asked_for_are_taken() {
        let keys = &keys()[2];
        let of_type = |typ: &str| with_header(keys, &json!({"alg": "EdDSA", "typ": typ}).to_string());
        for typ in ["at+jwt", "application/at+jwt", "AT+JWT", "Application/At+Jwt"] {
            assert!(verify(&of_type(typ), &keys.verifying).is_ok(), "{typ}");
        }
        for typ in [
            "JWT",
            "",
            "id_token+jwt",
            "logout+jwt",
            "dpop+jwt",
            "oauth-id-jag+jwt",
            "at+jwt ",
            "application/application/at+jwt",
            "text/at+jwt",
            "at+jwt;x",
        ] {
            assert_eq!(verify(&of_type(typ), &keys.verifying), Err(JwsError::Type), "{typ}");
        }
        let untyped = with_header(keys, r#"{"alg":"EdDSA"}"#);
        assert_eq!(verify(&untyped, &keys.verifying), Err(JwsError::Type));
        let lenient = Types::Optional(&["JWT"]);
        assert!(Unverified::parse(&untyped).unwrap().verify(&keys.verifying, lenient).is_ok());
        assert!(Unverified::parse(&of_type("jwt")).unwrap().verify(&keys.verifying, lenient).is_ok());
        assert_eq!(
            Unverified::parse(&keys.token).unwrap().verify(&keys.verifying, lenient),
            Err(JwsError::Type)
        );
    }

    // JT-23, JT-25
    #[test]
    fn a_header_is_one_json_object_with_distinct_members() {
        let keys = &keys()[2];
        for header in [
            r#"{"alg":"EdDSA","alg":"EdDSA","typ":"at+jwt"}"#,
            r#"{"alg":"EdDSA","\u0061lg":"none","typ":"at+jwt"}"#,
            r#"{"ALG":"EdDSA","typ":"at+jwt"}"#,
            r#"{"alg":["EdDSA"],"typ":"at+jwt"}"#,
            r#"{"alg":"EdDSA","typ":7}"#,
            "[]",
            "\u{feff}{\"alg\":\"EdDSA\"}",
            "{\"alg\":\"EdDSA\"} x",
            "",
        ] {
            assert!(verify(&with_header(keys, header), &keys.verifying).is_err(), "{header}");
        }
    }

    // JT-26
    #[test]
    fn a_long_token_is_refused_before_anything_is_decoded() {
        for token in ["a".repeat(17 * 1024), ".".repeat(1_000_000), format!("e30.{}.AA", "A".repeat(1 << 20))]
        {
            assert_eq!(Unverified::parse(&token).unwrap_err(), JwsError::TooLong);
        }
        assert_eq!(Unverified::parse(&".".repeat(MAX_TOKEN)).unwrap_err(), JwsError::Compact);
    }

    #[test]
    fn the_example_of_rfc_8037_appendix_a_4_verifies() {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let key = VerifyingKey::new(&PublicJwk::from_members(jwk.as_object().unwrap()).unwrap()).unwrap();
        let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR\
                     4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let payload = Unverified::parse(token).unwrap().verify(&key, Types::Optional(&[])).unwrap();
        assert_eq!(payload, b"Example of Ed25519 signing");
    }

    // JT-37
    #[test]
    fn every_one_bit_change_of_a_good_token_is_refused() {
        for keys in keys() {
            for at in 0..keys.token.len() {
                for bit in 0..8 {
                    let mut bytes = keys.token.clone().into_bytes();
                    bytes[at] ^= 1_u8 << bit;
                    if let Ok(changed) = String::from_utf8(bytes) {
                        assert!(verify(&changed, &keys.verifying).is_err(), "byte {at}, bit {bit}");
                    }
                }
            }
        }
    }

    proptest! {
        // JT-38
        #[test]
        fn no_text_panics(text in r"[A-Za-z0-9_\-]{0,60}(\.[A-Za-z0-9_\-]{0,60}){0,4}", any in ".{0,200}") {
            for token in [&text, &any] {
                prop_assert!(verify(token, &keys()[2].verifying).is_err());
            }
        }

        // JT-38
        #[test]
        fn no_header_panics(header in prop::collection::vec(any::<u8>(), 0..200)) {
            let token = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header));
            prop_assert!(verify(&token, &keys()[2].verifying).is_err());
        }
    }
}
