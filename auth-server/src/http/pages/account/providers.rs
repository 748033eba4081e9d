//! One's own accounts at upstream providers.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;

use super::{Frame, Link, Moment, Section, Shell, frame, html, links, path, sign_out};
use crate::{
    domain::upstream::{Identity, Provider},
    http::{Site, browser::account::sign_in_again},
};

#[derive(Template)]
#[template(path = "account_providers.html")]
struct ProvidersTemplate<'a> {
    frame: Frame,
    links: Vec<Link>,
    sign_out: String,
    shell: &'a Shell<'a>,
    action: String,
    again: String,
    rows: Vec<Row<'a>>,
    /// Where somebody could sign in, and never did.
    others: Vec<&'a str>,
}

struct Row<'a> {
    id: String,
    title: &'a str,
    email: Option<&'a str>,
    groups: String,
    since: Moment,
    checked: Moment,
    ended: bool,
}

pub(in crate::http) fn page(
    site: &Site,
    shell: &Shell<'_>,
    all: &[Identity],
    status: StatusCode,
) -> HttpResponse {
    let policy = &site.context.policy;
    let title = |id: &str| policy.upstream.iter().find(|one| one.id == id).map(|one| one.title.as_str());
    let rows = all.iter().map(|identity| Row {
        id: identity.id.to_string(),
        title: title(&identity.provider).unwrap_or("A provider that is not used any more"),
        email: identity.email.as_deref(),
        groups: identity.groups.join(", "),
        since: Moment::of(identity.created_at, shell.now),
        checked: Moment::of(identity.checked_at, shell.now),
        ended: identity.ended_at.is_some(),
    });
    let unused = |one: &&Provider| all.iter().all(|identity| identity.provider != one.id);
    let template = ProvidersTemplate {
        frame: frame(site),
        links: links(site, shell.section),
        sign_out: sign_out(site),
        shell,
        action: path(policy, shell.section.name()),
        again: sign_in_again(site, Section::Providers),
        rows: rows.collect(),
        others: policy.upstream.iter().filter(unused).map(|one| one.title.as_str()).collect(),
    };
    html(status, &template)
}
