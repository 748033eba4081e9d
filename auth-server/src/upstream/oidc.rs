//! One provider: discovery, the way there, and what it answers (OpenID Connect Core §3.1, Discovery §4).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use doorward_shared::time::{Seconds, Timestamp};
use openidconnect::{
    AccessTokenHash, AuthType, AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, ClientId,
    ClientSecret, CsrfToken, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RefreshToken, Scope, SignatureVerificationError, TokenResponse as _,
    core::{CoreAuthPrompt, CoreClientAuthMethod, CoreResponseType},
};
use zeroize::Zeroizing;

use super::{
    Answer, Settings, UpstreamError,
    claims::{self, Said},
    faults::{Rejected, describe, token_beside, token_error},
    http::Http,
    key::ALGORITHMS,
    types::{IdToken, Metadata, OidcClient, Tokens},
};
use crate::domain::upstream::Dialect;

/// How long metadata and keys are used before they are fetched again.
const KEEP: Seconds = Seconds::hours(1);
/// Shortest time between two tries to fetch them.
const PAUSE: Seconds = Seconds::minutes(1);
/// How far the provider's clock may be off.
const SKEW: Seconds = Seconds::minutes(1);
/// How old an ID token may be when it comes: it was made for this very answer.
const MAX_AGE: Seconds = Seconds::minutes(10);

/// Asks for `auth_time` in the ID token (OpenID Connect Core §5.5).
const ASK_WHEN: &str = r#"{"id_token":{"auth_time":{"essential":true}}}"#;
/// How long may be spent on metadata before a refresh token goes out: it would be a pity about the claim.
const LOOK_UP: Duration = Duration::from_secs(3);

/// The client of one provider.
pub struct Client {
    pub(super) settings: Settings,
    callback: RedirectUrl,
    issuer: IssuerUrl,
    pub(super) http: Http,
    known: Mutex<Option<Known>>,
}

/// What the provider said about itself.
#[derive(Clone)]
struct Known {
    metadata: Arc<Metadata>,
    fetched_at: Timestamp,
    tried_at: Timestamp,
}

/// What belongs to one way there and back; it does not print itself.
pub struct Begin<'a> {
    /// Comes back as it is.
    pub state: &'a str,
    /// Has to be in the ID token.
    pub nonce: &'a str,
    /// Its hash goes there, and it itself with the code (RFC 7636).
    pub code_verifier: &'a str,
    /// Whether the person has to prove themselves anew there.
    pub anew: bool,
}

/// What came back; it does not print itself.
pub struct Given<'a> {
    /// The code.
    pub code: &'a str,
    /// As in [`Begin`].
    pub nonce: &'a str,
    /// As in [`Begin`].
    pub code_verifier: &'a str,
}

/// What came for a refresh token, as far as it is safe to keep whatever else is wrong with it; it does not print itself.
pub struct Exchanged {
    metadata: Arc<Metadata>,
    tokens: Result<Tokens, UpstreamError>,
    /// The refresh token in place of the one that was given.
    pub refresh_token: Option<Zeroizing<String>>,
}

impl std::fmt::Debug for Exchanged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<what came for a refresh token>")
    }
}

impl std::fmt::Debug for Begin<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<the way to a provider>")
    }
}

impl std::fmt::Debug for Given<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<the way back from a provider>")
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.settings.fmt(f)
    }
}

impl Client {
    pub(super) fn new(settings: Settings, callback: String) -> Result<Self, UpstreamError> {
        let unusable = |error: &dyn std::fmt::Display| UpstreamError::Away(error.to_string());
        Ok(Self {
            callback: RedirectUrl::new(callback).map_err(|error| unusable(&error))?,
            issuer: IssuerUrl::new(settings.issuer.as_str().to_owned()).map_err(|error| unusable(&error))?,
            http: Http::new(settings.issuer.is_loopback())?,
            known: Mutex::new(None),
            settings,
        })
    }

