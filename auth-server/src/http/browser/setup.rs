//! The page behind the one-time setup link.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Path};

use super::{Posted, see_other, store_trouble};
use crate::{
    flows::{
        login::Password,
        setup::{FirstAdministrator, NotSetUp, complete, is_live},
    },
    http::{
        Data, Site, cookies,
        csrf::{self, Purpose},
        endpoints::{Name, path},
        extract::PageForm,
        pages::{self, Problem, SetupPage},
    },
};

/// Shows the form, if the link is still good. Looking at it changes nothing.
pub(in crate::http) async fn get(site: Data, request: HttpRequest, link: Path<String>) -> HttpResponse {
    match is_live(&site.context, &link).await {
        Ok(true) => show(&site, &request, &SetupPage::default(), StatusCode::OK),
        Ok(false) => used_up(&site),
        Err(error) => store_trouble(&site, &error),
    }
}

/// Makes the administrator.
pub(in crate::http) async fn post(
    site: Data,
    request: HttpRequest,
    link: Path<String>,
    form: PageForm,
) -> HttpResponse {
    let posted = match Posted::read(&site, &request, form, |_, _| Purpose::Setup) {
        Ok(posted) => posted,
        Err(page) => return *page,
    };
    let policy = &site.context.policy;
    let first = FirstAdministrator {
        email: posted.field("email"),
        name: Some(posted.field("name")).filter(|name| !name.is_empty()),
        password: Password(posted.field("password")),
    };
    let problem = match complete(&site.context, &link, &first, posted.session.as_deref(), &posted.peer).await
    {
        Ok(opened) => {
            let mut response = see_other(&path(policy, Name::Home));
            let _added = response.add_cookie(&cookies::session(policy, &opened.cookie));
            let _added = response.add_cookie(&cookies::device(policy, opened.device));
            return response;
        }
        Err(NotSetUp::Link) => return used_up(&site),
        Err(NotSetUp::Store(error)) => return store_trouble(&site, &error),
        Err(refused @ (NotSetUp::Email(_) | NotSetUp::Password(_) | NotSetUp::Busy(_))) => {
            refused.to_string()
        }
    };
    let page =
        SetupPage { email: first.email, name: first.name.unwrap_or_default(), problem: Some(&problem) };
    show(&site, &request, &page, StatusCode::UNPROCESSABLE_ENTITY)
}

fn show(site: &Site, request: &HttpRequest, page: &SetupPage<'_>, status: StatusCode) -> HttpResponse {
    let browser = cookies::browser(request, &site.context.policy.issuer, site.context.entropy.as_ref());
    let tag = csrf::tag(&site.forms, &browser.secret, &Purpose::Setup);
    let mut response = pages::setup(site, request.path(), page, &tag, status);
    if let Some(cookie) = &browser.fresh {
        let _added = response.add_cookie(cookie);
    }
    response
}

fn used_up(site: &Site) -> HttpResponse {
    pages::problem(
        site,
        &Problem {
            status: StatusCode::GONE,
            code: "setup_link",
            what: "this setup link was used, or replaced by a newer one",
            next: "Sign in if there is an administrator; otherwise restart the server and open the link that it prints.",
            reason: None,
        },
    )
}
