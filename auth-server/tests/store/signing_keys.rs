//! Signing keys and the data key.

use std::sync::Arc;

use doorward::{
    domain::{
        audit::{Action, Actor, Event},
        policy::KeyPolicy,
        signing_key::{self, Change, KeySet, NewSigningKey, State, Wanted},
    },
    store::{Applied, DATA_KEY, Store},
};
use doorward_shared::{jose::Algorithm, secret::SystemEntropy, time::Timestamp};

use crate::backend::{Backend, at, race};

on_each_backend! {
    the_first_keys_are_stored_and_read_back,
    of_many_servers_that_start_together_one_makes_the_first_keys,
    a_change_that_is_under_way_elsewhere_voids_every_other_one,
    of_many_replicas_that_rotate_together_one_does,
    a_change_is_carried_out_whole_or_not_at_all,
    a_rotation_leaves_no_private_half_behind,
    a_revoked_key_goes_to_the_feed_in_the_same_transaction,
    a_key_that_is_withdrawn_keeps_its_row,
    all_servers_that_start_together_get_one_data_key,
    of_two_that_seal_the_data_key_anew_one_does,
}

fn policy() -> KeyPolicy {
    crate::world::policy().keys
}

fn new_key(kid: String) -> NewSigningKey {
    let (public_jwk, sealed) = (format!("{{\"kid\":\"{kid}\"}}"), "c2VhbGVk".to_owned());
    NewSigningKey { kid, algorithm: Algorithm::Es256, public_jwk, sealed }
}

/// The change, with keys that are called `maker-1`, `maker-2`.
fn made(wanted: Change<Wanted>, maker: &str) -> Change {
    wanted.make((1..).map(|n| new_key(format!("{maker}-{n}")))).unwrap()
}

fn events(change: &Change) -> Vec<Event> {
    change.events(&Actor::Server, None, &SystemEntropy)
}

async fn apply(store: &dyn Store, change: &Change) -> Applied {
    store.change_signing_keys(change, &events(change)).await.unwrap()
}

async fn started(backend: &Backend) -> Arc<dyn Store> {
    let store = backend.store().await;
    let set = store.signing_keys().await.unwrap();
    assert_eq!(set, KeySet { head: 0, keys: Vec::new() });
    let change = made(signing_key::plan(&set, &policy(), at(7)), "first");
    assert_eq!(apply(store.as_ref(), &change).await, Applied::Done);
    store
}

async fn rotation(store: &dyn Store, maker: &str, now: Timestamp) -> Change {
    made(signing_key::rotate(&store.signing_keys().await.unwrap(), &policy(), now).unwrap(), maker)
}

fn states(set: &KeySet) -> Vec<(&str, State)> {
    set.keys.iter().map(|key| (key.kid.as_str(), key.state)).collect()
}

async fn audit_lines(backend: &Backend) -> i64 {
    backend.number("select count(*) from audit_events").await
}

async fn the_first_keys_are_stored_and_read_back(backend: &Backend) {
    let store = started(backend).await;
    let set = store.signing_keys().await.unwrap();
    assert_eq!((set.head, store.signing_keys_head().await.unwrap()), (1, 1));
    assert_eq!(states(&set), [("first-1", State::Active), ("first-2", State::Next)]);
    let active = &set.keys[0];
    assert_eq!((active.position, active.algorithm), (1, Algorithm::Es256));
    assert_eq!(active.public_jwk, "{\"kid\":\"first-1\"}");
    assert_eq!(active.sealed.as_deref(), Some("c2VhbGVk"));
    assert_eq!((active.created_at, active.activated_at), (at(7), Some(at(7))));
    assert_eq!((active.retired_at, active.removed_at), (None, None));
    assert_eq!(set.keys[1].activated_at, None);
    assert_eq!(audit_lines(backend).await, 2);
}

