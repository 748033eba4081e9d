//! Where the authorization server is reached, and which of the addresses that it names may be asked.

use doorward_shared::issuer::Issuer;
use url::{Host, Url};

/// The way to one issuer.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    issuer: Issuer,
    /// Where its origin is really reached, if the operator says so.
    instead: Option<Url>,
}

/// The text is no place where an issuer could be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address of the issuer must be scheme, host and port alone, such as http://doorward:9000")]
pub struct AddressSyntax;

impl Reach {
    pub(crate) fn new(issuer: Issuer, address: Option<&str>) -> Result<Self, AddressSyntax> {
        Ok(Self { issuer, instead: address.map(origin).transpose()? })
    }

    pub(crate) fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// True when no proxy of the environment leads there: the operator named the place, or it is this machine.
    pub(crate) fn is_near(&self) -> bool {
        self.instead.is_some() || self.issuer.is_loopback()
    }

    /// Where to ask for an address that the issuer's documents name. `None` where somebody on the way could change the
    /// answer: it is neither https, nor plain http on this machine for an issuer on this machine (RFC 8414 §2), nor at the
    /// place that the operator named.
    pub(crate) fn to(&self, address: &str) -> Option<Url> {
        let url = Url::parse(address).ok()?;
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        if let Some(instead) = &self.instead
            && url.origin().ascii_serialization() == self.issuer.origin()
        {
            let mut there = instead.clone();
            there.set_path(url.path());
            there.set_query(url.query());
            return Some(there);
        }
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        // Plain http on this machine is for an issuer on this machine; a remote one has no business here.
        let safe =
            url.scheme() == "https" || (url.scheme() == "http" && loopback && self.issuer.is_loopback());
        safe.then_some(url)
    }
}

fn origin(text: &str) -> Result<Url, AddressSyntax> {
    let url = Url::parse(text).map_err(|_| AddressSyntax)?;
    let plain = matches!(url.scheme(), "http" | "https")
        && text.contains("://")
        && url.has_host()
        && url.path() == "/"
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain { Ok(url) } else { Err(AddressSyntax) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(issuer: &str, instead: Option<&str>, address: &str) -> Option<String> {
        let reach = Reach::new(Issuer::parse(issuer).unwrap(), instead).unwrap();
        reach.to(address).map(String::from)
    }

    // JK-09
    #[test]
    fn an_address_is_https_or_on_this_machine_for_an_issuer_on_this_machine() {
        for (issuer, address) in [
            ("https://as.test", "https://keys.test/jwks"),
            ("https://as.test", "https://as.test/jwks"),
            ("http://localhost:9000", "http://localhost:9000/jwks"),
            ("http://localhost:9000", "http://127.0.0.1/jwks"),
            ("http://localhost:9000", "http://[::1]/jwks"),
            ("http://localhost:9000", "https://as.test/jwks"),
        ] {
            assert_eq!(to(issuer, None, address).as_deref(), Some(address));
        }
        for (issuer, address) in [
            ("https://as.test", "http://as.test/jwks"),
            ("https://as.test", "http://localhost/jwks"),
            ("https://as.test", "http://127.0.0.1/jwks"),
            ("http://localhost:9000", "http://192.0.2.1/jwks"),
            ("http://localhost:9000", "http://localhost.evil.test/jwks"),
            ("https://as.test", "file:///etc/passwd"),
            ("https://as.test", "/jwks"),
            ("https://as.test", ""),
            ("https://as.test", "https://as.test@evil.test/jwks"),
        ] {
            assert_eq!(to(issuer, None, address), None, "{issuer} {address}");
        }
    }

    #[test]
    fn what_is_at_the_issuer_is_asked_where_the_operator_says_and_nothing_else_is() {
        let inside = Some("http://doorward:9000");
        for issuer in ["https://as.test", "http://localhost:9000"] {
            let there = to(issuer, inside, &format!("{issuer}/a%2Fb?c=d"));
            assert_eq!(there.as_deref(), Some("http://doorward:9000/a%2Fb?c=d"), "{issuer}");
        }
        assert_eq!(
            to("https://as.test", inside, "https://keys.test/jwks").as_deref(),
            Some("https://keys.test/jwks")
        );
        for address in ["http://as.test/jwks", "http://keys.test/jwks", "http://doorward:9000/jwks"] {
            assert_eq!(to("https://as.test", inside, address), None, "{address}");
        }
    }

    #[test]
    fn the_place_is_an_origin_and_nothing_more() {
        let issuer = Issuer::parse("https://as.test").unwrap();
        for good in ["http://doorward:9000", "https://10.0.0.1/", "http://[fd00::1]:1"] {
            assert!(Reach::new(issuer.clone(), Some(good)).is_ok(), "{good}");
        }
        for bad in [
            "",
            "doorward:9000",
            "http:doorward",
            "ftp://doorward",
            "http://doorward/path",
            "http://u@doorward",
            "http://:p@doorward",
            "http://doorward?x",
            "http://doorward#x",
        ] {
            assert_eq!(Reach::new(issuer.clone(), Some(bad)).unwrap_err(), AddressSyntax, "{bad}");
        }
    }
}
