//! Signing in at an upstream provider: there, back, and who that is here. Nothing secret is parked while the browser is away:
//! the code verifier and the nonce are derived anew from the state and the browser's cookie, so whoever has only one of them has
//! nothing.

mod ask;
mod link;
mod people;
mod renew;
pub mod unlink;

use doorward_shared::{
    secret::{BrowserCookie, Secret, UpstreamState},
    time::Timestamp,
};

pub use self::link::{Linked, NotLinked, Offered, link, offered};
use self::people::{newcomer, welcome_back};
pub(super) use self::renew::{renew, renew_for_key};
use super::{
    Context,
    authorize::{Visitor, asks_for_proof},
    login::{self, Opened},
};
use crate::{
    domain::{
        audit::{Action, Actor},
        email::Email,
        ids::RequestId,
        session::FRESH,
        upstream::{Arrival, Asserted, GroupsHeard, Provider, Refused, arrive},
    },
    ephemeral::{PENDING_REQUESTS_OF_NETWORK, PendingUpstream, UPSTREAM_SIGN_INS},
    keys::KeyError,
    password::Busy,
    store::StoreError,
    upstream::{Begin, Client, Given, UpstreamError},
};

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// There is no such provider.
    #[error("there is no such provider")]
    Unknown,
    /// The state is unknown, used, too old, or of another provider.
    #[error("the sign-in is not waiting any more")]
    Gone,
    /// It was begun in another browser.
    #[error("the sign-in was begun in another browser")]
    OtherBrowser,
    /// The provider's page said no, with this error code.
    #[error("the provider answered {0}")]
    Denied(String),
    /// The answer cannot be read.
    #[error("the provider's answer is malformed")]
    Malformed,
    /// The provider.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The person may not come in.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Too many sign-ins were begun.
    #[error("too many sign-ins were begun in this network")]
    Crowded,
    /// Too much is going on.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The refresh token could not be sealed.
    #[error(transparent)]
    Seal(#[from] KeyError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a sign-in is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// The request that waits for it.
    pub request: Option<&'a str>,
    /// The word for the page that asked for a proof.
    pub then: Option<&'a str>,
}

/// Somebody came from a provider.
#[derive(Debug)]
pub struct SignedIn {
    /// The session.
    pub opened: Opened,
    /// The request that waits, if one does.
    pub request: Option<String>,
    /// The word for the page that asked for a proof, if one did.
    pub then: Option<String>,
    /// Whether they proved themselves just now, as the provider says.
    pub proved: bool,
}

/// What came of a sign-in upstream.
#[derive(Debug)]
pub enum Completed {
    /// Somebody is signed in.
    SignedIn(Box<SignedIn>),
    /// An account here has the address: its owner has to prove it first.
    Confirm,
}

/// The parameters that the provider sent back; state and code are not printed.
#[derive(Default)]
pub struct Response<'a> {
    /// Which sign-in.
    pub state: Option<&'a str>,
    /// The code.
    pub code: Option<&'a str>,
    /// Why there is none.
    pub error: Option<&'a str>,
    /// Who answers (RFC 9207).
    pub iss: Option<&'a str>,
}

impl std::fmt::Debug for Response<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response").field("error", &self.error).field("iss", &self.iss).finish_non_exhaustive()
    }
}

/// Begins a sign-in at a provider. Answers where the browser is sent.
pub async fn begin(
    ctx: &Context,
    provider: &str,
    wanted: Wanted<'_>,
    visitor: Visitor<'_>,
) -> Result<String, Stopped> {
    let now = ctx.now();
    let (_, client) = find(ctx, provider)?;
    let begun = ctx.ephemeral.bump(&PENDING_REQUESTS_OF_NETWORK, &visitor.peer.network, now).await;
    if ctx.over(begun, ctx.policy.limits.pending_requests, "pending_requests", visitor.peer, now).await {
        return Err(Stopped::Crowded);
    }
    let state = Secret::<UpstreamState>::generate(ctx.entropy.as_ref());
    let (nonce, code_verifier) = secrets(ctx, &state, visitor.browser);
    // Where a proof is asked for, a session there from long ago is none.
    let anew = match wanted.request {
        Some(id) => asks_for_proof(ctx, id, visitor.browser, now).await,
        None => wanted.then.is_some(),
    };
    let begin = Begin { state: state.expose(), nonce: &nonce, code_verifier: &code_verifier, anew };
    let location = client.begin(&begin, now).await.inspect_err(|error| log(provider, error))?;
    let pending = PendingUpstream {
        provider: provider.to_owned(),
        browser: visitor.browser.hash().to_text(),
        request: wanted.request.and_then(RequestId::parse).map(|id| id.to_string()),
        then: wanted.then.map(str::to_owned),
    };
    ctx.ephemeral.put(&UPSTREAM_SIGN_INS, &state.hash().to_text(), &pending, now).await;
    Ok(location)
}

