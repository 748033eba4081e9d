//! The pages as templates. What is decided elsewhere is only put into words here.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;
use doorward_shared::logout::LogoutRequest;
use sha2::{Digest, Sha256};

use self::upstream::{ProviderLink, provider_links};
use super::{
    Site,
    browser::account::Section,
    endpoints::{ICON, Name, STYLESHEET, path},
    error::Trouble,
};
use crate::domain::{
    client::{Client, display_name},
    passkey::rp_id,
    resource::Resource,
    user::User,
};

pub(super) mod account;
pub(super) mod apps;
mod consent;
pub(super) mod forgot;
pub(super) mod proofs;
pub(super) mod upstream;
mod words;

pub(super) use self::consent::consent;

const CSS: &str = include_str!("../../templates/doorward.css");
const PASSKEY: &str = include_str!("../../templates/passkey.js");
const SVG: &str = include_str!("../../templates/doorward.svg");

/// What every page needs.
struct Frame {
    stylesheet: String,
    icon: String,
    host: String,
}

/// The sign-in form.
#[derive(Debug)]
pub(super) struct LoginPage<'a> {
    pub(super) request: &'a str,
    pub(super) email: &'a str,
    /// Which page of the account comes after.
    pub(super) then: Option<&'a str>,
    pub(super) wanted_by: Option<&'a str>,
    /// The challenge for a passkey, where browsers take any.
    pub(super) challenge: Option<&'a str>,
    pub(super) problem: Option<&'a str>,
}

/// The setup form.
#[derive(Debug, Default)]
pub(super) struct SetupPage<'a> {
    pub(super) email: &'a str,
    pub(super) name: &'a str,
    pub(super) problem: Option<&'a str>,
}

/// The form behind a one-time link.
#[derive(Debug)]
pub(super) struct LinkPage<'a> {
    pub(super) invited: bool,
    pub(super) email: &'a str,
    pub(super) name: &'a str,
    pub(super) passkeys: usize,
    pub(super) providers: &'a str,
    pub(super) problem: Option<&'a str>,
}

/// An error page: what happened, why, and the next step.
#[derive(Debug)]
pub(super) struct Problem<'a> {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) what: &'a str,
    pub(super) next: &'a str,
    /// For the log only.
    pub(super) reason: Option<String>,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginTemplate<'a> {
    frame: Frame,
    action: String,
    csrf: &'a str,
    page: &'a LoginPage<'a>,
    passkey: String,
    script: String,
    rp: &'a str,
    providers: Vec<ProviderLink<'a>>,
    forgot: Option<String>,
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupTemplate<'a> {
    frame: Frame,
    action: &'a str,
    csrf: &'a str,
    page: &'a SetupPage<'a>,
}

#[derive(Template)]
#[template(path = "link.html")]
struct LinkTemplate<'a> {
    frame: Frame,
    action: &'a str,
    csrf: &'a str,
    page: &'a LinkPage<'a>,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorTemplate<'a> {
    frame: Frame,
    code: &'a str,
    id: String,
    what: String,
    next: &'a str,
}

#[derive(Template)]
#[template(path = "logout.html")]
struct LogoutTemplate<'a> {
    frame: Frame,
    action: String,
    home: String,
    csrf: &'a str,
    user: &'a User,
    client: Option<String>,
    client_id: Option<&'a str>,
    asked: &'a LogoutRequest,
}

#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOutTemplate<'a> {
    frame: Frame,
    back: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "done.html")]
struct DoneTemplate<'a> {
    frame: Frame,
    title: &'a str,
    text: &'a str,
    login: String,
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomeTemplate<'a> {
    frame: Frame,
    action: String,
    account: String,
    csrf: &'a str,
    user: &'a User,
    resources: &'a [Resource],
}

fn frame(site: &Site) -> Frame {
    let policy = &site.context.policy;
    let version = version_of(CSS);
    let host = policy.issuer.as_str();
    Frame {
        stylesheet: format!("{}{STYLESHEET}?v={version}", policy.issuer.path()),
        icon: format!("{}{ICON}", policy.issuer.path()),
        host: host.split_once("://").map_or(host, |(_, host)| host).to_owned(),
    }
}

