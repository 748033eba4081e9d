//! One's own sessions.

use actix_web::{HttpRequest, HttpResponse};

use super::{Section, Sent, Visit, store_trouble};
use crate::{
    flows::account::sessions::{end, end_others, list},
    http::{Data, extract::PageForm, pages::account},
    store::Applied,
};

/// Shows them.
pub(in crate::http) async fn get(site: Data, request: HttpRequest) -> HttpResponse {
    let visit = match Visit::find(&site, &request, Section::Sessions).await {
        Ok(visit) => visit,
        Err(page) => return *page,
    };
    match list(&site.context, &visit.person).await {
        Ok(all) => {
            let current = visit.person.session.hash;
            visit.dress(account::sessions(&site, &visit.shell(&site, None), &all, current))
        }
        Err(error) => store_trouble(&site, &error),
    }
}

/// Ends one, or all others.
pub(in crate::http) async fn post(site: Data, request: HttpRequest, form: PageForm) -> HttpResponse {
    let sent = match Sent::read(&site, &request, form, Section::Sessions).await {
        Ok(sent) => sent,
        Err(page) => return *page,
    };
    let (ctx, peer) = (&site.context, &sent.posted.peer);
    let done = match sent.posted.field("end") {
        "others" => end_others(ctx, &sent.person, peer).await.map(|_| "others"),
        id => end(ctx, &sent.person, id, peer).await.map(|applied| match applied {
            Applied::Done => "session",
            Applied::Lost => "session_gone",
        }),
    };
    match done {
        Ok(word) => sent.done(&site, word),
        Err(error) => store_trouble(&site, &error),
    }
}
