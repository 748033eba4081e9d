//! The authorization request as a chain of proofs (RFC 6749 §4.1):
//! parsed → bound → read → validated → authenticated → asked → consented → code.
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
    scope::ScopeToken,
    secret::{AuthorizationCode, Secret},
    time::Timestamp,
};

use super::{
    client::Client,
    code::IssuedCode,
    consent::{self, Agreement, Answer, Decision, Offer, Possible, Reach, Tampered},
    grant::{Grant, Method},
    ids::GrantId,
    policy::Policy,
    registration::points_to,
    resource::Resource,
    session::{Freshness, Session, SignedIn},
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

    /// An error for the client.
    pub fn refuse(&self, error: OAuthError) -> RedirectError {
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

/// A request with everything that its person has to know.
#[derive(Debug)]
pub struct Asked {
    request: Authenticated,
    reach: Reach,
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

    /// Checks what is asked for. `resource` is the registered one that is meant, if there is one.
    pub fn validate(self, resource: Option<Resource>, policy: &Policy) -> Result<Validated, RedirectError> {
        let Self { params, client, address } = self;
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
        Ok(Validated { params, client, address, resource })
    }
}

fn unsupported_scope(scope: &ScopeToken, policy: &Policy) -> OAuthError {
    OAuthError::new(
        ErrorCode::InvalidScope,
        format!(
            "unsupported scope {scope}: ask for openid (email, profile, offline_access) only; permissions are ticked by the user on the consent page at {}",
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
                let error =
                    OAuthError::new(ErrorCode::LoginRequired, "nobody is signed in; ask without prompt=none");
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

    /// Goes on with what is known of what the person could allow.
    pub const fn reaching(self, reach: Reach) -> Asked {
        Asked { request: self, reach }
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
        let Validated { params, client, address, resource } = request;
        let Possible { choices, tiers, entitled } = consent::possible(user, client, resource, &self.reach);
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
                Err(tampered) => Err(Pause::Tampered(tampered)),
            },
        }
    }
}

impl Consented {
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
        let Validated { params, client, address, resource } = request;
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
                auth_time: session.auth_time,
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
mod tests {
    use doorward_shared::{
        allowance::Allowance, client_id::ClientId, issuer::Issuer, redirect_uri::RedirectUri, scope::Scope,
        secret::SystemEntropy, time::Seconds,
    };

    use super::*;
    use crate::domain::{
        consent::Ticked,
        fixture::{self, CHALLENGE, NOW},
    };

    fn query(extra: &str) -> String {
        format!(
            "response_type=code&client_id=pub1&redirect_uri=https%3A%2F%2Fapp.test%2Fcb&state=S1&code_challenge={CHALLENGE}\
             &code_challenge_method=S256&resource=https://mcp.test/a{extra}"
        )
    }

    fn validated(extra: &str) -> Validated {
        let bound =
            Parsed::parse(&query(extra)).unwrap().bind(Some(fixture::client()), &fixture::policy()).unwrap();
        bound.read().unwrap().validate(Some(fixture::resource()), &fixture::policy()).unwrap()
    }

    fn in_front_of_the_page(extra: &str) -> Asked {
        let signed_in = fixture::signed_in(&fixture::user(), Freshness::ForThisRequest);
        validated(extra).authenticate(Some(signed_in), NOW).unwrap().reaching(Reach::default())
    }

    fn yes(asked: &Asked, tiers: &[&str]) -> Answer {
        let tiers = tiers.iter().copied().map(String::from).collect();
        Answer {
            digest: asked.offer(&fixture::policy()).digest(),
            decision: Decision::Authorize(Ticked { tiers, ..Ticked::default() }),
        }
    }

    fn location(error: &RedirectError) -> String {
        error.location(&fixture::policy().issuer)
    }

    #[test]
    fn nothing_is_sent_to_an_address_that_was_not_registered() {
        let evil = query("").replace("app.test", "evil.test");
        let refused = Parsed::parse(&evil).unwrap().bind(Some(fixture::client()), &fixture::policy());
        assert_eq!(refused.unwrap_err(), PageError::RedirectUri);
        for client in [
            None,
            Some(Client { disabled_at: Some(NOW), ..fixture::client() }),
            Some(Client { id: ClientId::parse("other").unwrap(), ..fixture::client() }),
        ] {
            assert_eq!(
                Parsed::parse(&query("")).unwrap().bind(client, &fixture::policy()).unwrap_err(),
                PageError::UnknownClient
            );
        }
    }

    #[test]
    fn a_loopback_client_cannot_move_its_answer_to_the_port_of_this_server() {
        let policy = Policy { issuer: Issuer::parse("http://localhost:9000").unwrap(), ..fixture::policy() };
        let redirect_uris = vec![
            RedirectUri::from_registered("http://localhost/x".to_owned()),
            RedirectUri::from_registered("http://127.0.0.1/x".to_owned()),
        ];
        let bind = |uri: &str| {
            let client = Client { redirect_uris: redirect_uris.clone(), ..fixture::client() };
            let query = query("").replace("https%3A%2F%2Fapp.test%2Fcb", uri);
            Parsed::parse(&query).unwrap().bind(Some(client), &policy).map(|_| ())
        };
        assert_eq!(bind("http://localhost:9001/x"), Ok(()));
        assert_eq!(bind("http://localhost:9000/x"), Err(PageError::RedirectUri));
        assert_eq!(bind("http://127.0.0.1:9000/x"), Err(PageError::RedirectUri));
    }

    #[test]
    fn an_unsupported_scope_is_named_and_the_reader_told_where_permissions_are_chosen() {
        let bound = Parsed::parse(&query("&scope=openid+artifacts:read"))
            .unwrap()
            .bind(Some(fixture::client()), &fixture::policy());
        let read = bound.unwrap().read().unwrap();
        let error = read.validate(Some(fixture::resource()), &fixture::policy()).unwrap_err();
        assert_eq!(error.error().code(), ErrorCode::InvalidScope);
        assert!(error.error().description().starts_with("unsupported scope artifacts:read"));
        let location = location(&error);
        assert!(location.starts_with("https://app.test/cb?error=invalid_scope&"), "{location}");
        assert!(location.ends_with("&state=S1&iss=https%3A%2F%2Fas.test"), "{location}");
    }

    #[test]
    fn without_a_resource_nothing_is_issued() {
        let read = Parsed::parse(&query(""))
            .unwrap()
            .bind(Some(fixture::client()), &fixture::policy())
            .unwrap()
            .read()
            .unwrap();
        let error = read.validate(None, &fixture::policy()).unwrap_err();
        assert_eq!(error.error().code(), ErrorCode::InvalidTarget);
    }

    #[test]
    fn a_sign_in_must_be_there_live_and_fresh_enough() {
        let user = fixture::user();
        let earlier = || Some(fixture::signed_in(&user, Freshness::Earlier));
        assert!(matches!(validated("").authenticate(None, NOW), Err(Pause::Login(_))));
        assert!(validated("").authenticate(earlier(), NOW).is_ok());
        assert!(matches!(validated("&prompt=login").authenticate(earlier(), NOW), Err(Pause::Login(_))));
        let again = Some(fixture::signed_in(&user, Freshness::ForThisRequest));
        assert!(validated("&prompt=login").authenticate(again, NOW).is_ok());
        let later = NOW.plus(Seconds::new(3));
        assert!(matches!(validated("&max_age=1").authenticate(earlier(), later), Err(Pause::Login(_))));
        assert!(validated("&max_age=3").authenticate(earlier(), later).is_ok());
        let mut disabled = fixture::signed_in(&user, Freshness::ForThisRequest);
        disabled.user.disabled_at = Some(NOW);
        assert!(matches!(validated("").authenticate(Some(disabled), NOW), Err(Pause::Login(_))));
    }

    #[test]
    fn where_no_page_may_be_shown_the_client_is_told_what_is_missing() {
        let Err(Pause::Refuse(error)) = validated("&prompt=none").authenticate(None, NOW) else {
            panic!("refused")
        };
        assert_eq!(error.error().code(), ErrorCode::LoginRequired);
        let asked = in_front_of_the_page("&prompt=none");
        let Err(Pause::Refuse(error)) = asked.consent(None, &fixture::policy(), NOW) else {
            panic!("refused")
        };
        assert_eq!(error.error().code(), ErrorCode::ConsentRequired);
    }

    #[test]
    fn only_an_answer_to_what_is_shown_now_counts() {
        let policy = fixture::policy();
        assert!(matches!(in_front_of_the_page("").consent(None, &policy, NOW), Err(Pause::Consent(_))));
        let stale = Answer { digest: "stale".to_owned(), ..yes(&in_front_of_the_page(""), &["read"]) };
        assert!(matches!(
            in_front_of_the_page("").consent(Some(stale), &policy, NOW),
            Err(Pause::Consent(_))
        ));
        // The digest is bound to the person: another person's yes is no answer.
        let of_another = yes(&in_front_of_the_page(""), &["read"]);
        assert!(matches!(
            in_front_of_the_page("").consent(Some(of_another), &policy, NOW),
            Err(Pause::Consent(_))
        ));
    }

    #[test]
    fn a_no_goes_to_the_client_and_a_yes_becomes_a_code_for_exactly_what_was_ticked() {
        let policy = fixture::policy();
        let asked = in_front_of_the_page("");
        let deny = Answer { decision: Decision::Deny, ..yes(&asked, &[]) };
        let Err(Pause::Refuse(error)) = asked.consent(Some(deny), &policy, NOW) else { panic!("refused") };
        assert_eq!(error.error().code(), ErrorCode::AccessDenied);

        let asked = in_front_of_the_page("&scope=openid&nonce=N");
        let answer = yes(&asked, &["read"]);
        let code = Secret::<AuthorizationCode>::generate(&SystemEntropy);
        let grant = GrantId::generate(NOW, &SystemEntropy);
        let (location, issued) =
            asked.consent(Some(answer), &policy, NOW).unwrap().issue(&code, grant, &policy, NOW);
        let expected =
            format!("https://app.test/cb?code={}&state=S1&iss=https%3A%2F%2Fas.test", code.expose());
        assert_eq!(location, expected);
        assert_eq!(issued.grant().allowance, Allowance::everywhere(Scope::parse("artifacts:read").unwrap()));
        assert_eq!(issued.grant().oidc, Scope::parse("openid").unwrap());
        assert_eq!((issued.nonce(), issued.expires_at()), (Some("N"), NOW.plus(Seconds::new(60))));
    }
}
