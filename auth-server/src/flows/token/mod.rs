//! The token endpoint (RFC 6749 §3.2). What every grant needs happens here, before the match: no grant can forget it.

pub mod authenticate;
mod authorization_code;
mod refresh_token;
mod retry;

use std::sync::Arc;

use doorward_shared::{
    error::OAuthError,
    form::Form,
    scope::Scope,
    secret::{RefreshToken, Secret},
    time::Timestamp,
    token::{PresentedClient, TokenRequest, TokenResponse},
};

use self::authenticate::Refused;
use super::{Context, Peer, random_hex, signing};
use crate::domain::{client::Client, token::Subject};

/// Answers a token request from this network. What is right is always served; whoever fails too often is told to slow down,
/// so that neighbours in one network cannot shut each other out.
pub async fn exchange(
    ctx: &Arc<Context>,
    form: &Form,
    presented: &PresentedClient,
    peer: &Peer,
) -> Result<TokenResponse, Refused> {
    let answer = match authenticate::load(ctx, presented).await {
        Ok(client) => dispatch(ctx, form, presented, &client, peer).await.map_err(Refused::to_known_client),
        Err(error) => Err(error.into()),
    };
    match answer {
        Err(refused) => Err(authenticate::brake(ctx, refused, peer).await),
        done => done,
    }
}

async fn dispatch(
    ctx: &Arc<Context>,
    form: &Form,
    presented: &PresentedClient,
    client: &Client,
    peer: &Peer,
) -> Result<TokenResponse, OAuthError> {
    let who = authenticate::prove(client, presented)?;
    let request = TokenRequest::parse(form)?;
    who.may_use(request.grant_type())?;
    match &request {
        TokenRequest::AuthorizationCode(asked) => authorization_code::redeem(ctx, &who, asked, peer).await,
        TokenRequest::RefreshToken(asked) => refresh_token::refresh(ctx, &who, asked, peer).await,
    }
}

/// A token answer, signed and not yet sent.
struct Signed {
    access_token: String,
    expires_in: i64,
    scope: Scope,
    id_token: Option<String>,
}

/// Signs what a verdict allows. Signing comes before the write: if it fails nothing was spent, and if the write is lost
/// the signed token is dropped.
fn sign(
    ctx: &Context,
    subject: &Subject<'_>,
    narrowed_to: Option<&Scope>,
    nonce: Option<&str>,
    now: Timestamp,
) -> Result<Signed, OAuthError> {
    use doorward_shared::jose::{access_token, id_token};
    let carried = subject.carries(narrowed_to);
    let claims = subject.access_token(&carried, random_hex(ctx.entropy.as_ref()), &ctx.policy, now);
    // One key for both tokens, whatever happens to the ring meanwhile.
    let signer = ctx.keys.signer().map_err(signing)?;
    let access_token = signer.sign(access_token::TYPE, &claims).map_err(signing)?;
    let id_token = subject
        .id_token(&carried.scope, nonce, (&access_token, signer.algorithm()), &ctx.policy, now)
        .map(|claims| signer.sign(id_token::TYPE, &claims).map_err(signing))
        .transpose()?;
    Ok(Signed { access_token, expires_in: claims.exp.since(now).get(), scope: carried.scope, id_token })
}

impl Signed {
    fn with(self, refresh_token: Option<&Secret<RefreshToken>>) -> TokenResponse {
        TokenResponse {
            access_token: self.access_token,
            token_type: "Bearer",
            expires_in: self.expires_in,
            refresh_token: refresh_token.map(|token| token.expose().to_owned()),
            scope: self.scope,
            id_token: self.id_token,
        }
    }
}
