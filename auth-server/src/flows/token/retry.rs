//! Keeping the answer to a refresh, and giving it again.

use doorward_shared::{
    error::{ErrorCode, OAuthError},
    scope::Scope,
    secret::{RefreshToken, Secret},
    time::Timestamp,
    token::{Refresh, TokenResponse},
};
use serde::{Deserialize, Serialize};

use crate::{
    domain::refresh::retry::{KeptAnswer, Retry, Sender},
    flows::{Context, Peer},
    keys::{open_answer, seal_answer},
};

/// An answer as it is sealed.
#[derive(Serialize, Deserialize)]
struct Answer {
    access_token: String,
    expires_at: Timestamp,
    refresh_token: String,
    scope: Scope,
    id_token: Option<String>,
}

/// Where this request comes from.
pub(super) fn sender(peer: &Peer, now: Timestamp) -> Sender {
    // As the use of the grant is written down: shortened, without control characters.
    Sender { network: peer.network.clone(), agent: peer.uses(now).agent }
}

/// Seals an answer that is about to be given.
pub(super) fn keep(
    ctx: &Context,
    (used, fresh): (&Secret<RefreshToken>, &Secret<RefreshToken>),
    answer: &TokenResponse,
    asked: &Refresh,
    from: &Sender,
    now: Timestamp,
) -> Result<KeptAnswer, OAuthError> {
    let answer = Answer {
        access_token: answer.access_token.clone(),
        expires_at: Timestamp::from_seconds(now.seconds() + answer.expires_in),
        refresh_token: fresh.expose().to_owned(),
        scope: answer.scope.clone(),
        id_token: answer.id_token.clone(),
    };
    let plain = zeroize::Zeroizing::new(serde_json::to_vec(&answer).map_err(broken)?);
    let sealed = seal_answer(used, &plain, ctx.entropy.as_ref()).map_err(broken)?;
    Ok(KeptAnswer::new(sealed, asked, from.clone()))
}

/// Opens an answer that is given again. The tokens are the same; how long the access token still lives is said anew.
pub(super) fn again(
    used: &Secret<RefreshToken>,
    retry: &Retry,
    now: Timestamp,
) -> Result<TokenResponse, OAuthError> {
    let plain =
        open_answer(used, &retry.answer.sealed).ok_or_else(|| broken("the kept answer does not open"))?;
    let answer: Answer = serde_json::from_slice(&plain).map_err(broken)?;
    Ok(TokenResponse {
        access_token: answer.access_token,
        token_type: "Bearer",
        expires_in: answer.expires_at.since(now).get().max(0),
        refresh_token: Some(answer.refresh_token),
        scope: answer.scope,
        id_token: answer.id_token,
    })
}

fn broken(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OAuthError {
    OAuthError::new(ErrorCode::ServerError, "the server made an error; its log has the reason").because(cause)
}
