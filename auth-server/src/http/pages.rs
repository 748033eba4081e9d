//! The pages as templates. What is decided elsewhere is only put into words here.

use actix_web::{HttpResponse, cookie::time::OffsetDateTime, http::StatusCode};
use askama::Template;
use doorward_shared::{
    logout::LogoutRequest,
    redirect_uri::{Target, target},
    time::Timestamp,
};
use sha2::{Digest, Sha256};

use super::{
    Site,
    endpoints::{ICON, Name, STYLESHEET, path},
    error::Trouble,
};
use crate::domain::{
    authorize::Asked,
    client::{Client, TrustLabel, display_name, mixes_scripts},
    consent::{Choice, Lifetime, Offer},
    ids::RequestId,
    organization::Node,
    passkey::rp_id,
    resource::Resource,
    user::User,
};

pub(super) mod account;
pub(super) mod apps;
pub(super) mod proofs;
mod words;

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

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentTemplate<'a> {
    frame: Frame,
    action: String,
    sign_out: String,
    csrf: &'a str,
    sign_out_csrf: String,
    request: &'a str,
    shown: String,
    client: String,
    client_id: &'a str,
    label: &'static str,
    unverified: bool,
    mixed: bool,
    registered_on: String,
    redirect_uri: &'a str,
    target: TargetWords<'a>,
    resource: &'a Resource,
    choices: Vec<ChoiceRow<'a>>,
    tiers: Vec<TierRow<'a>>,
    entitled: bool,
    identity: Vec<&'static str>,
    lifetimes: Vec<LifetimeRow>,
    user: &'a User,
}

/// Where the answer goes, for the template's branches.
enum TargetWords<'a> {
    ThisComputer,
    Site(&'a str),
    App(&'a str),
}

struct TierRow<'a> {
    id: &'a str,
    title: &'a str,
    sentence: &'a str,
    tools: String,
    irreversible: bool,
}

/// An organization whose data may be chosen.
struct ChoiceRow<'a> {
    id: &'a str,
    name: &'a str,
    shared: bool,
    nodes: Vec<NodeRow<'a>>,
}

/// A node to which it may be narrowed.
struct NodeRow<'a> {
    value: String,
    title: &'a str,
    path: &'a str,
}

struct LifetimeRow {
    choice: Lifetime,
    selected: bool,
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
    html(StatusCode::OK, &DoneTemplate { frame: frame(site), title, text })
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

pub(super) fn consent(
    site: &Site,
    id: &RequestId,
    asked: &Asked,
    csrf: &str,
    sign_out_csrf: String,
) -> HttpResponse {
    let policy = &site.context.policy;
    let offer = asked.offer(policy);
    let (client, resource) = (offer.client, offer.resource);
    let (target, host) = match target(offer.redirect_uri) {
        Target::ThisComputer => (TargetWords::ThisComputer, "this computer"),
        Target::Site(host) => (TargetWords::Site(host), host),
        Target::App(scheme) => (TargetWords::App(scheme), scheme),
    };
    let name = display_name(client.name.as_deref(), host);
    let last = offer.lifetimes.len().saturating_sub(1);
    let template = ConsentTemplate {
        frame: frame(site),
        action: path(policy, Name::Consent),
        sign_out: path(policy, Name::Logout),
        csrf,
        sign_out_csrf,
        request: id.as_str(),
        shown: offer.digest(),
        mixed: mixes_scripts(&name),
        client: name,
        client_id: client.id.as_str(),
        label: client.label().as_str(),
        unverified: client.label() == TrustLabel::Unverified,
        registered_on: day(client.created_at),
        redirect_uri: offer.redirect_uri,
        target,
        resource,
        choices: choice_rows(&offer),
        tiers: tier_rows(&offer),
        entitled: offer.entitled,
        identity: identity(offer.oidc),
        lifetimes: offer
            .lifetimes
            .iter()
            .enumerate()
            .map(|(i, choice)| LifetimeRow { choice: *choice, selected: i == last })
            .collect(),
        user: offer.user,
    };
    html(StatusCode::OK, &template)
}

fn choice_rows<'a>(offer: &Offer<'a>) -> Vec<ChoiceRow<'a>> {
    let several = offer.choices.len() > 1;
    let row = |choice: &Choice<'a>| {
        let id = choice.organization.as_str();
        // Where there are several, a node says whose it is: it is not taken for another's of the same name.
        let value = |path: &str| if several { format!("{id}:{path}") } else { path.to_owned() };
        let node = |node: &&'a Node| NodeRow {
            value: value(node.path.as_str()),
            title: node.title.as_deref().unwrap_or_default(),
            path: node.path.as_str(),
        };
        let nodes = choice.nodes.iter().map(node).collect();
        ChoiceRow { id, name: choice.name.unwrap_or("Your own data"), shared: choice.name.is_some(), nodes }
    };
    offer.choices.iter().map(row).collect()
}

fn tier_rows<'a>(offer: &Offer<'a>) -> Vec<TierRow<'a>> {
    let model = &offer.resource.model;
    let mut below = 0;
    let mut rows = Vec::new();
    for tier in &offer.tiers {
        let count = model.tools_of(tier).count();
        let added = count - below;
        let unit = if added == 1 { "tool" } else { "tools" };
        let plus = if below == 0 { "" } else { "+ " };
        rows.push(TierRow {
            id: &tier.id,
            title: &tier.title,
            sentence: &tier.sentence,
            tools: format!("{plus}{added} {unit}"),
            irreversible: tier.irreversible,
        });
        below = count;
    }
    rows
}

/// What the OpenID Connect scopes tell about the person, in words.
fn identity(oidc: &doorward_shared::scope::Scope) -> Vec<&'static str> {
    let words = [("email", "your e-mail address"), ("profile", "your name")];
    words.into_iter().filter(|(scope, _)| oidc.contains(scope)).map(|(_, words)| words).collect()
}

/// The day in UTC, as `2026-11-21`.
fn day(at: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp(at.seconds())
        .map_or_else(|_| String::new(), |time| time.date().to_string())
}
