//! This server's own credentials at the authorization server.

use std::fmt;

use reqwest::RequestBuilder;
use url::form_urlencoded::byte_serialize;

/// Who this resource server is at the authorization server: what `doorward resource add` printed. With them it reads the
/// revocation feed and asks about opaque tokens. The secret is never printed.
#[derive(Clone)]
pub struct Credentials {
    client_id: String,
    client_secret: String,
}

impl Credentials {
    /// The credentials of a resource server.
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), client_secret: client_secret.into() }
    }

    /// True when both parts are there.
    pub(crate) fn are_whole(&self) -> bool {
        !self.client_id.is_empty() && !self.client_secret.is_empty()
    }

    /// Puts them on a request (RFC 6749 §2.3.1: each part is form-urlencoded first).
    pub(crate) fn sign_in(&self, request: RequestBuilder) -> RequestBuilder {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        request.basic_auth(encoded(&self.client_id), Some(encoded(&self.client_secret)))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_never_printed() {
        let credentials = Credentials::new("rs", "hush");
        assert_eq!(format!("{credentials:?}"), r#"Credentials { client_id: "rs", .. }"#);
    }

    #[test]
    fn each_part_is_encoded_before_both_are_joined() {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request =
            Credentials::new("a:b", "c d+e%").sign_in(client.get("https://as.test")).build().unwrap();
        let header = &request.headers()["authorization"];
        // a%3Ab:c+d%2Be%25
        assert_eq!(header, "Basic YSUzQWI6YytkJTJCZSUyNQ==");
        assert!(header.is_sensitive());
    }
}
