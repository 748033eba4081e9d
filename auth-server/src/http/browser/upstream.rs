//! Signing in at an upstream provider: the way there, the way back, and the page that links two accounts.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use doorward_shared::form::{Form, Repeated};

use super::{
    Posted,
    account::{Section, sign_in_again},
    login::forward,
    see_other, store_trouble,
};
use crate::{
    domain::upstream::{Provider, Refused},
    flows::{
        authorize::Visitor,
        upstream::{self, Completed, NotLinked, Response, Stopped, Wanted},
    },
    http::{
        Data, Site,
        cookies::{self, Which},
        csrf::{self, Origin, Purpose},
        endpoints::{Name, path},
        extract::PageForm,
        pages::{
            Problem, problem,
            upstream::{LinkPage, link},
        },
    },
    upstream::UpstreamError,
};

/// Sends the browser to a provider.
pub(in crate::http) async fn begin(site: Data, request: HttpRequest) -> HttpResponse {
    let policy = &site.context.policy;
    let query = Form::parse(request.query_string()).unwrap_or_default();
    let waiting = query.one("request").ok().flatten();
    let then = query.one("then").ok().flatten().and_then(Section::parse).map(Section::word);
    // A page elsewhere must not sign anybody in behind their back; whoever follows its link sees where they are first.
    if csrf::origin(&request, &policy.issuer) == Origin::Other {
        let to = waiting.map(|id| format!("?request={id}")).unwrap_or_default();
        return see_other(&format!("{}{to}", path(policy, Name::Login)));
    }
    let browser = cookies::browser(&request, &policy.issuer, site.context.entropy.as_ref());
    let session = cookies::read(&request, &policy.issuer, Which::Session);
    let peer = site.proxies.peer_of(&request);
    let visitor = Visitor { browser: &browser.secret, session: session.as_deref(), peer: &peer };
    let provider = request.match_info().get("provider").unwrap_or_default();
    let mut response =
        match upstream::begin(&site.context, provider, Wanted { request: waiting, then }, visitor).await {
            Ok(location) => see_other(&location),
            Err(stopped) => render_stop(&site, provider, &stopped),
        };
    if let Some(cookie) = &browser.fresh {
        let _added = response.add_cookie(cookie);
    }
    response
}

/// Takes the provider's answer.
pub(in crate::http) async fn callback(site: Data, request: HttpRequest) -> HttpResponse {
    let policy = &site.context.policy;
    let provider = request.match_info().get("provider").unwrap_or_default();
    let Ok(query) = Form::parse(request.query_string()) else {
        return render_stop(&site, provider, &Stopped::Malformed);
    };
    let Ok(answer) = read_answer(&query) else { return render_stop(&site, provider, &Stopped::Malformed) };
    let browser = cookies::browser(&request, &policy.issuer, site.context.entropy.as_ref());
    let session = cookies::read(&request, &policy.issuer, Which::Session);
    let peer = site.proxies.peer_of(&request);
    let visitor = Visitor { browser: &browser.secret, session: session.as_deref(), peer: &peer };
    match upstream::complete(&site.context, provider, &answer, visitor).await {
        Ok(Completed::Confirm) => see_other(&path(policy, Name::LoginLink)),
        Ok(Completed::SignedIn(done)) => {
            let upstream::SignedIn { opened, request: waiting, then, proved } = *done;
            let waiting = waiting.unwrap_or_default();
            let then = then.as_deref().and_then(Section::parse);
            let mut response = if then.is_some() && waiting.is_empty() && !proved {
                // To the page that asked for a proof, they would only be sent back here.
                unproved(&site, provider)
            } else {
                forward(&site, &waiting, then, &browser.secret, &opened.cookie.hash()).await
            };
            let _added = response.add_cookie(&cookies::session(policy, &opened.cookie));
            let _added = response.add_cookie(&cookies::device(policy, opened.device));
            response
        }
        Err(Stopped::Store(error)) => store_trouble(&site, &error),
        Err(stopped) => render_stop(&site, provider, &stopped),
    }
}

/// Somebody is signed in who was to prove anew who they are, and the provider does not say that they did.
fn unproved(site: &Site, provider: &str) -> HttpResponse {
    let rules = site.context.policy.provider(provider);
    let title = rules.map_or("the provider", |rules| rules.title.as_str());
    let what = format!("{title} signed you in, and does not say that you proved just now who you are");
    let next = format!(
        "Sign out at {title} and sign in there again, or sign in here with a password or a passkey. If it happens again, an \
         administrator lets {title} send `auth_time`."
    );
    page(site, StatusCode::FORBIDDEN, "sign_in_not_proved", &what, &next)
}

