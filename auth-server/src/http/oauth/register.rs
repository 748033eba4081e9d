//! `POST /oauth/clients/register` (RFC 7591).

use actix_web::{HttpRequest, HttpResponse};

use crate::{
    flows,
    http::{
        Data,
        endpoints::{self, Name},
        error::JsonError,
        extract::StrictJson,
        headers::Facts,
    },
};

/// Registers a client.
pub(in crate::http) async fn post(
    site: Data,
    request: HttpRequest,
    StrictJson(body): StrictJson,
) -> Result<HttpResponse, JsonError> {
    let peer = site.proxies.peer_of(&request);
    let address = endpoints::url(&site.context.policy, Name::ClientConfiguration);
    let registered = flows::register::register(&site.context, &body, &address, &peer).await?;
    let facts = Facts { client_id: Some(registered.client_id.clone()), grant_type: None };
    let mut response = HttpResponse::Created().json(registered);
    response.extensions_mut().insert(facts);
    Ok(response)
}
