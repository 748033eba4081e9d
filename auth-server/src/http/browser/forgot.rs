//! The page for people who forgot their password. It is there where mail is set up, and says the same to everybody.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use doorward_shared::form::Form;

use super::{Posted, field, sentence};
use crate::{
    flows::forgotten::{NotAsked, ask},
    http::{
        Data, Site,
        cookies::{self, Browser},
        csrf::{self, Purpose},
        extract::PageForm,
        pages::forgot::{self, ForgotPage},
    },
};

/// Shows the form.
pub(in crate::http) async fn get(site: Data, request: HttpRequest) -> HttpResponse {
    let query = Form::parse(request.query_string()).unwrap_or_default();
    let browser = cookies::browser(&request, &site.context.policy.issuer, site.context.entropy.as_ref());
    let page = ForgotPage { request: field(&query, "request"), ..ForgotPage::default() };
    show(&site, &browser, &page, StatusCode::OK)
}

/// Takes the address in.
pub(in crate::http) async fn post(site: Data, request: HttpRequest, form: PageForm) -> HttpResponse {
    let posted = match Posted::read(&site, &request, form, |_, _| Purpose::Forgot) {
        Ok(posted) => posted,
        Err(page) => return *page,
    };
    let (status, problem) = match ask(&site.context, posted.field("email"), &posted.peer).await {
        Ok(()) => (StatusCode::OK, None),
        Err(NotAsked::Email(error)) => (StatusCode::UNPROCESSABLE_ENTITY, Some(sentence(&error.to_string()))),
        Err(NotAsked::Wait(wait)) => (
            StatusCode::TOO_MANY_REQUESTS,
            Some(format!(
                "Too many resets were asked for in this network. Wait {} minutes, or ask your administrator for a link.",
                wait.get() / 60
            )),
        ),
    };
    let page = ForgotPage {
        request: posted.field("request"),
        email: posted.field("email"),
        asked: problem.is_none(),
        problem: problem.as_deref(),
    };
    show(&site, &posted.browser, &page, status)
}

fn show(site: &Site, browser: &Browser, page: &ForgotPage<'_>, status: StatusCode) -> HttpResponse {
    let tag = csrf::tag(&site.forms, &browser.secret, &Purpose::Forgot);
    let mut response = forgot::forgot(site, page, &tag, status);
    if let Some(cookie) = &browser.fresh {
        let _added = response.add_cookie(cookie);
    }
    response
}
