//! People and the setup link.

use std::sync::Arc;

use doorward::{
    domain::{
        email::Email,
        user::{PasswordChange, PasswordHash, User},
    },
    store::{Applied, StoreError},
};

use crate::{
    backend::{Backend, at, link, race},
    world::{World, barred_user, event, event_at, session, used, user},
};

on_each_backend! {
    what_is_stored_of_a_person_comes_back_as_it_was,
    an_address_is_taken_once,
    people_are_listed_by_address,
    disabling_a_person_ends_their_sessions_and_nobody_elses,
    disabling_a_person_ends_their_grants_and_enabling_revives_none,
    enabling_a_person_does_not_bring_sessions_back,
    the_password_of_a_moment_ago_opens_no_session,
    a_sign_in_beside_a_change_of_the_password_leaves_no_session,
    of_many_who_register_one_address_one_succeeds,
    a_new_setup_link_replaces_the_old_one,
    a_setup_link_makes_one_administrator_and_is_spent,
    a_setup_link_is_used_once_by_many_racers,
    a_setup_link_is_not_spent_when_the_address_is_taken,
    a_setup_link_that_is_being_used_is_not_replaced,
    no_setup_link_is_live_once_there_is_an_administrator,
    of_two_servers_that_start_together_one_link_is_live,
    a_row_that_makes_no_sense_is_named_by_table_and_column,
}

fn admin(email: &str) -> User {
    User { admin_since: Some(at(5)), created_at: at(5), ..user(email) }
}

fn same(a: &User, b: &User) -> bool {
    format!("{a:?}") == format!("{b:?}") && a.password == b.password
}

async fn what_is_stored_of_a_person_comes_back_as_it_was(backend: &Backend) {
    let store = backend.store().await;
    let plain = User { name: None, groups: vec![], ..user("bob@example.test") };
    let full = User { admin_since: Some(at(1)), disabled_at: Some(at(2)), ..user("alice@example.test") };
    for person in [plain, full] {
        assert_eq!(store.insert_user(&person, &event()).await.unwrap(), Applied::Done);
        assert!(same(&store.user(&person.id).await.unwrap().unwrap(), &person));
        assert!(same(&store.user_by_email(&person.email).await.unwrap().unwrap(), &person));
    }
    assert!(store.user(&user("x@example.test").id).await.unwrap().is_none());
    assert!(store.user_by_email(&user("x@example.test").email).await.unwrap().is_none());
}

async fn an_address_is_taken_once(backend: &Backend) {
    let store = backend.store().await;
    let first = user("alice@example.test");
    assert_eq!(store.insert_user(&first, &event()).await.unwrap(), Applied::Done);
    assert_eq!(store.insert_user(&user("alice@example.test"), &event()).await.unwrap(), Applied::Lost);
    let people = store.users().await.unwrap();
    assert_eq!(people.len(), 1);
    assert!(same(&people[0], &first));
}

async fn people_are_listed_by_address(backend: &Backend) {
    let store = backend.store().await;
    // An order of which the collations of databases think differently.
    let sorted = ["a+z@x.test", "a-b@x.test", "a.b@x.test", "a_b@x.test", "ab@x.test"];
    for email in ["ab@x.test", "a_b@x.test", "a+z@x.test", "a.b@x.test", "a-b@x.test"] {
        assert_eq!(store.insert_user(&user(email), &event()).await.unwrap(), Applied::Done);
    }
    let listed: Vec<_> = store.users().await.unwrap().into_iter().map(|user| user.email).collect();
    assert_eq!(listed.iter().map(Email::as_str).collect::<Vec<_>>(), sorted);
}

