//! Keys for the admin API.

use std::sync::Arc;

use doorward::{
    domain::{
        admin_key::{AdminKey, Maker, NotAllowed, Permissions, is_live},
        audit::{Action, Actor, Event},
        ids::AdminKeyId,
        user::User,
    },
    store::Applied,
};
use doorward_shared::{secret::SystemEntropy, time::Timestamp};

use crate::{
    backend::{Backend, at, race, secret},
    world::World,
};

on_each_backend! {
    an_admin_key_comes_back_as_it_was,
    an_admin_key_comes_with_those_by_whom_it_was_made,
    an_admin_key_is_revoked_once_and_with_an_event,
    admin_keys_are_listed_newest_first,
    the_use_of_an_admin_key_is_written_down_forward_only,
}

fn key(created_at: Timestamp, maker: Maker) -> AdminKey {
    AdminKey {
        id: AdminKeyId::generate(created_at, &SystemEntropy),
        name: "Nightly 🌙 \"report\"".to_owned(),
        hash: secret().hash(),
        permissions: Permissions::parse(["grants:read", "*:write"]).unwrap(),
        maker,
        created_at,
        expires_at: Some(at(1000)),
        last_used_at: None,
        revoked_at: None,
    }
}

fn event(action: Action, now: Timestamp) -> Event {
    Event::new(action, Actor::Operator, now, &SystemEntropy)
}

fn created() -> Event {
    event(Action::AdminKeyCreated, at(0))
}

async fn an_admin_key_comes_back_as_it_was(backend: &Backend) {
    let store = backend.store().await;
    let key = AdminKey { expires_at: None, ..key(at(0), Maker::Operator) };
    store.insert_admin_key(&key, &created()).await.unwrap();
    let found = store.admin_key(&key.hash).await.unwrap().unwrap();
    assert_eq!(format!("{:?}", found.key), format!("{key:?}"));
    assert!(found.makers.is_empty() && found.person.is_none());
    assert!(store.admin_key(&secret().hash()).await.unwrap().is_none());
    assert_eq!(
        backend.number("select count(*) from audit_events where action = 'admin_key_created'").await,
        1
    );
    let again = event(Action::AdminKeyCreated, at(1));
    assert!(store.insert_admin_key(&key, &again).await.is_err());
    assert_eq!(backend.number("select count(*) from audit_events").await, 1, "no deed, no event");
}

async fn an_admin_key_comes_with_those_by_whom_it_was_made(backend: &Backend) {
    let world = World::new(backend).await;
    let first = key(at(0), Maker::User(world.user.id.clone()));
    let second = key(at(1), Maker::AdminKey(first.id.clone()));
    let third = key(at(2), Maker::AdminKey(second.id.clone()));
    let other = key(at(3), Maker::AdminKey(first.id.clone()));
    for key in [&first, &second, &third, &other] {
        world.store.insert_admin_key(key, &event(Action::AdminKeyCreated, at(0))).await.unwrap();
    }
    let found = world.store.admin_key(&third.hash).await.unwrap().unwrap();
    let ids = found.makers.iter().map(|key| key.id.clone()).collect::<Vec<_>>();
    assert_eq!((found.key.id.clone(), ids), (third.id.clone(), vec![second.id.clone(), first.id.clone()]));
    assert_eq!(found.person.as_ref().map(|user: &User| user.id.clone()), Some(world.user.id.clone()));

    let revoked = event(Action::AdminKeyRevoked, at(5));
    assert_eq!(world.store.revoke_admin_key(&first.id, &revoked).await.unwrap(), Applied::Done);
    for key in [&second, &third, &other] {
        let found = world.store.admin_key(&key.hash).await.unwrap().unwrap();
        assert_eq!(is_live(&found, at(6)), Err(NotAllowed::MakerGone));
    }
}

async fn an_admin_key_is_revoked_once_and_with_an_event(backend: &Backend) {
    let store = backend.store().await;
    let key = key(at(0), Maker::Operator);
    store.insert_admin_key(&key, &created()).await.unwrap();
    let answers = race(8, |_| {
        let (store, id) = (Arc::clone(&store), key.id.clone());
        async move { store.revoke_admin_key(&id, &event(Action::AdminKeyRevoked, at(5))).await.unwrap() }
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1);
    let found = store.admin_key(&key.hash).await.unwrap().unwrap();
    assert_eq!(found.key.revoked_at, Some(at(5)));
    assert_eq!(
        backend.number("select count(*) from audit_events where action = 'admin_key_revoked'").await,
        1
    );
    let nobody = AdminKeyId::generate(at(0), &SystemEntropy);
    let event = event(Action::AdminKeyRevoked, at(6));
    assert_eq!(store.revoke_admin_key(&nobody, &event).await.unwrap(), Applied::Lost);
}

async fn admin_keys_are_listed_newest_first(backend: &Backend) {
    let store = backend.store().await;
    assert!(store.admin_keys().await.unwrap().is_empty());
    let mut keys = [key(at(5), Maker::Operator), key(at(9), Maker::Operator), key(at(1), Maker::Operator)];
    for key in &keys {
        store.insert_admin_key(key, &event(Action::AdminKeyCreated, at(0))).await.unwrap();
    }
    keys.sort_by_key(|key| std::cmp::Reverse(key.created_at));
    assert_eq!(format!("{:?}", store.admin_keys().await.unwrap()), format!("{keys:?}"));
}

async fn the_use_of_an_admin_key_is_written_down_forward_only(backend: &Backend) {
    let store = backend.store().await;
    let key = key(at(0), Maker::Operator);
    store.insert_admin_key(&key, &created()).await.unwrap();
    let used = async |now| {
        store.touch_admin_key(&key.id, now).await.unwrap();
        store.admin_key(&key.hash).await.unwrap().unwrap().key.last_used_at
    };
    assert_eq!(used(at(9)).await, Some(at(9)));
    assert_eq!(used(at(5)).await, Some(at(9)));
    assert_eq!(used(at(70)).await, Some(at(70)));
}
