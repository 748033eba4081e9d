//! A client that never got its answer asks again with the token that it used already (FAPI 2.0 Security Profile §5.3.2.1). Within
//! the operator's window it gets the very same answer; outside of it, or when anything does not fit, a spent token is a copy.
//!
//! There is one live token at any time: a retry makes no second branch. Whoever uses the successor second is a replay.

use doorward_shared::{
    scope::Scope,
    time::{Seconds, Timestamp},
    token::Refresh,
};
use serde::{Deserialize, Serialize};

use super::{super::ids::GrantId, RefreshPolicy, RefreshToken};

/// So many retries a day from somewhere else than the first use; the next one is a replay.
const STRANGE_RETRIES: u32 = 3;
/// The day in which they are counted, from the first of them.
const DAY: Seconds = Seconds::hours(24);

/// Where a request comes from, as far as it tells one machine from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// The network, as limits are counted by.
    pub network: String,
    /// What the program calls itself.
    pub agent: Option<String>,
}

/// What a refresh was answered with, kept with the token that was used for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// The answer, sealed with a key that only the used token gives.
    pub sealed: String,
    /// The scope that was asked for.
    pub scope: Option<String>,
    /// The resource that was asked for.
    pub resource: Option<String>,
    /// Where it was asked from.
    pub sender: Sender,
}

impl KeptAnswer {
    /// An answer to this request.
    pub fn new(sealed: String, asked: &Refresh, sender: Sender) -> Self {
        let (scope, resource) = wanted(asked);
        Self { sealed, scope, resource, sender }
    }
}

/// Retries of a family that came from somewhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strangers {
    /// How many.
    pub count: u32,
    /// Since when they are counted.
    pub since: Timestamp,
}

impl Strangers {
    /// None, ever.
    pub const NONE: Self = Self { count: 0, since: Timestamp::from_seconds(0) };
}

/// The verdict that a client gets its answer again.
#[derive(Clone, Debug)]
pub struct Retry {
    /// The answer.
    pub answer: KeptAnswer,
    /// A retry from somewhere else is counted before it is answered.
    pub counted: Option<Counted>,
}

/// The verdict that a retry from somewhere else is counted. Of two at once, the second is decided anew.
#[derive(Clone, Debug)]
pub struct Counted {
    grant: GrantId,
    seen: Strangers,
    now: Strangers,
}

impl Counted {
    /// In which family.
    pub const fn grant(&self) -> &GrantId {
        &self.grant
    }

    /// What was counted when this was decided.
    pub const fn seen(&self) -> Strangers {
        self.seen
    }

    /// What is counted from now on.
    pub const fn now(&self) -> Strangers {
        self.now
    }
}

/// What a second use of a token is.
#[derive(Debug)]
pub(super) enum Second {
    /// The same client asks for the same.
    Same(Retry),
    /// It asks for something else; nothing changes.
    Other,
    /// A copy.
    Replay,
}

/// Decides on a second use.
pub(super) fn decide(
    token: &RefreshToken,
    spent_at: Timestamp,
    asked: &Refresh,
    from: &Sender,
    policy: &RefreshPolicy,
    now: Timestamp,
) -> Second {
    let over = token.grant.ended.is_some() || now >= token.grant.expires_at;
    let in_time = policy.retry_window > Seconds::new(0) && now.since(spent_at) <= policy.retry_window;
    let Some(answer) = token.answer.clone().filter(|_| token.successor_waits && in_time && !over) else {
        return Second::Replay;
    };
    if wanted(asked) != (answer.scope.clone(), answer.resource.clone()) {
        return Second::Other;
    }
    if answer.sender == *from {
        return Second::Same(Retry { answer, counted: None });
    }
    let seen = token.strangers;
    let day = if now.since(seen.since) < DAY { seen } else { Strangers { count: 0, since: now } };
    if day.count >= STRANGE_RETRIES {
        return Second::Replay;
    }
    let counted =
        Counted { grant: token.grant.id.clone(), seen, now: Strangers { count: day.count + 1, ..day } };
    Second::Same(Retry { answer, counted: Some(counted) })
}

/// What a request asks for, in one form: an empty scope asks for nothing else than none.
fn wanted(asked: &Refresh) -> (Option<String>, Option<String>) {
    let scope = asked.scope.as_ref().filter(|scope| !scope.is_empty());
    (scope.map(Scope::to_string), asked.resource.as_ref().map(|resource| resource.folded().to_owned()))
}

#[cfg(test)]
mod tests {
    use doorward_shared::resource::ResourceUri;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::fixture::{self, ENDED, NOW};

    const WINDOW: Seconds = Seconds::new(30);

    fn asked() -> Refresh {
        Refresh { refresh_token: String::new(), scope: None, resource: None }
    }

    fn home() -> Sender {
        Sender { network: "192.0.2.0/24".to_owned(), agent: Some("client/1".to_owned()) }
    }

