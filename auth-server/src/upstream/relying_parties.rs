//! Requests to clients: OpenID Connect Back-Channel Logout 1.0 §2.5.

use std::fmt;

use super::{UpstreamError, http::Http};

/// The way to clients.
pub struct RelyingParties {
    near: Http,
    far: Http,
}

impl fmt::Debug for RelyingParties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelyingParties")
    }
}

/// A client that was not told, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Untold(String);

impl RelyingParties {
    /// Prepares the way.
    pub fn new() -> Result<Self, UpstreamError> {
        Ok(Self { near: Http::new(true)?, far: Http::new(false)? })
    }

    /// Sends a logout token.
    pub async fn tell(&self, uri: &str, logout_token: &str) -> Result<(), Untold> {
        let http = if uri.starts_with("http://") { &self.near } else { &self.far };
        match http.post(uri, "logout_token", logout_token).await {
            // §2.8: 200, for which some frameworks write 204.
            Ok(status) if matches!(status.as_u16(), 200 | 204) => Ok(()),
            Ok(status) => Err(Untold(format!("it answered {}", status.as_u16()))),
            Err(error) => Err(Untold(error.to_string())),
        }
    }
}
