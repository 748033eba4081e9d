//! The issuer identifier and the well-known addresses that follow from it (RFC 8414 §2, §3; OpenID Connect Discovery §4).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::{Host, Url};

/// An issuer: `https` (or `http` on any host, for a development machine; the server decides which hosts it allows), a
/// host, maybe a port and a path, no query, no fragment, no userinfo, **no trailing slash**. Kept and compared as the
/// very text that was configured: metadata, `iss` and tokens carry it byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Issuer {
    text: String,
    origin: String,
    path: String,
    loopback: bool,
}

/// Why a text is no issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// Not an absolute URL with scheme http or https and a host.
    #[error("an issuer is an absolute http or https URL")]
    NotAUrl,
    /// Has userinfo, a query or a fragment.
    #[error("an issuer has no user name, no query and no fragment")]
    Decorated,
    /// Ends with a slash.
    #[error("an issuer is written without a slash at its end")]
    TrailingSlash,
    /// Another spelling of the same URL would be printed by URL libraries.
    #[error("an issuer is written in its normal form: lower-case host, no default port, no dot segments")]
    NotNormal,
}

impl Issuer {
    /// Reads an issuer.
    pub fn parse(text: &str) -> Result<Self, IssuerError> {
        let url = Url::parse(text).map_err(|_| IssuerError::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(IssuerError::NotAUrl);
        }
        let decorated = !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some();
        if decorated {
            return Err(IssuerError::Decorated);
        }
        if text.ends_with('/') {
            return Err(IssuerError::TrailingSlash);
        }
        let path = if url.path() == "/" { "" } else { url.path() };
        let origin = url.origin().ascii_serialization();
        if format!("{origin}{path}") != text {
            return Err(IssuerError::NotNormal);
        }
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        Ok(Self { text: text.to_owned(), origin, path: path.to_owned(), loopback })
    }

    /// The identifier, byte for byte.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port, as a browser's `Origin` header prints it.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The path, empty or beginning with `/`, never ending with it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// True for `https`.
    pub fn is_https(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// True when the host is this machine itself: `localhost`, 127.0.0.0/8 or `::1`.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// The address of `path` (which begins with `/`) at this issuer.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// Where RFC 8414 and OpenID Connect Discovery documents are looked for, in the order in which MCP clients try.
    pub fn metadata_urls(&self) -> Vec<String> {
        let Self { text, origin, path, .. } = self;
        let mut urls = vec![
            format!("{origin}/.well-known/oauth-authorization-server{path}"),
            format!("{origin}/.well-known/openid-configuration{path}"),
        ];
        if !path.is_empty() {
            urls.push(format!("{text}/.well-known/openid-configuration"));
        }
        urls
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Issuer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Issuer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_kept_byte_for_byte() {
        for text in ["https://as.test", "http://localhost:9000", "https://as.test/t1", "http://[::1]:9000"] {
            assert_eq!(Issuer::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_text_that_two_readers_could_print_differently_is_refused() {
        assert_eq!(Issuer::parse("https://as.test/"), Err(IssuerError::TrailingSlash));
        for (text, why) in [
            ("https://AS.test", IssuerError::NotNormal),
            ("https://as.test:443", IssuerError::NotNormal),
            ("https://as.test/a/../b", IssuerError::NotNormal),
            ("https://u@as.test", IssuerError::Decorated),
            ("https://as.test?x", IssuerError::Decorated),
            ("https://as.test#x", IssuerError::Decorated),
            ("ftp://as.test", IssuerError::NotAUrl),
            ("as.test", IssuerError::NotAUrl),
        ] {
            assert_eq!(Issuer::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn an_issuer_with_a_path_has_three_well_known_addresses() {
        assert_eq!(
            Issuer::parse("https://as.test/t1").unwrap().metadata_urls(),
            [
                "https://as.test/.well-known/oauth-authorization-server/t1",
                "https://as.test/.well-known/openid-configuration/t1",
                "https://as.test/t1/.well-known/openid-configuration",
            ]
        );
    }

    #[test]
    fn only_this_machine_is_loopback() {
        assert!(Issuer::parse("http://127.0.0.9:1").unwrap().is_loopback());
        assert!(!Issuer::parse("http://localhost.evil.test").unwrap().is_loopback());
    }
}
