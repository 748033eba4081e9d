//! Signing out at the wish of a client (OpenID Connect RP-Initiated Logout 1.0).

use doorward_shared::{
    client_id::ClientId,
    jose::id_token::Hint,
    logout::{LogoutRequest, location},
};

use super::client::{Client, TrustLabel};

/// Where somebody goes after signing out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Back {
    /// The registered address, with the client's `state`.
    pub location: String,
    /// True when the browser may be sent there without being asked: an administrator vouches for the client. Whoever
    /// registered itself gets a link that somebody has to press, or this server would send people anywhere (RFC 9700 §4.11.2).
    pub at_once: bool,
}

/// Why a request to sign out is answered with an error page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The hint is no ID token of this server.
    #[error("the id_token_hint is no ID token of this server")]
    Hint,
    /// The hint is of another client than the one that asks.
    #[error("the id_token_hint was made for another client than client_id names")]
    OtherClient,
    /// There is no such client.
    #[error("the client is not known here")]
    UnknownClient,
    /// An address without anybody who could have registered it.
    #[error("a post_logout_redirect_uri needs a client_id or an id_token_hint")]
    NobodysAddress,
    /// The address is not registered.
    #[error("the post_logout_redirect_uri is not registered for this client")]
    Address,
}

/// Which client asks, if any does.
pub fn client_of<'a>(
    request: &'a LogoutRequest,
    hint: Option<&'a Hint>,
) -> Result<Option<&'a ClientId>, Refused> {
    match (&request.client_id, hint.map(|hint| &hint.aud)) {
        (Some(named), Some(hinted)) if named != hinted => Err(Refused::OtherClient),
        (named, hinted) => Ok(named.as_ref().or(hinted)),
    }
}

/// Where the request leads to. Addresses are compared character by character.
pub fn way_back(request: &LogoutRequest, client: Option<&Client>) -> Result<Option<Back>, Refused> {
    let Some(asked) = request.post_logout_redirect_uri.as_deref() else { return Ok(None) };
    let client = client.ok_or(Refused::NobodysAddress)?;
    let registered = client.post_logout_redirect_uris.iter().find(|uri| uri.as_str() == asked);
    let registered = registered.ok_or(Refused::Address)?;
    Ok(Some(Back {
        location: location(registered.as_str(), request.state.as_deref()),
        at_once: client.label() == TrustLabel::Registered,
    }))
}

#[cfg(test)]
mod tests {
    use doorward_shared::issuer::Issuer;

    use super::*;
    use crate::domain::{client::Origin, fixture};

    fn to(uri: &str) -> LogoutRequest {
        LogoutRequest { post_logout_redirect_uri: Some(uri.to_owned()), ..LogoutRequest::default() }
    }

    #[test]
    fn an_address_is_the_registered_one_character_by_character() {
        let client = fixture::client();
        assert!(way_back(&to("https://app.test/out"), Some(&client)).is_ok());
        for other in [
            "https://app.test/out/",
            "https://app.test/out?x=1",
            "https://app.test/out#",
            "https://app.test/ou",
            "https://APP.test/out",
            "https://app.test/cb",
            "https://evil.test/out",
            "//evil.test",
        ] {
            assert_eq!(way_back(&to(other), Some(&client)), Err(Refused::Address), "{other}");
        }
        assert_eq!(way_back(&to("https://app.test/out"), None), Err(Refused::NobodysAddress));
        assert_eq!(way_back(&LogoutRequest::default(), None), Ok(None));
    }

    #[test]
    fn only_a_client_that_an_administrator_vouches_for_gets_people_without_a_click() {
        let mut client = fixture::client();
        for (origin, at_once) in
            [(Origin::Dynamic, false), (Origin::Administrator, true), (Origin::Fixed, true)]
        {
            client.origin = origin;
            let request = LogoutRequest { state: Some("s".to_owned()), ..to("https://app.test/out") };
            let back = way_back(&request, Some(&client)).unwrap().unwrap();
            assert_eq!(back, Back { location: "https://app.test/out?state=s".to_owned(), at_once });
        }
    }

    #[test]
    fn a_hint_and_a_name_that_contradict_each_other_are_refused() {
        let id = |text| ClientId::parse(text).unwrap();
        let hint = Hint { iss: Issuer::parse("https://as.test").unwrap(), sub: "u".to_owned(), aud: id("a") };
        let named = |text| LogoutRequest { client_id: Some(id(text)), ..LogoutRequest::default() };
        assert_eq!(client_of(&named("a"), Some(&hint)), Ok(Some(&id("a"))));
        assert_eq!(client_of(&named("b"), Some(&hint)), Err(Refused::OtherClient));
        assert_eq!(client_of(&LogoutRequest::default(), Some(&hint)), Ok(Some(&id("a"))));
        assert_eq!(client_of(&LogoutRequest::default(), None), Ok(None));
    }
}
