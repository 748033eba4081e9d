//! The caller of the token and revocation endpoints: found, then proven.

use doorward_shared::{
    error::{ErrorCode, OAuthError},
    token::{PresentedClient, unknown_client},
};

use crate::{
    domain::{
        client::Client,
        client_auth::{self, AuthenticatedClient},
    },
    ephemeral::TOKEN_FAILURES,
    flows::{Context, Peer, clients},
};

/// A refusal at these endpoints.
#[derive(Debug)]
pub struct Refused {
    /// What the caller is told.
    pub error: OAuthError,
    /// Whether the client that the caller names is one of ours. What else stands in its place may be anything, a misplaced
    /// secret too, and is for no log.
    pub known: bool,
}

impl From<OAuthError> for Refused {
    fn from(error: OAuthError) -> Self {
        Self { error, known: false }
    }
}

impl Refused {
    /// A refusal after the client was found.
    pub fn to_known_client(error: OAuthError) -> Self {
        Self { error, known: true }
    }
}

/// Finds the client.
pub async fn load(ctx: &Context, presented: &PresentedClient) -> Result<Client, OAuthError> {
    clients::find(ctx, &presented.client_id).await?.ok_or_else(|| unknown_client().because("no such client"))
}

/// Proves it.
pub fn prove<'a>(
    client: &'a Client,
    presented: &PresentedClient,
) -> Result<AuthenticatedClient<'a>, OAuthError> {
    client_auth::authenticate(client, &presented.proof)
}

/// Counts what looks like a guess, and hides the answer from whoever guesses too often.
pub async fn brake(ctx: &Context, refused: Refused, peer: &Peer) -> Refused {
    let guess = matches!(
        refused.error.code(),
        ErrorCode::InvalidClient
            | ErrorCode::InvalidGrant
            | ErrorCode::InvalidToken
            | ErrorCode::RefreshReplayed
    );
    if !guess {
        return refused;
    }
    let now = ctx.now();
    let failures = ctx.ephemeral.bump(&TOKEN_FAILURES, &peer.network, now).await;
    if ctx.over(failures, ctx.policy.limits.token_failures, "token_failures", peer, now).await {
        let text = "too many failed requests from this network; wait a minute";
        return Refused { error: OAuthError::new(ErrorCode::TooManyRequests, text), ..refused };
    }
    refused
}
