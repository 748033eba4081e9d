//! One person, one client, one resource, and the real decisions between them: the only way to a verdict.

use std::{num::NonZeroU32, sync::Arc};

use doorward::{
    domain::{
        audit::{Action, Actor, Event},
        authorize::Parsed,
        client::{Client, Credentials, Origin},
        client_auth::authenticate,
        code::{self, IssuedCode, Redemption, StoredCode},
        consent::{Answer, Decision, Reach, Ticked},
        email::Email,
        grant::Use,
        ids::{GrantId, OrganizationId, SessionId, UserId},
        policy::{
            ClientDocumentPolicy, KeyPolicy, Limits, Policy, RefreshPolicy, RegistrationPolicy, ReplayError,
            SessionPolicy, TokenPolicy,
        },
        refresh::{self, RefreshToken, Rotation, retry::Sender},
        resource::{Access, PermissionMode, Resource},
        revocation::{Revocation, Sweep, Whose},
        session::{Freshness, SignedIn},
        session::{Session, SignInMethod},
        user::{PasswordHash, User},
    },
    store::{Applied, Store},
};
use doorward_shared::{
    client_id::ClientId,
    client_metadata::About,
    issuer::Issuer,
    jose::Algorithm,
    permission::PermissionModel,
    redirect_uri::RedirectUri,
    resource::ResourceUri,
    secret::{AuthorizationCode, RefreshToken as RefreshTokenKind, Secret, SystemEntropy},
    time::{Seconds, Timestamp},
    token::{CodeExchange, GrantType, PresentedProof, Refresh},
};

use crate::backend::{Backend, at, secret};

// The example of RFC 7636 appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const REDIRECT: &str = "https://app.test/cb";

/// Whose turn the verifier is.
#[derive(Clone, Copy)]
pub(crate) enum Verifier {
    Right,
    Wrong,
}

/// A store with a person who is signed in, a client and a resource.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) policy: Policy,
    pub(crate) user: User,
    pub(crate) client: Client,
    pub(crate) resource: Resource,
    pub(crate) session: Session,
}

const TOKEN: TokenPolicy = TokenPolicy { code_ttl: Seconds::minutes(1), access_ttl: Seconds::minutes(15) };

pub(crate) fn policy() -> Policy {
    Policy {
        issuer: Issuer::parse("https://as.test").unwrap(),
        token: TOKEN,
        keys: KeyPolicy::new(Algorithm::Es256, Seconds::days(30), Seconds::hours(4), &TOKEN),
        refresh: RefreshPolicy {
            idle: Seconds::days(30),
            absolute: Seconds::days(90),
            replay_error: ReplayError::RefreshReplayed,
            retry_window: Seconds::new(0),
        },
        session: SessionPolicy {
            idle: Seconds::days(1),
            absolute: Seconds::days(2),
            pending_request: Seconds::minutes(10),
        },
        registration: RegistrationPolicy {
            enabled: true,
            app_schemes: vec![],
            per_address: 10,
            overall: 100,
            max_tier: None,
            unused_ttl: Seconds::days(7),
        },
        client_documents: ClientDocumentPolicy {
            enabled: true,
            allowed_hosts: vec![],
            denied_hosts: vec![],
            ports: vec![443],
            per_address: 10,
        },
        limits: Limits {
            token_failures: 10,
            sign_in_failures: 10,
            pending_requests: 10,
            api_key_requests: NonZeroU32::MIN,
        },
        fixed_client: None,
        upstream: vec![],
        mail: false,
    }
}

pub(crate) fn user(email: &str) -> User {
    User {
        id: UserId::generate(at(0), &SystemEntropy),
        email: Email::parse(email).unwrap(),
        name: Some("Zoë 🦊 O'Neil".to_owned()),
        organization: OrganizationId::generate(at(0), &SystemEntropy),
        groups: vec!["staff".to_owned(), "日本, \"quoted\" \u{1F98A}".to_owned(), String::new()],
        upstream_groups: Vec::new(),
        password: PasswordHash::from_phc("$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA".to_owned()),
        passwordless_since: None,
        admin_since: None,
        created_at: at(0),
        disabled_at: None,
        revoked_until: None,
    }
}

pub(crate) fn client(id: &str) -> Client {
    Client {
        id: ClientId::parse(id).unwrap(),
        name: Some("Klient 🚀 ✓".to_owned()),
        origin: Origin::Dynamic,
        redirect_uris: vec![
            RedirectUri::register(REDIRECT, &[]).unwrap(),
            RedirectUri::register("http://127.0.0.1/cb?x=%22", &[]).unwrap(),
        ],
        post_logout_redirect_uris: vec![RedirectUri::register("https://app.test/out", &[]).unwrap()],
        grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
        credentials: Credentials::Public,
        registration_token: None,
        ceiling: None,
        ceiling_places: vec![],
        backchannel_logout: None,
        created_at: at(0),
        disabled_at: None,
        revoked_until: None,
        about: About { software_id: Some("4NRB1-0XZABZI9E6-5SM3R".to_owned()), ..About::default() },
    }
}