    /// Where the browser is sent.
    pub async fn begin(&self, begin: &Begin<'_>, now: Timestamp) -> Result<String, UpstreamError> {
        let metadata = self.metadata(now, KEEP).await?;
        if !self.http.may_reach(metadata.authorization_endpoint().as_str()) {
            return Err(UpstreamError::Invalid("the authorization endpoint is not https".to_owned()));
        }
        let client = self.client(&metadata);
        let (state, nonce) = (CsrfToken::new(begin.state.to_owned()), Nonce::new(begin.nonce.to_owned()));
        let verifier = PkceCodeVerifier::new(begin.code_verifier.to_owned());
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let mut request = client
            .authorize_url(flow, move || state, move || nonce)
            .add_scopes(
                self.settings.scopes.iter().filter(|scope| *scope != "openid").cloned().map(Scope::new),
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        let dialect = self.settings.provider.dialect;
        if begin.anew {
            request = request.add_prompt(CoreAuthPrompt::Login).set_max_age(Duration::ZERO);
        }
        // Entra ID knows the parameter and does not say so.
        if metadata.claims_parameter_supported() == Some(true) || dialect == Dialect::Entra {
            request = request.add_extra_param("claims", ASK_WHEN);
        }
        let offline = self.settings.scopes.iter().any(|scope| scope == "offline_access");
        if offline && dialect.asks_for_consent() {
            request = request.add_prompt(CoreAuthPrompt::Consent);
        }
        Ok(request.url().0.into())
    }

    /// Checks the `iss` of an authorization response (RFC 9207 §2.4).
    pub async fn check_issuer(&self, iss: Option<&str>, now: Timestamp) -> Result<(), UpstreamError> {
        let metadata = self.metadata(now, KEEP).await?;
        match iss {
            Some(iss) if iss == self.settings.issuer.as_str() => Ok(()),
            Some(_) => Err(UpstreamError::Invalid("the answer is of another issuer".to_owned())),
            None if metadata.additional_metadata().authorization_response_iss_parameter_supported => {
                Err(UpstreamError::Invalid("the answer does not say whose it is".to_owned()))
            }
            None => Ok(()),
        }
    }

    /// Exchanges a code and reads who signed in.
    pub async fn redeem(&self, given: &Given<'_>, now: Timestamp) -> Result<Answer, UpstreamError> {
        let metadata = self.metadata(now, KEEP).await?;
        let tokens = self
            .client(&metadata)
            .exchange_code(AuthorizationCode::new(given.code.to_owned()))
            .map_err(|_| UpstreamError::Invalid("the provider has no token endpoint".to_owned()))?
            .set_pkce_verifier(PkceCodeVerifier::new(given.code_verifier.to_owned()))
            .request_async(&self.http)
            .await
            .map_err(token_error)?;
        let id_token =
            tokens.id_token().ok_or_else(|| UpstreamError::Invalid("there is no ID token".to_owned()))?;
        let nonce = Nonce::new(given.nonce.to_owned());
        let said = self.read(id_token, &tokens, Some(&nonce), now).await?;
        self.complete(&metadata, &tokens, Some(said), None).await
    }

    /// Exchanges a refresh token. Nothing of what comes is looked at yet, since the old token may be spent from now on.
    pub async fn exchange(&self, refresh_token: &str, now: Timestamp) -> Result<Exchanged, UpstreamError> {
        let metadata = tokio::time::timeout(LOOK_UP, self.metadata(now, KEEP));
        let metadata =
            metadata.await.unwrap_or_else(|_| Err(UpstreamError::Away("no metadata in time".to_owned())))?;
        let answered = self
            .client(&metadata)
            .exchange_refresh_token(&RefreshToken::new(refresh_token.to_owned()))
            .map_err(|_| UpstreamError::Invalid("the provider has no token endpoint".to_owned()))?
            .request_async(&self.http)
            .await;
        let refresh_token = match &answered {
            Ok(tokens) => tokens.refresh_token().map(|token| Zeroizing::new(token.secret().clone())),
            Err(error) => token_beside(error),
        };
        match (answered.map_err(token_error), refresh_token) {
            (Err(error), None) => Err(error),
            (tokens, refresh_token) => Ok(Exchanged { metadata, tokens, refresh_token }),
        }
    }

    /// Reads what an exchange says about somebody.
    pub async fn tell(
        &self,
        exchanged: Exchanged,
        subject: &str,
        now: Timestamp,
    ) -> Result<Answer, UpstreamError> {
        let tokens = exchanged.tokens?;
        let said = match tokens.id_token() {
            Some(id_token) => Some(self.read(id_token, &tokens, None, now).await?),
            None => None,
        };
        if said.as_ref().is_some_and(|said| said.subject != subject) {
            return Err(UpstreamError::Invalid("the ID token is about somebody else".to_owned()));
        }
        self.complete(&exchanged.metadata, &tokens, said, Some(subject)).await
    }

    /// Checks an ID token (OpenID Connect Core §3.1.3.7) and reads it. One that names a key that is not known is looked at
    /// again with keys fetched anew.
    async fn read(
        &self,
        id_token: &IdToken,
        tokens: &Tokens,
        nonce: Option<&Nonce>,
        now: Timestamp,
    ) -> Result<Said, UpstreamError> {
        let metadata = self.metadata(now, KEEP).await?;
        match self.verify(&metadata, id_token, tokens, nonce, now) {
            Err(Rejected::UnknownKey) => {
                let anew = self.metadata(now, PAUSE).await?;
                self.verify(&anew, id_token, tokens, nonce, now)
            }
            done => done,
        }
        .map_err(|rejected| UpstreamError::Invalid(rejected.to_string()))
    }

    fn verify(
        &self,
        metadata: &Metadata,
        id_token: &IdToken,
        tokens: &Tokens,
        nonce: Option<&Nonce>,
        now: Timestamp,
    ) -> Result<Said, Rejected> {
        let other = |what: String| Rejected::Other(what);
        let at = date(now).ok_or_else(|| other("the clock is out of range".to_owned()))?;
        let skew = TimeDelta::seconds(SKEW.get());
        let client = self.client(metadata);
        let verifier = client
            .id_token_verifier()
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || at - skew)
            .set_issue_time_verifier_fn(move |iat| {
                let age = at - iat;
                if age > TimeDelta::seconds(MAX_AGE.get()) || age < -skew {
                    return Err("issued too long ago, or in the future".to_owned());
                }
                Ok(())
            });
        let expected = |found: Option<&Nonce>| match nonce {
            None => Ok(()),
            Some(nonce) if found.is_some_and(|found| found.secret() == nonce.secret()) => Ok(()),
            Some(_) => Err("not the one that was sent".to_owned()),
        };
        let claims = id_token.claims(&verifier, expected).map_err(|error| match error {
            ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
                Rejected::UnknownKey
            }
            error => other(describe(&error)),
        })?;
        // The library leaves this check to its callers.
        if claims.authorized_party().is_some_and(|azp| azp.as_str() != self.settings.client_id) {
            return Err(other("it was made for another client".to_owned()));
        }
        if let Some(expected) = claims.access_token_hash() {
            let key = id_token.signing_key(&verifier);
            let made = id_token.signing_alg().and_then(|algorithm| {
                AccessTokenHash::from_token(tokens.access_token(), algorithm, key?)
                    .map_err(|_| SignatureVerificationError::NoSignature)
            });
            if made.ok().as_ref() != Some(expected) {
                return Err(other("it belongs to another access token".to_owned()));
            }
        }
        Ok(claims::of_id_token(&self.settings.provider, claims))
    }

    /// Metadata and keys: those that are known, unless they are older than `at_most`; the last good ones, when the provider is
    /// away.
    async fn metadata(&self, now: Timestamp, at_most: Seconds) -> Result<Arc<Metadata>, UpstreamError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let young = |at: Timestamp, length: Seconds| now < at.plus(length);
        if let Some(known) = &known
            && (young(known.fetched_at, at_most) || young(known.tried_at, PAUSE))
        {
            return Ok(Arc::clone(&known.metadata));
        }
        let fetched = self.fetch().await;
        let mut place = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match (fetched, known) {
            (Ok(metadata), _) => {
                let metadata = Arc::new(metadata);
                *place = Some(Known { metadata: Arc::clone(&metadata), fetched_at: now, tried_at: now });
                Ok(metadata)
            }
            (Err(error), Some(known)) => {
                tracing::warn!(provider = %self.settings.provider.id, %error, "the last known keys stay in use");
                *place = Some(Known { tried_at: now, ..known.clone() });
                Ok(known.metadata)
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn fetch(&self) -> Result<Metadata, UpstreamError> {
        let found =
            Metadata::discover_async(self.issuer.clone(), &self.http).await.map_err(|error| match error {
                openidconnect::DiscoveryError::Request(error) => UpstreamError::Away(error.to_string()),
                openidconnect::DiscoveryError::Validation(_) => {
                    UpstreamError::Invalid("its metadata is of another issuer".to_owned())
                }
                openidconnect::DiscoveryError::Response(status, ..) => {
                    UpstreamError::Away(format!("its metadata or keys are not there (status {status})"))
                }
                _ => UpstreamError::Away("its metadata or keys cannot be read".to_owned()),
            })?;
        if found.jwks().keys().is_empty() {
            return Err(UpstreamError::Away("it publishes no key that may verify".to_owned()));
        }
        Ok(found)
    }

    pub(super) fn client(&self, metadata: &Metadata) -> OidcClient {
        let secret = ClientSecret::new(self.settings.client_secret.expose().to_owned());
        let id = ClientId::new(self.settings.client_id.clone());
        let methods = metadata.token_endpoint_auth_methods_supported();
        let basic = methods.is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        OidcClient::from_provider_metadata(metadata.clone(), id, Some(secret))
            .set_redirect_uri(self.callback.clone())
            .set_auth_type(if basic { AuthType::BasicAuth } else { AuthType::RequestBody })
    }
}

fn date(at: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at.seconds(), 0)
}
