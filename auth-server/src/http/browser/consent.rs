//! The consent page.

use actix_web::{HttpRequest, HttpResponse};
use doorward_shared::form::Form;

use super::{Posted, field, render_next, render_stop};
use crate::{
    domain::consent::{Answer, Decision, Ticked},
    flows::authorize::{Next, Visitor, answer, resume},
    http::{
        Data, Site,
        cookies::{self, Which},
        csrf::{self, Purpose},
        extract::PageForm,
        pages,
    },
};

/// Shows what is asked.
pub(in crate::http) async fn get(site: Data, request: HttpRequest) -> HttpResponse {
    let query = Form::parse(request.query_string()).unwrap_or_default();
    let id = query.one("request").ok().flatten().unwrap_or_default();
    let policy = &site.context.policy;
    let browser = cookies::browser(&request, &policy.issuer, site.context.entropy.as_ref());
    let session = cookies::read(&request, &policy.issuer, Which::Session);
    let peer = site.proxies.peer_of(&request);
    let visitor = Visitor { browser: &browser.secret, session: session.as_deref(), peer: &peer };
    match resume(&site.context, id, visitor).await {
        Ok(next) => render(&site, visitor, next),
        Err(stopped) => render_stop(&site, &stopped),
    }
}

/// Takes the answer.
pub(in crate::http) async fn post(site: Data, request: HttpRequest, form: PageForm) -> HttpResponse {
    let posted = Posted::read(&site, &request, form, |form, session| {
        Purpose::Consent(field(form, "request"), session)
    });
    let posted = match posted {
        Ok(posted) => posted,
        Err(page) => return *page,
    };
    let decision = match posted.field("decision") {
        "authorize" => Decision::Authorize(Ticked {
            tiers: posted.form.all("tier").map(String::from).collect(),
            // Two are none that was offered.
            organization: posted.form.one("organization").unwrap_or(Some("")).map(String::from),
            nodes: posted.form.all("node").map(String::from).collect(),
            expires: posted.form.one("expires").ok().flatten().map(String::from),
        }),
        // Whatever is not a plain yes is a no.
        _ => Decision::Deny,
    };
    let given = Answer { digest: posted.field("shown").to_owned(), decision };
    match answer(&site.context, posted.field("request"), posted.visitor(), given).await {
        Ok(next) => render(&site, posted.visitor(), next),
        Err(stopped) => render_stop(&site, &stopped),
    }
}

fn render(site: &Site, visitor: Visitor<'_>, next: Next) -> HttpResponse {
    match next {
        Next::Consent(id, asked) => {
            let tag =
                csrf::tag(&site.forms, visitor.browser, &Purpose::Consent(id.as_str(), visitor.session));
            let sign_out = csrf::tag(&site.forms, visitor.browser, &Purpose::SignOut);
            pages::consent(site, &id, &asked, &tag, sign_out)
        }
        next => render_next(site, next),
    }
}
