//! The page behind a one-time link: an invitation, or another password.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Path};

use super::{Posted, see_other, sentence, store_trouble};
use crate::{
    domain::link::{Link, Purpose as For},
    flows::{
        account::links::{Choice, NotUsed, Used, accept, look, other_ways},
        login::Password,
    },
    http::{
        Data, Site, cookies,
        csrf::{self, Purpose},
        endpoints::{Name, path},
        extract::PageForm,
        pages::{self, LinkPage, Problem},
    },
};

/// Shows the form, if the link is still good. Looking at it changes nothing.
pub(in crate::http) async fn get(site: Data, request: HttpRequest, secret: Path<String>) -> HttpResponse {
    show(&site, &request, &secret, "", None, StatusCode::OK).await
}

/// Makes the account, or replaces the password.
pub(in crate::http) async fn post(
    site: Data,
    request: HttpRequest,
    secret: Path<String>,
    form: PageForm,
) -> HttpResponse {
    let posted = match Posted::read(&site, &request, form, |_, _| Purpose::Link) {
        Ok(posted) => posted,
        Err(page) => return *page,
    };
    let policy = &site.context.policy;
    let choice = Choice {
        name: Some(posted.field("name")).filter(|name| !name.is_empty()),
        password: Password(posted.field("password")),
        end_apps: posted.field("end_apps") == "yes",
        remove_passkeys: posted.field("remove_passkeys") == "yes",
        unlink: posted.field("unlink") == "yes",
    };
    match accept(&site.context, &secret, &choice, posted.session.as_deref(), &posted.peer).await {
        Ok(Used::Welcome(opened)) => {
            let mut response = see_other(&path(policy, Name::Home));
            let _added = response.add_cookie(&cookies::session(policy, &opened.cookie));
            let _added = response.add_cookie(&cookies::device(policy, opened.device));
            response
        }
        Ok(Used::Reset) => {
            let text = "The password is set, and all sessions of the account are ended. Sign in with it.";
            pages::done(&site, "Done", text)
        }
        Err(NotUsed::Link) => used_up(&site),
        Err(NotUsed::Store(error)) => store_trouble(&site, &error),
        Err(refused @ (NotUsed::Password(_) | NotUsed::Name(_) | NotUsed::Busy(_))) => {
            let (name, problem) = (posted.field("name"), sentence(&refused.to_string()));
            show(&site, &request, &secret, name, Some(&problem), StatusCode::UNPROCESSABLE_ENTITY).await
        }
    }
}

async fn show(
    site: &Site,
    request: &HttpRequest,
    secret: &str,
    typed: &str,
    problem: Option<&str>,
    status: StatusCode,
) -> HttpResponse {
    let link = match look(&site.context, secret).await {
        Ok(Some(link)) => link,
        Ok(None) => return used_up(site),
        Err(error) => return store_trouble(site, &error),
    };
    let Link { email, purpose, .. } = &link;
    let (invited, name) = match purpose {
        For::Invitation { name, .. } => (true, name.as_deref().unwrap_or_default()),
        For::Reset(_) => (false, ""),
    };
    let browser = cookies::browser(request, &site.context.policy.issuer, site.context.entropy.as_ref());
    let tag = csrf::tag(&site.forms, &browser.secret, &Purpose::Link);
    let name = if typed.is_empty() { name } else { typed };
    let ways = match other_ways(&site.context, &link).await {
        Ok(ways) => ways,
        Err(error) => return store_trouble(site, &error),
    };
    let title =
        |id: &String| site.context.policy.provider(id).map_or(id.clone(), |rules| rules.title.clone());
    let providers: Vec<_> = ways.providers.iter().map(title).collect();
    let (passkeys, providers) = (ways.passkeys, providers.join(", "));
    let page = LinkPage { invited, email: email.as_str(), name, passkeys, providers: &providers, problem };
    let mut response = pages::link(site, request.path(), &page, &tag, status);
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
            code: "link",
            what: "this link was used, was replaced by a newer one, or is too old",
            next: "Sign in if you have a password; otherwise ask for a new link.",
            reason: None,
        },
    )
}
