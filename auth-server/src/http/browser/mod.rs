//! The pages that people see: plain HTML forms that POST, working without scripts.

pub(super) mod account;
pub(super) mod consent;
pub(super) mod forgot;
pub(super) mod home;
pub(super) mod link;
pub(super) mod login;
pub(super) mod logout;
pub(super) mod setup;
pub(super) mod upstream;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
};
use doorward_shared::form::Form;

use super::{
    Site,
    cookies::{self, Browser, Which},
    csrf::{self, Purpose},
    endpoints::{Name, path},
    extract::{BodyError, PageForm},
    headers::Facts,
    pages::{Problem, problem},
};
use crate::{
    domain::authorize::PageError,
    flows::{
        Peer,
        authorize::{Next, Outcome, Stopped, Visitor},
        client_documents::NoClient,
    },
    store::StoreError,
};

/// A redirect after which the browser always uses GET (RFC 9700 §4.12).
pub(super) fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, location)).finish()
}

/// A form that a page of ours sent, from the browser that it was shown to.
pub(super) struct Posted {
    form: Form,
    browser: Browser,
    session: Option<String>,
    peer: Peer,
}

impl Posted {
    /// Reads a form and makes sure where it comes from. The error is the page that says why it is not taken.
    pub(super) fn read(
        site: &Site,
        request: &HttpRequest,
        PageForm(form): PageForm,
        purpose: impl for<'a> FnOnce(&'a Form, Option<&'a str>) -> Purpose<'a>,
    ) -> Result<Self, Box<HttpResponse>> {
        let form = form.map_err(|error| Box::new(unreadable(site, &error)))?;
        let issuer = &site.context.policy.issuer;
        let browser = cookies::browser(request, issuer, site.context.entropy.as_ref());
        let session = cookies::read(request, issuer, Which::Session);
        let purpose = purpose(&form, session.as_deref());
        if !csrf::holds(&site.forms, request, issuer, &browser.secret, &purpose, &form) {
            return Err(Box::new(forged(site)));
        }
        Ok(Self { form, browser, session, peer: site.proxies.peer_of(request) })
    }

    /// A field, or nothing when it is missing or repeated.
    fn field(&self, name: &'static str) -> &str {
        field(&self.form, name)
    }

    /// What the flows want to know of the visitor.
    fn visitor(&self) -> Visitor<'_> {
        Visitor { browser: &self.browser.secret, session: self.session.as_deref(), peer: &self.peer }
    }
}

/// A text with a capital letter in front and a full stop behind.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// A field of a form, or nothing when it is missing or repeated.
fn field<'a>(form: &'a Form, name: &'static str) -> &'a str {
    form.one(name).ok().flatten().unwrap_or_default()
}

/// Sends the visitor to the next step.
pub(super) fn render_next(site: &Site, next: Next) -> HttpResponse {
    let policy = &site.context.policy;
    match next {
        Next::Login(id, _) => see_other(&format!("{}?request={id}", path(policy, Name::Login))),
        Next::Consent(id, _) => see_other(&format!("{}?request={id}", path(policy, Name::Consent))),
        Next::Client(outcome) => {
            let facts = Facts { client_id: outcome.client_id().map(ToString::to_string), grant_type: None };
            let location = match &outcome {
                Outcome::Code { location, .. } => location.clone(),
                Outcome::Error(error) => error.location(&policy.issuer),
            };
            let mut response = see_other(&location);
            response.extensions_mut().insert(facts);
            response
        }
    }
}

