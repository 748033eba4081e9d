//! Logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.4).

use serde::Serialize;

use crate::{client_id::ClientId, issuer::Issuer, time::Timestamp};

/// The header's `typ`: a logout token is never taken for another kind of token (§2.4).
pub const TYPE: &str = "logout+jwt";

/// The claims of a logout token. There is no `nonce`, so that nobody takes one for an ID token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogoutTokenClaims {
    /// The issuer, byte for byte.
    pub iss: Issuer,
    /// The person.
    pub sub: String,
    /// The client that is told.
    pub aud: ClientId,
    /// When it was made.
    pub iat: Timestamp,
    /// The token is dead from here on.
    pub exp: Timestamp,
    /// The token's own name.
    pub jti: String,
    /// What happened.
    pub events: Events,
    /// The session that ended: `sid` of the ID tokens that were given in it.
    pub sid: String,
}

/// What a logout token says that happened: a session ended, and there is nothing to add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Events {
    #[serde(rename = "http://schemas.openid.net/event/backchannel-logout")]
    backchannel_logout: Nothing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Nothing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logout_token_has_what_the_specification_asks_for_and_no_nonce() {
        let claims = LogoutTokenClaims {
            iss: Issuer::parse("https://as.test").unwrap(),
            sub: "u1".to_owned(),
            aud: ClientId::parse("c1").unwrap(),
            iat: Timestamp::from_seconds(0),
            exp: Timestamp::from_seconds(120),
            jti: "j".to_owned(),
            events: Events::default(),
            sid: "s".to_owned(),
        };
        assert_eq!(
            serde_json::to_string(&claims).unwrap(),
            r#"{"iss":"https://as.test","sub":"u1","aud":"c1","iat":0,"exp":120,"jti":"j","events":{"http://schemas.openid.net/event/backchannel-logout":{}},"sid":"s"}"#
        );
    }
}
