//! API keys of people.

use std::{num::NonZeroU32, sync::Arc};

use doorward::{
    domain::{
        api_key::{
            ApiKey, ApiKeySecret, Dead, Ground, Power, Powers, Wanted, Withdrawal, is_live, make, revoke,
        },
        ids::ApiKeyId,
        key_life::KeyLife,
        restore::{Loss, Seal, decide},
        revocation::{Sweep, Whose},
        user::User,
    },
    store::{
        Applied,
        archive::{Made, Reader, Writer},
    },
};
use doorward_shared::{
    node::NodePath, resource::ResourceUri, revocation::Claim, secret::SystemEntropy, time::Timestamp,
};

use crate::{
    backend::{Backend, at, race},
    world::{World, barred_resource, barred_user, event, event_at, policy, resource, user},
};

on_each_backend! {
    an_api_key_comes_back_as_it_was_with_its_person,
    an_api_key_for_nobody_or_for_no_resource_is_not_stored,
    an_api_key_is_revoked_once_and_the_feed_says_so,
    api_keys_are_listed_newest_first_and_page_by_page,
    the_use_of_an_api_key_is_written_down_once_a_minute,
    a_sweep_ends_the_api_keys_that_it_names_and_no_others,
    a_disabled_and_enabled_account_gets_no_api_key_back,
    an_api_key_that_is_made_in_the_second_of_a_sweep_is_dated_after_it,
    removing_a_resource_keeps_the_history_of_its_api_keys,
    a_restore_ends_every_api_key_unless_nothing_was_lost,
}

fn scoped() -> Powers {
    let power = |node: Option<&str>, tier: &str| Power {
        node: node.map(|path| NodePath::parse(path).unwrap()),
        tier: tier.to_owned(),
    };
    Powers::Scoped(vec![
        power(Some("alpha"), "read"),
        power(Some("alpha/site"), "destroy"),
        power(None, "write"),
    ])
}

/// A key, as the product decides on it.
fn decided(world: &World, user: &User, powers: Powers, to: Option<&ResourceUri>, now: Timestamp) -> ApiKey {
    let secret = ApiKeySecret::generate(&powers, &SystemEntropy);
    let wanted = Wanted {
        name: "CI \u{1F98A} \"night\"".to_owned(),
        organization: user.organization.clone(),
        resource: to.cloned(),
        powers,
        rate_limit: NonZeroU32::new(30),
        life: KeyLife::Month,
    };
    let ground = Ground {
        user,
        resources: &[(world.resource.clone(), vec![])],
        nodes: None,
        live: 0,
        most_requests: None,
    };
    make(wanted, ground, (ApiKeyId::generate(now, &SystemEntropy), &secret), now).unwrap()
}

async fn stored(world: &World, to: Option<&ResourceUri>, now: Timestamp) -> ApiKey {
    let key = decided(world, &world.user, Powers::Full, to, now);
    assert_eq!(world.store.insert_api_key(&key, &event()).await.unwrap(), Applied::Done);
    key
}

async fn found(world: &World, key: &ApiKey) -> (ApiKey, User) {
    world.store.api_key_by_hash(&key.hash).await.unwrap().unwrap()
}

fn withdrawal(key: &ApiKey, now: Timestamp) -> Withdrawal {
    revoke(key, &policy().token, now).unwrap()
}

async fn an_api_key_comes_back_as_it_was_with_its_person(backend: &Backend) {
    let world = World::new(backend).await;
    for (powers, to) in [(scoped(), Some(&world.resource.uri)), (Powers::Full, None)] {
        let key = decided(&world, &world.user, powers, to, at(3));
        assert_eq!(world.store.insert_api_key(&key, &event()).await.unwrap(), Applied::Done);
        let (back, person) = found(&world, &key).await;
        assert_eq!(format!("{back:?}"), format!("{key:?}"));
        assert_eq!(back.hash.as_str(), key.hash.as_str());
        assert_eq!(person.id, world.user.id);
        let (by_id, _) = world.store.api_key(&key.id).await.unwrap().unwrap();
        assert_eq!(format!("{by_id:?}"), format!("{key:?}"));
        assert!(world.store.insert_api_key(&key, &event()).await.is_err(), "no key is stored twice");
    }
    let nobody = ApiKeySecret::generate(&Powers::Full, &SystemEntropy);
    assert!(world.store.api_key_by_hash(&nobody.hash()).await.unwrap().is_none());
    assert!(world.store.api_key(&ApiKeyId::generate(at(0), &SystemEntropy)).await.unwrap().is_none());
}

