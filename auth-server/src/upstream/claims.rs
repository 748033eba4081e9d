//! What claims say about a person.

use doorward_shared::time::Timestamp;
use openidconnect::{IdTokenClaims, core::CoreGenderClaim};
use serde_json::{Map, Value};

use super::types::{Others, UserInfo};
use crate::domain::upstream::{Asserted, GroupsHeard, Provider, read_groups};

/// The claims of an ID token whose signature was checked.
pub(super) type Claims = IdTokenClaims<Others, CoreGenderClaim>;

/// What one source says, before it is decided whose word counts.
pub(super) struct Said {
    pub(super) subject: String,
    pub(super) groups: GroupsHeard,
    /// When they proved themselves.
    pub(super) auth_time: Option<Timestamp>,
    email: Option<String>,
    verified: Option<bool>,
    username: Option<String>,
    name: Option<String>,
}

/// What an ID token says.
pub(super) fn of_id_token(provider: &Provider, claims: &Claims) -> Said {
    let words = Said {
        auth_time: claims.auth_time().map(|at| Timestamp::from_seconds(at.timestamp())),
        email: claims.email().map(|email| email.as_str().to_owned()),
        verified: claims.email_verified(),
        username: claims.preferred_username().map(|name| name.as_str().to_owned()),
        name: claims.name().and_then(|name| name.get(None)).map(|name| name.as_str().to_owned()),
        ..Said::nothing_about(claims.subject().as_str())
    };
    words.sound(provider, &claims.additional_claims().0)
}

/// What userinfo says, which is of the same person: its subject was compared.
pub(super) fn of_userinfo(provider: &Provider, claims: &UserInfo) -> Said {
    let words = Said {
        email: claims.email().map(|email| email.as_str().to_owned()),
        verified: claims.email_verified(),
        username: claims.preferred_username().map(|name| name.as_str().to_owned()),
        name: claims.name().and_then(|name| name.get(None)).map(|name| name.as_str().to_owned()),
        ..Said::nothing_about(claims.subject().as_str())
    };
    words.sound(provider, &claims.additional_claims().0)
}

impl Said {
    /// No word about somebody.
    pub(super) fn nothing_about(subject: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            groups: GroupsHeard::Absent,
            auth_time: None,
            email: None,
            verified: None,
            username: None,
            name: None,
        }
    }

    fn sound(self, provider: &Provider, others: &Map<String, Value>) -> Self {
        let email = self.email.filter(|text| text.len() <= 320);
        Self {
            groups: read_groups(provider.dialect, &provider.groups_claim, others),
            verified: self.verified.filter(|_| email.is_some()),
            email,
            username: self.username.filter(|text| text.contains('@') && text.len() <= 320),
            name: self.name.as_deref().and_then(plain),
            ..self
        }
    }

    /// Whether there is an address, and a word about whether it was verified.
    pub(super) fn settles_address(&self) -> bool {
        self.email.is_some() && self.verified.is_some()
    }

    /// Whether there is an address.
    pub(super) fn has_address(&self) -> bool {
        self.email.is_some()
    }

    /// Both together. What was said first goes first, except that an address which somebody verified is worth more.
    pub(super) fn and(self, more: Self) -> Self {
        let worth = |said: &Self| match (&said.email, said.verified) {
            (None, _) => 0,
            (Some(_), Some(true)) => 2,
            (Some(_), _) => 1,
        };
        let (email, verified) = if worth(&more) > worth(&self) {
            (more.email, more.verified)
        } else {
            (self.email, self.verified)
        };
        let groups = if self.groups == GroupsHeard::Absent { more.groups } else { self.groups };
        Self {
            email,
            verified,
            groups,
            username: self.username.or(more.username),
            name: self.name.or(more.name),
            subject: self.subject,
            auth_time: self.auth_time,
        }
    }

    /// What the rules for the provider make of it.
    pub(super) fn read_by(self, provider: &Provider) -> Asserted {
        // People choose their user names themselves, except where the operator says otherwise.
        let username = self.username.filter(|_| provider.email_from_username);
        let email = self.email.or(username);
        Asserted {
            email_verified: email.is_some() && provider.is_verified(self.verified),
            subject: self.subject,
            email,
            name: self.name,
            groups: self.groups,
        }
    }
}

fn plain(name: &str) -> Option<String> {
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::upstream::{Dialect, EmailVerified};

    fn said(email: Option<(&str, Option<bool>)>, username: Option<&str>) -> Said {
        let words = Said {
            email: email.map(|(email, _)| email.to_owned()),
            verified: email.and_then(|(_, verified)| verified),
            username: username.map(str::to_owned),
            ..Said::nothing_about("carol-0001")
        };
        words.sound(&Provider::fixture(), &Map::new())
    }

    fn read(said: Said, provider: &Provider) -> (Option<String>, bool) {
        let asserted = said.read_by(provider);
        (asserted.email, asserted.email_verified)
    }

    #[test]
    fn a_user_name_is_an_address_only_where_the_operator_says_so() {
        let named = || said(None, Some("root@corp.test"));
        assert_eq!(read(named(), &Provider::fixture()), (None, false));
        let vouched = Provider {
            dialect: Dialect::Entra,
            email_verified: EmailVerified::Assumed,
            email_from_username: true,
            ..Provider::fixture()
        };
        assert_eq!(read(named(), &vouched), (Some("root@corp.test".to_owned()), true));
        let silent = Provider { email_verified: EmailVerified::Claim, ..vouched.clone() };
        assert_eq!(read(named(), &silent), (Some("root@corp.test".to_owned()), false));
        assert_eq!(read(said(None, Some("root")), &vouched), (None, false));
        let both = said(Some(("carol@corp.test", None)), Some("root@corp.test"));
        assert_eq!(read(both, &vouched), (Some("carol@corp.test".to_owned()), true));
    }

    #[test]
    fn a_verified_address_of_userinfo_is_worth_more_than_anything_that_is_not() {
        let verified = || said(Some(("carol@corp.test", Some(true))), None);
        for first in [
            said(None, Some("root@corp.test")),
            said(Some(("root@corp.test", None)), None),
            said(Some(("root@corp.test", Some(false))), None),
        ] {
            let both = first.and(verified());
            assert_eq!(read(both, &Provider::fixture()), (Some("carol@corp.test".to_owned()), true));
        }
        let both = verified().and(said(Some(("other@corp.test", Some(true))), None));
        assert_eq!(read(both, &Provider::fixture()), (Some("carol@corp.test".to_owned()), true));
    }

    #[test]
    fn what_the_provider_denies_is_not_assumed() {
        let assumed = Provider { email_verified: EmailVerified::Assumed, ..Provider::fixture() };
        let denied = said(Some(("carol@corp.test", Some(false))), None);
        assert_eq!(read(denied, &assumed), (Some("carol@corp.test".to_owned()), false));
        let unsaid = || said(Some(("carol@corp.test", None)), None);
        assert_eq!(read(unsaid(), &assumed), (Some("carol@corp.test".to_owned()), true));
        assert_eq!(read(unsaid(), &Provider::fixture()), (Some("carol@corp.test".to_owned()), false));
    }
}
