//! What happened after the backup, as the audit trail of the lost database tells it.

use std::collections::{BTreeMap, BTreeSet};

use doorward_shared::{resource::ResourceUri, time::Timestamp};
use serde_json::Value;

use crate::domain::audit::{Action, Event};

/// What the audit trail says about the time after the backup, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Since {
    pub(super) users: Barred,
    pub(super) clients: Barred,
    pub(super) resources: Barred,
    pub(super) rules: Barred,
    pub(super) listed: BTreeSet<String>,
    pub(super) admin_keys: BTreeSet<String>,
    pub(super) signing_keys: BTreeSet<String>,
    pub(super) unlinked: BTreeSet<String>,
    pub(super) made: Made,
    pub(super) until: Option<Timestamp>,
}

/// What was made since the backup and is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Accounts.
    pub users: u64,
    /// Clients that an administrator registered.
    pub clients: u64,
    /// Resource servers.
    pub resources: u64,
    /// Rules about who may do what where.
    pub rules: u64,
    /// Admin keys.
    pub admin_keys: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Barred {
    /// Each with the latest moment at which it was disabled.
    when: BTreeMap<String, Timestamp>,
    pub(super) disabled: BTreeSet<String>,
    pub(super) removed: BTreeSet<String>,
    /// With secrets in the backup that are good no more: enabling since then does not help.
    outdated: BTreeSet<String>,
}

impl Barred {
    fn disable(&mut self, id: String, at: Timestamp) {
        let when = self.when.entry(id.clone()).or_insert(at);
        *when = at.max(*when);
        self.disabled.insert(id);
    }

    /// Events of one second are in no certain order, and the clocks of two servers need not agree: only what was enabled
    /// later by both, place and time, is taken for enabled.
    fn enable(&mut self, id: &str, at: Timestamp) {
        if self.when.get(id).is_none_or(|disabled| *disabled < at) && !self.outdated.contains(id) {
            self.disabled.remove(id);
        }
    }

    /// What was known only to the one who belongs there may have become known to others: it must not open anything again.
    fn outdate(&mut self, id: String, at: Timestamp) {
        self.outdated.insert(id.clone());
        self.disable(id, at);
    }
}

/// An event of the trail makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event {0} does not say what it was done to")]
pub struct Senseless(String);

impl Since {
    /// Takes note of an event. They come in the order of the chain.
    pub fn note(&mut self, event: &Event) -> Result<(), Senseless> {
        let senseless = || Senseless(event.id.as_str().to_owned());
        let object = || event.object.clone().ok_or_else(senseless);
        let resource = || {
            let uri = object()?;
            ResourceUri::parse(&uri).map(|uri| uri.folded().to_owned()).map_err(|_| senseless())
        };
        match event.action {
            Action::UserDisabled => self.users.disable(object()?, event.at),
            Action::UserEnabled => self.users.enable(&object()?, event.at),
            // What the backup holds would let somebody in who is not to come in any more, or ask for less.
            Action::PasswordChanged
            | Action::SecondFactorSet
            | Action::SecondFactorRemoved
            | Action::RecoveryCodesRenewed
            | Action::RecoveryCodeUsed
            | Action::PasskeyRemoved => self.users.outdate(object()?, event.at),
            Action::ClientDisabled => self.clients.disable(object()?, event.at),
            Action::ClientEnabled => self.clients.enable(&object()?, event.at),
            // The backup may hold a secret, an address or bounds that were given up since.
            Action::ClientSecretRotated | Action::ClientSecretRetired | Action::ClientChanged => {
                self.clients.outdate(object()?, event.at);
            }
            // What is registered again under the name is another client, with another secret.
            Action::ClientDeleted => {
                self.clients.removed.insert(object()?);
            }
            Action::ResourceDisabled => self.resources.disable(resource()?, event.at),
            Action::ResourceEnabled => self.resources.enable(&resource()?, event.at),
            Action::ResourceSecretRotated | Action::ResourceSecretRetired => {
                self.resources.outdate(resource()?, event.at);
            }
            Action::ResourceRemoved => {
                self.resources.removed.insert(resource()?);
            }
            Action::EntitlementDisabled => self.rules.disable(object()?, event.at),
            Action::EntitlementEnabled => {
                self.rules.enable(&object()?, event.at);
                self.listed.extend(names(event, "listed"));
            }
            Action::EntitlementsChanged | Action::NodeRemoved => self.change_rules(event),
            Action::ResourceAccessSet => {
                if event.detail.get("access").is_some_and(|access| access == "listed") {
                    self.listed.insert(resource()?);
                }
            }
            // A group that was left since must not be back. Which ones there were is for the administrator to say.
            Action::UserGroupsSet => {
                if names(event, "left").next().is_some() {
                    self.users.disable(object()?, event.at);
                }
            }
            Action::AdminKeyRevoked => {
                self.admin_keys.insert(object()?);
            }
            Action::IdentityUnlinked => {
                self.unlinked.insert(object()?);
            }
            Action::KeyCreated => {
                self.signing_keys.insert(object()?);
            }
            Action::UserCreated | Action::SetUp => self.made.users += 1,
            Action::ClientCreated => self.made.clients += 1,
            Action::ResourceAdded => self.made.resources += 1,
            Action::AdminKeyCreated => self.made.admin_keys += 1,
            // All grants, sessions and links end and all keys are revoked anyway; the rest changes nothing.
            Action::SignedIn
            | Action::SignInFailed
            | Action::SignedOut
            | Action::SessionEnded
            | Action::LogoutUndelivered
            | Action::OtherSessionsEnded
            | Action::SessionsEnded
            | Action::PasskeyAdded
            | Action::UserInvited
            | Action::ResetLinkMade
            | Action::IdentityLinked
            | Action::IdentityEnded
            | Action::GroupsChanged
            | Action::ClientRegistered
            | Action::OrganizationCreated
            | Action::NodeAdded
            | Action::ConsentGiven
            | Action::ConsentDenied
            | Action::CodeRedeemed
            | Action::CodeReplayed
            | Action::RefreshReplayed
            | Action::GrantBarred
            | Action::GrantRevoked
            | Action::GrantsRevoked
            | Action::GrantNarrowed
            | Action::GrantExtended
            | Action::KeyActivated
            | Action::KeyRetired
            | Action::KeyRemoved
            | Action::KeyRevoked
            | Action::Rekeyed
            | Action::ApiKeyCreated
            | Action::ApiKeyRevoked
            | Action::ApiKeyReported
            | Action::BackedUp
            | Action::Restored
            | Action::LimitReached => {}
        }
        self.until = self.until.max(Some(event.at));
        Ok(())
    }

    fn change_rules(&mut self, event: &Event) {
        self.rules.removed.extend(names(event, "removed"));
        names(event, "enabled").for_each(|rule| self.rules.enable(&rule, event.at));
        self.listed.extend(names(event, "listed"));
        self.made.rules += names(event, "added").count() as u64;
    }

    /// When the last event happened, if there was any.
    pub const fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// What was made since the backup and is lost.
    pub const fn made(&self) -> &Made {
        &self.made
    }
}

/// A list of names in an event's detail.
fn names<'a>(event: &'a Event, member: &str) -> impl Iterator<Item = String> + use<'a> {
    let list = event.detail.get(member).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(String::from)
}
