//! The provider's keys for the protocol library: what it asks of a key is answered by our own signature check (aws-lc-rs), so
//! that none of the libraries that it brings along ever verifies anything.

use doorward_shared::jose::{Algorithm, jwk::PublicJwk, jws::VerifyingKey};
use openidconnect::{
    JsonWebKey, JsonWebKeyAlgorithm, JsonWebKeyId, SignatureVerificationError,
    core::{CoreJsonWebKeyType, CoreJsonWebKeyUse, CoreJwsSigningAlgorithm},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256, Sha512};

/// A public key that may verify.
#[derive(Clone, Debug)]
pub(super) struct Key {
    id: JsonWebKeyId,
    kind: CoreJsonWebKeyType,
    algorithm: CoreJwsSigningAlgorithm,
    /// `None` for a shared secret, which never verifies.
    verifier: Option<VerifyingKey>,
}

/// The algorithms that an ID token may be signed with.
pub(super) const ALGORITHMS: [CoreJwsSigningAlgorithm; 3] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EdDsa,
];

impl<'de> Deserialize<'de> for Key {
    /// Fails for a key that must not verify; the library leaves such a one out of the set.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Map::<String, Value>::deserialize(deserializer)?;
        let jwk =
            PublicJwk::from_members(&members).ok_or_else(|| D::Error::custom("not a key that may verify"))?;
        let (kind, algorithm) = match jwk.algorithm() {
            Algorithm::Rs256 => (CoreJsonWebKeyType::RSA, CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256),
            Algorithm::Es256 => (CoreJsonWebKeyType::EllipticCurve, CoreJwsSigningAlgorithm::EcdsaP256Sha256),
            Algorithm::EdDsa => (CoreJsonWebKeyType::OctetKeyPair, CoreJwsSigningAlgorithm::EdDsa),
        };
        let verifier = VerifyingKey::new(&jwk);
        Ok(Self { id: JsonWebKeyId::new(jwk.kid().to_owned()), kind, algorithm, verifier })
    }
}

impl Serialize for Key {
    /// Only its name: the library wants keys that can be written, and nobody writes them.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id.serialize(serializer)
    }
}

impl JsonWebKey for Key {
    type KeyUse = CoreJsonWebKeyUse;
    type SigningAlgorithm = CoreJwsSigningAlgorithm;

    fn key_id(&self) -> Option<&JsonWebKeyId> {
        Some(&self.id)
    }

    fn key_type(&self) -> &CoreJsonWebKeyType {
        &self.kind
    }

    fn key_use(&self) -> Option<&CoreJsonWebKeyUse> {
        Some(&CoreJsonWebKeyUse::Signature)
    }

    fn signing_alg(&self) -> JsonWebKeyAlgorithm<&CoreJwsSigningAlgorithm> {
        JsonWebKeyAlgorithm::Algorithm(&self.algorithm)
    }

    fn new_symmetric(_: Vec<u8>) -> Self {
        Self {
            id: JsonWebKeyId::new(String::new()),
            kind: CoreJsonWebKeyType::Symmetric,
            algorithm: CoreJwsSigningAlgorithm::None,
            verifier: None,
        }
    }

    fn verify_signature(
        &self,
        algorithm: &CoreJwsSigningAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureVerificationError> {
        let verifier = self.verifier.as_ref().filter(|_| *algorithm == self.algorithm);
        let verifier = verifier.ok_or_else(|| {
            SignatureVerificationError::InvalidKey("the key has another algorithm".to_owned())
        })?;
        if verifier.signed(message, signature) {
            Ok(())
        } else {
            Err(SignatureVerificationError::CryptoError("the signature does not verify".to_owned()))
        }
    }

    fn hash_bytes(&self, bytes: &[u8], algorithm: &CoreJwsSigningAlgorithm) -> Result<Vec<u8>, String> {
        match algorithm {
            _ if *algorithm != self.algorithm => Err("the key has another algorithm".to_owned()),
            CoreJwsSigningAlgorithm::EdDsa => Ok(Sha512::digest(bytes).to_vec()),
            _ => Ok(Sha256::digest(bytes).to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_that_must_not_verify_is_none() {
        let read = |value: Value| serde_json::from_value::<Key>(value).is_ok();
        let n = "u1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gunVTLw7onLRnrq0_IzW7yWR7QkrmBL7jTKEn5u-qKhbwKfBstIs-bMY2Zkp18gnTxKLxoS2tFczGkPLPgizskuemMghRniWaoLcyehkd3qqGElvW_VDL5AaWTg0nLVkjRo9z-40RQzuVaE8AkAFmxZzow3x-VJYKdjykkJ0iT9wCS0DRTXu269V264Vf_3jvredZiKRkgwlL9xNAwxXFg0x_XFw005UWVRIkdgcKWTjpBP2dPwVZ4WWC-9aGVd-Gyn1o0CLelf4rEjGoXbAAEgAqeGUxrcIlbjXfbcmw";
        assert!(read(json!({"kty": "RSA", "kid": "a", "use": "sig", "alg": "RS256", "n": n, "e": "AQAB"})));
        for bad in [
            json!({"kty": "oct", "kid": "a", "k": "c2VjcmV0"}),
            json!({"kty": "RSA", "kid": "a", "use": "enc", "n": n, "e": "AQAB"}),
            json!({"kty": "RSA", "kid": "a", "alg": "PS256", "n": n, "e": "AQAB"}),
            json!({"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB"}),
        ] {
            assert!(!read(bad.clone()), "{bad}");
        }
    }

    #[test]
    fn a_shared_secret_verifies_nothing() {
        let key = Key::new_symmetric(b"secret".to_vec());
        for algorithm in [CoreJwsSigningAlgorithm::HmacSha256, CoreJwsSigningAlgorithm::None] {
            assert!(key.verify_signature(&algorithm, b"message", b"").is_err());
        }
    }
}
