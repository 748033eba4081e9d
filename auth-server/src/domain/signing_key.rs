//! Signing keys as they are stored: the private half sealed, the public half derived when it is opened.

use doorward_shared::time::Timestamp;

/// A signing key.
#[derive(Clone, Debug)]
pub struct StoredSigningKey {
    /// Its identifier: the RFC 7638 thumbprint of the public key.
    pub kid: String,
    /// The JWS algorithm, for example `RS256`.
    pub algorithm: String,
    /// The public half: a JWK (RFC 7517) as JSON text.
    pub public_jwk: String,
    /// The PKCS#8 private key, sealed with the key-encryption key; base64url.
    pub sealed: String,
    /// When it was made.
    pub created_at: Timestamp,
}
