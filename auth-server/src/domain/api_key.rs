//! API keys: what a person gives to a script instead of a browser. A key is worth no more than its person: what it allows is
//! what the person may do at that moment ∩ what was written into it.

use std::num::NonZeroU32;

use doorward_shared::{
    allowance::Allowance, node::NodePath, permission::PermissionModel, resource::ResourceUri, time::Timestamp,
};
use serde::{Deserialize, Serialize};

mod make;
mod secret;

pub use self::{
    make::{Ground, NotMade, Wanted, make},
    secret::{ApiKeyHash, ApiKeySecret, is_api_key},
};
use super::{
    entitlement::{Seat, entitlement},
    ids::{ApiKeyId, OrganizationId, UserId},
    policy::TokenPolicy,
    resource::Resource,
    user::User,
};

/// A key as it is stored.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its identifier; `sid` and `client_id` of what is said about it.
    pub id: ApiKeyId,
    /// Whose it is.
    pub user_id: UserId,
    /// What its person calls it.
    pub name: String,
    /// For whose data.
    pub organization: OrganizationId,
    /// For which resource server, in the registered spelling; `None`: for each.
    pub resource: Option<ResourceUri>,
    /// What may be done with it at most.
    pub powers: Powers,
    /// How many requests a minute each process of a resource server lets it make; `None`: as many as is usual.
    pub rate_limit: Option<NonZeroU32>,
    /// Hash of its text.
    pub hash: ApiKeyHash,
    /// How its text begins, by which its person knows it.
    pub prefix: String,
    /// When it was made. What was revoked up to then does not concern it.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked. Nothing makes it live again.
    pub revoked_at: Option<Timestamp>,
}

/// What may be done with a key at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Powers {
    /// Everything that its person may do.
    Full,
    /// This; what is allowed at a node is allowed below it.
    Scoped(Vec<Power>),
}

/// A tier at a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// At this node and below it; `None`: in the whole organization.
    pub node: Option<NodePath>,
    /// All permissions of the tier with this identifier.
    pub tier: String,
}

impl Powers {
    /// One tier at each of these nodes; without a node, in the whole organization.
    pub fn simple(tier: &str, nodes: Vec<NodePath>) -> Self {
        let power = |node| Power { node, tier: tier.to_owned() };
        if nodes.is_empty() {
            return Self::Scoped(vec![power(None)]);
        }
        Self::Scoped(nodes.into_iter().map(Some).map(power).collect())
    }

    /// The places and their tiers; `None` for a key that may do everything.
    pub fn list(&self) -> Option<&[Power]> {
        match self {
            Self::Full => None,
            Self::Scoped(powers) => Some(powers),
        }
    }

    /// True when they name this node or one below it.
    pub fn name(&self, path: &NodePath) -> bool {
        let named = self.list().unwrap_or_default().iter().filter_map(|power| power.node.as_ref());
        named.into_iter().any(|node| path.covers(node))
    }

    /// What they allow at a resource server. A tier that it does not have allows nothing.
    pub fn allowance(&self, model: &PermissionModel) -> Allowance {
        match self {
            Self::Full => Allowance::everywhere(model.all()),
            Self::Scoped(powers) => powers.iter().fold(Allowance::default(), |all, power| {
                let atoms = model.expand([power.tier.as_str()]).unwrap_or_default();
                let here = power.node.clone();
                all.union(&here.map_or_else(
                    || Allowance::everywhere(atoms.clone()),
                    |node| Allowance::at_node(node, atoms.clone()),
                ))
            }),
        }
    }
}

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It can be used.
    Active,
    /// It is past its time.
    Expired,
    /// It was revoked.
    Revoked,
}

impl State {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// Why a key is not good. For the log: whoever presents it is told nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dead {
    /// It was revoked.
    #[error("the API key was revoked")]
    Revoked,
    /// It is past its time.
    #[error("the API key has expired")]
    Expired,
    /// Its person may not use this server.
    #[error("the account of the API key is disabled")]
    Disabled,
    /// It is for another resource server.
    #[error("the API key is for another resource server")]
    Elsewhere,
    /// No provider stands for its person any more, and they have no other way in.
    #[error("the provider does not stand for the person of the API key any more, who has no other way in")]
    ShutOut,
    /// Everything of this person or for this resource server was revoked after it was made.
    #[error("the API key was made before everything of its person or its resource server was revoked")]
    Swept,
}

impl ApiKey {
    /// Where it stands.
    pub fn state(&self, now: Timestamp) -> State {
        if self.revoked_at.is_some() {
            State::Revoked
        } else if self.expires_at.is_some_and(|end| now >= end) {
            State::Expired
        } else {
            State::Active
        }
    }

    /// True when its use should be written down: at most once a minute.
    pub fn wants_touch(&self, now: Timestamp) -> bool {
        self.last_used_at.is_none_or(|last| now.since(last).get() >= TOUCH_EVERY)
    }
}

/// Seconds between two uses that are written down.
pub const TOUCH_EVERY: i64 = 60;

/// Is the key good at this resource server, now?
pub fn is_live(key: &ApiKey, user: &User, resource: &Resource, now: Timestamp) -> Result<(), Dead> {
    match key.state(now) {
        State::Active => {}
        State::Expired => return Err(Dead::Expired),
        State::Revoked => return Err(Dead::Revoked),
    }
    if user.disabled_at.is_some() || user.id != key.user_id {
        return Err(Dead::Disabled);
    }
    let elsewhere = key.resource.as_ref().is_some_and(|own| !own.same_as(&resource.uri));
    if elsewhere || resource.disabled_at.is_some() {
        return Err(Dead::Elsewhere);
    }
    // As with access tokens: what was made up to that moment is revoked, whoever enables what again later.
    let swept = [user.revoked_until, resource.revoked_until].into_iter().flatten().max();
    if swept.is_some_and(|until| key.created_at <= until) {
        return Err(Dead::Swept);
    }
    Ok(())
}

/// What a key allows in the end: never more than its person may do, and never more than it says.
pub fn effective(key: &ApiKey, seat: Seat<'_>) -> Allowance {
    entitlement(seat).intersection(&key.powers.allowance(&seat.resource.model))
}

/// The verdict that a key is revoked.
#[derive(Clone, Debug)]
pub struct Withdrawal {
    key: ApiKeyId,
    at: Timestamp,
    forget_at: Timestamp,
}

impl Withdrawal {
    /// Which key.
    pub const fn key(&self) -> &ApiKeyId {
        &self.key
    }

    /// When.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// When no resource server can still take it for good, so that the feed may forget it.
    pub const fn forget_at(&self) -> Timestamp {
        self.forget_at
    }
}

/// Decides on a revocation. `None`: it was revoked before.
pub fn revoke(key: &ApiKey, policy: &TokenPolicy, now: Timestamp) -> Option<Withdrawal> {
    let withdrawal = || Withdrawal { key: key.id.clone(), at: now, forget_at: policy.forget_at(now) };
    key.revoked_at.is_none().then(withdrawal)
}

#[cfg(test)]
mod tests;
