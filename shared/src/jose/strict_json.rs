//! JSON for hostile input: a member name that occurs twice is an error at every level, whatever way it is escaped
//! (RFC 7519 §4 lets a reader refuse it, and two readers that pick differently are an attack), and nesting is bounded.
//!
//! `serde_json` already refuses trailing bytes, a byte order mark, invalid UTF-8, lone surrogates and numbers out of range.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Deepest nesting of arrays and objects that is read. Claims and client metadata need four.
const MAX_DEPTH: usize = 24;

/// The bytes are not the JSON that was asked for. The text names the place, never the value.
#[derive(Debug, thiserror::Error)]
#[error("not acceptable JSON: {0}")]
pub struct StrictJsonError(#[from] serde_json::Error);

/// Reads `bytes` as `T`. The caller bounds the length.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StrictJsonError> {
    Ok(serde_json::from_value(value(bytes)?)?)
}

/// Reads `bytes` as one JSON object.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, StrictJsonError> {
    match value(bytes)? {
        Value::Object(members) => Ok(members),
        _ => Err(StrictJsonError(serde_json::Error::custom("expected an object"))),
    }
}

/// Reads `bytes` as any JSON value.
pub fn value(bytes: &[u8]) -> Result<Value, StrictJsonError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn inside<E: Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(inside)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(inside)?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a member occurs twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_member_that_occurs_twice_is_refused_at_every_level_and_in_every_spelling() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"[{"x":[{"a":null,"b":0,"a":null}]}]"#,
        ] {
            assert!(value(text.as_bytes()).is_err(), "{text}");
        }
        assert!(value(br#"{"a":{"a":{"a":1}},"A":1,"a\u0000":1}"#).is_ok());
    }

    #[test]
    fn what_is_not_exactly_one_value_of_utf_8_json_is_refused() {
        for bytes in [
            b"\xEF\xBB\xBF{}".as_slice(),
            b"{} x",
            b"{}{}",
            b"{\"a\":1,}",
            b"{'a':1}",
            b"\"\xFF\"",
            br#""\ud800""#,
            b"1e400",
            b"NaN",
            b"",
        ] {
            assert!(value(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(value(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(value(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(value("[".repeat(1_000_000).as_bytes()).is_err());
        assert!(value("{\"a\":".repeat(1000).as_bytes()).is_err());
    }

    #[test]
    fn an_object_is_asked_for_and_nothing_else_will_do() {
        assert!(object(b"{}").is_ok());
        for text in ["[]", "1", "null", "\"x\"", "true"] {
            assert!(object(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = value(&bytes);
        }

        #[test]
        fn whatever_is_read_is_what_serde_json_reads(text in r#"[\[\]{}:,"a-c0-9.eE\\ -]{0,40}"#) {
            if let Ok(read) = value(text.as_bytes()) {
                prop_assert_eq!(read, serde_json::from_str::<Value>(&text).unwrap());
            }
        }
    }
}
