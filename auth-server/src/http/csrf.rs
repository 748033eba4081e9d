//! Forms are accepted only from pages that this server showed to this browser.
//!
//! Two independent checks: the browser's own word about where the request comes from, and a tag in the form that is bound
//! to the browser's cookie and to the form's purpose. The pages send no referrer, for which browsers print `Origin: null`
//! even on our own forms; `Sec-Fetch-Site`, which no page can forge, decides where it is sent.

use actix_web::{HttpRequest, http::header};
use doorward_shared::{
    form::Form,
    issuer::Issuer,
    secret::{BrowserCookie, Secret},
};

use super::extract::one;
use crate::keys::Tags;

/// The name of the hidden field.
pub(super) const FIELD: &str = "csrf";

/// What a form is for. Its tag is good for nothing else.
pub(super) enum Purpose<'a> {
    /// Making the first administrator.
    Setup,
    /// Choosing a password, behind a one-time link, which is the secret.
    Link,
    /// Asking for another password.
    Forgot,
    /// Signing in, to go on with this request.
    SignIn(&'a str),
    /// Answering this request, in this session: what was shown to one person cannot be answered by the next.
    Consent(&'a str, Option<&'a str>),
    /// Signing out.
    SignOut,
    /// Linking an upstream account, in this session.
    LinkIdentity(Option<&'a str>),
    /// Changing something of one's account, in this session.
    Account(Option<&'a str>),
}

impl<'a> Purpose<'a> {
    fn parts(&self, browser: &'a Secret<BrowserCookie>) -> [&'a str; 4] {
        let [name, request, session] = match *self {
            Self::Setup => ["setup", "", ""],
            Self::Link => ["link", "", ""],
            Self::Forgot => ["forgot", "", ""],
            Self::SignIn(request) => ["login", request, ""],
            Self::Consent(request, session) => ["consent", request, session.unwrap_or_default()],
            Self::SignOut => ["logout", "", ""],
            Self::LinkIdentity(session) => ["link identity", "", session.unwrap_or_default()],
            Self::Account(session) => ["account", "", session.unwrap_or_default()],
        };
        [browser.expose(), name, request, session]
    }
}

/// The tag for a form of this purpose.
pub(super) fn tag(forms: &Tags, browser: &Secret<BrowserCookie>, purpose: &Purpose<'_>) -> String {
    forms.tag(&purpose.parts(browser))
}

/// True when the form comes from a page that was shown to this browser for this purpose.
pub(super) fn holds(
    forms: &Tags,
    request: &HttpRequest,
    issuer: &Issuer,
    browser: &Secret<BrowserCookie>,
    purpose: &Purpose<'_>,
    form: &Form,
) -> bool {
    let tagged = form.one(FIELD).ok().flatten();
    // Neither header: no browser of today. The tag alone has to do.
    let ours = matches!(origin(request, issuer), Origin::Same | Origin::Unsaid);
    tagged.is_some_and(|tag| forms.check(&purpose.parts(browser), tag)) && ours
}

/// Where the browser says that a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A page of this server.
    Same,
    /// No page: an address that somebody typed, or a bookmark.
    Nobody,
    /// It does not say.
    Unsaid,
    /// Any other page, or several stories at once.
    Other,
}

/// What the browser says about where a request comes from.
pub(super) fn origin(request: &HttpRequest, issuer: &Issuer) -> Origin {
    let headers = request.headers();
    match one(headers, &header::HeaderName::from_static("sec-fetch-site")) {
        Ok(Some("same-origin")) => Origin::Same,
        Ok(Some("none")) => Origin::Nobody,
        Ok(Some(_)) | Err(_) => Origin::Other,
        Ok(None) => match one(headers, &header::ORIGIN) {
            Ok(Some(origin)) if origin == issuer.origin() => Origin::Same,
            Ok(Some(_)) | Err(_) => Origin::Other,
            Ok(None) => Origin::Unsaid,
        },
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn accepted(headers: &[(&str, &str)]) -> bool {
        let mut request = TestRequest::post();
        for header in headers {
            request = request.append_header(*header);
        }
        let said = origin(&request.to_http_request(), &Issuer::parse("https://as.test/t1").unwrap());
        matches!(said, Origin::Same | Origin::Unsaid)
    }

    #[test]
    fn only_our_own_pages_may_post() {
        assert!(accepted(&[("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(accepted(&[("origin", "https://as.test")]));
        assert!(accepted(&[]));
        for site in ["cross-site", "same-site", "none", ""] {
            assert!(!accepted(&[("sec-fetch-site", site), ("origin", "https://as.test")]), "{site}");
        }
        for origin in ["null", "https://as.test.evil.test", "http://as.test", "https://as.test/t1"] {
            assert!(!accepted(&[("origin", origin)]), "{origin}");
        }
        assert!(!accepted(&[("origin", "https://as.test"), ("origin", "https://evil.test")]));
    }
}
