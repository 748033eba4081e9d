//! The consent page.

use actix_web::{HttpResponse, cookie::time::OffsetDateTime, http::StatusCode};
use askama::Template;
use doorward_shared::{
    redirect_uri::{Target, target},
    scope::Scope,
    time::Timestamp,
};

use super::{Frame, frame, html};
use crate::{
    domain::{
        authorize::Asked,
        client::{TrustLabel, display_name, mixes_scripts},
        consent::{Choice, Lifetime, Offer},
        ids::RequestId,
        organization::Node,
        resource::Resource,
        user::User,
    },
    http::{
        Site,
        endpoints::{Name, path},
    },
};

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

/// Puts a request before the person.
pub(in crate::http) fn consent(
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
fn identity(oidc: &Scope) -> Vec<&'static str> {
    let words = [("email", "your e-mail address"), ("profile", "your name")];
    words.into_iter().filter(|(scope, _)| oidc.contains(scope)).map(|(_, words)| words).collect()
}

/// The day in UTC, as `2026-11-21`.
fn day(at: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp(at.seconds())
        .map_or_else(|_| String::new(), |time| time.date().to_string())
}
