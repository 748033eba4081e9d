//! Token introspection (RFC 7662), for registered resource servers: whether a token is good now, and what it allows now.

use doorward_shared::{
    error::{ErrorCode, OAuthError},
    form::Form,
    introspection::{Active, Introspection},
    token::PresentedClient,
};

use super::{
    Context, Peer, access_token, api_key, resource_servers,
    token::authenticate::{self, Refused},
};
use crate::domain::{api_key::is_api_key, resource::Resource};

/// Answers a resource server about a token. Only a token for that very resource server is told anything about.
pub async fn introspect(
    ctx: &Context,
    form: &Form,
    presented: &PresentedClient,
    peer: &Peer,
) -> Result<Introspection, Refused> {
    let answer = match resource_servers::authenticate(ctx, presented).await {
        Ok(caller) => about(ctx, form, &caller).await.map_err(Refused::to_known_client),
        Err(error) => Err(error.into()),
    };
    match answer {
        Ok(answer) => Ok(answer),
        Err(refused) => Err(authenticate::brake(ctx, refused, peer).await),
    }
}

async fn about(ctx: &Context, form: &Form, caller: &Resource) -> Result<Introspection, OAuthError> {
    let now = ctx.now();
    let token = form
        .one("token")
        .map_err(|repeated| OAuthError::new(ErrorCode::InvalidRequest, repeated.to_string()))?
        .ok_or_else(|| {
            OAuthError::new(ErrorCode::InvalidRequest, "token is missing; send the token to ask about")
        })?;
    if is_api_key(token) {
        return Ok(api_key::about(ctx, token, caller, now).await?);
    }
    let Some(live) = access_token::live(ctx, token, now).await? else { return Ok(Introspection::INACTIVE) };
    if !live.resource.uri.same_as(&caller.uri) {
        return Ok(Introspection::INACTIVE);
    }
    let carried = live.subject().still_carries(&live.claims);
    let claims = live.claims;
    Ok(Introspection::Active(Box::new(Active {
        active: true,
        token_type: "Bearer".to_owned(),
        iss: claims.iss.as_str().to_owned(),
        sub: claims.sub,
        aud: claims.aud.as_str().to_owned(),
        exp: Some(claims.exp),
        iat: claims.iat,
        jti: claims.jti,
        client_id: claims.client_id.as_str().to_owned(),
        scope: carried.scope.to_string(),
        sid: claims.sid,
        org: claims.org,
        auth_time: claims.auth_time,
        authorization_details: carried.details,
        entitled: carried.entitled,
        credential: None,
        act: claims.act,
    })))
}
