//! The one door for clients that register themselves: checked metadata becomes a client.

use doorward_shared::{
    client_id::ClientId,
    client_metadata::ClientMetadata,
    error::{ErrorCode, OAuthError},
    issuer::Issuer,
    secret::{ClientSecret, SecretHash},
    time::Timestamp,
    token::AuthMethod,
};
use url::Url;

use super::{
    client::{Client, ConfidentialMethod, Credentials, Origin},
    policy::Policy,
};

/// Admits a client. `secret` is used only when the metadata ask for one.
pub fn admit(
    metadata: &ClientMetadata,
    id: ClientId,
    secret: SecretHash<ClientSecret>,
    policy: &Policy,
    now: Timestamp,
) -> Result<Client, OAuthError> {
    let named = metadata.redirect_uris.iter().chain(&metadata.post_logout_redirect_uris);
    if named.into_iter().any(|uri| points_to(&policy.issuer, uri.as_str())) {
        return Err(OAuthError::new(
            ErrorCode::InvalidRedirectUri,
            "a redirect URI cannot point to the authorization server itself",
        ));
    }
    let credentials = match metadata.token_endpoint_auth_method {
        AuthMethod::None => Credentials::Public,
        AuthMethod::ClientSecretPost => Credentials::confidential(ConfidentialMethod::Post, secret),
        AuthMethod::ClientSecretBasic => Credentials::confidential(ConfidentialMethod::Basic, secret),
    };
    Ok(Client {
        id,
        name: metadata.client_name.clone(),
        origin: Origin::Dynamic,
        redirect_uris: metadata.redirect_uris.clone(),
        post_logout_redirect_uris: metadata.post_logout_redirect_uris.clone(),
        grant_types: metadata.grant_types.clone(),
        credentials,
        ceiling: None,
        ceiling_places: vec![],
        backchannel_logout: None,
        created_at: now,
        disabled_at: None,
        revoked_until: None,
        about: metadata.about.clone(),
    })
}

/// True when a redirect URI leads to this server itself. On loopback every name of the machine with our port does.
pub fn points_to(issuer: &Issuer, uri: &str) -> bool {
    let (Ok(uri), Ok(ours)) = (Url::parse(uri), Url::parse(issuer.as_str())) else { return false };
    let loopback = |url: &Url| matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let same_machine = issuer.is_loopback() && loopback(&uri) && uri.scheme() == ours.scheme();
    uri.origin() == ours.origin()
        || (same_machine && uri.port_or_known_default() == ours.port_or_known_default())
}
