//! Resource indicators (RFC 8707): the identifier of a resource server, and the folding under which two spellings are one.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

/// The identifier of a protected resource: an absolute http or https URL without fragment and userinfo.
///
/// Clients print one and the same URL differently (an origin with or without its slash, the default port, an upper-case
/// host). [`ResourceUri::same_as`] folds exactly these; tokens always carry the registered text.
#[derive(Clone, Debug)]
pub struct ResourceUri {
    text: String,
    folded: String,
}

/// The text is no resource indicator (RFC 8707 §2: absolute, no fragment).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a resource is an absolute http or https URL without fragment and user name")]
pub struct ResourceSyntax;

impl ResourceUri {
    /// Reads a resource indicator.
    pub fn parse(text: &str) -> Result<Self, ResourceSyntax> {
        // What the URL standard would silently drop or trim must not make two different texts equal.
        if text.len() > 2048 || text.bytes().any(|b| b <= 0x20 || b >= 0x7F || b == b'\\') {
            return Err(ResourceSyntax);
        }
        let url = Url::parse(text).map_err(|_| ResourceSyntax)?;
        let plain = matches!(url.scheme(), "http" | "https")
            && text.contains("://")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none();
        if !plain {
            return Err(ResourceSyntax);
        }
        let path = url.path().strip_suffix('/').unwrap_or(url.path());
        let query = url.query().map(|q| format!("?{q}")).unwrap_or_default();
        let folded = format!("{}{path}{query}", url.origin().ascii_serialization());
        Ok(Self { text: text.to_owned(), folded })
    }

    /// The identifier as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The form under which spellings are compared: lower-case scheme and host, no default port, no slash at the end.
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// True when both name the same resource.
    pub fn same_as(&self, other: &Self) -> bool {
        self.folded == other.folded
    }

    /// The origin: scheme, host and port without the default one.
    pub fn origin(&self) -> &str {
        let start = self.folded.find("://").map_or(0, |i| i + 3);
        let end = self.folded[start..].find(['/', '?']).map_or(self.folded.len(), |i| start + i);
        &self.folded[..end]
    }

    /// The path of the identifier as it was written, without a slash at its end: `""` for a bare origin.
    pub fn path(&self) -> &str {
        let rest = &self.folded[self.origin().len()..];
        &rest[..rest.find('?').unwrap_or(rest.len())]
    }

    /// The two addresses of the resource's metadata document (RFC 9728 §3.1): with the path inserted, and at the root.
    pub fn metadata_urls(&self) -> [String; 2] {
        let well_known = format!("{}/.well-known/oauth-protected-resource", self.origin());
        [format!("{well_known}{}", self.path()), well_known]
    }
}

impl fmt::Display for ResourceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for ResourceUri {
    /// Equality of the written text; use [`ResourceUri::same_as`] to fold spellings.
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for ResourceUri {}

impl Serialize for ResourceUri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for ResourceUri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> ResourceUri {
        ResourceUri::parse(text).unwrap()
    }

    #[test]
    fn the_spellings_of_real_clients_are_one_resource() {
        for other in ["HTTPS://MCP.test/a", "https://mcp.test:443/a", "https://mcp.test/a/"] {
            assert!(uri("https://mcp.test/a").same_as(&uri(other)), "{other}");
        }
        assert!(uri("http://localhost:9100").same_as(&uri("http://localhost:9100/")));
    }

    #[test]
    fn another_path_case_or_port_is_another_resource() {
        for other in
            ["https://mcp.test/A", "https://mcp.test/ab", "https://mcp.test:8443/a", "http://mcp.test/a"]
        {
            assert!(!uri("https://mcp.test/a").same_as(&uri(other)), "{other}");
        }
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        for bad in [
            "https://mcp.test/a#f",
            "mcp.test/a",
            "javascript:x",
            "https://u@mcp.test/a",
            "https:mcp.test",
            "",
            " https://mcp.test/a",
            "https://mcp.test/a\n",
            "https://mcp.test\\a",
            "urn:x:y",
        ] {
            assert_eq!(ResourceUri::parse(bad), Err(ResourceSyntax), "{bad:?}");
        }
    }

    #[test]
    fn metadata_lives_at_the_path_form_and_at_the_root() {
        assert_eq!(
            uri("http://localhost:9100/mcp").metadata_urls(),
            [
                "http://localhost:9100/.well-known/oauth-protected-resource/mcp",
                "http://localhost:9100/.well-known/oauth-protected-resource",
            ]
        );
    }
}
