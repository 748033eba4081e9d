//! The authorization endpoint: a request waits for sign-in and consent, and every step comes back to `advance`, the one
//! place that picks the next. Sign-in and consent never know each other.

use doorward_shared::{
    client_id::ClientId,
    error::{ErrorCode, OAuthError},
    secret::{AuthorizationCode, BrowserCookie, Secret, SecretHash, SessionCookie},
    time::Timestamp,
};

use super::{
    Context, Peer,
    client_documents::{self, NoClient},
    id_token::read_hint,
    login, reach,
};
use crate::{
    domain::{
        audit::{Action, Actor, Event},
        authorize::{self, Asked, Bound, PageError, Parsed, Pause, RedirectError, Validated},
        code::IssuedCode,
        consent::{Answer, Decision, Tampered},
        ids::{GrantId, RequestId},
        session::{Freshness, SignedIn},
    },
    ephemeral::{PENDING_REQUESTS, PENDING_REQUESTS_OF_NETWORK, PendingRequest},
    store::{Applied, StoreError},
};

/// What the visitor's browser brought along.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    /// The cookie that ties waiting requests to this browser.
    pub browser: &'a Secret<BrowserCookie>,
    /// The cookie of the session, if there is one.
    pub session: Option<&'a str>,
    /// Where it comes from.
    pub peer: &'a Peer,
}

/// Where the visitor goes next.
#[derive(Debug)]
pub enum Next {
    /// To the sign-in page, for this request.
    Login(RequestId, Box<Validated>),
    /// To the consent page, for this request.
    Consent(RequestId, Box<Asked>),
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
    /// There is no client, because its document is of no use.
    #[error(transparent)]
    NoClient(NoClient),
    /// Too many requests wait in this network.
    #[error("too many sign-ins were begun in this network")]
    Crowded,
    /// The store failed before there was anybody to redirect to.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NoClient> for Stopped {
    fn from(no_client: NoClient) -> Self {
        match no_client {
            NoClient::Store(error) => Self::Store(error),
            other => Self::NoClient(other),
        }
    }
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
    let next = advance(ctx, id, &pending, visitor, None, now).await?;
    if let Next::Login(id, _) | Next::Consent(id, _) = &next {
        let begun = ctx.ephemeral.bump(&PENDING_REQUESTS_OF_NETWORK, &visitor.peer.network, now).await;
        if ctx.over(begun, ctx.policy.limits.pending_requests, "pending_requests", visitor.peer, now).await {
            return Err(Stopped::Crowded);
        }
        park(ctx, id, &pending, now).await;
    }
    Ok(next)
}

/// Comes back to a waiting request, to show its page.
pub async fn resume(ctx: &Context, id: &str, visitor: Visitor<'_>) -> Result<Next, Stopped> {
    let now = ctx.now();
    let (id, pending) = waiting(ctx, id, visitor.browser, now).await?;
    let next = advance(ctx, id.clone(), &pending, visitor, None, now).await?;
    if matches!(next, Next::Client(_)) {
        take(ctx, &id, now).await?;
    }
    Ok(next)
}

/// Writes down that somebody signed in to go on with a waiting request.
pub async fn note_sign_in(
    ctx: &Context,
    id: &str,
    browser: &Secret<BrowserCookie>,
    session: &SecretHash<SessionCookie>,
) -> Result<RequestId, Stopped> {
    let now = ctx.now();
    let (id, _) = waiting(ctx, id, browser, now).await?;
    // Taken, not only read: a request that is being answered at this moment must not come back.
    let pending = take(ctx, &id, now).await?;
    park(ctx, &id, &PendingRequest { signed_in: Some(session.to_text()), ..pending }, now).await;
    Ok(id)
}

/// Whether a request waits in this browser that may ask for a new proof of who is there.
pub(super) async fn asks_for_proof(
    ctx: &Context,
    id: &str,
    browser: &Secret<BrowserCookie>,
    now: Timestamp,
) -> bool {
    waiting(ctx, id, browser, now).await.is_ok_and(|(_, pending)| authorize::asks_for_proof(&pending.query))
}

/// Takes the answer of the consent page. A request is answered once: whoever comes second finds it gone.
pub async fn answer(ctx: &Context, id: &str, visitor: Visitor<'_>, answer: Answer) -> Result<Next, Stopped> {
    let now = ctx.now();
    let (id, _) = waiting(ctx, id, visitor.browser, now).await?;
    let pending = take(ctx, &id, now).await?;
    let next = advance(ctx, id.clone(), &pending, visitor, Some(answer), now).await;
    if !matches!(next, Ok(Next::Client(_))) {
        park(ctx, &id, &pending, now).await;
    }
    next
}

/// Lets a request wait. Its time runs from when it was asked, however often it is parked.
async fn park(ctx: &Context, id: &RequestId, pending: &PendingRequest, now: Timestamp) {
    ctx.ephemeral.put_back(&PENDING_REQUESTS, id.as_str(), pending, pending.asked_at, now).await;
}

async fn take(ctx: &Context, id: &RequestId, now: Timestamp) -> Result<PendingRequest, Stopped> {
    ctx.ephemeral.take(&PENDING_REQUESTS, id.as_str(), now).await.ok_or(Stopped::Gone)
}

