//! The authorization request as a chain of proofs (RFC 6749 §4.1):
//! parsed → bound → read → validated → authenticated → asked → consented → code.
//!
//! Each step consumes the one before, and only the named function makes the next. A [`PageError`] has no address; a
//! [`RedirectError`] cannot be built without a [`ReturnAddress`], and only [`Parsed::bind`] makes one: an open redirect
//! does not compile.

use doorward_shared::{
    authorization::{AuthorizationParams, AuthorizationRequest},
    client_id::ClientId,
    error::{ErrorCode, OAuthError},
    form::Form,
    jose::id_token::Hint,
    permission::OIDC_SCOPES,
    resource::ResourceUri,
    secret::{AuthorizationCode, Secret},
    time::{Seconds, Timestamp},
};

mod answer;

use self::answer::unsupported_scope;
pub use self::answer::{PageError, RedirectError, ReturnAddress};
use super::{
    client::Client,
    code::IssuedCode,
    consent::{
        self, Agreement, Answer, Decision, Mistake, NotAgreed, Offer, Possible, Reach, Tampered, Ticked,
    },
    grant::{Grant, Method},
    ids::GrantId,
    policy::Policy,
    registration::points_to,
    resource::Resource,
    session::{Freshness, Session, SignedIn},
    user::User,
};

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
    hint: Option<Hint>,
}

/// A request with its person.
#[derive(Debug)]
pub struct Authenticated {
    request: Validated,
    session: Session,
    user: User,
}

/// A request with everything that its person has to know.
#[derive(Debug)]
pub struct Asked {
    request: Authenticated,
    reach: Reach,
    mistaken: Option<(Mistake, Ticked)>,
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
    Consent(Box<Asked>),
    /// The client gets an error.
    Refuse(Box<RedirectError>),
    /// The answer did not come from the page.
    Tampered(Tampered),
}

/// True when a request, not validated yet, may ask for a proof of now (OpenID Connect Core §3.1.2.1).
pub fn asks_for_proof(query: &str) -> bool {
    let form = Form::parse(query).unwrap_or_default();
    let one = |name| form.one(name).ok().flatten();
    one("max_age").is_some()
        || one("prompt").is_some_and(|prompt| prompt.split(' ').any(|word| word == "login"))
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

    /// Proves that the address belongs to the client, and is not one of this server's own: a loopback redirect may change its
    /// port, so the address that was registered does not tell.
    pub fn bind(self, client: Option<Client>, policy: &Policy) -> Result<Bound, PageError> {
        let request = self.0;
        let client = client.filter(|client| client.id == request.client_id && client.disabled_at.is_none());
        let client = client.ok_or(PageError::UnknownClient)?;
        let registered = client.redirect_uris.iter().any(|uri| uri.admits(&request.redirect_uri));
        if !registered || points_to(&policy.issuer, &request.redirect_uri) {
            return Err(PageError::RedirectUri);
        }
        let address = ReturnAddress {
            redirect_uri: request.redirect_uri.clone(),
            state: request.state().map(String::from),
        };
        Ok(Bound { request, client, address })
    }
}

impl Bound {
    /// Where the answer goes.
    pub const fn address(&self) -> &ReturnAddress {
        &self.address
    }

    /// Who asks.
    pub const fn client_id(&self) -> &ClientId {
        &self.client.id
    }

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

    /// The ID token that came along.
    pub fn id_token_hint(&self) -> Option<&str> {
        self.params.id_token_hint.as_deref()
    }

    /// Checks what is asked for. `resource` is the registered one that is meant, if there is one; `hint` what the ID token that
    /// came along says, if this server signed it.
    pub fn validate(
        self,
        resource: Option<Resource>,
        hint: Option<Hint>,
        policy: &Policy,
    ) -> Result<Validated, RedirectError> {
        let Self { params, client, address } = self;
        if params.id_token_hint.is_some() && hint.as_ref().is_none_or(|hint| hint.aud != client.id) {
            let text = "the id_token_hint is no ID token that this server made for this client";
            return Err(address.refuse(OAuthError::new(ErrorCode::InvalidRequest, text)));
        }
        if let Some(refused) = params.scope.iter().find(|token| !OIDC_SCOPES.contains(&token.as_str())) {
            return Err(address.refuse(unsupported_scope(refused, policy)));
        }
        let Some(resource) = resource else {
            let text = match params.resource {
                Some(_) => {
                    "unknown resource: register it at the authorization server with `doorward resource add`"
                }
                None => {
                    "the resource parameter is missing, and there is no single resource it could mean (RFC 8707)"
                }
            };
            return Err(address.refuse(OAuthError::new(ErrorCode::InvalidTarget, text)));
        };
        Ok(Validated { params, client, address, resource, hint })
    }
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

