//! Clients that register themselves: the one door for their metadata (RFC 7591), and what they may do with their registration
//! afterwards (RFC 7592).

use doorward_shared::{
    client_id::ClientId,
    client_metadata::ClientMetadata,
    error::{ErrorCode, OAuthError},
    issuer::Issuer,
    redirect_uri::RedirectUri,
    secret::{ClientSecret, RegistrationToken, Secret, SecretHash},
    time::Timestamp,
    token::AuthMethod,
};
use serde_json::{Map, Value};
use url::Url;

use super::{
    client::{Client, ConfidentialMethod, Credentials, Origin},
    policy::Policy,
    revocation::Sweep,
};

/// Admits a client. `secret` is used only when the metadata ask for one.
pub fn admit(
    metadata: &ClientMetadata,
    id: ClientId,
    secret: SecretHash<ClientSecret>,
    token: SecretHash<RegistrationToken>,
    policy: &Policy,
    now: Timestamp,
) -> Result<Client, OAuthError> {
    check_addresses(metadata, policy)?;
    let credentials = match metadata.token_endpoint_auth_method {
        AuthMethod::None => Credentials::Public,
        AuthMethod::ClientSecretPost => Credentials::confidential(ConfidentialMethod::Post, secret),
        AuthMethod::ClientSecretBasic => Credentials::confidential(ConfidentialMethod::Basic, secret),
    };
    Ok(Client {
        id,
        name: metadata.client_name.clone(),
        origin: Origin::Dynamic,
        redirect_uris: metadata.redirect_uris.clone(),
        post_logout_redirect_uris: metadata.post_logout_redirect_uris.clone(),
        grant_types: metadata.grant_types.clone(),
        credentials,
        registration_token: Some(token),
        ceiling: None,
        ceiling_places: vec![],
        backchannel_logout: None,
        created_at: now,
        disabled_at: None,
        revoked_until: None,
        about: metadata.about.clone(),
    })
}

/// Refuses an address of this server's own.
pub(super) fn check_addresses(metadata: &ClientMetadata, policy: &Policy) -> Result<(), OAuthError> {
    let mut named = metadata.redirect_uris.iter().chain(&metadata.post_logout_redirect_uris);
    if named.any(|uri| points_to(&policy.issuer, uri.as_str())) {
        return Err(OAuthError::new(
            ErrorCode::InvalidRedirectUri,
            "a redirect URI cannot point to the authorization server itself",
        ));
    }
    Ok(())
}

/// What a client has said about itself, as it is stored.
pub fn metadata_of(client: &Client) -> ClientMetadata {
    ClientMetadata {
        redirect_uris: client.redirect_uris.clone(),
        post_logout_redirect_uris: client.post_logout_redirect_uris.clone(),
        token_endpoint_auth_method: client.auth_method(),
        grant_types: client.grant_types.clone(),
        response_types: vec!["code"],
        client_name: client.name.clone(),
        about: client.about.clone(),
    }
}

/// What a client must not send back in a change (RFC 7592 §2.2).
const NOT_THEIRS: [&str; 4] = [
    "registration_access_token",
    "registration_client_uri",
    "client_id_issued_at",
    "client_secret_expires_at",
];

/// Proof that the caller holds the registration access token of this client. Only [`Registrant::prove`] makes one.
#[derive(Clone, Debug)]
pub struct Registrant {
    client: Client,
    token: SecretHash<RegistrationToken>,
}

/// The verdict that a registration is replaced.
#[derive(Clone, Debug)]
pub struct Replacement {
    client: Client,
    before: SecretHash<RegistrationToken>,
    sweep: Option<Sweep>,
}

/// The verdict that a client goes by its own word.
#[derive(Clone, Debug)]
pub struct Deregistration {
    /// Which client.
    pub client: ClientId,
    /// What it proved itself with.
    pub token: SecretHash<RegistrationToken>,
    /// What ends with it.
    pub sweep: Sweep,
}

