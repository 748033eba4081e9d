//! One's own API keys.

use std::num::NonZeroU32;

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;
use doorward_shared::{form::Form, resource::ResourceUri, time::Timestamp};

use super::{Frame, Link, Moment, Name, Section, Shell, frame, html, links, path, sign_out};
use crate::{
    domain::{
        api_key::{ApiKey, ApiKeySecret, Power, Powers, State},
        key_life::KeyLife,
    },
    flows::account::api_keys::Board,
    http::Site,
};

/// The fields of the places of a granular key.
pub(in crate::http) const PLACES: [(&str, &str); 6] = [
    ("node1", "tier1"),
    ("node2", "tier2"),
    ("node3", "tier3"),
    ("node4", "tier4"),
    ("node5", "tier5"),
    ("node6", "tier6"),
];

/// What the page says about a new key.
pub(in crate::http) enum New<'a> {
    /// Nothing: none was asked for.
    Nothing,
    /// This was typed, and no key is made of it.
    Typed(&'a Form),
    /// It is made.
    Key(&'a ApiKey, &'a ApiKeySecret),
}

#[derive(Template)]
#[template(path = "account_keys.html")]
struct KeysTemplate<'a> {
    frame: Frame,
    links: Vec<Link>,
    sign_out: String,
    shell: &'a Shell<'a>,
    action: String,
    sign_in: String,
    made: Option<Made<'a>>,
    rows: Vec<Row<'a>>,
    tiers: Vec<Choice<'a>>,
    resources: Vec<Choice<'a>>,
    organizations: Vec<Choice<'a>>,
    nodes: Vec<&'a str>,
    lives: Vec<Choice<'static>>,
    places: Vec<Place<'a>>,
    kind: &'a str,
    name: &'a str,
    where_: &'a str,
    rate_limit: &'a str,
    most_requests: NonZeroU32,
}

struct Made<'a> {
    name: &'a str,
    text: &'a str,
    home: String,
}

struct Row<'a> {
    key: &'a ApiKey,
    allows: String,
    state: State,
    made: Moment,
    end: Option<Moment>,
    used: Option<Moment>,
    revoked: Option<Moment>,
}

struct Choice<'a> {
    value: &'a str,
    title: &'a str,
    text: &'a str,
    chosen: bool,
}

struct Place<'a> {
    node: &'static str,
    tier: &'static str,
    typed: &'a str,
    chosen: &'a str,
}

pub(in crate::http) fn page(
    site: &Site,
    shell: &Shell<'_>,
    board: &Board,
    new: &New<'_>,
    status: StatusCode,
) -> HttpResponse {
    let policy = &site.context.policy;
    let typed = |name: &'static str| match new {
        New::Typed(form) => form.one(name).ok().flatten().unwrap_or_default(),
        New::Nothing | New::Key(..) => "",
    };
    let action = path(policy, Section::Keys.name());
    let made = match new {
        New::Key(key, secret) => Some(Made { name: &key.name, text: secret.expose(), home: action.clone() }),
        New::Nothing | New::Typed(_) => None,
    };
    let choice =
        |name: &'static str, value, title| Choice { value, title, text: "", chosen: typed(name) == value };
    let kind = Some(typed("kind")).filter(|kind| !kind.is_empty()).unwrap_or("simple");
    let template = KeysTemplate {
        frame: frame(site),
        links: links(site, shell.section),
        sign_out: sign_out(site),
        shell,
        sign_in: format!("{}?then={}", path(policy, Name::Login), Section::Keys.word()),
        made,
        rows: board.keys.iter().map(|key| row(key, board, shell.now)).collect(),
        tiers: tiers(board, typed("tier")),
        resources: board
            .resources
            .iter()
            .map(|resource| choice("resource", resource.uri.as_str(), &resource.name))
            .collect(),
        organizations: board
            .shared
            .iter()
            .map(|(organization, _)| choice("organization", organization.id.as_str(), &organization.name))
            .collect(),
        nodes: board.shared.iter().flat_map(|(_, nodes)| nodes).map(|node| node.path.as_str()).collect(),
        lives: lives(typed("expires")),
        places: PLACES
            .iter()
            .map(|(node, tier)| Place { node, tier, typed: typed(node), chosen: typed(tier) })
            .collect(),
        kind,
        name: typed("name"),
        where_: typed("nodes"),
        rate_limit: typed("rate_limit"),
        most_requests: policy.limits.api_key_requests,
        action,
    };
    html(status, &template)
}

/// The tiers of all resource servers, each once.
fn tiers<'a>(board: &'a Board, chosen: &str) -> Vec<Choice<'a>> {
    let mut all: Vec<Choice<'a>> = Vec::new();
    for tier in board.resources.iter().flat_map(|resource| resource.model.tiers()) {
        if all.iter().all(|known| known.value != tier.id) {
            let (title, text) = (tier.title.as_str(), tier.sentence.as_str());
            // The least is chosen until something else is.
            let chosen = tier.id == chosen || (chosen.is_empty() && all.is_empty());
            all.push(Choice { value: &tier.id, title, text, chosen });
        }
    }
    all
}

fn lives(chosen: &str) -> Vec<Choice<'static>> {
    let words = |life| match life {
        KeyLife::Endless => "Never",
        KeyLife::Week => "7 days",
        KeyLife::Month => "30 days",
        KeyLife::Quarter => "90 days",
        KeyLife::Year => "1 year",
    };
    let chosen = KeyLife::parse(chosen).unwrap_or(KeyLife::Quarter);
    let order = [KeyLife::Endless, KeyLife::Week, KeyLife::Month, KeyLife::Quarter, KeyLife::Year];
    let choice =
        |life: KeyLife| Choice { value: life.as_str(), title: words(life), text: "", chosen: life == chosen };
    order.map(choice).into()
}

fn row<'a>(key: &'a ApiKey, board: &Board, now: Timestamp) -> Row<'a> {
    let at = |Power { node, tier }: &Power| match node {
        None => tier.clone(),
        Some(node) => format!("{tier} in {node}"),
    };
    let mut allows = match &key.powers {
        Powers::Full => "everything that you may do".to_owned(),
        Powers::Scoped(powers) => powers.iter().map(at).collect::<Vec<_>>().join(", "),
    };
    if let Some((organization, _)) = board.shared.iter().find(|(shared, _)| shared.id == key.organization) {
        allows = format!("{allows}, of {}", organization.name);
    }
    if let Some(uri) = key.resource.as_ref().map(ResourceUri::as_str) {
        allows = format!("{allows}, at {uri}");
    }
    if let Some(limit) = key.rate_limit {
        allows = format!("{allows}, {limit} requests a minute");
    }
    let moment = |at| Moment::of(at, now);
    Row {
        key,
        allows,
        state: key.state(now),
        made: moment(key.created_at),
        end: key.expires_at.map(moment),
        used: key.last_used_at.map(moment),
        revoked: key.revoked_at.map(moment),
    }
}
