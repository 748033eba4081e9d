//! The caller of the token and revocation endpoints: found, then proven.

use doorward_shared::{
    error::OAuthError,
    token::{PresentedClient, unknown_client},
};

use crate::{
    domain::{
        client::Client,
        client_auth::{self, AuthenticatedClient},
    },
    flows::{Context, clients},
};

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
