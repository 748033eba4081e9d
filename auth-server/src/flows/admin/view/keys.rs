//! Signing keys and admin keys.

use doorward_shared::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain;

/// A key that signs tokens, or once did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SigningKey {
    /// Its identifier: the RFC 7638 thumbprint of the public key.
    pub kid: String,
    /// Its one algorithm.
    pub algorithm: String,
    /// What it is good for: `next`, `active`, `retired`, `removed`, `revoked`.
    pub state: String,
    /// When it was made, and published.
    #[schemars(with = "i64")]
    pub created_at: Timestamp,
    /// When it began to sign.
    #[schemars(with = "Option<i64>")]
    pub activated_at: Option<Timestamp>,
    /// When it stopped.
    #[schemars(with = "Option<i64>")]
    pub retired_at: Option<Timestamp>,
}

impl From<&domain::signing_key::StoredSigningKey> for SigningKey {
    fn from(key: &domain::signing_key::StoredSigningKey) -> Self {
        Self {
            kid: key.kid.clone(),
            algorithm: key.algorithm.as_str().to_owned(),
            state: key.state.as_str().to_owned(),
            created_at: key.created_at,
            activated_at: key.activated_at,
            retired_at: key.retired_at,
        }
    }
}

/// A key for the admin API.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AdminKey {
    /// Its identifier.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub permissions: Vec<String>,
    /// Where it stands: `active`, `expired`, `revoked`, or `orphaned` when whoever made it may not use this server any more.
    pub state: String,
    /// The person or the key that made it; null when it was made on the command line.
    pub created_by: Option<String>,
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

/// An admin key that was just made.
#[derive(Clone, Serialize, JsonSchema)]
pub struct NewAdminKey {
    /// The key.
    #[serde(flatten)]
    pub admin_key: AdminKey,
    /// Its secret. It is shown this once.
    pub secret: String,
}
