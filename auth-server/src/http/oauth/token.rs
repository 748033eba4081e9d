//! `POST /oauth2/token` (RFC 6749 §3.2).

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

/// Gives tokens.
pub(in crate::http) async fn post(
    site: Data,
    request: HttpRequest,
    StrictForm(form): StrictForm,
) -> Result<HttpResponse, JsonError> {
    let header = authorization(&request)?;
    let mut facts =
        Facts { client_id: None, grant_type: form.one("grant_type").ok().flatten().map(String::from) };
    let fail = |error, facts: &Facts| JsonError::from(error).answering(header.is_some(), facts.clone());
    let presented = PresentedClient::read(header, &form).map_err(|error| fail(error, &facts))?;
    facts.client_id = Some(presented.client_id.to_string());
    let network = site.proxies.network_of(&request);
    let tokens = flows::token::exchange(&site.context, &form, &presented, &network).await;
    let tokens = tokens.map_err(|error| fail(error, &facts))?;
    let mut response = HttpResponse::Ok().json(tokens);
    response.extensions_mut().insert(facts);
    Ok(response)
}