async fn disabling_a_person_ends_their_sessions_and_nobody_elses(backend: &Backend) {
    let store = backend.store().await;
    let (alice, bob) = (user("alice@x.test"), user("bob@x.test"));
    let mut sessions = Vec::new();
    for person in [&alice, &alice, &bob] {
        store.insert_user(person, &event()).await.map(|_| ()).unwrap();
        let session = session(person, at(1));
        assert_eq!(store.open_session(&session, None, &event()).await.unwrap(), Applied::Done);
        sessions.push(session.hash);
    }
    let early = at(2);
    assert_eq!(store.end_session(&sessions[0], &event_at(early)).await.unwrap(), Applied::Done);
    assert_eq!(
        store.disable_user(&alice.id, &barred_user(&alice.id, at(3)), &event()).await.unwrap(),
        Applied::Done
    );
    let mut ended = Vec::new();
    for hash in &sessions {
        ended.push(store.session(hash).await.unwrap().unwrap().0.ended_at);
    }
    assert_eq!(ended, [Some(early), Some(at(3)), None]);
    assert_eq!(store.user(&alice.id).await.unwrap().unwrap().disabled_at, Some(at(3)));
    assert_eq!(store.user(&bob.id).await.unwrap().unwrap().disabled_at, None);
    let stranger = user("nobody@x.test").id;
    let barred = barred_user(&stranger, at(3));
    assert_eq!(store.disable_user(&stranger, &barred, &event()).await.unwrap(), Applied::Lost);
    assert_eq!(store.enable_user(&stranger, &barred, &event()).await.unwrap(), Applied::Lost);
}

async fn disabling_a_person_ends_their_grants_and_enabling_revives_none(backend: &Backend) {
    let world = World::new(backend).await;
    let bob = user("bob@x.test");
    assert_eq!(world.store.insert_user(&bob, &event()).await.unwrap(), Applied::Done);
    let bobs = World { session: session(&bob, at(0)), user: bob, ..world.clone() };
    assert_eq!(bobs.store.open_session(&bobs.session, None, &event()).await.unwrap(), Applied::Done);
    let (grant, token) = world.family().await;
    let (spared, _) = bobs.family().await;
    let (rotation, _) = world.rotation(&token).await;
    let id = &world.user.id;
    for disabling in [true, false] {
        let set = if disabling {
            world.store.disable_user(id, &barred_user(id, at(3)), &event()).await
        } else {
            world.store.enable_user(id, &barred_user(id, at(9)), &event()).await
        };
        assert_eq!(set.unwrap(), Applied::Done);
        assert_eq!(world.store.rotate(&rotation, &used()).await.unwrap(), Applied::Lost);
    }
    assert_eq!(world.store.grant(&grant).await.unwrap().unwrap().0.ended.map(|end| end.at), Some(at(3)));
    assert_eq!(world.store.grant(&spared).await.unwrap().unwrap().0.ended, None);
}

async fn enabling_a_person_does_not_bring_sessions_back(backend: &Backend) {
    let store = backend.store().await;
    let alice = user("alice@x.test");
    assert_eq!(store.insert_user(&alice, &event()).await.unwrap(), Applied::Done);
    assert_eq!(
        store.disable_user(&alice.id, &barred_user(&alice.id, at(3)), &event()).await.unwrap(),
        Applied::Done
    );
    // A sign-in that was checked before the account was disabled and stored after.
    let late = session(&alice, at(2));
    assert_eq!(store.open_session(&late, None, &event()).await.unwrap(), Applied::Lost);
    assert_eq!(
        store.enable_user(&alice.id, &barred_user(&alice.id, at(9)), &event()).await.unwrap(),
        Applied::Done
    );
    assert!(store.session(&late.hash).await.unwrap().is_none());
}

