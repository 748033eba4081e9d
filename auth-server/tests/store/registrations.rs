//! What clients that registered themselves do with their registration afterwards (RFC 7592).

use std::sync::Arc;

use doorward::{
    domain::{
        client::{Client, Origin},
        grant::EndReason,
        organization::Place,
        registration::{Registrant, Replacement, metadata_of},
    },
    store::Applied,
};
use doorward_shared::{
    client_metadata::ClientMetadata,
    redirect_uri::RedirectUri,
    revocation::Claim,
    secret::{RegistrationToken, Secret, SystemEntropy},
};
use serde_json::{Map, json};

use crate::{
    backend::{Backend, at, race},
    world::{World, barred_client, client, event, policy},
};

on_each_backend! {
    of_many_changes_with_one_token_one_is_made,
    other_addresses_end_what_was_allowed_in_the_same_transaction,
    a_change_of_words_ends_nothing_and_leaves_what_others_have_set,
    a_client_goes_by_its_own_word_with_all_that_it_was_allowed,
    a_disabled_client_changes_nothing,
    no_other_client_has_a_registration_token,
}

pub(crate) fn token() -> Secret<RegistrationToken> {
    Secret::generate(&SystemEntropy)
}

/// The client of the world, as one that registered itself with this token.
async fn registered(world: &World, token: &Secret<RegistrationToken>) -> World {
    let client = Client {
        registration_token: Some(token.hash()),
        ceiling: Some("destroy".to_owned()),
        ceiling_places: vec![Place::parse("own").unwrap()],
        ..client("dcr_1")
    };
    assert_eq!(world.store.insert_client(&client, &event()).await.unwrap(), Applied::Done);
    World { client, ..world.clone() }
}

async fn registrant(world: &World, token: &Secret<RegistrationToken>) -> Registrant {
    let client = world.store.client(&world.client.id).await.unwrap();
    Registrant::prove(client, Some(token)).unwrap()
}

/// The verdict that the client says something else about itself.
async fn replacement(
    world: &World,
    (before, after): (&Secret<RegistrationToken>, &Secret<RegistrationToken>),
    change: impl FnOnce(&mut ClientMetadata),
) -> Replacement {
    let registrant = registrant(world, before).await;
    let mut metadata = metadata_of(registrant.client());
    change(&mut metadata);
    let body = Map::from_iter([("client_id".to_owned(), json!(world.client.id.as_str()))]);
    registrant.replace(&body, &metadata, after.hash(), &policy(), at(5)).unwrap()
}

