//! What administrators do with people, clients and resource servers, whether by the command line or by another door.

pub mod access;
pub mod admin_keys;
pub mod api_keys;
pub mod clients;
pub mod entitlements;
pub mod grants;
pub mod identities;
pub mod links;
pub mod mappings;
pub mod organizations;
pub mod passkeys;
pub mod places;
pub mod resources;
pub mod sessions;
pub mod status;
pub mod users;
pub mod view;

use doorward_shared::{
    client_id::{ClientId, ClientIdSyntax},
    secret::Entropy,
    time::{Clock, Timestamp},
};

use crate::{
    domain::{
        audit::{Action, Actor, Event},
        email::Email,
        letter::{Letter, Notice},
        policy::Policy,
    },
    mail::Mail,
    store::Store,
};

/// What an administrator's deed works with.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// What must survive.
    pub store: &'a dyn Store,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Randomness.
    pub entropy: &'a dyn Entropy,
    /// The rules in force.
    pub policy: &'a Policy,
    /// The way to the SMTP server, where one is set up.
    pub mail: Option<&'a Mail>,
    /// Who does it.
    pub actor: &'a Actor,
    /// The network address they do it from.
    pub address: Option<&'a str>,
}

impl Desk<'_> {
    /// A line for the audit trail.
    pub(super) fn event(self, action: Action, object: impl ToString, now: Timestamp) -> Event {
        Event::new(action, self.actor.clone(), now, self.entropy).on(object).from(self.address)
    }

    /// Tells a person by mail what an administrator did to their account, where mail is set up. From where is nothing that
    /// they have to know.
    fn tell(self, to: &Email, what: Notice, now: Timestamp) {
        if let Some(mail) = self.mail {
            mail.post(Letter::notice(&self.policy.issuer, to, what, now, None));
        }
    }
}

/// Whether somebody or something may have tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Enabled,
    /// It may not.
    Disabled,
}

impl std::fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

/// A new client identifier: the prefix and a ULID.
fn new_client_id(prefix: &str, now: Timestamp, entropy: &dyn Entropy) -> Result<ClientId, ClientIdSyntax> {
    let mut random = [0_u8; 16];
    entropy.fill(&mut random[6..]);
    let milliseconds = u64::try_from(now.seconds()).unwrap_or_default().saturating_mul(1000);
    let ulid = ulid::Ulid::from_parts(milliseconds, u128::from_be_bytes(random));
    ClientId::parse(&format!("{prefix}{ulid}"))
}

/// A name that people will read on a page: trimmed, not empty, not endless, without control characters.
pub(super) fn clean_name(text: &str) -> Result<String, NameError> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(NameError);
    }
    Ok(name.to_owned())
}

const MAX_NAME: usize = 100;

/// The text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {MAX_NAME} characters and no line breaks; give another one")]
pub struct NameError;
