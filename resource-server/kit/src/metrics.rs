//! Counters. They hold numbers only: nothing of a token, a person or a client can be in them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use doorward_shared::{
    bearer::BearerSyntax,
    jose::{access_token::Rejection, jws::JwsError},
    time::{Seconds, Timestamp},
};

/// Why a token was not taken. For operators; a presenter hears `invalid_token` and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The `Authorization` header is not `Bearer`, one space and a token.
    Syntax,
    /// Not an acceptable compact signature: too long, not three parts, a malformed header, an extension.
    Format,
    /// `typ` is not `at+jwt`.
    Type,
    /// There is no `kid`, or no key of that name.
    UnknownKey,
    /// `alg` is not the algorithm of the key.
    Algorithm,
    /// The signature does not verify.
    Signature,
    /// The claims are no JSON object, or one is missing or has the wrong type.
    Claims,
    /// `iss` is not the configured issuer.
    Issuer,
    /// `aud` is not this resource.
    Audience,
    /// `exp` is past.
    Expired,
    /// `iat` or `nbf` lies ahead.
    NotYet,
    /// The lifetime is not positive or longer than `max_lifetime`.
    Lifetime,
    /// The token is bound to a key (`cnf`).
    Bound,
    /// The feed says that it was revoked: itself, its grant, its person, its client, its key.
    Revoked,
    /// The authorization server says that an opaque token is not good here.
    Inactive,
    /// An API key whose checksum is wrong: mistyped, cut off, or made up. Nobody was asked.
    Checksum,
    /// An opaque token, and there is no way to ask about it: no credentials, or no introspection endpoint.
    Opaque,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 17] = [
        Self::Syntax,
        Self::Format,
        Self::Type,
        Self::UnknownKey,
        Self::Algorithm,
        Self::Signature,
        Self::Claims,
        Self::Issuer,
        Self::Audience,
        Self::Expired,
        Self::NotYet,
        Self::Lifetime,
        Self::Bound,
        Self::Revoked,
        Self::Inactive,
        Self::Checksum,
        Self::Opaque,
    ];

    /// The label of the reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Format => "format",
            Self::Type => "type",
            Self::UnknownKey => "unknown_key",
            Self::Algorithm => "algorithm",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Lifetime => "lifetime",
            Self::Bound => "bound",
            Self::Revoked => "revoked",
            Self::Inactive => "inactive",
            Self::Checksum => "checksum",
            Self::Opaque => "opaque",
        }
    }
}

impl From<BearerSyntax> for Reason {
    fn from(_: BearerSyntax) -> Self {
        Self::Syntax
    }
}

impl From<JwsError> for Reason {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::TooLong | JwsError::Compact | JwsError::Header | JwsError::Extension => Self::Format,
            JwsError::Type => Self::Type,
            JwsError::Algorithm => Self::Algorithm,
            JwsError::Signature => Self::Signature,
        }
    }
}

impl From<Rejection> for Reason {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Json | Rejection::Missing(_) | Rejection::Malformed(_) => Self::Claims,
            Rejection::Issuer => Self::Issuer,
            Rejection::Audience => Self::Audience,
            Rejection::Expired => Self::Expired,
            Rejection::NotYet => Self::NotYet,
            Rejection::Lifetime => Self::Lifetime,
            Rejection::Bound => Self::Bound,
        }
    }
}

