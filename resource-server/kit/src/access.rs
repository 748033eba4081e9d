//! What a verified token allows.

use std::num::NonZeroU32;

use doorward_shared::{
    allowance::Allowance, jose::access_token::AccessTokenClaims, node::NodePath, scope::Scope,
    time::Timestamp,
};
use serde_json::{Map, Value};

/// Who calls, on whose behalf, and what is allowed. Handlers find it in the request's extensions; it is there only when a
/// token was verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// The person (`sub`), or the client itself where no person is involved.
    pub subject: String,
    /// The client.
    pub client_id: String,
    /// The organization (`org`).
    pub organization: String,
    /// The grant (`sid`): what an administrator revokes.
    pub grant: String,
    /// The token's own name (`jti`).
    pub token_id: String,
    /// The key that signed the token (`kid`); `None` for an opaque one.
    pub key_id: Option<String>,
    /// Everything that the token allows.
    pub scope: Scope,
    /// When the token was made.
    pub issued_at: Timestamp,
    /// When the token dies; `None` for a key that does not expire.
    pub expires_at: Option<Timestamp>,
    /// When the person last signed in.
    pub auth_time: Option<Timestamp>,
    /// The narrowing of `scope` to parts of the data (RFC 9396), as it was written. [`Access::allowance`] reads it.
    pub authorization_details: Option<Vec<Map<String, Value>>>,
    /// The name that its owner gave to an API key; `None` for what is no API key.
    pub credential: Option<String>,
    /// The last four characters of the API key that was presented.
    pub api_key_last_4: Option<String>,
    /// How many requests a minute an API key may make at this process; the kit has counted this one.
    pub rate_limit: Option<NonZeroU32>,
    /// Nobody else gets as far as a handler.
    pub(crate) entitled: bool,
}

impl Access {
    /// What the token allows, and where in the data tree of its organization. Entries of `authorization_details` that are
    /// not understood allow nothing.
    pub fn allowance(&self) -> Allowance {
        Allowance::of_token(&self.scope, self.authorization_details.as_deref())
    }

    /// True when the token allows `permission` everywhere in its organization.
    ///
    /// False for a token that allows it in some places only: what is allowed in one folder is not allowed everywhere, and a
    /// server that keeps no data tree must not widen it (RFC 9396 §10).
    pub fn allows(&self, permission: &str) -> bool {
        self.allows_at(permission, None)
    }

    /// True when the token allows `permission` at `node` of the data tree; without a node, in the organization itself.
    pub fn allows_at(&self, permission: &str, node: Option<&NodePath>) -> bool {
        match &self.authorization_details {
            None => self.scope.contains(permission),
            Some(_) => self.allowance().allows(permission, node),
        }
    }
}

impl From<AccessTokenClaims> for Access {
    fn from(claims: AccessTokenClaims) -> Self {
        Self {
            subject: claims.sub,
            client_id: claims.client_id.as_str().to_owned(),
            organization: claims.org,
            grant: claims.sid,
            token_id: claims.jti,
            key_id: None,
            scope: claims.scope,
            issued_at: claims.iat,
            expires_at: Some(claims.exp),
            auth_time: claims.auth_time,
            authorization_details: claims.authorization_details,
            credential: None,
            api_key_last_4: None,
            rate_limit: None,
            entitled: claims.entitled,
        }
    }
}