pub(crate) fn resource(uri: &str) -> Resource {
    Resource {
        uri: ResourceUri::parse(uri).unwrap(),
        name: "Artefakte 📦".to_owned(),
        mode: PermissionMode::Consent,
        access: Access::Everyone,
        model: PermissionModel::artifacts(),
        client_id: ClientId::parse(&format!("rs-{}", ulid::Ulid::generate())).unwrap(),
        secret: secret().hash(),
        former: None,
        created_at: at(0),
        disabled_at: None,
        revoked_until: None,
    }
}

pub(crate) fn session(user: &User, now: Timestamp) -> Session {
    Session {
        id: SessionId::generate(now, &SystemEntropy),
        hash: secret().hash(),
        user_id: user.id.clone(),
        method: SignInMethod::Password,
        address: Some("192.0.2.7".to_owned()),
        agent: Some("Firefox/140".to_owned()),
        auth_time: now,
        proved_at: Some(now),
        last_seen_at: now,
        provider: None,
        ended_at: None,
    }
}

/// A line of the audit trail, whatever it says.
pub(crate) fn event() -> Event {
    event_at(at(0))
}

pub(crate) fn event_at(now: Timestamp) -> Event {
    Event::new(Action::SignedIn, Actor::Operator, now, &SystemEntropy).from(Some("192.0.2.1"))
}

pub(crate) fn used() -> Use {
    Use::new(at(1), Some("192.0.2.1"), Some("test/1 🦊"))
}

pub(crate) fn barred_user(id: &UserId, now: Timestamp) -> Sweep {
    Sweep::barred(Whose::User(id.clone()), &policy().token, now)
}

pub(crate) fn barred_client(id: &ClientId, now: Timestamp) -> Sweep {
    Sweep::barred(Whose::Client(id.clone()), &policy().token, now)
}

pub(crate) fn barred_resource(uri: &ResourceUri, now: Timestamp) -> Sweep {
    Sweep::barred(Whose::Resource(uri.clone()), &policy().token, now)
}

impl World {
    pub(crate) async fn new(backend: &Backend) -> Self {
        let store = backend.store().await;
        let user = user("alice@example.test");
        let client = client("app");
        let resource = resource("https://mcp.test/a");
        let session = session(&user, at(0));
        assert_eq!(store.insert_user(&user, &event()).await.unwrap(), Applied::Done);
        assert_eq!(store.insert_client(&client, &event()).await.unwrap(), Applied::Done);
        assert_eq!(store.insert_resource(&resource, &event()).await.unwrap(), Applied::Done);
        assert_eq!(store.open_session(&session, None, &event()).await.unwrap(), Applied::Done);
        Self { store, policy: policy(), user, client, resource, session }
    }

    /// The world that another process made.
    pub(crate) async fn again(store: Arc<dyn Store>) -> Self {
        let user = store.users().await.unwrap().remove(0);
        let client = store.clients().await.unwrap().remove(0);
        let resource = store.resources().await.unwrap().remove(0);
        let session = session(&user, at(0));
        Self { store, policy: policy(), user, client, resource, session }
    }

    /// The same world through another opening of the store, as another process has it.
    pub(crate) fn through(&self, store: Arc<dyn Store>) -> Self {
        Self { store, ..self.clone() }
    }

    /// Walks an authorization request through the whole chain to a code.
    pub(crate) fn authorize(&self, now: Timestamp) -> (Secret<AuthorizationCode>, IssuedCode) {
        self.authorize_within(Reach::default(), Ticked::default(), now)
    }

    /// The same, of what reaches further than the person's own data, with other ticks than the tier `write`.
    pub(crate) fn authorize_within(
        &self,
        reach: Reach,
        ticked: Ticked,
        now: Timestamp,
    ) -> (Secret<AuthorizationCode>, IssuedCode) {
        let query = format!(
            "response_type=code&client_id={}&redirect_uri={REDIRECT}&state=s&scope=openid+email&nonce=n%F0%9F%A6%8A\
             &code_challenge={CHALLENGE}&code_challenge_method=S256&resource={}",
            self.client.id, self.resource.uri
        );
        let signed_in = SignedIn {
            session: self.session.clone(),
            user: self.user.clone(),
            freshness: Freshness::Earlier,
        };
        let asked = Parsed::parse(&query)
            .unwrap()
            .bind(Some(self.client.clone()), &self.policy)
            .unwrap()
            .read()
            .unwrap();
        let asked = asked.validate(Some(self.resource.clone()), None, &self.policy).unwrap();
        let asked = asked.authenticate(Some(signed_in), now).unwrap().reaching(reach);
        let digest = asked.offer(&self.policy).digest();
        let decision = Decision::Authorize(Ticked { tiers: vec!["write".to_owned()], ..ticked });
        let agreed = asked.consent(Some(Answer { digest, decision }), &self.policy, now).unwrap();
        let code = secret();
        let (_, issued) = agreed.issue(&code, GrantId::generate(now, &SystemEntropy), &self.policy, now);
        (code, issued)
    }

