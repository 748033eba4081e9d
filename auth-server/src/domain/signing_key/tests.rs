//! The life of keys, carried out on paper.

use doorward_shared::secret::SystemEntropy;
use proptest::prelude::*;

use super::*;
use crate::domain::{fixture::NOW, policy::TokenPolicy};

const TOKEN: TokenPolicy = TokenPolicy { code_ttl: Seconds::new(60), access_ttl: Seconds::minutes(15) };

fn policy() -> KeyPolicy {
    KeyPolicy::new(Algorithm::Rs256, Seconds::days(30), Seconds::hours(4), &TOKEN)
}

const EMPTY: KeySet = KeySet { head: 0, keys: Vec::new() };

fn later(length: Seconds) -> Timestamp {
    NOW.plus(length)
}

fn new_key(kid: &str) -> NewSigningKey {
    NewSigningKey {
        kid: kid.to_owned(),
        algorithm: Algorithm::Rs256,
        public_jwk: "{}".to_owned(),
        sealed: "sealed".to_owned(),
    }
}

/// Carries a change out as the store does: for the head it was made for, and each step only from the states it may leave.
fn carried_out(mut set: KeySet, wanted: Change<Wanted>) -> KeySet {
    assert_eq!(wanted.head(), set.head);
    let mut algorithms = wanted.wanted().into_iter();
    let new = (set.keys.len() + 1..)
        .map(|n| NewSigningKey { algorithm: algorithms.next().unwrap(), ..new_key(&format!("key-{n}")) });
    let change = wanted.make(new).unwrap();
    let at = change.at();
    for step in change.steps() {
        let (kid, from, to) = match step {
            Step::Make(key) => {
                assert!(set.keys.iter().all(|other| other.position < key.position && other.kid != key.kid));
                set.keys.push(key.clone());
                continue;
            }
            Step::Retire(kid) => (kid, &[State::Active][..], State::Retired),
            Step::Activate(kid) => (kid, &[State::Next][..], State::Active),
            Step::Remove(kid) => (kid, &[State::Next, State::Retired][..], State::Removed),
            Step::Revoke { kid, .. } => {
                (kid, &[State::Next, State::Active, State::Retired, State::Removed][..], State::Revoked)
            }
        };
        let key = set.keys.iter_mut().find(|key| key.kid == *kid).unwrap();
        assert!(from.contains(&key.state), "{step:?} of {key:?}");
        key.state = to;
        match to {
            State::Active => key.activated_at = Some(at),
            State::Retired => key.retired_at = Some(at),
            State::Removed | State::Revoked => key.removed_at = Some(at),
            State::Next => {}
        }
        if to != State::Active {
            key.sealed = None;
        }
    }
    set.head += 1;
    set
}

fn planned(set: KeySet, policy: &KeyPolicy, now: Timestamp) -> KeySet {
    let change = plan(&set, policy, now);
    if change.is_empty() { set } else { carried_out(set, change) }
}

fn started() -> KeySet {
    planned(EMPTY, &policy(), NOW)
}

fn states(set: &KeySet) -> Vec<(&str, State)> {
    set.keys.iter().map(|key| (key.kid.as_str(), key.state)).collect()
}

#[test]
fn a_first_start_makes_a_key_that_signs_and_one_that_will() {
    let set = started();
    assert_eq!(states(&set), [("key-1", State::Active), ("key-2", State::Next)]);
    assert!(plan(&set, &policy(), NOW).is_empty(), "and then there is nothing to do");
}

#[test]
fn the_next_key_takes_over_when_the_active_one_has_signed_for_long_enough() {
    let set = started();
    assert!(plan(&set, &policy(), later(Seconds::new(30 * 86_400 - 1))).is_empty());
    let set = planned(set, &policy(), later(Seconds::days(30)));
    assert_eq!(states(&set), [("key-1", State::Retired), ("key-2", State::Active), ("key-3", State::Next)]);
    assert_eq!(set.keys[0].sealed, None, "the private half of a key that signs no more is destroyed");
}