/// Of a parameter that comes twice, neither is believed.
fn read_answer(query: &Form) -> Result<Response<'_>, Repeated> {
    let (state, code) = (query.one("state")?, query.one("code")?);
    Ok(Response { state, code, error: query.one("error")?, iss: query.one("iss")? })
}

/// Shows what would be linked, once the account here is proved.
pub(in crate::http) async fn get_link(site: Data, request: HttpRequest) -> HttpResponse {
    let policy = &site.context.policy;
    let browser = cookies::browser(&request, &policy.issuer, site.context.entropy.as_ref());
    let session = cookies::read(&request, &policy.issuer, Which::Session);
    let offered = match upstream::offered(&site.context, &browser.secret, session.as_deref()).await {
        Ok(offered) => offered,
        Err(error) => return render_not_linked(&site, &error),
    };
    if offered.somebody_else {
        let next = "Sign out first, then sign in at the provider again.";
        return page(
            &site,
            StatusCode::CONFLICT,
            "other_account",
            "somebody else is signed in in this browser",
            next,
        );
    }
    if offered.proven.is_none() {
        return see_other(&sign_in_again(&site, Section::Link));
    }
    let tag = csrf::tag(&site.forms, &browser.secret, &Purpose::LinkIdentity(session.as_deref()));
    link(&site, &LinkPage { provider: &offered.provider, email: &offered.email }, &tag)
}

/// Links, or does not.
pub(in crate::http) async fn post_link(site: Data, request: HttpRequest, form: PageForm) -> HttpResponse {
    let posted = match Posted::read(&site, &request, form, |_, session| Purpose::LinkIdentity(session)) {
        Ok(posted) => posted,
        Err(page) => return *page,
    };
    let agreed = posted.field("action") == "link";
    let (browser, session) = (&posted.browser.secret, posted.session.as_deref());
    match upstream::link(&site.context, browser, session, agreed, &posted.peer).await {
        Ok(linked) => {
            let waiting = linked.request.unwrap_or_default();
            forward(&site, &waiting, None, browser, &linked.proven.session.hash).await
        }
        Err(NotLinked::NotProven) => see_other(&sign_in_again(&site, Section::Link)),
        Err(error) => render_not_linked(&site, &error),
    }
}

fn render_not_linked(site: &Site, error: &NotLinked) -> HttpResponse {
    let again = "Go back to the application and sign in at the provider again.";
    match error {
        NotLinked::Store(error) => store_trouble(site, error),
        NotLinked::Gone | NotLinked::NotProven => {
            page(site, StatusCode::BAD_REQUEST, "request_gone", "there is nothing to link any more", again)
        }
        NotLinked::Taken => page(
            site,
            StatusCode::CONFLICT,
            "linked_to_another",
            "one of the two accounts is linked to another one",
            "Sign in with the other one, or ask an administrator to take that link away.",
        ),
        NotLinked::Seal(error) => {
            tracing::error!(%error, "a link could not be made");
            page(site, StatusCode::INTERNAL_SERVER_ERROR, "server_error", "the server made an error", again)
        }
    }
}

/// Tells the visitor why nobody is signed in. What the provider said about the reason is for the log, except for the codes
/// that the person or their administrator can do something about.
fn render_stop(site: &Site, provider: &str, stopped: &Stopped) -> HttpResponse {
    let rules = site.context.policy.provider(provider);
    let title = rules.map_or("the provider", |rules| rules.title.as_str());
    let again = "Go back to the application and start the sign-in again.";
    let (status, code, what, next): (_, _, String, String) = match stopped {
        Stopped::Unknown => (
            StatusCode::NOT_FOUND,
            "unknown_provider",
            "there is no such way to sign in".to_owned(),
            "Go back to the sign-in page and choose another one.".to_owned(),
        ),
        Stopped::Gone => (
            StatusCode::FORBIDDEN,
            "request_gone",
            "this sign-in was already answered, or waited for too long".to_owned(),
            again.to_owned(),
        ),
        Stopped::OtherBrowser => (
            StatusCode::FORBIDDEN,
            "other_browser",
            "this sign-in was begun in another browser".to_owned(),
            "Go on in the browser in which it began. If somebody sent you this link, close the page.".to_owned(),
        ),
        Stopped::Malformed => (
            StatusCode::BAD_REQUEST,
            "invalid_request",
            format!("the answer of {title} cannot be read"),
            again.to_owned(),
        ),
        Stopped::Denied(error) => denied(title, error),
        Stopped::Upstream(UpstreamError::Invalid(_)) => (
            StatusCode::FORBIDDEN,
            "upstream_invalid",
            format!("what {title} answered does not hold, so nobody was signed in"),
            "Start the sign-in again. If it happens again, an administrator finds the reason in the log.".to_owned(),
        ),
        Stopped::Upstream(UpstreamError::Refused(error)) => (
            StatusCode::BAD_GATEWAY,
            "upstream_refused",
            format!("{title} did not accept this server ({error})"),
            "Start the sign-in again. If it happens again, an administrator checks client_id, client_secret and the redirect \
             URI that is registered there."
                .to_owned(),
        ),
        Stopped::Upstream(UpstreamError::Away(_)) => (
            StatusCode::BAD_GATEWAY,
            "upstream_away",
            format!("{title} does not answer as it should"),
            "Wait a moment and start the sign-in again, or sign in another way.".to_owned(),
        ),
        Stopped::Refused(refused) => refusal(title, rules, *refused),
        Stopped::Crowded => (
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            "too many sign-ins were begun in this network within the last minutes".to_owned(),
            "Wait a few minutes and start again from the application.".to_owned(),
        ),
        Stopped::Busy(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "too many people are signing in at this moment".to_owned(),
            "Wait a moment and start again.".to_owned(),
        ),
        Stopped::Seal(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "the server made an error".to_owned(),
            again.to_owned(),
        ),
        Stopped::Store(error) => return store_trouble(site, error),
    };
    let reason = Some(stopped.to_string());
    problem(site, &Problem { status, code, what: &what, next: &next, reason })
}