    /// What inserts a grant, for a transaction that stays open.
    pub(crate) fn grant_by_hand(&self) -> String {
        let grant = GrantId::generate(at(0), &SystemEntropy);
        let (user, client, resource) = (&self.user.id, &self.client.id, &self.resource.uri);
        format!(
            "insert into grants (id, user_id, client_id, client_row, resource, resource_row, organization, oidc, allowance,
            method, auth_time, sign_in, session_id, created_at, expires_at) values ('{grant}', '{user}', '{client}', '{client}', '{resource}', '{}',
            '{}', '[]', '{{\"everywhere\":\"\"}}', 'dcr', 1800000000, 'password', '{session}', 1800000000, 1900000000)",
            resource.folded(),
            self.user.organization,
            session = self.session.id,
        )
    }

    /// A code in the store.
    pub(crate) async fn code(&self) -> (Secret<AuthorizationCode>, IssuedCode) {
        let (code, issued) = self.authorize(at(0));
        assert_eq!(self.store.insert_code(&issued, &event()).await.unwrap(), Applied::Done);
        (code, issued)
    }

    /// What a presented code is worth; the second value is the refresh token that it would buy.
    pub(crate) fn judge_code(
        &self,
        code: &StoredCode,
        verifier: Verifier,
        now: Timestamp,
    ) -> (code::Verdict<'_>, Secret<RefreshTokenKind>) {
        let asked = CodeExchange {
            code: String::new(),
            redirect_uri: Some(REDIRECT.to_owned()),
            code_verifier: match verifier {
                Verifier::Right => VERIFIER.to_owned(),
                Verifier::Wrong => VERIFIER.to_lowercase(),
            },
            resource: None,
        };
        let who = authenticate(&self.client, &PresentedProof::None).unwrap();
        let fresh = secret();
        (code::decide(code, &who, &asked, Some(&self.resource), fresh.hash(), &self.policy, now), fresh)
    }

    /// The verdict that a code is redeemed, made from what the store holds now.
    pub(crate) async fn redemption(
        &self,
        code: &Secret<AuthorizationCode>,
    ) -> (Redemption, Secret<RefreshTokenKind>) {
        let stored = self.store.code(&code.hash()).await.unwrap().unwrap();
        match self.judge_code(&stored, Verifier::Right, at(1)) {
            (code::Verdict::Redeem(redemption, ..), fresh) => (redemption, fresh),
            (verdict, _) => panic!("{verdict:?}"),
        }
    }

    /// The first refresh token of a new family.
    pub(crate) async fn family(&self) -> (GrantId, Secret<RefreshTokenKind>) {
        let (code, issued) = self.code().await;
        let (redemption, token) = self.redemption(&code).await;
        assert_eq!(self.store.redeem(&redemption, &used(), &event()).await.unwrap(), Applied::Done);
        (issued.grant().id.clone(), token)
    }

    /// What a presented refresh token is worth; the second value is its successor.
    pub(crate) fn judge_refresh(
        &self,
        token: &RefreshToken,
        now: Timestamp,
    ) -> (refresh::Verdict<'_>, Secret<RefreshTokenKind>) {
        let fresh = secret();
        (self.judge_refresh_for(token, &fresh, now), fresh)
    }

    fn judge_refresh_for(
        &self,
        token: &RefreshToken,
        fresh: &Secret<RefreshTokenKind>,
        now: Timestamp,
    ) -> refresh::Verdict<'_> {
        let asked = Refresh { refresh_token: String::new(), scope: None, resource: None };
        let who = authenticate(&self.client, &PresentedProof::None).unwrap();
        let from = Sender::default();
        refresh::decide(token, &who, (&asked, &from), Some(&self.resource), fresh.hash(), &self.policy, now)
    }

    /// The verdict that a refresh token is rotated, made from what the store holds now.
    pub(crate) async fn rotation(
        &self,
        token: &Secret<RefreshTokenKind>,
    ) -> (Rotation, Secret<RefreshTokenKind>) {
        let fresh = secret();
        (self.rotation_to(token, &fresh).await, fresh)
    }

    /// The same, to a successor that is given.
    pub(crate) async fn rotation_to(
        &self,
        token: &Secret<RefreshTokenKind>,
        fresh: &Secret<RefreshTokenKind>,
    ) -> Rotation {
        let stored = self.store.refresh_token(&token.hash()).await.unwrap().unwrap();
        match self.judge_refresh_for(&stored, fresh, at(2)) {
            refresh::Verdict::Rotate(rotation, ..) => rotation,
            verdict => panic!("{verdict:?}"),
        }
    }

    /// The verdict that a grant ends by the client's own wish.
    pub(crate) async fn revocation(&self, grant: &GrantId, now: Timestamp) -> Revocation {
        let (grant, _) = self.store.grant(grant).await.unwrap().unwrap();
        let who = authenticate(&self.client, &PresentedProof::None).unwrap();
        refresh::revoke(&grant, &who, &self.policy.token, now).unwrap()
    }
}
