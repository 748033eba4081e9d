//! People.

use std::fmt;

use doorward_shared::{
    secret::{Entropy, SecretHash, SessionCookie},
    time::Timestamp,
};

use super::{
    audit::Event,
    email::Email,
    ids::{OrganizationId, UserId},
    revocation::Sweep,
    upstream::Unlinking,
};

/// A person with an account.
#[derive(Clone, Debug)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// The account name.
    pub email: Email,
    /// What to call them.
    pub name: Option<String>,
    /// The organization their own data belongs to.
    pub organization: OrganizationId,
    /// Names of groups that administrators put the account into.
    pub groups: Vec<String>,
    /// Names of groups that the person's upstream providers name.
    pub upstream_groups: Vec<String>,
    /// How they prove themselves.
    pub password: PasswordHash,
    /// Since when nobody knows the password: an account that a provider made, until its person chooses one.
    pub passwordless_since: Option<Timestamp>,
    /// Since when they administer this server.
    pub admin_since: Option<Timestamp>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When an administrator disabled it.
    pub disabled_at: Option<Timestamp>,
    /// Access tokens of this person that were issued up to this moment are revoked.
    pub revoked_until: Option<Timestamp>,
}

impl User {
    /// A new account with an organization of its own, and in no group.
    pub fn new(
        email: Email,
        name: Option<String>,
        password: PasswordHash,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Self {
        Self {
            id: UserId::generate(now, entropy),
            email,
            name,
            organization: OrganizationId::generate(now, entropy),
            groups: Vec::new(),
            upstream_groups: Vec::new(),
            password,
            passwordless_since: None,
            admin_since: None,
            created_at: now,
            disabled_at: None,
            revoked_until: None,
        }
    }

    /// True when the person is in the group with this name, by whosever word.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().chain(&self.upstream_groups).any(|name| name == group)
    }

    /// Every group that the person is in, each once.
    pub fn all_groups(&self) -> Vec<String> {
        let upstream = self.upstream_groups.iter().filter(|name| !self.groups.contains(name));
        self.groups.iter().chain(upstream).cloned().collect()
    }
}

/// A password hash in PHC form (argon2id). Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes a PHC string.
    pub fn from_phc(text: String) -> Self {
        Self(text)
    }

    /// The PHC string, for the store and the check.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<password hash>")
    }
}

/// A new password in place of the one that was seen.
#[derive(Clone, Debug)]
pub struct PasswordChange {
    /// Whose.
    pub user: UserId,
    /// The old one.
    pub before: PasswordHash,
    /// The new one.
    pub after: PasswordHash,
    /// The session that stays; every other one ends.
    pub keep: Option<SecretHash<SessionCookie>>,
    /// Ends the grants, if they are to end too.
    pub sweep: Option<Sweep>,
}

/// What goes along with a password that somebody else may have known.
#[derive(Clone, Debug, Default)]
pub struct Clearance {
    /// All passkeys, with the event of it.
    pub passkeys: Option<Event>,
    /// Links to accounts at providers, and what came of them.
    pub links: Vec<Unlinking>,
}

/// Shortest password, in characters. Length is what protects; no rule about kinds of characters.
pub const MIN_PASSWORD: usize = 8;
/// Longest password, in bytes, so that nobody makes the server hash a book.
pub const MAX_PASSWORD: usize = 1024;

/// Why a password is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Under [`MIN_PASSWORD`] characters.
    #[error("a password has at least {MIN_PASSWORD} characters")]
    Short,
    /// Over [`MAX_PASSWORD`] bytes.
    #[error("a password has at most {MAX_PASSWORD} bytes")]
    Long,
    /// Holds a NUL or a line break, which no keyboard types into a password field.
    #[error("a password has no control characters")]
    Control,
}

/// Checks a password that somebody chose.
pub fn check_new_password(password: &str) -> Result<(), PasswordError> {
    if password.len() > MAX_PASSWORD {
        Err(PasswordError::Long)
    } else if password.chars().any(char::is_control) {
        Err(PasswordError::Control)
    } else if password.chars().count() < MIN_PASSWORD {
        Err(PasswordError::Short)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_the_only_rule_for_passwords() {
        assert_eq!(check_new_password("correct horse"), Ok(()));
        assert_eq!(check_new_password("short"), Err(PasswordError::Short));
        assert_eq!(check_new_password(&"x".repeat(MAX_PASSWORD + 1)), Err(PasswordError::Long));
        assert_eq!(check_new_password("correct\0horse"), Err(PasswordError::Control));
    }
}
