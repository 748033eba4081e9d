//! Revocation by the client (RFC 7009). Whatever token of a grant is presented, the grant ends: a signed token cannot be
//! taken back one by one, and a client that gives up its token gives up the sign-in.

use doorward_shared::{
    error::{ErrorCode, OAuthError},
    form::Form,
    secret::{RefreshToken, Secret},
    time::Timestamp,
    token::PresentedClient,
};

use super::{
    Context, Peer, access_token,
    token::authenticate::{self, Refused},
};
use crate::domain::{
    audit::{Action, Actor},
    client::Client,
    refresh,
};

/// Revokes the presented token. An unknown one, or one of somebody else, is no error (RFC 7009 §2.2).
pub async fn revoke(
    ctx: &Context,
    form: &Form,
    presented: &PresentedClient,
    peer: &Peer,
) -> Result<(), Refused> {
    let now = ctx.now();
    let answer = match authenticate::load(ctx, presented).await {
        Ok(client) => {
            end_of_token(ctx, form, presented, &client, peer, now).await.map_err(Refused::to_known_client)
        }
        Err(error) => Err(error.into()),
    };
    match answer {
        Err(refused) => Err(authenticate::brake(ctx, refused, peer).await),
        done => done,
    }
}

async fn end_of_token(
    ctx: &Context,
    form: &Form,
    presented: &PresentedClient,
    client: &Client,
    peer: &Peer,
    now: Timestamp,
) -> Result<(), OAuthError> {
    let who = authenticate::prove(client, presented)?;
    let token = form
        .one("token")
        .map_err(|repeated| OAuthError::new(ErrorCode::InvalidRequest, repeated.to_string()))?
        .ok_or_else(|| {
            OAuthError::new(ErrorCode::InvalidRequest, "token is missing; send the token to revoke")
        })?;
    let grant = match Secret::<RefreshToken>::parse(token) {
        Some(secret) => ctx.store.refresh_token(&secret.hash()).await?.map(|stored| stored.grant),
        None => access_token::grant_of(ctx, token, now).await?,
    };
    if let Some(revocation) = grant.and_then(|grant| refresh::revoke(&grant, &who, &ctx.policy.token, now)) {
        // Lost: somebody else ended it at the same moment, which is what was wanted.
        let actor = Actor::Client(client.id.clone());
        let event = ctx.event(Action::GrantRevoked, actor, peer, now).on(revocation.grant());
        let _ended = ctx.store.end_grant(&revocation, &event).await?;
    }
    Ok(())
}
