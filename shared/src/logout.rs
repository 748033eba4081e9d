//! The request to sign a person out (OpenID Connect RP-Initiated Logout 1.0 §2).

use crate::{
    client_id::ClientId,
    error::{ErrorCode, OAuthError},
    form::{Form, Repeated},
};

/// What a client asks for when it signs its user out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogoutRequest {
    /// An ID token that the client got, as it came.
    pub id_token_hint: Option<String>,
    /// The client.
    pub client_id: Option<ClientId>,
    /// Where the person wants to go afterwards.
    pub post_logout_redirect_uri: Option<String>,
    /// Handed back there.
    pub state: Option<String>,
}

impl LogoutRequest {
    /// Reads a query or a body. What else is in it is ignored.
    pub fn read(form: &Form) -> Result<Self, OAuthError> {
        let one = |name| {
            form.one(name).map(|value| value.map(String::from)).map_err(|e: Repeated| invalid(e.to_string()))
        };
        let client_id = one("client_id")?.map(|text| ClientId::parse(&text)).transpose();
        Ok(Self {
            id_token_hint: one("id_token_hint")?,
            client_id: client_id.map_err(|error| invalid(error.to_string()))?,
            post_logout_redirect_uri: one("post_logout_redirect_uri")?,
            state: one("state")?,
        })
    }
}

/// The address of the answer: the registered address, with the client's `state`.
pub fn location(registered: &str, state: Option<&str>) -> String {
    let Some(state) = state else { return registered.to_owned() };
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish();
    let separator = if registered.contains('?') { '&' } else { '?' };
    format!("{registered}{separator}{query}")
}

fn invalid(text: String) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidRequest, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<LogoutRequest, ErrorCode> {
        LogoutRequest::read(&Form::parse(query).unwrap()).map_err(|error| error.code())
    }

    #[test]
    fn everything_is_optional_and_nothing_comes_twice() {
        assert_eq!(read("").unwrap(), LogoutRequest::default());
        let full = read("client_id=c&post_logout_redirect_uri=https%3A%2F%2Fa.test%2Fout&state=s%26t&ui_locales=de&id_token_hint=x.y.z").unwrap();
        assert_eq!(full.post_logout_redirect_uri.as_deref(), Some("https://a.test/out"));
        assert_eq!((full.state.as_deref(), full.id_token_hint.as_deref()), (Some("s&t"), Some("x.y.z")));
        for twice in ["state=a&state=b", "client_id=a&client_id=a", "client_id=%20"] {
            assert_eq!(read(twice), Err(ErrorCode::InvalidRequest), "{twice}");
        }
    }

    #[test]
    fn the_state_is_handed_back_as_it_came() {
        assert_eq!(location("https://a.test/out", None), "https://a.test/out");
        assert_eq!(
            location("https://a.test/out?x=1", Some("s&t=#")),
            "https://a.test/out?x=1&state=s%26t%3D%23"
        );
    }
}
