//! What is written to people: plain text, nothing to load, and a secret only where the letter is about one.

use std::fmt;

use chrono::DateTime;
use doorward_shared::{
    issuer::Issuer,
    time::{Seconds, Timestamp},
};

use super::{
    email::Email,
    link::{Link, Purpose},
};

/// A letter to one person. It may hold a secret, and does not print itself.
pub struct Letter {
    /// To whom.
    pub to: Email,
    /// What kind it is, for the log.
    pub kind: Kind,
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub text: String,
    /// When it was written.
    pub at: Timestamp,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Letter({})", self.kind.as_str())
    }
}

/// The kinds of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A link with which somebody chooses another password.
    Reset,
    /// A link of which an account comes.
    Invitation,
    /// Something happened to the account.
    Notice,
    /// An operator tries whether mail arrives.
    Trial,
}

impl Kind {
    /// The word in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Invitation => "invitation",
            Self::Notice => "notice",
            Self::Trial => "trial",
        }
    }
}

/// What happened to an account that its person should know of, in case it was not them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Another password was chosen by whoever was signed in.
    PasswordChanged,
    /// Another password was chosen with a one-time link.
    PasswordReset,
    /// There is one more passkey.
    PasskeyAdded,
    /// There is one passkey less.
    PasskeyRemoved,
    /// A second factor was set up.
    SecondFactorSet,
    /// The second factor was taken away.
    SecondFactorRemoved,
    /// A recovery code was used in place of the app.
    RecoveryCodeUsed,
}

impl Notice {
    /// Every notice.
    pub const ALL: [Self; 7] = [
        Self::PasswordChanged,
        Self::PasswordReset,
        Self::PasskeyAdded,
        Self::PasskeyRemoved,
        Self::SecondFactorSet,
        Self::SecondFactorRemoved,
        Self::RecoveryCodeUsed,
    ];

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::PasswordChanged => {
                ("Your password was changed", "The password was changed; all other sessions ended.")
            }
            Self::PasswordReset => (
                "Your password was reset",
                "Another password was chosen with a one-time link; all sessions ended.",
            ),
            Self::PasskeyAdded => {
                ("A passkey was added", "A passkey was added, with which one can sign in from now on.")
            }
            Self::PasskeyRemoved => {
                ("A passkey was removed", "A passkey was removed; nobody signs in with it any more.")
            }
            Self::SecondFactorSet => (
                "Two-step sign-in is on",
                "A second factor was set up: signing in by password asks for a code now.",
            ),
            Self::SecondFactorRemoved => (
                "Two-step sign-in is off",
                "The second factor was taken away: the password alone signs in now.",
            ),
            Self::RecoveryCodeUsed => (
                "A recovery code was used",
                "Somebody signed in with the password and one of the recovery codes.",
            ),
        }
    }
}

/// How often a letter is tried, and how long to wait after that many tries: `None` when it is given up, after half an hour.
pub fn pause(tries: u32) -> Option<Seconds> {
    const PAUSES: [Seconds; 5] =
        [Seconds::new(2), Seconds::new(15), Seconds::minutes(1), Seconds::minutes(5), Seconds::minutes(20)];
    PAUSES.get(usize::try_from(tries).ok()?.checked_sub(1)?).copied()
}

/// The host of the issuer, as people know the server.
fn host(issuer: &Issuer) -> &str {
    issuer.as_str().split_once("://").map_or(issuer.as_str(), |(_, host)| host)
}

/// `2026-11-21 20:45 UTC`.
fn moment(at: Timestamp) -> String {
    DateTime::from_timestamp(at.seconds(), 0).unwrap_or_default().format("%Y-%m-%d %H:%M UTC").to_string()
}

