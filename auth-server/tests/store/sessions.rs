//! Browser sessions.

use doorward::store::Applied;

use crate::{
    backend::{Backend, at, secret},
    world::{World, event, event_at, session},
};

on_each_backend! {
    a_session_comes_back_with_its_person,
    a_session_is_touched_forward_only_and_not_after_its_end,
    a_session_ends_once,
    nobody_without_an_account_gets_a_session,
}

async fn a_session_comes_back_with_its_person(backend: &Backend) {
    let world = World::new(backend).await;
    let (session, user) = world.store.session(&world.session.hash).await.unwrap().unwrap();
    assert_eq!(format!("{session:?}{user:?}"), format!("{:?}{:?}", world.session, world.user));
    assert_eq!(session.hash, world.session.hash);
    assert!(world.store.session(&secret().hash()).await.unwrap().is_none());
}

async fn a_session_is_touched_forward_only_and_not_after_its_end(backend: &Backend) {
    let world = World::new(backend).await;
    let hash = &world.session.hash;
    let last_seen = async || world.store.session(hash).await.unwrap().unwrap().0.last_seen_at;
    world.store.touch_session(hash, at(60)).await.unwrap();
    assert_eq!(last_seen().await, at(60));
    world.store.touch_session(hash, at(30)).await.unwrap();
    assert_eq!(last_seen().await, at(60));
    assert_eq!(world.store.end_session(hash, &event_at(at(70))).await.unwrap(), Applied::Done);
    world.store.touch_session(hash, at(90)).await.unwrap();
    assert_eq!(last_seen().await, at(60));
}

async fn a_session_ends_once(backend: &Backend) {
    let world = World::new(backend).await;
    let hash = &world.session.hash;
    assert_eq!(world.store.end_session(hash, &event_at(at(5))).await.unwrap(), Applied::Done);
    assert_eq!(world.store.end_session(hash, &event_at(at(6))).await.unwrap(), Applied::Lost);
    assert_eq!(world.store.end_session(&secret().hash(), &event_at(at(6))).await.unwrap(), Applied::Lost);
    assert_eq!(world.store.session(hash).await.unwrap().unwrap().0.ended_at, Some(at(5)));
}

async fn nobody_without_an_account_gets_a_session(backend: &Backend) {
    let world = World::new(backend).await;
    let stranger = session(&crate::world::user("nobody@x.test"), at(0));
    assert_eq!(world.store.open_session(&stranger, None, &event()).await.unwrap(), Applied::Lost);
    assert!(world.store.session(&stranger.hash).await.unwrap().is_none());
}
