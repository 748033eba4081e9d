//! The sign-in page.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use doorward_shared::{
    form::Form,
    secret::{BrowserCookie, Secret, SecretHash, SessionCookie},
};

use super::{Posted, account::Section, field, render_next, render_stop, see_other, store_trouble};
use crate::{
    domain::passkey::Assertion,
    flows::{
        authorize::{self, Next, Visitor},
        login::{Attempt, NotSignedIn, Opened, Password, Step, sign_in, signed_in},
        passkeys,
        second_factor::{self, Code},
        upstream,
    },
    http::{
        Data, Site,
        cookies::{self, Browser, Which},
        csrf::{self, Purpose},
        endpoints::{Name, path},
        extract::PageForm,
        pages::{
            self, LoginPage,
            proofs::{self, CodePage},
        },
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
    } else if then == Some(Section::Link) {
        let offered = upstream::offered(&site.context, &browser.secret, None).await;
        hint = offered.ok().map(|offered| offered.email);
    }
    let challenge = passkeys::challenge(&site.context, &browser.secret);
    let page = LoginPage {
        request: waiting.unwrap_or_default(),
        email: hint.as_deref().unwrap_or_default(),
        then: then.map(Section::word),
        wanted_by: wanted_by.as_deref(),
        challenge: challenge.as_deref(),
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
    let device = cookies::read(&request, &policy.issuer, Which::Device);
    let attempt = Attempt {
        email: posted.field("email"),
        password: Password(posted.field("password")),
        peer: &posted.peer,
        device: device.as_deref(),
        session: posted.session.as_deref(),
    };
    match sign_in(&site.context, &attempt, &posted.browser.secret).await {
        Ok(Step::Opened(opened)) => go_on(&site, &posted, opened).await,
        Ok(Step::Code(half)) => ask_code(&site, &posted, &half, None, StatusCode::OK),
        Err(NotSignedIn::Store(error)) => store_trouble(&site, &error),
        Err(refused) => show_again(&site, &posted, &refused),
    }
}

/// Checks the code of the second factor.
pub(in crate::http) async fn second_step(site: Data, request: HttpRequest, form: PageForm) -> HttpResponse {
    let posted = match Posted::read(&site, &request, form, |form, _| Purpose::SignIn(field(form, "request")))
    {
        Ok(posted) => posted,
        Err(page) => return *page,
    };
    let device = cookies::read(&request, &site.context.policy.issuer, Which::Device);
    let answer = second_factor::Answer {
        half: posted.field("half"),
        code: Code(posted.field("code")),
        browser: &posted.browser.secret,
        peer: &posted.peer,
        device: device.as_deref(),
        session: posted.session.as_deref(),
    };
    match second_factor::finish(&site.context, &answer).await {
        Ok(opened) => go_on(&site, &posted, opened).await,
        Err(NotSignedIn::Store(error)) => store_trouble(&site, &error),
        Err(refused @ NotSignedIn::TooLate) => show_again(&site, &posted, &refused),
        Err(refused) => {
            let (status, problem) = words(&refused);
            ask_code(&site, &posted, posted.field("half"), Some(&problem), status)
        }
    }
}

/// Checks what a passkey answers.
pub(in crate::http) async fn passkey(site: Data, request: HttpRequest, form: PageForm) -> HttpResponse {
    let posted = match Posted::read(&site, &request, form, |form, _| Purpose::SignIn(field(form, "request")))
    {
        Ok(posted) => posted,
        Err(page) => return *page,
    };
    let attempt = passkeys::Attempt {
        challenge: posted.field("challenge"),
        answer: Assertion {
            id: posted.field("id"),
            client_data: posted.field("client_data"),
            authenticator_data: posted.field("authenticator_data"),
            signature: posted.field("signature"),
            user_handle: posted.field("user_handle"),
        },
        browser: &posted.browser.secret,
        peer: &posted.peer,
        session: posted.session.as_deref(),
    };
    match passkeys::sign_in(&site.context, &attempt).await {
        Ok(opened) => go_on(&site, &posted, opened).await,
        Err(NotSignedIn::Store(error)) => store_trouble(&site, &error),
        Err(refused) => show_again(&site, &posted, &refused),
    }
}

/// Somebody is signed in: to what waited for it, or to the front page.
async fn go_on(site: &Site, posted: &Posted, opened: Opened) -> HttpResponse {
    let policy = &site.context.policy;
    let then = Section::parse(posted.field("then"));
    let (browser, session) = (&posted.browser.secret, opened.cookie.hash());
    let mut response = forward(site, posted.field("request"), then, browser, &session).await;
    let _added = response.add_cookie(&cookies::session(policy, &opened.cookie));
    let _added = response.add_cookie(&cookies::device(policy, opened.device));
    response
}

fn ask_code(
    site: &Site,
    posted: &Posted,
    half: &str,
    problem: Option<&str>,
    status: StatusCode,
) -> HttpResponse {
    let request = posted.field("request");
    let then = Section::parse(posted.field("then")).map(Section::word);
    let tag = csrf::tag(&site.forms, &posted.browser.secret, &Purpose::SignIn(request));
    proofs::login_code(site, &CodePage { request, then, half, problem }, &tag, status)
}

/// Where somebody goes on who just signed in: to the request that waits, or to a page of their account.
pub(super) async fn forward(
    site: &Site,
    waiting: &str,
    then: Option<Section>,
    browser: &Secret<BrowserCookie>,
    session: &SecretHash<SessionCookie>,
) -> HttpResponse {
    let policy = &site.context.policy;
    if waiting.is_empty() {
        return see_other(&path(policy, then.map_or(Name::Home, Section::name)));
    }
    match authorize::note_sign_in(&site.context, waiting, browser, session).await {
        Ok(id) => see_other(&format!("{}?request={id}", path(policy, Name::Consent))),
        Err(stopped) => render_stop(site, &stopped),
    }
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
        NotSignedIn::WrongCode => (
            StatusCode::UNAUTHORIZED,
            "The code is wrong, or was used already. Wait for the next one.".to_owned(),
        ),
        NotSignedIn::WrongPasskey => (
            StatusCode::UNAUTHORIZED,
            "This passkey is not known here. Sign in with your password.".to_owned(),
        ),
        NotSignedIn::TooLate => {
            (StatusCode::UNAUTHORIZED, "The page was open for too long. Try again.".to_owned())
        }
        NotSignedIn::Wrong | NotSignedIn::Store(_) => {
            (StatusCode::UNAUTHORIZED, "The e-mail address or the password is wrong. Try again.".to_owned())
        }
    }
}

fn show_again(site: &Site, posted: &Posted, refused: &NotSignedIn) -> HttpResponse {
    let (status, problem) = words(refused);
    let (request, email) = (posted.field("request"), posted.field("email"));
    let then = Section::parse(posted.field("then")).map(Section::word);
    let challenge = passkeys::challenge(&site.context, &posted.browser.secret);
    let page = LoginPage {
        request,
        email,
        then,
        wanted_by: None,
        challenge: challenge.as_deref(),
        problem: Some(&problem),
    };
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