async fn an_api_key_for_nobody_or_for_no_resource_is_not_stored(backend: &Backend) {
    let world = World::new(backend).await;
    let gone = ResourceUri::parse("https://mcp.test/gone").unwrap();
    let elsewhere = decided(&world, &world.user, Powers::Full, Some(&gone), at(0));
    let strange = decided(&world, &user("bob@example.test"), Powers::Full, None, at(0));
    let late = decided(&world, &world.user, Powers::Full, None, at(0));
    let sweep = barred_user(&world.user.id, at(0));
    for key in [&elsewhere, &strange] {
        assert_eq!(world.store.insert_api_key(key, &event()).await.unwrap(), Applied::Lost);
    }
    let _ = world.store.disable_user(&world.user.id, &sweep, &event()).await.unwrap();
    assert_eq!(world.store.insert_api_key(&late, &event()).await.unwrap(), Applied::Lost);
    assert_eq!(backend.number("select count(*) from api_keys").await, 0);
}

async fn an_api_key_is_revoked_once_and_the_feed_says_so(backend: &Backend) {
    let world = World::new(backend).await;
    let key = stored(&world, None, at(0)).await;
    let answers = race(8, |_| {
        let (store, end) = (Arc::clone(&world.store), withdrawal(&key, at(5)));
        async move { store.revoke_api_key(&end, &event_at(at(5))).await.unwrap() }
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1);
    assert_eq!(found(&world, &key).await.0.revoked_at, Some(at(5)));
    let entries = world.store.revocations_after(0, 10, at(5)).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].claim, entries[0].value.as_str()), (Claim::Sid, key.id.as_str()));
    // The one who comes later finds it revoked, and does not move the time.
    assert_eq!(world.store.revoke_api_key(&withdrawal(&key, at(9)), &event()).await.unwrap(), Applied::Lost);
    assert_eq!(found(&world, &key).await.0.revoked_at, Some(at(5)));
}

async fn api_keys_are_listed_newest_first_and_page_by_page(backend: &Backend) {
    let world = World::new(backend).await;
    let bob = user("bob@example.test");
    let _ = world.store.insert_user(&bob, &event()).await.unwrap();
    let mut mine = Vec::new();
    for second in 0..3 {
        mine.push(stored(&world, None, at(second)).await.id);
    }
    let his = decided(&world, &bob, scoped(), None, at(7));
    let _ = world.store.insert_api_key(&his, &event()).await.unwrap();
    let ids = async |user, before, limit| {
        let keys = world.store.api_keys(user, before, limit).await.unwrap();
        keys.into_iter().map(|(key, _)| key.id).collect::<Vec<_>>()
    };
    mine.reverse();
    assert_eq!(ids(Some(&world.user.id), None, 10).await, mine);
    assert_eq!(ids(Some(&world.user.id), Some(&mine[0]), 1).await, mine[1..2]);
    assert_eq!(ids(Some(&bob.id), None, 10).await, std::slice::from_ref(&his.id));
    assert_eq!(ids(None, None, 2).await, [his.id, mine[0].clone()]);
}

async fn the_use_of_an_api_key_is_written_down_once_a_minute(backend: &Backend) {
    let world = World::new(backend).await;
    let key = stored(&world, None, at(0)).await;
    let used = async |now| {
        world.store.touch_api_key(&key.id, now).await.unwrap();
        found(&world, &key).await.0.last_used_at
    };
    assert_eq!(used(at(9)).await, Some(at(9)));
    assert_eq!(used(at(5)).await, Some(at(9)));
    assert_eq!(used(at(68)).await, Some(at(9)));
    assert_eq!(used(at(69)).await, Some(at(69)));
}

