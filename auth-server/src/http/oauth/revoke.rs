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
    let fail = |error, facts: &Facts| JsonError::from(error).answering(header.is_some(), facts.clone());
    let presented = PresentedClient::read(header, &form).map_err(|error| fail(error, &Facts::default()))?;
    let facts = Facts { client_id: Some(presented.client_id.to_string()), grant_type: None };
    flows::revoke::revoke(&site.context, &form, &presented).await.map_err(|error| fail(error, &facts))?;
    let mut response = HttpResponse::Ok().finish();
    response.extensions_mut().insert(facts);
    Ok(response)
}
