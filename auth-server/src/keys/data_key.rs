//! The data key: seals what is secret in the database, and is the root of keys for single purposes.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf, hmac,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_shared::secret::Entropy;
use zeroize::Zeroizing;

use super::{KeyEncryptionKey, KeyError};

/// The key that encrypts private keys at rest. It is in the database, sealed with the key-encryption key.
pub struct DataKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<data key>")
    }
}

/// What the sealed data key is, for its associated data.
const CONTEXT: &str = "facts/data_key";

impl DataKey {
    /// A new one.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut key = Zeroizing::new([0_u8; 32]);
        entropy.fill(key.as_mut_slice());
        Self(key)
    }

    /// The form of the store.
    pub fn sealed_with(&self, kek: &KeyEncryptionKey, entropy: &dyn Entropy) -> Result<String, KeyError> {
        seal(&kek.0, CONTEXT, self.0.as_slice(), entropy)
    }

    /// Reads the form of the store.
    pub fn open_with(kek: &KeyEncryptionKey, sealed: &str) -> Result<Self, KeyError> {
        let bytes = open(&kek.0, CONTEXT, sealed).ok_or(KeyError::Sealed)?;
        let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeyError::Sealed)?;
        Ok(Self(Zeroizing::new(bytes)))
    }

    /// Encrypts `plain`; `context` says what it is (table, row, purpose) and must be the same when it is opened.
    pub fn seal(&self, context: &str, plain: &[u8], entropy: &dyn Entropy) -> Result<String, KeyError> {
        seal(&self.0, context, plain, entropy)
    }

    /// Decrypts. `None`: sealed with another key, for another place, or changed since.
    pub fn open(&self, context: &str, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        open(&self.0, context, sealed)
    }

    /// A key for one purpose (HKDF-SHA-256), the same in every process that has this key.
    pub fn derive(&self, purpose: &'static str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0_u8; 32]);
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, b"doorward").extract(self.0.as_slice());
        let filled = secret
            .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|material| material.fill(key.as_mut_slice()));
        // The length is the hash's own, which HKDF can always fill; a zero key must never be used.
        if filled.is_err() {
            std::process::abort();
        }
        key
    }
}

pub(super) fn seal(
    key: &[u8; 32],
    context: &str,
    plain: &[u8],
    entropy: &dyn Entropy,
) -> Result<String, KeyError> {
    let mut nonce = [0_u8; NONCE_LEN];
    entropy.fill(&mut nonce);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).map_err(|_| KeyError::Encrypt)?);
    // Room for the tag, so that the plain text is encrypted where it lies and no copy of it is left behind.
    let mut text = Zeroizing::new(Vec::with_capacity(plain.len() + AES_256_GCM.tag_len()));
    text.extend_from_slice(plain);
    let unique = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(unique, Aad::from(context), &mut *text).map_err(|_| KeyError::Encrypt)?;
    Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &text].concat()))
}

pub(super) fn open(key: &[u8; 32], context: &str, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let mut text = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = key.open_in_place(nonce, Aad::from(context), &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

/// Keyed tags: values that only this server could have made, checked without a database.
pub struct Tags(hmac::Key);

impl Tags {
    /// Tags for one purpose.
    pub fn new(root: &DataKey, purpose: &'static str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, root.derive(purpose).as_slice()))
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

#[cfg(test)]
mod tests {
    use doorward_shared::secret::SystemEntropy;

    use super::*;

    fn key(byte: u8) -> DataKey {
        DataKey(Zeroizing::new([byte; 32]))
    }

    #[test]
    fn what_is_sealed_opens_only_with_the_same_key_and_context() {
        let sealed = key(7).seal("a", b"private", &SystemEntropy).unwrap();
        assert_eq!(key(7).open("a", &sealed).as_deref().map(Vec::as_slice), Some(b"private".as_slice()));
        assert_eq!(key(7).open("b", &sealed), None);
        assert_eq!(key(8).open("a", &sealed), None);
        assert_eq!(key(7).open("a", &sealed[1..]), None);
        assert_eq!(key(7).open("a", ""), None);
        let mut bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        bytes[20] ^= 1;
        assert_eq!(key(7).open("a", &URL_SAFE_NO_PAD.encode(bytes)), None);
    }

    #[test]
    fn the_data_key_opens_with_the_key_encryption_key_that_sealed_it_last() {
        let (old, new) =
            (KeyEncryptionKey(Zeroizing::new([1; 32])), KeyEncryptionKey(Zeroizing::new([2; 32])));
        let sealed = key(7).sealed_with(&old, &SystemEntropy).unwrap();
        let data_key = DataKey::open_with(&old, &sealed).unwrap();
        assert_eq!(*data_key.0, [7; 32]);
        let again = data_key.sealed_with(&new, &SystemEntropy).unwrap();
        assert!(matches!(DataKey::open_with(&old, &again), Err(KeyError::Sealed)));
        assert_eq!(*DataKey::open_with(&new, &again).unwrap().0, [7; 32]);
    }

    #[test]
    fn a_tag_holds_for_the_very_parts_and_no_others() {
        let tags = Tags::new(&key(7), "test");
        let tag = tags.tag(&["ab", "c"]);
        assert!(tags.check(&["ab", "c"], &tag));
        assert!(!tags.check(&["a", "bc"], &tag));
        assert!(!tags.check(&["ab"], &tag));
        assert!(!tags.check(&["ab", "c"], ""));
    }

    #[test]
    fn each_purpose_has_its_own_key() {
        assert_eq!(key(7).derive("a"), key(7).derive("a"));
        assert_ne!(key(7).derive("a"), key(7).derive("b"));
    }
}
