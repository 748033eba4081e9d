//! The consent page.

use actix_web::{HttpResponse, cookie::time::OffsetDateTime, http::StatusCode};
use askama::Template;
use doorward_shared::{
    allowance::MAX_NODES,
    redirect_uri::{Target, target},
    scope::Scope,
    time::Timestamp,
};

use super::{Frame, frame, html};
use crate::{
    domain::{
        authorize::Asked,
        client::{TrustLabel, display_name, mixes_scripts},
        consent::{Choice, Lifetime, Mistake, Offer, Ticked},
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
    /// The host of the document in which it describes itself.
    document: Option<&'a str>,
    redirect_uri: &'a str,
    target: TargetWords<'a>,
    resource: &'a Resource,
    problem: Option<String>,
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
    ticked: bool,
}

/// An organization whose data may be chosen.
struct ChoiceRow<'a> {
    id: &'a str,
    name: &'a str,
    shared: bool,
    chosen: bool,
    /// Whether its nodes are seen at once.
    open: bool,
    nodes: Vec<NodeRow<'a>>,
}

/// A node to which it may be narrowed.
struct NodeRow<'a> {
    value: String,
    title: &'a str,
    path: &'a str,
    ticked: bool,
}

struct LifetimeRow {
    choice: Lifetime,
    selected: bool,
}

/// Puts a request before the person: again, with what was ticked and what is wrong with it, where that was a mistake.
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
    let mistaken = asked.mistaken();
    let ticked = mistaken.map(|(_, ticked)| ticked);
    let until = ticked.and_then(|ticked| ticked.expires.as_deref());
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
        document: client.document_host(),
        redirect_uri: offer.redirect_uri,
        target,
        resource,
        problem: mistaken.map(|(mistake, ticked)| words(mistake, &offer, ticked)),
        choices: choice_rows(&offer, ticked),
        tiers: tier_rows(&offer, ticked),
        entitled: offer.entitled,
        identity: identity(offer.oidc),
        lifetimes: offer
            .lifetimes
            .iter()
            .enumerate()
            .map(|(i, choice)| LifetimeRow {
                choice: *choice,
                selected: until.map_or(i == last, |until| until == choice.id),
            })
            .collect(),
        user: offer.user,
    };
    let status = if mistaken.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    html(status, &template)
}

/// What is wrong with what was ticked, and what to do.
fn words(mistake: Mistake, offer: &Offer<'_>, ticked: &Ticked) -> String {
    match mistake {
        Mistake::OtherOrganization => {
            let chosen = offer.chosen(ticked);
            let foreign = |other: &&Choice<'_>| {
                chosen.is_none_or(|chosen| chosen.organization != other.organization)
                    && ticked.nodes.iter().any(|node| other.node(node).is_some())
            };
            let others: Vec<_> = offer.choices.iter().filter(foreign).map(called).collect();
            let chosen = chosen.map_or(OWN, called);
            let others = others.join(" and of ");
            format!(
                "You chose {chosen} and ticked folders of {others}. Access is to one of them only: choose the other one, or \
                 untick its folders. Nothing is decided yet."
            )
        }
        Mistake::TooManyNodes => format!(
            "You ticked {} folders, and {MAX_NODES} can be told apart at most. Tick a folder that contains several of them \
             instead. Nothing is decided yet.",
            ticked.nodes.len()
        ),
    }
}

/// What the person's own organization is called.
const OWN: &str = "Your own data";

fn called<'a>(choice: &Choice<'a>) -> &'a str {
    choice.name.unwrap_or(OWN)
}

fn choice_rows<'a>(offer: &Offer<'a>, ticked: Option<&Ticked>) -> Vec<ChoiceRow<'a>> {
    let several = offer.choices.len() > 1;
    let chosen = ticked.map_or_else(|| offer.choices.first(), |ticked| offer.chosen(ticked));
    let chosen = chosen.map(|choice| choice.organization);
    let row = |choice: &Choice<'a>| {
        let id = choice.organization.as_str();
        // Where there are several, a node says whose it is: it is not taken for another's of the same name.
        let value = |path: &str| if several { format!("{id}:{path}") } else { path.to_owned() };
        let node = |node: &&'a Node| {
            let value = value(node.path.as_str());
            NodeRow {
                ticked: ticked.is_some_and(|ticked| ticked.nodes.contains(&value)),
                value,
                title: node.title.as_deref().unwrap_or_default(),
                path: node.path.as_str(),
            }
        };
        let nodes: Vec<_> = choice.nodes.iter().map(node).collect();
        ChoiceRow {
            id,
            name: called(choice),
            shared: choice.name.is_some(),
            chosen: Some(choice.organization) == chosen,
            open: nodes.iter().any(|node| node.ticked),
            nodes,
        }
    };
    offer.choices.iter().map(row).collect()
}

fn tier_rows<'a>(offer: &Offer<'a>, ticked: Option<&Ticked>) -> Vec<TierRow<'a>> {
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
            ticked: ticked.is_some_and(|ticked| ticked.tiers.contains(&tier.id)),
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
