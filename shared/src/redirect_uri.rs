//! Redirect URIs: what may be registered, and when a requested one is the registered one (RFC 6749 §3.1.2, RFC 8252,
//! RFC 9700 §2.1).
//!
//! Comparison is byte for byte. The only exception: a loopback redirect may change its port (RFC 8252 §7.3), because
//! native clients listen on whatever port is free. `localhost` is treated like the two address forms, since the clients
//! of the field register it, yet never swapped for one of them.

use std::{fmt, net::Ipv6Addr};

use serde::{Serialize, Serializer};
use url::{Host, Url};

/// Longest redirect URI that is registered, in bytes.
pub const MAX_LENGTH: usize = 2048;

/// A redirect URI that passed the registration rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RedirectUri(String);

/// Where a redirect ends, as a person can understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A program on the visitor's own computer.
    ThisComputer,
    /// A web site with this host (and port).
    Site(&'a str),
    /// An application on the device that claimed this scheme.
    App(&'a str),
}

/// Why a redirect URI is not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectUriError {
    /// Longer than [`MAX_LENGTH`].
    #[error("a redirect URI has at most {MAX_LENGTH} bytes")]
    TooLong,
    /// Not an absolute URI by RFC 3986, or read differently by the URL standard.
    #[error("a redirect URI is an absolute URI (RFC 3986) that every parser reads alike")]
    Syntax,
    /// Has a fragment.
    #[error("a redirect URI has no fragment")]
    Fragment,
    /// Has a user name.
    #[error("a redirect URI has no user name")]
    UserInfo,
    /// Has `*`, `{` or `}`.
    #[error("a redirect URI is exact: wildcards and templates are not supported")]
    Pattern,
    /// `http` to another machine.
    #[error("http is allowed for 127.0.0.1, [::1] and localhost only; use https")]
    PlainHttp,
    /// The scheme is neither https, loopback http nor an accepted private-use scheme.
    #[error(
        "the scheme is not accepted: use https, http on loopback, or a reversed domain name such as com.example.app"
    )]
    Scheme,
}

impl RedirectUri {
    /// Checks a URI for registration. `app_schemes` are private-use schemes without a dot that the operator accepts
    /// (RFC 8252 §7.1 wants reversed domain names; a few well-known editors use short ones).
    pub fn register(text: &str, app_schemes: &[String]) -> Result<Self, RedirectUriError> {
        if text.len() > MAX_LENGTH {
            return Err(RedirectUriError::TooLong);
        }
        if text.contains(['*', '{', '}']) {
            return Err(RedirectUriError::Pattern);
        }
        if text.contains('#') {
            return Err(RedirectUriError::Fragment);
        }
        if !text.bytes().all(is_uri_byte) || !percent_encoding_is_whole(text) {
            return Err(RedirectUriError::Syntax);
        }
        let (scheme, rest) = text.split_once(':').ok_or(RedirectUriError::Syntax)?;
        let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.');
        if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.bytes().all(lower) {
            return Err(RedirectUriError::Scheme);
        }
        match scheme {
            "https" | "http" => web(text, scheme, rest)?,
            _ if scheme.contains('.') || app_schemes.iter().any(|known| known == scheme) => {
                if rest.starts_with("//") && authority(rest).contains('@') {
                    return Err(RedirectUriError::UserInfo);
                }
                Url::parse(text).map_err(|_| RedirectUriError::Syntax)?;
            }
            _ => return Err(RedirectUriError::Scheme),
        }
        Ok(Self(text.to_owned()))
    }

    /// Takes a URI that passed [`RedirectUri::register`] before it was stored.
    pub fn from_registered(text: String) -> Self {
        Self(text)
    }

    /// True when a request for `requested` may be answered there.
    pub fn admits(&self, requested: &str) -> bool {
        if self.0 == requested {
            return true;
        }
        match (Loopback::of(&self.0), Loopback::of(requested)) {
            (Some(ours), Some(theirs)) => ours.host == theirs.host && ours.rest == theirs.rest,
            _ => false,
        }
    }

    /// The URI's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for RedirectUri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says where a URI that [`RedirectUri::admits`] let pass ends.
pub fn target(uri: &str) -> Target<'_> {
    if Loopback::of(uri).is_some() {
        return Target::ThisComputer;
    }
    match uri.split_once(':') {
        Some(("https" | "http", rest)) => Target::Site(authority(rest)),
        Some((scheme, _)) => Target::App(scheme),
        None => Target::App(uri),
    }
}

