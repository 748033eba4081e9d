//! Talking to others: to upstream OpenID Connect providers, and to clients that are told of a logout. The protocol is `openidconnect`'s; signatures are checked by our own keys
//! (`key`), requests go through a guarded client (`http`).

mod claims;
mod faults;
mod http;
mod key;
mod more;
mod oidc;
mod relying_parties;
mod types;

use std::{collections::BTreeMap, fmt, sync::Arc};

use doorward_shared::{issuer::Issuer, time::Timestamp};
use zeroize::Zeroizing;

pub use self::{
    oidc::{Begin, Client, Exchanged, Given},
    relying_parties::{RelyingParties, Untold},
};
use crate::domain::upstream::{Asserted, Provider};

/// How one provider is talked to.
#[derive(Clone)]
pub struct Settings {
    /// The rules for its people.
    pub provider: Provider,
    /// What it calls itself.
    pub issuer: Issuer,
    /// What we are called there.
    pub client_id: String,
    /// How we prove it.
    pub client_secret: ClientSecret,
    /// What it is asked for.
    pub scopes: Vec<String>,
    /// The address of Microsoft Graph, where groups that do not fit into a token are asked for.
    pub graph_url: Option<String>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<upstream {}>", self.provider.id)
    }
}

/// A client secret, which does not print itself.
#[derive(Clone)]
pub struct ClientSecret(Zeroizing<String>);

impl ClientSecret {
    /// Takes the text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<client secret>")
    }
}

/// Why a provider could not be used. For the log; what it was given and what it answered is not in it.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// It could not be reached, was too slow, or answered with something that is no answer.
    #[error("{0}")]
    Away(String),
    /// It refused, with this error code.
    #[error("the provider refused: {0}")]
    Refused(String),
    /// What it answered does not hold: signature, issuer, audience, nonce, time, subject.
    #[error("the provider's answer does not hold: {0}")]
    Invalid(String),
}

/// Every provider of the configuration.
pub struct Upstream(BTreeMap<String, Arc<Client>>);

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstream")
    }
}

impl Upstream {
    /// Prepares a client for each provider; none is asked before it is needed.
    pub fn new(settings: &[Settings], callback: impl Fn(&str) -> String) -> Result<Self, UpstreamError> {
        let client = |one: &Settings| {
            let id = one.provider.id.clone();
            let client = Client::new(one.clone(), callback(&id))?;
            Ok((id, Arc::new(client)))
        };
        Ok(Self(settings.iter().map(client).collect::<Result<_, _>>()?))
    }

    /// The client for this provider.
    pub fn at(&self, provider: &str) -> Option<&Client> {
        self.0.get(provider).map(Arc::as_ref)
    }
}

/// What a provider answered about somebody; its token is not printed.
pub struct Answer {
    /// Who, and which groups.
    pub asserted: Asserted,
    /// A refresh token, in the clear.
    pub refresh_token: Option<Zeroizing<String>>,
    /// Whether anything was said about the person; a bare access token says nothing.
    pub heard: bool,
    /// When they proved themselves there, if it says so.
    pub auth_time: Option<Timestamp>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("asserted", &self.asserted)
            .field("heard", &self.heard)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::upstream::GroupsHeard;

    #[test]
    fn nothing_that_opens_a_door_prints_itself() {
        let asserted = Asserted {
            subject: "carol-0001".to_owned(),
            email: None,
            email_verified: false,
            name: None,
            groups: GroupsHeard::Absent,
        };
        let refresh_token = Some(Zeroizing::new("s3cret".to_owned()));
        let answer = Answer { asserted, refresh_token, heard: true, auth_time: None };
        let begin = Begin { state: "s3cret", nonce: "s3cret", code_verifier: "s3cret", anew: false };
        let given = Given { code: "s3cret", nonce: "s3cret", code_verifier: "s3cret" };
        assert!(!format!("{answer:?} {begin:?} {given:?}").contains("s3cret"));
    }
}
