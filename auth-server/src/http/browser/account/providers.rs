//! One's own accounts at upstream providers.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};

use super::{Section, Sent, Visit, see_other, sign_in_again, store_trouble};
use crate::{
    flows::account::providers::{NotUnlinked, list, remove},
    http::{Data, Site, browser::sentence, extract::PageForm, pages::account::providers},
};

/// Shows them.
pub(in crate::http) async fn get(site: Data, request: HttpRequest) -> HttpResponse {
    match Visit::find(&site, &request, Section::Providers).await {
        Ok(visit) => show(&site, &visit, None, StatusCode::OK).await,
        Err(page) => *page,
    }
}

/// Takes the link to one away, after a fresh sign-in.
pub(in crate::http) async fn post(site: Data, request: HttpRequest, form: PageForm) -> HttpResponse {
    let sent = match Sent::read(&site, &request, form, Section::Providers).await {
        Ok(sent) => sent,
        Err(page) => return *page,
    };
    let ctx = &site.context;
    if !sent.person.session.is_fresh(ctx.now()) {
        return see_other(&sign_in_again(&site, Section::Providers));
    }
    match remove(ctx, &sent.person, sent.posted.field("unlink"), &sent.posted.peer).await {
        Ok(()) => sent.done(&site, "unlinked"),
        Err(NotUnlinked::Store(error)) => store_trouble(&site, &error),
        Err(error) => {
            let problem = sentence(&error.to_string());
            show(&site, &sent.again(&site), Some(&problem), StatusCode::UNPROCESSABLE_ENTITY).await
        }
    }
}

async fn show(site: &Site, visit: &Visit, problem: Option<&str>, status: StatusCode) -> HttpResponse {
    match list(&site.context, &visit.person).await {
        Ok(all) => visit.dress(providers::page(site, &visit.shell(site, problem), &all, status)),
        Err(error) => store_trouble(site, &error),
    }
}
