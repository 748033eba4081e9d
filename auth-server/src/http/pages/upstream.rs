//! The links to providers on the sign-in page, and the page that links two accounts.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;

use super::{Frame, frame, html};
use crate::{
    domain::policy::Policy,
    http::{
        Site,
        endpoints::{Name, path, upstream_path},
    },
};

/// A way to sign in elsewhere.
#[derive(Debug)]
pub(in crate::http) struct ProviderLink<'a> {
    pub(in crate::http) id: &'a str,
    pub(in crate::http) title: &'a str,
    pub(in crate::http) href: String,
}

/// Every one, for this request, or for the page that asked for a proof.
pub(in crate::http) fn provider_links<'a>(
    policy: &'a Policy,
    request: &str,
    then: Option<&str>,
) -> Vec<ProviderLink<'a>> {
    let to = match then {
        _ if !request.is_empty() => format!("?request={request}"),
        Some(then) => format!("?then={then}"),
        None => String::new(),
    };
    let link = |provider: &'a crate::domain::upstream::Provider| ProviderLink {
        id: &provider.id,
        title: &provider.title,
        href: format!("{}{to}", upstream_path(policy, &provider.id)),
    };
    policy.upstream.iter().map(link).collect()
}

/// What would be linked.
#[derive(Debug)]
pub(in crate::http) struct LinkPage<'a> {
    pub(in crate::http) provider: &'a str,
    pub(in crate::http) email: &'a str,
}

#[derive(Template)]
#[template(path = "upstream_link.html")]
struct LinkTemplate<'a> {
    frame: Frame,
    action: String,
    csrf: &'a str,
    page: &'a LinkPage<'a>,
}

pub(in crate::http) fn link(site: &Site, page: &LinkPage<'_>, csrf: &str) -> HttpResponse {
    let action = path(&site.context.policy, Name::LoginLink);
    html(StatusCode::OK, &LinkTemplate { frame: frame(site), action, csrf, page })
}
