//! The page for people who forgot their password.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;

use super::{Frame, frame, html};
use crate::http::{
    Site,
    endpoints::{Name, path},
};

/// The form, or what is said when it was sent.
#[derive(Debug, Default)]
pub(in crate::http) struct ForgotPage<'a> {
    /// The sign-in that goes on afterwards.
    pub(in crate::http) request: &'a str,
    pub(in crate::http) email: &'a str,
    pub(in crate::http) asked: bool,
    pub(in crate::http) problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "forgot.html")]
struct ForgotTemplate<'a> {
    frame: Frame,
    action: String,
    login: String,
    csrf: &'a str,
    page: &'a ForgotPage<'a>,
}

/// Where the page is, on the way to this sign-in. `None`: nothing can be mailed.
pub(super) fn address(site: &Site, request: &str) -> Option<String> {
    let policy = &site.context.policy;
    policy.mail.then(|| going_on(path(policy, Name::Forgot), request))
}

fn going_on(path: String, request: &str) -> String {
    if request.is_empty() {
        return path;
    }
    let query: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("request", request).finish();
    format!("{path}?{query}")
}

pub(in crate::http) fn forgot(
    site: &Site,
    page: &ForgotPage<'_>,
    csrf: &str,
    status: StatusCode,
) -> HttpResponse {
    let policy = &site.context.policy;
    let login = going_on(path(policy, Name::Login), page.request);
    html(
        status,
        &ForgotTemplate { frame: frame(site), action: path(policy, Name::Forgot), login, csrf, page },
    )
}
