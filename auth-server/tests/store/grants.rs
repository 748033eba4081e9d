//! Grants.

use doorward::{domain::ids::GrantId, store::Applied};
use doorward_shared::secret::SystemEntropy;

use crate::{
    backend::{Backend, at, race},
    world::{World, event, used},
};

on_each_backend! {
    a_grant_comes_back_with_its_person,
    a_grant_ends_once_and_keeps_its_first_reason,
    a_redemption_that_races_the_end_of_its_grant_leaves_nothing_live,
    a_redemption_that_meets_the_end_of_its_grant_under_way_waits_and_loses,
}

async fn a_grant_comes_back_with_its_person(backend: &Backend) {
    let world = World::new(backend).await;
    let (_, issued) = world.code().await;
    let (grant, user) = world.store.grant(&issued.grant().id).await.unwrap().unwrap();
    assert_eq!(format!("{grant:?}{user:?}"), format!("{:?}{:?}", issued.grant(), world.user));
    assert!(world.store.grant(&GrantId::generate(at(0), &SystemEntropy)).await.unwrap().is_none());
}

async fn a_grant_ends_once_and_keeps_its_first_reason(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, _) = world.family().await;
    let (first, second) = (world.revocation(&grant, at(3)).await, world.revocation(&grant, at(4)).await);
    assert_eq!(world.store.end_grant(&first, &event()).await.unwrap(), Applied::Done);
    assert_eq!(world.store.end_grant(&second, &event()).await.unwrap(), Applied::Lost);
    assert_eq!(world.store.grant(&grant).await.unwrap().unwrap().0.ended.map(|end| end.at), Some(at(3)));
    assert_eq!(backend.number("select count(*) from grants where end_reason = 'revoked'").await, 1);
}

async fn a_redemption_that_races_the_end_of_its_grant_leaves_nothing_live(backend: &Backend) {
    let world = World::new(backend).await;
    let other = world.through(backend.store().await);
    for _ in 0..10 {
        let (code, issued) = world.code().await;
        let revocation = world.revocation(&issued.grant().id, at(3)).await;
        let (redemption, token) = world.redemption(&code).await;
        let answers = race(2, |i| {
            let (world, other) = (world.clone(), other.clone());
            let (redemption, revocation) = (redemption.clone(), revocation.clone());
            async move {
                match i {
                    0 => world.store.redeem(&redemption, &used(), &event()).await.unwrap(),
                    _ => other.store.end_grant(&revocation, &event()).await.unwrap(),
                }
            }
        })
        .await;
        assert_eq!(answers[1], Applied::Done);
        let bought = world.store.refresh_token(&token.hash()).await.unwrap();
        assert_eq!(bought.is_some(), answers[0] == Applied::Done);
        assert!(bought.is_none_or(|token| token.grant.ended.map(|end| end.at) == Some(at(3))));
    }
}

async fn a_redemption_that_meets_the_end_of_its_grant_under_way_waits_and_loses(backend: &Backend) {
    let world = World::new(backend).await;
    let (code, _) = world.code().await;
    let (redemption, token) = world.redemption(&code).await;
    let ending = backend.meanwhile("update grants set ended_at = 3, end_reason = 'revoked'").await;
    let store = world.store.clone();
    let answer =
        ending.overtakes(async move { store.redeem(&redemption, &used(), &event()).await.unwrap() }).await;
    assert_eq!(answer, Applied::Lost);
    assert!(world.store.refresh_token(&token.hash()).await.unwrap().is_none());
    assert_eq!(world.store.code(&code.hash()).await.unwrap().unwrap().spent_at, None);
}