impl Letter {
    /// The letter with a one-time link, whose address is `url`.
    pub fn link(issuer: &Issuer, link: &Link, url: &str) -> Self {
        let (host, email, until) = (host(issuer), &link.email, moment(link.expires_at));
        let (kind, subject, first, last) = match link.purpose {
            Purpose::Invitation { .. } => (
                Kind::Invitation,
                format!("You are invited to {host}"),
                format!(
                    "You are invited to {issuer}.\n\nThe account will be called {email}. To make it, open this address and choose a\npassword:"
                ),
                "If you expect no invitation, there is nothing to do.",
            ),
            Purpose::Reset(_) => (
                Kind::Reset,
                format!("Choose another password for {host}"),
                format!(
                    "Another password was asked for, for the account {email}\nat {issuer}.\n\nTo choose one, open this address:"
                ),
                "If you did not ask for it, there is nothing to do: the password stays as it is\nuntil somebody uses this address, and nobody else was sent it.",
            ),
        };
        let text = format!("{first}\n\n{url}\n\nIt works once, until {until}.\n\n{last}\n");
        Self { to: email.clone(), kind, subject, text, at: link.created_at }
    }

    /// Tells a person what happened to their account, at `at`, from this network address.
    pub fn notice(issuer: &Issuer, to: &Email, what: Notice, at: Timestamp, from: Option<&str>) -> Self {
        let (subject, happened) = what.words();
        let (host, when) = (host(issuer), moment(at));
        let from = from.map(|address| format!(", from {address}")).unwrap_or_default();
        let text = format!(
            "Account {to} at {issuer}\n{when}{from}\n\n{happened}\n\nIf it was you, there is nothing to do. If it was not, tell your \
             administrator at\nonce, and choose another password.\n"
        );
        Self { to: to.clone(), kind: Kind::Notice, subject: format!("{subject} ({host})"), text, at }
    }

    /// Shows an operator that mail arrives.
    pub fn trial(issuer: &Issuer, to: &Email, at: Timestamp) -> Self {
        let text = format!("{issuer} can send mail to this address.\n");
        Self {
            to: to.clone(),
            kind: Kind::Trial,
            subject: format!("Mail from {} arrives", host(issuer)),
            text,
            at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{NOW, hash};

    fn issuer() -> Issuer {
        Issuer::parse("https://auth.example.test/t1").unwrap()
    }

    fn email() -> Email {
        Email::parse("bob@example.test").unwrap()
    }

    #[test]
    fn a_letter_is_tried_for_half_an_hour_with_pauses_that_grow() {
        let pauses: Vec<_> = (1..).map_while(pause).collect();
        assert!(pauses.windows(2).all(|pair| pair[0] < pair[1]));
        let all: i64 = pauses.iter().map(|pause| pause.get()).sum();
        assert!((1200..=1800).contains(&all), "{all}");
        assert_eq!(pause(0), None);
    }

    #[test]
    fn a_letter_has_lines_that_no_mail_server_breaks_and_one_line_for_a_subject() {
        let url = issuer().url("/link/dwo_x");
        let link = Link::new(hash(), Purpose::Invitation { name: None, groups: Vec::new() }, email(), NOW);
        let mut letters = vec![Letter::link(&issuer(), &link, &url), Letter::trial(&issuer(), &email(), NOW)];
        for what in Notice::ALL {
            letters.push(Letter::notice(&issuer(), &email(), what, NOW, Some("2001:db8::1")));
        }
        for letter in letters {
            assert!(
                letter.text.is_ascii() && letter.text.lines().all(|line| line.len() <= 90),
                "{}",
                letter.text
            );
            assert!(!letter.subject.contains(['\r', '\n']) && letter.subject.contains("auth.example.test"));
        }
    }

    #[test]
    fn a_notice_holds_no_address_to_open_but_the_issuer() {
        for what in Notice::ALL {
            let letter = Letter::notice(&issuer(), &email(), what, NOW, None);
            assert_eq!(letter.text.matches("://").count(), 1, "{}", letter.text);
            assert_eq!(format!("{letter:?}"), "Letter(notice)");
        }
    }
}