async fn waiting(
    ctx: &Context,
    id: &str,
    browser: &Secret<BrowserCookie>,
    now: Timestamp,
) -> Result<(RequestId, PendingRequest), Stopped> {
    let id = RequestId::parse(id).ok_or(Stopped::Gone)?;
    let pending = ctx.ephemeral.get(&PENDING_REQUESTS, id.as_str(), now).await.ok_or(Stopped::Gone)?;
    if SecretHash::from_text(&pending.browser) == Some(browser.hash()) {
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
    now: Timestamp,
) -> Result<Next, Stopped> {
    let parsed = Parsed::parse(&pending.query)?;
    let client = client_documents::find(ctx, parsed.client_id(), visitor.peer, now).await?;
    let bound = parsed.bind(client, &ctx.policy)?;
    // From here on the client has a proven address, and even a fault of ours is its to know (RFC 6749 §4.1.2.1).
    let address = bound.address().clone();
    match proceed(ctx, id, bound, pending, visitor, answer, now).await {
        Err(Halt::Store(error)) => {
            tracing::warn!(%error, "an authorization request could not be finished");
            Ok(Next::Client(Outcome::Error(Box::new(address.refuse(error.into())))))
        }
        Err(Halt::Tampered(tampered)) => Err(tampered.into()),
        Ok(next) => Ok(next),
    }
}

/// Why a bound request stops without an answer of its own.
enum Halt {
    Tampered(Tampered),
    Store(StoreError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn proceed(
    ctx: &Context,
    id: RequestId,
    bound: Bound,
    pending: &PendingRequest,
    visitor: Visitor<'_>,
    answer: Option<Answer>,
    now: Timestamp,
) -> Result<Next, Halt> {
    let refused = |error: RedirectError| Ok(Next::Client(Outcome::Error(Box::new(error))));
    let client_id = bound.client_id().clone();
    let read = match bound.read() {
        Ok(read) => read,
        Err(error) => return refused(error),
    };
    let resource = match read.resource() {
        Some(asked) => ctx.store.resource(asked).await?,
        None => sole(ctx.store.resources().await?),
    };
    let hint = read.id_token_hint().and_then(|text| read_hint(ctx, text));
    let validated = match read.validate(resource, hint, &ctx.policy) {
        Ok(validated) => validated,
        Err(error) => return refused(error),
    };
    let signed_in = login::signed_in(ctx, visitor.session, now).await?.map(|found| freshen(found, pending));
    let person = signed_in.as_ref().map(|found| found.user.id.clone());
    let denied = answer.as_ref().is_some_and(|answer| matches!(answer.decision, Decision::Deny));
    let paused = match validated.authenticate(signed_in, now) {
        Ok(authenticated) => {
            let (user, client) =
                (authenticated.user(), authenticated.client().under(&ctx.policy.registration));
            let reach = reach::asked(ctx.store.as_ref(), user, client, authenticated.resource()).await?;
            authenticated.reaching(reach).consent(answer, &ctx.policy, now)
        }
        Err(pause) => Err(pause),
    };
    match paused {
        Ok(consented) => {
            let address = consented.address().clone();
            client_documents::store(ctx, consented.client(), visitor.peer, now).await?;
            let code = Secret::<AuthorizationCode>::generate(ctx.entropy.as_ref());
            let grant = GrantId::generate(now, ctx.entropy.as_ref());
            let (location, issued) = consented.issue(&code, grant, &ctx.policy, now);
            if ctx.store.insert_code(&issued, &consent_given(ctx, &issued, visitor.peer, now)).await?
                == Applied::Lost
            {
                let text = "the application, the resource, the sign-in or a chosen node was removed meanwhile; start again";
                return refused(address.refuse(OAuthError::new(ErrorCode::AccessDenied, text)));
            }
            Ok(Next::Client(Outcome::Code { location, client_id: issued.grant().client_id.clone() }))
        }
        Err(Pause::Login(validated)) => Ok(Next::Login(id, validated)),
        Err(Pause::Consent(asked)) => Ok(Next::Consent(id, asked)),
        Err(Pause::Refuse(error)) => {
            if let Some(person) = person.filter(|_| denied) {
                let event = ctx.event(Action::ConsentDenied, Actor::User(person), visitor.peer, now);
                ctx.store.note(&event.on(&client_id)).await?;
            }
            Ok(Next::Client(Outcome::Error(error)))
        }
        Err(Pause::Tampered(tampered)) => Err(Halt::Tampered(tampered)),
    }
}

fn consent_given(ctx: &Context, issued: &IssuedCode, peer: &Peer, now: Timestamp) -> Event {
    let grant = issued.grant();
    ctx.event(Action::ConsentGiven, Actor::User(grant.user_id.clone()), peer, now)
        .on(&grant.id)
        .with("client_id", grant.client_id.as_str())
        .with("resource", grant.resource.as_str())
        .with("organization", grant.organization.as_str())
        .allowing("permissions", &grant.allowance)
        .with("expires_at", grant.expires_at.seconds())
}

fn freshen(found: SignedIn, pending: &PendingRequest) -> SignedIn {
    let for_this = pending.signed_in.as_deref() == Some(found.session.hash.to_text().as_str());
    let freshness = match for_this {
        false => Freshness::Earlier,
        true if found.session.is_proved_since(pending.asked_at) => Freshness::ForThisRequest,
        true => Freshness::Unproved,
    };
    SignedIn { freshness, ..found }
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