/// `http://(127.0.0.1|[::1]|localhost)[:port][/…]`, taken apart.
struct Loopback<'a> {
    host: &'a str,
    rest: &'a str,
}

impl<'a> Loopback<'a> {
    fn of(uri: &'a str) -> Option<Self> {
        let after = uri.strip_prefix("http://")?;
        let host = ["127.0.0.1", "[::1]", "localhost"].into_iter().find(|host| after.starts_with(host))?;
        let (host, after) = after.split_at(host.len());
        let rest = match after.strip_prefix(':') {
            None => after,
            Some(after) => {
                let digits = after.bytes().take_while(u8::is_ascii_digit).count();
                let (port, rest) = after.split_at(digits);
                let legal = !port.starts_with('0') && port.parse::<u16>().is_ok();
                if !legal {
                    return None;
                }
                rest
            }
        };
        let plain = rest.is_empty() || rest.starts_with('/');
        (plain && !rest.contains('#') && rest.bytes().all(is_uri_byte)).then_some(Self { host, rest })
    }
}

/// Two readings of one web address must agree: ours by RFC 3986, and the URL standard's, which browsers use.
fn web(text: &str, scheme: &str, rest: &str) -> Result<(), RedirectUriError> {
    if !rest.starts_with("//") {
        return Err(RedirectUriError::Syntax);
    }
    let authority = authority(rest);
    if authority.contains('@') {
        return Err(RedirectUriError::UserInfo);
    }
    let url = Url::parse(text).map_err(|_| RedirectUriError::Syntax)?;
    let (host, port) = split_port(authority).ok_or(RedirectUriError::Syntax)?;
    let host_agrees = match url.host() {
        Some(Host::Domain(name)) => name == host && !host.ends_with('.') && !host.contains('%'),
        Some(Host::Ipv4(ip)) => ip.to_string() == host,
        Some(Host::Ipv6(ip)) => host.trim_matches(['[', ']']).parse::<Ipv6Addr>() == Ok(ip),
        None => false,
    };
    let port_agrees = port.is_none_or(|port| url.port_or_known_default() == Some(port));
    if !host_agrees || !port_agrees || url.scheme() != scheme || !url.username().is_empty() {
        return Err(RedirectUriError::Syntax);
    }
    if scheme == "http" && Loopback::of(text).is_none() {
        return Err(RedirectUriError::PlainHttp);
    }
    Ok(())
}

fn authority(rest: &str) -> &str {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_address = authority.rfind(']').map_or(0, |i| i + 1);
    match authority[after_address..].find(':') {
        None => Some((authority, None)),
        Some(i) => {
            let (host, port) = authority.split_at(after_address + i);
            let port = &port[1..];
            let plain = !port.starts_with(['0', '+']);
            plain.then(|| port.parse().ok().map(|port| (host, Some(port)))).flatten()
        }
    }
}

/// Unreserved, reserved and `%` of RFC 3986, without `\`, quotes, space and control characters.
const fn is_uri_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b':'
                | b'/'
                | b'?'
                | b'#'
                | b'['
                | b']'
                | b'@'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b'%'
        )
}

