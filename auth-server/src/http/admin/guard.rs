//! Who may call what: an admin key with the permission, or an administrator's session, in a browser that proves that its own
//! page asks.

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderValue},
};
use doorward_shared::bearer;

use super::{
    problem::{Code, Problem},
    route::{Route, SignIn},
};
use crate::{
    domain::{
        admin_key::{AdminKey, NotAllowed},
        audit::Actor,
    },
    flows::{
        admin::admin_keys::{self, Refused},
        login::signed_in,
    },
    http::{
        Site,
        cookies::{self, Which},
        csrf::{self, Origin},
        endpoints::{Name, url},
    },
};

/// Somebody who may call.
pub(super) struct Admitted {
    pub(super) actor: Actor,
    pub(super) key: Option<AdminKey>,
}

/// Lets somebody in to a route, or to the answer that there is none.
pub(super) async fn admit(
    site: &Site,
    request: &HttpRequest,
    route: Option<&Route>,
) -> Result<Admitted, Problem> {
    // A request with an Authorization header speaks for the key in it and for nobody else.
    if request.headers().contains_key(header::AUTHORIZATION) {
        with_key(site, request, route).await
    } else {
        with_session(site, request, route).await
    }
}

async fn with_key(site: &Site, request: &HttpRequest, route: Option<&Route>) -> Result<Admitted, Problem> {
    let headers = request.headers().get_all(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let text = bearer::token(headers).ok().flatten().unwrap_or_default();
    let need = route.and_then(|route| route.need);
    let key = admin_keys::admit(&site.context, text, need).await.map_err(|refused| match refused {
        Refused::Not(NotAllowed::Missing(need)) => {
            let detail = format!(
                "the admin key has no permission {need}; make one with it, or ask whoever made this one"
            );
            Problem::new(Code::PermissionMissing, detail)
        }
        Refused::Store(error) => error.into(),
        refused => unauthorized(site).because(&refused),
    })?;
    Ok(Admitted { actor: Actor::AdminKey(key.id.clone()), key: Some(key) })
}

async fn with_session(
    site: &Site,
    request: &HttpRequest,
    route: Option<&Route>,
) -> Result<Admitted, Problem> {
    let issuer = &site.context.policy.issuer;
    let now = site.context.now();
    let cookie = cookies::read(request, issuer, Which::Session);
    let found = signed_in(&site.context, cookie.as_deref(), now).await?.ok_or_else(|| unauthorized(site))?;
    if found.user.admin_since.is_none() {
        let detail = "this account does not administer the server; ask an administrator";
        return Err(Problem::new(Code::NotAnAdministrator, detail));
    }
    let reads = request.method().is_safe();
    // Reading is harmless, since no other page sees the answer; only changes need proof of where they come from.
    let fine = match csrf::origin(request, issuer) {
        Origin::Same => true,
        Origin::Nobody | Origin::Unsaid => reads,
        Origin::Other => false,
    };
    if !fine {
        let detail = "a browser has to say that a page of this server asks: Sec-Fetch-Site: same-origin, or its Origin; \
            programs use an admin key instead";
        return Err(Problem::new(Code::CrossSite, detail));
    }
    let wants_fresh = route.is_some_and(|route| route.sign_in == SignIn::Fresh);
    if wants_fresh && !found.session.is_fresh(now) {
        let login = url(&site.context.policy, Name::Login);
        let detail = format!(
            "the sign-in is more than five minutes ago; sign in again at {login}?then=account and repeat the request"
        );
        return Err(Problem::new(Code::FreshSignInRequired, detail));
    }
    Ok(Admitted { actor: Actor::User(found.user.id), key: None })
}

fn unauthorized(site: &Site) -> Problem {
    let login = url(&site.context.policy, Name::Login);
    let detail = format!(
        "send a live admin key (Authorization: Bearer dwa_…; `doorward admin key create` makes one), or sign in at {login} as an administrator"
    );
    Problem::new(Code::Unauthorized, detail)
}
