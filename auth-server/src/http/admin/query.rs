//! The parts of queries: whole numbers within bounds, and words of a vocabulary. Each says in its schema what it takes.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

use crate::domain::{
    admin_key::AdminPermission,
    audit::Action,
    grant::{Method, State},
    key_life::KeyLife,
};

/// A whole number within these bounds, in decimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Number<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Number<MIN, MAX> {
    pub(super) const fn get(self) -> i64 {
        self.0
    }
}

impl<const MIN: i64, const MAX: i64> TryFrom<String> for Number<MIN, MAX> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && (MIN..=MAX).contains(number));
        number
            .map(Self)
            .ok_or_else(|| format!("send a whole number from {MIN} to {MAX} where it says {text:?}"))
    }
}

impl<const MIN: i64, const MAX: i64> JsonSchema for Number<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

/// How many a page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct Limit(Number<1, 200>);

impl Limit {
    /// The number.
    pub(super) fn get(self) -> u32 {
        u32::try_from(self.0.get()).unwrap_or(1)
    }

    /// One more, to see whether another page follows.
    pub(super) fn and_one(self) -> u32 {
        self.get() + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(Number(50))
    }
}

/// Which page of a list.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OnePage {
    /// How many the page shows.
    #[serde(default)]
    pub(super) limit: Limit,
    /// `next_cursor` of the page before.
    #[schemars(length(min = 1))]
    pub(super) cursor: Option<String>,
}

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": 200, "default": 50})
    }
}

/// Yes or no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum Flag {
    True,
    #[default]
    False,
}

impl Flag {
    pub(super) fn is_yes(self) -> bool {
        self == Self::True
    }
}

/// A point in time: seconds since 1970-01-01T00:00:00Z, up to the year 9999.
pub(super) type Seconds = Number<0, 253_402_300_799>;

/// A closed set of words.
pub(super) trait Vocabulary: Sized {
    /// All of them.
    fn words() -> Vec<String>;
    /// Reads one.
    fn read(word: &str) -> Option<Self>;
}

macro_rules! vocabularies {
    ($($name:ty),*) => {$(
        impl Vocabulary for $name {
            fn words() -> Vec<String> {
                Self::ALL.iter().map(|word| word.as_str().to_owned()).collect()
            }

            fn read(word: &str) -> Option<Self> {
                Self::parse(word)
            }
        }
    )*};
}

vocabularies!(Action, Method, State, KeyLife);

impl Vocabulary for AdminPermission {
    fn words() -> Vec<String> {
        Self::all().iter().map(ToString::to_string).collect()
    }

    fn read(word: &str) -> Option<Self> {
        Self::parse(word)
    }
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<T>(pub(super) T);

impl<'de, T: Vocabulary> Deserialize<'de> for Word<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);

        impl<T: Vocabulary> serde::de::Visitor<'_> for Visitor<T> {
            type Value = Word<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "one of {}", T::words().join(", "))
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Word<T>, E> {
                T::read(word)
                    .map(Word)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(word), &self))
            }
        }

        deserializer.deserialize_str(Visitor(std::marker::PhantomData))
    }
}

impl<T: Vocabulary> JsonSchema for Word<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<_> = T::words().into_iter().map(Value::from).collect();
        json_schema!({"type": "string", "enum": words})
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_limit_is_a_whole_number_from_1_to_200() {
        let limit = |text: &str| serde_json::from_value::<Limit>(json!(text)).ok().map(Limit::get);
        assert_eq!((limit("1"), limit("200"), limit("007")), (Some(1), Some(200), Some(7)));
        for text in
            ["0", "-1", "201", "2147483648", "99999999999999999999", "NaN", "1e1", "+5", " 5", "5.0", ""]
        {
            assert_eq!(limit(text), None, "{text:?}");
        }
        assert_eq!((Limit::default().get(), Limit::default().and_one()), (50, 51));
    }

    #[test]
    fn a_word_outside_the_vocabulary_is_answered_with_the_vocabulary() {
        let read = |word: &str| serde_json::from_value::<Word<State>>(json!(word));
        assert_eq!(read("active").unwrap().0, State::Active);
        let error = read("alive").unwrap_err().to_string();
        assert!(error.contains("pending, active, expired, ended"), "{error}");
    }
}
