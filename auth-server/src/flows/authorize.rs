//! The authorization endpoint: a request waits for sign-in and consent, and every step comes back to [`advance`], the one
//! place that picks the next. Sign-in and consent never know each other.

use doorward_shared::{
    client_id::ClientId,
    secret::{AuthorizationCode, BrowserCookie, Secret, SecretHash, SessionCookie},
};

use super::{Context, clients, login};
use crate::{
    domain::{
        authorize::{Authenticated, Freshness, PageError, Parsed, Pause, RedirectError, SignedIn, Validated},
        consent::{Answer, Tampered},
        ids::{GrantId, RequestId},
    },
    ephemeral::{PENDING_REQUESTS, PendingRequest},
    store::{Applied, StoreError},
};

/// What the visitor's browser brought along.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    /// The cookie that ties waiting requests to this browser.
    pub browser: &'a Secret<BrowserCookie>,
    /// The cookie of the session, if there is one.
    pub session: Option<&'a str>,
}

/// Where the visitor goes next.
#[derive(Debug)]
pub enum Next {
    /// To the sign-in page, for this request.
    Login(RequestId, Box<Validated>),
    /// To the consent page, for this request.
    Consent(RequestId, Box<Authenticated>),
    /// Back to the client.
    Client(Outcome),
}

/// The end of a request.
#[derive(Debug)]
pub enum Outcome {
    /// The client gets a code.
    Code {
        /// Where the browser is sent.
        location: String,
        /// The client that gets it.
        client_id: ClientId,
    },
    /// The client gets an error.
    Error(Box<RedirectError>),
}

