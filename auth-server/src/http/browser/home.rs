//! The front page: who is signed in, and how a client is connected.

use actix_web::{HttpRequest, HttpResponse};

use super::{see_other, store_trouble};
use crate::{
    flows::login::signed_in,
    http::{
        Data,
        cookies::{self, Which},
        csrf::{self, Purpose},
        endpoints::{Name, path},
        pages,
    },
};

/// Shows the front page to whoever is signed in.
pub(in crate::http) async fn get(site: Data, request: HttpRequest) -> HttpResponse {
    let policy = &site.context.policy;
    let session = cookies::read(&request, &policy.issuer, Which::Session);
    let found = match signed_in(&site.context, session.as_deref(), site.context.now()).await {
        Ok(Some(found)) => found,
        Ok(None) => return see_other(&path(policy, Name::Login)),
        Err(error) => return store_trouble(&site, &error),
    };
    let resources = match site.context.store.resources().await {
        Ok(resources) => resources,
        Err(error) => return store_trouble(&site, &error),
    };
    let browser = cookies::browser(&request, &policy.issuer, site.context.entropy.as_ref());
    let tag = csrf::tag(&site.forms, &browser.secret, &Purpose::SignOut);
    let mut response = pages::home(&site, &found.user, &resources, &tag);
    if let Some(cookie) = &browser.fresh {
        let _added = response.add_cookie(cookie);
    }
    response
}
