//! Opaque tokens: the authorization server is asked (RFC 7662), and its answer is good for a few seconds, unless the feed
//! has news about the token before.

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use doorward_shared::{
    client_id::ClientId,
    introspection::{Active, Introspection as Said},
    issuer::Issuer,
    jose::strict_json,
    resource::ResourceUri,
    scope::Scope,
    secret::{FullKey, Kind, ScopedKey, Secret},
    time::{Seconds, Timestamp},
};
use reqwest::{
    Client,
    header::{ACCEPT, CONTENT_TYPE},
};
use tokio::sync::{OnceCell, Semaphore};
use url::form_urlencoded;

use crate::{
    Access, Credentials, Reason, Refusal, ResourceServer, Settings,
    cache::{Memory, TokenHash},
    fetch::{self, FetchError},
    metrics::Counters,
    reach::Reach,
};

/// What opaque tokens of Doorward begin with: keys for some permissions, keys for all of them, tokens of agents.
const PREFIXES: [&str; 3] = [ScopedKey::PREFIX, FullKey::PREFIX, "aa_at_"];
/// How long an answer is good.
const ANSWER_LIFE: Seconds = Seconds::new(5);
/// Longest time for one answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Most questions at one time about tokens that were good before, and as many about tokens that were never seen: made-up
/// ones must not take the place of good ones.
const QUESTIONS: usize = 32;
/// How many tokens that are not good are remembered.
const STRANGERS: usize = 10_000;
/// How often a question is put again because the feed had news while it was answered.
const ATTEMPTS: usize = 3;
/// Longest text in an answer, in bytes, as in a signed token.
const MAX_TEXT: usize = 255;

/// How opaque tokens are checked.
pub(crate) struct Introspection {
    prefixes: Vec<String>,
    asker: Option<Asker>,
    good: Memory<Answer>,
    strangers: Memory<(Reason, Timestamp)>,
    /// Questions that are being answered. Whoever has the same token waits for the same answer.
    running: Mutex<HashMap<TokenHash, Arc<Question>>>,
    known: Semaphore,
    unknown: Semaphore,
    /// True while there are no answers, so that the log says it once.
    silent: AtomicBool,
}

struct Asker {
    client: Client,
    credentials: Credentials,
    reach: Reach,
}

type Question = OnceCell<Result<Verdict, NoAnswer>>;

/// A token that is good.
#[derive(Clone)]
struct Answer {
    access: Arc<Access>,
    /// When the question was put, and how much news of the feed was known then.
    asked_at: Timestamp,
    news: u64,
}

#[derive(Clone)]
enum Verdict {
    Good(Answer),
    Bad(Reason),
}

/// It is not known whether the token is good. Why is in the log.
#[derive(Clone, Copy)]
struct NoAnswer;

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
enum IntrospectionError {
    #[error(
        "the metadata document names an address for introspection that is neither https nor on this machine"
    )]
    Address,
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("not an introspection answer")]
    Syntax,
}

impl Introspection {
    pub(crate) fn new(settings: &Settings, reach: &Reach) -> Result<Self, reqwest::Error> {
        let asker = |credentials: &Credentials| {
            let client = fetch::client(reach, TIMEOUT)?;
            Ok(Asker { client, credentials: credentials.clone(), reach: reach.clone() })
        };
        let prefixes = PREFIXES.map(String::from).into_iter().chain(settings.opaque_prefixes.iter().cloned());
        Ok(Self {
            prefixes: prefixes.collect(),
            asker: settings.credentials.as_ref().map(asker).transpose()?,
            good: Memory::new(settings.token_cache),
            strangers: Memory::new(settings.token_cache.min(STRANGERS)),
            running: Mutex::default(),
            known: Semaphore::new(QUESTIONS),
            unknown: Semaphore::new(QUESTIONS),
            silent: AtomicBool::new(false),
        })
    }

    /// True for a token that says nothing by itself. It never goes the way of signed ones.
    pub(crate) fn is_opaque(&self, token: &str) -> bool {
        self.prefixes.iter().any(|prefix| token.starts_with(prefix.as_str()))
    }

