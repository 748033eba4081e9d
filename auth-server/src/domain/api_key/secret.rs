//! The text of a key: what its person gets once, what the store keeps, and what is shown ever after.

use std::fmt;

use doorward_shared::secret::{Entropy, FullKey, Kind, ScopedKey, Secret};

use super::Powers;

/// The text of a key in the clear.
#[derive(Debug)]
pub enum ApiKeySecret {
    /// Of one for some permissions.
    Scoped(Secret<ScopedKey>),
    /// Of one for everything.
    Full(Secret<FullKey>),
}

/// SHA-256 of a key's text: what the store keeps and looks up.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyHash(String);

/// How much of the random part is shown to its person.
const SHOWN: usize = 4;

impl ApiKeySecret {
    /// A new one.
    pub fn generate(powers: &Powers, entropy: &dyn Entropy) -> Self {
        match powers {
            Powers::Scoped(_) => Self::Scoped(Secret::generate(entropy)),
            Powers::Full => Self::Full(Secret::generate(entropy)),
        }
    }

    /// Reads a text that somebody presented: right prefix, right length, right checksum. No store is asked.
    pub fn parse(text: &str) -> Option<Self> {
        let full = || Secret::parse(text).map(Self::Full);
        Secret::parse(text).map(Self::Scoped).or_else(full)
    }

    /// The text in the clear, to be handed to its owner once.
    pub fn expose(&self) -> &str {
        match self {
            Self::Scoped(secret) => secret.expose(),
            Self::Full(secret) => secret.expose(),
        }
    }

    /// The hash under which the store knows it.
    pub fn hash(&self) -> ApiKeyHash {
        ApiKeyHash(match self {
            Self::Scoped(secret) => secret.hash().to_text(),
            Self::Full(secret) => secret.hash().to_text(),
        })
    }

    /// How it begins.
    pub fn prefix(&self) -> String {
        let prefix = match self {
            Self::Scoped(_) => ScopedKey::PREFIX,
            Self::Full(_) => FullKey::PREFIX,
        };
        self.expose().chars().take(prefix.len() + SHOWN).collect()
    }
}

/// True for a text that claims to be an API key, whether it is one or not.
pub fn is_api_key(text: &str) -> bool {
    text.starts_with(ScopedKey::PREFIX) || text.starts_with(FullKey::PREFIX)
}

impl ApiKeyHash {
    /// The form of the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the form of the store.
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for ApiKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hash of API key>")
    }
}
