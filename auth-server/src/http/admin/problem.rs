//! Errors of the admin API: `application/problem+json` (RFC 9457). `detail` says what to do next; the cause goes to the log.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{http::error::Trouble, http::extract::BodyError, store::StoreError};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $word:literal, $title:literal;)*) => {
        /// What went wrong: the closed vocabulary.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code.
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The HTTP status.
            pub(super) const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                }
            }

            /// The word for programs.
            pub(super) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// The words for people.
            pub(super) const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }
        }
    };
}

codes! {
    /// A parameter or the body.
    InvalidRequest = 400, "invalid_request", "The request is not understood";
    /// A cursor that this server did not give for this list.
    InvalidCursor = 400, "invalid_cursor", "The cursor is not for this list";
    /// Nobody, or a credential that is not good any more.
    Unauthorized = 401, "unauthorized", "Sign in or send an admin key";
    /// A person who does not administer this server.
    NotAnAdministrator = 403, "not_an_administrator", "Only administrators may do this";
    /// A key without the permission.
    PermissionMissing = 403, "permission_missing", "The admin key lacks a permission";
    /// A browser's request that another site may have caused.
    CrossSite = 403, "cross_site", "The request did not come from this site";
    /// The sign-in is too long ago.
    FreshSignInRequired = 403, "fresh_sign_in_required", "Sign in again to do this";
    /// No such thing, or no such address.
    NotFound = 404, "not_found", "There is no such thing";
    /// The address has other methods.
    MethodNotAllowed = 405, "method_not_allowed", "The address does not have this method";
    /// The body did not arrive.
    RequestTimeout = 408, "request_timeout", "The body did not arrive in time";
    /// The state of the thing forbids it.
    Conflict = 409, "conflict", "The state of the thing does not allow this";
    /// The body.
    TooLarge = 413, "too_large", "The body is too large";
    /// The body is no JSON.
    UnsupportedMediaType = 415, "unsupported_media_type", "The body has another type";
    /// Our fault.
    ServerError = 500, "server_error", "The server made an error";
    /// The database or the machine is busy or away.
    Unavailable = 503, "temporarily_unavailable", "The server cannot do this right now";
}

/// Why nothing was done.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) code: Code,
    detail: String,
    cause: String,
    allow: Option<String>,
}

/// The body, as RFC 9457 §3 names its members; `code` is ours.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Body<'a> {
    /// The kind of problem: `urn:doorward:problem:` and the code.
    r#type: String,
    /// The kind of problem in words.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What went wrong this time, and what to do about it.
    detail: &'a str,
    /// The kind of problem, as one word for programs.
    code: &'a str,
}

impl Problem {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), cause: String::new(), allow: None }
    }

    /// Adds what only the log is to say.
    pub(super) fn because(mut self, cause: &impl ToString) -> Self {
        self.cause = cause.to_string();
        self
    }

    pub(super) fn invalid(detail: &impl ToString) -> Self {
        Self::new(Code::InvalidRequest, detail.to_string())
    }

    pub(super) fn not_found(detail: &impl ToString) -> Self {
        Self::new(Code::NotFound, detail.to_string())
    }

    pub(super) fn conflict(detail: &impl ToString) -> Self {
        Self::new(Code::Conflict, detail.to_string())
    }

    pub(super) fn busy(detail: &impl ToString) -> Self {
        Self::new(Code::Unavailable, detail.to_string())
    }

    /// The thing was named by the path: a name that nothing can have is the name of nothing.
    pub(super) fn in_path(self) -> Self {
        let code = if self.code == Code::InvalidRequest { Code::NotFound } else { self.code };
        Self { code, ..self }
    }

    /// The address is there and answers these methods.
    pub(super) fn method(allow: String) -> Self {
        let detail = format!("this address answers {allow} only");
        Self { allow: Some(allow), ..Self::new(Code::MethodNotAllowed, detail) }
    }

    pub(super) fn response(&self) -> HttpResponse {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        response.content_type("application/problem+json");
        match self.code {
            Code::Unauthorized => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"doorward admin\""));
            }
            Code::Unavailable => {
                response.insert_header((header::RETRY_AFTER, "5"));
            }
            _ => {}
        }
        if let Some(allow) = &self.allow {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        let body = Body {
            r#type: format!("urn:doorward:problem:{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status(),
            detail: &self.detail,
            code: self.code.as_str(),
        };
        // Texts and a number always serialise.
        let mut response = response.body(serde_json::to_vec(&body).unwrap_or_default());
        let trouble = Trouble { code: self.code.as_str(), reason: self.cause.clone() };
        response.extensions_mut().insert(trouble);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                Self::new(Code::Unavailable, "the server cannot reach its database; try again soon")
            }
            StoreError::Row { .. } | StoreError::Unusable(_) => {
                Self::new(Code::ServerError, "the log of the server has the reason")
            }
        }
        .because(&error)
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let code = match error.status.as_u16() {
            408 => Code::RequestTimeout,
            413 => Code::TooLarge,
            415 => Code::UnsupportedMediaType,
            _ => Code::InvalidRequest,
        };
        Self::new(code, error.text)
    }
}
