//! Resource servers that call this server, with the credentials that they got when they were registered.

use doorward_shared::{
    error::OAuthError,
    secret::{ClientSecret, Secret},
    token::{PresentedClient, PresentedProof, unknown_client},
};

use super::Context;
use crate::domain::resource::Resource;

/// Proves the caller: a resource server, by its secret in a Basic header or in the body (RFC 7662 §2.1).
pub(super) async fn authenticate(ctx: &Context, presented: &PresentedClient) -> Result<Resource, OAuthError> {
    let found = ctx.store.resource_of(&presented.client_id).await?;
    let resource = found.ok_or_else(|| unknown_client().because("no such resource server"))?;
    let secret = match &presented.proof {
        PresentedProof::Basic(secret) | PresentedProof::Post(secret) => Secret::<ClientSecret>::parse(secret),
        PresentedProof::None => None,
    };
    if secret.is_some_and(|secret| resource.knows(&secret)) {
        Ok(resource)
    } else {
        Err(unknown_client().because("the secret of a resource server is missing or wrong"))
    }
}
