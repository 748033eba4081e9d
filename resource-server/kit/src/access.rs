//! What a verified token allows.

use doorward_shared::{jose::access_token::AccessTokenClaims, scope::Scope, time::Timestamp};
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
    /// Everything that the token allows.
    pub scope: Scope,
    /// When the token was made.
    pub issued_at: Timestamp,
    /// When the token dies; `None` for a key that does not expire.
    pub expires_at: Option<Timestamp>,
    /// When the person last signed in.
    pub auth_time: Option<Timestamp>,
    /// The narrowing of `scope` to parts of the data (RFC 9396), for servers that understand it.
    pub authorization_details: Option<Vec<Map<String, Value>>>,
}

impl Access {
    /// True when the token allows `permission` everywhere.
    ///
    /// False for a token that is narrowed by `authorization_details`: what is allowed in one folder is not allowed
    /// everywhere, and a server that does not read the narrowing must not widen it (RFC 9396 §10).
    pub fn allows(&self, permission: &str) -> bool {
        self.authorization_details.is_none() && self.scope.contains(permission)
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
            scope: claims.scope,
            issued_at: claims.iat,
            expires_at: Some(claims.exp),
            auth_time: claims.auth_time,
            authorization_details: claims.authorization_details,
        }
    }
}
