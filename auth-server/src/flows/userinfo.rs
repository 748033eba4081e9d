//! Userinfo (OpenID Connect Core §5.3).

use doorward_shared::{
    error::{ErrorCode, OAuthError},
    jose::id_token::PersonClaims,
};
use serde::Serialize;

use super::{Context, access_token};
use crate::domain::token::person_claims;

/// The answer.
#[derive(Debug, Serialize)]
pub struct UserInfo {
    /// The person; the same as in the tokens.
    pub sub: String,
    /// What the granted scopes tell.
    #[serde(flatten)]
    pub person: PersonClaims,
}

/// Tells about the person behind an access token with `openid`. The token is for some resource server, not for this one;
/// what it tells here is no more than what its client was allowed to know.
pub async fn userinfo(ctx: &Context, token: &str) -> Result<UserInfo, OAuthError> {
    let now = ctx.now();
    let refused = |cause: &'static str| {
        OAuthError::new(ErrorCode::InvalidToken, "the access token is not valid; get a new one")
            .because(cause)
    };
    let live = access_token::live(ctx, token, now).await?.ok_or_else(|| refused("not live, or not ours"))?;
    let claims = live.claims;
    if !claims.scope.contains("openid") {
        let text = "the access token lacks the scope openid; sign in with it";
        return Err(OAuthError::new(ErrorCode::InsufficientScope, text));
    }
    Ok(UserInfo { sub: claims.sub, person: person_claims(&live.user, &claims.scope) })
}
