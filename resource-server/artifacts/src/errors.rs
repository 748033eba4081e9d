//! What this server refuses, and how: one value for every refusal, rendered as a tool result or as an HTTP answer.

use std::{borrow::Cow, error::Error, fmt};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

/// The error codes of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The arguments do not make sense.
    InvalidRequest,
    /// No caller is known.
    Unauthorized,
    /// The token lacks the permission.
    InsufficientScope,
    /// The plan of the organization is used up.
    QuotaExceeded,
    /// The plan does not allow so long a life.
    TtlExceedsPlanLimit,
    /// There is no such artifact, or it belongs to somebody else: the answer is the same.
    ArtifactNotFound,
    /// There is no such folder, or it lies outside of what was granted: the answer is the same.
    FolderNotFound,
    /// There is no such session, or it belongs to somebody else.
    SessionNotFound,
    /// The session takes no further artifacts.
    SessionSealed,
    /// The life of the artifact is over.
    ArtifactExpired,
    /// The owner deleted the artifact.
    ArtifactAlreadyDeleted,
    /// More bytes than allowed.
    FileTooLarge,
    /// The bytes of an upload have not arrived, or its address is not valid.
    UploadNotFound,
    /// Too many transfers at once.
    RateLimited,
    /// A fault of this server.
    ServerError,
}

impl Code {
    /// The code as it is written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Unauthorized => "unauthorized",
            Self::InsufficientScope => "insufficient_scope",
            Self::QuotaExceeded => "quota_exceeded",
            Self::TtlExceedsPlanLimit => "ttl_exceeds_plan_limit",
            Self::ArtifactNotFound => "artifact_not_found",
            Self::FolderNotFound => "folder_not_found",
            Self::SessionNotFound => "session_not_found",
            Self::SessionSealed => "session_sealed",
            Self::ArtifactExpired => "artifact_expired",
            Self::ArtifactAlreadyDeleted => "artifact_already_deleted",
            Self::FileTooLarge => "file_too_large",
            Self::UploadNotFound => "upload_not_found",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
        }
    }

    /// The HTTP status that says the same.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest | Self::TtlExceedsPlanLimit => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::InsufficientScope => StatusCode::FORBIDDEN,
            Self::QuotaExceeded => StatusCode::PAYMENT_REQUIRED,
            Self::ArtifactNotFound | Self::FolderNotFound | Self::SessionNotFound | Self::UploadNotFound => {
                StatusCode::NOT_FOUND
            }
            Self::SessionSealed => StatusCode::CONFLICT,
            Self::ArtifactExpired | Self::ArtifactAlreadyDeleted => StatusCode::GONE,
            Self::FileTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the caller should do with the same call.
    pub const fn retry_hint(self) -> &'static str {
        match self {
            Self::RateLimited => "retry_after",
            Self::ServerError => "retry_with_backoff",
            _ => "do_not_retry",
        }
    }
}

/// A refusal: a code, a sentence for whoever sits at the other end, and the cause, which stays in the log.
#[derive(Debug)]
pub struct Refusal {
    code: Code,
    status: StatusCode,
    message: Cow<'static, str>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Refusal {
    /// A refusal with its usual status.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, status: code.status(), message: message.into(), cause: None }
    }

    /// The same code under another HTTP status, where the usual one would say something wrong.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// A fault of this server. Strangers learn nothing of `cause`.
    pub fn fault(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let mut refusal = Self::new(
            Code::ServerError,
            "The server could not do this. Nothing was changed; try again later.",
        );
        refusal.cause = Some(cause.into());
        refusal
    }

    /// Too much is asked at once. Nothing was begun, so the same call may come again.
    pub fn busy() -> Self {
        Self::new(Code::RateLimited, "The server is busy; send this again in a moment.")
            .with_status(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// The arguments do not make sense.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// No such artifact for this caller. Unknown and foreign ids get this very text.
    pub fn artifact_not_found() -> Self {
        Self::new(
            Code::ArtifactNotFound,
            "No artifact with this id exists here. Ids come from list_artifacts.",
        )
    }

    /// No such folder for this caller.
    pub fn folder_not_found() -> Self {
        Self::new(
            Code::FolderNotFound,
            "No folder of this name is here; whoami tells which folders are open to you.",
        )
    }

    /// The code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The HTTP status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The cause as the log shows it.
    pub fn cause(&self) -> Option<String> {
        self.cause.as_ref().map(ToString::to_string)
    }

    /// `_meta` of a tool result.
    pub fn meta(&self, request_id: &str) -> Value {
        meta(self.status, self.code.as_str(), self.code.retry_hint(), request_id)
    }

    /// The HTTP answer, for addresses that are opened without MCP.
    pub fn into_http(self, request_id: &str) -> Response {
        let body = json!({ "code": self.code.as_str(), "message": self.message, "request_id": request_id });
        let mut response = (self.status, Body::from(body.to_string())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.code == Code::RateLimited {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// `_meta` of a tool result that succeeded.
pub fn success_meta(request_id: &str) -> Value {
    meta(StatusCode::OK, "ok", "do_not_retry", request_id)
}

fn meta(status: StatusCode, code: &str, retry_hint: &str, request_id: &str) -> Value {
    json!({ "status": status.as_u16(), "code": code, "retry_hint": retry_hint, "request_id": request_id })
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        let mut refusal = match error {
            sqlx::Error::PoolTimedOut => Self::busy(),
            _ => return Self::fault(error),
        };
        refusal.cause = Some(error.into());
        refusal
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::fault(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_tells_strangers_nothing_of_its_cause() {
        let refusal = Refusal::fault("disk 7 of host x is on fire");
        assert!(!refusal.to_string().contains("disk"));
        assert!(!refusal.meta("req_1").to_string().contains("disk"));
        assert_eq!(refusal.cause().as_deref(), Some("disk 7 of host x is on fire"));
    }

    #[test]
    fn every_refusal_carries_status_code_hint_and_request_id() {
        let meta = Refusal::artifact_not_found().meta("req_1");
        assert_eq!(
            meta,
            json!({ "status": 404, "code": "artifact_not_found", "retry_hint": "do_not_retry", "request_id": "req_1" })
        );
    }
}