async fn of_many_servers_that_start_together_one_makes_the_first_keys(backend: &Backend) {
    let (one, two) = (backend.store().await, backend.store().await);
    let empty = one.signing_keys().await.unwrap();
    let answers = race(8, |i| {
        let store = Arc::clone(if i % 2 == 0 { &one } else { &two });
        let change = made(signing_key::plan(&empty, &policy(), at(7)), &format!("server{i}"));
        async move { apply(store.as_ref(), &change).await }
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1);
    let winner = answers.iter().position(|answer| *answer == Applied::Done).unwrap();
    let set = two.signing_keys().await.unwrap();
    let (active, next) = (format!("server{winner}-1"), format!("server{winner}-2"));
    assert_eq!(states(&set), [(active.as_str(), State::Active), (next.as_str(), State::Next)]);
    assert_eq!(audit_lines(backend).await, 2, "who lost did nothing and wrote nothing");
}

async fn a_change_that_is_under_way_elsewhere_voids_every_other_one(backend: &Backend) {
    let store = started(backend).await;
    let late = rotation(store.as_ref(), "late", at(9)).await;
    let making = "update heads set sequence = sequence + 1 where name = 'signing_keys'";
    let making = backend.meanwhile(making).await;
    let waiting = Arc::clone(&store);
    let answer = making.overtakes(async move { apply(waiting.as_ref(), &late).await }).await;
    assert_eq!(answer, Applied::Lost);
    let set = store.signing_keys().await.unwrap();
    assert_eq!(states(&set), [("first-1", State::Active), ("first-2", State::Next)]);
}

async fn of_many_replicas_that_rotate_together_one_does(backend: &Backend) {
    let one = started(backend).await;
    let two = backend.store().await;
    for round in 0..5 {
        let set = one.signing_keys().await.unwrap();
        let answers = race(8, |i| {
            let store = Arc::clone(if i % 2 == 0 { &one } else { &two });
            let wanted = signing_key::rotate(&set, &policy(), at(round)).unwrap();
            let change = made(wanted, &format!("round{round}-{i}"));
            async move { apply(store.as_ref(), &change).await }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1, "{round}");
        let set = two.signing_keys().await.unwrap();
        for state in [State::Active, State::Next] {
            assert_eq!(set.keys.iter().filter(|key| key.state == state).count(), 1, "{round}");
        }
        assert_eq!(set.head, 2 + round);
    }
    assert_eq!(one.signing_keys().await.unwrap().keys.len(), 7);
}

async fn a_change_is_carried_out_whole_or_not_at_all(backend: &Backend) {
    let store = started(backend).await;
    let before = store.signing_keys().await.unwrap();
    // The key that it makes is there already, so its last step fails; the ones before must not stay.
    let change = made(signing_key::rotate(&before, &policy(), at(9)).unwrap(), "first");
    assert_eq!(apply(store.as_ref(), &change).await, Applied::Lost);
    assert_eq!(store.signing_keys().await.unwrap(), before);
    assert_eq!(audit_lines(backend).await, 2);
    // The database itself holds that there is one of each, whoever writes.
    for state in ["active", "next"] {
        let sql = format!(
            "insert into signing_keys (kid, position, algorithm, state, public_jwk, sealed, created_at)
            values ('x', 9, 'ES256', '{state}', '', '', 1) on conflict do nothing"
        );
        assert_eq!(backend.change(&sql).await, 0, "{state}");
    }
}

async fn a_rotation_leaves_no_private_half_behind(backend: &Backend) {
    let store = started(backend).await;
    let change = rotation(store.as_ref(), "second", at(9)).await;
    assert_eq!(apply(store.as_ref(), &change).await, Applied::Done);
    let set = store.signing_keys().await.unwrap();
    let expected = [("first-1", State::Retired), ("first-2", State::Active), ("second-1", State::Next)];
    assert_eq!(states(&set), expected);
    assert_eq!((set.keys[0].sealed.as_deref(), set.keys[0].retired_at), (None, Some(at(9))));
    assert_eq!((set.keys[1].activated_at, set.keys[2].position), (Some(at(9)), 3));
    assert_eq!(apply(store.as_ref(), &change).await, Applied::Lost, "a verdict is good once");
}

async fn a_revoked_key_goes_to_the_feed_in_the_same_transaction(backend: &Backend) {
    let store = started(backend).await;
    let set = store.signing_keys().await.unwrap();
    let change = made(signing_key::revoke(&set, "first-1", &policy(), at(9)).unwrap(), "spare");
    assert_eq!(apply(store.as_ref(), &change).await, Applied::Done);
    let set = store.signing_keys().await.unwrap();
    let expected = [("first-1", State::Revoked), ("first-2", State::Active), ("spare-1", State::Next)];
    assert_eq!(states(&set), expected);
    let entries = "select count(*) from revocations
        where claim = 'kid' and value = 'first-1' and issued_until is null and sequence = 1 and expires_at > 1830000000";
    assert_eq!(backend.number(entries).await, 1);
    let revoked = "select count(*) from audit_events where action = 'key_revoked' and object = 'first-1'";
    assert_eq!(backend.number(revoked).await, 1);
    assert_eq!(apply(store.as_ref(), &change).await, Applied::Lost);
    assert_eq!(backend.number("select count(*) from revocations").await, 1);
}

async fn a_key_that_is_withdrawn_keeps_its_row(backend: &Backend) {
    let store = started(backend).await;
    let change = rotation(store.as_ref(), "second", at(9)).await;
    assert_eq!(apply(store.as_ref(), &change).await, Applied::Done);
    let set = store.signing_keys().await.unwrap();
    let later = at(9).plus(policy().verify_for);
    let change = made(signing_key::plan(&set, &policy(), later), "never");
    assert_eq!(apply(store.as_ref(), &change).await, Applied::Done);
    let set = store.signing_keys().await.unwrap();
    assert_eq!((set.keys[0].state, set.keys[0].removed_at), (State::Removed, Some(later)));
    assert_eq!(set.keys.len(), 3);
}

async fn all_servers_that_start_together_get_one_data_key(backend: &Backend) {
    let (one, two) = (backend.store().await, backend.store().await);
    assert_eq!(one.data_key().await.unwrap(), None);
    let answers = race(8, |i| {
        let store = Arc::clone(if i % 2 == 0 { &one } else { &two });
        async move { store.settle(DATA_KEY, &format!("sealed-{i}")).await.unwrap() }
    })
    .await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(two.data_key().await.unwrap().as_ref(), Some(&answers[0]));
}

async fn of_two_that_seal_the_data_key_anew_one_does(backend: &Backend) {
    let store = backend.store().await;
    assert_eq!(store.settle(DATA_KEY, "old").await.unwrap(), "old");
    let answers = race(8, |i| {
        let store = Arc::clone(&store);
        let event = Event::new(Action::Rekeyed, Actor::Operator, at(1), &SystemEntropy);
        async move { store.reseal_data_key("old", &format!("new-{i}"), &event).await.unwrap() }
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1);
    let winner = answers.iter().position(|answer| *answer == Applied::Done).unwrap();
    assert_eq!(store.data_key().await.unwrap(), Some(format!("new-{winner}")));
    assert_eq!(audit_lines(backend).await, 1);
}