    fn policy(window: Seconds) -> RefreshPolicy {
        RefreshPolicy { retry_window: window, ..fixture::policy().refresh }
    }

    /// A token that was used now, for an answer that may be asked for again.
    fn used() -> RefreshToken {
        RefreshToken {
            spent_at: Some(NOW),
            answer: Some(KeptAnswer::new("sealed".to_owned(), &asked(), home())),
            successor_waits: true,
            ..fixture::refresh_token()
        }
    }

    fn second(token: &RefreshToken, asked: &Refresh, from: &Sender, after: i64) -> Second {
        decide(token, NOW, asked, from, &policy(WINDOW), NOW.plus(Seconds::new(after)))
    }

    // RT-02.
    #[test]
    fn the_same_client_gets_the_same_answer_within_the_window() {
        for after in [0, 1, 30] {
            let Second::Same(retry) = second(&used(), &asked(), &home(), after) else { panic!("{after}") };
            assert_eq!((retry.answer, retry.counted.is_none()), (used().answer.unwrap(), true));
        }
        assert!(matches!(second(&used(), &asked(), &home(), 31), Second::Replay));
    }

    // RT-03, RT-05.
    #[test]
    fn a_token_whose_successor_was_used_is_a_replay_at_once() {
        let older = RefreshToken { successor_waits: false, ..used() };
        assert!(matches!(second(&older, &asked(), &home(), 0), Second::Replay));
    }

    #[test]
    fn without_a_window_or_a_kept_answer_there_is_no_retry() {
        let strict = decide(&used(), NOW, &asked(), &home(), &policy(Seconds::new(0)), NOW);
        assert!(matches!(strict, Second::Replay));
        let before = RefreshToken { answer: None, ..used() };
        assert!(matches!(second(&before, &asked(), &home(), 0), Second::Replay));
    }

    #[test]
    fn a_family_that_is_over_gets_nothing_again() {
        let mut token = used();
        token.grant.ended = Some(ENDED);
        assert!(matches!(second(&token, &asked(), &home(), 0), Second::Replay));
        let mut token = used();
        token.grant.expires_at = NOW;
        assert!(matches!(second(&token, &asked(), &home(), 0), Second::Replay));
    }

    // RT-23.
    #[test]
    fn a_retry_that_asks_for_something_else_gets_nothing_and_changes_nothing() {
        let other = ResourceUri::parse("https://mcp.test/b").ok();
        for odd in [
            Refresh { scope: Some(Scope::parse("artifacts:read").unwrap()), ..asked() },
            Refresh { resource: other, ..asked() },
        ] {
            assert!(matches!(second(&used(), &odd, &home(), 0), Second::Other));
        }
        let empty = Refresh { scope: Some(Scope::parse("").unwrap()), ..asked() };
        assert!(matches!(second(&used(), &empty, &home(), 0), Second::Same(_)));
    }

    // RT-24.
    #[test]
    fn from_elsewhere_a_family_is_retried_three_times_a_day() {
        let elsewhere = [
            Sender { network: "198.51.100.0/24".to_owned(), ..home() },
            Sender { agent: Some("other/1".to_owned()), ..home() },
            Sender { agent: None, ..home() },
        ];
        for from in elsewhere {
            let mut token = used();
            for count in 1..=3 {
                let Second::Same(retry) = second(&token, &asked(), &from, 0) else { panic!("{count}") };
                let counted = retry.counted.expect("it is counted");
                assert_eq!((counted.seen(), counted.now().count), (token.strangers, count));
                token.strangers = counted.now();
            }
            assert!(matches!(second(&token, &asked(), &from, 0), Second::Replay));
            assert!(matches!(second(&token, &asked(), &home(), 0), Second::Same(_)));
            token.strangers.since = Timestamp::from_seconds(NOW.seconds() - DAY.get());
            let Second::Same(retry) = second(&token, &asked(), &from, 0) else { panic!("a new day") };
            assert_eq!(retry.counted.expect("it is counted").now(), Strangers { count: 1, since: NOW });
        }
    }

    proptest! {
        #[test]
        fn an_answer_is_given_again_only_when_everything_fits(
            waits: bool, ended: bool, kept: bool, window in 0_i64..60, after in 0_i64..90,
        ) {
            let mut token = RefreshToken { successor_waits: waits, ..used() };
            token.grant.ended = ended.then_some(ENDED);
            if !kept {
                token.answer = None;
            }
            let now = NOW.plus(Seconds::new(after));
            let verdict = decide(&token, NOW, &asked(), &home(), &policy(Seconds::new(window)), now);
            let fits = waits && !ended && kept && window > 0 && after <= window;
            prop_assert_eq!(matches!(verdict, Second::Same(_)), fits);
            prop_assert_eq!(matches!(verdict, Second::Replay), !fits);
        }
    }
}
