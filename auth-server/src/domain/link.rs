//! One-time links, with which somebody chooses a password without knowing one: invitations and resets.

use doorward_shared::{
    secret::{AccountLink, SecretHash},
    time::{Seconds, Timestamp},
};

use super::{email::Email, ids::UserId, upstream::Identity, user::User};

/// How long a link is good.
pub const LINK_TTL: Seconds = Seconds::hours(24);

/// How long one is good that a person asked for, who waits for the mail.
pub const ASKED_TTL: Seconds = Seconds::hours(1);

/// A one-time link.
#[derive(Clone, Debug)]
pub struct Link {
    /// Hash of its secret.
    pub hash: SecretHash<AccountLink>,
    /// What it is for.
    pub purpose: Purpose,
    /// The address of the account.
    pub email: Email,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is good no more.
    pub expires_at: Timestamp,
    /// When it was used, or replaced by something newer.
    pub used_at: Option<Timestamp>,
}

/// What a link is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An account comes of it.
    Invitation {
        /// What to call the person, as long as they do not say.
        name: Option<String>,
        /// The groups that the account will be in.
        groups: Vec<String>,
    },
    /// This account gets another password.
    Reset(UserId),
}

impl Link {
    /// A link that is good from now on.
    pub fn new(hash: SecretHash<AccountLink>, purpose: Purpose, email: Email, now: Timestamp) -> Self {
        Self { hash, purpose, email, created_at: now, expires_at: now.plus(LINK_TTL), used_at: None }
    }

    /// The same, good for another length of time.
    #[must_use]
    pub fn lasting(self, ttl: Seconds) -> Self {
        Self { expires_at: self.created_at.plus(ttl), ..self }
    }

    /// True while it could be used.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.used_at.is_none() && now < self.expires_at
    }
}

/// True when a person who asks is mailed a link with which they choose another password: nobody who is disabled, and nobody
/// whose account came of an upstream provider, where they sign in and may be shut out.
pub fn may_ask(user: &User, identities: &[Identity]) -> bool {
    user.disabled_at.is_none() && identities.iter().all(|identity| identity.created_at != user.created_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        fixture::{NOW, hash, user},
        ids::IdentityId,
        upstream::Source,
    };

    #[test]
    fn a_link_is_asked_for_by_people_with_a_password_of_their_own() {
        let alice = user();
        let linked = |at| Identity {
            id: IdentityId::generate(NOW, &doorward_shared::secret::SystemEntropy),
            provider: "corp".to_owned(),
            subject: "248289761001".to_owned(),
            user_id: alice.id.clone(),
            email: None,
            groups: Vec::new(),
            source: Source::Listed,
            refresh_token: None,
            created_at: at,
            checked_at: at,
            ended_at: None,
        };
        assert!(may_ask(&alice, &[]));
        assert!(may_ask(&alice, &[linked(NOW.plus(Seconds::new(60)))]), "linked later");
        assert!(!may_ask(&alice, &[linked(NOW)]), "the account came of it");
        assert!(!may_ask(&alice, &[Identity { ended_at: Some(NOW), ..linked(NOW) }]), "shut out there");
        assert!(!may_ask(&User { disabled_at: Some(NOW), ..alice.clone() }, &[]));
    }

    #[test]
    fn a_link_is_good_once_and_for_a_day() {
        let email = Email::parse("bob@example.test").unwrap();
        let link = Link::new(hash(), Purpose::Invitation { name: None, groups: Vec::new() }, email, NOW);
        assert!(link.is_live(NOW.plus(Seconds::new(86_399))));
        assert!(!link.is_live(NOW.plus(Seconds::new(86_400))));
        assert!(!Link { used_at: Some(NOW), ..link.clone() }.is_live(NOW));
        assert!(!link.lasting(ASKED_TTL).is_live(NOW.plus(Seconds::new(3600))));
    }
}
