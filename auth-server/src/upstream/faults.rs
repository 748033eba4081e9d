//! What can be wrong with an answer, in words that hold nothing of it.

use openidconnect::{ClaimsVerificationError, RequestTokenError, core::CoreErrorResponseType};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{UpstreamError, http::HttpError, types::ErrorAnswer};

/// Why an ID token is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Rejected {
    #[error("the ID token is signed with a key that the provider does not publish")]
    UnknownKey,
    #[error("ID token: {0}")]
    Other(String),
}

/// The words of the library may quote claims; only what kind of fault it is goes into the log.
pub(super) fn describe(error: &ClaimsVerificationError) -> String {
    match error {
        ClaimsVerificationError::Expired(_) => "expired, or issued at another time",
        ClaimsVerificationError::InvalidAudience(_) => "made for somebody else",
        ClaimsVerificationError::InvalidIssuer(_) => "of another issuer",
        ClaimsVerificationError::InvalidNonce(_) => "not of this sign-in (nonce)",
        ClaimsVerificationError::SignatureVerification(_) => {
            "the signature does not hold, or is of a kind that is not accepted"
        }
        _ => "it cannot be read",
    }
    .to_owned()
}

pub(super) fn token_error(error: RequestTokenError<HttpError, ErrorAnswer>) -> UpstreamError {
    match error {
        RequestTokenError::ServerResponse(answer) => UpstreamError::Refused(code_of(answer.error())),
        RequestTokenError::Request(error) => UpstreamError::Away(error.to_string()),
        // JSON that lacks what it must have, an ID token that cannot be read for one, is an answer all the same.
        RequestTokenError::Parse(_, body) if serde_json::from_slice::<Value>(&body).is_ok() => {
            UpstreamError::Invalid("its token answer cannot be read".to_owned())
        }
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            UpstreamError::Away("its token answer cannot be read".to_owned())
        }
    }
}

/// The refresh token in an answer that cannot be read otherwise: the one before it may be spent.
pub(super) fn token_beside(error: &RequestTokenError<HttpError, ErrorAnswer>) -> Option<Zeroizing<String>> {
    let RequestTokenError::Parse(_, body) = error else { return None };
    let answer: Value = serde_json::from_slice(body).ok()?;
    Some(Zeroizing::new(answer.get("refresh_token")?.as_str()?.to_owned()))
}

/// The error code of RFC 6749 §5.2; an unknown one is shortened, since it goes into the log.
fn code_of(error: &CoreErrorResponseType) -> String {
    error.as_ref().chars().filter(char::is_ascii_graphic).take(64).collect()
}
