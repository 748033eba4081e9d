//! API keys of people.

use std::num::NonZeroU32;

use doorward_shared::{resource::ResourceUri, time::Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{
    self,
    api_key::{ApiKeySecret, Power, Powers},
};

/// An API key of a person.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ApiKey {
    /// Its identifier; `sid` and `client_id` of what is said about it.
    pub id: String,
    /// Whose it is.
    pub user_id: String,
    /// Their e-mail address.
    pub email: String,
    /// What it is called; `credential` of what is said about it.
    pub name: String,
    /// How its text begins.
    pub prefix: String,
    /// `scoped`, or `full` for everything that its person may do.
    pub kind: String,
    /// For whose data: the organization.
    pub organization: String,
    /// For which resource server; null: for each.
    pub resource: Option<String>,
    /// What may be done with it at most, where; empty for a full one.
    pub grants: Vec<TierAt>,
    /// How many requests a minute it may make; null: as many as `limits.api_key_requests` says.
    #[schemars(range(min = 1))]
    pub rate_limit: Option<u32>,
    /// Where it stands: `active`, `expired`, `revoked`.
    pub state: String,
    /// When it was made.
    #[schemars(with = "i64")]
    pub created_at: Timestamp,
    /// When it ends by itself.
    #[schemars(with = "Option<i64>")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    #[schemars(with = "Option<i64>")]
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    #[schemars(with = "Option<i64>")]
    pub revoked_at: Option<Timestamp>,
}

/// A tier at a node and below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TierAt {
    /// The path of the node; null for the whole organization.
    pub node: Option<String>,
    /// The identifier of the tier.
    pub tier: String,
}

/// An API key that was just made.
#[derive(Clone, Serialize, JsonSchema)]
pub struct NewApiKey {
    /// The key.
    #[serde(flatten)]
    pub api_key: ApiKey,
    /// Its text. It is shown this once.
    pub secret: String,
}

impl ApiKey {
    /// A key and its person.
    pub fn of(key: &domain::api_key::ApiKey, user: &domain::user::User, now: Timestamp) -> Self {
        let kind = match key.powers {
            Powers::Full => "full",
            Powers::Scoped(_) => "scoped",
        };
        let at = |Power { node, tier }: &Power| TierAt {
            node: node.as_ref().map(ToString::to_string),
            tier: tier.clone(),
        };
        Self {
            id: key.id.to_string(),
            user_id: user.id.to_string(),
            email: user.email.to_string(),
            name: key.name.clone(),
            prefix: key.prefix.clone(),
            kind: kind.to_owned(),
            organization: key.organization.to_string(),
            resource: key.resource.as_ref().map(ResourceUri::to_string),
            grants: key.powers.list().unwrap_or_default().iter().map(at).collect(),
            rate_limit: key.rate_limit.map(NonZeroU32::get),
            state: key.state(now).as_str().to_owned(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
        }
    }
}

impl NewApiKey {
    /// A key, its person and its text.
    pub fn of(
        key: &domain::api_key::ApiKey,
        user: &domain::user::User,
        secret: &ApiKeySecret,
        now: Timestamp,
    ) -> Self {
        Self { api_key: ApiKey::of(key, user, now), secret: secret.expose().to_owned() }
    }
}
