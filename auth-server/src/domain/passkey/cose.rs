//! Public keys as authenticators write them: `COSE_Key` (RFC 9052 §7, RFC 9053, RFC 8230).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use ciborium::Value;

/// ECDSA with SHA-256, on P-256 here.
pub(super) const ES256: i64 = -7;
/// `EdDSA`, on Ed25519 here.
pub(super) const EDDSA: i64 = -8;
/// RSASSA-PKCS1-v1_5 with SHA-256.
pub(super) const RS256: i64 = -257;

/// Labels of members.
const KTY: i64 = 1;
const ALG: i64 = 3;

/// A public key.
pub(super) enum PublicKey {
    /// The uncompressed point.
    Es256(Vec<u8>),
    Ed25519(Vec<u8>),
    Rs256 {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

impl PublicKey {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let key: Value = ciborium::from_reader(bytes).ok()?;
        let map = key.as_map()?;
        let member = |label: i64| {
            let mut found = map.iter().filter(|(key, _)| *key == Value::from(label)).map(|(_, value)| value);
            let value = found.next();
            // Two of one label are two stories.
            value.filter(|_| found.next().is_none())
        };
        let number = |label| member(label)?.as_integer().and_then(|number| i64::try_from(number).ok());
        let bytes = |label| member(label)?.as_bytes();
        match (number(KTY)?, number(ALG)?) {
            (2, ES256) if number(-1) == Some(1) => {
                let (x, y) = (bytes(-2)?, bytes(-3)?);
                let point = [&[4], x.as_slice(), y].concat();
                (x.len() == 32 && y.len() == 32).then_some(Self::Es256(point))
            }
            (1, EDDSA) if number(-1) == Some(6) => {
                let x = bytes(-2)?;
                (x.len() == 32).then(|| Self::Ed25519(x.clone()))
            }
            (3, RS256) => Some(Self::Rs256 { n: bytes(-1)?.clone(), e: bytes(-2)?.clone() }),
            _ => None,
        }
    }

    /// True when the signature over `message` was made with the other half.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Es256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature).is_ok()
            }
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok(),
            Self::Rs256 { n, e } => {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
        }
    }
}