impl Registrant {
    /// Compares what was presented with what is stored. There is one answer for a client that does not exist, one that did not
    /// register itself, one that is disabled, and a token that is another one's, is spent, or is none.
    pub fn prove(
        client: Option<Client>,
        presented: Option<&Secret<RegistrationToken>>,
    ) -> Result<Self, OAuthError> {
        let refused = |cause: &'static str| {
            let text =
                "the registration access token is not the one of this client; register again if it is lost";
            OAuthError::new(ErrorCode::InvalidToken, text).because(cause)
        };
        let presented = presented.map(Secret::hash);
        let client = client.ok_or_else(|| refused("no such client"))?;
        // Hashes of random texts: how long the comparison takes tells nothing about the text.
        let token = client.registration_token.filter(|stored| Some(*stored) == presented);
        let token = token.ok_or_else(|| refused("another token"))?;
        if client.disabled_at.is_some() {
            return Err(refused("the client is disabled"));
        }
        Ok(Self { client, token })
    }

    /// The client.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Decides on a change (RFC 7592 §2.2): everything that the client says about itself is replaced by what `metadata`, read from
    /// `body`, says now, and the token by `token`. Whatever people allowed was for the addresses that they were shown: with others it
    /// ends, and they are asked anew.
    pub fn replace(
        &self,
        body: &Map<String, Value>,
        metadata: &ClientMetadata,
        token: SecretHash<RegistrationToken>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Replacement, OAuthError> {
        let said = |name: &str| body.get(name).filter(|value| !value.is_null());
        if let Some(name) = NOT_THEIRS.into_iter().find(|name| said(name).is_some()) {
            return Err(invalid(format!(
                "{name} is not for the client to set; leave it out (RFC 7592 section 2.2)"
            )));
        }
        if said("client_id").and_then(Value::as_str) != Some(self.client.id.as_str()) {
            return Err(invalid("client_id must be there, and be the identifier of this client"));
        }
        check_addresses(metadata, policy)?;
        let credentials = self.credentials(said("client_secret"), metadata.token_endpoint_auth_method)?;
        let client = Client {
            name: metadata.client_name.clone(),
            redirect_uris: metadata.redirect_uris.clone(),
            post_logout_redirect_uris: metadata.post_logout_redirect_uris.clone(),
            grant_types: metadata.grant_types.clone(),
            credentials,
            registration_token: Some(token),
            about: metadata.about.clone(),
            ..self.client.clone()
        };
        let elsewhere = !same_addresses(&client.redirect_uris, &self.client.redirect_uris);
        let sweep = elsewhere.then(|| self.sweep(policy, now));
        Ok(Replacement { client, before: self.token, sweep })
    }

    /// Decides on the removal (RFC 7592 §2.3): everything that the client was allowed ends with it.
    pub fn deregister(&self, policy: &Policy, now: Timestamp) -> Deregistration {
        Deregistration { client: self.client.id.clone(), token: self.token, sweep: self.sweep(policy, now) }
    }

    fn sweep(&self, policy: &Policy, now: Timestamp) -> Sweep {
        Sweep::by_client(self.client.id.clone(), &policy.token, now)
    }

    /// A secret may move from one place to the other. It neither comes nor goes: a client that was public was used without one, and
    /// a confidential one must not be made easier to play.
    fn credentials(&self, sent: Option<&Value>, method: AuthMethod) -> Result<Credentials, OAuthError> {
        let presented = sent.map(|secret| {
            secret.as_str().and_then(Secret::<ClientSecret>::parse).map(|secret| secret.hash())
        });
        let wrong = || {
            invalid("client_secret is not the secret of this client; leave it out, or send the one it has")
        };
        match &self.client.credentials {
            Credentials::Public if presented.is_some() => Err(wrong()),
            Credentials::Public if method == AuthMethod::None => Ok(Credentials::Public),
            Credentials::Public => {
                Err(invalid("this client is public and stays so: token_endpoint_auth_method must be none"))
            }
            Credentials::Confidential { secret, former, .. } => {
                if presented.is_some_and(|it| it.is_none_or(|it| it != *secret && Some(it) != *former)) {
                    return Err(wrong());
                }
                let method = match method {
                    AuthMethod::ClientSecretPost => ConfidentialMethod::Post,
                    AuthMethod::ClientSecretBasic => ConfidentialMethod::Basic,
                    AuthMethod::None => {
                        return Err(invalid(
                            "this client is confidential and stays so: token_endpoint_auth_method must be \
                             client_secret_post or client_secret_basic",
                        ));
                    }
                };
                Ok(Credentials::Confidential { method, secret: *secret, former: *former })
            }
        }
    }
}

