//! Ids and secrets of this server. An id is made or parsed, never assumed; randomness comes from `Entropy` alone.

use std::fmt;

use doorward_shared::secret::{Entropy, Kind, alphanumeric};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $length:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(String);

        impl $name {
            /// A new one.
            pub fn generate(entropy: &dyn Entropy) -> Self {
                Self(format!("{}{}", $prefix, alphanumeric(entropy, $length)))
            }

            /// Reads one; says nothing about whether it exists.
            pub fn parse(text: &str) -> Option<Self> {
                let body = text.strip_prefix($prefix)?;
                let legal = body.len() == $length && body.bytes().all(|byte| byte.is_ascii_alphanumeric());
                legal.then(|| Self(text.to_owned()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// Names an artifact.
    ArtifactId = "art_", 16;
    /// Names one request, in answers and in the log.
    RequestId = "req_", 20;
}

/// The name of a public link. It is also its secret: the address is all that is needed to open it, so the store keeps
/// its hash only and nothing prints it.
pub struct LinkId(String);

impl LinkId {
    const PREFIX: &'static str = "lnk_";
    const LENGTH: usize = 20;

    /// A new one, of 119 random bits.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(format!("{}{}", Self::PREFIX, alphanumeric(entropy, Self::LENGTH)))
    }

    /// Reads one that somebody presented.
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix(Self::PREFIX)?;
        let legal = body.len() == Self::LENGTH && body.bytes().all(|byte| byte.is_ascii_alphanumeric());
        legal.then(|| Self(text.to_owned()))
    }

    /// The text in the clear, to be handed to its owner once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<link>")
    }
}

/// The address of one upload.
#[derive(Clone, Copy, Debug)]
pub struct UploadToken;

impl Kind for UploadToken {
    const PREFIX: &'static str = "dwu_";
    const NAME: &'static str = "upload address";
}

/// The address of one download.
#[derive(Clone, Copy, Debug)]
pub struct DownloadToken;

impl Kind for DownloadToken {
    const PREFIX: &'static str = "dwg_";
    const NAME: &'static str = "download address";
}

/// Names a session. The caller chooses it: a letter or digit, then up to 127 of `[A-Za-z0-9._-]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// The form as a pattern, for the schemas of the tools.
    pub const PATTERN: &'static str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";

    /// Reads one.
    pub fn parse(text: &str) -> Option<Self> {
        let first = text.bytes().next()?.is_ascii_alphanumeric();
        let rest = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        (first && rest && text.len() <= 128).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names a file of bytes. Lower-case hexadecimal, so that it is one name on every file system.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlobId(String);

impl BlobId {
    /// A new one.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0_u8; 16];
        entropy.fill(&mut bytes);
        Self(hex(&bytes))
    }

    /// Reads one, from the database or from a directory.
    pub fn parse(text: &str) -> Option<Self> {
        let legal = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        legal.then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use doorward_shared::secret::SystemEntropy;

    use super::*;

    #[test]
    fn generated_ids_have_their_form_and_differ() {
        let ids: HashSet<_> = (0..200).map(|_| ArtifactId::generate(&SystemEntropy)).collect();
        assert_eq!(ids.len(), 200);
        assert!(ids.iter().all(|id| ArtifactId::parse(id.as_str()).as_ref() == Some(id)));
        let link = LinkId::generate(&SystemEntropy);
        assert_eq!(link.expose().len(), 24);
        assert!(LinkId::parse(link.expose()).is_some());
        assert_eq!(format!("{link:?}"), "<link>");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for bad in [
            "",
            "art_",
            "art_0123456789abcde",
            "art_0123456789abcdefg",
            "art_0123456789abcde/",
            "lnk_0123456789abcdef",
        ] {
            assert_eq!(ArtifactId::parse(bad), None, "{bad:?}");
        }
        for bad in ["", ".a", "-a", "a/b", "../etc", "a b", "a\0", &"a".repeat(129)] {
            assert_eq!(SessionId::parse(bad), None, "{bad:?}");
        }
        assert!(SessionId::parse(&"a".repeat(128)).is_some());
        for bad in ["..", "0123456789abcdef0123456789abcde/", "0123456789ABCDEF0123456789ABCDEF"] {
            assert_eq!(BlobId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn hexadecimal_is_lower_case_and_complete() {
        assert_eq!(hex(&[0x00, 0x0F, 0xA5, 0xFF]), "000fa5ff");
    }
}
