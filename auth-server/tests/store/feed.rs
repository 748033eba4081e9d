//! The revocation feed: what ends or narrows a grant says so in the same transaction.

use doorward::{
    domain::{
        grant::{EndReason, Ended},
        ids::{GrantId, OrganizationId},
        revocation::{Narrower, Sweep, Whose, narrow},
    },
    store::Applied,
};
use doorward_shared::{
    allowance::Allowance,
    node::NodePath,
    revocation::{Claim, Entry},
    scope::Scope,
    secret::SystemEntropy,
};

use crate::{
    backend::{Backend, at, race},
    world::{World, barred_client, barred_resource, barred_user, event, policy, used, user},
};

on_each_backend! {
    a_fresh_feed_is_empty_and_keeps_its_name,
    the_end_of_a_grant_is_one_entry_and_a_second_end_is_none,
    a_sweep_is_one_wide_entry_and_ends_exactly_the_grants_it_names,
    a_sweep_over_everything_ends_everything,
    disabling_and_enabling_tell_the_feed,
    removing_a_client_or_a_resource_tells_the_feed_and_dates_what_comes_after,
    a_narrowing_revokes_the_tokens_from_before_and_no_later_ones,
    a_narrowing_that_lost_changes_nothing,
    entries_that_are_written_at_once_are_numbered_without_gap_or_double,
    whoever_reads_while_others_write_misses_nothing,
    an_expired_entry_is_neither_told_nor_kept,
    a_waiter_is_woken_by_another_opening_of_the_store,
}

async fn entries(world: &World) -> Vec<Entry> {
    world.store.revocations_after(0, 100, at(0)).await.unwrap()
}

async fn told(world: &World) -> Vec<(Claim, String, Option<i64>)> {
    let said =
        |entry: Entry| (entry.claim, entry.value, entry.issued_until.map(|until| until.since(at(0)).get()));
    entries(world).await.into_iter().map(said).collect()
}

async fn end_of(world: &World, grant: &GrantId) -> Option<Ended> {
    world.store.grant(grant).await.unwrap().unwrap().0.ended
}

async fn a_fresh_feed_is_empty_and_keeps_its_name(backend: &Backend) {
    let world = World::new(backend).await;
    assert_eq!(world.store.heads().await.unwrap(), doorward::store::Heads::default());
    assert_eq!(world.store.settle("feed_epoch", "first").await.unwrap(), "first");
    assert_eq!(world.store.settle("feed_epoch", "second").await.unwrap(), "first");
    assert!(entries(&world).await.is_empty());
}

async fn the_end_of_a_grant_is_one_entry_and_a_second_end_is_none(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, _) = world.family().await;
    let (first, second) = (world.revocation(&grant, at(3)).await, world.revocation(&grant, at(4)).await);
    assert_eq!(world.store.end_grant(&first, &event()).await.unwrap(), Applied::Done);
    assert_eq!(world.store.end_grant(&second, &event()).await.unwrap(), Applied::Lost);
    assert_eq!(told(&world).await, [(Claim::Sid, grant.to_string(), None)]);
    let entry = entries(&world).await.remove(0);
    assert_eq!((entry.sequence, entry.exp), (1, policy().token.forget_at(at(3))));
    assert_eq!(world.store.heads().await.unwrap().revocations, 1);
    // One event for each deed: making the grant, redeeming its code, ending it; none for the end that was lost.
    assert_eq!(backend.number("select count(*) from audit_events where address is not null").await, 7);
}

async fn a_sweep_is_one_wide_entry_and_ends_exactly_the_grants_it_names(backend: &Backend) {
    let world = World::new(backend).await;
    let bob = user("bob@x.test");
    assert_eq!(world.store.insert_user(&bob, &event()).await.unwrap(), Applied::Done);
    let bobs = World { session: crate::world::session(&bob, at(0)), user: bob, ..world.clone() };
    assert_eq!(bobs.store.open_session(&bobs.session, None, &event()).await.unwrap(), Applied::Done);
    let (first, _) = world.family().await;
    let (second, _) = world.code().await;
    let (spared, _) = bobs.family().await;
    let second = second.hash();
    let sweep = Sweep::revoked(Whose::User(world.user.id.clone()), &policy().token, at(5));
    assert_eq!(world.store.end_grants(&sweep, &event()).await.unwrap(), 2);
    assert_eq!(told(&world).await, [(Claim::Sub, world.user.id.to_string(), Some(5))]);
    let ended = Ended { at: at(5), reason: EndReason::RevokedByAdministrator };
    assert_eq!(end_of(&world, &first).await, Some(ended));
    assert_eq!(world.store.code(&second).await.unwrap().unwrap().grant.ended, Some(ended));
    assert_eq!(end_of(&world, &spared).await, None);
    assert_eq!(world.store.user(&world.user.id).await.unwrap().unwrap().revoked_until, Some(at(5)));
    assert_eq!(world.store.user(&bobs.user.id).await.unwrap().unwrap().revoked_until, None);
    let counted = "select count(*) from audit_events where detail like '%\"grants\":2%'";
    assert_eq!(backend.number(counted).await, 1);
}