/// Tells the visitor why it goes no further.
pub(super) fn render_stop(site: &Site, stopped: &Stopped) -> HttpResponse {
    let start_again = "Go back to the application and start the sign-in again.";
    let (status, code, what, next) = match stopped {
        Stopped::Page(error @ PageError::Unreadable(_)) => (
            StatusCode::BAD_REQUEST,
            "invalid_request",
            error.to_string(),
            "Tell the developer of the application what is written here.",
        ),
        Stopped::Page(error @ PageError::UnknownClient) => (
            StatusCode::BAD_REQUEST,
            "unknown_client",
            error.to_string(),
            "Remove the server from the application and add it again, so that the application registers anew. If that does not help, an administrator may have disabled it; the log has the reason.",
        ),
        Stopped::Page(error @ PageError::RedirectUri) => (
            StatusCode::BAD_REQUEST,
            "invalid_redirect_uri",
            error.to_string(),
            "Nothing was sent there. Remove the server from the application and add it again; if a link brought you here, close this page.",
        ),
        Stopped::NoClient(no_client) => no_client_words(no_client),
        Stopped::Gone => (
            StatusCode::BAD_REQUEST,
            "request_gone",
            "this sign-in was already answered, or waited for too long".to_owned(),
            start_again,
        ),
        Stopped::OtherBrowser => (
            StatusCode::FORBIDDEN,
            "other_browser",
            "this sign-in was begun in another browser".to_owned(),
            "Go on in the browser in which it began. If somebody sent you this link, close the page.",
        ),
        Stopped::Crowded => (
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            "too many sign-ins were begun in this network within the last minutes".to_owned(),
            "Wait a few minutes and start again from the application.",
        ),
        Stopped::Tampered(tampered) => {
            let again = "Nothing was decided. Go back to the page before and answer it again.";
            (StatusCode::BAD_REQUEST, "invalid_request", tampered.to_string(), again)
        }
        Stopped::Store(error) => return store_trouble(site, error),
    };
    problem(site, &Problem { status, code, what: &what, next, reason: None })
}

/// Why a document of a client is of no use. Of what could not be loaded nothing is told: it may be a host that only this server
/// reaches.
fn no_client_words(no_client: &NoClient) -> (StatusCode, &'static str, String, &'static str) {
    let (status, code, next) = match no_client {
        NoClient::NotAccepted(_) => (
            StatusCode::BAD_REQUEST,
            "client_not_accepted",
            "Ask whoever runs this server to accept the application; nothing was sent to it.",
        ),
        NoClient::Unfit(_) => (
            StatusCode::BAD_REQUEST,
            "invalid_client_metadata",
            "Tell the developer of the application what is written here.",
        ),
        NoClient::Crowded => (
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            "Wait a minute and start again from the application.",
        ),
        NoClient::Unloaded | NoClient::Store(_) => (
            StatusCode::BAD_REQUEST,
            "client_metadata_unavailable",
            "Wait a minute and start again from the application. If it stays, whoever runs this server finds the reason in its log.",
        ),
    };
    (status, code, no_client.to_string(), next)
}

/// The database does not answer.
pub(super) fn store_trouble(site: &Site, error: &StoreError) -> HttpResponse {
    problem(
        site,
        &Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "temporarily_unavailable",
            what: "the server cannot reach its database",
            next: "Wait a moment and load the page again.",
            reason: Some(error.to_string()),
        },
    )
}

/// Something in the server failed; the log has the reason.
fn trouble(site: &Site, error: &dyn std::error::Error) -> HttpResponse {
    problem(
        site,
        &Problem {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "server_error",
            what: "the server made an error",
            next: "Tell your administrator what is written below.",
            reason: Some(error.to_string()),
        },
    )
}

/// The form did not come from a page that this server showed to this browser.
fn forged(site: &Site) -> HttpResponse {
    problem(
        site,
        &Problem {
            status: StatusCode::FORBIDDEN,
            code: "csrf",
            what: "this form was not sent from a page of this server in this browser",
            next: "Load the page again and repeat your answer. Cookies must be allowed for this site.",
            reason: None,
        },
    )
}

/// The form cannot be read.
pub(super) fn unreadable(site: &Site, error: &BodyError) -> HttpResponse {
    problem(
        site,
        &Problem {
            status: error.status,
            code: "invalid_request",
            what: &error.text,
            next: "Load the page again and repeat your answer.",
            reason: None,
        },
    )
}
