//! Keys: the key-encryption key that seals what is stored, and the ring that signs tokens and publishes JWKS.

use std::{
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf, hmac,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_shared::{
    jose::{
        Algorithm,
        jwk::JwkSet,
        jws::{SigningError, SigningKey, VerifyingKeys},
    },
    secret::Entropy,
    time::Timestamp,
};
use serde::Serialize;

use crate::{
    domain::signing_key::StoredSigningKey,
    store::{Applied, Store, StoreError},
};

/// Why keys cannot be used. Every message says what the operator does next.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error(
        "the key-encryption key {path}: {source}; set DOORWARD__KEYS__KEK_FILE to a file that this process may read"
    )]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds no key.
    #[error("{0} holds no key: expected 32 bytes as base64url text (43 characters)")]
    Malformed(PathBuf),
    /// The stored key was sealed with another key-encryption key.
    #[error(
        "the signing key {0} was sealed with another key-encryption key; give this process the key file that the \
         database was first started with (DOORWARD__KEYS__KEK_FILE)"
    )]
    Sealed(String),
    /// A key could not be made or used.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The key that encrypts private keys at rest, and from which keys for single purposes are derived.
pub struct KeyEncryptionKey([u8; 32]);

impl std::fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<key-encryption key>")
    }
}

/// Whether a missing key file is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The operator named the file: it has to be there.
    Refuse,
    /// Nobody named a file: make one.
    Make,
}

impl KeyEncryptionKey {
    /// Reads the key file, or makes one that only its owner can read.
    pub fn load(path: &Path, missing: Missing, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        let file = |source| KeyError::File { path: path.to_owned(), source };
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let bytes = URL_SAFE_NO_PAD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
                bytes.map(Self).ok_or_else(|| KeyError::Malformed(path.to_owned()))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound && missing == Missing::Make => {
                let mut key = [0_u8; 32];
                entropy.fill(&mut key);
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent).map_err(file)?;
                }
                let mut options = std::fs::OpenOptions::new();
                let opened = options.write(true).create_new(true).mode(0o600).open(path);
                match opened {
                    Ok(mut made) => {
                        let text = format!("{}\n", URL_SAFE_NO_PAD.encode(key));
                        made.write_all(text.as_bytes()).and_then(|()| made.sync_all()).map_err(file)?;
                        tracing::warn!(path = %path.display(), "made a key-encryption key; keep a copy apart from the database");
                        Ok(Self(key))
                    }
                    // Another process started at the same moment and was faster.
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                        Self::load(path, Missing::Refuse, entropy)
                    }
                    Err(e) => Err(file(e)),
                }
            }
            Err(e) => Err(file(e)),
        }
    }

    /// Encrypts `plain`; `context` says what it is (table, row, purpose) and must be the same when it is opened.
    fn seal(&self, context: &str, mut plain: Vec<u8>, entropy: &dyn Entropy) -> Option<String> {
        let mut nonce = [0_u8; NONCE_LEN];
        entropy.fill(&mut nonce);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).ok()?);
        let unique = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(unique, Aad::from(context), &mut plain).ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &plain].concat()))
    }

    fn open(&self, context: &str, sealed: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).ok()?);
        let mut sealed = sealed.to_vec();
        let plain =
            key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context), &mut sealed).ok()?;
        Some(plain.to_vec())
    }

    /// A key for one purpose (HKDF-SHA-256), the same in every process that has this key.
    pub fn derive(&self, purpose: &'static str) -> [u8; 32] {
        let mut key = [0_u8; 32];
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, b"doorward").extract(&self.0);
        let filled = secret
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|material| material.fill(&mut key));
        // The length is the hash's own, which HKDF can always fill; a zero key must never be used.
        if filled.is_err() {
            std::process::abort();
        }
        key
    }
}

/// Keyed tags: values that only this server could have made, checked without a database.
pub struct Tags(hmac::Key);

impl Tags {
    /// Tags for one purpose.
    pub fn new(kek: &KeyEncryptionKey, purpose: &'static str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &kek.derive(purpose)))
    }

    /// The tag of these parts, in this order; base64url.
    pub fn tag(&self, parts: &[&str]) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, &framed(parts)))
    }

    /// True when `tag` is the tag of these parts; in constant time.
    pub fn check(&self, parts: &[&str], tag: &str) -> bool {
        let tag = URL_SAFE_NO_PAD.decode(tag).unwrap_or_default();
        hmac::verify(&self.0, &framed(parts), &tag).is_ok()
    }
}

