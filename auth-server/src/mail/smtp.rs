//! One try to hand one letter to the SMTP server (RFC 5321), over a connection of its own.

use std::{
    error::Error as _,
    io,
    time::{Duration, SystemTime},
};

use doorward_shared::issuer::Issuer;
use lettre::{
    Address, Message,
    message::{
        Mailbox,
        header::{ContentType, Header, HeaderName, HeaderValue, MIME_VERSION_1_0},
    },
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, TlsParameters},
        extension::ClientId,
    },
};
use url::{Host, Url};

use super::{Settings, Tls};
use crate::domain::{email::Email, letter::Letter};

/// How long a server that took a letter may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why the SMTP server did not take a letter.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct MailError {
    /// For the operator who is trying it out. What the server said is in it, and that may name the person.
    text: String,
    /// For the log: nothing that the server said but its code.
    brief: String,
    last: bool,
}

impl MailError {
    /// The same without anything that could name the person.
    pub fn brief(&self) -> &str {
        &self.brief
    }

    /// True when trying again would change nothing.
    pub(super) const fn is_final(&self) -> bool {
        self.last
    }

    fn new(text: String) -> Self {
        Self { brief: text.clone(), text, last: false }
    }

    fn refused(what: &str, error: &Error, remedy: &str) -> Self {
        let code = error.status().map(|code| format!(" ({code})")).unwrap_or_default();
        Self {
            text: format!("{what}{code}: {}{remedy}", root(error)),
            brief: format!("{what}{code}"),
            last: error.is_permanent(),
        }
    }
}

/// What is the same for all letters.
pub(super) struct Line {
    settings: Settings,
    hello: ClientId,
    tls: Option<TlsParameters>,
}

/// A letter as the SMTP server gets it, at every try the same.
pub(super) struct Sealed(Message);