    fn running(&self) -> MutexGuard<'_, HashMap<TokenHash, Arc<Question>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResourceServer {
    /// Checks an opaque token.
    pub(crate) async fn introspect(
        &self,
        token: &str,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Arc<Access>, Refusal> {
        if is_api_key(token) && !is_whole(token) {
            return Err(Refusal::InvalidToken(Reason::Checksum));
        }
        let Some(asker) = &self.introspection.asker else {
            return Err(Refusal::InvalidToken(Reason::Opaque));
        };
        for _ in 0..ATTEMPTS {
            if let Some((reason, asked_at)) = self.introspection.strangers.get(&hash)
                && is_fresh(asked_at, now)
            {
                Counters::count(&self.metrics.remembered_introspections);
                return Err(Refusal::InvalidToken(reason));
            }
            if let Some(answer) = self.introspection.good.get(&hash)
                && is_fresh(answer.asked_at, now)
                && answer.access.expires_at.is_none_or(|expires_at| now < expires_at)
                && self.is_last_word(&answer)
            {
                Counters::count(&self.metrics.remembered_introspections);
                return Ok(answer.access);
            }
            match self.question(asker, token, hash, now).await {
                Ok(Verdict::Bad(reason)) => return Err(Refusal::InvalidToken(reason)),
                Ok(Verdict::Good(answer)) if self.is_last_word(&answer) => return Ok(answer.access),
                Ok(Verdict::Good(_)) => {}
                Err(NoAnswer) => break,
            }
        }
        Err(Refusal::Unavailable)
    }

    /// False when the feed has said something about the token since the question was put. That need not be its end: a grant
    /// may have been narrowed. So the question is put again.
    fn is_last_word(&self, answer: &Answer) -> bool {
        answer.news == self.revocations.news() || self.revocations.refuses(&answer.access).is_none()
    }

    /// Puts the question, or waits for the answer to the same question of somebody else.
    async fn question(
        &self,
        asker: &Asker,
        token: &str,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Verdict, NoAnswer> {
        let question = Arc::clone(self.introspection.running().entry(hash).or_default());
        let waiting = Waiting { introspection: &self.introspection, hash, question };
        waiting.question.get_or_init(|| self.ask(asker, token, hash, now)).await.clone()
    }

    async fn ask(
        &self,
        asker: &Asker,
        token: &str,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Verdict, NoAnswer> {
        let Introspection { good, strangers, known, unknown, silent, .. } = &self.introspection;
        let Some(endpoints) = self.keys.endpoints_soon().await else { return Err(NoAnswer) };
        let Some(endpoint) = endpoints.introspection else { return Ok(Verdict::Bad(Reason::Opaque)) };
        let stranger = good.get(&hash).is_none();
        let places = if stranger { unknown } else { known };
        let Ok(_place) = places.try_acquire() else { return Err(NoAnswer) };
        if stranger && !self.rates.may_ask_about_stranger(now) {
            return Err(NoAnswer);
        }
        // Before the question: whatever comes after it may change the answer.
        let news = self.revocations.news();
        Counters::count(&self.metrics.introspections);
        let answered = asker
            .ask(&endpoint, token)
            .await
            .and_then(|text| read(text.as_bytes(), &self.issuer, &self.resource, now, self.bounds.leeway));
        if stranger && !matches!(answered, Ok(Err(_))) {
            self.rates.was_no_guess();
        }
        if answered.is_ok() {
            silent.store(false, Relaxed);
        }
        match answered {
            Ok(Ok(mut access)) => {
                access.api_key_last_4 = last_four(token).filter(|_| is_api_key(token)).map(str::to_owned);
                let answer = Answer { access: Arc::new(access), asked_at: now, news };
                good.insert(hash, answer.clone());
                Ok(Verdict::Good(answer))
            }
            Ok(Err(reason)) => {
                good.remove(&hash);
                strangers.insert(hash, (reason, now));
                Ok(Verdict::Bad(reason))
            }
            Err(error) => {
                Counters::count(&self.metrics.failed_introspections);
                if !silent.swap(true, Relaxed) {
                    tracing::warn!(issuer = %self.issuer, %error, "opaque tokens cannot be asked about");
                }
                Err(NoAnswer)
            }
        }
    }
}

impl Asker {
    async fn ask(&self, endpoint: &str, token: &str) -> Result<String, IntrospectionError> {
        let endpoint = self.reach.to(endpoint).ok_or(IntrospectionError::Address)?;
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
        let request = self
            .client
            .post(endpoint)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        let answer = self.credentials.sign_in(request).send().await.map_err(FetchError::Transport)?;
        Ok(fetch::read(answer, fetch::is_json, MAX_ANSWER).await?)
    }
}

/// One who waits for an answer. The question is over once it is answered, or once nobody waits for it any more.
struct Waiting<'a> {
    introspection: &'a Introspection,
    hash: TokenHash,
    question: Arc<Question>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut running = self.introspection.running();
        // Given back under the lock, so that of two who leave together one is the last.
        let question = mem::take(&mut self.question);
        // One is in the map, one is ours.
        let last = Arc::strong_count(&question) == 2;
        let ours = running.get(&self.hash).is_some_and(|one| Arc::ptr_eq(one, &question));
        if ours && (last || question.initialized()) {
            running.remove(&self.hash);
        }
        drop(question);
    }
}

/// True for a key of a person, which may also come in the header `x-api-key`.
pub(crate) fn is_api_key(token: &str) -> bool {
    token.starts_with(ScopedKey::PREFIX) || token.starts_with(FullKey::PREFIX)
}

/// True for a key whose checksum is right.
fn is_whole(key: &str) -> bool {
    Secret::<ScopedKey>::parse(key).is_some() || Secret::<FullKey>::parse(key).is_some()
}

fn last_four(text: &str) -> Option<&str> {
    text.get(text.len().checked_sub(4)?..)
}

fn is_fresh(asked_at: Timestamp, now: Timestamp) -> bool {
    (Seconds::new(0)..ANSWER_LIFE).contains(&now.since(asked_at))
}

/// Reads an answer. A yes must be about us, of our issuer, and not over: the answer is not signed, and whoever gives it may
/// have mixed something up.
fn read(
    bytes: &[u8],
    issuer: &Issuer,
    resource: &ResourceUri,
    now: Timestamp,
    leeway: Seconds,
) -> Result<Result<Access, Reason>, IntrospectionError> {
    let answer = match Said::read(bytes).map_err(|_| IntrospectionError::Syntax)? {
        Said::Active(answer) => answer,
        Said::Inactive(_) => return Ok(Err(Reason::Inactive)),
    };
    if answer.iss != issuer.as_str() {
        return Ok(Err(Reason::Issuer));
    }
    if !ResourceUri::parse(&answer.aud).is_ok_and(|aud| aud.same_as(resource)) {
        return Ok(Err(Reason::Audience));
    }
    if answer.exp.is_some_and(|exp| now >= exp.plus(leeway)) {
        return Ok(Err(Reason::Expired));
    }
    if answer.iat > now.plus(leeway) {
        return Ok(Err(Reason::NotYet));
    }
    let members = strict_json::object(bytes).map_err(|_| IntrospectionError::Syntax)?;
    if members.contains_key("cnf") || !answer.token_type.eq_ignore_ascii_case("Bearer") {
        return Ok(Err(Reason::Bound));
    }
    access(*answer).map(Ok).ok_or(IntrospectionError::Syntax)
}

fn access(answer: Active) -> Option<Access> {
    let name = |text: String| {
        let legal = !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control);
        legal.then_some(text)
    };
    Some(Access {
        subject: name(answer.sub)?,
        client_id: ClientId::parse(&answer.client_id).ok()?.as_str().to_owned(),
        organization: name(answer.org)?,
        grant: name(answer.sid)?,
        token_id: name(answer.jti)?,
        key_id: None,
        scope: Scope::parse(&answer.scope).ok()?,
        issued_at: answer.iat,
        expires_at: answer.exp,
        auth_time: answer.auth_time,
        authorization_details: answer.authorization_details,
        credential: answer.credential.map_or(Some(None), |credential| name(credential).map(Some))?,
        api_key_last_4: None,
        rate_limit: answer.rate_limit,
        entitled: answer.entitled,
    })
}
