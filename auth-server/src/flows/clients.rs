//! A client identifier becomes a client, wherever it lives.

use doorward_shared::{client_id::ClientId, client_metadata::About, token::GrantType};

use super::Context;
use crate::{
    domain::client::{Client, Credentials, Origin},
    store::Result,
};

/// The client with this identifier.
pub async fn find(ctx: &Context, id: &ClientId) -> Result<Option<Client>> {
    ctx.store.client(id).await
}

/// Brings the stored fixed client in line with the configuration.
pub async fn seed_fixed(ctx: &Context) -> Result<()> {
    let Some(fixed) = &ctx.policy.fixed_client else { return Ok(()) };
    let client = Client {
        id: fixed.client_id.clone(),
        name: Some(fixed.name.clone()),
        origin: Origin::Fixed,
        redirect_uris: fixed.redirect_uris.clone(),
        post_logout_redirect_uris: vec![],
        grant_types: GrantType::ALL.to_vec(),
        credentials: Credentials::Public,
        registration_token: None,
        ceiling: None,
        ceiling_places: vec![],
        backchannel_logout: None,
        created_at: ctx.now(),
        disabled_at: None,
        revoked_until: None,
        about: About::default(),
    };
    ctx.store.put_configured_client(&client).await
}
