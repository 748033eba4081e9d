//! Clients.

use std::sync::Arc;

use doorward::{
    domain::{
        amendment::{Amendment, Ceiling, Wanted, amend},
        client::{Client, ConfidentialMethod, Credentials, Origin},
        organization::Place,
    },
    store::Applied,
};
use doorward_shared::{
    client_id::ClientId, client_metadata::About, redirect_uri::RedirectUri, revocation::Claim,
    time::Timestamp, token::GrantType,
};

use crate::{
    backend::{Backend, at, race, secret},
    world::{World, barred_client, client, event, used},
};

on_each_backend! {
    what_is_stored_of_a_client_comes_back_as_it_was,
    an_identifier_is_taken_once,
    clients_are_listed_newest_first,
    a_configured_client_follows_its_configuration_and_keeps_its_grants,
    a_client_is_changed_as_it_was_decided_and_once,
    a_change_that_leaves_less_revokes_the_tokens_from_before_and_ends_nothing,
    a_document_client_follows_its_document_and_keeps_what_an_administrator_said,
    a_document_never_takes_the_place_of_a_client_that_came_in_another_way,
    a_client_has_two_secrets_at_most_and_the_oldest_goes_first,
    deleting_a_client_ends_its_grants_and_nobody_elses,
    a_deleted_client_that_comes_back_finds_no_live_grant,
    a_grant_that_is_made_while_its_client_is_deleted_never_lives,
    unused_registrations_are_forgotten_and_used_ones_are_not,
    a_client_that_gets_its_first_grant_now_is_not_forgotten,
    a_client_whose_first_grant_is_under_way_is_not_forgotten,
    a_grant_that_is_under_way_when_its_client_is_deleted_ends,
    a_code_for_a_client_whose_deletion_is_under_way_is_lost,
}

fn same(a: &Client, b: &Client) -> bool {
    let secret = |client: &Client| match &client.credentials {
        Credentials::Public => None,
        Credentials::Confidential { secret, former, .. } => Some((*secret, *former)),
    };
    format!("{a:?}") == format!("{b:?}") && secret(a) == secret(b)
}

async fn what_is_stored_of_a_client_comes_back_as_it_was(backend: &Backend) {
    let store = backend.store().await;
    let confidential = |id, method| Client {
        origin: Origin::Administrator,
        credentials: Credentials::Confidential {
            method,
            secret: secret().hash(),
            former: Some(secret().hash()),
        },
        ceiling: Some("read".to_owned()),
        ceiling_places: vec![Place::parse("own:alpha/site").unwrap(), Place::parse("own").unwrap()],
        disabled_at: Some(at(4)),
        grant_types: vec![GrantType::AuthorizationCode],
        ..client(id)
    };
    let bare = Client {
        name: None,
        about: About::default(),
        redirect_uris: vec![],
        grant_types: vec![],
        ..client("bare")
    };
    let post = confidential("post", ConfidentialMethod::Post);
    let basic = confidential("basic", ConfidentialMethod::Basic);
    for stored in [client("full"), bare, post, basic] {
        assert_eq!(store.insert_client(&stored, &event()).await.unwrap(), Applied::Done);
        assert!(same(&store.client(&stored.id).await.unwrap().unwrap(), &stored));
    }
    assert!(store.client(&client("nobody").id).await.unwrap().is_none());
}

async fn an_identifier_is_taken_once(backend: &Backend) {
    let store = backend.store().await;
    let first = client("app");
    assert_eq!(store.insert_client(&first, &event()).await.unwrap(), Applied::Done);
    let second = Client { name: Some("Another".to_owned()), ..client("app") };
    assert_eq!(store.insert_client(&second, &event()).await.unwrap(), Applied::Lost);
    // Identifiers are compared to the letter.
    assert_eq!(store.insert_client(&client("APP"), &event()).await.unwrap(), Applied::Done);
    assert!(same(&store.client(&first.id).await.unwrap().unwrap(), &first));
}

async fn clients_are_listed_newest_first(backend: &Backend) {
    let store = backend.store().await;
    for (id, seconds) in [("b", 2), ("a", 1), ("d", 3), ("C", 2)] {
        let client = Client { created_at: at(seconds), ..client(id) };
        assert_eq!(store.insert_client(&client, &event()).await.unwrap(), Applied::Done);
    }
    let listed: Vec<_> = store.clients().await.unwrap().into_iter().map(|client| client.id).collect();
    assert_eq!(listed.iter().map(ClientId::as_str).collect::<Vec<_>>(), ["d", "C", "b", "a"]);
}

