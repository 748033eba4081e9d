//! `/oauth2/authorize` (RFC 6749 §3.1, OpenID Connect Core §3.1.2.1).

use actix_web::{HttpRequest, HttpResponse};
use doorward_shared::authorization::{MAX_QUERY, Unreadable};

use crate::{
    flows::authorize::{Stopped, Visitor, start},
    http::{
        Data,
        browser::{render_next, render_stop, see_other, unreadable},
        cookies::{self, Which},
        endpoints::{Name, path},
        extract::PageForm,
    },
};

/// Begins an authorization.
pub(in crate::http) async fn get(site: Data, request: HttpRequest) -> HttpResponse {
    let policy = &site.context.policy;
    let browser = cookies::browser(&request, &policy.issuer, site.context.entropy.as_ref());
    let session = cookies::read(&request, &policy.issuer, Which::Session);
    let peer = site.proxies.peer_of(&request);
    let visitor = Visitor { browser: &browser.secret, session: session.as_deref(), peer: &peer };
    let mut response = match start(&site.context, request.query_string(), visitor).await {
        Ok(next) => render_next(&site, next),
        Err(stopped) => render_stop(&site, &stopped),
    };
    if let Some(cookie) = &browser.fresh {
        // A cookie that does not fit into a header was not made by this server; going on without it ends at the next page.
        let _added = response.add_cookie(cookie);
    }
    response
}

/// The same for a form that a client lets the browser send. Browsers leave the session's cookie out of a form from another site,
/// and send it with the redirect, which begins what a link could begin as well. The query of a form's own address is not read.
pub(in crate::http) async fn post(site: Data, PageForm(form): PageForm) -> HttpResponse {
    let form = match form {
        Ok(form) => form,
        Err(error) => return unreadable(&site, &error),
    };
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form.pairs()).finish();
    if query.len() > MAX_QUERY {
        return render_stop(&site, &Stopped::Page(Unreadable::TooLong.into()));
    }
    see_other(&format!("{}?{query}", path(&site.context.policy, Name::Authorize)))
}
