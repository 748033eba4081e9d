//! Mail, where an operator has set it up: letters are taken in at once, and carried to one SMTP server in the background. A
//! server without it hands out links instead.

mod outbox;
mod smtp;

use std::{fmt, time::Duration};

pub use self::{
    outbox::{Mail, ROOM},
    smtp::MailError,
};
use crate::domain::email::Email;

/// How to reach the SMTP server, and who writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its host name; certificates have to name it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// The name and the password to sign in with there.
    pub login: Option<(String, Password)>,
    /// Who writes.
    pub from: Sender,
    /// How long one try may take, from the connection to the last answer.
    pub timeout: Duration,
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// It begins in the clear and nothing is said before TLS has begun (RFC 3207); without TLS nothing is sent.
    StartTls,
    /// TLS from the first byte (RFC 8314 §3.3).
    Implicit,
    /// Not at all: for this machine only.
    None,
}

impl Tls {
    /// The port that such servers have by custom.
    pub const fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Implicit => 465,
            Self::None => 25,
        }
    }
}

/// A password in the clear; it does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<password>")
    }
}

/// Who writes: an address, and perhaps a name in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// What mail programs show.
    pub name: Option<String>,
    /// Where answers go.
    pub email: Email,
}

impl Sender {
    /// Reads `doorward@example.com` or `Doorward <doorward@example.com>`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WRITE: &str =
            "write an address such as doorward@example.com, or Doorward <doorward@example.com>";
        let (name, address) = match text.strip_suffix('>').and_then(|text| text.split_once('<')) {
            Some((name, address)) => (name.trim(), address),
            None => ("", text),
        };
        if name.chars().any(char::is_control) || name.chars().count() > 100 {
            return Err(WRITE);
        }
        let email = Email::parse(address).map_err(|_| WRITE)?;
        Ok(Self { name: Some(name.to_owned()).filter(|name| !name.is_empty()), email })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        let parsed = |text| Sender::parse(text).map(|sender| (sender.name, sender.email.to_string()));
        assert_eq!(parsed("a@b.test"), Ok((None, "a@b.test".to_owned())));
        assert_eq!(
            parsed("Front, Door <a@b.test>"),
            Ok((Some("Front, Door".to_owned()), "a@b.test".to_owned()))
        );
        for bad in [
            "",
            "Doorward",
            "<a@b.test",
            "a@b.test>",
            "X\r\nBcc: c@d.test <a@b.test>",
            "A <b@c.test> <a@b.test>",
        ] {
            assert!(parsed(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn settings_print_no_password() {
        let settings = Settings {
            host: "mail.test".to_owned(),
            port: 587,
            tls: Tls::StartTls,
            login: Some(("doorward".to_owned(), Password("hunter2".to_owned()))),
            from: Sender::parse("a@b.test").unwrap(),
            timeout: Duration::from_secs(1),
        };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
