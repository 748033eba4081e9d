//! The one error value in its renderings: JSON for machines, a challenge for bearers, a page for people.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{StatusCode, header},
};
use doorward_shared::{
    bearer::Challenge,
    error::{ErrorCode, OAuthError},
    scope::Scope,
};

use super::headers::Facts;

/// What the request's event will say about an error.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    /// The code on the wire.
    pub(super) code: &'static str,
    /// The private reason.
    pub(super) reason: String,
}

impl Trouble {
    fn of(error: &OAuthError) -> Self {
        let mut reason = error.cause().map(ToString::to_string).unwrap_or_default();
        let mut source = error.cause().and_then(std::error::Error::source);
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        Self { code: error.code().as_str(), reason }
    }
}

/// RFC 6749 §5.2. After a failed Basic header, `invalid_client` comes with a challenge for another try.
#[derive(Debug)]
pub(super) struct JsonError {
    error: OAuthError,
    status: Option<StatusCode>,
    basic: bool,
    facts: Facts,
}

impl JsonError {
    /// Answers with another status than the code's own.
    pub(super) fn with_status(error: OAuthError, status: StatusCode) -> Self {
        Self { status: Some(status), ..Self::from(error) }
    }

    /// Adds what is known about the caller: whether it used a Basic header, and what the request's event should say.
    pub(super) fn answering(mut self, basic: bool, facts: Facts) -> Self {
        self.basic = basic;
        self.facts = facts;
        self
    }
}

impl From<OAuthError> for JsonError {
    fn from(error: OAuthError) -> Self {
        Self { error, status: None, basic: false, facts: Facts::default() }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl ResponseError for JsonError {
    fn status_code(&self) -> StatusCode {
        self.status.unwrap_or_else(|| status(self.error.code()))
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status_code());
        if self.error.code() == ErrorCode::InvalidClient && self.basic {
            response.insert_header((header::WWW_AUTHENTICATE, r#"Basic realm="doorward", charset="UTF-8""#));
        }
        if let Some(seconds) = retry_after(self.error.code()) {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        let mut response = response.json(self.error.body());
        response.extensions_mut().insert(self.facts.clone());
        response.extensions_mut().insert(Trouble::of(&self.error));
        response
    }
}

impl actix_web::Responder for JsonError {
    type Body = BoxBody;

    fn respond_to(self, _: &actix_web::HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

/// RFC 6750 §3: a 401 or 403 with a challenge; everything else as JSON.
#[derive(Debug)]
pub(super) struct BearerError {
    error: Option<OAuthError>,
}

impl BearerError {
    /// No token came along: a bare challenge, without an error code (RFC 6750 §3.1).
    pub(super) const fn missing() -> Self {
        Self { error: None }
    }
}

impl From<OAuthError> for BearerError {
    fn from(error: OAuthError) -> Self {
        Self { error: Some(error) }
    }
}

impl fmt::Display for BearerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => error.fmt(f),
            None => f.write_str("no access token"),
        }
    }
}

impl ResponseError for BearerError {
    fn status_code(&self) -> StatusCode {
        self.error.as_ref().map_or(StatusCode::UNAUTHORIZED, |error| status(error.code()))
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status_code());
        let Some(error) = &self.error else {
            return response.insert_header((header::WWW_AUTHENTICATE, "Bearer")).finish();
        };
        let challenge = Challenge::default().with_error(error.code(), error.description());
        let challenge = match (error.code(), Scope::parse("openid")) {
            (ErrorCode::InsufficientScope, Ok(openid)) => challenge.with_scope(openid),
            _ => challenge,
        };
        match retry_after(error.code()) {
            Some(seconds) => response.insert_header((header::RETRY_AFTER, seconds)),
            None => response.insert_header((header::WWW_AUTHENTICATE, challenge.to_string())),
        };
        let mut response = response.json(error.body());
        response.extensions_mut().insert(Trouble::of(error));
        response
    }
}

pub(super) fn status(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn retry_after(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::TooManyRequests => Some("60"),
        ErrorCode::TemporarilyUnavailable => Some("5"),
        _ => None,
    }
}
