//! Cookies. On https they have the `__Host-` prefix; on a loopback issuer, which is plain http, they cannot, and browsers
//! share them between all ports of the machine.

use actix_web::{
    HttpRequest,
    cookie::{Cookie, SameSite, time::Duration},
    http::header,
};
use doorward_shared::{
    issuer::Issuer,
    secret::{BrowserCookie, Entropy, Secret, SessionCookie},
};

use crate::domain::policy::Policy;

/// Which cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The signed-in session.
    Session,
    /// The browser that waiting requests belong to.
    Browser,
    /// A browser that signed in to an account before.
    Device,
}

impl Which {
    fn name(self, issuer: &Issuer) -> String {
        let plain = match self {
            Self::Session => "doorward-session",
            Self::Browser => "doorward-browser",
            Self::Device => "doorward-device",
        };
        let prefix = if issuer.is_https() { "__Host-" } else { "" };
        format!("{prefix}{plain}")
    }
}

/// The value of a cookie. Two of one name are two stories, and neither is believed.
///
/// Names are compared byte for byte. A reader that decodes them, or trims more than a browser does, would take another name
/// for one with the `__Host-` prefix, and a neighbouring site can set that one.
pub(super) fn read(request: &HttpRequest, issuer: &Issuer, which: Which) -> Option<String> {
    let name = which.name(issuer);
    let headers = request.headers().get_all(header::COOKIE).filter_map(|header| header.to_str().ok());
    let pairs = headers.flat_map(|header| header.split(';')).filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(key, _)| key.trim_matches([' ', '\t']) == name).map(|(_, value)| value);
    let first = values.next()?.trim_matches([' ', '\t']).to_owned();
    if values.next().is_some() { None } else { Some(first) }
}

fn bake(issuer: &Issuer, which: Which, value: String, life: Option<Duration>) -> Cookie<'static> {
    let mut cookie = Cookie::build(which.name(issuer), value)
        .path("/")
        .http_only(true)
        .secure(issuer.is_https())
        .same_site(SameSite::Lax)
        .finish();
    cookie.set_max_age(life);
    cookie
}

/// The cookie of a new session.
pub(super) fn session(policy: &Policy, secret: &Secret<SessionCookie>) -> Cookie<'static> {
    let life = Duration::seconds(policy.session.absolute.get());
    bake(&policy.issuer, Which::Session, secret.expose().to_owned(), Some(life))
}

/// The cookie that marks a browser as known to an account.
pub(super) fn device(policy: &Policy, tag: String) -> Cookie<'static> {
    bake(&policy.issuer, Which::Device, tag, Some(Duration::days(365)))
}

/// An answer that takes a cookie away.
pub(super) fn gone(issuer: &Issuer, which: Which) -> Cookie<'static> {
    bake(issuer, which, String::new(), Some(Duration::ZERO))
}

/// The browser's cookie, and the header that sets it when the browser has none yet.
pub(super) struct Browser {
    pub(super) secret: Secret<BrowserCookie>,
    pub(super) fresh: Option<Cookie<'static>>,
}

/// Finds the browser's cookie or makes one. A cookie that is there is kept, so that several tabs work side by side.
pub(super) fn browser(request: &HttpRequest, issuer: &Issuer, entropy: &dyn Entropy) -> Browser {
    let known = read(request, issuer, Which::Browser).and_then(|text| Secret::<BrowserCookie>::parse(&text));
    if let Some(secret) = known {
        return Browser { secret, fresh: None };
    }
    let secret = Secret::<BrowserCookie>::generate(entropy);
    let fresh = bake(issuer, Which::Browser, secret.expose().to_owned(), None);
    Browser { secret, fresh: Some(fresh) }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn session(cookies: &str) -> Option<String> {
        let request = TestRequest::get().insert_header((header::COOKIE, cookies)).to_http_request();
        read(&request, &Issuer::parse("https://as.test").unwrap(), Which::Session)
    }

    #[test]
    fn only_the_very_name_is_read_and_two_of_it_are_none() {
        assert_eq!(session("a=b; __Host-doorward-session=s; c=d").as_deref(), Some("s"));
        for other in [
            "doorward-session=s",
            "%5F_Host-doorward-session=s",
            "__host-doorward-session=s",
            "__Host-doorward-session%20=s",
            "__Host-doorward-session=s; __Host-doorward-session=t",
            "__Host-doorward-session",
        ] {
            assert_eq!(session(other), None, "{other}");
        }
    }
}