async fn the_password_of_a_moment_ago_opens_no_session(backend: &Backend) {
    let store = backend.store().await;
    let alice = user("alice@x.test");
    assert_eq!(store.insert_user(&alice, &event()).await.unwrap(), Applied::Done);
    let (before, after) = (&alice.password, PasswordHash::from_phc("$argon2id$another".to_owned()));
    let early = session(&alice, at(1));
    assert_eq!(store.open_session(&early, Some(before), &event()).await.unwrap(), Applied::Done);
    let change = PasswordChange {
        user: alice.id.clone(),
        before: before.clone(),
        after: after.clone(),
        keep: None,
        sweep: None,
    };
    assert_eq!(store.change_password(&change, &event_at(at(2))).await.unwrap(), Applied::Done);
    assert_eq!(store.session(&early.hash).await.unwrap().unwrap().0.ended_at, Some(at(2)));
    // It was right when it was looked at.
    let late = session(&alice, at(3));
    assert_eq!(store.open_session(&late, Some(before), &event()).await.unwrap(), Applied::Lost);
    assert!(store.session(&late.hash).await.unwrap().is_none());
    assert_eq!(store.open_session(&late, Some(&after), &event()).await.unwrap(), Applied::Done);
}

/// Of a sign-in and a change of the password at one moment, the sign-in is refused, or its session is ended: never neither.
async fn a_sign_in_beside_a_change_of_the_password_leaves_no_session(backend: &Backend) {
    for turn in 0..16 {
        let store = backend.store().await;
        let alice = user(&format!("{turn}@x.test"));
        assert_eq!(store.insert_user(&alice, &event()).await.unwrap(), Applied::Done);
        let session = session(&alice, at(1));
        let change = PasswordChange {
            user: alice.id.clone(),
            before: alice.password.clone(),
            after: PasswordHash::from_phc("$argon2id$another".to_owned()),
            keep: None,
            sweep: None,
        };
        let (at_two, at_one) = (event_at(at(2)), event());
        let (changed, opened) = tokio::join!(
            store.change_password(&change, &at_two),
            store.open_session(&session, Some(&alice.password), &at_one)
        );
        assert_eq!(changed.unwrap(), Applied::Done);
        let there = store.session(&session.hash).await.unwrap();
        match opened.unwrap() {
            Applied::Done => assert_eq!(there.unwrap().0.ended_at, Some(at(2))),
            Applied::Lost => assert!(there.is_none()),
        }
    }
}