/// Why the visitor sees an error page.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The request cannot be answered by redirect.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The request is unknown, too old, or was answered already.
    #[error("the request is not waiting any more")]
    Gone,
    /// The request was begun in another browser.
    #[error("the request was begun in another browser")]
    OtherBrowser,
    /// The answer did not come from the page.
    #[error(transparent)]
    Tampered(#[from] Tampered),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Begins with a request from a client.
pub async fn start(ctx: &Context, query: &str, visitor: Visitor<'_>) -> Result<Next, Stopped> {
    let now = ctx.now();
    let id = RequestId::generate(now, ctx.entropy.as_ref());
    let pending = PendingRequest {
        query: query.to_owned(),
        asked_at: now,
        browser: visitor.browser.hash().to_text(),
        signed_in: None,
    };
    let next = advance(ctx, id, &pending, visitor, None).await?;
    if let Next::Login(id, _) | Next::Consent(id, _) = &next {
        ctx.ephemeral.put(&PENDING_REQUESTS, id.as_str(), &pending);
    }
    Ok(next)
}

/// Comes back to a waiting request, to show its page.
pub async fn resume(ctx: &Context, id: &str, visitor: Visitor<'_>) -> Result<Next, Stopped> {
    let (id, pending) = waiting(ctx, id, visitor)?;
    let next = advance(ctx, id.clone(), &pending, visitor, None).await?;
    if matches!(next, Next::Client(_)) {
        ctx.ephemeral.take(&PENDING_REQUESTS, id.as_str()).map(|_| ()).ok_or(Stopped::Gone)?;
    }
    Ok(next)
}

/// Writes down that somebody signed in to go on with a waiting request.
pub fn note_sign_in(
    ctx: &Context,
    id: &str,
    browser: &Secret<BrowserCookie>,
    session: &SecretHash<SessionCookie>,
) -> Result<RequestId, Stopped> {
    let (id, mut pending) = waiting(ctx, id, Visitor { browser, session: None })?;
    pending.signed_in = Some(session.to_text());
    ctx.ephemeral.put(&PENDING_REQUESTS, id.as_str(), &pending);
    Ok(id)
}

/// Takes the answer of the consent page. A request is answered once: whoever comes second finds it gone.
pub async fn answer(ctx: &Context, id: &str, visitor: Visitor<'_>, answer: Answer) -> Result<Next, Stopped> {
    let (id, _) = waiting(ctx, id, visitor)?;
    let pending = ctx.ephemeral.take(&PENDING_REQUESTS, id.as_str()).ok_or(Stopped::Gone)?;
    let next = advance(ctx, id.clone(), &pending, visitor, Some(answer)).await;
    if !matches!(next, Ok(Next::Client(_))) {
        ctx.ephemeral.put(&PENDING_REQUESTS, id.as_str(), &pending);
    }
    next
}

fn waiting(ctx: &Context, id: &str, visitor: Visitor<'_>) -> Result<(RequestId, PendingRequest), Stopped> {
    let id = RequestId::parse(id).ok_or(Stopped::Gone)?;
    let pending = ctx.ephemeral.get(&PENDING_REQUESTS, id.as_str()).ok_or(Stopped::Gone)?;
    if SecretHash::from_text(&pending.browser) == Some(visitor.browser.hash()) {
        Ok((id, pending))
    } else {
        Err(Stopped::OtherBrowser)
    }
}

/// Runs the whole chain again from the untrusted query: a client that was deleted or changed meanwhile cannot slip through.
async fn advance(
    ctx: &Context,
    id: RequestId,
    pending: &PendingRequest,
    visitor: Visitor<'_>,
    answer: Option<Answer>,
) -> Result<Next, Stopped> {
    let now = ctx.now();
    let refused = |error: RedirectError| Ok(Next::Client(Outcome::Error(Box::new(error))));
    let parsed = Parsed::parse(&pending.query)?;
    let client = clients::find(ctx, parsed.client_id()).await?;
    let read = match parsed.bind(client)?.read() {
        Ok(read) => read,
        Err(error) => return refused(error),
    };
    let resource = match read.resource() {
        Some(asked) => ctx.store.resource(asked).await?,
        None => sole(ctx.store.resources().await?),
    };
    let validated = match read.validate(resource, &ctx.policy) {
        Ok(validated) => validated,
        Err(error) => return refused(error),
    };
    let signed_in = login::signed_in(ctx, visitor.session).await?.map(|found| freshen(found, pending));
    let paused = match validated.authenticate(signed_in, now) {
        Ok(authenticated) => authenticated.consent(answer, &ctx.policy, now),
        Err(pause) => Err(pause),
    };
    match paused {
        Ok(consented) => {
            let code = Secret::<AuthorizationCode>::generate(ctx.entropy.as_ref());
            let grant = GrantId::generate(now, ctx.entropy.as_ref());
            let (location, issued) = consented.issue(&code, grant, &ctx.policy, now);
            if ctx.store.insert_code(&issued).await? == Applied::Lost {
                return Err(Stopped::Gone);
            }
            Ok(Next::Client(Outcome::Code { location, client_id: issued.grant().client_id.clone() }))
        }
        Err(Pause::Login(validated)) => Ok(Next::Login(id, validated)),
        Err(Pause::Consent(authenticated)) => Ok(Next::Consent(id, authenticated)),
        Err(Pause::Refuse(error)) => Ok(Next::Client(Outcome::Error(error))),
        Err(Pause::Tampered(tampered)) => Err(tampered.into()),
    }
}

fn freshen(found: SignedIn, pending: &PendingRequest) -> SignedIn {
    let for_this = pending.signed_in.as_deref() == Some(found.session.hash.to_text().as_str());
    SignedIn { freshness: if for_this { Freshness::ForThisRequest } else { Freshness::Earlier }, ..found }
}

fn sole<T>(mut all: Vec<T>) -> Option<T> {
    let last = all.pop();
    last.filter(|_| all.is_empty())
}

impl Outcome {
    /// Which client is answered, if the log should say so.
    pub const fn client_id(&self) -> Option<&ClientId> {
        match self {
            Self::Code { client_id, .. } => Some(client_id),
            Self::Error(_) => None,
        }
    }
}
