//! Where an answer goes: to the person in front of the browser, or to an address that was proven to be the client's.

use doorward_shared::{
    authorization::{Unreadable, response_location},
    error::{ErrorCode, OAuthError},
    issuer::Issuer,
    scope::ScopeToken,
};

use crate::domain::policy::Policy;

/// An error for the person in front of the browser: nothing was proven that could be answered by redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The request cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// No such client, or it is disabled; the two are not told apart.
    #[error("the application is not known here")]
    UnknownClient,
    /// The redirect URI is not one of the client's.
    #[error("the application asked for its answer at an address that it did not register")]
    RedirectUri,
}

/// A proven place for answers: the client's own redirect URI, with its `state`.
#[derive(Clone, Debug)]
pub struct ReturnAddress {
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
}

/// An error for the client.
#[derive(Debug)]
pub struct RedirectError {
    to: ReturnAddress,
    error: OAuthError,
}

impl RedirectError {
    /// The error itself.
    pub const fn error(&self) -> &OAuthError {
        &self.error
    }

    /// Where the browser is sent.
    pub fn location(&self, issuer: &Issuer) -> String {
        let (code, description) = (self.error.code().as_str(), self.error.description());
        self.to.answer(issuer, &[("error", code), ("error_description", &description)])
    }
}

impl ReturnAddress {
    /// Where the browser is sent with this answer.
    pub(super) fn answer(&self, issuer: &Issuer, answer: &[(&str, &str)]) -> String {
        response_location(&self.redirect_uri, issuer, self.state.as_deref(), answer)
    }

    /// An error for the client.
    pub fn refuse(&self, error: OAuthError) -> RedirectError {
        RedirectError { to: self.clone(), error }
    }
}

/// The refusal of a scope that is no OpenID Connect one.
pub(super) fn unsupported_scope(scope: &ScopeToken, policy: &Policy) -> OAuthError {
    OAuthError::new(
        ErrorCode::InvalidScope,
        format!(
            "unsupported scope {scope}: ask for openid (email, profile, offline_access) only; permissions are ticked by the user on the consent page at {}",
            policy.issuer
        ),
    )
}