/// A short text that changes with a file's content.
fn version_of(file: &str) -> String {
    Sha256::digest(file)[..6].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn html(status: StatusCode, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(text) => HttpResponse::build(status).content_type("text/html; charset=utf-8").body(text),
        Err(error) => {
            tracing::error!(%error, "a page could not be drawn");
            HttpResponse::InternalServerError().finish()
        }
    }
}

pub(super) async fn stylesheet() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(CSS)
}

pub(super) async fn passkey_script() -> HttpResponse {
    HttpResponse::Ok().content_type("text/javascript; charset=utf-8").body(PASSKEY)
}

pub(super) async fn icon() -> HttpResponse {
    HttpResponse::Ok().content_type("image/svg+xml").body(SVG)
}

pub(super) fn login(site: &Site, page: &LoginPage<'_>, csrf: &str, status: StatusCode) -> HttpResponse {
    let policy = &site.context.policy;
    let template = LoginTemplate {
        frame: frame(site),
        action: path(policy, Name::Login),
        csrf,
        page,
        passkey: path(policy, Name::LoginPasskey),
        script: proofs::script(site),
        rp: rp_id(&policy.issuer).unwrap_or_default(),
        providers: match page.then {
            // What links an account at a provider is the proof of the one here.
            Some(then) if then == Section::Link.word() => Vec::new(),
            then => provider_links(policy, page.request, then),
        },
        forgot: forgot::address(site, page.request),
    };
    html(status, &template)
}

pub(super) fn setup(
    site: &Site,
    action: &str,
    page: &SetupPage<'_>,
    csrf: &str,
    status: StatusCode,
) -> HttpResponse {
    html(status, &SetupTemplate { frame: frame(site), action, csrf, page })
}

/// Asks whether to sign out.
pub(super) fn logout(
    site: &Site,
    user: &User,
    client: Option<&Client>,
    asked: &LogoutRequest,
    csrf: &str,
) -> HttpResponse {
    let policy = &site.context.policy;
    let template = LogoutTemplate {
        frame: frame(site),
        action: path(policy, Name::Logout),
        home: path(policy, Name::Home),
        csrf,
        user,
        client: client.map(|client| display_name(client.name.as_deref(), client.id.as_str())),
        client_id: client.map(|client| client.id.as_str()),
        asked,
    };
    html(StatusCode::OK, &template)
}

/// Says that nobody is signed in any more, with a way on if there is one.
pub(super) fn signed_out(site: &Site, back: Option<&str>) -> HttpResponse {
    html(StatusCode::OK, &SignedOutTemplate { frame: frame(site), back })
}

pub(super) fn link(
    site: &Site,
    action: &str,
    page: &LinkPage<'_>,
    csrf: &str,
    status: StatusCode,
) -> HttpResponse {
    html(status, &LinkTemplate { frame: frame(site), action, csrf, page })
}

pub(super) fn done(site: &Site, title: &str, text: &str) -> HttpResponse {
    html(
        StatusCode::OK,
        &DoneTemplate { frame: frame(site), title, text, login: path(&site.context.policy, Name::Login) },
    )
}

pub(super) fn home(site: &Site, user: &User, resources: &[Resource], csrf: &str) -> HttpResponse {
    let action = path(&site.context.policy, Name::Logout);
    let account = path(&site.context.policy, Name::Account);
    html(StatusCode::OK, &HomeTemplate { frame: frame(site), action, account, csrf, user, resources })
}

pub(super) fn problem(site: &Site, problem: &Problem<'_>) -> HttpResponse {
    let mut what = problem.what.to_owned();
    if let Some(first) = what.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let mut random = [0_u8; 4];
    site.context.entropy.fill(&mut random);
    let id = format!("{:08x}", u32::from_be_bytes(random));
    let template =
        ErrorTemplate { frame: frame(site), code: problem.code, id: id.clone(), what, next: problem.next };
    let mut response = html(problem.status, &template);
    let reason = problem.reason.as_deref().unwrap_or(problem.what);
    response.extensions_mut().insert(Trouble { code: problem.code, reason: format!("{id}: {reason}") });
    response
}
