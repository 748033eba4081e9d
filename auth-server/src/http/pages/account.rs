//! The pages on which people look after their own accounts.

pub(in crate::http) mod keys;
pub(in crate::http) mod providers;

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;
use doorward_shared::{
    secret::{SecretHash, SessionCookie},
    time::Timestamp,
};

use super::{
    Frame, frame, html,
    words::{Moment, device, length},
};
use crate::{
    domain::{
        session::{Session, SignInMethod},
        user::User,
    },
    flows::admin::sessions::id_of,
    http::{
        Site,
        browser::account::Section,
        endpoints::{Name, path},
    },
};

/// What every one of these pages needs.
pub(in crate::http) struct Shell<'a> {
    pub(in crate::http) section: Section,
    pub(in crate::http) user: &'a User,
    pub(in crate::http) csrf: &'a str,
    pub(in crate::http) sign_out_csrf: &'a str,
    /// What was just done.
    pub(in crate::http) note: Option<&'a str>,
    pub(in crate::http) problem: Option<&'a str>,
    /// Whether the person just signed in.
    pub(in crate::http) fresh: bool,
    pub(in crate::http) now: Timestamp,
}

/// What the overview says.
pub(in crate::http) struct Overview {
    pub(in crate::http) apps: usize,
    pub(in crate::http) sessions: usize,
    pub(in crate::http) passkeys: usize,
    /// How many recovery codes are left; `None` without a second factor.
    pub(in crate::http) second_factor: Option<u64>,
    pub(in crate::http) keys: usize,
    /// Accounts at upstream providers.
    pub(in crate::http) providers: usize,
}

pub(super) struct Link {
    pub(super) href: String,
    pub(super) title: &'static str,
    pub(super) here: bool,
}

struct Row {
    href: String,
    title: &'static str,
    text: String,
}

#[derive(Template)]
#[template(path = "account.html")]
struct OverviewTemplate<'a> {
    frame: Frame,
    links: Vec<Link>,
    sign_out: String,
    shell: &'a Shell<'a>,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "account_password.html")]
struct PasswordTemplate<'a> {
    frame: Frame,
    links: Vec<Link>,
    sign_out: String,
    shell: &'a Shell<'a>,
    action: String,
}

#[derive(Template)]
#[template(path = "account_sessions.html")]
struct SessionsTemplate<'a> {
    frame: Frame,
    links: Vec<Link>,
    sign_out: String,
    shell: &'a Shell<'a>,
    action: String,
    rows: Vec<SessionRow<'a>>,
    idle: String,
    absolute: String,
}

struct SessionRow<'a> {
    id: String,
    device: String,
    here: bool,
    address: Option<&'a str>,
    method: &'a str,
    since: Moment,
    used: Moment,
}

pub(super) fn links(site: &Site, here: Section) -> Vec<Link> {
    let link = |section: Section| Link {
        href: path(&site.context.policy, section.name()),
        title: section.title(),
        here: section == here,
    };
    let there =
        |section: &Section| *section != Section::Providers || !site.context.policy.upstream.is_empty();
    Section::ALL.into_iter().filter(there).map(link).collect()
}

pub(super) fn sign_out(site: &Site) -> String {
    path(&site.context.policy, Name::Logout)
}

pub(in crate::http) fn overview(
    site: &Site,
    shell: &Shell<'_>,
    all: &Overview,
    status: StatusCode,
) -> HttpResponse {
    let row = |section: Section, text: String| Row {
        href: path(&site.context.policy, section.name()),
        title: section.title(),
        text,
    };
    let count = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    let mut rows = vec![
        row(Section::Apps, count(all.apps, "app", "apps")),
        row(Section::Password, "change it".to_owned()),
        row(Section::Passkeys, count(all.passkeys, "passkey", "passkeys")),
        row(Section::SecondFactor, if all.second_factor.is_some() { "on" } else { "off" }.to_owned()),
        row(Section::Sessions, count(all.sessions, "browser", "browsers")),
        row(Section::Keys, count(all.keys, "key", "keys")),
    ];
    if !site.context.policy.upstream.is_empty() {
        rows.push(row(Section::Providers, count(all.providers, "account", "accounts")));
    }
    let links = links(site, shell.section);
    html(status, &OverviewTemplate { frame: frame(site), links, sign_out: sign_out(site), shell, rows })
}

pub(in crate::http) fn password(site: &Site, shell: &Shell<'_>, status: StatusCode) -> HttpResponse {
    let action = path(&site.context.policy, shell.section.name());
    let links = links(site, shell.section);
    html(status, &PasswordTemplate { frame: frame(site), links, sign_out: sign_out(site), shell, action })
}

pub(in crate::http) fn sessions(
    site: &Site,
    shell: &Shell<'_>,
    all: &[Session],
    here: SecretHash<SessionCookie>,
) -> HttpResponse {
    let policy = &site.context.policy;
    let row = |session| session_row(session, here, shell.now);
    let template = SessionsTemplate {
        frame: frame(site),
        links: links(site, shell.section),
        sign_out: sign_out(site),
        shell,
        action: path(policy, shell.section.name()),
        rows: all.iter().map(row).collect(),
        idle: length(policy.session.idle),
        absolute: length(policy.session.absolute),
    };
    html(StatusCode::OK, &template)
}

fn session_row(session: &Session, here: SecretHash<SessionCookie>, now: Timestamp) -> SessionRow<'_> {
    SessionRow {
        id: id_of(session),
        device: device(session.agent.as_deref()),
        here: session.hash == here,
        address: session.address.as_deref(),
        method: match session.method {
            SignInMethod::Password => "password",
            SignInMethod::PasswordAndCode => "password and code",
            SignInMethod::Passkey => "passkey",
            SignInMethod::Link => "one-time link",
            SignInMethod::Upstream => session.provider.as_deref().unwrap_or("upstream provider"),
        },
        since: Moment::of(session.auth_time, now),
        used: Moment::of(session.last_seen_at, now),
    }
}
