//! Another password.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};

use super::{Section, Sent, Visit, store_trouble};
use crate::{
    flows::{
        account::password::{NotChanged, Wish, change},
        login::{NotSignedIn, Password},
    },
    http::{Data, browser::login::words, extract::PageForm, pages::account},
};

/// Shows the form.
pub(in crate::http) async fn get(site: Data, request: HttpRequest) -> HttpResponse {
    match Visit::find(&site, &request, Section::Password).await {
        Ok(visit) => visit.dress(account::password(&site, &visit.shell(&site, None), StatusCode::OK)),
        Err(page) => *page,
    }
}

/// Changes the password.
pub(in crate::http) async fn post(site: Data, request: HttpRequest, form: PageForm) -> HttpResponse {
    let sent = match Sent::read(&site, &request, form, Section::Password).await {
        Ok(sent) => sent,
        Err(page) => return *page,
    };
    let wish = Wish {
        current: Password(sent.posted.field("current")),
        new: Password(sent.posted.field("password")),
        end_apps: sent.posted.field("end_apps") == "yes",
        peer: &sent.posted.peer,
        device: sent.device.as_deref(),
    };
    let (status, problem) = match change(&site.context, &sent.person, &wish).await {
        Ok(()) => return sent.done(&site, "password"),
        Err(NotChanged::Store(error) | NotChanged::Proof(NotSignedIn::Store(error))) => {
            return store_trouble(&site, &error);
        }
        Err(NotChanged::Proof(NotSignedIn::Wrong)) => {
            (StatusCode::UNAUTHORIZED, "The present password is wrong. Try again.".to_owned())
        }
        Err(NotChanged::Proof(refused)) => words(&refused),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, super::super::sentence(&error.to_string())),
    };
    let visit = sent.again(&site);
    visit.dress(account::password(&site, &visit.shell(&site, Some(&problem)), status))
}
