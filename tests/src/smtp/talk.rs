//! One conversation with a mail server.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};

use super::{Mail, Shared, Speech};

/// One conversation.
pub(super) struct Talk<'a, S> {
    pub(super) stream: BufReader<S>,
    shared: &'a Shared,
    encrypted: bool,
    signed_in: bool,
    hello: String,
    from: String,
    to: Vec<String>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Talk<'a, S> {
    pub(super) fn new(stream: S, shared: &'a Shared, encrypted: bool) -> Self {
        Self {
            stream: BufReader::new(stream),
            shared,
            encrypted,
            signed_in: false,
            hello: String::new(),
            from: String::new(),
            to: Vec::new(),
        }
    }

    /// Says one line.
    pub(super) async fn say(&mut self, line: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).await?;
        self.stream.get_mut().flush().await
    }

    /// Until the client leaves, or asks for TLS: then `true`.
    pub(super) async fn listen(&mut self) -> io::Result<bool> {
        loop {
            let mut line = String::new();
            if (&mut self.stream).take(1000).read_line(&mut line).await? == 0 {
                return Ok(false);
            }
            let line = line.trim_end();
            let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => self.greet(rest).await?,
                "STARTTLS" if self.shared.manners.tls == Speech::StartTls && !self.encrypted => {
                    self.say("220 go on").await?;
                    return Ok(true);
                }
                "AUTH" => self.sign_in(rest).await?,
                "MAIL" | "RCPT" | "DATA" if self.shared.manners.login.is_some() && !self.signed_in => {
                    self.say("530 5.7.0 who are you?").await?;
                }
                "MAIL" => {
                    self.from = path(rest);
                    self.say("250 2.1.0 ok").await?;
                }
                "RCPT" => self.recipient(rest).await?,
                "DATA" => self.take().await?,
                "QUIT" => {
                    self.say("221 2.0.0 bye").await?;
                    return Ok(false);
                }
                _ => self.say("502 5.5.2 what?").await?,
            }
        }
    }

    async fn greet(&mut self, name: &str) -> io::Result<()> {
        name.clone_into(&mut self.hello);
        self.say("250-postbox.test").await?;
        if self.shared.manners.tls == Speech::StartTls && !self.encrypted {
            self.say("250-STARTTLS").await?;
        }
        if self.shared.manners.login.is_some() {
            self.say("250-AUTH PLAIN").await?;
        }
        self.say("250 8BITMIME").await
    }

    async fn sign_in(&mut self, rest: &str) -> io::Result<()> {
        let text =
            rest.strip_prefix("PLAIN ").and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
        let parts: Vec<_> = text.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let expected = self.shared.manners.login.as_ref();
        self.signed_in = matches!((&parts[..], expected), ([_, user, password], Some(login))
            if *user == login.0 && *password == login.1);
        self.say(if self.signed_in { "235 2.7.0 welcome" } else { "535 5.7.8 wrong name or password" }).await
    }

    async fn recipient(&mut self, rest: &str) -> io::Result<()> {
        let refusal = {
            let mut state = self.shared.state.lock().expect("nobody panicked with it");
            state.tries += 1;
            state.refusals.pop_front()
        };
        if let Some(refusal) = refusal {
            return self.say(&refusal).await;
        }
        self.to.push(path(rest));
        self.say("250 2.1.5 ok").await
    }

    async fn take(&mut self) -> io::Result<()> {
        self.say("354 go on").await?;
        let mut raw = String::new();
        loop {
            let mut line = String::new();
            if (&mut self.stream).take(10_000).read_line(&mut line).await? == 0 {
                return Ok(());
            }
            assert!(
                line.ends_with("\r\n") && line.len() <= 1000,
                "a line that no mail server takes: {line:?}"
            );
            if line == ".\r\n" {
                break;
            }
            raw.push_str(line.strip_prefix('.').unwrap_or(&line));
        }
        let mail = Mail {
            from: self.from.clone(),
            to: std::mem::take(&mut self.to),
            raw,
            encrypted: self.encrypted,
            hello: self.hello.clone(),
        };
        self.shared.state.lock().expect("nobody panicked with it").mails.push_back(mail);
        self.shared.arrived.notify_one();
        self.say("250 2.0.0 taken").await
    }
}

/// What is between the angle brackets.
fn path(text: &str) -> String {
    let inside = text.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or_else(|| text.to_owned(), |(path, _)| path.to_owned())
}
