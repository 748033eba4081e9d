//! Counts the values of a message before any of them takes memory.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Why a message is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    NoJson,
    TooMany,
}

/// Reads `json` and keeps nothing of it; at most `most` values and names of members may be in it.
pub(super) fn count(json: &[u8], most: usize) -> Result<(), Wrong> {
    let left = Cell::new(Some(most));
    let mut reader = serde_json::Deserializer::from_slice(json);
    let read = Counter(&left).deserialize(&mut reader).and_then(|()| reader.end());
    match (read, left.get()) {
        (_, None) => Err(Wrong::TooMany),
        (Err(_), _) => Err(Wrong::NoJson),
        (Ok(()), _) => Ok(()),
    }
}

/// Counts down; `None` when there were too many.
#[derive(Clone, Copy)]
struct Counter<'a>(&'a Cell<Option<usize>>);

impl Counter<'_> {
    fn one<E: Error>(self) -> Result<(), E> {
        self.0.set(self.0.get().and_then(|left| left.checked_sub(1)));
        self.0.get().map(|_| ()).ok_or_else(|| E::custom("too many values"))
    }
}

impl<'de> DeserializeSeed<'de> for Counter<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        self.one()?;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counter<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_key::<IgnoredAny>()?.is_some() {
            self.one()?;
            members.next_value_seed(self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_and_every_name_counts() {
        for (json, nodes) in [("7", 1), ("[]", 1), ("[1,[2],\"x\"]", 5), (r#"{"a":null,"a":{"b":1.5}}"#, 7)] {
            assert_eq!(count(json.as_bytes(), nodes), Ok(()), "{json}");
            assert_eq!(count(json.as_bytes(), nodes - 1), Err(Wrong::TooMany), "{json}");
        }
    }

    #[test]
    fn what_is_no_json_is_told_apart() {
        for text in ["", "{", "[1 2]", "{} {}", "\u{FEFF}{}", "[1,]"] {
            assert_eq!(count(text.as_bytes(), 100), Err(Wrong::NoJson), "{text:?}");
        }
    }
}
