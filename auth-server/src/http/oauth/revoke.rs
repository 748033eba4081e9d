//! `POST /oauth2/revoke` (RFC 7009).

use actix_web::{HttpRequest, HttpResponse};
use doorward_shared::token::PresentedClient;

use crate::{
    flows,
    http::{
        Data,
        error::JsonError,
        extract::{StrictForm, authorization},
        headers::Facts,
    },
};

/// Ends what the token belongs to. Unknown tokens are answered alike.
pub(in crate::http) async fn post(
    site: Data,
    request: HttpRequest,
    StrictForm(form): StrictForm,
) -> Result<HttpResponse, JsonError> {
    let header = authorization(&request)?;
    let facts = |client: Option<&PresentedClient>| Facts {
        client_id: client.map(|client| client.client_id.to_string()),
        grant_type: None,
    };
    let fail = |error, client| JsonError::from(error).answering(header.is_some(), facts(client));
    let presented = PresentedClient::read(header, &form).map_err(|error| fail(error, None))?;
    let peer = site.proxies.peer_of(&request);
    let revoked = flows::revoke::revoke(&site.context, &form, &presented, &peer).await;
    revoked.map_err(|refused| fail(refused.error, refused.known.then_some(&presented)))?;
    let mut response = HttpResponse::Ok().finish();
    response.extensions_mut().insert(facts(Some(&presented)));
    Ok(response)
}
