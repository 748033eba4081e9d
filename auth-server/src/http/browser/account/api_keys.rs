//! One's own API keys.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use doorward_shared::form::Form;

use super::{Section, Sent, Visit, store_trouble};
use crate::{
    domain::key_life::KeyLife,
    flows::{
        account::api_keys::{NotMade, board, create, revoke},
        admin::api_keys::{ApiKeyError, NewApiKey, NewPowers},
    },
    http::{
        Data, Site,
        browser::{field, sentence},
        extract::PageForm,
        pages::account::keys::{self, New, PLACES},
    },
    store::Applied,
};

/// Shows them, and the form for another one.
pub(in crate::http) async fn get(site: Data, request: HttpRequest) -> HttpResponse {
    match Visit::find(&site, &request, Section::Keys).await {
        Ok(visit) => page(&site, &visit, None, &New::Nothing, StatusCode::OK).await,
        Err(page) => *page,
    }
}

/// Makes one, or revokes one.
pub(in crate::http) async fn post(site: Data, request: HttpRequest, form: PageForm) -> HttpResponse {
    let sent = match Sent::read(&site, &request, form, Section::Keys).await {
        Ok(sent) => sent,
        Err(page) => return *page,
    };
    let (ctx, peer) = (&site.context, &sent.posted.peer);
    if sent.posted.form.has("revoke") {
        return match revoke(ctx, &sent.person, sent.posted.field("revoke"), peer).await {
            Ok(Applied::Done) => sent.done(&site, "key"),
            Ok(Applied::Lost) => sent.done(&site, "key_gone"),
            Err(error) => store_trouble(&site, &error),
        };
    }
    let made = match read(&sent.posted.form) {
        Ok(new) => create(ctx, &sent.person, &new, peer).await.map_err(|error| match error {
            NotMade::Key(ApiKeyError::Store(error)) => Err(error),
            error => Ok(sentence(&error.to_string())),
        }),
        Err(problem) => Err(Ok(problem.to_owned())),
    };
    match made {
        Ok((key, secret)) => {
            let visit = sent.again(&site);
            page(&site, &visit, None, &New::Key(&key, &secret), StatusCode::OK).await
        }
        Err(Err(error)) => store_trouble(&site, &error),
        Err(Ok(problem)) => {
            let typed = sent.posted.form.clone();
            let visit = sent.again(&site);
            page(&site, &visit, Some(&problem), &New::Typed(&typed), StatusCode::UNPROCESSABLE_ENTITY).await
        }
    }
}

async fn page(
    site: &Site,
    visit: &Visit,
    problem: Option<&str>,
    new: &New<'_>,
    status: StatusCode,
) -> HttpResponse {
    match board(&site.context, &visit.person).await {
        Ok(board) => visit.dress(keys::page(site, &visit.shell(site, problem), &board, new, status)),
        Err(error) => store_trouble(site, &error),
    }
}

/// Reads what somebody typed. The error says what to do.
fn read(form: &Form) -> Result<NewApiKey, &'static str> {
    let text = |name| Some(field(form, name)).filter(|text| !text.is_empty()).map(String::from);
    let powers = match field(form, "kind") {
        "simple" => {
            let tier = text("tier").ok_or("Choose what the key may do.")?;
            let split = |c: char| c.is_whitespace() || c == ',';
            let nodes = field(form, "nodes").split(split).filter(|node| !node.is_empty());
            NewPowers::simple(&tier, nodes.map(String::from).collect())
        }
        "granular" => {
            let place = |(node, tier): &(&'static str, &'static str)| Some((text(node), text(tier)?));
            let places: Vec<_> = PLACES.iter().filter_map(place).collect();
            if places.is_empty() {
                return Err("Choose a permission for at least one place.");
            }
            if PLACES
                .iter()
                .any(|(node, tier)| form.has(node) && text(node).is_some() && text(tier).is_none())
            {
                return Err("Choose a permission for each place that you name.");
            }
            NewPowers::Scoped(places)
        }
        "full" => NewPowers::Full,
        _ => return Err("Choose how the permissions of the key are said."),
    };
    Ok(NewApiKey {
        name: field(form, "name").to_owned(),
        organization: text("organization"),
        resource: text("resource"),
        powers,
        rate_limit: text("rate_limit")
            .map(|text| {
                text.parse()
                    .map_err(|_| "Give the requests a minute as a whole number from 1, or leave them out.")
            })
            .transpose()?,
        life: KeyLife::parse(field(form, "expires")).ok_or("Choose how long the key lives.")?,
    })
}
