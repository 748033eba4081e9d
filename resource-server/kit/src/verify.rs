//! Token → access, or why not. Pure but for the source of the keys.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use doorward_shared::{
    bearer,
    jose::{
        access_token::{self, Expected},
        jws::{MAX_TOKEN, Unverified},
    },
    time::{Seconds, Timestamp},
};

use crate::{
    Access, NotEntitled, Reason, Refusal, ResourceServer, Settings,
    cache::{self, TokenHash},
    introspect,
    keys::{Lookup, Seeker},
    metrics::Counters,
    settings::seconds,
};

/// The bounds of token times.
pub(crate) struct Bounds {
    pub(crate) leeway: Seconds,
    max_lifetime: Seconds,
}

impl Bounds {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { leeway: seconds(settings.leeway), max_lifetime: seconds(settings.max_lifetime) }
    }
}

impl ResourceServer {
    /// Reads the token from all `Authorization` headers of a request, or an API key from all its `x-api-key` headers, and
    /// verifies it. No other part of a request is ever read for a token.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] to answer with.
    pub async fn authenticate(
        &self,
        authorization: &[&[u8]],
        api_key: &[&[u8]],
    ) -> Result<Arc<Access>, Refusal> {
        match api_key {
            [] => self.bearer(authorization).await,
            [key] if authorization.is_empty() => {
                // A signed token in this header is one that somebody put in the wrong place.
                let key = std::str::from_utf8(key).ok().filter(|key| introspect::is_api_key(key));
                let Some(key) = key else {
                    self.metrics.refuse(Reason::Syntax);
                    return Err(Refusal::InvalidToken(Reason::Syntax));
                };
                self.verify(key).await
            }
            _ => {
                self.metrics.refuse(Reason::Syntax);
                Err(Refusal::RepeatedCredentials)
            }
        }
    }

    async fn bearer(&self, authorization: &[&[u8]]) -> Result<Arc<Access>, Refusal> {
        match bearer::token(authorization.iter().copied()) {
            Ok(Some(token)) => self.verify(token).await,
            Ok(None) => {
                Counters::count(&self.metrics.without_token);
                Err(Refusal::NoCredentials)
            }
            Err(syntax) => {
                self.metrics.refuse(syntax.into());
                Err(match syntax {
                    bearer::BearerSyntax::Repeated => Refusal::RepeatedCredentials,
                    bearer::BearerSyntax::Malformed => Refusal::InvalidToken(syntax.into()),
                })
            }
        }
    }

    /// Verifies an access token. Call it once for each request: of an API key with a limit, each call counts.
    ///
    /// # Errors
    ///
    /// [`Refusal::InvalidToken`], [`Refusal::NotEntitled`], [`Refusal::RateLimited`], or [`Refusal::Unavailable`] when it cannot be known whether the token is good: no usable keys
    /// are held, the authorization server cannot be asked about an opaque token, or the feed is silent for longer than the
    /// operator allows.
    pub async fn verify(&self, token: &str) -> Result<Arc<Access>, Refusal> {
        let now = self.clock.now();
        let entitled = |access: Arc<Access>| {
            if access.entitled {
                return Ok(access);
            }
            let (subject, organization) = (access.subject.clone(), access.organization.clone());
            Err(Refusal::NotEntitled(Arc::new(NotEntitled { subject, organization })))
        };
        let outcome =
            self.check(token, now).await.and_then(entitled).and_then(|access| self.within_rate(access, now));
        match &outcome {
            Ok(_) | Err(Refusal::RateLimited(_)) => {}
            Err(Refusal::NotEntitled(_)) => Counters::count(&self.metrics.not_entitled),
            Err(Refusal::InvalidToken(reason)) => self.record(*reason),
            Err(_) => Counters::count(&self.metrics.unavailable),
        }
        outcome
    }

    async fn check(&self, token: &str, now: Timestamp) -> Result<Arc<Access>, Refusal> {
        if token.len() > MAX_TOKEN {
            return Err(Refusal::InvalidToken(Reason::Format));
        }
        let hash = cache::hash(token);
        if self.introspection.is_opaque(token) {
            return self.introspect(token, hash, now).await;
        }
        let remembered = self
            .keys
            .usable(now)
            .and_then(|held| self.verified.get(&hash, held.generation, now, self.bounds.leeway));
        let (access, counter) = match remembered {
            Some(known) => (known, &self.metrics.remembered),
            None => (self.read(token, hash, now).await?, &self.metrics.verified),
        };
        // What is known of a token from before says nothing about what happened since.
        self.revocations.first_answer().await;
        if !self.revocations.are_current(now) {
            return Err(Refusal::Unavailable);
        }
        if self.revocations.refuses(&access).is_some() {
            return Err(Refusal::InvalidToken(Reason::Revoked));
        }
        Counters::count(counter);
        Ok(access)
    }

    /// Checks the signature and the claims of a token that is not known.
    async fn read(&self, token: &str, hash: TokenHash, now: Timestamp) -> Result<Arc<Access>, Refusal> {
        let unverified = Unverified::parse(token).map_err(refuse)?;
        let kid = unverified.kid().ok_or(Refusal::InvalidToken(Reason::UnknownKey))?;
        let (key, generation) = match self.keys.find(kid, Seeker::Token, now).await {
            Lookup::Found(key, generation) => (key, generation),
            Lookup::Unknown => return Err(Refusal::InvalidToken(Reason::UnknownKey)),
            Lookup::NoKeys => return Err(Refusal::Unavailable),
        };
        let payload = unverified.verify(&key, access_token::TYPES).map_err(refuse)?;
        let expected = Expected {
            issuer: &self.issuer,
            audience: Some(&self.resource),
            now,
            leeway: self.bounds.leeway,
            max_lifetime: self.bounds.max_lifetime,
        };
        let claims = access_token::check(&payload, &expected).map_err(refuse)?;

        let access = Arc::new(Access { key_id: Some(kid.to_owned()), ..Access::from(claims) });
        self.verified.insert(hash, generation, Arc::clone(&access));
        Ok(access)
    }

    fn record(&self, reason: Reason) {
        self.metrics.refuse(reason);
        let offset = self.metrics.clock_offset.load(Relaxed);
        if matches!(reason, Reason::Expired | Reason::NotYet) && offset.abs() > self.bounds.leeway.get() {
            Counters::count(&self.metrics.clock_skew);
        }
        tracing::debug!(reason = reason.as_str(), "access token refused");
    }
}

fn refuse(why: impl Into<Reason>) -> Refusal {
    Refusal::InvalidToken(why.into())
}
