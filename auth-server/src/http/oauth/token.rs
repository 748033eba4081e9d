//! `POST /oauth2/token` (RFC 6749 §3.2).

use actix_web::{HttpRequest, HttpResponse};
use doorward_shared::token::{GrantType, PresentedClient};

use crate::{
    flows,
    http::{
        Data,
        error::JsonError,
        extract::{StrictForm, authorization},
        headers::Facts,
    },
};

/// Gives tokens.
pub(in crate::http) async fn post(
    site: Data,
    request: HttpRequest,
    StrictForm(form): StrictForm,
) -> Result<HttpResponse, JsonError> {
    let header = authorization(&request)?;
    // A body in another encoding than it says is one long parameter, with the refresh token in it.
    let grant_type = form.one("grant_type").ok().flatten();
    let grant_type = grant_type.map(|text| GrantType::parse(text).map_or("other", GrantType::as_str));
    let facts = |client: Option<&PresentedClient>| Facts {
        client_id: client.map(|client| client.client_id.to_string()),
        grant_type: grant_type.map(String::from),
    };
    let fail = |error, client| JsonError::from(error).answering(header.is_some(), facts(client));
    let presented = PresentedClient::read(header, &form).map_err(|error| fail(error, None))?;
    let peer = site.proxies.peer_of(&request);
    let tokens = flows::token::exchange(&site.context, &form, &presented, &peer).await;
    let tokens = tokens.map_err(|refused| fail(refused.error, refused.known.then_some(&presented)))?;
    let mut response = HttpResponse::Ok().json(tokens);
    response.extensions_mut().insert(facts(Some(&presented)));
    Ok(response)
}