/// The counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Tokens whose signature and claims were checked and good.
    pub verified: u64,
    /// Tokens that were known from before and still good.
    pub remembered: u64,
    /// Requests without a token.
    pub without_token: u64,
    /// Tokens that were refused, by reason; reasons that did not occur are there with 0.
    pub refused: Vec<(Reason, u64)>,
    /// Requests with a good token of somebody who is entitled to nothing here.
    pub not_entitled: u64,
    /// Requests with an API key that had made as many as it may for then.
    pub rate_limited: u64,
    /// Requests that named a foreign `Host` or came from a foreign page.
    pub refused_host: u64,
    /// Requests that were answered 503: no usable keys were held, an opaque token could not be asked about, or the feed was
    /// silent for longer than the operator allows.
    pub unavailable: u64,
    /// Tokens that were refused for their time while the two clocks are known to disagree by more than the leeway.
    pub clock_skew: u64,
    /// How many seconds the authorization server's clock is ahead of ours, as of the last contact.
    pub clock_offset: i64,
    /// Attempts to fetch the keys.
    pub fetches: u64,
    /// Attempts that failed.
    pub failed_fetches: u64,
    /// The last successful fetch.
    pub last_contact: Option<Timestamp>,
    /// Pages of the revocation feed that were read.
    pub pages: u64,
    /// Attempts to read one that failed.
    pub failed_pages: u64,
    /// When the last page came.
    pub last_page: Option<Timestamp>,
    /// How many seconds ago that was: how late this server may be about a revocation. `None` while no page has come.
    pub feed_lag: Option<Seconds>,
    /// Entries of the feed that are held.
    pub revocations: usize,
    /// Questions about opaque tokens that were put to the authorization server.
    pub introspections: u64,
    /// Questions that got no usable answer.
    pub failed_introspections: u64,
    /// Requests with an opaque token whose answer was known.
    pub remembered_introspections: u64,
}

impl Metrics {
    /// How often a token was refused for `reason`.
    pub fn refused(&self, reason: Reason) -> u64 {
        self.refused.iter().find(|(one, _)| *one == reason).map_or(0, |(_, count)| *count)
    }
}

/// The live counters.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) verified: AtomicU64,
    pub(crate) remembered: AtomicU64,
    pub(crate) without_token: AtomicU64,
    refused: [AtomicU64; Reason::ALL.len()],
    pub(crate) not_entitled: AtomicU64,
    pub(crate) rate_limited: AtomicU64,
    pub(crate) refused_host: AtomicU64,
    pub(crate) unavailable: AtomicU64,
    pub(crate) clock_skew: AtomicU64,
    pub(crate) clock_offset: AtomicI64,
    pub(crate) fetches: AtomicU64,
    pub(crate) failed_fetches: AtomicU64,
    /// Seconds since the epoch; 0 for never.
    pub(crate) last_contact: AtomicI64,
    pub(crate) pages: AtomicU64,
    pub(crate) failed_pages: AtomicU64,
    pub(crate) introspections: AtomicU64,
    pub(crate) failed_introspections: AtomicU64,
    pub(crate) remembered_introspections: AtomicU64,
}

impl Counters {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn refuse(&self, reason: Reason) {
        Self::count(&self.refused[reason as usize]);
    }

    /// The counters, without what [`crate::revocations`] knows.
    pub(crate) fn snapshot(&self) -> Metrics {
        let last_contact = self.last_contact.load(Relaxed);
        Metrics {
            verified: self.verified.load(Relaxed),
            remembered: self.remembered.load(Relaxed),
            without_token: self.without_token.load(Relaxed),
            refused: Reason::ALL.map(|reason| (reason, self.refused[reason as usize].load(Relaxed))).to_vec(),
            not_entitled: self.not_entitled.load(Relaxed),
            rate_limited: self.rate_limited.load(Relaxed),
            refused_host: self.refused_host.load(Relaxed),
            unavailable: self.unavailable.load(Relaxed),
            clock_skew: self.clock_skew.load(Relaxed),
            clock_offset: self.clock_offset.load(Relaxed),
            fetches: self.fetches.load(Relaxed),
            failed_fetches: self.failed_fetches.load(Relaxed),
            last_contact: (last_contact > 0).then(|| Timestamp::from_seconds(last_contact)),
            pages: self.pages.load(Relaxed),
            failed_pages: self.failed_pages.load(Relaxed),
            last_page: None,
            feed_lag: None,
            revocations: 0,
            introspections: self.introspections.load(Relaxed),
            failed_introspections: self.failed_introspections.load(Relaxed),
            remembered_introspections: self.remembered_introspections.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter() {
        let counters = Counters::default();
        for (times, reason) in (1_u64..).zip(Reason::ALL) {
            for _ in 0..times {
                counters.refuse(reason);
            }
        }
        let snapshot = counters.snapshot();
        for (times, reason) in (1_u64..).zip(Reason::ALL) {
            assert_eq!(snapshot.refused(reason), times, "{}", reason.as_str());
        }
    }
}
