//! People who sign in at an upstream OpenID Connect provider: who of ours that is, and which groups it puts them into.
//!
//! The key of an identity is the provider and the subject that it names, never an address or a name: those change hands.

mod groups;
mod link;

use doorward_shared::time::{Seconds, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::{
    groups::{ClaimPath, GroupsHeard, Source, read_groups},
    link::{Arrival, Refused, arrive, can_come_in},
};
use super::{
    audit::Event,
    ids::{IdentityId, UserId},
    revocation::Revocation,
};

/// What kind of provider it is: where it puts groups, and what it means by leaving them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Keycloak: `groups`, often as paths with a slash in front.
    Keycloak,
    /// Amazon Cognito: `cognito:groups`, left out for people without a group.
    Cognito,
    /// Okta: `groups`, once the claim is configured there.
    Okta,
    /// Microsoft Entra ID: `groups` with identifiers; left out, with a hint, for people in very many.
    Entra,
    /// Any other one.
    Generic,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 5] = [Self::Keycloak, Self::Cognito, Self::Okta, Self::Entra, Self::Generic];

    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keycloak => "keycloak",
            Self::Cognito => "cognito",
            Self::Okta => "okta",
            Self::Entra => "entra",
            Self::Generic => "generic",
        }
    }

    /// Where this kind of provider puts groups.
    pub const fn groups_claim(self) -> &'static str {
        match self {
            Self::Cognito => "cognito:groups",
            _ => "groups",
        }
    }

    /// The scopes that it is asked for. A refresh token, with which groups are asked for anew, is given by Keycloak and Cognito
    /// to every such client, and by the others for `offline_access`, which Cognito refuses.
    pub const fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Keycloak | Self::Cognito => &["openid", "email", "profile"],
            Self::Okta | Self::Entra | Self::Generic => &["openid", "email", "profile", "offline_access"],
        }
    }

    /// Whether people are asked each time what the provider may give away. OpenID Connect Core 1.0 §11: without it a provider
    /// may leave `offline_access` out, and strict ones do. Okta and Entra go by what an administrator agreed to, once.
    pub const fn asks_for_consent(self) -> bool {
        matches!(self, Self::Generic)
    }

    /// What to do when it sent no groups at all.
    pub const fn without_groups(self) -> &'static str {
        match self {
            Self::Keycloak => {
                "add a mapper of type Group Membership to the client, for the claim `groups` in the ID token"
            }
            Self::Cognito => "the person is in no group of the user pool",
            Self::Okta => {
                "add a groups claim: in the application's sign-on settings, or as a claim `groups` of the authorization server, \
                 with a filter that matches the groups that are meant"
            }
            Self::Entra => {
                "add a groups claim in the token configuration of the application registration (security groups)"
            }
            Self::Generic => "name the claim that holds them in groups_claim",
        }
    }
}

/// When an address that a provider names counts as verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailVerified {
    /// When the provider says so (`email_verified`).
    Claim,
    /// When the provider does not deny it: the operator vouches for what it says nothing about.
    Assumed,
}

impl EmailVerified {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Claim, Self::Assumed];

    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Assumed => "assumed",
        }
    }
}

/// The rules for one provider.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its name in addresses and in the database.
    pub id: String,
    /// Its name on the sign-in page.
    pub title: String,
    /// What kind it is.
    pub dialect: Dialect,
    /// Where groups are.
    pub groups_claim: ClaimPath,
    /// What the names of its groups begin with here; it sends them without.
    pub group_prefix: String,
    /// Only people in one of these groups may sign in, which are named as it names them; empty: everybody whom the provider lets
    /// in.
    pub allowed_groups: Vec<String>,
    /// Whether its word that an address belongs to somebody is believed.
    pub trust_email: bool,
    /// When it has given that word.
    pub email_verified: EmailVerified,
    /// Whether a user name with an `@` is the address of somebody for whom it names no other one.
    pub email_from_username: bool,
    /// Whether somebody new gets an account.
    pub create_accounts: bool,
    /// How long groups hold that could not be asked for anew.
    pub max_stale: Seconds,
}

impl Provider {
    /// Whether an address counts as verified, about which the provider says this.
    pub fn is_verified(&self, said: Option<bool>) -> bool {
        said.unwrap_or(self.email_verified == EmailVerified::Assumed)
    }

    /// Whether these groups let somebody in. Where a group is asked for, what is no list of names lets nobody in.
    pub fn admits(&self, heard: &GroupsHeard) -> bool {
        let listed = match heard {
            GroupsHeard::Listed(names) => names.as_slice(),
            GroupsHeard::Absent | GroupsHeard::Overage | GroupsHeard::Malformed => &[],
        };
        self.allowed_groups.is_empty() || listed.iter().any(|name| self.allowed_groups.contains(name))
    }

