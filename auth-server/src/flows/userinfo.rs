//! Userinfo (OpenID Connect Core §5.3), and the reading of our own access tokens that it needs.

use doorward_shared::{
    error::{ErrorCode, OAuthError},
    issuer::Issuer,
    jose::{
        access_token::{self, AccessTokenClaims, Expected},
        id_token::PersonClaims,
        jws::Unverified,
    },
    time::Timestamp,
};
use serde::Serialize;

use super::Context;
use crate::{
    domain::{grant::Grant, ids::GrantId, token::person_claims, user::User},
    keys::KeyRing,
    store::StoreError,
};

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
    let claims =
        own_token(&ctx.keys, &ctx.policy.issuer, token, now).ok_or_else(|| refused("not our token"))?;
    let (grant, user) = granted(ctx, &claims).await?.ok_or_else(|| refused("no such grant"))?;
    if grant.ended.is_some() || user.disabled_at.is_some() {
        return Err(refused("the grant has ended"));
    }
    if !claims.scope.contains("openid") {
        let text = "the access token lacks the scope openid; sign in with it";
        return Err(OAuthError::new(ErrorCode::InsufficientScope, text));
    }
    Ok(UserInfo { sub: claims.sub, person: person_claims(&user, &claims.scope) })
}

/// The grant behind one of our own access tokens.
pub async fn grant_of(ctx: &Context, token: &str, now: Timestamp) -> Result<Option<Grant>, StoreError> {
    match own_token(&ctx.keys, &ctx.policy.issuer, token, now) {
        Some(claims) => Ok(granted(ctx, &claims).await?.map(|(grant, _)| grant)),
        None => Ok(None),
    }
}

async fn granted(ctx: &Context, claims: &AccessTokenClaims) -> Result<Option<(Grant, User)>, StoreError> {
    let Some(id) = GrantId::parse(&claims.sid) else { return Ok(None) };
    Ok(ctx.store.grant(&id).await?.filter(|(grant, _)| grant.resource == claims.aud))
}

/// Reads an access token that this server signed.
fn own_token(keys: &KeyRing, issuer: &Issuer, token: &str, now: Timestamp) -> Option<AccessTokenClaims> {
    let unverified = Unverified::parse(token).ok()?;
    let key = keys.verifying().get(unverified.kid()?)?;
    let payload = unverified.verify(key, access_token::TYPES).ok()?;
    access_token::check(&payload, &Expected::of_issuer(issuer, now)).ok()
}
