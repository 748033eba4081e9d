//! The optional second factor.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};

use super::{Section, Sent, Visit, see_other, sign_in_again, store_trouble};
use crate::{
    domain::totp::RecoveryCode,
    flows::account::second_factor::{NotSet, confirm, offer, remove, renew, state},
    http::{
        Data, Site,
        browser::{sentence, trouble},
        extract::PageForm,
        pages::proofs::{self, State},
    },
};

/// Shows where it stands.
pub(in crate::http) async fn get(site: Data, request: HttpRequest) -> HttpResponse {
    let visit = match Visit::find(&site, &request, Section::SecondFactor).await {
        Ok(visit) => visit,
        Err(page) => return *page,
    };
    let fresh = visit.person.session.is_fresh(site.context.now());
    let state = match state(&site.context, &visit.person).await {
        Ok(Some(left)) => State::On(left),
        Ok(None) if fresh => match offer(&site.context, &visit.person) {
            Ok(offer) => State::offer(&site, &visit.person.user, &offer),
            Err(error) => return trouble(&site, &error),
        },
        Ok(None) => State::Off,
        Err(error) => return store_trouble(&site, &error),
    };
    visit.dress(proofs::code(&site, &visit.shell(&site, None), state, StatusCode::OK))
}

/// Turns it on or off, or makes new recovery codes. All of it needs a fresh sign-in.
pub(in crate::http) async fn post(site: Data, request: HttpRequest, form: PageForm) -> HttpResponse {
    let sent = match Sent::read(&site, &request, form, Section::SecondFactor).await {
        Ok(sent) => sent,
        Err(page) => return *page,
    };
    let ctx = &site.context;
    if !sent.person.session.is_fresh(ctx.now()) {
        return see_other(&sign_in_again(&site, Section::SecondFactor));
    }
    let peer = &sent.posted.peer;
    match sent.posted.field("action") {
        "remove" => match remove(ctx, &sent.person, peer).await {
            Ok(_) => sent.done(&site, "code_off"),
            Err(error) => store_trouble(&site, &error),
        },
        "renew" => match renew(ctx, &sent.person, peer).await {
            Ok(Some(codes)) => show(&site, sent, &codes),
            Ok(None) => sent.done(&site, "code_off"),
            Err(error) => store_trouble(&site, &error),
        },
        _ => {
            let (sealed, code) = (sent.posted.field("sealed"), sent.posted.field("code"));
            match confirm(ctx, &sent.person, sealed, code, peer).await {
                Ok(codes) => show(&site, sent, &codes),
                Err(NotSet::Store(error)) => store_trouble(&site, &error),
                Err(NotSet::Key(error)) => trouble(&site, &error),
                Err(NotSet::Stale) => sent.done(&site, "stale"),
                Err(error) => {
                    let problem = sentence(&error.to_string());
                    let NotSet::Code(offer) = error else { return sent.done(&site, "stale") };
                    let visit = sent.again(&site);
                    let state = State::offer(&site, &visit.person.user, &offer);
                    let shell = visit.shell(&site, Some(&problem));
                    visit.dress(proofs::code(&site, &shell, state, StatusCode::UNPROCESSABLE_ENTITY))
                }
            }
        }
    }
}

/// Shows the recovery codes, this once.
fn show(site: &Site, sent: Sent, codes: &[RecoveryCode]) -> HttpResponse {
    let visit = sent.again(site);
    let state = State::Codes(codes.iter().map(RecoveryCode::text).collect());
    visit.dress(proofs::code(site, &visit.shell(site, None), state, StatusCode::OK))
}
