//! The admin API: `/admin/api/v1`. One table of routes mounts it, guards it and describes it; a handler parses, calls one
//! flow of `flows::admin`, renders.

mod access;
mod admin_keys;
mod api_keys;
mod audit;
mod clients;
mod cursor;
mod entitlements;
mod grants;
mod guard;
mod identities;
mod openapi;
mod organizations;
mod passkeys;
mod problem;
mod query;
mod resources;
mod route;
mod sessions;
mod signing_keys;
mod status;
mod table;
mod users;

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use doorward_shared::form::{self, Form};
use serde_json::{Map, Value};

use self::{
    guard::Admitted,
    problem::Problem,
    route::{Call, Method, NoBody, Route},
};
use super::{Data, Site, endpoints, extract};

/// The paths below the API's address that have routes.
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    let mut paths: Vec<_> = table::routes().iter().map(|route| route.path).collect();
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter()
}

/// Mounts the table.
pub(super) fn configure(site: &Site, config: &mut web::ServiceConfig) {
    let base = endpoints::path(&site.context.policy, endpoints::Name::AdminApi);
    for path in paths() {
        let call = move |site: Data, request: HttpRequest, payload: web::Payload| {
            answer(path, site, request, payload)
        };
        config.service(web::resource(format!("{base}{path}")).route(web::route().to(call)));
    }
    for rest in ["", "/{rest:.*}"] {
        config.service(web::resource(format!("{base}{rest}")).route(web::route().to(nowhere)));
    }
}

/// Answers a call to a path that the table has. Who calls is asked first: nobody learns from a 404, 405 or 400 what there is.
async fn answer(path: &'static str, site: Data, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let routes = || table::routes().iter().filter(move |route| route.path == path);
    let wanted = routes().find(|route| route.method.as_str() == request.method().as_str());
    let run = async {
        let admitted = guard::admit(&site, &request, wanted).await?;
        let Some(route) = wanted else {
            let allow: Vec<_> = routes().map(|route| route.method.as_str()).collect();
            return Err(Problem::method(allow.join(", ")));
        };
        call(route, admitted, &site, &request, payload).await
    };
    run.await.unwrap_or_else(|problem: Problem| problem.response())
}

/// Answers a call to a path that the table does not have.
async fn nowhere(site: Data, request: HttpRequest) -> HttpResponse {
    match guard::admit(&site, &request, None).await {
        Ok(_) => Problem::not_found(&"there is nothing at this address; openapi.json lists what there is")
            .response(),
        Err(problem) => problem.response(),
    }
}

async fn call(
    route: &'static Route,
    admitted: Admitted,
    site: &Data,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let query = Form::parse(request.query_string()).map_err(|error| Problem::invalid(&error))?;
    let query = members(&query)?;
    let body = if route.method == Method::Get {
        Vec::new()
    } else {
        // A page of another site can send a form or a text unasked, but no JSON.
        let typed = !route.bare || admitted.key.is_none();
        let wanted = typed.then_some("application/json");
        extract::read(request, &mut payload.into_inner(), wanted).await?.to_vec()
    };
    let call = Call {
        site: site.clone(),
        actor: admitted.actor,
        key: admitted.key,
        address: site.proxies.peer_of(request).address,
        parameters: parameters(request)?,
        list: route.name,
        filters: filters(&query),
    };
    (route.run)(call, query, body).await
}

/// A query as members of an object. A parameter has one value: nothing is repeated, and nothing is empty.
fn members(form: &Form) -> Result<Map<String, Value>, Problem> {
    let mut members = Map::new();
    for (name, value) in form.pairs() {
        if value.is_empty() {
            return Err(Problem::invalid(&format_args!("the parameter {name:?} is empty; leave it out")));
        }
        if members.insert(name.to_owned(), value.into()).is_some() {
            return Err(Problem::invalid(&format_args!("the parameter {name:?} occurs more than once")));
        }
    }
    Ok(members)
}

/// What a list shows, whatever the page: every parameter but those of the page, in order.
fn filters(query: &Map<String, Value>) -> String {
    let mut query = query.clone();
    query.remove("limit");
    query.remove("cursor");
    Value::Object(query).to_string()
}

/// The parameters of the path. The server has decoded them but for `%2F`, `%25` and `%2B`, so that none of them is taken for
/// a part of the path.
fn parameters(request: &HttpRequest) -> Result<BTreeMap<String, String>, Problem> {
    let decode = |(name, value): (&str, &str)| {
        let value = form::decode(&value.replace('+', "%2B")).map_err(|error| Problem::invalid(&error))?;
        Ok((name.to_owned(), value))
    };
    request.match_info().iter().map(decode).collect()
}
