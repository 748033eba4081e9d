//! The authorization request as a chain of proofs (RFC 6749 §4.1):
//! parsed → bound → read → validated → authenticated → consented → code.
//!
//! Each step consumes the one before, and only the named function makes the next. A [`PageError`] has no address; a
//! [`RedirectError`] cannot be built without a [`ReturnAddress`], and only [`Parsed::bind`] makes one: an open redirect
//! does not compile.

use doorward_shared::{
    authorization::{AuthorizationParams, AuthorizationRequest, Unreadable, response_location},
    client_id::ClientId,
    error::{ErrorCode, OAuthError},
    issuer::Issuer,
    permission::OIDC_SCOPES,
    resource::ResourceUri,
    scope::{Scope, ScopeToken},
    secret::{AuthorizationCode, Secret},
    time::Timestamp,
};

use super::{
    client::Client,
    code::IssuedCode,
    consent::{Agreement, Answer, Decision, Offer, Tampered},
    grant::Grant,
    ids::GrantId,
    policy::Policy,
    resource::Resource,
    session::Session,
    user::User,
};

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
    redirect_uri: String,
    state: Option<String>,
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
    fn answer(&self, issuer: &Issuer, answer: &[(&str, &str)]) -> String {
        response_location(&self.redirect_uri, issuer, self.state.as_deref(), answer)
    }

    fn refuse(&self, error: OAuthError) -> RedirectError {
        RedirectError { to: self.clone(), error }
    }
}

/// A request of which client and address can be read.
#[derive(Debug)]
pub struct Parsed(AuthorizationRequest);

/// A request whose answer has a proven address.
#[derive(Debug)]
pub struct Bound {
    request: AuthorizationRequest,
    client: Client,
    address: ReturnAddress,
}

/// A request that is well-formed throughout.
#[derive(Debug)]
pub struct Read {
    params: AuthorizationParams,
    client: Client,
    address: ReturnAddress,
}

/// A request that may be put before a person.
#[derive(Debug)]
pub struct Validated {
    params: AuthorizationParams,
    client: Client,
    address: ReturnAddress,
    resource: Resource,
}

/// A request with its person.
#[derive(Debug)]
pub struct Authenticated {
    request: Validated,
    session: Session,
    user: User,
}

/// A request that its person agreed to.
#[derive(Debug)]
pub struct Consented {
    request: Authenticated,
    agreement: Agreement,
}

/// Why a request waits, or goes no further.
#[derive(Debug)]
pub enum Pause {
    /// The person has to sign in.
    Login(Box<Validated>),
    /// The person has to be asked.
    Consent(Box<Authenticated>),
    /// The client gets an error.
    Refuse(Box<RedirectError>),
    /// The answer did not come from the page.
    Tampered(Tampered),
}

/// The browser session of the visitor, as far as there is one.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The session, live.
    pub session: Session,
    /// Who.
    pub user: User,
    /// Whether the sign-in happened for this very request.
    pub freshness: Freshness,
}

/// Whether a sign-in happened for this very request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It was there before.
    Earlier,
    /// The person signed in to go on with this request.
    ForThisRequest,
}

impl Parsed {
    /// Reads who asks and where the answer is wanted.
    pub fn parse(query: &str) -> Result<Self, PageError> {
        Ok(Self(AuthorizationRequest::parse(query)?))
    }

    /// Who asks.
    pub const fn client_id(&self) -> &ClientId {
        &self.0.client_id
    }

    /// Proves that the address belongs to the client.
    pub fn bind(self, client: Option<Client>) -> Result<Bound, PageError> {
        let request = self.0;
        let client = client.filter(|client| client.id == request.client_id && client.disabled_at.is_none());
        let client = client.ok_or(PageError::UnknownClient)?;
        if !client.redirect_uris.iter().any(|uri| uri.admits(&request.redirect_uri)) {
            return Err(PageError::RedirectUri);
        }
        let address =
            ReturnAddress { redirect_uri: request.redirect_uri.clone(), state: request.state().map(String::from) };
        Ok(Bound { request, client, address })
    }
}

impl Bound {
    /// Reads everything else.
    pub fn read(self) -> Result<Read, RedirectError> {
        let Self { request, client, address } = self;
        match request.params() {
            Ok(params) => Ok(Read { params, client, address }),
            Err(error) => Err(address.refuse(error)),
        }
    }
}

impl Read {
    /// The resource that is asked for, if one is.
    pub const fn resource(&self) -> Option<&ResourceUri> {
        self.params.resource.as_ref()
    }