#[test]
fn a_key_that_was_published_too_lately_waits() {
    let set = carried_out(started(), rotate(&started(), &policy(), later(Seconds::days(29))).unwrap());
    let short = KeyPolicy { rotate_every: Seconds::hours(1), ..policy() };
    let made = later(Seconds::days(29));
    let set = planned(set, &short, made.plus(Seconds::new(4 * 3600 - 1)));
    assert_eq!(set.active().unwrap().kid, "key-2");
    let set = planned(set, &short, made.plus(Seconds::hours(4)));
    assert_eq!(set.active().unwrap().kid, "key-3");
}

#[test]
fn a_retired_key_is_withdrawn_when_no_token_of_it_can_be_left() {
    let retired = later(Seconds::days(30));
    let set = planned(started(), &policy(), retired);
    let last_token = TOKEN.forget_at(retired);
    assert!(plan(&set, &policy(), last_token).is_empty());
    let set = planned(set, &policy(), last_token.plus(JWKS_MAX_AGE));
    assert_eq!(set.keys[0].state, State::Removed);
    assert_eq!(set.published().count(), 2);
}

#[test]
fn another_algorithm_is_published_at_once_and_signs_after_the_lead() {
    let curve = KeyPolicy { algorithm: Algorithm::Es256, ..policy() };
    let set = planned(started(), &curve, later(Seconds::hours(9)));
    assert_eq!(states(&set), [("key-1", State::Active), ("key-2", State::Removed), ("key-3", State::Next)]);
    assert!(plan(&set, &curve, later(Seconds::new(13 * 3600 - 1))).is_empty());
    let set = planned(set, &curve, later(Seconds::hours(13)));
    assert_eq!(set.active().map(|key| key.algorithm), Some(Algorithm::Es256));
    assert_eq!(set.next().map(|key| key.algorithm), Some(Algorithm::Es256));
}

#[test]
fn by_command_the_next_key_takes_over_at_once() {
    let set = carried_out(started(), rotate(&started(), &policy(), later(Seconds::new(1))).unwrap());
    assert_eq!(states(&set), [("key-1", State::Retired), ("key-2", State::Active), ("key-3", State::Next)]);
    assert_eq!(hardly_known(&set.keys[1], later(Seconds::new(1))), Some(Seconds::new(1)));
    assert_eq!(hardly_known(&set.keys[1], later(JWKS_MAX_AGE)), None);
    let first = carried_out(EMPTY, rotate(&EMPTY, &policy(), NOW).unwrap());
    assert_eq!(states(&first), [("key-1", State::Active), ("key-2", State::Next)]);
}

#[test]
fn a_revoked_key_makes_way_for_the_one_that_is_published() {
    let set = started();
    let set = carried_out(set.clone(), revoke(&set, "key-1", &policy(), NOW).unwrap());
    assert_eq!(states(&set), [("key-1", State::Revoked), ("key-2", State::Active), ("key-3", State::Next)]);
    assert!(set.published().all(|key| key.kid != "key-1"));
    // The one that waits can be bad too, and so can one that signs no more.
    let set = carried_out(set.clone(), revoke(&set, "key-3", &policy(), NOW).unwrap());
    assert_eq!(set.next().unwrap().kid, "key-4");
    let set = carried_out(set.clone(), rotate(&set, &policy(), NOW).unwrap());
    let set = carried_out(set.clone(), revoke(&set, "key-2", &policy(), NOW).unwrap());
    assert_eq!(set.keys[1].state, State::Revoked);
    assert_eq!(set.active().unwrap().kid, "key-4");

    assert_eq!(revoke(&set, "key-2", &policy(), NOW).unwrap_err(), NotRevoked::Revoked);
    assert_eq!(revoke(&set, "key-9", &policy(), NOW).unwrap_err(), NotRevoked::Unknown);
}

#[test]
fn without_a_next_key_a_revocation_makes_the_one_that_signs() {
    let mut set = started();
    set.keys.truncate(1);
    let change = revoke(&set, "key-1", &policy(), NOW).unwrap();
    let set = carried_out(set, change);
    assert_eq!(states(&set), [("key-1", State::Revoked), ("key-2", State::Active), ("key-3", State::Next)]);
}

