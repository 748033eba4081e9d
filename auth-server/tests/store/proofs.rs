//! What people prove themselves with: second factors and passkeys.

use std::sync::Arc;

use doorward::{
    domain::{passkey::Passkey, totp::SecondFactor},
    store::{Applied, Store},
};

use crate::{
    backend::{Backend, at, race},
    world::{World, event, user},
};

on_each_backend! {
    a_second_factor_comes_back_as_it_was_and_is_there_once,
    a_code_is_spent_once_and_takes_the_older_ones_along,
    a_recovery_code_is_spent_once_and_by_its_own_person,
    new_recovery_codes_replace_all_and_go_with_the_second_factor,
    a_passkey_comes_back_as_it_was_and_belongs_to_one_person,
    of_two_uses_of_one_count_one_succeeds,
}

fn factor(world: &World) -> SecondFactor {
    SecondFactor {
        user: world.user.id.clone(),
        sealed: "sealed".to_owned(),
        last_step: 100,
        created_at: at(3),
    }
}

async fn with_factor(backend: &Backend, codes: &[&str]) -> World {
    let world = World::new(backend).await;
    let codes: Vec<_> = codes.iter().map(|code| (*code).to_owned()).collect();
    let put = world.store.put_second_factor(&factor(&world), &codes, &event()).await.unwrap();
    assert_eq!(put, Applied::Done);
    world
}

async fn a_second_factor_comes_back_as_it_was_and_is_there_once(backend: &Backend) {
    let world = with_factor(backend, &["a", "b"]).await;
    let found = world.store.second_factor(&world.user.id).await.unwrap().unwrap();
    assert_eq!(format!("{found:?}"), format!("{:?}", factor(&world)));
    assert_eq!(world.store.recovery_codes_left(&world.user.id).await.unwrap(), 2);
    let again = world.store.put_second_factor(&factor(&world), &["c".to_owned()], &event()).await.unwrap();
    assert_eq!(again, Applied::Lost);
    assert_eq!(world.store.recovery_codes_left(&world.user.id).await.unwrap(), 2);
    assert!(world.store.second_factor(&user("bob@x.test").id).await.unwrap().is_none());
}

async fn a_code_is_spent_once_and_takes_the_older_ones_along(backend: &Backend) {
    let world = with_factor(backend, &[]).await;
    let spend = async |step| world.store.spend_code(&world.user.id, step).await.unwrap();
    assert_eq!(spend(100).await, Applied::Lost, "it was used to set up");
    assert_eq!(spend(102).await, Applied::Done);
    assert_eq!(spend(102).await, Applied::Lost);
    assert_eq!(spend(101).await, Applied::Lost);
    let (store, id) = (Arc::clone(&world.store), world.user.id.clone());
    let answers = race(8, |_| {
        let (store, id) = (Arc::clone(&store), id.clone());
        async move { store.spend_code(&id, 103).await.unwrap() }
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1);
}

async fn a_recovery_code_is_spent_once_and_by_its_own_person(backend: &Backend) {
    let world = with_factor(backend, &["a", "b"]).await;
    let spend = async |id, code| world.store.spend_recovery_code(id, code, &event()).await.unwrap();
    let bob = user("bob@x.test").id;
    assert_eq!(spend(&bob, "a").await, Applied::Lost);
    assert_eq!(spend(&world.user.id, "a").await, Applied::Done);
    assert_eq!(spend(&world.user.id, "a").await, Applied::Lost);
    assert_eq!(spend(&world.user.id, "x").await, Applied::Lost);
    assert_eq!(world.store.recovery_codes_left(&world.user.id).await.unwrap(), 1);
}

async fn new_recovery_codes_replace_all_and_go_with_the_second_factor(backend: &Backend) {
    let world = with_factor(backend, &["a", "b"]).await;
    let (store, id): (&Arc<dyn Store>, _) = (&world.store, &world.user.id);
    let renewed = store.replace_recovery_codes(id, &["c".to_owned()], &event()).await.unwrap();
    assert_eq!(renewed, Applied::Done);
    assert_eq!(store.spend_recovery_code(id, "a", &event()).await.unwrap(), Applied::Lost);
    assert_eq!(store.recovery_codes_left(id).await.unwrap(), 1);
    assert_eq!(store.remove_second_factor(id, &event()).await.unwrap(), Applied::Done);
    assert_eq!(store.remove_second_factor(id, &event()).await.unwrap(), Applied::Lost);
    assert!(store.second_factor(id).await.unwrap().is_none());
    assert_eq!(store.recovery_codes_left(id).await.unwrap(), 0);
    let renewed = store.replace_recovery_codes(id, &["d".to_owned()], &event()).await.unwrap();
    assert_eq!(renewed, Applied::Lost);
    assert_eq!(store.recovery_codes_left(id).await.unwrap(), 0);
}

pub(crate) fn passkey(world: &World) -> Passkey {
    Passkey {
        id: "Y3JlZA".to_owned(),
        user: world.user.id.clone(),
        name: "Phone \u{1F98A}".to_owned(),
        public_key: "key".to_owned(),
        counter: 7,
        created_at: at(2),
        last_used_at: None,
    }
}

async fn a_passkey_comes_back_as_it_was_and_belongs_to_one_person(backend: &Backend) {
    let world = World::new(backend).await;
    let store = &world.store;
    let (made, bob) = (passkey(&world), user("bob@x.test"));
    assert_eq!(store.insert_user(&bob, &event()).await.unwrap(), Applied::Done);
    assert_eq!(store.insert_passkey(&made, &event()).await.unwrap(), Applied::Done);
    let stolen = Passkey { user: bob.id.clone(), ..made.clone() };
    assert_eq!(store.insert_passkey(&stolen, &event()).await.unwrap(), Applied::Lost);
    let (found, person) = store.passkey(&made.id).await.unwrap().unwrap();
    assert_eq!((&found, &person.id), (&made, &world.user.id));
    assert_eq!(store.passkeys_of(&world.user.id).await.unwrap(), vec![made.clone()]);
    assert!(store.passkeys_of(&bob.id).await.unwrap().is_empty());
    assert_eq!(store.rename_passkey(&bob.id, &made.id, "Mine").await.unwrap(), Applied::Lost);
    assert_eq!(store.remove_passkey(&bob.id, &made.id, &event()).await.unwrap(), Applied::Lost);
    assert_eq!(store.rename_passkey(&world.user.id, &made.id, "Mine").await.unwrap(), Applied::Done);
    assert_eq!(store.passkey(&made.id).await.unwrap().unwrap().0.name, "Mine");
    assert_eq!(store.remove_passkey(&world.user.id, &made.id, &event()).await.unwrap(), Applied::Done);
    assert!(store.passkey(&made.id).await.unwrap().is_none());
}

async fn of_two_uses_of_one_count_one_succeeds(backend: &Backend) {
    let world = World::new(backend).await;
    let made = passkey(&world);
    assert_eq!(world.store.insert_passkey(&made, &event()).await.unwrap(), Applied::Done);
    let answers = race(8, |_| {
        let (store, seen) = (Arc::clone(&world.store), made.clone());
        async move { store.use_passkey(&seen, 8, at(9)).await.unwrap() }
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1);
    let (found, _) = world.store.passkey(&made.id).await.unwrap().unwrap();
    assert_eq!((found.counter, found.last_used_at), (8, Some(at(9))));
}