fn percent_encoding_is_whole(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|after| after.len() >= 2 && after.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn registered(text: &str) -> RedirectUri {
        RedirectUri::register(text, &["cursor".to_owned()]).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn only_the_very_bytes_are_admitted() {
        let uri = registered("https://app.test/cb");
        assert!(uri.admits("https://app.test/cb"));
        for other in [
            "https://evil.test/cb",
            "https://app.test/CB",
            "https://app.test/cb/",
            "https://app.test//cb",
            "https://app.test/./cb",
            "https://app.test/x/../cb",
            "https://app.test/cb?x=1",
            "https://app.test/cb#f",
            "https://app.test@evil.test/cb",
            "https://app.test\\@evil.test/cb",
            "https:app.test/cb",
            "//app.test/cb",
            "/cb",
            "https://app.test:443/cb",
            "HTTPS://app.test/cb",
            "https://APP.test/cb",
            "https://app.test/%63b",
            " https://app.test/cb",
            "https://app.test/cb\n",
            "",
        ] {
            assert!(!uri.admits(other), "{other:?}");
        }
    }

    #[test]
    fn a_loopback_redirect_may_change_its_port_and_nothing_else() {
        let uri = registered("http://127.0.0.1/cb");
        for same in ["http://127.0.0.1/cb", "http://127.0.0.1:51004/cb", "http://127.0.0.1:65535/cb"] {
            assert!(uri.admits(same), "{same}");
        }
        for other in [
            "http://127.0.0.1:51004/other",
            "http://127.0.0.1:51004/cb?x=1",
            "http://localhost:51004/cb",
            "http://[::1]:51004/cb",
            "http://127.0.0.2:1/cb",
            "http://127.1/cb",
            "http://2130706433/cb",
            "http://0x7f.1/cb",
            "http://127.0.0.1:51004@evil.test/cb",
            "http://127.0.0.1.evil.test/cb",
            "https://127.0.0.1:51004/cb",
            "http://127.0.0.1:0/cb",
            "http://127.0.0.1:65536/cb",
            "http://127.0.0.1:-1/cb",
            "http://127.0.0.1:080/cb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:80:81/cb",
        ] {
            assert!(!uri.admits(other), "{other}");
        }
    }

    #[test]
    fn a_registered_port_is_as_free_as_none() {
        assert!(registered("http://localhost:8080/callback").admits("http://localhost:53123/callback"));
        assert!(registered("http://[::1]:1/cb").admits("http://[::1]:2/cb"));
        assert!(!registered("https://app.test:8443/cb").admits("https://app.test/cb"));
    }

    #[test]
    fn what_real_clients_register_is_accepted() {
        for text in [
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "https://www.cursor.com/agents/mcp/oauth/callback",
            "http://localhost:8787/callback",
            "http://127.0.0.1/",
            "http://127.0.0.1:33418/",
            "https://insiders.vscode.dev/redirect",
            "com.example.app:/cb",
            "https://app.test/cb?x=1",
            "https://[2001:db8::1]/cb",
        ] {
            registered(text);
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        use RedirectUriError as E;
        for (text, error) in [
            ("https://app.test/cb#f", E::Fragment),
            ("http://app.test/cb", E::PlainHttp),
            ("http://localhost.evil.test/cb", E::PlainHttp),
            ("http://127.0.0.2/cb", E::PlainHttp),
            ("javascript:alert(1)", E::Scheme),
            ("JaVaScRiPt:alert(1)", E::Scheme),
            ("java\tscript:alert(1)", E::Syntax),
            (" javascript:alert(1)", E::Syntax),
            ("data:text/html,x", E::Scheme),
            ("vbscript:x", E::Scheme),
            ("file:///etc/passwd", E::Scheme),
            ("about:blank", E::Scheme),
            ("intent:x", E::Scheme),
            ("myapp://cb", E::Scheme),
            ("https://app.test/*", E::Pattern),
            ("https://{x}.app.test/", E::Pattern),
            ("https://user:pw@app.test/cb", E::UserInfo),
            ("https://a@b@app.test/cb", E::UserInfo),
            ("https:/app.test/cb", E::Syntax),
            ("https://app.test\\.evil.test/cb", E::Syntax),
            ("https://APP.test/cb", E::Syntax),
            ("https://app.test./cb", E::Syntax),
            ("https://app%2etest/cb", E::Syntax),
            ("https://app.test/%zz", E::Syntax),
            ("https://app.test:99999/cb", E::Syntax),
            ("https://app.test:/cb", E::Syntax),
            ("https://127.1/cb", E::Syntax),
            ("https:///cb", E::Syntax),
            ("", E::Syntax),
        ] {
            assert_eq!(RedirectUri::register(text, &[]), Err(error), "{text:?}");
        }
        let long = format!("https://app.test/{}", "a".repeat(MAX_LENGTH));
        assert_eq!(RedirectUri::register(&long, &[]), Err(E::TooLong));
    }

    #[test]
    fn the_target_is_told_in_words() {
        assert_eq!(target("http://localhost:1/cb"), Target::ThisComputer);
        assert_eq!(target("https://app.test:8443/cb"), Target::Site("app.test:8443"));
        assert_eq!(target("cursor://x/cb"), Target::App("cursor"));
    }

    proptest! {
        #[test]
        fn no_other_text_is_admitted(text in "[ -~]{0,40}|https://app\\.test/cb.{1,9}|https?://.{0,30}") {
            prop_assume!(text != "https://app.test/cb");
            prop_assert!(!registered("https://app.test/cb").admits(&text));
        }

        #[test]
        fn both_parsers_agree_on_what_is_registered(text in "https?://[a-z0-9.:@\\[\\]%/?-]{0,30}") {
            if let Ok(uri) = RedirectUri::register(&text, &[]) {
                let url = Url::parse(uri.as_str()).unwrap();
                prop_assert!(url.username().is_empty());
                let Target::Site(shown) = target(uri.as_str()) else { return Ok(()) };
                prop_assert!(shown.starts_with(url.host_str().unwrap()));
            }
        }
    }
}
