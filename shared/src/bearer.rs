//! Bearer credentials in a request, and the challenge in an answer (RFC 6750 §2.1, §3; RFC 9728 §5.1).

use std::{borrow::Cow, fmt};

use crate::{error::ErrorCode, scope::Scope};

/// Why an `Authorization` header is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BearerSyntax {
    /// There is more than one header. Whichever is picked, somebody else may have picked the other.
    #[error("more than one Authorization header")]
    Repeated,
    /// The scheme is Bearer, and what follows is not one space and one token.
    #[error("the Authorization header is not \"Bearer\", one space and a token")]
    Malformed,
}

impl BearerSyntax {
    /// The code for the answer: `invalid_request` (400) for a repeated header, `invalid_token` (401) for a malformed one,
    /// so that a client which sends `Bearer undefined ` signs in again instead of giving up.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Repeated => ErrorCode::InvalidRequest,
            Self::Malformed => ErrorCode::InvalidToken,
        }
    }
}

/// Reads the token from all `Authorization` headers of a request.
///
/// `None` when there is none, or one of another scheme. The scheme is read without regard to case (RFC 9110 §11.1), then
/// exactly one space and a `b64token` (RFC 6750 §2.1). Nothing else of a request is ever read for a token.
pub fn token<'a>(headers: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<&'a str>, BearerSyntax> {
    let mut headers = headers.into_iter();
    let Some(header) = headers.next() else { return Ok(None) };
    if headers.next().is_some() {
        return Err(BearerSyntax::Repeated);
    }
    let scheme_end = header.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(header.len());
    let (scheme, rest) = header.split_at(scheme_end);
    if !scheme.eq_ignore_ascii_case(b"Bearer") {
        return Ok(None);
    }
    let token = rest.strip_prefix(b" ").and_then(|rest| std::str::from_utf8(rest).ok());
    token.filter(|token| is_b64token(token)).map(Some).ok_or(BearerSyntax::Malformed)
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    !body.is_empty() && body.bytes().all(legal)
}

/// A `WWW-Authenticate: Bearer …` challenge. Printed with [`fmt::Display`] as one ASCII header value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// The code; absent when the request had no credentials (RFC 6750 §3.1).
    pub error: Option<Cow<'static, str>>,
    /// What to do next, for a developer.
    pub error_description: Option<Cow<'static, str>>,
    /// All scopes that the operation needs.
    pub scope: Option<Scope>,
    /// The address of the resource's metadata document (RFC 9728 §5.1).
    pub resource_metadata: Option<String>,
}

impl Challenge {
    /// A challenge without an error, for a request without credentials.
    pub fn new(resource_metadata: impl Into<String>) -> Self {
        Self { resource_metadata: Some(resource_metadata.into()), ..Self::default() }
    }

    /// The challenge with an error.
    #[must_use]
    pub fn with_error(mut self, code: ErrorCode, description: impl Into<Cow<'static, str>>) -> Self {
        self.error = Some(Cow::Borrowed(code.as_str()));
        self.error_description = Some(description.into());
        self
    }

    /// The challenge with the scopes that would do.
    #[must_use]
    pub fn with_scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Reads one challenge of the scheme Bearer. `None` for another scheme, and for what is not a list of parameters
    /// (RFC 9110 §11.2) that occur once each; unknown parameters are ignored.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, mut rest) = header.split_once(' ').unwrap_or((header, ""));
        if !scheme.eq_ignore_ascii_case("Bearer") {
            return None;
        }
        let mut challenge = Self::default();
        let mut seen = Vec::new();
        rest = rest.trim_matches([' ', '\t']);
        while !rest.is_empty() {
            let (name, value, tail) = parameter(rest)?;
            let name = name.to_ascii_lowercase();
            match name.as_str() {
                "error" => challenge.error = Some(Cow::Owned(value)),
                "error_description" => challenge.error_description = Some(Cow::Owned(value)),
                "scope" => challenge.scope = Some(Scope::parse(&value).ok()?),
                "resource_metadata" => challenge.resource_metadata = Some(value),
                _ => {}
            }
            if seen.contains(&name) {
                return None;
            }
            seen.push(name);
            rest = tail.trim_start_matches([' ', '\t']);
            if !rest.is_empty() {
                rest = rest.strip_prefix(',')?.trim_start_matches([' ', '\t', ',']);
            }
        }
        Some(challenge)
    }
}

