//! Pages of accounts, clients and sessions.

use doorward::store::Applied;
use doorward_shared::{client_id::ClientId, time::Timestamp};

use crate::{
    backend::{Backend, at},
    world::{World, client, event, session, user},
};

on_each_backend! {
    every_account_is_on_one_page,
    every_client_is_on_one_page,
    only_live_sessions_are_on_a_page,
}

async fn every_account_is_on_one_page(backend: &Backend) {
    let world = World::new(backend).await;
    for i in 0..6 {
        let _done = world.store.insert_user(&user(&format!("user{i}@x.test")), &event()).await.unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = world.store.users_page(after.as_ref(), 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        seen.extend(page.into_iter().map(|user| user.id));
    }
    let mut all: Vec<_> = world.store.users().await.unwrap().into_iter().map(|user| user.id).collect();
    all.sort();
    seen.sort();
    assert_eq!((seen.len(), seen), (7, all));
}

async fn every_client_is_on_one_page(backend: &Backend) {
    let world = World::new(backend).await;
    // Each database has its own order for these; what matters is that it keeps to it.
    for id in
        ["B", "a", "A", "b", "_", "~", "0", "-a", "a-b", "aa", "é".escape_default().to_string().as_str()]
    {
        let _done = world.store.insert_client(&client(id), &event()).await.unwrap();
    }
    let (mut seen, mut after): (Vec<ClientId>, Option<ClientId>) = (Vec::new(), None);
    loop {
        let page = world.store.clients_page(after.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        seen.extend(page.into_iter().map(|client| client.id));
    }
    let all = world.store.clients().await.unwrap();
    assert_eq!(seen.len(), 12);
    assert!(all.iter().all(|client| seen.iter().filter(|id| **id == client.id).count() == 1), "{seen:?}");
}

async fn only_live_sessions_are_on_a_page(backend: &Backend) {
    let world = World::new(backend).await;
    let bob = user("bob@x.test");
    let _done = world.store.insert_user(&bob, &event()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(
            world.store.open_session(&session(&bob, at(0)), None, &event()).await.unwrap(),
            Applied::Done
        );
    }
    let policy = &world.policy.session;
    let count = async |user, now: Timestamp| {
        let (mut count, mut after) = (0, None);
        loop {
            let page = world.store.sessions_page(user, after.as_ref(), 2, policy, now).await.unwrap();
            count += page.len();
            let Some(last) = page.last() else { return count };
            after = Some(last.hash);
        }
    };
    assert_eq!((count(None, at(1)).await, count(Some(&bob.id), at(1)).await), (4, 3));
    let _done = world.store.end_session(&world.session.hash, &event()).await.unwrap();
    assert_eq!((count(None, at(1)).await, count(Some(&world.user.id), at(1)).await), (3, 0));
    let idle = at(0).plus(policy.idle);
    assert_eq!(count(None, Timestamp::from_seconds(idle.seconds() - 1)).await, 3);
    assert_eq!(count(None, idle).await, 0);
}
