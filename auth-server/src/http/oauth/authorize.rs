//! `GET /oauth2/authorize` (RFC 6749 §3.1). POST is not offered: cookies of `SameSite=Lax` do not travel with it.

use actix_web::{HttpRequest, HttpResponse};

use crate::{
    flows::authorize::{Visitor, start},
    http::{
        Data,
        browser::{render_next, render_stop},
        cookies::{self, Which},
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