async fn of_many_changes_with_one_token_one_is_made(backend: &Backend) {
    let mine = token();
    let world = registered(&World::new(backend).await, &mine).await;
    let mut replacements = Vec::new();
    let tokens: Vec<_> = (0..8).map(|_| token()).collect();
    for (i, next) in tokens.iter().enumerate() {
        let named = |metadata: &mut ClientMetadata| metadata.client_name = Some(format!("Name {i}"));
        replacements.push(replacement(&world, (&mine, next), named).await);
    }
    let replacements = Arc::new(replacements);
    let answers = race(8, |i| {
        let (store, replacements) = (Arc::clone(&world.store), Arc::clone(&replacements));
        async move { store.replace_registration(&replacements[i], &event()).await.unwrap() }
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1);
    let stored = world.store.client(&world.client.id).await.unwrap().unwrap();
    let winner = tokens.iter().position(|token| Some(token.hash()) == stored.registration_token).unwrap();
    assert_eq!(stored.name, Some(format!("Name {winner}")));
    // The token from before is good for nothing, not even to go.
    let spent = registrant_of(&world, &mine).deregister(&policy(), at(6));
    assert_eq!(world.store.deregister(&spent, &event()).await.unwrap(), Applied::Lost);
    assert!(world.store.client(&world.client.id).await.unwrap().is_some());
}

/// The proof that the client of the world gave when it was made.
fn registrant_of(world: &World, token: &Secret<RegistrationToken>) -> Registrant {
    Registrant::prove(Some(world.client.clone()), Some(token)).unwrap()
}

async fn other_addresses_end_what_was_allowed_in_the_same_transaction(backend: &Backend) {
    let (mine, next) = (token(), token());
    let plain = World::new(backend).await;
    let (spared, _) = plain.family().await;
    let world = registered(&plain, &mine).await;
    let (grant, _) = world.family().await;
    let moved = |metadata: &mut ClientMetadata| {
        metadata.redirect_uris = vec![RedirectUri::register("https://elsewhere.test/cb", &[]).unwrap()];
    };
    let replacement = replacement(&world, (&mine, &next), moved).await;
    assert_eq!(world.store.replace_registration(&replacement, &event()).await.unwrap(), Applied::Done);
    let ended = async |id| world.store.grant(id).await.unwrap().unwrap().0.ended;
    assert_eq!(ended(&grant).await.map(|end| (end.at, end.reason)), Some((at(5), EndReason::Revoked)));
    assert_eq!(ended(&spared).await, None);
    let entries = world.store.revocations_after(0, 10, at(0)).await.unwrap();
    assert_eq!(entries.len(), 1);
    let named = (entries[0].claim, entries[0].value.as_str(), entries[0].issued_until);
    assert_eq!(named, (Claim::ClientId, "dcr_1", Some(at(5))));
    // Tokens that are allowed from now on are dated after it.
    let stored = world.store.client(&world.client.id).await.unwrap().unwrap();
    assert_eq!(stored.revoked_until, Some(at(5)));
    assert_eq!(stored.redirect_uris[0].as_str(), "https://elsewhere.test/cb");
    assert_eq!(
        backend.number("select count(*) from audit_events where detail like '%\"grants\":1%'").await,
        1
    );
}

async fn a_change_of_words_ends_nothing_and_leaves_what_others_have_set(backend: &Backend) {
    let (mine, next) = (token(), token());
    let world = registered(&World::new(backend).await, &mine).await;
    let (grant, _) = world.family().await;
    let named = |metadata: &mut ClientMetadata| {
        metadata.client_name = None;
        metadata.about.software_id = None;
    };
    let replacement = replacement(&world, (&mine, &next), named).await;
    assert_eq!(world.store.replace_registration(&replacement, &event()).await.unwrap(), Applied::Done);
    let stored = world.store.client(&world.client.id).await.unwrap().unwrap();
    assert_eq!((&stored.name, &stored.about.software_id), (&None, &None));
    assert_eq!(stored.registration_token, Some(next.hash()));
    assert_eq!(
        (&stored.ceiling, &stored.ceiling_places),
        (&world.client.ceiling, &world.client.ceiling_places)
    );
    assert_eq!((stored.created_at, stored.origin), (world.client.created_at, Origin::Dynamic));
    assert_eq!(world.store.grant(&grant).await.unwrap().unwrap().0.ended, None);
    assert!(world.store.revocations_after(0, 10, at(0)).await.unwrap().is_empty());
}

async fn a_client_goes_by_its_own_word_with_all_that_it_was_allowed(backend: &Backend) {
    let mine = token();
    let world = registered(&World::new(backend).await, &mine).await;
    let (grant, _) = world.family().await;
    let going = registrant(&world, &mine).await.deregister(&policy(), at(5));
    assert_eq!(world.store.deregister(&going, &event()).await.unwrap(), Applied::Done);
    assert_eq!(world.store.deregister(&going, &event()).await.unwrap(), Applied::Lost);
    assert!(world.store.client(&world.client.id).await.unwrap().is_none());
    let ended = world.store.grant(&grant).await.unwrap().unwrap().0.ended;
    assert_eq!(ended.map(|end| end.at), Some(at(5)));
    let entries = world.store.revocations_after(0, 10, at(0)).await.unwrap();
    assert_eq!((entries.len(), entries[0].claim, entries[0].value.as_str()), (1, Claim::ClientId, "dcr_1"));
}

async fn a_disabled_client_changes_nothing(backend: &Backend) {
    let (mine, next) = (token(), token());
    let world = registered(&World::new(backend).await, &mine).await;
    // Both were decided just before an administrator came.
    let replacement = replacement(&world, (&mine, &next), |_| {}).await;
    let going = registrant(&world, &mine).await.deregister(&policy(), at(5));
    let barred = barred_client(&world.client.id, at(4));
    assert_eq!(world.store.disable_client(&world.client.id, &barred, &event()).await.unwrap(), Applied::Done);
    assert_eq!(world.store.replace_registration(&replacement, &event()).await.unwrap(), Applied::Lost);
    assert_eq!(world.store.deregister(&going, &event()).await.unwrap(), Applied::Lost);
    let stored = world.store.client(&world.client.id).await.unwrap().unwrap();
    assert_eq!((stored.disabled_at, stored.registration_token), (Some(at(4)), Some(mine.hash())));
}

async fn no_other_client_has_a_registration_token(backend: &Backend) {
    let store = backend.store().await;
    let registration_token = Some(token().hash());
    let made = Client { origin: Origin::Administrator, registration_token, ..client("own") };
    assert!(store.insert_client(&made, &event()).await.is_err());
}
