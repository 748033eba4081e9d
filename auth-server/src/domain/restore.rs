//! What a restored database must not bring back. A backup does not know what was ended after it was made; whatever may have
//! been, is.
//!
//! Grants and sessions end and signing keys are revoked always: a refresh token that was used since the backup would be good
//! again, and a token of a grant that the backup does not know would stay good. People, clients, resource servers and admin keys
//! are barred all, or, where the audit trail of the lost database is at hand, those that it names.

use std::collections::BTreeSet;

use doorward_shared::{
    issuer::Issuer,
    time::{Seconds, Timestamp},
};

mod since;

pub use self::since::{Made, Senseless, Since};
use super::policy::Policy;

/// What is known of the time between the backup and the loss of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing happened then: the server was stopped before the backup was made, and not started again.
    Nothing,
    /// This happened.
    Known(Box<Since>),
    /// Anything may have happened.
    Unknown,
}

/// What becomes of the data key, and with it of what it seals: the key of the audit trail's checkpoints. Signing keys are not
/// kept either way, unless nothing was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// There is none, or the key-encryption key opens it: it stays.
    Opens,
    /// The key-encryption key is lost or was replaced since: another one is made at the next start.
    Lost,
}

/// Some of all, by their identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// None of them.
    None,
    /// These, as far as there are such.
    These(&'a BTreeSet<String>),
    /// Each of them.
    All,
}

impl Which<'_> {
    /// True when this one is among them.
    pub fn has(&self, id: &str) -> bool {
        match self {
            Self::None => false,
            Self::These(these) => these.contains(id),
            Self::All => true,
        }
    }
}

/// The verdict on what a backup holds: what of it ends as it is restored.
#[derive(Clone, Debug)]
pub struct Restoration {
    loss: Loss,
    seal: Seal,
    issuer: Issuer,
    at: Timestamp,
    forget_at: Timestamp,
}

/// How long the feed remembers a revoked signing key: longer than any token of it can live, whoever signed it.
const REMEMBER_KEYS: Seconds = Seconds::days(400);

/// Decides what ends.
pub fn decide(loss: Loss, seal: Seal, policy: &Policy, now: Timestamp) -> Restoration {
    let forget_at = policy.token.forget_at(now);
    Restoration { loss, seal, issuer: policy.issuer.clone(), at: now, forget_at }
}

impl Restoration {
    /// What is known of the time since the backup.
    pub const fn loss(&self) -> &Loss {
        &self.loss
    }

    /// What becomes of the data key.
    pub const fn seal(&self) -> Seal {
        self.seal
    }

    /// When. Access tokens that were issued up to then are revoked, if anything is.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// When no access token from before can be left.
    pub const fn forget_at(&self) -> Timestamp {
        self.forget_at
    }

    /// Until when the feed remembers the signing keys.
    pub const fn forget_keys_at(&self) -> Timestamp {
        self.at.plus(REMEMBER_KEYS)
    }

    /// Whose tokens.
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// True when everything that came of signing in ends: sessions, grants, access tokens, a setup link that was not used, and
    /// signing keys.
    pub const fn ends(&self) -> bool {
        !matches!(self.loss, Loss::Nothing)
    }