#[test]
fn the_key_set_never_becomes_longer_than_its_readers_take() {
    let hasty = KeyPolicy { rotate_every: Seconds::new(1), publish_lead: Seconds::new(1), ..policy() };
    let mut set = started();
    for second in 0..200 {
        set = planned(set, &hasty, later(Seconds::new(second)));
    }
    assert_eq!(set.published().count(), CROWD);
    while let Ok(change) = rotate(&set, &hasty, later(Seconds::new(200))) {
        set = carried_out(set, change);
    }
    assert_eq!(set.published().count(), FULL);
}

#[test]
fn every_step_has_its_line_in_the_audit_trail() {
    let (set, actor) = (started(), Actor::Operator);
    let wanted = revoke(&set, "key-1", &policy(), NOW).unwrap();
    assert_eq!(wanted.wanted(), [Algorithm::Rs256]);
    assert!(wanted.clone().make([]).is_none(), "a key that was not made cannot be stored");
    let change = wanted.make([new_key("new")]).unwrap();
    assert_eq!(change.activates(), Some("key-2"));
    let events = change.events(&actor, Some("192.0.2.1"), &SystemEntropy);
    let lines = events.iter().map(|event| (event.action, event.object.as_deref().unwrap()));
    let expected =
        [(Action::KeyRevoked, "key-1"), (Action::KeyActivated, "key-2"), (Action::KeyCreated, "new")];
    assert_eq!(lines.collect::<Vec<_>>(), expected);
    assert!(events.iter().all(|event| event.actor == actor && event.address.as_deref() == Some("192.0.2.1")));
}

#[test]
fn the_words_of_states_are_read_as_they_are_written() {
    for state in State::ALL {
        assert_eq!(State::parse(state.as_str()), Some(state));
    }
    assert_eq!(State::parse("Active"), None);
}

/// What happens to the keys in a made-up history.
#[derive(Clone, Debug)]
enum Deed {
    Tick,
    Rotate,
    Revoke(usize),
    Configure(Algorithm),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => Just(Deed::Tick),
        2 => Just(Deed::Rotate),
        1 => (0_usize..8).prop_map(Deed::Revoke),
        1 => (0_usize..3).prop_map(|i| Deed::Configure(Algorithm::ALL[i])),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_one_key_signs_one_waits_and_every_live_token_can_be_verified(
        history in proptest::collection::vec((0_i64..4_000_000, deed()), 1..40),
    ) {
        let mut policy = policy();
        let (mut set, mut now) = (started(), NOW);
        // Tokens of keys that were not revoked: which key, and when the last clock will take them.
        let mut tokens: Vec<(String, Timestamp)> = Vec::new();
        for (passed, deed) in history {
            // A token is signed in the last moment before.
            now = now.plus(Seconds::new(passed));
            let life = TOKEN.access_ttl.max(Seconds::minutes(15));
            let end = now.plus(life).plus(Seconds::minutes(1));
            tokens.push((set.active().unwrap().kid.clone(), end));

            let before = set.clone();
            let change = match &deed {
                Deed::Tick => Some(plan(&set, &policy, now)),
                Deed::Rotate => rotate(&set, &policy, now).ok(),
                Deed::Revoke(i) => {
                    let kid = set.keys[i % set.keys.len()].kid.clone();
                    let change = revoke(&set, &kid, &policy, now).ok();
                    tokens.retain(|(signer, _)| *signer != kid);
                    change
                }
                Deed::Configure(algorithm) => {
                    policy.algorithm = *algorithm;
                    None
                }
            };
            if let Some(change) = change.filter(|change| !change.is_empty()) {
                set = carried_out(set, change);
            }

            for state in [State::Active, State::Next] {
                prop_assert_eq!(set.keys.iter().filter(|key| key.state == state).count(), 1);
            }
            for key in &set.keys {
                let signs = matches!(key.state, State::Active | State::Next);
                prop_assert_eq!(key.sealed.is_some(), signs, "{:?}", key);
            }
            let (was, is) = (before.active().unwrap(), set.active().unwrap());
            if matches!(deed, Deed::Tick) && was.kid != is.kid {
                let published = before.keys.iter().find(|key| key.kid == is.kid);
                prop_assert!(published.is_some_and(|key| now.since(key.created_at) >= policy.publish_lead));
            }
            tokens.retain(|(_, end)| now < *end);
            for (signer, _) in &tokens {
                prop_assert!(set.published().any(|key| key.kid == *signer), "{} in {:?}", signer, states(&set));
            }
        }
    }
}
