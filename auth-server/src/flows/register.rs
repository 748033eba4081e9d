//! Dynamic client registration (RFC 7591).

use doorward_shared::{
    client_id::ClientId,
    client_metadata::{ClientMetadata, RegistrationResponse},
    error::{ErrorCode, OAuthError},
    secret::{ClientSecret, Secret},
    token::AuthMethod,
};
use serde_json::{Map, Value};

use super::Context;
use crate::{domain::registration::admit, ephemeral::REGISTRATIONS, store::Applied};

/// Registers a client from this network.
pub async fn register(
    ctx: &Context,
    body: &Map<String, Value>,
    network: &str,
) -> Result<RegistrationResponse, OAuthError> {
    let now = ctx.now();
    let rules = &ctx.policy.registration;
    let over = ctx.ephemeral.bump(&REGISTRATIONS, network) > rules.per_address
        || ctx.ephemeral.bump(&REGISTRATIONS, "everywhere") > rules.overall;
    if over {
        return Err(OAuthError::new(
            ErrorCode::SlowDown,
            "too many registrations in the last hour; try again later",
        ));
    }
    let metadata = ClientMetadata::read(body, &rules.app_schemes)?;
    let secret = Secret::<ClientSecret>::generate(ctx.entropy.as_ref());
    let client = admit(&metadata, new_client_id(ctx), secret.hash(), &ctx.policy, now)?;
    if ctx.store.insert_client(&client).await? == Applied::Lost {
        // 128 random bits do not repeat; if they did, the source of randomness is broken.
        return Err(OAuthError::new(ErrorCode::ServerError, "the identifier was taken; register again"));
    }
    let confidential = metadata.token_endpoint_auth_method != AuthMethod::None;
    Ok(RegistrationResponse {
        client_id: client.id.as_str().to_owned(),
        client_id_issued_at: now.seconds(),
        client_secret: confidential.then(|| secret.expose().to_owned()),
        client_secret_expires_at: confidential.then_some(0),
        metadata,
    })
}

fn new_client_id(ctx: &Context) -> ClientId {
    let mut random = [0_u8; 16];
    ctx.entropy.fill(&mut random);
    let text = random.iter().fold("dcr_".to_owned(), |text, byte| text + &format!("{byte:02x}"));
    // Hexadecimal digits after a prefix are always a client identifier.
    ClientId::parse(&text).unwrap_or_else(|_| std::process::abort())
}
