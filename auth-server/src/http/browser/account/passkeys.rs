//! One's own passkeys.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};

use super::{Section, Sent, Visit, see_other, sign_in_again, store_trouble};
use crate::{
    domain::passkey::Registration,
    flows::account::passkeys::{NotRegistered, challenge, register, remove, rename},
    http::{Data, Site, browser::sentence, extract::PageForm, pages::proofs},
    store::Applied,
};

/// Shows them.
pub(in crate::http) async fn get(site: Data, request: HttpRequest) -> HttpResponse {
    match Visit::find(&site, &request, Section::Passkeys).await {
        Ok(visit) => show(&site, &visit, None, StatusCode::OK).await,
        Err(page) => *page,
    }
}

/// Adds, renames or removes one. Adding and removing need a fresh sign-in.
pub(in crate::http) async fn post(site: Data, request: HttpRequest, form: PageForm) -> HttpResponse {
    let sent = match Sent::read(&site, &request, form, Section::Passkeys).await {
        Ok(sent) => sent,
        Err(page) => return *page,
    };
    let (ctx, peer) = (&site.context, &sent.posted.peer);
    let field = |name| sent.posted.field(name);
    if !field("rename").is_empty() {
        let renamed = rename(ctx, &sent.person, field("rename"), field("name")).await;
        return finish(&site, &sent, renamed, "passkey_renamed");
    }
    if !sent.person.session.is_fresh(ctx.now()) {
        return see_other(&sign_in_again(&site, Section::Passkeys));
    }
    if !field("remove").is_empty() {
        let removed = remove(ctx, &sent.person, field("remove"), peer).await;
        return finish(&site, &sent, removed, "passkey_removed");
    }
    let answer = Registration { client_data: field("client_data"), attestation: field("attestation") };
    let made = register(ctx, &sent.person, field("name"), (field("challenge"), answer), peer).await;
    match made {
        Ok(()) => sent.done(&site, "passkey"),
        Err(NotRegistered::Store(error)) => store_trouble(&site, &error),
        Err(error) => {
            let problem = sentence(&error.to_string());
            show(&site, &sent.again(&site), Some(&problem), StatusCode::UNPROCESSABLE_ENTITY).await
        }
    }
}

fn finish(
    site: &Site,
    sent: &Sent,
    applied: Result<Applied, crate::store::StoreError>,
    word: &str,
) -> HttpResponse {
    match applied {
        Ok(Applied::Done) => sent.done(site, word),
        Ok(Applied::Lost) => sent.done(site, "stale"),
        Err(error) => store_trouble(site, &error),
    }
}

async fn show(site: &Site, visit: &Visit, problem: Option<&str>, status: StatusCode) -> HttpResponse {
    let all = match site.context.store.passkeys_of(&visit.person.user.id).await {
        Ok(all) => all,
        Err(error) => return store_trouble(site, &error),
    };
    let challenge = challenge(&site.context, &visit.person);
    let shell = visit.shell(site, problem);
    visit.dress(proofs::passkeys(site, &shell, &all, challenge.as_deref(), status))
}
