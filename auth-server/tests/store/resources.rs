//! Resource servers.

use doorward::{domain::resource::Resource, store::Applied};
use doorward_shared::{
    permission::{Permission, PermissionModel, Tier},
    resource::ResourceUri,
    secret::{ClientSecret, Secret, SecretHash},
};

use crate::{
    backend::{Backend, at, race, secret},
    world::{World, barred_resource, event, resource, used},
};

on_each_backend! {
    what_is_stored_of_a_resource_comes_back_as_it_was,
    a_resource_is_found_and_taken_in_every_spelling,
    resources_are_listed_by_address,
    another_secret_leaves_the_one_before_until_it_is_retired,
    removing_a_resource_ends_its_grants_and_nobody_elses,
    a_grant_that_is_made_while_its_resource_is_removed_never_lives,
    a_grant_that_is_under_way_when_its_resource_is_removed_ends,
}

fn same(a: &Resource, b: &Resource) -> bool {
    format!("{a:?}") == format!("{b:?}") && a.secret == b.secret
}

async fn what_is_stored_of_a_resource_comes_back_as_it_was(backend: &Backend) {
    let store = backend.store().await;
    let permission = Permission { name: "notes:read".to_owned(), tools: vec!["whoami".to_owned()] };
    let tier = Tier {
        id: "read".to_owned(),
        title: "Lesen 📖".to_owned(),
        sentence: "Liest \"alles\", sogar 🦊.".to_owned(),
        permissions: vec!["notes:read".to_owned()],
        irreversible: true,
    };
    let model = PermissionModel::new(vec![permission], vec![tier]).unwrap();
    let own = Resource { model, ..resource("https://notes.test/mcp?tenant=1") };
    for stored in [resource("HTTP://LocalHost:9100/mcp/"), own] {
        assert_eq!(store.insert_resource(&stored, &event()).await.unwrap(), Applied::Done);
        assert!(same(&store.resource(&stored.uri).await.unwrap().unwrap(), &stored));
    }
}

async fn a_resource_is_found_and_taken_in_every_spelling(backend: &Backend) {
    let store = backend.store().await;
    let stored = resource("https://mcp.test/a");
    assert_eq!(store.insert_resource(&stored, &event()).await.unwrap(), Applied::Done);
    for spelling in ["https://MCP.test:443/a/", "https://mcp.test/a"] {
        let uri = ResourceUri::parse(spelling).unwrap();
        assert!(same(&store.resource(&uri).await.unwrap().unwrap(), &stored));
        assert_eq!(store.insert_resource(&resource(spelling), &event()).await.unwrap(), Applied::Lost);
    }
    assert!(store.resource(&ResourceUri::parse("https://mcp.test/A").unwrap()).await.unwrap().is_none());
}

async fn resources_are_listed_by_address(backend: &Backend) {
    let store = backend.store().await;
    let sorted = ["http://a.test/Z", "http://a.test/a", "http://b.test/", "https://a.test/"];
    for at in [2, 0, 3, 1] {
        assert_eq!(store.insert_resource(&resource(sorted[at]), &event()).await.unwrap(), Applied::Done);
    }
    let listed = store.resources().await.unwrap();
    assert_eq!(listed.iter().map(|resource| resource.uri.as_str()).collect::<Vec<_>>(), sorted);
}

async fn another_secret_leaves_the_one_before_until_it_is_retired(backend: &Backend) {
    let store = backend.store().await;
    let stored = resource("https://mcp.test/a");
    let uri = &stored.uri;
    assert_eq!(store.insert_resource(&stored, &event()).await.unwrap(), Applied::Done);
    let [second, third] = [secret(), secret()];
    let known = async |one: &Secret<ClientSecret>| store.resource(uri).await.unwrap().unwrap().knows(one);
    let rotate = async |before: &SecretHash<ClientSecret>, after: &Secret<ClientSecret>| {
        store.rotate_resource_secret(uri, (before, &after.hash()), &event()).await.unwrap()
    };
    assert_eq!(store.retire_resource_secret(uri, &event()).await.unwrap(), Applied::Lost);
    assert_eq!(rotate(&stored.secret, &second).await, Applied::Done);
    assert_eq!(rotate(&stored.secret, &third).await, Applied::Lost, "it is not the one in use any more");
    let now = store.resource(uri).await.unwrap().unwrap();
    assert_eq!((now.secret, now.former), (second.hash(), Some(stored.secret)));
    assert_eq!(rotate(&second.hash(), &third).await, Applied::Done);
    assert_eq!(store.resource(uri).await.unwrap().unwrap().former, Some(second.hash()), "of three, two");
    assert_eq!((known(&second).await, known(&third).await), (true, true));
    assert_eq!(store.retire_resource_secret(uri, &event()).await.unwrap(), Applied::Done);
    assert_eq!((known(&second).await, known(&third).await), (false, true));
}

async fn removing_a_resource_ends_its_grants_and_nobody_elses(backend: &Backend) {
    let world = World::new(backend).await;
    let other = World { resource: resource("https://mcp.test/b"), ..world.clone() };
    assert_eq!(other.store.insert_resource(&other.resource, &event()).await.unwrap(), Applied::Done);
    let (grant, token) = world.family().await;
    let (spared, _) = other.family().await;
    let (rotation, _) = world.rotation(&token).await;
    let spelling = ResourceUri::parse("https://MCP.test/a/").unwrap();
    assert_eq!(
        world.store.remove_resource(&spelling, &barred_resource(&spelling, at(5)), &event()).await.unwrap(),
        Applied::Done
    );
    assert_eq!(
        world.store.remove_resource(&spelling, &barred_resource(&spelling, at(6)), &event()).await.unwrap(),
        Applied::Lost
    );
    assert!(world.store.resource(&world.resource.uri).await.unwrap().is_none());
    assert_eq!(world.store.grant(&grant).await.unwrap().unwrap().0.ended.map(|end| end.at), Some(at(5)));
    assert_eq!(world.store.grant(&spared).await.unwrap().unwrap().0.ended, None);
    // Registering it again revives nothing.
    assert_eq!(world.store.insert_resource(&world.resource, &event()).await.unwrap(), Applied::Done);
    assert_eq!(world.store.rotate(&rotation, &used()).await.unwrap(), Applied::Lost);
}

async fn a_grant_that_is_made_while_its_resource_is_removed_never_lives(backend: &Backend) {
    let world = World::new(backend).await;
    let other = world.through(backend.store().await);
    for _ in 0..5 {
        let answers = race(12, |i| {
            let world = if i % 2 == 0 { world.clone() } else { other.clone() };
            async move {
                if i == 5 {
                    world
                        .store
                        .remove_resource(
                            &world.resource.uri,
                            &barred_resource(&world.resource.uri, at(5)),
                            &event(),
                        )
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
        assert_eq!(world.store.insert_resource(&world.resource, &event()).await.unwrap(), Applied::Done);
    }
}

async fn a_grant_that_is_under_way_when_its_resource_is_removed_ends(backend: &Backend) {
    let world = World::new(backend).await;
    let granting = backend.meanwhile(&world.grant_by_hand()).await;
    let (store, uri) = (world.store.clone(), world.resource.uri.clone());
    let answer = granting
        .overtakes(async move {
            store.remove_resource(&uri, &barred_resource(&uri, at(5)), &event()).await.unwrap()
        })
        .await;
    assert_eq!(answer, Applied::Done);
    assert!(world.store.resource(&world.resource.uri).await.unwrap().is_none());
    assert_eq!(backend.number("select count(*) from grants where ended_at is not null").await, 1);
}