impl Replacement {
    /// The client as it is to be.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The token that is spent by this.
    pub const fn before(&self) -> &SecretHash<RegistrationToken> {
        &self.before
    }

    /// What ends.
    pub const fn sweep(&self) -> Option<&Sweep> {
        self.sweep.as_ref()
    }
}

/// The order of addresses says nothing.
fn same_addresses(some: &[RedirectUri], others: &[RedirectUri]) -> bool {
    some.iter().all(|uri| others.contains(uri)) && others.iter().all(|uri| some.contains(uri))
}

fn invalid(text: impl Into<String>) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidClientMetadata, text.into())
}

/// True when a redirect URI leads to this server itself. On loopback every name of the machine with our port does.
pub fn points_to(issuer: &Issuer, uri: &str) -> bool {
    let (Ok(uri), Ok(ours)) = (Url::parse(uri), Url::parse(issuer.as_str())) else { return false };
    let loopback = |url: &Url| matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let same_machine = issuer.is_loopback() && loopback(&uri) && uri.scheme() == ours.scheme();
    uri.origin() == ours.origin()
        || (same_machine && uri.port_or_known_default() == ours.port_or_known_default())
}

#[cfg(test)]
mod tests {
    use doorward_shared::secret::SystemEntropy;
    use serde_json::json;

    use super::*;
    use crate::domain::fixture::{self, ENDED, NOW};

    fn token() -> Secret<RegistrationToken> {
        Secret::generate(&SystemEntropy)
    }

    fn secret() -> Secret<ClientSecret> {
        Secret::generate(&SystemEntropy)
    }

    fn registered(token: &Secret<RegistrationToken>) -> Client {
        Client { registration_token: Some(token.hash()), ..fixture::client() }
    }

    fn confidential(token: &Secret<RegistrationToken>, secret: &Secret<ClientSecret>) -> Client {
        let credentials = Credentials::confidential(ConfidentialMethod::Post, secret.hash());
        Client { credentials, ..registered(token) }
    }

    fn tried(
        client: &Client,
        token: &Secret<RegistrationToken>,
        body: &Value,
    ) -> Result<Replacement, OAuthError> {
        let body = body.as_object().unwrap();
        let metadata = ClientMetadata::read(body, &[])?;
        let registrant = Registrant::prove(Some(client.clone()), Some(token)).unwrap();
        registrant.replace(body, &metadata, self::token().hash(), &fixture::policy(), NOW)
    }

    fn body(change: &Value) -> Value {
        let mut body = json!({
            "client_id": "pub1", "client_name": "T", "redirect_uris": ["https://app.test/cb"],
            "post_logout_redirect_uris": ["https://app.test/out"],
        });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        body
    }

    #[test]
    fn whoever_does_not_hold_the_token_gets_one_answer() {
        let (mine, other) = (token(), token());
        let disabled = Client { disabled_at: Some(ENDED.at), ..registered(&mine) };
        let answer = |client: Option<&Client>, presented| {
            let error = Registrant::prove(client.cloned(), presented).unwrap_err();
            (error.code(), error.description().clone())
        };
        let unknown = answer(None, Some(&mine));
        assert_eq!(unknown.0, ErrorCode::InvalidToken);
        assert_eq!(answer(Some(&registered(&mine)), Some(&other)), unknown);
        assert_eq!(answer(Some(&registered(&mine)), None), unknown);
        assert_eq!(answer(Some(&fixture::client()), None), unknown, "it did not register itself");
        assert_eq!(answer(Some(&disabled), Some(&mine)), unknown);
        assert!(Registrant::prove(Some(registered(&mine)), Some(&mine)).is_ok());
    }

