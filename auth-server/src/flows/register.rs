//! Dynamic client registration (RFC 7591).

use doorward_shared::{
    client_id::ClientId,
    client_metadata::{ClientMetadata, RegistrationResponse},
    error::{ErrorCode, OAuthError},
    secret::{ClientSecret, RegistrationToken, Secret},
    time::Timestamp,
    token::AuthMethod,
};
use serde_json::{Map, Value};

use super::{Context, Peer, random_hex};
use crate::{
    domain::{
        audit::{Action, Actor},
        registration::admit,
    },
    ephemeral::REGISTRATIONS,
    store::Applied,
};

/// Registers a client from this network. `address` is the one of the client configuration endpoint, for every client.
pub async fn register(
    ctx: &Context,
    body: &Map<String, Value>,
    address: &str,
    peer: &Peer,
) -> Result<RegistrationResponse, OAuthError> {
    let now = ctx.now();
    let rules = &ctx.policy.registration;
    count_one_of_network(ctx, peer, now).await?;
    let metadata = ClientMetadata::read(body, &rules.app_schemes)?;
    // Only what is about to be stored counts for everybody: nonsense from one corner must not close the door.
    let registered = ctx.ephemeral.bump(&REGISTRATIONS, "everywhere", now).await;
    if ctx.over(registered, rules.overall, "registrations_overall", peer, now).await {
        return Err(too_many());
    }
    let secret = Secret::<ClientSecret>::generate(ctx.entropy.as_ref());
    let token = Secret::<RegistrationToken>::generate(ctx.entropy.as_ref());
    let client = admit(&metadata, new_client_id(ctx), secret.hash(), token.hash(), &ctx.policy, now)?;
    let event = ctx.event(Action::ClientRegistered, Actor::Stranger, peer, now).on(&client.id);
    if ctx.store.insert_client(&client, &event).await? == Applied::Lost {
        // 128 random bits do not repeat; if they did, the source of randomness is broken.
        return Err(OAuthError::new(ErrorCode::ServerError, "the identifier was taken; register again"));
    }
    let confidential = metadata.token_endpoint_auth_method != AuthMethod::None;
    Ok(RegistrationResponse {
        client_id: client.id.as_str().to_owned(),
        client_id_issued_at: now.seconds(),
        client_secret: confidential.then(|| secret.expose().to_owned()),
        client_secret_expires_at: confidential.then_some(0),
        registration_access_token: token.expose().to_owned(),
        registration_client_uri: address.replace("{client_id}", client.id.as_str()),
        metadata,
    })
}

/// Counts a registration, or a change of one, that comes from this network.
pub(super) async fn count_one_of_network(
    ctx: &Context,
    peer: &Peer,
    now: Timestamp,
) -> Result<(), OAuthError> {
    let registered = ctx.ephemeral.bump(&REGISTRATIONS, &peer.network, now).await;
    let most = ctx.policy.registration.per_address;
    if ctx.over(registered, most, "registrations_per_address", peer, now).await {
        return Err(too_many());
    }
    Ok(())
}

fn too_many() -> OAuthError {
    OAuthError::new(ErrorCode::TooManyRequests, "too many registrations in the last hour; try again later")
}

fn new_client_id(ctx: &Context) -> ClientId {
    let text = format!("dcr_{}", random_hex(ctx.entropy.as_ref()));
    // Hexadecimal digits after a prefix are always a client identifier.
    ClientId::parse(&text).unwrap_or_else(|_| std::process::abort())
}
