//! Browser sessions. The cookie holds a random secret, the store its hash; limits are enforced here, not by the cookie.

use doorward_shared::{
    secret::{SecretHash, SessionCookie},
    time::{Seconds, Timestamp},
};

use super::{
    ids::{SessionId, UserId},
    policy::SessionPolicy,
    user::User,
};

/// A browser in which somebody signed in.
#[derive(Clone, Debug)]
pub struct Session {
    /// What clients know it by.
    pub id: SessionId,
    /// Hash of the cookie.
    pub hash: SecretHash<SessionCookie>,
    /// Who signed in.
    pub user_id: UserId,
    /// How they proved themselves.
    pub method: SignInMethod,
    /// The network address that they signed in from.
    pub address: Option<String>,
    /// What their browser calls itself, shortened.
    pub agent: Option<String>,
    /// When they signed in here. The age of the session counts from then.
    pub auth_time: Timestamp,
    /// When they proved themselves, as far as that is known: a provider may go by a sign-in of long ago, and may not say of when.
    pub proved_at: Option<Timestamp>,
    /// When the session was last used, to the minute.
    pub last_seen_at: Timestamp,
    /// The upstream provider at which they did, if it was one.
    pub provider: Option<String>,
    /// When it was ended.
    pub ended_at: Option<Timestamp>,
}

/// The browser session of the visitor, as far as there is one.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The session, live.
    pub session: Session,
    /// Who.
    pub user: User,
    /// Whether the sign-in happened for this very request.
    pub freshness: Freshness,
}

/// Whether a sign-in happened for this very request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It was there before.
    Earlier,
    /// The person signed in to go on with this request.
    ForThisRequest,
    /// They did, at a provider that does not say that they proved themselves since the request came.
    Unproved,
}

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInMethod {
    /// By their password.
    Password,
    /// By their password and a code of their app, or a recovery code.
    PasswordAndCode,
    /// By a passkey, whose device made sure who is there.
    Passkey,
    /// By a one-time link, with which they chose a password.
    Link,
    /// At an upstream provider.
    Upstream,
}

impl SignInMethod {
    /// Every method.
    pub const ALL: [Self; 5] =
        [Self::Password, Self::PasswordAndCode, Self::Passkey, Self::Link, Self::Upstream];

    /// The word in the store and in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::PasswordAndCode => "password_and_code",
            Self::Passkey => "passkey",
            Self::Link => "link",
            Self::Upstream => "upstream",
        }
    }

    /// The words for it in an ID token (RFC 8176 §2).
    pub const fn amr(self) -> &'static [&'static str] {
        match self {
            Self::Password => &["pwd"],
            Self::PasswordAndCode => &["pwd", "otp", "mfa"],
            // Where the key lies is nobody's word but the device's, which is not asked: neither `hwk` nor `swk`.
            Self::Passkey => &["pop", "user", "mfa"],
            // How is between the person and the provider.
            Self::Link | Self::Upstream => &[],
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == word)
    }
}

/// How long a sign-in counts as recent.
pub const FRESH: Seconds = Seconds::minutes(5);
/// How far the clock of a provider may be off.
const SKEW: Seconds = Seconds::minutes(1);

impl Session {
    /// True while the session is worth something.
    pub fn is_live(&self, policy: &SessionPolicy, now: Timestamp) -> bool {
        self.ended_at.is_none()
            && now < self.last_seen_at.plus(policy.idle)
            && now < self.auth_time.plus(policy.absolute)
    }

    /// True while the proof is recent enough for what cannot be undone; never, when it is not known of when it is.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.proved_at.is_some_and(|at| now.since(at) <= FRESH)
    }

    /// True when they proved themselves since a moment.
    pub fn is_proved_since(&self, moment: Timestamp) -> bool {
        self.proved_at.is_some_and(|at| at.plus(SKEW) >= moment)
    }

    /// `auth_time` of tokens: when they proved themselves, or signed in here where that is all that is known.
    pub fn authenticated_at(&self) -> Timestamp {
        self.proved_at.unwrap_or(self.auth_time)
    }

    /// True when its last use should be written down: at most once a minute, so that reading pages does not write.
    pub fn wants_touch(&self, now: Timestamp) -> bool {
        now.since(self.last_seen_at).get() >= 60
    }
}

#[cfg(test)]
mod tests {
    use doorward_shared::secret::{Secret, SystemEntropy};

    use super::*;

    #[test]
    fn a_session_ends_by_idleness_by_age_and_by_hand() {
        let start = Timestamp::from_seconds(1_000_000);
        let policy = SessionPolicy {
            idle: Seconds::minutes(30),
            absolute: Seconds::hours(12),
            pending_request: Seconds::minutes(10),
        };
        let session = Session {
            id: SessionId::generate(start, &SystemEntropy),
            hash: Secret::generate(&SystemEntropy).hash(),
            user_id: UserId::generate(start, &SystemEntropy),
            method: SignInMethod::Password,
            address: None,
            agent: None,
            auth_time: start,
            proved_at: Some(start),
            last_seen_at: start,
            provider: None,
            ended_at: None,
        };
        assert!(session.is_live(&policy, start.plus(Seconds::minutes(29))));
        assert!(!session.is_live(&policy, start.plus(Seconds::minutes(30))));
        let busy = Session { last_seen_at: start.plus(Seconds::hours(12)), ..session.clone() };
        assert!(!busy.is_live(&policy, start.plus(Seconds::hours(12))));
        assert!(!Session { ended_at: Some(start), ..session.clone() }.is_live(&policy, start));
        assert!(session.is_fresh(start.plus(Seconds::minutes(5))));
        assert!(!session.is_fresh(start.plus(Seconds::new(301))));
    }

    #[test]
    fn a_session_is_as_fresh_as_the_proof_behind_it() {
        let now = Timestamp::from_seconds(1_000_000);
        let user = crate::domain::fixture::user();
        let of = |proved_at| Session { auth_time: now, proved_at, ..crate::domain::fixture::session(&user) };
        let hour = Seconds::hours(1);
        for (proved_at, fresh, told) in [
            (Some(now), true, now),
            (Some(now.minus(hour)), false, now.minus(hour)),
            // Who does not say when has not just proved anything.
            (None, false, now),
        ] {
            let session = of(proved_at);
            assert_eq!(session.is_fresh(now), fresh);
            assert_eq!(session.is_proved_since(now.plus(Seconds::new(30))), fresh);
            assert_eq!(session.authenticated_at(), told);
        }
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        assert!(SignInMethod::ALL.into_iter().all(|one| SignInMethod::parse(one.as_str()) == Some(one)));
    }
}
