//! The page of connected apps.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;
use doorward_shared::permission::Tier;

use super::{
    Frame,
    account::{Link, Shell, links, sign_out},
    frame, html,
    words::Moment,
};
use crate::{
    domain::{
        client::{TrustLabel, display_name},
        consent::{Lifetime, lifetimes},
    },
    flows::account::apps::App,
    http::{Site, browser::account::sign_in_again, endpoints::path},
};

#[derive(Template)]
#[template(path = "account_apps.html")]
struct AppsTemplate<'a> {
    frame: Frame,
    links: Vec<Link>,
    sign_out: String,
    shell: &'a Shell<'a>,
    action: String,
    again: String,
    rows: Vec<AppRow<'a>>,
}

struct AppRow<'a> {
    id: &'a str,
    name: String,
    unverified: bool,
    client_id: &'a str,
    resource: &'a str,
    uri: String,
    allowed: String,
    nodes: Vec<String>,
    since: Moment,
    used: Option<UseWords<'a>>,
    until: Moment,
    lower: Vec<&'a Tier>,
    longer: Vec<Lifetime>,
}

struct UseWords<'a> {
    at: Moment,
    address: Option<&'a str>,
    agent: Option<&'a str>,
}

pub(in crate::http) fn apps(site: &Site, shell: &Shell<'_>, all: &[App], status: StatusCode) -> HttpResponse {
    let policy = &site.context.policy;
    let longest = lifetimes(&policy.refresh);
    let row = |app| AppRow::of(app, &longest, shell);
    let template = AppsTemplate {
        frame: frame(site),
        links: links(site, shell.section),
        sign_out: sign_out(site),
        shell,
        action: path(policy, shell.section.name()),
        again: sign_in_again(site, shell.section),
        rows: all.iter().map(row).collect(),
    };
    html(status, &template)
}

impl<'a> AppRow<'a> {
    fn of(app: &'a App, lifetimes: &[Lifetime], shell: &Shell<'_>) -> Self {
        let (grant, now) = (&app.grant, shell.now);
        let held = grant.allowance.atoms();
        let tiers = app.resource.as_ref().map_or(&[][..], |resource| resource.model.tiers());
        let fits = |tier: &&Tier| tier.permissions.iter().all(|atom| held.contains(atom));
        let highest = tiers.iter().rfind(fits);
        let longer = lifetimes.iter().filter(|choice| now.plus(choice.length) > grant.expires_at);
        let client = app.client.as_ref();
        let name = client.and_then(|client| client.name.as_deref());
        Self {
            id: grant.id.as_str(),
            name: display_name(name, grant.client_id.as_str()),
            unverified: client.is_some_and(|client| client.label() == TrustLabel::Unverified),
            client_id: grant.client_id.as_str(),
            resource: app.resource.as_ref().map_or(grant.resource.folded(), |resource| &resource.name),
            uri: grant.resource.to_string(),
            allowed: match highest {
                _ if held.is_empty() => "nothing".to_owned(),
                Some(tier) if tier.permissions.len() == held.iter().count() => tier.title.clone(),
                _ => held.to_string(),
            },
            nodes: grant.allowance.nodes().keys().map(ToString::to_string).collect(),
            since: Moment::of(grant.created_at, now),
            used: grant.last_use.as_ref().map(|used| UseWords {
                at: Moment::of(used.at, now),
                address: used.address.as_deref(),
                agent: used.agent.as_deref(),
            }),
            until: Moment::of(grant.expires_at, now),
            // What would leave something, and less than there is.
            lower: tiers
                .iter()
                .filter(|tier| {
                    let left = tier.permissions.iter().filter(|atom| held.contains(atom)).count();
                    left > 0 && left < held.iter().count()
                })
                .collect(),
            longer: longer.copied().collect(),
        }
    }
}
