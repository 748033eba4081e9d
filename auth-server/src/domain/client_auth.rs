//! Client authentication (RFC 6749 §2.3): presented credentials and a stored client become an [`AuthenticatedClient`].

use doorward_shared::{
    error::{ErrorCode, OAuthError},
    secret::{ClientSecret, Secret},
    token::{GrantType, PresentedProof, unknown_client},
};

use super::client::{Client, ConfidentialMethod, Credentials};

/// Proof that the caller is this client, as far as a client of its kind can prove it. Only [`authenticate`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct AuthenticatedClient<'a>(&'a Client);

impl AuthenticatedClient<'_> {
    /// The client.
    pub const fn client(&self) -> &Client {
        self.0
    }

    /// Refuses a grant type that the client did not register (RFC 6749 §5.2).
    pub fn may_use(&self, grant_type: GrantType) -> Result<(), OAuthError> {
        if self.0.grant_types.contains(&grant_type) {
            return Ok(());
        }
        Err(OAuthError::new(
            ErrorCode::UnauthorizedClient,
            format!(
                "this client did not register the grant type {}; register again with it",
                grant_type.as_str()
            ),
        ))
    }
}

/// Checks the proof against the method that the client registered, and no other.
pub fn authenticate<'a>(
    client: &'a Client,
    proof: &PresentedProof,
) -> Result<AuthenticatedClient<'a>, OAuthError> {
    if client.disabled_at.is_some() {
        return Err(unknown_client().because("the client is disabled"));
    }
    match (&client.credentials, proof) {
        (Credentials::Public, PresentedProof::None) => Ok(AuthenticatedClient(client)),
        (Credentials::Public, _) => Err(OAuthError::new(
            ErrorCode::InvalidClient,
            "this client is public and has no secret: remove the client secret (and any client_secret_basic setting) \
             and authenticate with PKCE only",
        )),
        (
            Credentials::Confidential { method: ConfidentialMethod::Post, secret, former },
            PresentedProof::Post(presented),
        )
        | (
            Credentials::Confidential { method: ConfidentialMethod::Basic, secret, former },
            PresentedProof::Basic(presented),
        ) => {
            let presented = Secret::<ClientSecret>::parse(presented).map(|presented| presented.hash());
            // Hashes of random texts: how long the comparison takes tells nothing about the text.
            if presented.is_some_and(|it| it == *secret || Some(it) == *former) {
                Ok(AuthenticatedClient(client))
            } else {
                Err(unknown_client())
            }
        }
        (Credentials::Confidential { .. }, PresentedProof::None) => {
            Err(unknown_client().because("a confidential client sent no secret"))
        }
        (Credentials::Confidential { method, .. }, _) => Err(OAuthError::new(
            ErrorCode::InvalidClient,
            match method {
                ConfidentialMethod::Post => {
                    "this client is registered for client_secret_post: send the secret in the body"
                }
                ConfidentialMethod::Basic => {
                    "this client is registered for client_secret_basic: send a Basic header"
                }
            },
        )),
    }
}

#[cfg(test)]
mod tests {
    use doorward_shared::{
        client_id::ClientId, client_metadata::About, secret::SystemEntropy, time::Timestamp,
        token::PresentedProof as Proof,
    };

    use super::*;
    use crate::domain::client::Origin;

    fn client(credentials: Credentials) -> Client {
        Client {
            id: ClientId::parse("c").unwrap(),
            name: None,
            origin: Origin::Dynamic,
            redirect_uris: vec![],
            post_logout_redirect_uris: vec![],
            grant_types: vec![GrantType::AuthorizationCode],
            credentials,
            registration_token: None,
            ceiling: None,
            ceiling_places: vec![],
            backchannel_logout: None,
            created_at: Timestamp::from_seconds(0),
            disabled_at: None,
            revoked_until: None,
            about: About::default(),
        }
    }

    #[test]
    fn a_public_client_that_sends_a_secret_is_told_to_remove_it() {
        let public = client(Credentials::Public);
        assert!(authenticate(&public, &Proof::None).is_ok());
        for proof in [Proof::Post("x".into()), Proof::Basic(String::new())] {
            let error = authenticate(&public, &proof).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidClient);
            assert!(error.description().contains("remove the client secret"));
        }
    }

    #[test]
    fn the_registered_method_is_the_only_one() {
        let secret = Secret::<ClientSecret>::generate(&SystemEntropy);
        let text = || secret.expose().to_owned();
        for (method, good, bad) in [
            (ConfidentialMethod::Post, Proof::Post(text()), Proof::Basic(text())),
            (ConfidentialMethod::Basic, Proof::Basic(text()), Proof::Post(text())),
        ] {
            let client = client(Credentials::confidential(method, secret.hash()));
            assert!(authenticate(&client, &good).is_ok());
            assert_eq!(authenticate(&client, &bad).unwrap_err().code(), ErrorCode::InvalidClient);
            assert_eq!(authenticate(&client, &Proof::None).unwrap_err().code(), ErrorCode::InvalidClient);
            let wrong = Secret::<ClientSecret>::generate(&SystemEntropy).expose().to_owned();
            let wrong = if matches!(good, Proof::Post(_)) { Proof::Post(wrong) } else { Proof::Basic(wrong) };
            assert_eq!(authenticate(&client, &wrong).unwrap_err().code(), ErrorCode::InvalidClient);
        }
    }

    #[test]
    fn two_secrets_are_good_during_a_rotation_and_no_third() {
        let [now, former, older] = [(); 3].map(|()| Secret::<ClientSecret>::generate(&SystemEntropy));
        let method = ConfidentialMethod::Post;
        let client =
            client(Credentials::Confidential { method, secret: now.hash(), former: Some(former.hash()) });
        for (secret, good) in [(now, true), (former, true), (older, false)] {
            assert_eq!(authenticate(&client, &Proof::Post(secret.expose().to_owned())).is_ok(), good);
        }
    }

    #[test]
    fn a_disabled_client_is_as_unknown_as_one_that_never_was() {
        let mut disabled = client(Credentials::Public);
        disabled.disabled_at = Some(Timestamp::from_seconds(1));
        let error = authenticate(&disabled, &Proof::None).unwrap_err();
        assert_eq!(error.description(), unknown_client().description());
    }
}