async fn a_sweep_over_everything_ends_everything(backend: &Backend) {
    let world = World::new(backend).await;
    let foreign = OrganizationId::generate(at(0), &SystemEntropy);
    let wholes = [
        (Whose::Client(world.client.id.clone()), Claim::ClientId),
        (Whose::Resource(world.resource.uri.clone()), Claim::Aud),
        (Whose::Organization(world.user.organization.clone()), Claim::Org),
        (Whose::Everybody(world.policy.issuer.clone()), Claim::Iss),
    ];
    for (whose, claim) in wholes {
        let (grant, _) = world.family().await;
        let missed = Sweep::revoked(Whose::Organization(foreign.clone()), &policy().token, at(5));
        assert_eq!(world.store.end_grants(&missed, &event()).await.unwrap(), 0);
        let sweep = Sweep::revoked(whose, &policy().token, at(5));
        assert_eq!(world.store.end_grants(&sweep, &event()).await.unwrap(), 1, "{claim:?}");
        assert!(end_of(&world, &grant).await.is_some(), "{claim:?}");
        assert_eq!(entries(&world).await.last().unwrap().claim, claim);
    }
}

async fn disabling_and_enabling_tell_the_feed(backend: &Backend) {
    let world = World::new(backend).await;
    let (user, client, resource) = (&world.user.id, &world.client.id, &world.resource.uri);
    let (barred, again) = (barred_user(user, at(3)), barred_user(user, at(4)));
    assert_eq!(world.store.disable_user(user, &barred, &event()).await.unwrap(), Applied::Done);
    assert_eq!(world.store.enable_user(user, &again, &event()).await.unwrap(), Applied::Done);
    let (barred, again) = (barred_client(client, at(3)), barred_client(client, at(4)));
    assert_eq!(world.store.disable_client(client, &barred, &event()).await.unwrap(), Applied::Done);
    assert_eq!(world.store.client(client).await.unwrap().unwrap().disabled_at, Some(at(3)));
    assert_eq!(world.store.enable_client(client, &again, &event()).await.unwrap(), Applied::Done);
    let (barred, again) = (barred_resource(resource, at(3)), barred_resource(resource, at(4)));
    assert_eq!(world.store.disable_resource(resource, &barred, &event()).await.unwrap(), Applied::Done);
    assert_eq!(world.store.resource(resource).await.unwrap().unwrap().disabled_at, Some(at(3)));
    assert_eq!(world.store.enable_resource(resource, &again, &event()).await.unwrap(), Applied::Done);
    let client_after = world.store.client(client).await.unwrap().unwrap();
    assert_eq!((client_after.disabled_at, client_after.revoked_until), (None, Some(at(4))));
    let claims: Vec<_> = told(&world).await.into_iter().map(|(claim, _, until)| (claim, until)).collect();
    let expected =
        [Claim::Sub, Claim::ClientId, Claim::Aud].map(|claim| [(claim, Some(3)), (claim, Some(4))]);
    assert_eq!(claims, expected.concat());
}

async fn removing_a_client_or_a_resource_tells_the_feed_and_dates_what_comes_after(backend: &Backend) {
    let world = World::new(backend).await;
    let (client, resource) = (&world.client.id, &world.resource.uri);
    let gone = barred_client(client, at(3));
    assert_eq!(world.store.delete_client(client, &gone, &event()).await.unwrap(), Applied::Done);
    assert_eq!(world.store.delete_client(client, &gone, &event()).await.unwrap(), Applied::Lost);
    let gone = barred_resource(resource, at(4));
    assert_eq!(world.store.remove_resource(resource, &gone, &event()).await.unwrap(), Applied::Done);
    let aud = resource.folded().to_owned();
    assert_eq!(
        told(&world).await,
        [(Claim::ClientId, client.to_string(), Some(3)), (Claim::Aud, aud, Some(4))]
    );
    assert_eq!(world.store.insert_client(&world.client, &event()).await.unwrap(), Applied::Done);
    assert_eq!(world.store.insert_resource(&world.resource, &event()).await.unwrap(), Applied::Done);
    assert_eq!(world.store.client(client).await.unwrap().unwrap().revoked_until, Some(at(3)));
    assert_eq!(world.store.resource(resource).await.unwrap().unwrap().revoked_until, Some(at(4)));
}

fn read() -> Allowance {
    let read = Scope::parse("artifacts:read").unwrap();
    Allowance::at_node(NodePath::parse("alpha").unwrap(), read)
}

fn less() -> Narrower {
    Narrower { allowance: Some(read()), expires_at: Some(at(50)) }
}

async fn a_narrowing_revokes_the_tokens_from_before_and_no_later_ones(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, token) = world.family().await;
    let (held, _) = world.store.grant(&grant).await.unwrap().unwrap();
    let narrowing = narrow(&held, &less(), &policy().token, at(5)).unwrap();
    assert_eq!(world.store.narrow_grant(&narrowing, &event()).await.unwrap(), Applied::Done);
    let (held, _) = world.store.grant(&grant).await.unwrap().unwrap();
    assert_eq!(held.allowance, read());
    assert_eq!((held.expires_at, held.revoked_until, held.ended), (at(50), Some(at(5)), None));
    assert_eq!(told(&world).await, [(Claim::Sid, grant.to_string(), Some(5))]);
    // The family goes on.
    let (rotation, _) = world.rotation(&token).await;
    assert_eq!(world.store.rotate(&rotation, &used()).await.unwrap(), Applied::Done);
}

