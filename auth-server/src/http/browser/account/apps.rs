//! Connected apps.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};

use super::{Section, Sent, Visit, see_other, sign_in_again, store_trouble};
use crate::{
    flows::account::apps::{NotDone, extend, list, narrow, revoke},
    http::{Data, Site, browser::sentence, extract::PageForm, pages::apps},
};

/// Shows them.
pub(in crate::http) async fn get(site: Data, request: HttpRequest) -> HttpResponse {
    match Visit::find(&site, &request, Section::Apps).await {
        Ok(visit) => show(&site, &visit, None, StatusCode::OK).await,
        Err(page) => *page,
    }
}

/// Makes one smaller, extends or revokes it. Extending needs a fresh sign-in.
pub(in crate::http) async fn post(site: Data, request: HttpRequest, form: PageForm) -> HttpResponse {
    let sent = match Sent::read(&site, &request, form, Section::Apps).await {
        Ok(sent) => sent,
        Err(page) => return *page,
    };
    let (ctx, peer) = (&site.context, &sent.posted.peer);
    let (id, action) = (sent.posted.field("grant"), sent.posted.field("action"));
    let (done, word) = match action.split_once(' ') {
        Some(("narrow", tier)) => (narrow(ctx, &sent.person, (id, tier), peer).await, "narrowed"),
        _ if action == "extend" => {
            if !sent.person.session.is_fresh(ctx.now()) {
                return see_other(&sign_in_again(&site, Section::Apps));
            }
            (extend(ctx, &sent.person, (id, sent.posted.field("until")), peer).await, "extended")
        }
        _ if action == "revoke" => (revoke(ctx, &sent.person, id, peer).await, "revoked"),
        _ => (Err(NotDone::Unknown), ""),
    };
    match done {
        Ok(()) => sent.done(&site, word),
        Err(NotDone::Store(error)) => store_trouble(&site, &error),
        Err(error) => {
            let problem = sentence(&error.to_string());
            show(&site, &sent.again(&site), Some(&problem), StatusCode::CONFLICT).await
        }
    }
}

async fn show(site: &Site, visit: &Visit, problem: Option<&str>, status: StatusCode) -> HttpResponse {
    match list(&site.context, &visit.person).await {
        Ok(all) => visit.dress(apps::apps(site, &visit.shell(site, problem), &all, status)),
        Err(error) => store_trouble(site, &error),
    }
}
