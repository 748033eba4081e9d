//! Client identifiers (RFC 6749 §2.2).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A client identifier: 1 to 255 characters, printable ASCII (RFC 6749 appendix A.1), without space.
///
/// Identifiers that this server mints never begin with `https://`, so that an identifier which is the URL of a metadata
/// document can never be taken for one of ours.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(String);

/// The text is no client identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a client_id is 1 to 255 characters of printable ASCII without space")]
pub struct ClientIdSyntax;

impl ClientId {
    /// Reads an identifier.
    pub fn parse(text: &str) -> Result<Self, ClientIdSyntax> {
        let legal = !text.is_empty() && text.len() <= 255 && text.bytes().all(|b| matches!(b, 0x21..=0x7E));
        if legal { Ok(Self(text.to_owned())) } else { Err(ClientIdSyntax) }
    }

    /// The identifier's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ClientId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ClientId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_printable_ascii_is_an_identifier() {
        assert!(ClientId::parse("d685c6a7-5cb9-4612-ba2b-cab12e38d9e0").is_ok());
        for bad in ["", "a b", "a\n", "é", "\u{7f}", &"a".repeat(256)] {
            assert_eq!(ClientId::parse(bad), Err(ClientIdSyntax), "{bad:?}");
        }
    }
}