    /// Demands a sign-in that is live and fresh enough, of the person who is meant.
    pub fn authenticate(self, signed_in: Option<SignedIn>, now: Timestamp) -> Result<Authenticated, Pause> {
        let refuse = |text: &'static str| {
            let error = OAuthError::new(ErrorCode::LoginRequired, text);
            Err(Pause::Refuse(Box::new(self.address.refuse(error))))
        };
        let signed_in = signed_in.filter(|signed_in| signed_in.user.disabled_at.is_none());
        let unproved = signed_in.as_ref().is_some_and(|found| found.freshness == Freshness::Unproved);
        match signed_in.filter(|signed_in| self.is_fresh_enough(signed_in, now)) {
            Some(signed_in) if self.means(&signed_in.user) => {
                let SignedIn { session, user, .. } = signed_in;
                Ok(Authenticated { request: self, session, user })
            }
            // Whoever was asked to sign in and is somebody else has answered (OpenID Connect Core §3.1.2.1).
            Some(signed_in) if signed_in.freshness != Freshness::Earlier => {
                refuse("somebody else signed in than the id_token_hint is about")
            }
            // They did what was asked; asking again would end nowhere.
            None if unproved => refuse(
                "the provider at which the person signed in does not say that they proved themselves anew; sign in here in \
                 another way",
            ),
            _ if self.params.prompt.none => refuse(match self.hint {
                Some(_) => "the person of the id_token_hint is not signed in; ask without prompt=none",
                None => "nobody is signed in; ask without prompt=none",
            }),
            _ => Err(Pause::Login(Box::new(self))),
        }
    }

    /// A sign-in of this very second is no answer to `max_age=0`, which asks for a new one as `prompt=login` does.
    fn is_fresh_enough(&self, signed_in: &SignedIn, now: Timestamp) -> bool {
        let age = signed_in.session.proved_at.map(|at| now.since(at));
        let young = |max: Seconds| max > Seconds::new(0) && age.is_some_and(|age| age <= max);
        signed_in.freshness == Freshness::ForThisRequest
            || (self.params.max_age.is_none_or(young) && !self.params.prompt.login)
    }

    /// True unless an ID token came along that is about somebody else. It never stands for a sign-in.
    fn means(&self, user: &User) -> bool {
        self.hint.as_ref().is_none_or(|hint| hint.sub == user.id.as_str())
    }
}

impl Authenticated {
    /// Who is asked.
    pub const fn user(&self) -> &User {
        &self.user
    }

    /// Who asks.
    pub const fn client(&self) -> &Client {
        &self.request.client
    }

    /// Goes on with what is known of what the person could allow.
    pub const fn reaching(self, reach: Reach) -> Asked {
        Asked { request: self, reach, mistaken: None }
    }

    /// For which resource.
    pub const fn resource(&self) -> &Resource {
        &self.request.resource
    }
}

impl Asked {
    /// What is put before the person.
    pub fn offer(&self, policy: &Policy) -> Offer<'_> {
        let Authenticated { request, user, .. } = &self.request;
        let Validated { params, client, address, resource, hint: _ } = request;
        let Possible { choices, tiers, entitled } =
            consent::possible(user, client.under(&policy.registration), resource, &self.reach);
        Offer {
            choices,
            tiers,
            entitled,
            lifetimes: consent::lifetimes(&policy.refresh),
            user,
            client,
            redirect_uri: address.redirect_uri.as_str(),
            resource,
            oidc: &params.scope,
        }
    }

    /// What was ticked when it was asked before, and is wrong with that.
    pub fn mistaken(&self) -> Option<(Mistake, &Ticked)> {
        self.mistaken.as_ref().map(|(mistake, ticked)| (*mistake, ticked))
    }

    /// Demands an answer to exactly what would be shown now. There is no remembered yes: permissions are ticked each time.
    pub fn consent(
        self,
        answer: Option<Answer>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Consented, Pause> {
        if self.request.request.params.prompt.none {
            let error = OAuthError::new(
                ErrorCode::ConsentRequired,
                "the user has to be asked; ask without prompt=none",
            );
            return Err(Pause::Refuse(Box::new(self.request.request.address.refuse(error))));
        }
        let offer = self.offer(policy);
        let Some(answer) = answer.filter(|answer| answer.digest == offer.digest()) else {
            return Err(Pause::Consent(Box::new(self)));
        };
        match answer.decision {
            Decision::Deny => {
                let error = OAuthError::new(ErrorCode::AccessDenied, "the user denied the request");
                Err(Pause::Refuse(Box::new(self.request.request.address.refuse(error))))
            }
            Decision::Authorize(ticked) => match offer.agree(&ticked, now) {
                Ok(agreement) => Ok(Consented { request: self.request, agreement }),
                Err(NotAgreed::Mistaken(mistake)) => {
                    let mistaken = Some((mistake, ticked));
                    Err(Pause::Consent(Box::new(Self { mistaken, ..self })))
                }
                Err(NotAgreed::Tampered(tampered)) => Err(Pause::Tampered(tampered)),
            },
        }
    }
}

impl Consented {
    /// Who is allowed something.
    pub const fn client(&self) -> &Client {
        &self.request.request.client
    }

    /// Where the answer goes.
    pub const fn address(&self) -> &ReturnAddress {
        &self.request.request.address
    }

    /// Makes the code, and the address that carries it to the client.
    pub fn issue(
        self,
        code: &Secret<AuthorizationCode>,
        grant: GrantId,
        policy: &Policy,
        now: Timestamp,
    ) -> (String, IssuedCode) {
        let Authenticated { request, session, user } = self.request;
        let Validated { params, client, address, resource, hint: _ } = request;
        let location = address.answer(&policy.issuer, &[("code", code.expose())]);
        let issued = IssuedCode {
            hash: code.hash(),
            grant: Grant {
                id: grant,
                user_id: user.id,
                method: Method::of(&client),
                client_id: client.id,
                resource: resource.uri,
                oidc: params.scope,
                organization: self.agreement.organization,
                allowance: self.agreement.allowance,
                auth_time: session.authenticated_at(),
                sign_in: session.method,
                session: session.id,
                created_at: now,
                expires_at: self.agreement.expires_at,
                last_use: None,
                revoked_until: None,
                ended: None,
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

#[cfg(test)]
mod tests;
