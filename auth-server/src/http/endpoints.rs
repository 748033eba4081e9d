//! The one table of endpoints: routes, metadata, CORS and caching all come from it, so they cannot drift apart.

use crate::domain::policy::Policy;

/// What an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// RFC 6749 §3.1.
    Authorize,
    /// RFC 6749 §3.2.
    Token,
    /// RFC 7009.
    Revoke,
    /// RFC 7662.
    Introspect,
    /// Reports of keys that were found where they should not be.
    Leaked,
    /// The revocation feed.
    Revocations,
    /// RFC 7591.
    Register,
    /// RFC 7592.
    ClientConfiguration,
    /// OpenID Connect Core §5.3.
    Userinfo,
    /// RFC 7517.
    Jwks,
    /// RFC 8414, OpenID Connect Discovery.
    Metadata,
    /// The sign-in page.
    Login,
    /// OpenID Connect RP-Initiated Logout §2.
    EndSession,
    /// The second step of a sign-in.
    LoginCode,
    /// Signing in with a passkey.
    LoginPasskey,
    /// The way to an upstream provider.
    UpstreamBegin,
    /// The way back from there.
    UpstreamCallback,
    /// The page that links an upstream account to a local one.
    LoginLink,
    /// The page for people who forgot their password.
    Forgot,
    /// Signing out.
    Logout,
    /// The consent page.
    Consent,
    /// The page that makes the first administrator.
    Setup,
    /// The page behind a one-time link.
    Link,
    /// The front page.
    Home,
    /// One's own account.
    Account,
    /// One's own password.
    AccountPassword,
    /// One's own sessions.
    AccountSessions,
    /// Connected apps.
    AccountApps,
    /// One's own passkeys.
    AccountPasskeys,
    /// One's own second factor.
    AccountCode,
    /// The script for passkeys.
    PasskeyScript,
    /// One's own API keys.
    AccountKeys,
    /// One's own accounts at upstream providers.
    AccountProviders,
    /// The stylesheet.
    Stylesheet,
    /// The icon of the pages.
    Icon,
    /// The admin API, all of it.
    AdminApi,
    /// Alive.
    Healthz,
    /// Serving.
    Readyz,
}

/// Whether pages of other origins may read the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cors {
    /// Any origin, never with credentials.
    Open,
    /// None.
    None,
}

/// Whether the answer may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Never: it holds a secret, or is one person's.
    NoStore,
    /// For five minutes.
    Minutes,
    /// For a year: the address changes with the content.
    Forever,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// What it is.
    pub name: Name,
    /// Where it is; the first path is the advertised one, the others are aliases.
    pub paths: Vec<String>,
    /// Who may read it.
    pub cors: Cors,
    /// Who may keep it.
    pub cache: Cache,
}

impl Endpoint {
    /// The methods it answers.
    pub const fn allow(&self) -> &'static str {
        match self.name {
            Name::Revocations
            | Name::Home
            | Name::Stylesheet
            | Name::PasskeyScript
            | Name::Icon
            | Name::UpstreamBegin
            | Name::UpstreamCallback
            | Name::Account => "GET",
            Name::Token | Name::Revoke | Name::Register => "POST, OPTIONS",
            Name::ClientConfiguration => "GET, PUT, DELETE, OPTIONS",
            Name::Userinfo => "GET, POST, OPTIONS",
            Name::Jwks | Name::Metadata => "GET, HEAD, OPTIONS",
            Name::Authorize
            | Name::EndSession
            | Name::Login
            | Name::LoginLink
            | Name::Forgot
            | Name::Consent
            | Name::Setup
            | Name::Link
            | Name::AccountPassword
            | Name::AccountApps
            | Name::AccountSessions
            | Name::AccountPasskeys
            | Name::AccountCode
            | Name::AccountKeys
            | Name::AccountProviders => "GET, POST",
            Name::Introspect | Name::Leaked | Name::Logout | Name::LoginCode | Name::LoginPasskey => "POST",
            Name::AdminApi => "GET, POST, PATCH, DELETE",
            Name::Healthz | Name::Readyz => "GET, HEAD",
        }
    }
}

/// The path of the stylesheet; its query changes with its content.
pub const STYLESHEET: &str = "/assets/doorward.css";

/// The path of the script for passkeys; its query changes with its content.
pub const PASSKEY_SCRIPT: &str = "/assets/passkey.js";

/// The path of the icon.
pub const ICON: &str = "/assets/doorward.svg";

