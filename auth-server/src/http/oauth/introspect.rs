//! `POST /oauth2/introspect` (RFC 7662), for resource servers and confidential clients.

use actix_web::{HttpRequest, HttpResponse};
use doorward_shared::token::PresentedClient;

use crate::{
    flows,
    http::{
        Data,
        error::JsonError,
        extract::{StrictForm, authorization, resource_server},
        headers::Facts,
    },
};

/// Says whether a token is good at the resource server that asks, or in the hands of the client that asks.
pub(in crate::http) async fn post(
    site: Data,
    request: HttpRequest,
    StrictForm(form): StrictForm,
) -> Result<HttpResponse, JsonError> {
    let header = authorization(&request)?;
    let facts = |caller: Option<&PresentedClient>| Facts {
        client_id: caller.map(|caller| caller.client_id.to_string()),
        grant_type: None,
    };
    let fail = |error, caller| JsonError::from(error).answering(header.is_some(), facts(caller));
    let presented = resource_server(header, &form)?;
    let peer = site.proxies.peer_of(&request);
    let answer = flows::introspect::introspect(&site.context, &form, &presented, &peer).await;
    let answer = answer.map_err(|refused| fail(refused.error, refused.known.then_some(&presented)))?;
    let mut response = HttpResponse::Ok().json(answer);
    response.extensions_mut().insert(facts(Some(&presented)));
    Ok(response)
}
