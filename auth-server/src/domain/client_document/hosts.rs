//! Lists of hosts that an operator writes.

/// A host (`app.test`), or every host below one (`*.app.test`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// The host in lower case, without the star.
    host: String,
    /// Whether it is meant for the hosts below.
    below: bool,
}

impl HostPattern {
    /// Reads a host or `*.` and a host. The error says what to write.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (host, below) = text.strip_prefix("*.").map_or((text, false), |host| (host, true));
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '[' | ']' | ':' | '_');
        if host.is_empty() || !host.chars().all(letters) || host.starts_with('.') || host.ends_with('.') {
            return Err(
                "write a host such as app.example.com, or *.example.com for every host below it; no https:// and no port",
            );
        }
        if host.contains(':') && !host.starts_with('[') {
            return Err("write the host without a port");
        }
        Ok(Self { host: host.to_ascii_lowercase(), below })
    }

    /// True for a host that is meant. `host` is in lower case.
    pub fn admits(&self, host: &str) -> bool {
        if self.below {
            host.strip_suffix(self.host.as_str()).is_some_and(|start| start.len() > 1 && start.ends_with('.'))
        } else {
            host == self.host
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_what_is_below_and_never_for_a_part_of_a_name() {
        let exact = HostPattern::parse("App.test").unwrap();
        let below = HostPattern::parse("*.app.test").unwrap();
        assert!(exact.admits("app.test") && !exact.admits("a.app.test") && !exact.admits("xapp.test"));
        assert!(below.admits("a.app.test") && below.admits("a.b.app.test"));
        assert!(!below.admits("app.test") && !below.admits("xapp.test") && !below.admits(".app.test"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "https://app.test",
            "app.test/",
            "app.test:443",
            "a.*.test",
            ".app.test",
            "app.test.",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
