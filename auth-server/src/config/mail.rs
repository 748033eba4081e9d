//! `mail`: nothing of it is needed; `mail.host` and `mail.from` switch it on.

use std::{net::IpAddr, time::Duration};

use doorward_shared::time::Seconds;

use super::{reader::Reader, sources::Source};
use crate::mail::{Password, Sender, Settings, Tls};

/// What means nothing without a host.
const WITHOUT_HOST: [&str; 5] =
    ["mail.port", "mail.user", "mail.password", "mail.password_file", "mail.from"];

/// `None`: there is no mail, or something is wrong with it, which the reader then knows.
pub(super) fn read(reader: &mut Reader) -> Option<Settings> {
    let words = [("starttls", Tls::StartTls), ("implicit", Tls::Implicit), ("none", Tls::None)];
    let tls = reader.choice("mail.tls", &words)?;
    let timeout = reader.duration("mail.timeout", Seconds::new(1)..=Seconds::minutes(5));
    let Some(host) = reader.optional("mail.host") else {
        if let Some(key) = WITHOUT_HOST.into_iter().find(|key| reader.is_given(key)) {
            reader.refuse(key, "it means nothing without mail.host; write the SMTP server's host name there");
        }
        return None;
    };
    if !is_host(&host) {
        reader.refuse(
            "mail.host",
            format_args!(
                "{host:?} is no host name; write for example mail.example.com, and the port in mail.port"
            ),
        );
    }
    if tls == Tls::None && !is_loopback(&host) {
        reader.refuse(
            "mail.tls",
            format_args!(
                "mails hold links that are as good as passwords, and {host} is another machine; write starttls or implicit"
            ),
        );
    }
    let port = port(reader, tls);
    let login = login(reader);
    let from = match reader.optional("mail.from").map(|text| Sender::parse(&text)) {
        Some(Ok(from)) => Some(from),
        Some(Err(problem)) => {
            reader.refuse("mail.from", problem);
            None
        }
        None => {
            reader.refuse("mail.from", "mail.host is set; write the address that mail comes from too");
            None
        }
    };
    let timeout = Duration::from_secs(timeout.get().unsigned_abs());
    Some(Settings { host, port, tls, login, from: from?, timeout })
}

fn is_host(text: &str) -> bool {
    let name = |text: &str| {
        text.len() <= 253
            && text.split('.').all(|label| {
                !label.is_empty()
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            })
    };
    text.parse::<IpAddr>().is_ok() || name(text)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn port(reader: &mut Reader, tls: Tls) -> u16 {
    if !reader.is_given("mail.port") {
        reader.replace("mail.port", tls.port().to_string(), Source::Default);
        return tls.port();
    }
    u16::try_from(reader.count("mail.port")).unwrap_or_else(|_| {
        reader.refuse("mail.port", "write a number from 1 to 65535");
        tls.port()
    })
}

fn login(reader: &mut Reader) -> Option<(String, Password)> {
    let file = reader.optional("mail.password_file");
    if file.is_some() && reader.is_given("mail.password") {
        let password = reader.source("mail.password");
        reader.refuse(
            "mail.password_file",
            format_args!("mail.password is set too ({password}); keep one of them"),
        );
    }
    let password = match &file {
        None => reader.optional("mail.password"),
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => {
                reader.refuse(
                    "mail.password_file",
                    format_args!("{path}: {error}; name a file that holds the password"),
                );
                None
            }
        },
    };
    match (reader.optional("mail.user"), password) {
        (Some(user), Some(password)) => return Some((user, Password(password))),
        (Some(_), None) if file.is_none() => {
            reader.refuse(
                "mail.user",
                "write mail.password_file or mail.password too, or leave all of them out",
            );
        }
        (None, Some(_)) => {
            let key = if file.is_some() { "mail.password_file" } else { "mail.password" };
            reader.refuse(key, "write mail.user too, or leave both out");
        }
        _ => {}
    }
    None
}

#[cfg(test)]
mod tests;