async fn a_narrowing_that_lost_changes_nothing(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, _) = world.family().await;
    let (held, _) = world.store.grant(&grant).await.unwrap().unwrap();
    let narrowing = narrow(&held, &less(), &policy().token, at(5)).unwrap();
    assert_eq!(world.store.narrow_grant(&narrowing, &event()).await.unwrap(), Applied::Done);
    assert_eq!(world.store.narrow_grant(&narrowing, &event()).await.unwrap(), Applied::Lost);
    let (other, _) = world.family().await;
    let (held, _) = world.store.grant(&other).await.unwrap().unwrap();
    let narrowing = narrow(&held, &less(), &policy().token, at(5)).unwrap();
    let end = world.revocation(&other, at(6)).await;
    assert_eq!(world.store.end_grant(&end, &event()).await.unwrap(), Applied::Done);
    assert_eq!(world.store.narrow_grant(&narrowing, &event()).await.unwrap(), Applied::Lost);
    assert_eq!(entries(&world).await.len(), 2);
}

async fn entries_that_are_written_at_once_are_numbered_without_gap_or_double(backend: &Backend) {
    let world = World::new(backend).await;
    let other = world.through(backend.store().await);
    let mut grants = Vec::new();
    for _ in 0..24 {
        grants.push(world.family().await.0);
    }
    let answers = race(24, |i| {
        let world = if i % 2 == 0 { world.clone() } else { other.clone() };
        let grant = grants[i].clone();
        async move {
            let end = world.revocation(&grant, at(3)).await;
            world.store.end_grant(&end, &event()).await.unwrap()
        }
    })
    .await;
    assert!(answers.iter().all(|answer| *answer == Applied::Done));
    let numbers: Vec<_> = entries(&world).await.iter().map(|entry| entry.sequence).collect();
    assert_eq!(numbers, (1..=24).collect::<Vec<_>>());
    assert_eq!(world.store.heads().await.unwrap().revocations, 24);
}

async fn whoever_reads_while_others_write_misses_nothing(backend: &Backend) {
    let world = World::new(backend).await;
    let mut grants = Vec::new();
    for _ in 0..40 {
        grants.push(world.family().await.0);
    }
    let writers = tokio::spawn({
        let (world, other) = (world.clone(), world.through(backend.store().await));
        async move {
            race(grants.len(), |i| {
                let world = if i % 2 == 0 { world.clone() } else { other.clone() };
                let grant = grants[i].clone();
                async move {
                    let end = world.revocation(&grant, at(3)).await;
                    world.store.end_grant(&end, &event()).await.unwrap()
                }
            })
            .await
        }
    });
    let (mut after, mut seen) = (0, Vec::new());
    while after < 40 {
        let head = world.store.heads().await.unwrap().revocations;
        let read = world.store.revocations_after(after, 100, at(0)).await.unwrap();
        seen.extend(read.iter().map(|entry| entry.sequence).filter(|sequence| *sequence <= head));
        after = head;
    }
    assert!(writers.await.unwrap().iter().all(|answer| *answer == Applied::Done));
    assert_eq!(seen, (1..=40).collect::<Vec<_>>());
}

async fn an_expired_entry_is_neither_told_nor_kept(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, _) = world.family().await;
    let end = world.revocation(&grant, at(3)).await;
    assert_eq!(world.store.end_grant(&end, &event()).await.unwrap(), Applied::Done);
    let over = end.forget_at();
    let just_before = over.minus(doorward_shared::time::Seconds::new(1));
    assert_eq!(world.store.revocations_after(0, 10, just_before).await.unwrap().len(), 1);
    assert_eq!(world.store.revocations_after(0, 10, over).await.unwrap().len(), 0);
    assert_eq!(world.store.forget_revocations(just_before).await.unwrap(), 0);
    assert_eq!(world.store.forget_revocations(over).await.unwrap(), 1);
    // The number is never used again.
    let (grant, _) = world.family().await;
    let end = world.revocation(&grant, at(3)).await;
    assert_eq!(world.store.end_grant(&end, &event()).await.unwrap(), Applied::Done);
    assert_eq!(entries(&world).await[0].sequence, 2);
}

async fn a_waiter_is_woken_by_another_opening_of_the_store(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, _) = world.family().await;
    let end = world.revocation(&grant, at(3)).await;
    let other = backend.store().await;
    other.listen().await.unwrap();
    let waiting = tokio::spawn(async move { other.nudged().await });
    assert_eq!(world.store.end_grant(&end, &event()).await.unwrap(), Applied::Done);
    let woken = tokio::time::timeout(std::time::Duration::from_secs(2), waiting).await.is_ok();
    assert_eq!(woken, backend.tells_other_processes());
    tokio::time::timeout(std::time::Duration::from_secs(5), world.store.nudged()).await.unwrap();
}
