//! `/oauth/clients/register/{client_id}` (RFC 7592). The token is read from the header only (RFC 6750 §2.1).

use actix_web::{HttpRequest, HttpResponse, http::header, web::Path};
use doorward_shared::{
    bearer,
    error::{ErrorCode, OAuthError},
};

use crate::{
    flows::client_configuration::{self, Asked},
    http::{
        Data,
        endpoints::{self, Name},
        error::{BearerError, JsonError},
        extract::StrictJson,
        headers::Facts,
    },
};

/// Shows the registration.
pub(in crate::http) async fn get(
    site: Data,
    request: HttpRequest,
    client_id: Path<String>,
) -> Result<HttpResponse, actix_web::Error> {
    let (token, peer) = (token(&request)?, site.proxies.peer_of(&request));
    let address = endpoints::url(&site.context.policy, Name::ClientConfiguration);
    let asked = Asked { client_id: &client_id, token, address: &address };
    let registered = client_configuration::read(&site.context, asked, &peer).await.map_err(refused)?;
    Ok(told(&client_id, HttpResponse::Ok().json(registered)))
}

/// Replaces the registration.
pub(in crate::http) async fn put(
    site: Data,
    request: HttpRequest,
    client_id: Path<String>,
    StrictJson(body): StrictJson,
) -> Result<HttpResponse, actix_web::Error> {
    let (token, peer) = (token(&request)?, site.proxies.peer_of(&request));
    let address = endpoints::url(&site.context.policy, Name::ClientConfiguration);
    let asked = Asked { client_id: &client_id, token, address: &address };
    let replaced =
        client_configuration::replace(&site.context, asked, &body, &peer).await.map_err(refused)?;
    Ok(told(&client_id, HttpResponse::Ok().json(replaced)))
}

/// Removes the client.
pub(in crate::http) async fn delete(
    site: Data,
    request: HttpRequest,
    client_id: Path<String>,
) -> Result<HttpResponse, actix_web::Error> {
    let (token, peer) = (token(&request)?, site.proxies.peer_of(&request));
    let asked = Asked { client_id: &client_id, token, address: "" };
    client_configuration::remove(&site.context, asked, &peer).await.map_err(refused)?;
    Ok(told(&client_id, HttpResponse::NoContent().finish()))
}

fn token(request: &HttpRequest) -> Result<&str, BearerError> {
    let headers = request.headers().get_all(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
    let token = bearer::token(headers).map_err(|syntax| {
        OAuthError::new(syntax.code(), "send one header: Authorization: Bearer <registration access token>")
    })?;
    token.ok_or_else(BearerError::missing)
}

/// A token that is not good is answered with a challenge, everything else as at registration.
fn refused(error: OAuthError) -> actix_web::Error {
    match error.code() {
        ErrorCode::InvalidToken => BearerError::from(error).into(),
        _ => JsonError::from(error).into(),
    }
}

/// Who it was, for the log: known by now.
fn told(client_id: &str, mut response: HttpResponse) -> HttpResponse {
    response.extensions_mut().insert(Facts { client_id: Some(client_id.to_owned()), grant_type: None });
    response
}
