//! The sign-in page.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use doorward_shared::form::Form;

use super::{Posted, account::Section, field, render_next, render_stop, see_other, store_trouble};
use crate::{
    flows::{
        authorize::{self, Next, Visitor},
        login::{Attempt, NotSignedIn, Password, sign_in, signed_in},
    },
    http::{
        Data, Site,
        cookies::{self, Browser, Which},
        csrf::{self, Purpose},
        endpoints::{Name, path},
        extract::PageForm,
        pages::{self, LoginPage},
    },
};

/// Shows the form.
pub(in crate::http) async fn get(site: Data, request: HttpRequest) -> HttpResponse {
    let policy = &site.context.policy;
    let query = Form::parse(request.query_string()).unwrap_or_default();
    let waiting = query.one("request").ok().flatten();
    let then = query.one("then").ok().flatten().and_then(Section::parse);
    let session = cookies::read(&request, &policy.issuer, Which::Session);
    let browser = cookies::browser(&request, &policy.issuer, site.context.entropy.as_ref());
    let live = match signed_in(&site.context, session.as_deref(), site.context.now()).await {
        Ok(found) => found,
        Err(error) => return store_trouble(&site, &error),
    };
    let mut hint = None;
    let mut wanted_by = None;
    if let Some(id) = waiting {
        let peer = site.proxies.peer_of(&request);
        let visitor = Visitor { browser: &browser.secret, session: session.as_deref(), peer: &peer };
        match authorize::resume(&site.context, id, visitor).await {
            Ok(Next::Login(_, request)) => {
                hint = request.login_hint().map(String::from);
                wanted_by = Some(request.resource().name.clone());
            }
            Ok(next) => return render_next(&site, next),
            Err(stopped) => return render_stop(&site, &stopped),
        }
    } else if let (Some(found), Some(section)) = (&live, then) {
        if found.session.is_fresh(site.context.now()) {
            return see_other(&path(policy, section.name()));
        }
        hint = Some(found.user.email.to_string());
    } else if live.is_some() {
        return see_other(&path(policy, Name::Home));
    }
    let page = LoginPage {
        request: waiting.unwrap_or_default(),
        email: hint.as_deref().unwrap_or_default(),
        then: then.map(Section::word),
        wanted_by: wanted_by.as_deref(),
        problem: None,
    };
    let mut response = show(&site, &browser, &page, StatusCode::OK);
    if session.is_some() && live.is_none() {
        // The session that the browser still names is over; it should forget it. A live one stays until somebody proves
        // anew who is there, and is ended then.
        let _added = response.add_cookie(&cookies::gone(&policy.issuer, Which::Session));
    }
    response
}

/// Checks the answer.
pub(in crate::http) async fn post(site: Data, request: HttpRequest, form: PageForm) -> HttpResponse {
    let posted = match Posted::read(&site, &request, form, |form, _| Purpose::SignIn(field(form, "request")))
    {
        Ok(posted) => posted,
        Err(page) => return *page,
    };
    let policy = &site.context.policy;
    let waiting = posted.field("request");
    let device = cookies::read(&request, &policy.issuer, Which::Device);
    let attempt = Attempt {
        email: posted.field("email"),
        password: Password(posted.field("password")),
        peer: &posted.peer,
        device: device.as_deref(),
        session: posted.session.as_deref(),
    };
    let opened = match sign_in(&site.context, &attempt).await {
        Ok(opened) => opened,
        Err(NotSignedIn::Store(error)) => return store_trouble(&site, &error),
        Err(refused) => return show_again(&site, &posted, &refused),
    };
    let mut response = if waiting.is_empty() {
        let then = Section::parse(posted.field("then"));
        see_other(&path(policy, then.map_or(Name::Home, Section::name)))
    } else {
        match authorize::note_sign_in(&site.context, waiting, &posted.browser.secret, &opened.cookie.hash())
            .await
        {
            Ok(id) => see_other(&format!("{}?request={id}", path(policy, Name::Consent))),
            Err(stopped) => render_stop(&site, &stopped),
        }
    };
    let _added = response.add_cookie(&cookies::session(policy, &opened.cookie));
    let _added = response.add_cookie(&cookies::device(policy, opened.device));
    response
}

/// Why somebody is not signed in, in words.
pub(super) fn words(refused: &NotSignedIn) -> (StatusCode, String) {
    match refused {
        NotSignedIn::Wait(wait) => (
            StatusCode::TOO_MANY_REQUESTS,
            format!("Too many wrong tries. Wait {} seconds, then try again.", wait.get()),
        ),
        NotSignedIn::Busy(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many people are signing in at this moment. Try again.".to_owned(),
        ),
        NotSignedIn::Wrong | NotSignedIn::Store(_) => {
            (StatusCode::UNAUTHORIZED, "The e-mail address or the password is wrong. Try again.".to_owned())
        }
    }
}

fn show_again(site: &Site, posted: &Posted, refused: &NotSignedIn) -> HttpResponse {
    let (status, problem) = words(refused);
    let (request, email) = (posted.field("request"), posted.field("email"));
    let then = Section::parse(posted.field("then")).map(Section::word);
    let page = LoginPage { request, email, then, wanted_by: None, problem: Some(&problem) };
    show(site, &posted.browser, &page, status)
}

fn show(site: &Site, browser: &Browser, page: &LoginPage<'_>, status: StatusCode) -> HttpResponse {
    let tag = csrf::tag(&site.forms, &browser.secret, &Purpose::SignIn(page.request));
    let mut response = pages::login(site, page, &tag, status);
    if let Some(cookie) = &browser.fresh {
        let _added = response.add_cookie(cookie);
    }
    response
}