    #[test]
    fn a_change_replaces_everything_that_the_client_said_and_nothing_that_others_did() {
        let mine = token();
        let client =
            Client { ceiling: Some("read".to_owned()), revoked_until: Some(NOW), ..registered(&mine) };
        let new =
            tried(&client, &mine, &json!({"client_id": "pub1", "redirect_uris": ["https://app.test/cb"]}));
        let new = new.unwrap();
        assert_eq!(new.before(), &mine.hash());
        assert_ne!(new.client().registration_token, client.registration_token);
        let after = new.client();
        assert!(after.name.is_none() && after.post_logout_redirect_uris.is_empty());
        assert_eq!(
            (&after.id, &after.ceiling, after.revoked_until),
            (&client.id, &client.ceiling, Some(NOW))
        );
        assert_eq!(metadata_of(after).redirect_uris, client.redirect_uris);
    }

    #[test]
    fn other_addresses_end_what_was_allowed_and_the_same_in_another_order_do_not() {
        let mine = token();
        let two = json!({"redirect_uris": ["https://app.test/cb", "https://app.test/2"]});
        let more = tried(&registered(&mine), &mine, &body(&two)).unwrap();
        let (claim, value) = more.sweep().unwrap().whose().claim();
        assert_eq!((claim.as_str(), value), ("client_id", "pub1"));
        let turned = json!({"redirect_uris": ["https://app.test/2", "https://app.test/cb"]});
        let next = Client { registration_token: Some(mine.hash()), ..more.client().clone() };
        assert!(tried(&next, &mine, &body(&turned)).unwrap().sweep().is_none());
        assert!(tried(&next, &mine, &body(&json!({}))).unwrap().sweep().is_some(), "fewer are others, too");
        let named = body(&json!({"client_name": "Another"}));
        assert!(tried(&registered(&mine), &mine, &named).unwrap().sweep().is_none());
    }

    #[test]
    fn what_is_not_the_clients_to_change_is_refused() {
        let mine = token();
        let client = registered(&mine);
        for change in [
            json!({"client_id": "pub2"}),
            json!({"client_id": null}),
            json!({"client_id": ["pub1"]}),
            json!({"registration_access_token": mine.expose()}),
            json!({"registration_client_uri": "https://as.test/x"}),
            json!({"client_id_issued_at": 0}),
            json!({"client_secret_expires_at": 0}),
            json!({"client_secret": secret().expose()}),
            json!({"token_endpoint_auth_method": "client_secret_post"}),
        ] {
            let error = tried(&client, &mine, &body(&change)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidClientMetadata, "{change}");
        }
        let ours = json!({"redirect_uris": [format!("{}/x", fixture::policy().issuer)]});
        assert_eq!(tried(&client, &mine, &body(&ours)).unwrap_err().code(), ErrorCode::InvalidRedirectUri);
    }

    #[test]
    fn a_secret_stays_and_is_compared_when_it_is_sent() {
        let (mine, own) = (token(), secret());
        let client = confidential(&mine, &own);
        let basic = |more: Value| {
            let mut body = body(&json!({"token_endpoint_auth_method": "client_secret_basic"}));
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            tried(&client, &mine, &body)
        };
        for change in [json!({}), json!({"client_secret": own.expose()}), json!({"client_secret": null})] {
            let after = basic(change).unwrap();
            let Credentials::Confidential { method, secret, .. } = &after.client().credentials else {
                panic!()
            };
            assert_eq!((*method, secret), (ConfidentialMethod::Basic, &own.hash()));
        }
        for change in [
            json!({"client_secret": secret().expose()}),
            json!({"client_secret": "x"}),
            json!({"client_secret": 7}),
        ] {
            assert_eq!(basic(change).unwrap_err().code(), ErrorCode::InvalidClientMetadata);
        }
        // Left out, the method would be none.
        assert!(tried(&client, &mine, &body(&json!({}))).is_err());
    }
}