/// Takes the provider's answer.
pub async fn complete(
    ctx: &Context,
    provider: &str,
    response: &Response<'_>,
    visitor: Visitor<'_>,
) -> Result<Completed, Stopped> {
    let now = ctx.now();
    let (rules, client) = find(ctx, provider)?;
    let state = response.state.and_then(Secret::<UpstreamState>::parse).ok_or(Stopped::Gone)?;
    let key = state.hash().to_text();
    let waiting: PendingUpstream =
        ctx.ephemeral.get(&UPSTREAM_SIGN_INS, &key, now).await.ok_or(Stopped::Gone)?;
    // Looked at before it is taken: another browser, or another provider, must not end somebody's sign-in.
    if waiting.browser != visitor.browser.hash().to_text() {
        return Err(Stopped::OtherBrowser);
    }
    if waiting.provider != provider {
        return Err(Stopped::Gone);
    }
    let pending = ctx.ephemeral.take(&UPSTREAM_SIGN_INS, &key, now).await.ok_or(Stopped::Gone)?;
    let done = arrived(ctx, rules, client, response, &state, &pending, visitor, now).await;
    if let Err(stopped) = &done {
        let event = ctx.event(Action::SignInFailed, Actor::Stranger, visitor.peer, now);
        let event = event.with("provider", provider).with("because", stopped.to_string());
        ctx.store.note(&event).await?;
    }
    done
}

#[expect(clippy::too_many_arguments, reason = "one step of `complete`, which has loaded all of it")]
async fn arrived(
    ctx: &Context,
    rules: &Provider,
    client: &Client,
    response: &Response<'_>,
    state: &Secret<UpstreamState>,
    pending: &PendingUpstream,
    visitor: Visitor<'_>,
    now: Timestamp,
) -> Result<Completed, Stopped> {
    client.check_issuer(response.iss, now).await.inspect_err(|error| log(&rules.id, error))?;
    let code = match (response.code, response.error) {
        (Some(code), None) => code,
        (None, Some(error)) => return Err(Stopped::Denied(plain(error))),
        _ => return Err(Stopped::Malformed),
    };
    let (nonce, code_verifier) = secrets(ctx, state, visitor.browser);
    let given = Given { code, nonce: &nonce, code_verifier: &code_verifier };
    let answer = client.redeem(&given, now).await.inspect_err(|error| log(&rules.id, error))?;
    say_groups(rules, &answer.asserted);
    let known = ctx.store.identity(&rules.id, &answer.asserted.subject).await?;
    let email = answer.asserted.email.as_deref().and_then(|text| Email::parse(text).ok());
    let namesake = match (&known, &email) {
        (None, Some(email)) => ctx.store.user_by_email(email).await?,
        _ => None,
    };
    let linked = match &namesake {
        Some(user) => ctx.store.identities_of(&user.id).await?,
        None => Vec::new(),
    };
    let there = linked.iter().find(|identity| identity.provider == rules.id);
    let verdict = arrive(
        rules,
        &answer.asserted,
        known.as_ref().map(|(identity, user)| (identity, user)),
        namesake.as_ref().map(|user| (user, there)),
    )?;
    let user = match verdict {
        Arrival::Known(identity) => {
            welcome_back(ctx, rules, identity, &answer, visitor.peer, now).await?;
            identity.user_id.clone()
        }
        Arrival::Confirm(user) => {
            link::offer(ctx, rules, &answer, user, pending, visitor.browser, now).await?;
            return Ok(Completed::Confirm);
        }
        Arrival::New(email) => newcomer(ctx, rules, &answer, email, visitor.peer, now).await?,
    };
    let proof = login::Proof::by_provider(&rules.id, &user, answer.auth_time);
    let opened = login::open(ctx, proof, visitor.session, visitor.peer, now).await?.ok_or(Stopped::Gone)?;
    let proved = answer.auth_time.is_some_and(|at| now.since(at) <= FRESH);
    let (request, then) = (pending.request.clone(), pending.then.clone());
    Ok(Completed::SignedIn(Box::new(SignedIn { opened, request, then, proved })))
}

fn find<'a>(ctx: &'a Context, provider: &str) -> Result<(&'a Provider, &'a Client), Stopped> {
    let rules = ctx.policy.provider(provider).ok_or(Stopped::Unknown)?;
    Ok((rules, ctx.upstream.at(provider).ok_or(Stopped::Unknown)?))
}

/// The nonce and the code verifier of a sign-in: 256 bits each, known to this server alone.
fn secrets(
    ctx: &Context,
    state: &Secret<UpstreamState>,
    browser: &Secret<BrowserCookie>,
) -> (String, String) {
    let tag = |what| ctx.sign_ins.tag(&[what, state.expose(), browser.expose()]);
    (tag("nonce"), tag("code_verifier"))
}

fn log(provider: &str, error: &UpstreamError) {
    tracing::warn!(provider, %error, "a sign-in at an upstream provider failed");
}

/// Says in the log what an operator should know about groups that did not come.
fn say_groups(rules: &Provider, asserted: &Asserted) {
    let provider = rules.id.as_str();
    let claim = rules.groups_claim.as_str();
    match asserted.groups {
        GroupsHeard::Listed(_) => {}
        GroupsHeard::Absent => {
            let remedy = rules.dialect.without_groups();
            tracing::info!(
                provider,
                claim,
                remedy,
                "the provider sent no groups claim for somebody who signed in"
            );
        }
        GroupsHeard::Overage => tracing::warn!(
            provider,
            claim,
            "overage: somebody is in more groups than fit into a token; the last known ones count until max_stale. Limit the \
             claim to groups assigned to the application, or set graph_url"
        ),
        GroupsHeard::Malformed => {
            tracing::warn!(provider, claim, "the groups claim is no list of names; no group of it counts");
        }
    }
}

/// What a stranger sent, fit for the log and for a page.
fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(64).collect()
}
