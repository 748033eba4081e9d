//! Signing out: at one's own wish, and at a client's (OpenID Connect RP-Initiated Logout 1.0).

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use doorward_shared::{form::Form, logout::LogoutRequest};

use super::{Posted, see_other, store_trouble, unreadable};
use crate::{
    flows::{
        login::leave,
        logout::{NoWish, Wish, wish},
    },
    http::{
        Data, Site,
        cookies::{self, Which},
        csrf::{self, Purpose},
        endpoints::{Name, path},
        extract::PageForm,
        pages::{self, Problem, problem},
    },
};

/// Asks whether to sign out. A link or a picture of another site ends nothing.
pub(in crate::http) async fn get(site: Data, request: HttpRequest) -> HttpResponse {
    let asked = Form::parse(request.query_string()).unwrap_or_default();
    let issuer = &site.context.policy.issuer;
    let session = cookies::read(&request, issuer, Which::Session);
    let (asked, wish) = match read(&site, &asked, session.as_deref()).await {
        Ok(found) => found,
        Err(page) => return *page,
    };
    let Some(user) = &wish.user else { return gone(&site, &wish) };
    let browser = cookies::browser(&request, issuer, site.context.entropy.as_ref());
    let tag = csrf::tag(&site.forms, &browser.secret, &Purpose::SignOut);
    let mut response = pages::logout(&site, user, wish.client.as_ref(), &asked, &tag);
    if let Some(cookie) = &browser.fresh {
        let _added = response.add_cookie(cookie);
    }
    response
}

/// The same for a form that a client lets the browser send (§2). Browsers leave the session's cookie out of a form from
/// another site, and send it with the redirect.
pub(in crate::http) async fn post(site: Data, PageForm(form): PageForm) -> HttpResponse {
    let form = match form {
        Ok(form) => form,
        Err(error) => return unreadable(&site, &error),
    };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for name in ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"] {
        query.extend_pairs(form.pairs().filter(|(found, _)| *found == name));
    }
    see_other(&format!("{}?{}", path(&site.context.policy, Name::EndSession), query.finish()))
}

/// Ends the session. The browser gets a new identity, so that nothing that waited in the old one can be gone on with.
pub(in crate::http) async fn sign_out(site: Data, request: HttpRequest, form: PageForm) -> HttpResponse {
    let posted = match Posted::read(&site, &request, form, |_, _| Purpose::SignOut) {
        Ok(posted) => posted,
        Err(page) => return *page,
    };
    let (_, wish) = match read(&site, &posted.form, None).await {
        Ok(found) => found,
        Err(page) => return *page,
    };
    if let Err(error) = leave(&site.context, posted.session.as_deref(), &posted.peer).await {
        return store_trouble(&site, &error);
    }
    // Whoever pressed the button was told where it leads.
    let mut response = match wish.back {
        Some(back) => see_other(&back.location),
        None => gone(&site, &wish),
    };
    for which in [Which::Session, Which::Browser] {
        let _added = response.add_cookie(&cookies::gone(&site.context.policy.issuer, which));
    }
    response
}

/// The answer to whoever is signed out.
fn gone(site: &Site, wish: &Wish) -> HttpResponse {
    match &wish.back {
        Some(back) if back.at_once => see_other(&back.location),
        back => pages::signed_out(site, back.as_ref().map(|back| back.location.as_str())),
    }
}

async fn read(
    site: &Site,
    form: &Form,
    session: Option<&str>,
) -> Result<(LogoutRequest, Wish), Box<HttpResponse>> {
    let senseless = |what: String| {
        let page = Problem {
            status: StatusCode::BAD_REQUEST,
            code: "invalid_request",
            what: &what,
            next: "You are still signed in. Go back to the application and tell its developer what is written here, or sign out here.",
            reason: None,
        };
        Box::new(problem(site, &page))
    };
    let asked = LogoutRequest::read(form).map_err(|error| senseless(error.description()))?;
    match wish(&site.context, &asked, session).await {
        Ok(wish) => Ok((asked, wish)),
        Err(NoWish::Refused(refused)) => Err(senseless(refused.to_string())),
        Err(NoWish::Store(error)) => Err(Box::new(store_trouble(site, &error))),
    }
}