async fn a_configured_client_follows_its_configuration_and_keeps_its_grants(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, _) = world.family().await;
    let configured = Client {
        name: Some("Configured".to_owned()),
        origin: Origin::Administrator,
        redirect_uris: vec![RedirectUri::register("http://localhost:8080/callback", &[]).unwrap()],
        created_at: at(99),
        ..world.client.clone()
    };
    let bounds = Wanted { ceiling: Some(Ceiling::Tier("read".to_owned())), ..Wanted::default() };
    let amendment = amended(&world, &world.client, bounds, 3);
    assert_eq!(world.store.change_client(&amendment, &event()).await.unwrap(), Applied::Done);
    world.store.put_configured_client(&configured).await.unwrap();
    let stored = world.store.client(&configured.id).await.unwrap().unwrap();
    let (ceiling, revoked_until) = (Some("read".to_owned()), Some(at(3)));
    let created_at = world.client.created_at;
    assert!(same(&stored, &Client { created_at, ceiling, revoked_until, ..configured }));
    assert_eq!(world.store.grant(&grant).await.unwrap().unwrap().0.ended, None);
    let fresh = client("new");
    world.store.put_configured_client(&fresh).await.unwrap();
    assert!(same(&world.store.client(&fresh.id).await.unwrap().unwrap(), &fresh));
}

/// A change of the client that is decided at `seconds`.
fn amended(world: &World, client: &Client, wanted: Wanted, seconds: i64) -> Amendment {
    let resources = [world.resource.clone()];
    amend(client, wanted, &resources, &world.policy.token, at(seconds)).unwrap().expect("it changes")
}

async fn a_client_is_changed_as_it_was_decided_and_once(backend: &Backend) {
    let world = World::new(backend).await;
    let mut before = Client { origin: Origin::Administrator, name: None, ..client("changed") };
    assert_eq!(world.store.insert_client(&before, &event()).await.unwrap(), Applied::Done);
    let stored = async || world.store.client(&before.id).await.unwrap().unwrap();
    let all = Wanted {
        name: Some("Another".to_owned()),
        redirect_uris: Some(vec![RedirectUri::register("https://other.test/cb", &[]).unwrap()]),
        ceiling: Some(Ceiling::Tier("read".to_owned())),
        ceiling_places: Some(vec![Place::parse("own:alpha").unwrap()]),
    };
    let amendment = amended(&world, &before, all, 3);
    assert!(amendment.narrows());
    for expected in [Applied::Done, Applied::Lost] {
        assert_eq!(world.store.change_client(&amendment, &event()).await.unwrap(), expected);
    }
    let after = Client { revoked_until: Some(at(3)), ..amendment.after().clone() };
    assert!(same(&stored().await, &after));
    // Wider again: nothing more is revoked, and the bounds are gone.
    let wider =
        Wanted { ceiling: Some(Ceiling::Unbounded), ceiling_places: Some(vec![]), ..Wanted::default() };
    let amendment = amended(&world, &after, wider, 5);
    assert!(!amendment.narrows());
    assert_eq!(world.store.change_client(&amendment, &event()).await.unwrap(), Applied::Done);
    let after = Client { ceiling: None, ceiling_places: vec![], ..after };
    assert!(same(&stored().await, &after));
    assert_eq!(world.store.revocations_after(0, 100, at(0)).await.unwrap().len(), 1);
    // Of several that are decided upon the same client one is carried out.
    let tier = |tier: &str| Wanted { ceiling: Some(Ceiling::Tier(tier.to_owned())), ..Wanted::default() };
    let won = race(3, |i| {
        let amendment = amended(&world, &after, tier(["read", "write", "destroy"][i]), 6);
        let store = Arc::clone(&world.store);
        async move { store.change_client(&amendment, &event()).await.unwrap() }
    })
    .await;
    assert_eq!(won.iter().filter(|applied| **applied == Applied::Done).count(), 1);
    before.id = ClientId::parse("nobody").unwrap();
    let nobody = amended(&world, &before, tier("read"), 7);
    assert_eq!(world.store.change_client(&nobody, &event()).await.unwrap(), Applied::Lost);
}