type Words = (StatusCode, &'static str, String, String);

/// The codes with which providers send people back (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6, and their own).
fn denied(title: &str, error: &str) -> Words {
    let next = match error {
        "user_not_assigned" => {
            "An administrator of the provider has to assign you, or a group of yours, to the application there."
        }
        "access_denied" => {
            "You, or a rule of the provider, said no. Start again, or ask an administrator whether you may use this application."
        }
        "invalid_scope" => {
            "An administrator removes from `scopes` what the provider does not know (Amazon Cognito: offline_access)."
        }
        "login_required" | "interaction_required" | "consent_required" | "account_selection_required" => {
            "Start the sign-in again and answer what the provider asks."
        }
        "temporarily_unavailable" | "server_error" => "Wait a moment and start the sign-in again.",
        _ => "Start the sign-in again. If it happens again, tell an administrator what is written here.",
    };
    (
        StatusCode::FORBIDDEN,
        "upstream_denied",
        format!("{title} did not sign you in ({error})"),
        next.to_owned(),
    )
}

fn refusal(title: &str, rules: Option<&Provider>, refused: Refused) -> Words {
    let claim = rules.map_or("groups", |rules| rules.groups_claim.as_str());
    let remedy = rules.map_or("", |rules| rules.dialect.without_groups());
    let (code, what, next) = match refused {
        Refused::Group => (
            "group_required",
            format!("{title} named no group of yours that may sign in here"),
            format!(
                "Ask an administrator to put you into one of these groups. If you are in one, the claim `{claim}` does not \
                 arrive: {remedy}."
            ),
        ),
        Refused::EmailTaken => (
            "email_taken",
            format!(
                "an account here has your e-mail address already, and {title} does not vouch that the address is yours"
            ),
            "Sign in with your password instead, or ask an administrator.".to_owned(),
        ),
        Refused::NoEmail => (
            "email_missing",
            format!("{title} named no e-mail address for you"),
            "An administrator adds the scope `email`, or the address of your account there.".to_owned(),
        ),
        Refused::Unverified => (
            "email_unverified",
            format!(
                "{title} does not vouch that your e-mail address is yours, so you get no account here by it"
            ),
            format!(
                "Ask an administrator to make an account for you here, or to see to it that {title} says that addresses are \
                 verified (email_verified)."
            ),
        ),
        Refused::NotCreated => (
            "no_account",
            "there is no account for you here".to_owned(),
            "Ask an administrator to make one with your e-mail address, then sign in again.".to_owned(),
        ),
        Refused::Disabled => (
            "account_disabled",
            "your account here is disabled".to_owned(),
            "Ask an administrator to enable it.".to_owned(),
        ),
        Refused::LinkedToAnother => (
            "linked_to_another",
            format!("your account here is linked to another account at {title}"),
            "Sign in with that one, or ask an administrator to take the link away.".to_owned(),
        ),
    };
    (StatusCode::FORBIDDEN, code, what, next)
}

fn page(site: &Site, status: StatusCode, code: &'static str, what: &str, next: &str) -> HttpResponse {
    problem(site, &Problem { status, code, what, next, reason: None })
}