/// RFC 3834 §5: no machine answers this mail.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Line {
    pub(super) fn new(settings: Settings, issuer: &Issuer) -> Result<Self, MailError> {
        let tls = match settings.tls {
            Tls::None => None,
            Tls::StartTls | Tls::Implicit => {
                Some(TlsParameters::new(settings.host.clone()).map_err(|error| {
                    let root = root(&error);
                    MailError::new(format!(
                        "mail.host: no TLS can be spoken with it: {root}; write the server's host name"
                    ))
                })?)
            }
        };
        let hello =
            match Url::parse(issuer.as_str()).ok().and_then(|url| url.host().map(|host| host.to_owned())) {
                Some(Host::Domain(name)) => ClientId::Domain(name),
                Some(Host::Ipv4(address)) => ClientId::Ipv4(address),
                Some(Host::Ipv6(address)) => ClientId::Ipv6(address),
                None => ClientId::default(),
            };
        Ok(Self { settings, hello, tls })
    }

    /// Puts a letter into its envelope. The identifier is what mail programs know it by; servers drop a second one with the
    /// same.
    pub(super) fn seal(&self, letter: Letter, id: &str) -> Result<Sealed, MailError> {
        let Letter { to, subject, text, at, .. } = letter;
        let from = &self.settings.from;
        let seconds = u64::try_from(at.seconds()).unwrap_or_default();
        let host = from.email.host();
        let message = Message::builder()
            .from(Mailbox::new(from.name.clone(), address(&from.email)?))
            .to(Mailbox::new(None, address(&to)?))
            .subject(subject)
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .message_id(Some(format!("<{id}@{host}>")))
            .header(AutoSubmitted)
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(text);
        message.map(Sealed).map_err(|error| MailError::new(format!("the mail could not be written: {error}")))
    }

    /// One try.
    pub(super) async fn deliver(&self, letter: &Sealed) -> Result<(), MailError> {
        let limit = self.settings.timeout;
        let Ok(taken) = tokio::time::timeout(limit, self.hand_over(letter)).await else {
            let (place, seconds) = (self.place(), limit.as_secs());
            return Err(MailError::new(format!(
                "{place} did not take the mail within {seconds} seconds; look at mail.host and mail.port, whether a \
                 firewall is between, and whether the port begins with TLS (mail.tls)"
            )));
        };
        // It is taken, however the server says goodbye.
        let _ended = tokio::time::timeout(GOODBYE, taken?.abort()).await;
        Ok(())
    }

    async fn hand_over(&self, Sealed(message): &Sealed) -> Result<AsyncSmtpConnection, MailError> {
        let Settings { host, port, tls, login, .. } = &self.settings;
        let implicit = self.tls.clone().filter(|_| *tls == Tls::Implicit);
        let connected =
            AsyncSmtpConnection::connect_tokio1((host.as_str(), *port), None, &self.hello, implicit, None);
        let mut connection = connected.await.map_err(|error| self.unconnected(&error))?;
        if let (Tls::StartTls, Some(tls)) = (tls, &self.tls) {
            if !connection.can_starttls() {
                connection.abort().await;
                return Err(MailError::new(format!(
                    "{} offers no STARTTLS, and without TLS nothing is sent; write mail.tls = \"implicit\" and its port, or \
                     ask its operator",
                    self.place()
                )));
            }
            connection.starttls(tls.clone(), &self.hello).await.map_err(|error| self.untrusted(&error))?;
        }
        if let Some((user, password)) = login {
            let credentials = Credentials::new(user.clone(), password.0.clone());
            let signed_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
            if let Err(error) = signed_in {
                connection.abort().await;
                return Err(self.not_signed_in(&error));
            }
        }
        let taken = connection.send(message.envelope(), &message.formatted()).await;
        taken.map_err(|error| {
            let remedy = if login.is_none() { "; servers that ask who is there want mail.user" } else { "" };
            MailError::refused("the mail server refused the mail", &error, remedy)
        })?;
        Ok(connection)
    }

    fn place(&self) -> String {
        format!("{}:{}", self.settings.host, self.settings.port)
    }

    fn unconnected(&self, error: &Error) -> MailError {
        let (place, root) = (self.place(), root(error));
        let kind = io_kind(error);
        let handshake = matches!(kind, Some(io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof));
        match self.settings.tls {
            Tls::Implicit if handshake => self.untrusted(error),
            _ if kind.is_some() => MailError::new(format!(
                "{place} cannot be reached: {root}; look at mail.host and mail.port, and whether a firewall is between"
            )),
            _ => MailError::refused(
                &format!("{place} does not greet as a mail server"),
                error,
                "; look at mail.port and mail.tls",
            ),
        }
    }

    fn untrusted(&self, error: &Error) -> MailError {
        let (place, root) = (self.place(), root(error));
        MailError::new(format!(
            "no TLS with {place}: {root}; its certificate has to name mail.host and to come from an authority that this \
             machine trusts, and mail.tls has to be what the port speaks"
        ))
    }

    fn not_signed_in(&self, error: &Error) -> MailError {
        if error.is_client() {
            return MailError::new(format!(
                "{} offers no sign-in with a password here; leave mail.user out, or write its port for submission",
                self.place()
            ));
        }
        MailError::refused(
            "the mail server did not accept user and password",
            error,
            "; look at mail.user and mail.password",
        )
    }
}

fn address(email: &Email) -> Result<Address, MailError> {
    email.as_str().parse().map_err(|_| MailError {
        text: format!("{email} is no address that mail can be sent to; write another one"),
        brief: "the address is none that mail can be sent to".to_owned(),
        last: true,
    })
}

/// What is at the bottom of an error, on one line, and nothing that could steer a terminal.
fn root(error: &Error) -> String {
    let mut root: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string().split(char::is_control).collect::<Vec<_>>().join(" ")
}

fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    let mut next = error.source();
    while let Some(source) = next {
        if let Some(error) = source.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        next = source.source();
    }
    None
}