async fn of_many_who_register_one_address_one_succeeds(backend: &Backend) {
    let (one, two) = (backend.store().await, backend.store().await);
    let answers = race(16, |i| {
        let store = Arc::clone(if i % 2 == 0 { &one } else { &two });
        async move { store.insert_user(&user("alice@x.test"), &event()).await.unwrap() }
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1);
    assert_eq!(one.users().await.unwrap().len(), 1);
}

async fn a_new_setup_link_replaces_the_old_one(backend: &Backend) {
    let store = backend.store().await;
    let (old, new) = (link().hash(), link().hash());
    assert!(!store.setup_link_is_live(&old).await.unwrap());
    assert_eq!(store.put_setup_link(&old, at(0)).await.unwrap(), Applied::Done);
    assert!(store.setup_link_is_live(&old).await.unwrap());
    assert_eq!(store.put_setup_link(&new, at(1)).await.unwrap(), Applied::Done);
    assert!(!store.setup_link_is_live(&old).await.unwrap());
    assert!(store.setup_link_is_live(&new).await.unwrap());
    assert_eq!(store.use_setup_link(&old, &admin("root@x.test"), &event()).await.unwrap(), Applied::Lost);
    assert!(store.users().await.unwrap().is_empty());
}

async fn a_setup_link_makes_one_administrator_and_is_spent(backend: &Backend) {
    let store = backend.store().await;
    let link = link().hash();
    assert_eq!(store.put_setup_link(&link, at(0)).await.unwrap(), Applied::Done);
    assert!(!store.has_administrator().await.unwrap());
    assert_eq!(store.use_setup_link(&link, &admin("root@x.test"), &event()).await.unwrap(), Applied::Done);
    assert!(store.has_administrator().await.unwrap());
    assert!(!store.setup_link_is_live(&link).await.unwrap());
    assert_eq!(store.use_setup_link(&link, &admin("thief@x.test"), &event()).await.unwrap(), Applied::Lost);
    assert_eq!(store.put_setup_link(&crate::backend::link().hash(), at(9)).await.unwrap(), Applied::Lost);
    assert_eq!(store.users().await.unwrap().len(), 1);
}

async fn a_setup_link_is_used_once_by_many_racers(backend: &Backend) {
    let (one, two) = (backend.store().await, backend.store().await);
    let link = link().hash();
    assert_eq!(one.put_setup_link(&link, at(0)).await.unwrap(), Applied::Done);
    let answers = race(16, |i| {
        let store = Arc::clone(if i % 2 == 0 { &one } else { &two });
        async move { store.use_setup_link(&link, &admin(&format!("root{i}@x.test")), &event()).await.unwrap() }
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1);
    assert_eq!(one.users().await.unwrap().len(), 1);
}

async fn a_setup_link_is_not_spent_when_the_address_is_taken(backend: &Backend) {
    let store = backend.store().await;
    let link = link().hash();
    assert_eq!(store.put_setup_link(&link, at(0)).await.unwrap(), Applied::Done);
    assert_eq!(store.insert_user(&user("root@x.test"), &event()).await.unwrap(), Applied::Done);
    assert_eq!(store.use_setup_link(&link, &admin("root@x.test"), &event()).await.unwrap(), Applied::Lost);
    assert!(store.setup_link_is_live(&link).await.unwrap());
    assert!(!store.has_administrator().await.unwrap());
    assert_eq!(store.use_setup_link(&link, &admin("other@x.test"), &event()).await.unwrap(), Applied::Done);
}

async fn a_setup_link_that_is_being_used_is_not_replaced(backend: &Backend) {
    let store = backend.store().await;
    let (link, another) = (link().hash(), link().hash());
    assert_eq!(store.put_setup_link(&link, at(0)).await.unwrap(), Applied::Done);
    let using = backend.meanwhile("update setup_links set used_at = 1").await;
    let replacing = Arc::clone(&store);
    let answer =
        using.overtakes(async move { replacing.put_setup_link(&another, at(1)).await.unwrap() }).await;
    assert_eq!(answer, Applied::Lost);
    assert!(!store.setup_link_is_live(&another).await.unwrap());
}

async fn no_setup_link_is_live_once_there_is_an_administrator(backend: &Backend) {
    let store = backend.store().await;
    let link = link().hash();
    assert_eq!(store.put_setup_link(&link, at(0)).await.unwrap(), Applied::Done);
    assert_eq!(store.insert_user(&admin("root@x.test"), &event()).await.unwrap(), Applied::Done);
    assert!(!store.setup_link_is_live(&link).await.unwrap());
    assert_eq!(store.use_setup_link(&link, &admin("thief@x.test"), &event()).await.unwrap(), Applied::Lost);
    assert_eq!(store.put_setup_link(&link, at(1)).await.unwrap(), Applied::Lost);
}

async fn of_two_servers_that_start_together_one_link_is_live(backend: &Backend) {
    let (one, two) = (backend.store().await, backend.store().await);
    let links: Vec<_> = (0..8).map(|_| link().hash()).collect();
    race(links.len(), |i| {
        let (store, link) = (Arc::clone(if i % 2 == 0 { &one } else { &two }), links[i]);
        async move { store.put_setup_link(&link, at(0)).await.unwrap() }
    })
    .await;
    let mut live = 0;
    for link in &links {
        live += u32::from(one.setup_link_is_live(link).await.unwrap());
    }
    assert_eq!(live, 1);
}

async fn a_row_that_makes_no_sense_is_named_by_table_and_column(backend: &Backend) {
    let store = backend.store().await;
    assert_eq!(store.insert_user(&user("alice@x.test"), &event()).await.unwrap(), Applied::Done);
    for (sql, expected) in [
        ("update users set group_names = '[1]'", "group_names"),
        ("update users set group_names = '[]', organization = 'nonsense'", "organization"),
    ] {
        assert_eq!(backend.change(sql).await, 1);
        match store.users().await {
            Err(StoreError::Row { table, column }) => assert_eq!((table, column), ("users", expected)),
            other => panic!("{other:?}"),
        }
    }
}
