//! Refresh tokens.

use doorward::{
    domain::{
        policy::{Policy, RefreshPolicy},
        refresh::{
            Verdict,
            retry::{KeptAnswer, Sender},
        },
    },
    store::Applied,
};
use doorward_shared::{time::Seconds, token::Refresh};

use crate::{
    backend::{Backend, at, race, secret},
    world::{World, event, used},
};

on_each_backend! {
    a_refresh_token_comes_back_with_all_that_its_use_depends_on,
    a_rotation_spends_the_token_and_stores_its_successor,
    an_answer_is_kept_until_its_successor_was_used,
    retries_from_elsewhere_are_counted_one_by_one,
    of_many_rotations_of_one_token_exactly_one_succeeds,
    a_rotation_that_cannot_store_its_successor_leaves_the_token_unspent,
    a_spent_token_is_recognised_as_a_replay_and_its_family_ends,
    a_rotation_that_races_the_end_of_its_grant_leaves_nothing_live,
    a_rotation_that_meets_the_end_of_its_grant_under_way_waits_and_loses,
    rotations_of_many_families_at_once_all_succeed,
}

async fn a_refresh_token_comes_back_with_all_that_its_use_depends_on(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, token) = world.family().await;
    let stored = world.store.refresh_token(&token.hash()).await.unwrap().unwrap();
    let (granted, user) = world.store.grant(&grant).await.unwrap().unwrap();
    assert_eq!(stored.hash, token.hash());
    assert_eq!(format!("{:?}{:?}", stored.grant, stored.user), format!("{granted:?}{user:?}"));
    assert_eq!((stored.generation, stored.spent_at), (0, None));
    assert_eq!(stored.expires_at, at(1).plus(world.policy.refresh.idle));
    assert!(world.store.refresh_token(&secret().hash()).await.unwrap().is_none());
}

async fn a_rotation_spends_the_token_and_stores_its_successor(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, mut token) = world.family().await;
    for generation in 1..=5 {
        let (rotation, fresh) = world.rotation(&token).await;
        assert_eq!(world.store.rotate(&rotation, &used()).await.unwrap(), Applied::Done);
        assert_eq!(world.store.rotate(&rotation, &used()).await.unwrap(), Applied::Lost);
        let spent = world.store.refresh_token(&token.hash()).await.unwrap().unwrap();
        let next = world.store.refresh_token(&fresh.hash()).await.unwrap().unwrap();
        assert_eq!((spent.generation, spent.spent_at), (generation - 1, Some(at(2))));
        assert_eq!((next.generation, next.spent_at, &next.grant.id), (generation, None, &grant));
        token = fresh;
    }
}

fn kept() -> KeptAnswer {
    let asked = Refresh { refresh_token: String::new(), scope: None, resource: None };
    let sender = Sender { network: "192.0.2.0/24".to_owned(), agent: Some("client/1".to_owned()) };
    KeptAnswer::new("sealed".to_owned(), &asked, sender)
}

async fn an_answer_is_kept_until_its_successor_was_used(backend: &Backend) {
    let world = World::new(backend).await;
    let (_, first) = world.family().await;
    let (rotation, second) = world.rotation(&first).await;
    assert_eq!(world.store.rotate(&rotation.keeping(kept()), &used()).await.unwrap(), Applied::Done);
    let stored = world.store.refresh_token(&first.hash()).await.unwrap().unwrap();
    assert_eq!((stored.answer, stored.successor_waits), (Some(kept()), true));
    let stored = world.store.refresh_token(&second.hash()).await.unwrap().unwrap();
    assert_eq!((stored.answer, stored.successor_waits), (None, false));

    let (rotation, _) = world.rotation(&second).await;
    assert_eq!(world.store.rotate(&rotation.keeping(kept()), &used()).await.unwrap(), Applied::Done);
    let stored = world.store.refresh_token(&first.hash()).await.unwrap().unwrap();
    assert_eq!((stored.answer, stored.successor_waits), (None, false));
    let stored = world.store.refresh_token(&second.hash()).await.unwrap().unwrap();
    assert_eq!((stored.answer, stored.successor_waits), (Some(kept()), true));

    for (before, left) in [(at(2), Some(kept())), (at(3), None)] {
        world.store.forget_answers(before).await.unwrap();
        let stored = world.store.refresh_token(&second.hash()).await.unwrap().unwrap();
        assert_eq!((stored.answer, stored.spent_at), (left, Some(at(2))));
    }
}