async fn a_change_that_leaves_less_revokes_the_tokens_from_before_and_ends_nothing(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, _) = world.family().await;
    let lower = Wanted { ceiling: Some(Ceiling::Tier("read".to_owned())), ..Wanted::default() };
    let amendment = amended(&world, &world.client, lower, 5);
    assert_eq!(world.store.change_client(&amendment, &event()).await.unwrap(), Applied::Done);
    let told = world.store.revocations_after(0, 100, at(0)).await.unwrap();
    let told: Vec<_> = told.into_iter().map(|entry| (entry.claim, entry.value, entry.issued_until)).collect();
    assert_eq!(told, [(Claim::ClientId, world.client.id.to_string(), Some(at(5)))]);
    assert_eq!(world.store.grant(&grant).await.unwrap().unwrap().0.ended, None);
    // One that lost tells nobody anything.
    assert_eq!(world.store.change_client(&amendment, &event()).await.unwrap(), Applied::Lost);
    assert_eq!(world.store.revocations_after(0, 100, at(0)).await.unwrap().len(), 1);
}

async fn deleting_a_client_ends_its_grants_and_nobody_elses(backend: &Backend) {
    let world = World::new(backend).await;
    let other = World { client: client("other"), ..world.clone() };
    assert_eq!(other.store.insert_client(&other.client, &event()).await.unwrap(), Applied::Done);
    let (grant, token) = world.family().await;
    let (ended_before, _) = world.family().await;
    let (spared, _) = other.family().await;
    let revocation = world.revocation(&ended_before, at(3)).await;
    assert_eq!(world.store.end_grant(&revocation, &event()).await.unwrap(), Applied::Done);
    let (rotation, _) = world.rotation(&token).await;

    assert_eq!(
        world
            .store
            .delete_client(&world.client.id, &barred_client(&world.client.id, at(5)), &event())
            .await
            .unwrap(),
        Applied::Done
    );
    assert_eq!(
        world
            .store
            .delete_client(&world.client.id, &barred_client(&world.client.id, at(6)), &event())
            .await
            .unwrap(),
        Applied::Lost
    );
    assert!(world.store.client(&world.client.id).await.unwrap().is_none());
    let ended_at = async |grant| world.store.grant(grant).await.unwrap().unwrap().0.ended.map(|end| end.at);
    assert_eq!(ended_at(&grant).await, Some(at(5)));
    assert_eq!(ended_at(&ended_before).await, Some(at(3)));
    assert_eq!(ended_at(&spared).await, None);
    assert_eq!(world.store.rotate(&rotation, &used()).await.unwrap(), Applied::Lost);
    let reasons = "select count(*) from grants where end_reason in ('not_allowed', 'revoked')";
    assert_eq!(backend.number(reasons).await, 2);
}

async fn a_deleted_client_that_comes_back_finds_no_live_grant(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, token) = world.family().await;
    let (code, _) = world.code().await;
    let (redemption, _) = world.redemption(&code).await;
    assert_eq!(
        world
            .store
            .delete_client(&world.client.id, &barred_client(&world.client.id, at(5)), &event())
            .await
            .unwrap(),
        Applied::Done
    );
    assert_eq!(world.store.insert_client(&world.client, &event()).await.unwrap(), Applied::Done);
    assert_eq!(world.store.redeem(&redemption, &used(), &event()).await.unwrap(), Applied::Lost);
    let token = world.store.refresh_token(&token.hash()).await.unwrap().unwrap();
    assert_eq!((token.grant.id, token.grant.ended.map(|end| end.at)), (grant, Some(at(5))));
}

async fn a_grant_that_is_made_while_its_client_is_deleted_never_lives(backend: &Backend) {
    let world = World::new(backend).await;
    let other = world.through(backend.store().await);
    for _ in 0..5 {
        let answers = race(12, |i| {
            let world = if i % 2 == 0 { world.clone() } else { other.clone() };
            async move {
                if i == 5 {
                    world
                        .store
                        .delete_client(&world.client.id, &barred_client(&world.client.id, at(5)), &event())
                        .await
                        .unwrap()
                } else {
                    world.store.insert_code(&world.authorize(at(0)).1, &event()).await.unwrap()
                }
            }
        })
        .await;
        assert_eq!(answers[5], Applied::Done);
        assert_eq!(backend.number("select count(*) from grants where ended_at is null").await, 0);
        let (_, late) = world.authorize(at(0));
        assert_eq!(world.store.insert_code(&late, &event()).await.unwrap(), Applied::Lost);
        assert!(world.store.code(late.hash()).await.unwrap().is_none());
        assert_eq!(world.store.insert_client(&world.client, &event()).await.unwrap(), Applied::Done);
    }
}

fn document(id: &str, read_at: Timestamp) -> Client {
    Client { origin: Origin::Document(read_at), ..client(id) }
}