    /// Checks what is asked for. `resource` is the registered one that is meant, if there is one.
    pub fn validate(self, resource: Option<Resource>, policy: &Policy) -> Result<Validated, RedirectError> {
        let Self { params, client, address } = self;
        if let Some(refused) = params.scope.iter().find(|token| !OIDC_SCOPES.contains(&token.as_str())) {
            return Err(address.refuse(unsupported_scope(refused, policy)));
        }
        let Some(resource) = resource else {
            let text = match params.resource {
                Some(_) => "unknown resource: register it at the authorization server with `doorward resource add`",
                None => "the resource parameter is missing, and there is no single resource it could mean (RFC 8707)",
            };
            return Err(address.refuse(OAuthError::new(ErrorCode::InvalidTarget, text)));
        };
        Ok(Validated { params, client, address, resource })
    }
}

fn unsupported_scope(scope: &ScopeToken, policy: &Policy) -> OAuthError {
    OAuthError::new(
        ErrorCode::InvalidScope,
        format!(
            "unsupported scope {scope}: ask for openid only; permissions are ticked by the user on the consent page at {}",
            policy.issuer
        ),
    )
}

impl Validated {
    /// Who asks.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// For which resource.
    pub const fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The account that the client suggests.
    pub fn login_hint(&self) -> Option<&str> {
        self.params.login_hint.as_deref()
    }

    /// Demands a sign-in that is live and fresh enough.
    pub fn authenticate(self, signed_in: Option<SignedIn>, now: Timestamp) -> Result<Authenticated, Pause> {
        let fresh_enough = |signed_in: &SignedIn| {
            let young = self.params.max_age.is_none_or(|max| now.since(signed_in.session.auth_time) <= max);
            signed_in.freshness == Freshness::ForThisRequest || (young && !self.params.prompt.login)
        };
        match signed_in.filter(|signed_in| signed_in.user.disabled_at.is_none()).filter(fresh_enough) {
            Some(SignedIn { session, user, .. }) => Ok(Authenticated { request: self, session, user }),
            None if self.params.prompt.none => {
                let error = OAuthError::new(ErrorCode::LoginRequired, "nobody is signed in; ask without prompt=none");
                Err(Pause::Refuse(Box::new(self.address.refuse(error))))
            }
            None => Err(Pause::Login(Box::new(self))),
        }
    }
}

impl Authenticated {
    /// Who is asked.
    pub const fn user(&self) -> &User {
        &self.user
    }

    /// The browser session in which they are asked.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// What is put before the person.
    pub const fn offer<'a>(&'a self, oidc: &'a Scope) -> Offer<'a> {
        let request = &self.request;
        Offer {
            user: &self.user,
            client: &request.client,
            redirect_uri: request.address.redirect_uri.as_str(),
            resource: &request.resource,
            oidc,
        }
    }

    /// The OpenID Connect scopes that are asked for.
    pub const fn oidc(&self) -> &Scope {
        &self.request.params.scope
    }

    /// Demands an answer to exactly what would be shown now. There is no remembered yes: permissions are ticked each time.
    pub fn consent(self, answer: Option<Answer>, policy: &Policy, now: Timestamp) -> Result<Consented, Pause> {
        if self.request.params.prompt.none {
            let error = OAuthError::new(ErrorCode::ConsentRequired, "the user has to be asked; ask without prompt=none");
            return Err(Pause::Refuse(Box::new(self.request.address.refuse(error))));
        }
        let offer = self.offer(self.oidc());
        let Some(answer) = answer.filter(|answer| answer.digest == offer.digest()) else {
            return Err(Pause::Consent(Box::new(self)));
        };
        match answer.decision {
            Decision::Deny => {
                let error = OAuthError::new(ErrorCode::AccessDenied, "the user denied the request");
                Err(Pause::Refuse(Box::new(self.request.address.refuse(error))))
            }
            Decision::Authorize { tiers, expires } => {
                match offer.agree(&tiers, expires.as_deref(), &policy.refresh, now) {
                    Ok(agreement) => Ok(Consented { request: self, agreement }),
                    Err(tampered) => Err(Pause::Tampered(tampered)),
                }
            }
        }
    }
}

impl Consented {
    /// Makes the code, and the address that carries it to the client.
    pub fn issue(
        self,
        code: &Secret<AuthorizationCode>,
        grant: GrantId,
        policy: &Policy,
        now: Timestamp,
    ) -> (String, IssuedCode) {
        let Authenticated { request, session, user } = self.request;
        let Validated { params, client, address, resource } = request;
        let location = address.answer(&policy.issuer, &[("code", code.expose())]);
        let issued = IssuedCode {
            hash: code.hash(),
            grant: Grant {
                id: grant,
                user_id: user.id,
                client_id: client.id,
                resource: resource.uri,
                oidc: params.scope,
                permissions: self.agreement.permissions,
                auth_time: session.auth_time,
                created_at: now,
                expires_at: self.agreement.expires_at,
                ended_at: None,
            },
            session: session.hash,
            redirect_uri: address.redirect_uri,
            challenge: params.code_challenge,
            nonce: params.nonce,
            expires_at: now.plus(policy.token.code_ttl),
        };
        (location, issued)
    }
}
