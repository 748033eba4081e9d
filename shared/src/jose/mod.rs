//! Signed tokens: keys (RFC 7517), compact signatures (RFC 7515), and the two kinds of claims that this project mints.
//!
//! | module | duty |
//! |---|---|
//! | [`jwk`] | public keys and key sets, RFC 7638 thumbprints |
//! | [`jws`] | sign and verify; the only caller of the signature libraries |
//! | [`access_token`] | `at+jwt` claims, RFC 9068 |
//! | [`id_token`] | ID token claims, OIDC Core §2 |
//! | [`strict_json`] | JSON without duplicate members |

pub mod access_token;
pub mod id_token;
pub mod jwk;
pub mod jws;
pub mod logout_token;
pub mod strict_json;

/// A signature algorithm that is offered and accepted (RFC 7518 §3.1, RFC 8037 §3.1). Every key has exactly one, so that
/// the header of a token can never choose (RFC 8725 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSA PKCS #1 v1.5 with SHA-256, keys of 2048 to 8192 bits.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Every algorithm, the default one first.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Reads a name of the wire. Exact: `rs256` is no algorithm.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text)
    }
}
