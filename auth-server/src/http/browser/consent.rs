//! The consent page.

use actix_web::{HttpRequest, HttpResponse};
use doorward_shared::form::Form;

use super::{forged, render_next, render_stop, unreadable};
use crate::{
    domain::consent::{Answer, Decision},
    flows::authorize::{Next, Visitor, answer, resume},
    http::{
        Data, Site,
        cookies::{self, Which},
        csrf,
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
    let visitor = Visitor { browser: &browser.secret, session: session.as_deref() };
    match resume(&site.context, id, visitor).await {
        Ok(next) => render(&site, visitor, next),
        Err(stopped) => render_stop(&site, &stopped),
    }
}

/// Takes the answer.
pub(in crate::http) async fn post(
    site: Data,
    request: HttpRequest,
    PageForm(form): PageForm,
) -> HttpResponse {
    let form = match form {
        Ok(form) => form,
        Err(error) => return unreadable(&site, &error),
    };
    let policy = &site.context.policy;
    let browser = cookies::browser(&request, &policy.issuer, site.context.entropy.as_ref());
    let session = cookies::read(&request, &policy.issuer, Which::Session);
    let field = |name| form.one(name).ok().flatten().unwrap_or_default();
    let id = field("request");
    let purpose = purpose(id, session.as_deref());
    if !csrf::holds(&site.forms, &request, &policy.issuer, &browser.secret, &purpose, &form) {
        return forged(&site);
    }
    let decision = match field("decision") {
        "authorize" => Decision::Authorize {
            tiers: form.all("tier").map(String::from).collect(),
            expires: form.one("expires").ok().flatten().map(String::from),
        },
        // Whatever is not a plain yes is a no.
        _ => Decision::Deny,
    };
    let visitor = Visitor { browser: &browser.secret, session: session.as_deref() };
    let given = Answer { digest: field("shown").to_owned(), decision };
    match answer(&site.context, id, visitor, given).await {
        Ok(next) => render(&site, visitor, next),
        Err(stopped) => render_stop(&site, &stopped),
    }
}

fn render(site: &Site, visitor: Visitor<'_>, next: Next) -> HttpResponse {
    match next {
        Next::Consent(id, asked) => {
            let tag = csrf::tag(&site.forms, visitor.browser, &purpose(id.as_str(), visitor.session));
            let sign_out = csrf::tag(&site.forms, visitor.browser, &["logout"]);
            pages::consent(site, &id, &asked, &tag, sign_out)
        }
        next => render_next(site, next),
    }
}

/// What the form's tag is bound to: this request and this session, so that what was shown to one person cannot be answered
/// by the next.
fn purpose<'a>(id: &'a str, session: Option<&'a str>) -> [&'a str; 3] {
    ["consent", id, session.unwrap_or_default()]
}
