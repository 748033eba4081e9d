//! Signing keys.

use std::sync::Arc;

use doorward::{domain::signing_key::StoredSigningKey, store::Applied};

use crate::backend::{Backend, at, race};

on_each_backend! {
    the_first_key_is_stored_once,
    of_many_servers_that_start_together_one_makes_the_first_key,
    a_first_key_that_is_under_way_elsewhere_stays_the_only_one,
    keys_are_listed_oldest_first,
}

fn key(kid: &str) -> StoredSigningKey {
    StoredSigningKey {
        kid: kid.to_owned(),
        algorithm: "RS256".to_owned(),
        public_jwk: "{}".to_owned(),
        sealed: "c2VhbGVk".to_owned(),
        created_at: at(7),
    }
}

async fn the_first_key_is_stored_once(backend: &Backend) {
    let store = backend.store().await;
    assert!(store.signing_keys().await.unwrap().is_empty());
    assert_eq!(store.insert_first_signing_key(&key("one")).await.unwrap(), Applied::Done);
    assert_eq!(store.insert_first_signing_key(&key("two")).await.unwrap(), Applied::Lost);
    let keys = store.signing_keys().await.unwrap();
    assert_eq!(format!("{keys:?}"), format!("{:?}", [key("one")]));
}

async fn of_many_servers_that_start_together_one_makes_the_first_key(backend: &Backend) {
    let (one, two) = (backend.store().await, backend.store().await);
    let answers = race(8, |i| {
        let store = Arc::clone(if i % 2 == 0 { &one } else { &two });
        async move { store.insert_first_signing_key(&key(&format!("key-{i}"))).await.unwrap() }
    })
    .await;
    let winner = answers.iter().position(|answer| *answer == Applied::Done).unwrap();
    assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1);
    let keys = two.signing_keys().await.unwrap();
    assert_eq!(keys.iter().map(|key| key.kid.clone()).collect::<Vec<_>>(), [format!("key-{winner}")]);
}

async fn a_first_key_that_is_under_way_elsewhere_stays_the_only_one(backend: &Backend) {
    let store = backend.store().await;
    let making = "insert into signing_keys (kid, position, algorithm, sealed, created_at) values ('a', 1, 'RS256', '', 7)";
    let making = backend.meanwhile(making).await;
    let late = Arc::clone(&store);
    let answer =
        making.overtakes(async move { late.insert_first_signing_key(&key("b")).await.unwrap() }).await;
    assert_eq!(answer, Applied::Lost);
    let keys = store.signing_keys().await.unwrap();
    assert_eq!(keys.iter().map(|key| key.kid.as_str()).collect::<Vec<_>>(), ["a"]);
}

async fn keys_are_listed_oldest_first(backend: &Backend) {
    let store = backend.store().await;
    assert_eq!(store.insert_first_signing_key(&key("z")).await.unwrap(), Applied::Done);
    let later = "insert into signing_keys (kid, position, algorithm, sealed, created_at)
        values ('b', 3, 'RS256', '', 7), ('a', 2, 'RS256', '', 7)";
    assert_eq!(backend.change(later).await, 2);
    let keys = store.signing_keys().await.unwrap();
    assert_eq!(keys.iter().map(|key| key.kid.as_str()).collect::<Vec<_>>(), ["z", "a", "b"]);
    // The first key is gone, but it was not the last one.
    assert_eq!(backend.change("delete from signing_keys where position = 1").await, 1);
    assert_eq!(store.insert_first_signing_key(&key("y")).await.unwrap(), Applied::Lost);
}