    /// The word in the audit trail.
    pub const fn mode(&self) -> &'static str {
        match self.loss {
            Loss::Nothing => "nothing_lost",
            Loss::Known(_) => "audit",
            Loss::Unknown => "unknown",
        }
    }

    fn which<'a>(&'a self, these: impl Fn(&'a Since) -> &'a BTreeSet<String>) -> Which<'a> {
        match &self.loss {
            Loss::Nothing => Which::None,
            Loss::Known(since) => Which::These(these(since)),
            Loss::Unknown => Which::All,
        }
    }

    /// Which accounts are disabled. Administrators are no exception: one that was let go since must not be one again.
    pub fn disabled_users(&self) -> Which<'_> {
        self.which(|since| &since.users.disabled)
    }

    /// Which clients are disabled.
    pub fn disabled_clients(&self) -> Which<'_> {
        self.which(|since| &since.clients.disabled)
    }

    /// Which clients are removed.
    pub fn removed_clients(&self) -> impl Iterator<Item = &str> {
        self.since().into_iter().flat_map(|since| since.clients.removed.iter().map(String::as_str))
    }

    /// Which resource servers are disabled, by their folded addresses.
    pub fn disabled_resources(&self) -> Which<'_> {
        self.which(|since| &since.resources.disabled)
    }

    /// Which resource servers are removed, by their folded addresses.
    pub fn removed_resources(&self) -> impl Iterator<Item = &str> {
        self.since().into_iter().flat_map(|since| since.resources.removed.iter().map(String::as_str))
    }

    /// Which rules about who may do what where are disabled.
    pub fn disabled_rules(&self) -> Which<'_> {
        self.which(|since| &since.rules.disabled)
    }

    /// Which rules are removed.
    pub fn removed_rules(&self) -> impl Iterator<Item = &str> {
        self.since().into_iter().flat_map(|since| since.rules.removed.iter().map(String::as_str))
    }

    /// Which resource servers are for listed people only, by their folded addresses, whatever the backup says.
    pub fn listed_resources(&self) -> impl Iterator<Item = &str> {
        self.since().into_iter().flat_map(|since| since.listed.iter().map(String::as_str))
    }

    /// Which admin keys are revoked.
    pub fn revoked_admin_keys(&self) -> Which<'_> {
        self.which(|since| &since.admin_keys)
    }

    /// Which accounts at upstream providers are not linked any more. Of those that stay, groups and refresh tokens go: the
    /// next sign-in brings them.
    pub fn unlinked_identities(&self) -> impl Iterator<Item = &str> {
        self.since().into_iter().flat_map(|since| since.unlinked.iter().map(String::as_str))
    }

    /// Signing keys that were made since, as far as they are known. They are gone, and resource servers may still know them.
    pub fn lost_signing_keys(&self) -> impl Iterator<Item = &str> {
        self.since().into_iter().flat_map(|since| since.signing_keys.iter().map(String::as_str))
    }

    const fn since(&self) -> Option<&Since> {
        match &self.loss {
            Loss::Known(since) => Some(&**since),
            Loss::Nothing | Loss::Unknown => None,
        }
    }
}

/// What was disabled as a database was restored, by the names that commands take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disabled {
    /// Addresses of accounts, administrators first.
    pub users: Vec<String>,
    /// Identifiers of clients that an administrator registered, or the configuration.
    pub clients: Vec<String>,
    /// Identifiers of clients that registered themselves.
    pub dynamic_clients: Vec<String>,
    /// Addresses of resource servers.
    pub resources: Vec<String>,
    /// Identifiers of rules about who may do what where.
    pub rules: Vec<String>,
}

/// What the operator has to do next, a sentence each.
pub fn next_steps(restoration: &Restoration, disabled: &Disabled) -> Vec<String> {
    let mut steps = Vec::new();
    match restoration.loss() {
        Loss::Nothing => return vec!["Start the server. Do not start the old one again.".to_owned()],
        Loss::Known(since) => {
            let Made { users, clients, resources, rules, admin_keys } = since.made();
            steps.push(
                "Whoever was disabled, removed or revoked after the end of the trail has to be so again."
                    .to_owned(),
            );
            if users + clients + resources + rules + admin_keys > 0 {
                steps.push(format!(
                    "Made since the backup and not in it: {users} accounts, {clients} clients, {resources} resource \
                     servers, {rules} rules, {admin_keys} admin keys. Make those again that are still wanted."
                ));
            }
        }
        Loss::Unknown => {
            let many = |names: &[String], what: &str, command: &str| {
                (!names.is_empty()).then(|| {
                    format!("Disabled: {} {what}. For each that still belongs here: {command}", names.len())
                })
            };
            steps.extend(many(&disabled.users, "accounts", "doorward user enable EMAIL"));
            steps.extend(many(&disabled.resources, "resource servers", "doorward resource enable URL"));
            steps.extend(many(&disabled.clients, "registered clients", "doorward client enable ID"));
            steps.extend(many(
                &disabled.rules,
                "rules about who may do what where",
                "doorward entitlement enable ID",
            ));
            if !disabled.dynamic_clients.is_empty() {
                steps.push(format!(
                    "Disabled: {} clients that registered themselves. They can register again; or: doorward client \
                     enable ID",
                    disabled.dynamic_clients.len()
                ));
            }
            steps.push("Admin keys are revoked; make new ones.".to_owned());
        }
    }
    if restoration.seal() == Seal::Lost {
        steps.push(
            "The key-encryption key does not open what the backup has sealed. Signed checkpoints of the audit trail from \
             before cannot be checked any more; the trail itself can."
                .to_owned(),
        );
    }
    steps.push("Start the server. People sign in again and allow their clients anew.".to_owned());
    steps
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
