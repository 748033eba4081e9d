//! Token introspection (RFC 7662), for registered resource servers and confidential clients: whether a token is good now, and
//! what it allows now.

use std::sync::Arc;

use doorward_shared::{
    client_id::ClientId,
    error::{ErrorCode, OAuthError},
    form::Form,
    introspection::{Active, Introspection},
    token::{PresentedClient, unknown_client},
};

use super::{
    Context, Peer, access_token, api_key, resource_servers,
    token::authenticate::{self, Refused},
};
use crate::domain::{api_key::is_api_key, client::Credentials, resource::Resource};

/// Who may ask.
enum Caller {
    /// About tokens and keys that are for it.
    ResourceServer(Box<Resource>),
    /// About access tokens that it was given.
    Client(ClientId),
}

/// Answers a resource server about a token that is for it, and a confidential client about one that it was given. Nothing is
/// told about any other token.
pub async fn introspect(
    ctx: &Arc<Context>,
    form: &Form,
    presented: &PresentedClient,
    peer: &Peer,
) -> Result<Introspection, Refused> {
    let answer = match authenticate(ctx, presented).await {
        Ok(caller) => about(ctx, form, &caller, peer).await.map_err(Refused::to_known_client),
        Err(error) => Err(error.into()),
    };
    match answer {
        Ok(answer) => Ok(answer),
        Err(refused) => Err(authenticate::brake(ctx, refused, peer).await),
    }
}

async fn authenticate(ctx: &Context, presented: &PresentedClient) -> Result<Caller, OAuthError> {
    if ctx.store.resource_of(&presented.client_id).await?.is_some() {
        return Ok(Caller::ResourceServer(Box::new(resource_servers::authenticate(ctx, presented).await?)));
    }
    let client = authenticate::load(ctx, presented).await?;
    authenticate::prove(&client, presented)?;
    if matches!(client.credentials, Credentials::Public) {
        // It proves nothing, and a token says nothing to somebody who found it (RFC 7662 §4).
        return Err(unknown_client().because("a public client has nothing to prove itself with"));
    }
    Ok(Caller::Client(client.id))
}

async fn about(
    ctx: &Arc<Context>,
    form: &Form,
    caller: &Caller,
    peer: &Peer,
) -> Result<Introspection, OAuthError> {
    let now = ctx.now();
    let token = form
        .one("token")
        .map_err(|repeated| OAuthError::new(ErrorCode::InvalidRequest, repeated.to_string()))?
        .ok_or_else(|| {
            OAuthError::new(ErrorCode::InvalidRequest, "token is missing; send the token to ask about")
        })?;
    if is_api_key(token) {
        return match caller {
            Caller::ResourceServer(resource) => Ok(api_key::about(ctx, token, resource, peer, now).await?),
            Caller::Client(_) => Ok(Introspection::INACTIVE),
        };
    }
    let Some(live) = access_token::live(ctx, token, now).await? else { return Ok(Introspection::INACTIVE) };
    let concerned = match caller {
        Caller::ResourceServer(resource) => live.resource.uri.same_as(&resource.uri),
        Caller::Client(id) => live.client.id == *id,
    };
    if !concerned {
        return Ok(Introspection::INACTIVE);
    }
    let carried = live.subject(&ctx.policy.registration).still_carries(&live.claims);
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
        rate_limit: None,
        act: claims.act,
    })))
}