// RT-24
async fn retries_from_elsewhere_are_counted_one_by_one(backend: &Backend) {
    let world = World::new(backend).await;
    let world = World {
        policy: Policy {
            refresh: RefreshPolicy { retry_window: Seconds::new(30), ..world.policy.refresh.clone() },
            ..world.policy.clone()
        },
        ..world
    };
    let (_, token) = world.family().await;
    let (rotation, _) = world.rotation(&token).await;
    assert_eq!(world.store.rotate(&rotation.keeping(kept()), &used()).await.unwrap(), Applied::Done);
    for count in 1..=3 {
        let spent = world.store.refresh_token(&token.hash()).await.unwrap().unwrap();
        let (Verdict::Retry(retry, _), _) = world.judge_refresh(&spent, at(3)) else { panic!("{count}") };
        let counted = retry.counted.unwrap();
        assert_eq!(counted.now().count, count);
        assert_eq!(world.store.count_retry(&counted).await.unwrap(), Applied::Done);
        assert_eq!(world.store.count_retry(&counted).await.unwrap(), Applied::Lost, "it was counted");
    }
    let spent = world.store.refresh_token(&token.hash()).await.unwrap().unwrap();
    assert!(matches!(world.judge_refresh(&spent, at(3)).0, Verdict::Replay(_)));
}