const ROWS: &[(Name, &[&str], Cors, Cache)] = &[
    (Name::Authorize, &["/oauth2/authorize", "/oauth/authorize", "/authorize"], Cors::None, Cache::NoStore),
    (Name::Token, &["/oauth2/token", "/oauth/token", "/token"], Cors::Open, Cache::NoStore),
    (Name::Revoke, &["/oauth2/revoke", "/oauth/revoke", "/revoke"], Cors::Open, Cache::NoStore),
    (
        Name::Introspect,
        &["/oauth2/introspect", "/oauth/introspect", "/introspect"],
        Cors::None,
        Cache::NoStore,
    ),
    (Name::Leaked, &["/oauth2/leaked"], Cors::None, Cache::NoStore),
    (Name::Revocations, &["/oauth2/revocations"], Cors::None, Cache::NoStore),
    (
        Name::Register,
        &["/oauth/clients/register", "/oauth/register", "/register"],
        Cors::Open,
        Cache::NoStore,
    ),
    (
        Name::ClientConfiguration,
        &["/oauth/clients/register/{client_id}", "/oauth/register/{client_id}", "/register/{client_id}"],
        Cors::Open,
        Cache::NoStore,
    ),
    (Name::Userinfo, &["/oauth2/userinfo", "/oauth/userinfo", "/userinfo"], Cors::Open, Cache::NoStore),
    (Name::Jwks, &["/.well-known/jwks.json"], Cors::Open, Cache::Minutes),
    (Name::EndSession, &["/oauth2/logout"], Cors::None, Cache::NoStore),
    (Name::Login, &["/login"], Cors::None, Cache::NoStore),
    (Name::LoginCode, &["/login/code"], Cors::None, Cache::NoStore),
    (Name::LoginPasskey, &["/login/passkey"], Cors::None, Cache::NoStore),
    (Name::LoginLink, &["/login/link"], Cors::None, Cache::NoStore),
    (Name::UpstreamBegin, &["/login/upstream/{provider}"], Cors::None, Cache::NoStore),
    (Name::UpstreamCallback, &["/login/upstream/{provider}/callback"], Cors::None, Cache::NoStore),
    (Name::Forgot, &["/forgot"], Cors::None, Cache::NoStore),
    (Name::Logout, &["/logout"], Cors::None, Cache::NoStore),
    (Name::Consent, &["/consent"], Cors::None, Cache::NoStore),
    (Name::Setup, &["/setup/{link}"], Cors::None, Cache::NoStore),
    (Name::Link, &["/link/{link}"], Cors::None, Cache::NoStore),
    (Name::AdminApi, &["/admin/api/v1"], Cors::None, Cache::NoStore),
    (Name::Home, &["/"], Cors::None, Cache::NoStore),
    (Name::Account, &["/account"], Cors::None, Cache::NoStore),
    (Name::AccountPassword, &["/account/password"], Cors::None, Cache::NoStore),
    (Name::AccountSessions, &["/account/sessions"], Cors::None, Cache::NoStore),
    (Name::AccountApps, &["/account/apps"], Cors::None, Cache::NoStore),
    (Name::AccountPasskeys, &["/account/passkeys"], Cors::None, Cache::NoStore),
    (Name::AccountCode, &["/account/code"], Cors::None, Cache::NoStore),
    (Name::PasskeyScript, &[PASSKEY_SCRIPT], Cors::None, Cache::Forever),
    (Name::AccountKeys, &["/account/keys"], Cors::None, Cache::NoStore),
    (Name::AccountProviders, &["/account/providers"], Cors::None, Cache::NoStore),
    (Name::Stylesheet, &[STYLESHEET], Cors::None, Cache::Forever),
    (Name::Icon, &[ICON], Cors::None, Cache::Minutes),
];

/// The table for this issuer. An issuer with a path has everything below it; the well-known documents stand where RFC 8414
/// and OpenID Connect Discovery look for them, and the signs of life stand at the root.
pub fn table(policy: &Policy) -> Vec<Endpoint> {
    let base = policy.issuer.path();
    let open = |name: &Name| match name {
        Name::Register => policy.registration.enabled,
        Name::Forgot => policy.mail,
        _ => true,
    };
    let mut table: Vec<_> = ROWS
        .iter()
        .filter(|(name, ..)| open(name))
        .map(|(name, paths, cors, cache)| Endpoint {
            name: *name,
            paths: paths.iter().map(|path| below(base, path)).collect(),
            cors: *cors,
            cache: *cache,
        })
        .collect();
    let origin = policy.issuer.origin().len();
    table.push(Endpoint {
        name: Name::Metadata,
        paths: policy.issuer.metadata_urls().iter().map(|url| url[origin..].to_owned()).collect(),
        cors: Cors::Open,
        cache: Cache::Minutes,
    });
    let api = path(policy, Name::AdminApi);
    for endpoint in table.iter_mut().filter(|endpoint| endpoint.name == Name::AdminApi) {
        endpoint.paths.extend(super::admin::paths().map(|path| format!("{api}{path}")));
    }
    for (name, path) in [(Name::Healthz, "/healthz"), (Name::Readyz, "/readyz")] {
        table.push(Endpoint { name, paths: vec![path.to_owned()], cors: Cors::None, cache: Cache::NoStore });
    }
    table
}

/// The advertised address of an endpoint.
pub fn url(policy: &Policy, wanted: Name) -> String {
    let row = ROWS.iter().find(|(name, ..)| *name == wanted);
    row.map(|(_, paths, ..)| policy.issuer.url(paths[0])).unwrap_or_default()
}

/// The path of a page, for links and forms.
pub fn path(policy: &Policy, wanted: Name) -> String {
    url(policy, wanted)[policy.issuer.origin().len()..].to_owned()
}

/// The path of the way to an upstream provider.
pub fn upstream_path(policy: &Policy, provider: &str) -> String {
    path(policy, Name::UpstreamBegin).replace("{provider}", provider)
}

/// The one address to which an upstream provider sends people back.
pub fn upstream_callback(policy: &Policy, provider: &str) -> String {
    url(policy, Name::UpstreamCallback).replace("{provider}", provider)
}

fn below(base: &str, path: &str) -> String {
    if path == "/" && !base.is_empty() { base.to_owned() } else { format!("{base}{path}") }
}
