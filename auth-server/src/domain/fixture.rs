//! A small world for the tests of decisions.

use std::num::NonZeroU32;

use doorward_shared::{
    allowance::Allowance,
    client_id::ClientId,
    client_metadata::About,
    issuer::Issuer,
    jose::Algorithm,
    permission::PermissionModel,
    pkce::CodeChallenge,
    redirect_uri::RedirectUri,
    resource::ResourceUri,
    scope::Scope,
    secret::{Kind, Secret, SecretHash, SystemEntropy},
    time::{Seconds, Timestamp},
    token::GrantType,
};

use super::{
    client::{Client, Credentials, Origin},
    code::StoredCode,
    email::Email,
    grant::{EndReason, Ended, Grant, Method},
    ids::{GrantId, OrganizationId, SessionId, UserId},
    policy::{
        ClientDocumentPolicy, KeyPolicy, Limits, Policy, RefreshPolicy, RegistrationPolicy, ReplayError,
        SessionPolicy, TokenPolicy,
    },
    refresh::{RefreshToken, retry::Strangers},
    resource::{Access, PermissionMode, Resource},
    session::{Freshness, SignedIn},
    session::{Session, SignInMethod},
    user::{PasswordHash, User},
};

pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
/// The pair of RFC 7636 appendix B.
pub(super) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

pub(super) const ENDED: Ended = Ended { at: NOW, reason: EndReason::Revoked };

pub(super) fn hash<K: Kind>() -> SecretHash<K> {
    Secret::generate(&SystemEntropy).hash()
}

const TOKEN: TokenPolicy = TokenPolicy { code_ttl: Seconds::new(60), access_ttl: Seconds::minutes(15) };

pub(super) fn policy() -> Policy {
    Policy {
        issuer: Issuer::parse("https://as.test").unwrap(),
        token: TOKEN,
        keys: KeyPolicy::new(Algorithm::Rs256, Seconds::days(30), Seconds::hours(4), &TOKEN),
        refresh: RefreshPolicy {
            idle: Seconds::days(30),
            absolute: Seconds::days(90),
            replay_error: ReplayError::RefreshReplayed,
            retry_window: Seconds::new(0),
        },
        session: SessionPolicy {
            idle: Seconds::minutes(30),
            absolute: Seconds::hours(12),
            pending_request: Seconds::minutes(10),
        },
        registration: RegistrationPolicy {
            enabled: true,
            app_schemes: vec![],
            per_address: 20,
            overall: 2000,
            max_tier: None,
            unused_ttl: Seconds::hours(24),
        },
        client_documents: ClientDocumentPolicy {
            enabled: true,
            allowed_hosts: vec![],
            denied_hosts: vec![],
            ports: vec![443],
            per_address: 60,
        },
        limits: Limits {
            token_failures: 500,
            sign_in_failures: 100,
            pending_requests: 2000,
            api_key_requests: NonZeroU32::new(6000).unwrap(),
        },
        fixed_client: None,
        upstream: vec![],
        mail: false,
    }
}

pub(super) fn user() -> User {
    User {
        id: UserId::generate(NOW, &SystemEntropy),
        email: Email::parse("alice@example.test").unwrap(),
        name: Some("Alice".to_owned()),
        organization: OrganizationId::generate(NOW, &SystemEntropy),
        groups: vec![],
        upstream_groups: Vec::new(),
        password: PasswordHash::from_phc(String::new()),
        passwordless_since: None,
        admin_since: None,
        created_at: NOW,
        disabled_at: None,
        revoked_until: None,
    }
}

pub(super) fn client() -> Client {
    Client {
        id: ClientId::parse("pub1").unwrap(),
        name: Some("T".to_owned()),
        origin: Origin::Dynamic,
        redirect_uris: vec![RedirectUri::from_registered("https://app.test/cb".to_owned())],
        post_logout_redirect_uris: vec![RedirectUri::from_registered("https://app.test/out".to_owned())],
        grant_types: GrantType::ALL.to_vec(),
        credentials: Credentials::Public,
        registration_token: None,
        ceiling: None,
        ceiling_places: vec![],
        backchannel_logout: None,
        created_at: NOW,
        disabled_at: None,
        revoked_until: None,
        about: About::default(),
    }
}

pub(super) fn resource() -> Resource {
    Resource {
        uri: ResourceUri::parse("https://mcp.test/a").unwrap(),
        name: "Artifacts".to_owned(),
        mode: PermissionMode::Consent,
        access: Access::Everyone,
        model: PermissionModel::artifacts(),
        client_id: ClientId::parse("rs_1").unwrap(),
        secret: hash(),
        former: None,
        created_at: NOW,
        disabled_at: None,
        revoked_until: None,
    }
}

pub(super) fn session(user: &User) -> Session {
    Session {
        id: SessionId::generate(NOW, &SystemEntropy),
        hash: hash(),
        user_id: user.id.clone(),
        method: SignInMethod::Password,
        address: None,
        agent: None,
        auth_time: NOW,
        proved_at: Some(NOW),
        last_seen_at: NOW,
        provider: None,
        ended_at: None,
    }
}

pub(super) fn signed_in(user: &User, freshness: Freshness) -> SignedIn {
    SignedIn { session: session(user), user: user.clone(), freshness }
}

pub(super) fn grant(user: &User, permissions: &str) -> Grant {
    Grant {
        id: GrantId::generate(NOW, &SystemEntropy),
        user_id: user.id.clone(),
        client_id: client().id,
        resource: resource().uri,
        oidc: Scope::parse("openid").unwrap(),
        organization: user.organization.clone(),
        allowance: Allowance::everywhere(Scope::parse(permissions).unwrap()),
        auth_time: NOW,
        sign_in: SignInMethod::Password,
        session: SessionId::generate(NOW, &SystemEntropy),
        created_at: NOW,
        expires_at: NOW.plus(Seconds::days(90)),
        method: Method::DynamicRegistration,
        last_use: None,
        revoked_until: None,
        ended: None,
    }
}

pub(super) fn code() -> StoredCode {
    let user = user();
    StoredCode {
        hash: hash(),
        grant: grant(&user, "artifacts:read"),
        session: session(&user),
        user,
        redirect_uri: "https://app.test/cb".to_owned(),
        challenge: CodeChallenge::parse(CHALLENGE).unwrap(),
        nonce: None,
        expires_at: NOW.plus(Seconds::new(60)),
        failed_tries: 0,
        spent_at: None,
    }
}

pub(super) fn refresh_token() -> RefreshToken {
    let user = user();
    RefreshToken {
        hash: hash(),
        grant: grant(&user, "artifacts:read artifacts:create"),
        user,
        generation: 3,
        expires_at: NOW.plus(Seconds::days(30)),
        spent_at: None,
        answer: None,
        successor_waits: false,
        strangers: Strangers::NONE,
    }
}