    /// Whether these groups let somebody stay who was let in: where there are too many to list, the last known ones count.
    pub fn still_admits(&self, heard: &GroupsHeard) -> bool {
        *heard == GroupsHeard::Overage || self.admits(heard)
    }

    /// One whose rules are all at their defaults.
    #[cfg(test)]
    pub(crate) fn fixture() -> Self {
        Self {
            id: "corp".to_owned(),
            title: "Corp".to_owned(),
            dialect: Dialect::Generic,
            groups_claim: ClaimPath::parse("groups").unwrap(),
            group_prefix: String::new(),
            allowed_groups: Vec::new(),
            trust_email: true,
            email_verified: EmailVerified::Claim,
            email_from_username: false,
            create_accounts: true,
            max_stale: Seconds::hours(24),
        }
    }
}

/// What a provider says about somebody who just signed in there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asserted {
    /// Who, for the provider; never given to anybody else.
    pub subject: String,
    /// Their address.
    pub email: Option<String>,
    /// Whether it counts as made sure that the address is theirs.
    pub email_verified: bool,
    /// What to call them.
    pub name: Option<String>,
    /// What it says about groups.
    pub groups: GroupsHeard,
}

/// An account at a provider that belongs to a person here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its identifier.
    pub id: IdentityId,
    /// Which provider.
    pub provider: String,
    /// Who, for the provider.
    pub subject: String,
    /// Whose it is here.
    pub user_id: UserId,
    /// The address that the provider named last. It decides nothing.
    pub email: Option<String>,
    /// The groups that count.
    pub groups: Vec<String>,
    /// What the provider said last about groups.
    pub source: Source,
    /// The provider's refresh token, sealed.
    pub refresh_token: Option<String>,
    /// When it was linked.
    pub created_at: Timestamp,
    /// When the provider last answered for this person.
    pub checked_at: Timestamp,
    /// Since when the provider does not stand for this person any more.
    pub ended_at: Option<Timestamp>,
}

impl Identity {
    /// What is sealed, for the associated data.
    pub fn seal_context(id: &IdentityId) -> String {
        format!("identities/{id}/refresh_token")
    }

    /// The groups that count after the provider was heard.
    pub fn after(&self, heard: &GroupsHeard, rules: &Provider, now: Timestamp) -> Standing {
        let kept = || self.unheard(rules.max_stale, now);
        match heard {
            GroupsHeard::Listed(names) => {
                let groups = names.iter().map(|name| format!("{}{name}", rules.group_prefix)).collect();
                Standing { groups, source: Source::Listed, heard: true }
            }
            GroupsHeard::Absent => Standing { groups: Vec::new(), source: Source::Absent, heard: true },
            GroupsHeard::Malformed => Standing { groups: Vec::new(), source: Source::Malformed, heard: true },
            GroupsHeard::Overage => Standing { source: Source::Overage, ..kept() },
        }
    }

    /// The groups that count when the provider could not be heard: the last ones, for a while.
    pub fn unheard(&self, max_stale: Seconds, now: Timestamp) -> Standing {
        let fresh = now < self.checked_at.plus(max_stale);
        let (groups, source) =
            if fresh { (self.groups.clone(), self.source) } else { (Vec::new(), Source::Stale) };
        Standing { groups, source, heard: false }
    }
}

/// What is written down of an identity after the provider was asked.
#[derive(Clone, Debug)]
pub struct Hearing {
    /// Which.
    pub identity: IdentityId,
    /// The address that was named.
    pub email: Option<String>,
    /// The groups that count from now on.
    pub standing: Standing,
    /// The refresh token to keep, sealed; `None`: the one that is there.
    pub refresh_token: Option<String>,
    /// When.
    pub at: Timestamp,
    /// The claim under which the provider was asked; `None` for somebody who just signed in there, which is newer than
    /// whatever others ask at this moment.
    pub claim: Option<Timestamp>,
}

/// The verdict that the link between an account here and one at a provider goes, with what came of it.
#[derive(Clone, Debug)]
pub struct Unlinking {
    /// The link.
    pub identity: Identity,
    /// The grants that were made through it, each with its event.
    pub grants: Vec<(Revocation, Event)>,
    /// The event of it all.
    pub event: Event,
}

/// The groups that count, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Names.
    pub groups: Vec<String>,
    /// Why.
    pub source: Source,
    /// Whether this is the provider's word of now: how long it holds is counted from then.
    pub heard: bool,
}

#[cfg(test)]
mod tests;
