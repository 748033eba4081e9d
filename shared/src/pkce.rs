//! Proof key for code exchange (RFC 7636), S256 only.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The one challenge method that is offered and accepted.
pub const METHOD: &str = "S256";

/// `BASE64URL(SHA256(verifier))`: always 43 characters (RFC 7636 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeChallenge([u8; 32]);

/// The secret behind a challenge: 43 to 128 unreserved characters (RFC 7636 §4.1).
pub struct CodeVerifier(String);

impl CodeChallenge {
    /// Reads a challenge: exactly the base64url text of 32 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let digest = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        (text.len() == 43).then_some(Self(digest))
    }

    /// The challenge as it was sent.
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// True when `verifier` hashes to this challenge; in constant time.
    pub fn is_met_by(&self, verifier: &CodeVerifier) -> bool {
        let digest: [u8; 32] = Sha256::digest(verifier.0.as_bytes()).into();
        digest.ct_eq(&self.0).into()
    }
}

impl CodeVerifier {
    /// Reads a verifier.
    pub fn parse(text: &str) -> Option<Self> {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        ((43..=128).contains(&text.len()) && text.bytes().all(unreserved)).then(|| Self(text.to_owned()))
    }
}

impl std::fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<code verifier>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn the_example_of_rfc_7636_appendix_b_holds() {
        let challenge = CodeChallenge::parse(CHALLENGE).unwrap();
        assert!(challenge.is_met_by(&CodeVerifier::parse(VERIFIER).unwrap()));
        assert!(!challenge.is_met_by(&CodeVerifier::parse(CHALLENGE).unwrap()));
        assert_eq!(challenge.to_text(), CHALLENGE);
    }

    #[test]
    fn a_challenge_is_43_characters_of_base64url() {
        for bad in [
            &CHALLENGE[1..],
            &format!("{CHALLENGE}A"),
            &format!("{CHALLENGE}="),
            &CHALLENGE.replace('-', "+"),
            &"A".repeat(128),
            "",
        ] {
            assert_eq!(CodeChallenge::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_verifier_is_43_to_128_unreserved_characters() {
        for bad in [&VERIFIER[1..], &"a".repeat(129), &format!("{VERIFIER} "), &format!("{VERIFIER}é"), ""] {
            assert!(CodeVerifier::parse(bad).is_none(), "{bad}");
        }
        assert!(CodeVerifier::parse(&"a".repeat(128)).is_some());
    }
}
