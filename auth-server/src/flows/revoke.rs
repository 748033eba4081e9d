//! Revocation by the client (RFC 7009). Whatever token of a grant is presented, the grant ends: a signed token cannot be
//! taken back one by one, and a client that gives up its token gives up the sign-in.

use doorward_shared::{
    error::{ErrorCode, OAuthError},
    form::Form,
    secret::{RefreshToken, Secret},
    token::PresentedClient,
};

use super::{
    Context,
    token::authenticate::{self, Refused},
    userinfo,
};
use crate::domain::{client::Client, client_auth::AuthenticatedClient, refresh};

/// Revokes the presented token. An unknown one, or one of somebody else, is no error (RFC 7009 §2.2).
pub async fn revoke(ctx: &Context, form: &Form, presented: &PresentedClient) -> Result<(), Refused> {
    let client = authenticate::load(ctx, presented).await?;
    end_of_token(ctx, form, presented, &client).await.map_err(Refused::to_known_client)
}

async fn end_of_token(
    ctx: &Context,
    form: &Form,
    presented: &PresentedClient,
    client: &Client,
) -> Result<(), OAuthError> {
    let who = authenticate::prove(client, presented)?;
    let token = form
        .one("token")
        .map_err(|repeated| OAuthError::new(ErrorCode::InvalidRequest, repeated.to_string()))?
        .ok_or_else(|| OAuthError::new(ErrorCode::InvalidRequest, "token is missing"))?;
    if let Some(secret) = Secret::<RefreshToken>::parse(token) {
        if let Some(stored) = ctx.store.refresh_token(&secret.hash()).await? {
            end(ctx, &who, &stored.grant).await?;
        }
    } else if let Some(grant) = userinfo::grant_of(ctx, token).await? {
        end(ctx, &who, &grant.0).await?;
    }
    Ok(())
}

async fn end(
    ctx: &Context,
    who: &AuthenticatedClient<'_>,
    grant: &crate::domain::grant::Grant,
) -> Result<(), OAuthError> {
    if let Some(revocation) = refresh::revoke(grant, who, ctx.now()) {
        // Lost: somebody else ended it at the same moment, which is what was wanted.
        let _ended = ctx.store.end_grant(&revocation).await?;
    }
    Ok(())
}
