//! Opaque credentials: random, typed by kind, with a checksum in the text, and kept only as a hash.
//!
//! The text is `<prefix><43 characters base64url of 32 random bytes><6 characters of checksum>`; keys that people handle are
//! letters and digits only, so that a double click takes them whole. Secret scanners know the prefix; the checksum lets a
//! truncated or mistyped credential fail before any database is asked.

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
    /// How what follows the prefix is written.
    const FORM: Form = Form::Base64Url;
}

/// How a secret is written after its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// 32 random bytes and a checksum, both in base64url.
    Base64Url,
    /// So many random letters and digits, each worth 5.95 bits, and a checksum in letters and digits.
    Alphanumeric(usize),
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $words:literal $(, $form:expr)?;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl Kind for $name {
            const PREFIX: &'static str = $prefix;
            const NAME: &'static str = $words;
            $(const FORM: Form = $form;)?
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
    /// What a client that registered itself shows to change or remove its registration (RFC 7592 §3).
    RegistrationToken = "dwm_", "registration access token";
    /// The cookie of a signed-in browser.
    SessionCookie = "dwi_", "session cookie";
    /// The cookie that ties a pending authorization request to the browser that began it.
    BrowserCookie = "dwb_", "browser cookie";
    /// The cookie that says "somebody signed in to this account from this browser before".
    DeviceCookie = "dwd_", "device cookie";
    /// The one-time link that makes the first administrator.
    SetupLink = "dwl_", "setup link";
    /// A one-time link with which somebody chooses a password: an invitation, or a reset.
    AccountLink = "dwo_", "one-time link";
    /// A key of a program that uses the admin API.
    AdminKey = "dwa_", "admin key";
    /// A key of a person for some of their permissions, with 256 random bits.
    ScopedKey = "sta_", "API key", Form::Alphanumeric(43);
    /// A key of a person for everything that they may do: 32 letters and digits, of which 26 (155 bits) are random.
    FullKey = "ak_live_", "API key", Form::Alphanumeric(26);
    /// The `state` of a sign-in that was begun at an upstream provider.
    UpstreamState = "dwu_", "upstream state";
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

const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// `length` random characters of `[A-Za-z0-9]`, each equally likely.
pub fn alphanumeric(entropy: &dyn Entropy, length: usize) -> String {
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 32];
    while text.len() < length {
        entropy.fill(&mut bytes);
        // Of 64 values 62 are used; the two others are drawn again, so that none is favoured.
        let drawn = bytes.iter().filter_map(|byte| ALPHANUMERIC.get(usize::from(byte & 0x3F)));
        text.extend(drawn.take(length - text.len()).map(|&byte| char::from(byte)));
    }
    text
}

impl Form {
    fn random(self, entropy: &dyn Entropy) -> String {
        match self {
            Self::Base64Url => {
                let mut bytes = [0_u8; 32];
                entropy.fill(&mut bytes);
                URL_SAFE_NO_PAD.encode(bytes)
            }
            Self::Alphanumeric(length) => alphanumeric(entropy, length),
        }
    }

    fn checksum(self, text: &str) -> String {
        let mut sum = crc32fast::hash(text.as_bytes());
        match self {
            Self::Base64Url => URL_SAFE_NO_PAD.encode(sum.to_be_bytes()),
            Self::Alphanumeric(_) => {
                // 62^6 is more than 2^32, so six digits hold it.
                let digit = |_| {
                    let digit = sum % 62;
                    sum /= 62;
                    char::from(ALPHANUMERIC[digit as usize])
                };
                (0..CHECKSUM_CHARS).map(digit).collect()
            }
        }
    }

    /// True when `body`, without its prefix, is written in this form.
    fn fits(self, body: &str) -> bool {
        match self {
            Self::Base64Url => body.len() == RANDOM_CHARS + CHECKSUM_CHARS && body.is_ascii(),
            Self::Alphanumeric(length) => {
                body.len() == length + CHECKSUM_CHARS && body.bytes().all(|byte| byte.is_ascii_alphanumeric())
            }
        }
    }
}

impl<K: Kind> Secret<K> {
    /// A new secret of 256 random bits, unless its kind says otherwise.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut text = format!("{}{}", K::PREFIX, K::FORM.random(entropy));
        text.push_str(&K::FORM.checksum(&text));
        Self { text, kind: PhantomData }
    }

    /// Reads a secret that somebody presented: right prefix, right length, right checksum. Says nothing about whether it
    /// was ever issued.
    pub fn parse(text: &str) -> Option<Self> {
        if !K::FORM.fits(text.strip_prefix(K::PREFIX)?) {
            return None;
        }
        let (signed, sum) = text.split_at(text.len() - CHECKSUM_CHARS);
        (K::FORM.checksum(signed) == sum).then(|| Self { text: text.to_owned(), kind: PhantomData })
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

    fn refuses_every_other_text<K: Kind>() {
        let secret = Secret::<K>::generate(&SystemEntropy);
        let text = secret.expose();
        for cut in 0..text.len() {
            assert!(Secret::<K>::parse(&text[..cut]).is_none());
        }
        for padded in [format!("{text}="), format!(" {text}"), format!("{text}A"), text.to_uppercase()] {
            assert!(Secret::<K>::parse(&padded).is_none());
        }
        for at in 0..text.len() {
            for other in [b'A', b'b', b'-'] {
                let mut bytes = text.as_bytes().to_vec();
                if bytes[at] == other {
                    continue;
                }
                bytes[at] = other;
                let changed = String::from_utf8(bytes).unwrap();
                assert!(Secret::<K>::parse(&changed).is_none(), "{at}");
            }
        }
    }

    #[test]
    fn a_cut_padded_or_changed_text_is_no_secret() {
        refuses_every_other_text::<AuthorizationCode>();
        refuses_every_other_text::<ScopedKey>();
        refuses_every_other_text::<FullKey>();
    }

    #[test]
    fn keys_that_people_handle_are_letters_and_digits() {
        let full = Secret::<FullKey>::generate(&SystemEntropy);
        let (prefix, body) = full.expose().split_at("ak_live_".len());
        assert_eq!((prefix, body.len()), ("ak_live_", 32));
        assert!(body.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let scoped = Secret::<ScopedKey>::generate(&SystemEntropy);
        let body = scoped.expose().strip_prefix("sta_").unwrap();
        assert!(body.len() == 49 && body.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(Secret::<ScopedKey>::parse(scoped.expose()).unwrap().hash(), scoped.hash());
        assert!(Secret::<FullKey>::parse(scoped.expose()).is_none());
    }

    #[test]
    fn random_characters_are_of_the_alphabet_and_none_is_left_out() {
        let text = alphanumeric(&SystemEntropy, 10_000);
        assert_eq!(text.len(), 10_000);
        assert!(ALPHANUMERIC.iter().all(|&byte| text.as_bytes().contains(&byte)));
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }

    #[test]
    fn debug_shows_the_kind_and_nothing_else() {
        let secret = Secret::<ClientSecret>::generate(&SystemEntropy);
        assert_eq!(format!("{secret:?} {:?}", secret.hash()), "<client secret> <hash of client secret>");
    }
}