async fn a_document_client_follows_its_document_and_keeps_what_an_administrator_said(backend: &Backend) {
    let store = backend.store().await;
    let first = document("https://app.test/c.json", at(5));
    store.put_document_client(&first, &event()).await.unwrap();
    assert!(same(&store.client(&first.id).await.unwrap().unwrap(), &first));
    let sweep = barred_client(&first.id, at(6));
    assert_eq!(store.disable_client(&first.id, &sweep, &event()).await.unwrap(), Applied::Done);

    let stored = store.client(&first.id).await.unwrap().unwrap();
    let later = Client {
        name: Some("Renamed".to_owned()),
        redirect_uris: vec![RedirectUri::from_registered("https://app.test/new".to_owned())],
        created_at: at(99),
        disabled_at: None,
        ceiling: Some("write".to_owned()),
        ..document("https://app.test/c.json", at(7))
    };
    store.put_document_client(&later, &event()).await.unwrap();
    let expected = Client {
        created_at: stored.created_at,
        disabled_at: stored.disabled_at,
        revoked_until: stored.revoked_until,
        ceiling: stored.ceiling,
        ..later
    };
    assert!(same(&store.client(&first.id).await.unwrap().unwrap(), &expected));
    let lines = "select count(*) from audit_events";
    assert_eq!(backend.number(lines).await, 3, "it came, was disabled, and its addresses changed");
    // A replica with an older copy does not bring it back.
    store.put_document_client(&document("https://app.test/c.json", at(6)), &event()).await.unwrap();
    assert!(same(&store.client(&first.id).await.unwrap().unwrap(), &expected));
}

async fn a_document_never_takes_the_place_of_a_client_that_came_in_another_way(backend: &Backend) {
    let store = backend.store().await;
    let by_hand = Client { origin: Origin::Administrator, ..client("https://app.test/c.json") };
    assert_eq!(store.insert_client(&by_hand, &event()).await.unwrap(), Applied::Done);
    let published =
        Client { name: Some("Impostor".to_owned()), ..document("https://app.test/c.json", at(9)) };
    store.put_document_client(&published, &event()).await.unwrap();
    assert!(same(&store.client(&by_hand.id).await.unwrap().unwrap(), &by_hand));
}

async fn unused_registrations_are_forgotten_and_used_ones_are_not(backend: &Backend) {
    let world = World::new(backend).await;
    world.family().await;
    let by_hand = Client { origin: Origin::Administrator, ..client("by-hand") };
    let young = Client { created_at: at(100), ..client("young") };
    for client in [&client("unused-1"), &client("unused-2"), &by_hand, &young] {
        assert_eq!(world.store.insert_client(client, &event()).await.unwrap(), Applied::Done);
    }
    for published in [
        document("https://app.test/c.json", at(1)),
        Client { disabled_at: Some(at(2)), ..document("https://app.test/disabled.json", at(1)) },
        Client { ceiling: Some("read".to_owned()), ..document("https://app.test/low.json", at(1)) },
        Client {
            ceiling_places: vec![Place::parse("own").unwrap()],
            ..document("https://app.test/narrow.json", at(1))
        },
    ] {
        world.store.put_document_client(&published, &event()).await.unwrap();
    }
    assert_eq!(world.store.forget_unused_clients(at(100)).await.unwrap(), 3);
    assert_eq!(world.store.forget_unused_clients(at(100)).await.unwrap(), 0);
    let mut left: Vec<_> = world.store.clients().await.unwrap().into_iter().map(|client| client.id).collect();
    left.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    let judged = ["disabled", "low", "narrow"].map(|name| format!("https://app.test/{name}.json"));
    let judged = judged.iter().map(|id| ClientId::parse(id).unwrap());
    let expected: Vec<_> =
        [world.client.id, by_hand.id].into_iter().chain(judged).chain([young.id]).collect();
    assert_eq!(left, expected);
}

async fn a_client_that_gets_its_first_grant_now_is_not_forgotten(backend: &Backend) {
    let world = World::new(backend).await;
    let other = backend.store().await;
    for _ in 0..10 {
        let (_, issued) = world.authorize(at(0));
        let mut racers = race(2, |i| {
            let (world, other, issued) = (world.clone(), Arc::clone(&other), issued.clone());
            async move {
                match i {
                    0 => world.store.insert_code(&issued, &event()).await.unwrap() == Applied::Done,
                    _ => other.forget_unused_clients(at(9)).await.unwrap() == 1,
                }
            }
        })
        .await;
        let (forgotten, granted) = (racers.pop().unwrap(), racers.pop().unwrap());
        assert_ne!(forgotten, granted, "either the client went, or it got its grant");
        assert_eq!(world.store.client(&world.client.id).await.unwrap().is_some(), granted);
        // As if it had never been used: the next round begins as this one did.
        backend.change("delete from authorization_codes; delete from grants").await;
        world.store.insert_client(&world.client, &event()).await.map(|_| ()).unwrap();
    }
}

