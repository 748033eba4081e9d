//! Telling clients that a session ended (OpenID Connect Back-Channel Logout 1.0): where to, with which token, and how often it is
//! tried.

use std::time::Duration;

use doorward_shared::{
    client_id::ClientId,
    issuer::Issuer,
    jose::logout_token::{Events, LogoutTokenClaims},
    redirect_uri::{RedirectUri, RedirectUriError},
    time::{Seconds, Timestamp},
};
use serde::{Deserialize, Serialize};

use super::{
    ids::{SessionId, UserId},
    registration::points_to,
};

/// Where a client is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackchannelLogout {
    /// The address: https, or http on loopback.
    pub uri: String,
    /// Whether the client needs `sid` in the token; it is always there.
    pub session_required: bool,
}

/// Why an address is not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsuitable {
    /// It breaks a rule for addresses of clients.
    #[error(transparent)]
    Address(#[from] RedirectUriError),
    /// Nobody listens there for a request.
    #[error("a logout token is sent by https, or by http to this machine")]
    Scheme,
    /// It is this server's own.
    #[error("it points to the authorization server itself; name an address of the client")]
    Ours,
}

impl BackchannelLogout {
    /// Checks an address for registration (§2.2).
    pub fn register(uri: &str, session_required: bool, issuer: &Issuer) -> Result<Self, Unsuitable> {
        let uri = RedirectUri::register(uri, &[])?;
        if !["https://", "http://"].iter().any(|scheme| uri.as_str().starts_with(scheme)) {
            return Err(Unsuitable::Scheme);
        }
        if points_to(issuer, uri.as_str()) {
            return Err(Unsuitable::Ours);
        }
        Ok(Self { uri: uri.as_str().to_owned(), session_required })
    }
}

/// A client that is still to be told that a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingLogout {
    /// Who.
    pub client_id: ClientId,
    /// The session.
    pub session: SessionId,
    /// Whose it was.
    pub user_id: UserId,
    /// How often it was tried.
    pub tries: i64,
    /// When it is to be tried next. Whoever tries moves this first.
    pub due_at: Timestamp,
    /// Where to.
    pub uri: String,
}

/// Shortest time between two looks at what is due, unless there is news.
const SOONEST: Duration = Duration::from_secs(1);
/// Longest time between two looks: news can be lost.
const LATEST: Duration = Duration::from_secs(30);

/// How long to wait for whoever is due next.
pub fn pause(next: Option<Timestamp>, now: Timestamp) -> Duration {
    let left = next.map(|at| Duration::from_secs(u64::try_from(at.since(now).get()).unwrap_or_default()));
    left.unwrap_or(LATEST).clamp(SOONEST, LATEST)
}

/// What follows a try that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another one, at this time.
    Again(Timestamp),
    /// None.
    GiveUp,
}

/// A token is read at once or never; a retry gets a new one.
const TTL: Seconds = Seconds::minutes(2);
/// How long a try belongs to the process that began it; longer than one takes.
const LEASE: Seconds = Seconds::new(30);
/// How long to wait after each failure; there is one try more than pauses.
const PAUSES: [Seconds; 4] = [Seconds::new(5), Seconds::new(30), Seconds::minutes(2), Seconds::minutes(10)];

impl PendingLogout {
    /// Until when a try that begins now keeps other processes away.
    pub const fn claimed_until(now: Timestamp) -> Timestamp {
        now.plus(LEASE)
    }

    /// The claims of the token.
    pub fn token(&self, jti: String, issuer: &Issuer, now: Timestamp) -> LogoutTokenClaims {
        LogoutTokenClaims {
            iss: issuer.clone(),
            sub: self.user_id.as_str().to_owned(),
            aud: self.client_id.clone(),
            iat: now,
            exp: now.plus(TTL),
            jti,
            events: Events::default(),
            sid: self.session.as_str().to_owned(),
        }
    }

    /// What follows when the try that began with this fails.
    pub fn after_failure(&self, now: Timestamp) -> Next {
        let pause = usize::try_from(self.tries).ok().and_then(|tries| PAUSES.get(tries));
        pause.map_or(Next::GiveUp, |pause| Next::Again(now.plus(*pause)))
    }
}

#[cfg(test)]
mod tests {
    use doorward_shared::secret::SystemEntropy;

    use super::*;
    use crate::domain::fixture::NOW;

    #[test]
    fn a_client_is_told_by_https_or_on_this_machine() {
        let issuer = Issuer::parse("https://as.test").unwrap();
        let register = |uri| BackchannelLogout::register(uri, true, &issuer).map(|it| it.uri);
        for good in ["https://app.test/out?tenant=1", "http://127.0.0.1:8080/out", "http://localhost/out"] {
            assert_eq!(register(good).as_deref(), Ok(good));
        }
        for (bad, why) in [
            ("http://app.test/out", Unsuitable::Address(RedirectUriError::PlainHttp)),
            ("https://app.test/out#x", Unsuitable::Address(RedirectUriError::Fragment)),
            ("https://u@app.test/out", Unsuitable::Address(RedirectUriError::UserInfo)),
            ("com.example.app:/out", Unsuitable::Scheme),
            ("https://as.test/oauth2/token", Unsuitable::Ours),
        ] {
            assert_eq!(register(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn who_is_due_is_waited_for_and_nobody_for_longer_than_half_a_minute() {
        let due = |seconds| Some(NOW.plus(Seconds::new(seconds)));
        for (next, seconds) in [(None, 30), (due(-7), 1), (due(0), 1), (due(12), 12), (due(600), 30)] {
            assert_eq!(pause(next, NOW), Duration::from_secs(seconds), "{next:?}");
        }
    }

    #[test]
    fn pauses_grow_and_then_it_is_given_up() {
        let mut pending = PendingLogout {
            client_id: ClientId::parse("app").unwrap(),
            session: SessionId::generate(NOW, &SystemEntropy),
            user_id: UserId::generate(NOW, &SystemEntropy),
            tries: 0,
            due_at: NOW,
            uri: "https://app.test/out".to_owned(),
        };
        let mut pauses = Vec::new();
        while let Next::Again(at) = pending.after_failure(NOW) {
            pauses.push(at.since(NOW).get());
            pending.tries += 1;
        }
        assert_eq!(pauses, [5, 30, 120, 600]);
    }
}
