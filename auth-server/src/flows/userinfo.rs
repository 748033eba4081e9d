//! Userinfo (OpenID Connect Core §5.3), and the reading of our own access tokens that it needs.

use doorward_shared::{
    error::{ErrorCode, OAuthError},
    issuer::Issuer,
    jose::{
        access_token::{self, AccessTokenClaims, Expected},
        id_token::PersonClaims,
        jws::Unverified,
    },
    resource::ResourceUri,
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

/// Tells about the person behind an access token with `openid`.
pub async fn userinfo(ctx: &Context, token: &str) -> Result<UserInfo, OAuthError> {
    let refused = |cause: &'static str| {
        OAuthError::new(ErrorCode::InvalidToken, "the access token is not valid; get a new one")
            .because(cause)
    };
    let claims =
        own_token(&ctx.keys, &ctx.policy.issuer, token, ctx.now()).ok_or_else(|| refused("not our token"))?;
    let (grant, user) = live_grant(ctx, &claims).await?.ok_or_else(|| refused("no such grant"))?;
    if grant.ended_at.is_some() || user.disabled_at.is_some() {
        return Err(refused("the grant has ended"));
    }
    if !claims.scope.contains("openid") {
        return Err(OAuthError::new(
            ErrorCode::InsufficientScope,
            "the access token lacks the scope openid; sign in with it",
        ));
    }
    Ok(UserInfo { sub: claims.sub, person: person_claims(&user, &claims.scope) })
}

/// The grant behind one of our own access tokens.
pub async fn grant_of(ctx: &Context, token: &str) -> Result<Option<(Grant, User)>, StoreError> {
    match own_token(&ctx.keys, &ctx.policy.issuer, token, ctx.now()) {
        Some(claims) => live_grant(ctx, &claims).await,
        None => Ok(None),
    }
}

async fn live_grant(ctx: &Context, claims: &AccessTokenClaims) -> Result<Option<(Grant, User)>, StoreError> {
    match GrantId::parse(&claims.sid) {
        Some(id) => ctx.store.grant(&id).await,
        None => Ok(None),
    }
}

/// Reads an access token that this server signed, whatever resource it is for.
fn own_token(keys: &KeyRing, issuer: &Issuer, token: &str, now: Timestamp) -> Option<AccessTokenClaims> {
    let unverified = Unverified::parse(token).ok()?;
    let key = keys.verifying().get(unverified.kid()?)?;
    let payload = unverified.verify(key, access_token::TYPES).ok()?;
    // The audience is some resource server, not this one; which one does not matter for what is told here.
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    let audience = ResourceUri::parse(claims.get("aud")?.as_str()?).ok()?;
    access_token::check(&payload, &Expected::new(issuer, &audience, now)).ok()
}
