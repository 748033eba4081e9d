//! The client configuration endpoint (RFC 7592): a client that registered itself reads, changes and removes its registration.

use doorward_shared::{
    client_id::ClientId,
    client_metadata::{ClientMetadata, RegistrationResponse},
    error::{ErrorCode, OAuthError},
    redirect_uri::RedirectUri,
    secret::{RegistrationToken, Secret},
};
use serde_json::{Map, Value};

use super::{Context, Peer, clients, register, token::authenticate};
use crate::{
    domain::{
        audit::{Action, Actor},
        client::Client,
        registration::{Registrant, metadata_of},
    },
    store::Applied,
};

/// What a request names and shows.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The identifier in the path.
    pub client_id: &'a str,
    /// The token of the header.
    pub token: &'a str,
    /// The address of the endpoint, for every client.
    pub address: &'a str,
}

/// What is stored of the client (RFC 7592 §2.1). A secret is shown once, when it is made, and not here.
pub async fn read(ctx: &Context, asked: Asked<'_>, peer: &Peer) -> Result<RegistrationResponse, OAuthError> {
    let registrant = prove(ctx, asked, peer).await?;
    Ok(answer(registrant.client(), asked.token, asked.address))
}

/// Replaces what the client says about itself (RFC 7592 §2.2). The token is replaced, too: the one that was shown is spent.
pub async fn replace(
    ctx: &Context,
    asked: Asked<'_>,
    body: &Map<String, Value>,
    peer: &Peer,
) -> Result<RegistrationResponse, OAuthError> {
    let now = ctx.now();
    let registrant = prove(ctx, asked, peer).await?;
    register::count_one_of_network(ctx, peer, now).await?;
    let metadata = ClientMetadata::read(body, &ctx.policy.registration.app_schemes)?;
    let token = Secret::<RegistrationToken>::generate(ctx.entropy.as_ref());
    let replacement = registrant.replace(body, &metadata, token.hash(), &ctx.policy, now)?;
    let client = replacement.client();
    let actor = Actor::Client(client.id.clone());
    let uris: Vec<_> = client.redirect_uris.iter().map(RedirectUri::as_str).collect();
    let event = ctx.event(Action::ClientChanged, actor, peer, now).on(&client.id).with("redirect_uris", uris);
    match ctx.store.replace_registration(&replacement, &event).await? {
        Applied::Done => Ok(answer(client, token.expose(), asked.address)),
        Applied::Lost => Err(overtaken()),
    }
}

/// Removes the client and all that it was allowed (RFC 7592 §2.3).
pub async fn remove(ctx: &Context, asked: Asked<'_>, peer: &Peer) -> Result<(), OAuthError> {
    let now = ctx.now();
    let registrant = prove(ctx, asked, peer).await?;
    let deregistration = registrant.deregister(&ctx.policy, now);
    let actor = Actor::Client(deregistration.client.clone());
    let event = ctx.event(Action::ClientDeleted, actor, peer, now).on(&deregistration.client);
    match ctx.store.deregister(&deregistration, &event).await? {
        Applied::Done => Ok(()),
        Applied::Lost => Err(overtaken()),
    }
}

/// The client whose token was shown. What is not one of ours is looked up all the same; whoever guesses too often is braked.
async fn prove(ctx: &Context, asked: Asked<'_>, peer: &Peer) -> Result<Registrant, OAuthError> {
    let client = match ClientId::parse(asked.client_id) {
        Ok(id) => clients::find(ctx, &id).await?,
        Err(_) => None,
    };
    match Registrant::prove(client, Secret::parse(asked.token).as_ref()) {
        Ok(registrant) => Ok(registrant),
        Err(error) => Err(authenticate::brake(ctx, error.into(), peer).await.error),
    }
}

fn answer(client: &Client, token: &str, address: &str) -> RegistrationResponse {
    RegistrationResponse {
        client_id: client.id.as_str().to_owned(),
        client_id_issued_at: client.created_at.seconds(),
        client_secret: None,
        client_secret_expires_at: None,
        registration_access_token: token.to_owned(),
        registration_client_uri: address.replace("{client_id}", client.id.as_str()),
        metadata: metadata_of(client),
    }
}

/// Another request with the same token, or an administrator, was first.
fn overtaken() -> OAuthError {
    let text = "the registration access token was used by another request; go on with the one that it got";
    OAuthError::new(ErrorCode::InvalidToken, text)
}
