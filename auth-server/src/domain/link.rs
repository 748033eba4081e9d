//! One-time links, with which somebody chooses a password without knowing one: invitations and resets.

use doorward_shared::{
    secret::{AccountLink, SecretHash},
    time::{Seconds, Timestamp},
};

use super::{email::Email, ids::UserId};

/// How long a link is good.
pub const LINK_TTL: Seconds = Seconds::hours(24);

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

    /// True while it could be used.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.used_at.is_none() && now < self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{NOW, hash};

    #[test]
    fn a_link_is_good_once_and_for_a_day() {
        let email = Email::parse("bob@example.test").unwrap();
        let link = Link::new(hash(), Purpose::Invitation { name: None, groups: Vec::new() }, email, NOW);
        assert!(link.is_live(NOW.plus(Seconds::new(86_399))));
        assert!(!link.is_live(NOW.plus(Seconds::new(86_400))));
        assert!(!Link { used_at: Some(NOW), ..link }.is_live(NOW));
    }
}
