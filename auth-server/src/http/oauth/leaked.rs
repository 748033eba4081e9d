//! `POST /oauth2/leaked`: secret scanners say which keys they found.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use crate::{
    flows,
    http::{Data, error::JsonError, extract},
};

/// Revokes what was found. Unknown keys are answered alike.
pub(in crate::http) async fn post(
    site: Data,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, JsonError> {
    let body = extract::read(&request, &mut payload.into_inner(), Some("application/json")).await?;
    let peer = site.proxies.peer_of(&request);
    let received = flows::leaked::report(&site.context, &body, &peer).await?;
    Ok(HttpResponse::Ok().json(json!({ "received": received })))
}
