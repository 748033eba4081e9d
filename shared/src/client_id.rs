//! Client identifiers (RFC 6749 §2.2), and those that are the URL of a document (draft-ietf-oauth-client-id-metadata-document).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::{Host, Url};

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

    /// The URL of the metadata document that the identifier is; `None` for an identifier that is no URL at all.
    pub fn document_url(&self) -> Option<Result<DocumentUrl, DocumentUrlError>> {
        let web =
            |scheme: &str| self.0.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        (web("https:") || web("http:")).then(|| DocumentUrl::parse(&self.0))
    }
}

/// The URL of a client ID metadata document ("Client Identifier" in the draft): https, a host, maybe a port, a path beyond the
/// root, maybe a query; no user name and no fragment; written as the URL standard prints it, so that everybody reads the same
/// host and path in it. On loopback it may be http; who accepts that is decided elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DocumentUrl(Url);

/// Why a URL is none of a client ID metadata document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentUrlError {
    /// No absolute URL.
    #[error("it is no absolute URL")]
    Syntax,
    /// http to another machine.
    #[error("it is not https")]
    PlainHttp,
    /// A user name or a fragment.
    #[error("it has a user name or a fragment")]
    Decorated,
    /// No path, or the root.
    #[error("it has no path")]
    NoPath,
    /// Written in another way than the URL standard prints it: dot segments, upper-case host, default port, an odd spelling of
    /// an address.
    #[error("it is not written in its normal form")]
    NotNormal,
}

impl DocumentUrl {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self, DocumentUrlError> {
        let url = Url::parse(text).map_err(|_| DocumentUrlError::Syntax)?;
        let read = Self(url);
        if read.0.scheme() != "https" && !(read.0.scheme() == "http" && read.is_loopback()) {
            return Err(DocumentUrlError::PlainHttp);
        }
        let url = &read.0;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(DocumentUrlError::Decorated);
        }
        if url.path() == "/" {
            return Err(DocumentUrlError::NoPath);
        }
        if url.as_str() != text || url.host_str().is_none_or(|host| host.ends_with('.')) {
            return Err(DocumentUrlError::NotNormal);
        }
        Ok(read)
    }

    /// Its text, byte for byte the identifier.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Its host, as it is written: a name in lower case, or an address.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Its host and, where it is not the usual one, its port: what a person is shown.
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// The address that it names instead of a name.
    pub fn address(&self) -> Option<std::net::IpAddr> {
        match self.0.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(ip) => Some(ip.into()),
            Host::Ipv6(ip) => Some(ip.into()),
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(443)
    }

    /// True when it names this machine: `localhost`, 127.0.0.1 or `[::1]`, as redirect URIs may.
    pub fn is_loopback(&self) -> bool {
        matches!(self.host(), "localhost" | "127.0.0.1" | "[::1]")
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

    fn url(text: &str) -> Option<Result<DocumentUrl, DocumentUrlError>> {
        ClientId::parse(text).unwrap().document_url()
    }

    #[test]
    fn an_identifier_that_is_no_url_is_not_read_as_one() {
        for text in ["dcr_0123", "d685c6a7-5cb9-4612-ba2b-cab12e38d9e0", "httpsx", "app.test/https:"] {
            assert_eq!(url(text), None, "{text}");
        }
    }

    #[test]
    fn the_documents_of_the_field_are_where_they_say() {
        for text in [
            "https://claude.ai/oauth/claude-code-client-metadata",
            "https://vscode.dev/oauth/client-metadata.json",
            "https://chatgpt.com/oauth/client.json",
            "https://app.test:8443/c.json?v=2",
            "http://localhost:8090/c.json",
            "http://[::1]:8090/c.json",
        ] {
            assert_eq!(url(text).unwrap().unwrap().as_str(), text);
        }
        let read = url("https://app.test:8443/c.json").unwrap().unwrap();
        assert_eq!((read.host(), read.authority(), read.port()), ("app.test", "app.test:8443", 8443));
    }

    // CM-01, CM-02, CM-03, CM-04, CM-08
    #[test]
    fn a_url_that_somebody_could_read_differently_is_none() {
        use DocumentUrlError::{Decorated, NoPath, NotNormal, PlainHttp, Syntax};
        for (text, why) in [
            ("http://app.test/c.json", PlainHttp),
            ("http://127.0.0.2/c.json", PlainHttp),
            ("https://app.test", NoPath),
            ("https://app.test/", NoPath),
            ("https://app.test/?c.json", NoPath),
            ("https://app.test/a/../c.json", NotNormal),
            ("https://app.test/./c.json", NotNormal),
            ("https://app.test/a/%2e%2e/c.json", NotNormal),
            ("https://app.test/%2E/c.json", NotNormal),
            ("https://u:p@app.test/c.json", Decorated),
            ("https://u@app.test/c.json", Decorated),
            ("https://app.test/c.json#x", Decorated),
            ("https://app.test/c.json#", Decorated),
            ("https://app.test\\c.json", NotNormal),
            ("https:app.test/c", NotNormal),
            ("https:///app.test/c", NotNormal),
            ("https://App.test/c.json", NotNormal),
            ("HTTPS://app.test/c.json", NotNormal),
            ("https://app.test:443/c.json", NotNormal),
            ("https://app.test./c.json", NotNormal),
            ("https://2130706433/c.json", NotNormal),
            ("https://0x7f000001/c.json", NotNormal),
            ("https://0177.0.0.1/c.json", NotNormal),
            ("https://127.1/c.json", NotNormal),
            ("https://127.0.0.1./c.json", NotNormal),
            ("https://", Syntax),
            ("https://[::1/c", Syntax),
        ] {
            assert_eq!(url(text), Some(Err(why)), "{text}");
        }
    }
}
