//! `/oauth2/userinfo` (OpenID Connect Core §5.3). The token is read from the header only (RFC 6750 §2.1).

use actix_web::{HttpRequest, HttpResponse, http::header};
use doorward_shared::{bearer, error::OAuthError};

use crate::{
    flows,
    http::{Data, error::BearerError},
};

/// Tells about the person behind the token.
pub(in crate::http) async fn answer(site: Data, request: HttpRequest) -> Result<HttpResponse, BearerError> {
    let headers = request.headers().get_all(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
    let token = bearer::token(headers).map_err(|syntax| {
        OAuthError::new(syntax.code(), "send one header: Authorization: Bearer <access token>")
    })?;
    let token = token.ok_or_else(BearerError::missing)?;
    Ok(HttpResponse::Ok().json(flows::userinfo::userinfo(&site.context, token).await?))
}