async fn a_sweep_ends_the_api_keys_that_it_names_and_no_others(backend: &Backend) {
    let world = World::new(backend).await;
    let second = resource("https://mcp.test/b");
    let _ = world.store.insert_resource(&second, &event()).await.unwrap();
    let (issuer, token) = (policy().issuer, policy().token);
    let whose = [
        (Whose::User(world.user.id.clone()), true),
        (Whose::User(user("x@example.test").id), false),
        (Whose::Organization(world.user.organization.clone()), true),
        (Whose::Resource(world.resource.uri.clone()), true),
        (Whose::Resource(second.uri), false),
        (Whose::Client(world.client.id.clone()), false),
        (Whose::Everybody(issuer), true),
    ];
    for (second, (whose, ends)) in (1..).zip(whose) {
        let key = stored(&world, Some(&world.resource.uri), at(10 * second)).await;
        let sweep = Sweep::revoked(whose.clone(), &token, at(10 * second + 5));
        world.store.end_grants(&sweep, &event()).await.unwrap();
        let revoked_at = found(&world, &key).await.0.revoked_at;
        assert_eq!(revoked_at, ends.then(|| at(10 * second + 5)), "{whose:?}");
        if !ends {
            let _ =
                world.store.revoke_api_key(&withdrawal(&key, at(10 * second + 6)), &event()).await.unwrap();
        }
    }
    let told = backend.texts("select detail from audit_events where detail like '%api_keys%'").await;
    assert_eq!(told.len(), 4, "{told:?}");
}

async fn a_disabled_and_enabled_account_gets_no_api_key_back(backend: &Backend) {
    let world = World::new(backend).await;
    let key = stored(&world, None, at(0)).await;
    let id = &world.user.id;
    let _ = world.store.disable_user(id, &barred_user(id, at(5)), &event()).await.unwrap();
    let _ = world.store.enable_user(id, &barred_user(id, at(6)), &event()).await.unwrap();
    let (mut back, person) = found(&world, &key).await;
    assert_eq!(is_live(&back, &person, &world.resource, at(7)), Err(Dead::Revoked));
    // Not even if the row were still as it was.
    back.revoked_at = None;
    assert_eq!(is_live(&back, &person, &world.resource, at(7)), Err(Dead::Swept));
}

async fn an_api_key_that_is_made_in_the_second_of_a_sweep_is_dated_after_it(backend: &Backend) {
    let world = World::new(backend).await;
    let token = policy().token;
    let whose = [
        Whose::User(world.user.id.clone()),
        Whose::Organization(world.user.organization.clone()),
        Whose::Resource(world.resource.uri.clone()),
    ];
    for (second, whose) in (1..).zip(whose) {
        let now = at(second * 10);
        world.store.end_grants(&Sweep::revoked(whose, &token, now), &event()).await.unwrap();
        let key = stored(&world, None, now).await;
        let (back, person) = found(&world, &key).await;
        assert_eq!(back.created_at, at(second * 10 + 1));
        let there = world.store.resource(&world.resource.uri).await.unwrap().unwrap();
        assert_eq!(is_live(&back, &person, &there, now), Ok(()));
    }
}

async fn removing_a_resource_keeps_the_history_of_its_api_keys(backend: &Backend) {
    let world = World::new(backend).await;
    let key = stored(&world, Some(&world.resource.uri), at(0)).await;
    let uri = &world.resource.uri;
    assert_eq!(
        world.store.remove_resource(uri, &barred_resource(uri, at(5)), &event()).await.unwrap(),
        Applied::Done
    );
    let _ = world.store.insert_resource(&world.resource, &event()).await.unwrap();
    let (back, _) = found(&world, &key).await;
    assert_eq!((back.revoked_at, back.resource), (Some(at(5)), key.resource));
}

async fn a_restore_ends_every_api_key_unless_nothing_was_lost(backend: &Backend) {
    let world = World::new(backend).await;
    let key = stored(&world, Some(&world.resource.uri), at(0)).await;
    let mut bytes = Vec::new();
    let made = Made { version: "0.1.0", issuer: "https://as.test".to_owned(), at: at(100) };
    world.store.dump(&made, None, Writer::new(&mut bytes)).await.unwrap();
    for (loss, revoked_at) in [(Loss::Nothing, None), (Loss::Unknown, Some(at(9)))] {
        let postgres = backend.tells_other_processes();
        let target = if postgres { Backend::postgres().await } else { Backend::sqlite() };
        let store = target.store().await;
        let mut input = bytes.as_slice();
        let mut reader = Reader::open(&mut input, 1).unwrap();
        let verdict = decide(loss, Seal::Opens, &policy(), at(9));
        store.fill(&mut reader, None, &verdict, "another life", &event()).await.unwrap();
        let (back, _) = store.api_key_by_hash(&key.hash).await.unwrap().unwrap();
        assert_eq!(back.revoked_at, revoked_at);
        store.close().await;
        target.drop().await;
    }
}
