//! `GET /oauth2/revocations`: the revocation feed, for resource servers. A long poll.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};
use doorward_shared::{
    error::{ErrorCode, OAuthError},
    form::Form,
    revocation::MEDIA_TYPE,
};

use crate::{
    flows::feed::{self, LONGEST_WAIT},
    http::{
        Data,
        error::JsonError,
        extract::{authorization, resource_server},
        headers::Facts,
    },
};

/// Answers with what came after a number.
pub(in crate::http) async fn get(site: Data, request: HttpRequest) -> Result<HttpResponse, JsonError> {
    let header = authorization(&request)?;
    // The secret never comes in the query; an empty form makes the header the only way.
    let presented = resource_server(header, &Form::default())?;
    let query = Form::parse(request.query_string())
        .map_err(|error| OAuthError::new(ErrorCode::InvalidRequest, error.to_string()))?;
    let after = number(&query, "after")?.unwrap_or(0);
    let wait = number(&query, "wait")?.and_then(|wait| u64::try_from(wait).ok()).map(Duration::from_secs);
    let peer = site.proxies.peer_of(&request);
    let facts = Facts { client_id: Some(presented.client_id.to_string()), grant_type: None };
    let page = feed::read(&site.context, &presented, after, wait.unwrap_or(LONGEST_WAIT), &peer).await;
    let page = page.map_err(|refused| {
        let facts = if refused.known { facts.clone() } else { Facts::default() };
        JsonError::from(refused.error).answering(true, facts)
    })?;
    let mut response = HttpResponse::Ok().content_type(MEDIA_TYPE).body(page.to_string());
    response.extensions_mut().insert(facts);
    Ok(response)
}

fn number(query: &Form, name: &'static str) -> Result<Option<i64>, OAuthError> {
    let refused = |text: String| OAuthError::new(ErrorCode::InvalidRequest, text);
    let Some(text) = query.one(name).map_err(|repeated| refused(repeated.to_string()))? else {
        return Ok(None);
    };
    let number = text.parse().ok().filter(|number| *number >= 0);
    number.map(Some).ok_or_else(|| refused(format!("{name} is a whole number, 0 or more")))
}
