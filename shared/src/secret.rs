//! Opaque credentials: random, typed by kind, with a checksum in the text, and kept only as a hash.
//!
//! The text is `<prefix><43 characters base64url of 32 random bytes><6 characters of checksum>`. Secret scanners know the
//! prefix; the checksum lets a truncated or mistyped credential fail before any database is asked.

use std::{fmt, marker::PhantomData};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Where random bytes come from: the operating system in production, a seeded source in tests.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`. A source that cannot must not return.
    fn fill(&self, bytes: &mut [u8]);
}

/// The random source of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        use rand::TryRng;
        if rand::rngs::SysRng.try_fill_bytes(bytes).is_err() {
            // Going on with guessable credentials would be worse than stopping.
            std::process::abort();
        }
    }
}

/// What a secret is for. One type per use, so that one kind cannot be passed for another.
pub trait Kind {
    /// What the text begins with.
    const PREFIX: &'static str;
    /// The kind in words, for `Debug`.
    const NAME: &'static str;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $words:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl Kind for $name {
            const PREFIX: &'static str = $prefix;
            const NAME: &'static str = $words;
        }
    )*};
}

kinds! {
    /// An authorization code (RFC 6749 §4.1.2).
    AuthorizationCode = "dwc_", "authorization code";
    /// A refresh token (RFC 6749 §1.5).
    RefreshToken = "dwr_", "refresh token";
    /// The secret of a confidential client (RFC 6749 §2.3.1), or of a resource server.
    ClientSecret = "dws_", "client secret";
    /// The cookie of a signed-in browser.
    SessionCookie = "dwi_", "session cookie";
    /// The cookie that ties a pending authorization request to the browser that began it.
    BrowserCookie = "dwb_", "browser cookie";
    /// The cookie that says "somebody signed in to this account from this browser before".
    DeviceCookie = "dwd_", "device cookie";
    /// The one-time link that makes the first administrator.
    SetupLink = "dwl_", "setup link";
    /// A key of a program that uses the admin API.
    AdminKey = "dwa_", "admin key";
}

/// An opaque credential in the clear. It has no `Display` and no `Serialize`; [`Secret::expose`] is easy to search for.
pub struct Secret<K> {
    text: String,
    kind: PhantomData<fn() -> K>,
}

/// SHA-256 of a secret's text: what the store keeps and looks up. Enough for 256 random bits.
pub struct SecretHash<K> {
    digest: [u8; 32],
    kind: PhantomData<fn() -> K>,
}

const RANDOM_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;

impl<K: Kind> Secret<K> {
    /// A new secret of 256 random bits.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0_u8; 32];
        entropy.fill(&mut bytes);
        let mut text = format!("{}{}", K::PREFIX, URL_SAFE_NO_PAD.encode(bytes));
        text.push_str(&checksum(&text));
        Self { text, kind: PhantomData }
    }

    /// Reads a secret that somebody presented: right prefix, right length, right checksum. Says nothing about whether it
    /// was ever issued.
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix(K::PREFIX)?;
        if body.len() != RANDOM_CHARS + CHECKSUM_CHARS || !body.is_ascii() {
            return None;
        }
        let (signed, sum) = text.split_at(text.len() - CHECKSUM_CHARS);
        (checksum(signed) == sum).then(|| Self { text: text.to_owned(), kind: PhantomData })
    }

    /// The text in the clear, to be handed to its owner once.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The hash under which the store knows it.
    pub fn hash(&self) -> SecretHash<K> {
        SecretHash { digest: Sha256::digest(self.text.as_bytes()).into(), kind: PhantomData }
    }
}

impl<K> SecretHash<K> {
    /// The hash as base64url text, the form of the store.
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.digest)
    }

    /// Reads the form of the store.
    pub fn from_text(text: &str) -> Option<Self> {
        let digest = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        Some(Self { digest, kind: PhantomData })
    }
}

fn checksum(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(crc32fast::hash(text.as_bytes()).to_be_bytes())
}

impl<K: Kind> fmt::Debug for Secret<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", K::NAME)
    }
}

impl<K> Clone for SecretHash<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for SecretHash<K> {}

impl<K> PartialEq for SecretHash<K> {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        self.digest.ct_eq(&other.digest).into()
    }
}

impl<K> Eq for SecretHash<K> {}

impl<K: Kind> fmt::Debug for SecretHash<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<hash of {}>", K::NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_generated_reads_back_and_hashes_alike() {
        let secret = Secret::<RefreshToken>::generate(&SystemEntropy);
        let again = Secret::<RefreshToken>::parse(secret.expose()).unwrap();
        assert_eq!(secret.hash(), again.hash());
        assert_eq!(SecretHash::from_text(&secret.hash().to_text()), Some(secret.hash()));
    }

    #[test]
    fn one_kind_is_never_read_as_another() {
        let secret = Secret::<RefreshToken>::generate(&SystemEntropy);
        assert!(Secret::<AuthorizationCode>::parse(secret.expose()).is_none());
    }

    #[test]
    fn a_cut_padded_or_changed_text_is_no_secret() {
        let secret = Secret::<AuthorizationCode>::generate(&SystemEntropy);
        let text = secret.expose();
        for cut in 0..text.len() {
            assert!(Secret::<AuthorizationCode>::parse(&text[..cut]).is_none());
        }
        for padded in [format!("{text}="), format!(" {text}"), format!("{text}A"), text.to_uppercase()] {
            assert!(Secret::<AuthorizationCode>::parse(&padded).is_none());
        }
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(Secret::<AuthorizationCode>::parse(&changed).is_none(), "{at}");
        }
    }

    #[test]
    fn debug_shows_the_kind_and_nothing_else() {
        let secret = Secret::<ClientSecret>::generate(&SystemEntropy);
        assert_eq!(format!("{secret:?} {:?}", secret.hash()), "<client secret> <hash of client secret>");
    }
}
