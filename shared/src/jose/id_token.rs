//! ID tokens (OIDC Core §2) and the claims about a person that they share with userinfo (§5.1).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};

use super::{Algorithm, jws::Types};
use crate::{client_id::ClientId, issuer::Issuer, time::Timestamp};

/// The header's `typ`. Another one than that of access tokens: neither can be taken for the other (RFC 8725 §3.11).
pub const TYPE: &str = "JWT";
/// What a verifier takes.
pub const TYPES: Types<'static> = Types::Required(&[TYPE]);

/// The claims of an ID token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdTokenClaims {
    /// The issuer, byte for byte.
    pub iss: Issuer,
    /// The person.
    pub sub: String,
    /// The client that the token is for.
    pub aud: ClientId,
    /// The token is dead from here on.
    pub exp: Timestamp,
    /// When it was made.
    pub iat: Timestamp,
    /// When the person last signed in.
    pub auth_time: Timestamp,
    /// How the person signed in then (RFC 8176 §2); empty when no registered word says it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub amr: &'static [&'static str],
    /// The `nonce` of the authorization request, unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// [`at_hash`] of the access token that comes along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_hash: Option<String>,
    /// The session in which the person agreed, by the name that clients know it by (OpenID Connect Back-Channel Logout §2.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// What the granted scopes tell about the person.
    #[serde(flatten)]
    pub person: PersonClaims,
}

/// What the scopes `profile` and `email` tell about a person (OIDC Core §5.4). Members that were not granted are
/// absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonClaims {
    /// The name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// True when the address was proven to belong to the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
}

/// What an ID token that comes back as a hint says (OpenID Connect Core §3.1.2.1, RP-Initiated Logout 1.0 §2). It may be long
/// expired.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Hint {
    /// Who issued it.
    pub iss: Issuer,
    /// The person.
    pub sub: String,
    /// The client that it was made for.
    pub aud: ClientId,
}

impl Hint {
    /// Reads the payload of a verified ID token of this issuer.
    pub fn read(payload: &[u8], issuer: &Issuer) -> Option<Self> {
        serde_json::from_slice::<Self>(payload).ok().filter(|hint| hint.iss == *issuer)
    }
}

/// The left half of a hash of the access token's ASCII text, as base64url (OIDC Core §3.1.3.6), for an ID token that is signed
/// with this algorithm: SHA-256 for RS256 and ES256. No profile fixes the hash for `EdDSA`; the `OpenID` Connect working group and
/// the libraries that check the claim agree on what Ed25519 itself uses, SHA-512.
pub fn at_hash(access_token: &str, algorithm: Algorithm) -> String {
    let text = access_token.as_bytes();
    match algorithm {
        Algorithm::Rs256 | Algorithm::Es256 => URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..16]),
        Algorithm::EdDsa => URL_SAFE_NO_PAD.encode(&Sha512::digest(text)[..32]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_oidc_core_appendix_a_3_holds() {
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
            assert_eq!(at_hash(token, algorithm), "77QmUPtjPfzWtF2AnpK9RQ");
        }
    }

    #[test]
    fn an_ed25519_token_is_hashed_as_ed25519_hashes() {
        // Computed with hashlib: the first 32 of the 64 bytes of SHA-512.
        assert_eq!(at_hash("abc", Algorithm::EdDsa), "3a81oZNherrMQXNJriBBMRLm-k6JqX6iCp7u5ktV05o");
    }

    #[test]
    fn claims_that_were_not_granted_are_absent() {
        let claims = IdTokenClaims {
            iss: Issuer::parse("https://as.test").unwrap(),
            sub: "u1".to_owned(),
            aud: ClientId::parse("c1").unwrap(),
            exp: Timestamp::from_seconds(900),
            iat: Timestamp::from_seconds(0),
            auth_time: Timestamp::from_seconds(0),
            amr: &[],
            nonce: None,
            at_hash: None,
            sid: None,
            person: PersonClaims::default(),
        };
        assert_eq!(
            serde_json::to_string(&claims).unwrap(),
            r#"{"iss":"https://as.test","sub":"u1","aud":"c1","exp":900,"iat":0,"auth_time":0}"#
        );
    }
}
