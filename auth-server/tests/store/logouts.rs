//! Clients that are still to be told that a session ended.

use doorward::{
    domain::{
        backchannel_logout::{BackchannelLogout, PendingLogout},
        client::Client,
        session::Session,
    },
    store::Applied,
};
use doorward_shared::time::Seconds;
use futures_util::future::join_all;

use crate::{
    backend::{Backend, at},
    world::{World, barred_user, client, event, event_at, session, user},
};

on_each_backend! {
    whoever_got_an_id_token_in_a_session_is_to_be_told_of_its_end_once,
    of_many_that_want_to_tell_at_once_one_does,
    who_was_too_slow_settles_nothing,
    a_session_that_the_same_person_goes_on_with_has_not_ended,
    what_ends_many_sessions_tells_of_each,
}

/// A world in which Alice signed in at a client that wants to be told.
async fn world(backend: &Backend) -> World {
    let mut world = World::new(backend).await;
    let uri = "https://rp.test/out".to_owned();
    let told = BackchannelLogout { uri, session_required: true };
    world.client = Client { backchannel_logout: Some(told), ..client("rp") };
    let _ = world.store.insert_client(&world.client, &event()).await.unwrap();
    world.family().await;
    world
}

async fn due(world: &World) -> Vec<PendingLogout> {
    world.store.due_logouts(at(100), 50).await.unwrap()
}

async fn end(world: &World, session: &Session) -> Applied {
    world.store.end_session(&session.hash, &event_at(at(10))).await.unwrap()
}

async fn whoever_got_an_id_token_in_a_session_is_to_be_told_of_its_end_once(backend: &Backend) {
    let world = world(backend).await;
    // A second grant in the same session, and a client that did not say where.
    world.family().await;
    let silent = World { client: client("silent"), ..world.clone() };
    let _ = silent.store.insert_client(&silent.client, &event()).await.unwrap();
    silent.family().await;
    assert_eq!(due(&world).await, []);
    let heads = async || world.store.heads().await.unwrap().logouts;
    let before = heads().await;
    assert_eq!(world.store.next_logout().await.unwrap(), None);
    assert_eq!(end(&world, &world.session).await, Applied::Done);
    assert_eq!(end(&world, &world.session).await, Applied::Lost);
    // Every process hears of it, and when the first is due.
    assert_eq!(heads().await, before + 1);
    assert_eq!(world.store.next_logout().await.unwrap(), Some(at(10)));
    let pending = PendingLogout {
        client_id: world.client.id.clone(),
        session: world.session.id.clone(),
        user_id: world.user.id.clone(),
        tries: 0,
        due_at: at(10),
        uri: "https://rp.test/out".to_owned(),
    };
    assert_eq!(due(&world).await, [pending]);
    assert_eq!(world.store.due_logouts(at(9), 50).await.unwrap(), []);
}

async fn of_many_that_want_to_tell_at_once_one_does(backend: &Backend) {
    let world = world(backend).await;
    let _ = end(&world, &world.session).await;
    let pending = due(&world).await.remove(0);
    let claims = (0..16).map(|_| world.store.claim_logout(&pending, at(200)));
    let claims = join_all(claims).await;
    assert_eq!(claims.iter().filter(|claim| *claim.as_ref().unwrap() == Applied::Done).count(), 1);
    assert_eq!(due(&world).await, [], "it belongs to somebody until then");
    assert_eq!(world.store.settle_logout(&pending, Some(&event())).await.unwrap(), Applied::Done);
    assert_eq!(world.store.settle_logout(&pending, Some(&event())).await.unwrap(), Applied::Lost);
    assert_eq!(world.store.due_logouts(at(1000), 50).await.unwrap(), []);
}

async fn who_was_too_slow_settles_nothing(backend: &Backend) {
    let world = world(backend).await;
    let _ = end(&world, &world.session).await;
    let slow = due(&world).await.remove(0);
    assert_eq!(world.store.claim_logout(&slow, at(50)).await.unwrap(), Applied::Done);
    let quick = due(&world).await.remove(0);
    assert_eq!((quick.tries, quick.due_at), (1, at(50)));
    assert_eq!(world.store.claim_logout(&quick, at(200)).await.unwrap(), Applied::Done);
    assert_eq!(world.store.postpone_logout(&slow, at(60)).await.unwrap(), Applied::Lost);
    assert_eq!(world.store.settle_logout(&slow, None).await.unwrap(), Applied::Lost);
    assert_eq!(world.store.postpone_logout(&quick, at(90)).await.unwrap(), Applied::Done);
    assert_eq!(due(&world).await, [PendingLogout { tries: 2, due_at: at(90), ..quick }]);
}

async fn a_session_that_the_same_person_goes_on_with_has_not_ended(backend: &Backend) {
    let world = world(backend).await;
    let (first, again) = (&world.session, session(&world.user, at(20)));
    assert_eq!(
        world.store.replace_session(first, &event_at(at(20)), &again, None, &event()).await.unwrap(),
        Applied::Done
    );
    let (stored, _) = world.store.session(&again.hash).await.unwrap().unwrap();
    assert_eq!(stored.id, first.id, "under the same name");
    assert_eq!(end(&world, first).await, Applied::Lost);
    assert_eq!(due(&world).await, []);

    // Somebody else in this browser is an end; and what has ended does not go on.
    let bob = user("bob@example.test");
    let _ = world.store.insert_user(&bob, &event()).await.unwrap();
    let of_bob = session(&bob, at(30));
    assert_eq!(
        world.store.replace_session(&stored, &event_at(at(30)), &of_bob, None, &event()).await.unwrap(),
        Applied::Done
    );
    assert_eq!(due(&world).await.len(), 1);
    let late = session(&world.user, at(40));
    assert_eq!(
        world.store.replace_session(&stored, &event_at(at(40)), &late, None, &event()).await.unwrap(),
        Applied::Done
    );
    let (stored, _) = world.store.session(&late.hash).await.unwrap().unwrap();
    assert_eq!(stored.id, late.id, "under a name of its own");
}

async fn what_ends_many_sessions_tells_of_each(backend: &Backend) {
    let world = world(backend).await;
    let mut sessions = vec![world.session.id.clone()];
    for _ in 0..2 {
        let there = World { session: session(&world.user, at(1)), ..world.clone() };
        assert_eq!(there.store.open_session(&there.session, None, &event()).await.unwrap(), Applied::Done);
        there.family().await;
        sessions.push(there.session.id.clone());
    }
    let sweep = barred_user(&world.user.id, at(10));
    let _ = world.store.disable_user(&world.user.id, &sweep, &event()).await.unwrap();
    let mut told: Vec<_> = due(&world).await.into_iter().map(|pending| pending.session).collect();
    told.sort();
    sessions.sort();
    assert_eq!(told, sessions);
    // A client that is gone is told nothing.
    let sweep = crate::world::barred_client(&world.client.id, at(11).plus(Seconds::new(1)));
    let _ = world.store.delete_client(&world.client.id, &sweep, &event()).await.unwrap();
    assert_eq!(due(&world).await, []);
}