/// Splits `name = token` or `name = quoted-string` off the front.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.split_once('=')?;
    let name = name.trim_end_matches([' ', '\t']);
    let rest = rest.trim_start_matches([' ', '\t']);
    if name.is_empty() || !name.bytes().all(is_tchar) {
        return None;
    }
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.bytes().position(|b| !is_tchar(b)).unwrap_or(rest.len());
        return (end > 0).then(|| (name, rest[..end].to_owned(), &rest[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((name, value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// RFC 9110 §5.6.2.
fn is_tchar(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = self.scope.as_ref().map(ToString::to_string);
        let parameters = [
            ("error", self.error.as_deref()),
            ("error_description", self.error_description.as_deref()),
            ("scope", scope.as_deref()),
            ("resource_metadata", self.resource_metadata.as_deref()),
        ];
        f.write_str("Bearer")?;
        let mut separator = " ";
        for (name, value) in parameters {
            let Some(value) = value else { continue };
            write!(f, "{separator}{name}=\"")?;
            for c in value.chars() {
                match c {
                    '"' | '\\' => write!(f, "\\{c}")?,
                    ' '..='~' => write!(f, "{c}")?,
                    // A header holds printable ASCII; a line break here would be a second header.
                    _ => f.write_str("?")?,
                }
            }
            f.write_str("\"")?;
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<'a>(headers: &[&'a str]) -> Result<Option<&'a str>, BearerSyntax> {
        token(headers.iter().map(|header| header.as_bytes()))
    }

    // JT-30, JT-31
    #[test]
    fn one_header_one_space_one_token_in_any_case_of_the_scheme() {
        for header in ["Bearer a.b-c_d~e+f/g==", "bearer a.b-c_d~e+f/g==", "BEARER a.b-c_d~e+f/g=="] {
            assert_eq!(read(&[header]), Ok(Some("a.b-c_d~e+f/g==")));
        }
        for header in [
            "Bearer",
            "Bearer ",
            "Bearer  t",
            "Bearer\tt",
            "Bearer t ",
            "Bearer t,t2",
            "Bearer t, Bearer u",
            "Bearer t u",
            "Bearer =",
            "Bearer a=b",
            "Bearer t\u{e9}",
            "Bearer:t",
            "Bearer \"t\"",
        ] {
            assert_eq!(read(&[header]), Err(BearerSyntax::Malformed), "{header:?}");
        }
        for header in ["", "Basic YTpi", "DPoP t", "Bearers t", " Bearer t", "t"] {
            assert_eq!(read(&[header]), Ok(None), "{header:?}");
        }
        assert_eq!(read(&[]), Ok(None));
    }

    // JT-31
    #[test]
    fn of_two_headers_none_is_picked() {
        for second in ["Bearer t", "Bearer u", "Basic YTpi", ""] {
            assert_eq!(read(&["Bearer t", second]), Err(BearerSyntax::Repeated));
            assert_eq!(read(&[second, "Bearer t"]), Err(BearerSyntax::Repeated));
        }
    }

    #[test]
    fn a_challenge_without_credentials_has_no_error() {
        assert_eq!(
            Challenge::new("https://mcp.test/x").to_string(),
            r#"Bearer resource_metadata="https://mcp.test/x""#
        );
        assert_eq!(Challenge::default().to_string(), "Bearer");
    }

    #[test]
    fn a_challenge_is_one_header_value_whatever_is_in_it() {
        let challenge = Challenge::new("https://mcp.test/x")
            .with_error(ErrorCode::InvalidToken, "a \"b\" \\ c\r\nX-Evil: 1 é")
            .with_scope(Scope::parse("b a").unwrap());
        assert_eq!(
            challenge.to_string(),
            concat!(
                r#"Bearer error="invalid_token", error_description="a \"b\" \\ c??X-Evil: 1 ?", scope="a b", "#,
                r#"resource_metadata="https://mcp.test/x""#
            )
        );
    }

    #[test]
    fn the_challenges_of_others_are_read() {
        let read = Challenge::parse(r#"bearer  realm="x" , Scope="a b",error=invalid_token ,x=1,"#).unwrap();
        assert_eq!(read.error.as_deref(), Some("invalid_token"));
        assert_eq!(read.scope, Some(Scope::parse("a b").unwrap()));
        assert_eq!(Challenge::parse("Bearer"), Some(Challenge::default()));
        for bad in [
            "Basic realm=\"x\"",
            "",
            "Bearer error",
            "Bearer error=\"a",
            "Bearer error=\"a\" scope=\"b\"",
            "Bearer error=\"a\", error=\"b\"",
            "Bearer =a",
            "Bearer error=",
            "Bearer \"error\"=a",
        ] {
            assert_eq!(Challenge::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_printable_and_reads_back(description in "[ -~]{0,40}", url in "[!-~]{0,40}") {
            let challenge = Challenge::new(url).with_error(ErrorCode::InvalidRequest, description);
            let printed = challenge.to_string();
            prop_assert!(printed.bytes().all(|b| matches!(b, b' '..=b'~')));
            prop_assert_eq!(Challenge::parse(&printed), Some(challenge));
        }

        #[test]
        fn no_bytes_panic(header in prop::collection::vec(any::<u8>(), 0..60), text in ".{0,60}") {
            let _ = token([header.as_slice()]);
            let _ = Challenge::parse(&text);
            let _ = Challenge::parse(&format!("Bearer {text}"));
        }
    }
}
