//! What is forgotten, and what is not.

use doorward::store::Applied;
use doorward_shared::time::{Seconds, Timestamp};

use crate::{
    backend::{Backend, at},
    world::{World, event, session, used},
};

on_each_backend! {
    a_spent_refresh_token_stays_as_long_as_its_grant_and_goes_with_it,
    a_grant_past_its_time_is_forgotten,
    a_grant_whose_code_nobody_redeemed_goes_with_the_code,
    a_code_that_can_still_be_redeemed_stays,
    sessions_are_forgotten_once_they_are_past_their_longest_life,
    a_session_stays_while_a_code_of_it_does,
    a_client_is_forgotten_after_its_last_grant,
}

async fn forget(world: &World, before: Timestamp) -> u64 {
    world.store.forget_ended(before, &world.policy.session).await.unwrap()
}

async fn a_spent_refresh_token_stays_as_long_as_its_grant_and_goes_with_it(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, token) = world.family().await;
    let (rotation, fresh) = world.rotation(&token).await;
    assert_eq!(world.store.rotate(&rotation, &used()).await.unwrap(), Applied::Done);
    // Long after the spent one would have expired, and before the grant does.
    let late = at(0).plus(Seconds::days(89));
    assert_eq!(forget(&world, late).await, 0);
    assert!(world.store.refresh_token(&token.hash()).await.unwrap().unwrap().spent_at.is_some());

    let revocation = world.revocation(&grant, late).await;
    assert_eq!(world.store.end_grant(&revocation, &event()).await.unwrap(), Applied::Done);
    assert_eq!(forget(&world, late).await, 0);
    assert!(world.store.refresh_token(&token.hash()).await.unwrap().is_some());
    assert_eq!(forget(&world, late.plus(Seconds::new(1))).await, 1);
    for gone in [&token, &fresh] {
        assert!(world.store.refresh_token(&gone.hash()).await.unwrap().is_none());
    }
    assert!(world.store.grant(&grant).await.unwrap().is_none());
    assert_eq!(backend.number("select count(*) from authorization_codes").await, 0);
    assert_eq!(backend.number("select count(*) from refresh_tokens").await, 0);
}

async fn a_grant_past_its_time_is_forgotten(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, _) = world.family().await;
    let end = at(0).plus(world.policy.refresh.absolute);
    assert_eq!(forget(&world, end).await, 0);
    assert_eq!(forget(&world, end.plus(Seconds::new(1))).await, 1);
    assert!(world.store.grant(&grant).await.unwrap().is_none());
}

async fn a_grant_whose_code_nobody_redeemed_goes_with_the_code(backend: &Backend) {
    let world = World::new(backend).await;
    let (code, issued) = world.code().await;
    let (kept, _) = world.family().await;
    assert_eq!(forget(&world, at(61)).await, 1);
    assert!(world.store.code(&code.hash()).await.unwrap().is_none());
    assert!(world.store.grant(&issued.grant().id).await.unwrap().is_none());
    assert!(world.store.grant(&kept).await.unwrap().is_some());
}

async fn a_code_that_can_still_be_redeemed_stays(backend: &Backend) {
    let world = World::new(backend).await;
    let (code, _) = world.code().await;
    assert_eq!(forget(&world, at(59)).await, 0);
    let (redemption, _) = world.redemption(&code).await;
    assert_eq!(world.store.redeem(&redemption, &used(), &event()).await.unwrap(), Applied::Done);
}

async fn sessions_are_forgotten_once_they_are_past_their_longest_life(backend: &Backend) {
    let world = World::new(backend).await;
    let now = at(0).plus(Seconds::days(10));
    let open = async |auth_time: Timestamp| {
        let session = session(&world.user, auth_time);
        assert_eq!(world.store.open_session(&session, None, &event()).await.unwrap(), Applied::Done);
        world.store.touch_session(&session.hash, now).await.unwrap();
        session.hash
    };
    let limit = now.minus(world.policy.session.absolute);
    let (gone, kept) = (open(limit.minus(Seconds::new(1))).await, open(limit).await);
    assert_eq!(forget(&world, now).await, 0);
    assert!(world.store.session(&gone).await.unwrap().is_none());
    assert!(world.store.session(&kept).await.unwrap().is_some());
}

async fn a_session_stays_while_a_code_of_it_does(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, _) = world.family().await;
    let late = at(0).plus(Seconds::days(30));
    assert_eq!(forget(&world, late).await, 0);
    assert!(world.store.session(&world.session.hash).await.unwrap().is_some());
    let revocation = world.revocation(&grant, late).await;
    assert_eq!(world.store.end_grant(&revocation, &event()).await.unwrap(), Applied::Done);
    assert_eq!(forget(&world, late.plus(Seconds::new(1))).await, 1);
    assert!(world.store.session(&world.session.hash).await.unwrap().is_none());
}

async fn a_client_is_forgotten_after_its_last_grant(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, _) = world.family().await;
    assert_eq!(world.store.forget_unused_clients(at(9)).await.unwrap(), 0);
    let revocation = world.revocation(&grant, at(3)).await;
    assert_eq!(world.store.end_grant(&revocation, &event()).await.unwrap(), Applied::Done);
    assert_eq!(forget(&world, at(9)).await, 1);
    assert_eq!(world.store.forget_unused_clients(at(9)).await.unwrap(), 1);
}