async fn a_client_whose_first_grant_is_under_way_is_not_forgotten(backend: &Backend) {
    let world = World::new(backend).await;
    let granting = backend.meanwhile(&world.grant_by_hand()).await;
    let store = world.store.clone();
    let answer = granting.overtakes(async move { store.forget_unused_clients(at(9)).await.unwrap() }).await;
    assert_eq!(answer, 0);
    assert!(world.store.client(&world.client.id).await.unwrap().is_some());
    assert_eq!(backend.number("select count(*) from grants where ended_at is null").await, 1);
}

async fn a_grant_that_is_under_way_when_its_client_is_deleted_ends(backend: &Backend) {
    let world = World::new(backend).await;
    let granting = backend.meanwhile(&world.grant_by_hand()).await;
    let (store, id) = (world.store.clone(), world.client.id.clone());
    let answer = granting
        .overtakes(
            async move { store.delete_client(&id, &barred_client(&id, at(5)), &event()).await.unwrap() },
        )
        .await;
    assert_eq!(answer, Applied::Done);
    assert!(world.store.client(&world.client.id).await.unwrap().is_none());
    assert_eq!(backend.number("select count(*) from grants where ended_at is not null").await, 1);
}

async fn a_client_has_two_secrets_at_most_and_the_oldest_goes_first(backend: &Backend) {
    let store = backend.store().await;
    let [first, second, third] = [secret().hash(), secret().hash(), secret().hash()];
    let credentials = Credentials::confidential(ConfidentialMethod::Post, first);
    let client = Client { origin: Origin::Administrator, credentials, ..client("rotating") };
    assert_eq!(store.insert_client(&client, &event()).await.unwrap(), Applied::Done);
    let secrets = async || match store.client(&client.id).await.unwrap().unwrap().credentials {
        Credentials::Confidential { secret, former, .. } => (secret, former),
        Credentials::Public => panic!("it is confidential"),
    };
    assert_eq!(store.retire_client_secret(&client.id, &event()).await.unwrap(), Applied::Lost);
    // Whoever rotates what is not the first of the two any more has lost a race.
    for (secrets, answer) in [
        ((&first, &second), Applied::Done),
        ((&first, &third), Applied::Lost),
        ((&second, &third), Applied::Done),
    ] {
        assert_eq!(store.rotate_client_secret(&client.id, secrets, &event()).await.unwrap(), answer);
    }
    assert_eq!(secrets().await, (third, Some(second)));
    assert_eq!(store.retire_client_secret(&client.id, &event()).await.unwrap(), Applied::Done);
    assert_eq!(secrets().await, (third, None));
}

async fn a_code_for_a_client_whose_deletion_is_under_way_is_lost(backend: &Backend) {
    let world = World::new(backend).await;
    let (code, issued) = world.authorize(at(0));
    let deleting = backend.meanwhile("delete from clients").await;
    let store = world.store.clone();
    let answer = deleting.overtakes(async move { store.insert_code(&issued, &event()).await.unwrap() }).await;
    assert_eq!(answer, Applied::Lost);
    assert!(world.store.code(&code.hash()).await.unwrap().is_none());
    assert_eq!(backend.number("select count(*) from grants").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_verb_that_postgres_rolls_back_for_a_deadlock_is_tried_again() {
    let backend = Backend::postgres().await;
    let world = World::new(&backend).await;
    world.family().await;
    // The other one never looks for deadlocks, so it is the verb that is rolled back.
    let locking = "set local deadlock_timeout = '60s'; select 1 from clients for update";
    let mut other = backend.meanwhile(locking).await;
    let (store, id) = (world.store.clone(), world.client.id.clone());
    let verb =
        tokio::spawn(
            async move { store.delete_client(&id, &barred_client(&id, at(5)), &event()).await.unwrap() },
        );
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    other.and("update grants set last_used_at = 1").await;
    other.and("commit").await;
    assert_eq!(verb.await.unwrap(), Applied::Done);
    assert_eq!(backend.number("select count(*) from grants where ended_at is not null").await, 1);
    backend.drop().await;
}