async fn of_many_rotations_of_one_token_exactly_one_succeeds(backend: &Backend) {
    let world = World::new(backend).await;
    let other = world.through(backend.store().await);
    let (_, token) = world.family().await;
    let mut verdicts = Vec::new();
    for _ in 0..32 {
        verdicts.push(world.rotation(&token).await);
    }
    let answers = race(verdicts.len(), |i| {
        let (store, verdict) =
            (if i % 2 == 0 { &world } else { &other }.store.clone(), verdicts[i].0.clone());
        async move { store.rotate(&verdict, &used()).await.unwrap() }
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1);
    for (answer, (_, fresh)) in answers.iter().zip(&verdicts) {
        let stored = world.store.refresh_token(&fresh.hash()).await.unwrap();
        assert_eq!(stored.is_some(), *answer == Applied::Done, "a loser leaves nothing behind");
    }
}

async fn a_rotation_that_cannot_store_its_successor_leaves_the_token_unspent(backend: &Backend) {
    let world = World::new(backend).await;
    let (_, token) = world.family().await;
    let (_, taken) = world.family().await;
    let rotation = world.rotation_to(&token, &taken).await;
    assert!(world.store.rotate(&rotation, &used()).await.is_err());
    assert_eq!(world.store.refresh_token(&token.hash()).await.unwrap().unwrap().spent_at, None);
    let (rotation, _) = world.rotation(&token).await;
    assert_eq!(world.store.rotate(&rotation, &used()).await.unwrap(), Applied::Done);
}

async fn a_spent_token_is_recognised_as_a_replay_and_its_family_ends(backend: &Backend) {
    let world = World::new(backend).await;
    let (_, token) = world.family().await;
    let (rotation, fresh) = world.rotation(&token).await;
    assert_eq!(world.store.rotate(&rotation, &used()).await.unwrap(), Applied::Done);
    let (next, _) = world.rotation(&fresh).await;
    let spent = world.store.refresh_token(&token.hash()).await.unwrap().unwrap();
    let (Verdict::Replay(revocation), _) = world.judge_refresh(&spent, at(3)) else { panic!() };
    assert_eq!(world.store.end_grant(&revocation, &event()).await.unwrap(), Applied::Done);
    assert_eq!(world.store.end_grant(&revocation, &event()).await.unwrap(), Applied::Lost);
    // The successor was judged before the end, and comes to the store after it.
    assert_eq!(world.store.rotate(&next, &used()).await.unwrap(), Applied::Lost);
    let successor = world.store.refresh_token(&fresh.hash()).await.unwrap().unwrap();
    assert!(matches!(world.judge_refresh(&successor, at(4)).0, Verdict::Refuse(_)));
    let reason = "select count(*) from grants where end_reason = 'refresh_replayed'";
    assert_eq!(backend.number(reason).await, 1);
}

async fn a_rotation_that_races_the_end_of_its_grant_leaves_nothing_live(backend: &Backend) {
    let world = World::new(backend).await;
    let other = world.through(backend.store().await);
    for _ in 0..10 {
        let (grant, token) = world.family().await;
        let revocation = world.revocation(&grant, at(3)).await;
        let (rotation, fresh) = world.rotation(&token).await;
        let answers = race(2, |i| {
            let (world, other) = (world.clone(), other.clone());
            let (rotation, revocation) = (rotation.clone(), revocation.clone());
            async move {
                match i {
                    0 => world.store.rotate(&rotation, &used()).await.unwrap(),
                    _ => other.store.end_grant(&revocation, &event()).await.unwrap(),
                }
            }
        })
        .await;
        assert_eq!(answers[1], Applied::Done);
        let successor = world.store.refresh_token(&fresh.hash()).await.unwrap();
        assert_eq!(successor.is_some(), answers[0] == Applied::Done);
        // Whichever came first, no token of the family can be used now.
        let newest = if successor.is_some() { &fresh } else { &token };
        let newest = world.store.refresh_token(&newest.hash()).await.unwrap().unwrap();
        assert_eq!((newest.spent_at, newest.grant.ended.map(|end| end.at)), (None, Some(at(3))));
        assert!(matches!(world.judge_refresh(&newest, at(4)).0, Verdict::Refuse(_)));
    }
}

async fn a_rotation_that_meets_the_end_of_its_grant_under_way_waits_and_loses(backend: &Backend) {
    let world = World::new(backend).await;
    let (_, token) = world.family().await;
    let (rotation, fresh) = world.rotation(&token).await;
    let ending = backend.meanwhile("update grants set ended_at = 3, end_reason = 'revoked'").await;
    let store = world.store.clone();
    let answer = ending.overtakes(async move { store.rotate(&rotation, &used()).await.unwrap() }).await;
    assert_eq!(answer, Applied::Lost);
    assert!(world.store.refresh_token(&fresh.hash()).await.unwrap().is_none());
    assert_eq!(world.store.refresh_token(&token.hash()).await.unwrap().unwrap().spent_at, None);
}

async fn rotations_of_many_families_at_once_all_succeed(backend: &Backend) {
    let world = World::new(backend).await;
    let other = world.through(backend.store().await);
    let mut tokens = Vec::new();
    for _ in 0..16 {
        tokens.push(world.family().await.1);
    }
    let tokens = std::sync::Arc::new(tokens);
    let answers = race(tokens.len(), |i| {
        let (world, tokens) = (if i % 2 == 0 { world.clone() } else { other.clone() }, tokens.clone());
        async move {
            let (rotation, first) = world.rotation(&tokens[i]).await;
            let first_answer = world.store.rotate(&rotation, &used()).await.unwrap();
            let (rotation, _) = world.rotation(&first).await;
            (first_answer, world.store.rotate(&rotation, &used()).await.unwrap())
        }
    })
    .await;
    assert!(answers.iter().all(|answer| *answer == (Applied::Done, Applied::Done)));
}