/// Each part with its length in front, so that no two lists look alike.
fn framed(parts: &[&str]) -> Vec<u8> {
    let framed = parts.iter().flat_map(|part| [&(part.len() as u64).to_be_bytes(), part.as_bytes()].concat());
    framed.collect()
}

impl std::fmt::Debug for Tags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<tags>")
    }
}

/// The signing key in use, and what the world knows of it.
#[derive(Debug)]
pub struct KeyRing {
    active: SigningKey,
    public: JwkSet,
    verifying: VerifyingKeys,
}

impl KeyRing {
    /// Opens the stored keys; makes the first one when there is none.
    pub async fn load(
        store: &dyn Store,
        kek: &KeyEncryptionKey,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<Self, KeyError> {
        let mut stored = store.signing_keys().await?;
        if stored.is_empty() {
            let first = make(kek, entropy, now)?;
            stored = match store.insert_first_signing_key(&first).await? {
                Applied::Done => vec![first],
                Applied::Lost => store.signing_keys().await?,
            };
        }
        let mut keys = Vec::new();
        for key in &stored {
            let der =
                kek.open(&context(&key.kid), &key.sealed).ok_or_else(|| KeyError::Sealed(key.kid.clone()))?;
            keys.push(SigningKey::from_pkcs8(&der)?);
        }
        let public = JwkSet::new(keys.iter().map(|key| key.public_jwk().clone()).collect());
        let (Some(active), Some(public)) = (keys.pop(), public) else {
            return Err(KeyError::Store(StoreError::Row { table: "signing_keys", column: "kid" }));
        };
        let verifying = VerifyingKeys::from(&public);
        Ok(Self { active, public, verifying })
    }

    /// Signs claims as a JWT with this `typ`.
    pub fn sign<C: Serialize>(&self, typ: &str, claims: &C) -> Result<String, SigningError> {
        self.active.sign(typ, claims)
    }

    /// The public keys, as they are published.
    pub const fn public(&self) -> &JwkSet {
        &self.public
    }

    /// The public keys, ready to verify our own tokens.
    pub const fn verifying(&self) -> &VerifyingKeys {
        &self.verifying
    }

    /// The algorithm in use.
    pub fn algorithm(&self) -> Algorithm {
        self.active.public_jwk().algorithm()
    }
}

fn make(kek: &KeyEncryptionKey, entropy: &dyn Entropy, now: Timestamp) -> Result<StoredSigningKey, KeyError> {
    let der = SigningKey::generate(Algorithm::Rs256)?;
    let key = SigningKey::from_pkcs8(&der)?;
    let kid = key.kid().to_owned();
    let sealed = kek.seal(&context(&kid), der, entropy).ok_or_else(|| KeyError::Sealed(kid.clone()))?;
    let algorithm = key.public_jwk().algorithm().as_str().to_owned();
    let public_jwk = serde_json::to_string(key.public_jwk()).map_err(|_| SigningError::Key)?;
    Ok(StoredSigningKey { kid, algorithm, public_jwk, sealed, created_at: now })
}

fn context(kid: &str) -> String {
    format!("signing_keys/{kid}/private")
}

#[cfg(test)]
mod tests {
    use doorward_shared::secret::SystemEntropy;

    use super::*;

    #[test]
    fn what_is_sealed_opens_only_with_the_same_key_and_context() {
        let kek = KeyEncryptionKey([7; 32]);
        let sealed = kek.seal("a", b"private".to_vec(), &SystemEntropy).unwrap();
        assert_eq!(kek.open("a", &sealed).as_deref(), Some(b"private".as_slice()));
        assert_eq!(kek.open("b", &sealed), None);
        assert_eq!(KeyEncryptionKey([8; 32]).open("a", &sealed), None);
        assert_eq!(kek.open("a", &sealed[1..]), None);
        assert_eq!(kek.open("a", ""), None);
    }

    #[test]
    fn a_tag_holds_for_the_very_parts_and_no_others() {
        let tags = Tags::new(&KeyEncryptionKey([7; 32]), "test");
        let tag = tags.tag(&["ab", "c"]);
        assert!(tags.check(&["ab", "c"], &tag));
        assert!(!tags.check(&["a", "bc"], &tag));
        assert!(!tags.check(&["ab"], &tag));
        assert!(!tags.check(&["ab", "c"], ""));
    }

    #[test]
    fn each_purpose_has_its_own_key() {
        let kek = KeyEncryptionKey([7; 32]);
        assert_eq!(kek.derive("a"), kek.derive("a"));
        assert_ne!(kek.derive("a"), kek.derive("b"));
    }
}
