//! `scope` (RFC 6749 §3.3): a set of tokens, each of printable ASCII without space, quote or backslash.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest list of scope tokens that is read; more is an attempt to waste time, not a request.
const MAX_TOKENS: usize = 128;

/// One scope token: `1*( %x21 / %x23-5B / %x5D-7E )`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeToken(String);

/// A set of scope tokens. The order of the wire carries no meaning (RFC 6749 §3.3), repeats are folded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(BTreeSet<ScopeToken>);

/// The text is no scope by the grammar of RFC 6749 §3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("scope must be tokens of printable ASCII, separated by single spaces")]
pub struct ScopeSyntax;

impl ScopeToken {
    /// Reads one token.
    pub fn parse(text: &str) -> Result<Self, ScopeSyntax> {
        let legal = |b: u8| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        if text.is_empty() || !text.bytes().all(legal) {
            return Err(ScopeSyntax);
        }
        Ok(Self(text.to_owned()))
    }

    /// The token's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScopeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scope {
    /// Reads a `scope` parameter. The empty text is the empty scope: real clients send `scope=`.
    pub fn parse(text: &str) -> Result<Self, ScopeSyntax> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut tokens = BTreeSet::new();
        for (count, token) in text.split(' ').enumerate() {
            if count >= MAX_TOKENS {
                return Err(ScopeSyntax);
            }
            tokens.insert(ScopeToken::parse(token)?);
        }
        Ok(Self(tokens))
    }

    /// True when `token` is in the set.
    pub fn contains(&self, token: &str) -> bool {
        self.0.iter().any(|t| t.as_str() == token)
    }

    /// True when nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when every token of this scope is also in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// The tokens that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// The tokens that are in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// The tokens that are not in `other`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }

    /// The tokens in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &ScopeToken> {
        self.0.iter()
    }
}

impl FromIterator<ScopeToken> for Scope {
    fn from_iter<I: IntoIterator<Item = ScopeToken>>(tokens: I) -> Self {
        Self(tokens.into_iter().collect())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, token) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            f.write_str(token.as_str())?;
        }
        Ok(())
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn repeats_fold_and_order_does_not_matter() {
        assert_eq!(Scope::parse("b a b").unwrap(), Scope::parse("a b").unwrap());
        assert_eq!(Scope::parse("b a b").unwrap().to_string(), "a b");
    }

    #[test]
    fn the_empty_text_is_the_empty_scope() {
        assert!(Scope::parse("").unwrap().is_empty());
    }

    #[test]
    fn text_outside_the_grammar_is_refused() {
        for bad in ["a  b", " a", "a ", "a\tb", "a\"", "a\\b", "a\0", "a\u{7f}", "é"] {
            assert_eq!(Scope::parse(bad), Err(ScopeSyntax), "{bad:?}");
        }
    }

    #[test]
    fn an_endless_list_is_refused() {
        let text = (0..=MAX_TOKENS).map(|i| format!("s{i}")).collect::<Vec<_>>().join(" ");
        assert_eq!(Scope::parse(&text), Err(ScopeSyntax));
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(tokens in proptest::collection::vec("[!#-\\[\\]-~]{1,12}", 0..20)) {
            let scope = Scope::parse(&tokens.join(" ")).unwrap();
            prop_assert_eq!(Scope::parse(&scope.to_string()).unwrap(), scope);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = Scope::parse(&text);
        }
    }
}
