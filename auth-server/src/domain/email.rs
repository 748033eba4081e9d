//! E-mail addresses as account names: normalised once, then compared as text.

use std::fmt;

/// An e-mail address in lower case: one `@`, a local part of printable ASCII, a host name with letters, digits, dots and
/// hyphens. Narrower than RFC 5321 on purpose: what two programs could read as two addresses is no account name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

/// The text is no e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an e-mail address looks like name@example.com, in plain ASCII")]
pub struct EmailSyntax;

impl Email {
    /// Trims and lower-cases, then checks.
    pub fn parse(text: &str) -> Result<Self, EmailSyntax> {
        let text = text.trim().to_ascii_lowercase();
        let (local, host) = text.split_once('@').ok_or(EmailSyntax)?;
        let local_byte = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~.-".contains(&b);
        let host_byte = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let local_ok = (1..=64).contains(&local.len())
            && local.bytes().all(local_byte)
            && local.split('.').all(|atom| !atom.is_empty());
        let host_ok = host.len() <= 253
            && host.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label.bytes().all(host_byte)
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            });
        if local_ok && host_ok { Ok(Self(text)) } else { Err(EmailSyntax) }
    }

    /// The normalised address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is behind the `@`.
    pub fn host(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, host)| host)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_one_account() {
        let alice = Email::parse("alice@example.test").unwrap();
        assert_eq!(Email::parse("  Alice@EXAMPLE.test ").unwrap(), alice);
        assert_ne!(Email::parse("alice+x@example.test").unwrap(), alice);
    }

    #[test]
    fn an_address_that_could_be_read_in_two_ways_is_none() {
        for bad in [
            "",
            "alice",
            "alice@",
            "@x.test",
            "a@b@x.test",
            "victim\u{ff20}x.test",
            "a@x.test.",
            "a@.x.test",
            "a b@x.test",
            "a@x..test",
            "a\0@x.test",
            "é@x.test",
            "a@-x.test",
            "<a@x.test>",
            "a@x.test,b@x.test",
        ] {
            assert_eq!(Email::parse(bad), Err(EmailSyntax), "{bad:?}");
        }
    }
}
