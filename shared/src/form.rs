//! `application/x-www-form-urlencoded` as OAuth reads it: no parameter twice (RFC 6749 §3.1, §3.2), an empty one counts as
//! left out, bad percent-encoding and control characters are errors instead of guesses.

use std::fmt;

/// Most pairs in one form; the largest real request has fifteen.
const MAX_PAIRS: usize = 100;

/// A form, in the order in which it was written.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

/// Why a text is no form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// `%` without two hexadecimal digits, or bytes that are no UTF-8.
    #[error("the parameters are not valid percent-encoded UTF-8")]
    Encoding,
    /// A name or value has a NUL.
    #[error("the parameters hold a control character")]
    Control,
    /// More than a hundred pairs.
    #[error("there are more than {MAX_PAIRS} parameters")]
    TooMany,
}

/// A parameter that may occur once occurs more often.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parameter {0} occurs more than once")]
pub struct Repeated(pub &'static str);

impl Form {
    /// Reads a query string or form body.
    pub fn parse(text: &str) -> Result<Self, FormError> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == MAX_PAIRS {
                return Err(FormError::TooMany);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self(pairs))
    }

    /// The value of `name`; `None` when it is absent or empty (RFC 6749 §3.1: treated as omitted).
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, Repeated> {
        let mut values = self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() {
            return Err(Repeated(name));
        }
        Ok(first.filter(|value| !value.is_empty()))
    }

    /// Every name with its value, in the order in which they were written.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// True when `name` occurs, even empty.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }

    /// Every value of `name`, empty ones left out.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, v)| n == name && !v.is_empty()).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Form {
    /// Names only: values are codes, passwords and tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Decodes one name or value: `+` is a space, `%xx` a byte, the bytes must be UTF-8.
pub fn decode(text: &str) -> Result<String, FormError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit =
                    || rest.next().and_then(|b| char::from(b).to_digit(16)).ok_or(FormError::Encoding);
                u8::try_from(digit()? * 16 + digit()?).map_err(|_| FormError::Encoding)?
            }
            other => other,
        });
    }
    if bytes.contains(&0) {
        return Err(FormError::Control);
    }
    String::from_utf8(bytes).map_err(|_| FormError::Encoding)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_repeated_parameter_is_an_error_and_an_empty_one_is_absent() {
        let form = Form::parse("a=1&b=&a=2&c=x").unwrap();
        assert_eq!(form.one("a"), Err(Repeated("a")));
        assert_eq!(form.one("b"), Ok(None));
        assert_eq!(form.one("c"), Ok(Some("x")));
        assert_eq!(form.all("a").collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn only_the_first_equals_sign_divides_and_a_semicolon_is_data() {
        let form = Form::parse("a=b=c;d=e").unwrap();
        assert_eq!(form.one("a"), Ok(Some("b=c;d=e")));
    }

    #[test]
    fn broken_encoding_is_an_error() {
        for (text, error) in [
            ("a=%zz", FormError::Encoding),
            ("a=%4", FormError::Encoding),
            ("a=%ff", FormError::Encoding),
            ("a=%+1", FormError::Encoding),
            ("a=%00", FormError::Control),
        ] {
            assert_eq!(Form::parse(text), Err(error), "{text}");
        }
        let many = vec!["a=1"; MAX_PAIRS + 1].join("&");
        assert_eq!(Form::parse(&many), Err(FormError::TooMany));
    }

    #[test]
    fn debug_never_shows_a_value() {
        assert_eq!(format!("{:?}", Form::parse("code=hidden").unwrap()), r#"["code"]"#);
    }

    proptest! {
        #[test]
        fn decoding_happens_exactly_once(value in "[^\0]*") {
            let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            let form = Form::parse(&format!("v={encoded}")).unwrap();
            prop_assert_eq!(form.all("v").next().unwrap_or_default(), value);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = Form::parse(&text);
        }
    }
}
