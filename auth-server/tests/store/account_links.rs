//! One-time links: invitations and resets.

use std::sync::Arc;

use doorward::{
    domain::{
        audit::{Action, Actor, Event},
        link::{Link, Purpose},
        passkey::Passkey,
        user::{Clearance, PasswordChange, PasswordHash, User},
    },
    store::{Applied, EventFilter},
};
use doorward_shared::{
    secret::{AccountLink, Secret, SecretHash, SystemEntropy},
    time::Seconds,
};

use crate::{
    backend::{Backend, at, race},
    identities::{identity, unlinking},
    proofs::passkey,
    world::{World, barred_user, event, event_at, user},
};

on_each_backend! {
    an_invitation_comes_back_as_it_was_and_makes_one_account,
    an_invitation_is_for_its_own_address_and_for_its_day,
    a_newer_link_replaces_the_older_and_nobody_is_invited_who_is_there,
    a_reset_link_replaces_the_password_once_and_for_its_own_account,
    a_password_that_was_changed_takes_the_reset_links_along,
    a_reset_takes_passkeys_and_links_along_or_leaves_all_as_it_was,
    of_many_who_use_one_link_one_succeeds,
    links_are_forgotten_after_their_time,
}

fn fresh() -> SecretHash<AccountLink> {
    Secret::generate(&SystemEntropy).hash()
}

fn invitation(email: &str) -> Link {
    let purpose = Purpose::Invitation {
        name: Some("Bob".to_owned()),
        groups: vec!["staff".to_owned(), "ops".to_owned()],
    };
    Link::new(fresh(), purpose, user(email).email, at(0))
}

fn reset(of: &User) -> Link {
    Link::new(fresh(), Purpose::Reset(of.id.clone()), of.email.clone(), at(0))
}

fn change(of: &User) -> PasswordChange {
    let after = PasswordHash::from_phc(format!("$argon2id$v=19$m=1,t=1,p=1$c2FsdA${}", fresh().to_text()));
    PasswordChange { user: of.id.clone(), before: of.password.clone(), after, keep: None, sweep: None }
}

async fn an_invitation_comes_back_as_it_was_and_makes_one_account(backend: &Backend) {
    let store = backend.store().await;
    let link = invitation("bob@x.test");
    assert_eq!(store.put_account_link(&link, &event()).await.unwrap(), Applied::Done);
    let found = store.account_link(&link.hash).await.unwrap().unwrap();
    assert_eq!(format!("{found:?}"), format!("{link:?}"));
    let bob = user("bob@x.test");
    assert_eq!(store.accept_invitation(&link.hash, &bob, &event()).await.unwrap(), Applied::Done);
    assert!(store.user_by_email(&bob.email).await.unwrap().is_some());
    let again = user("bob@x.test");
    assert_eq!(store.accept_invitation(&link.hash, &again, &event()).await.unwrap(), Applied::Lost);
    assert!(!store.account_link(&link.hash).await.unwrap().unwrap().is_live(at(1)));
    assert!(store.account_link(&fresh()).await.unwrap().is_none());
}

async fn an_invitation_is_for_its_own_address_and_for_its_day(backend: &Backend) {
    let store = backend.store().await;
    let link = invitation("bob@x.test");
    assert_eq!(store.put_account_link(&link, &event()).await.unwrap(), Applied::Done);
    let mallory = user("mallory@x.test");
    let late = User { created_at: at(86_400), ..user("bob@x.test") };
    for wrong in [&mallory, &late] {
        assert_eq!(store.accept_invitation(&link.hash, wrong, &event()).await.unwrap(), Applied::Lost);
        assert!(store.user(&wrong.id).await.unwrap().is_none());
    }
    let in_time = User { created_at: at(86_399), ..user("bob@x.test") };
    assert_eq!(store.accept_invitation(&link.hash, &in_time, &event()).await.unwrap(), Applied::Done);
    // A link of the one kind is not one of the other.
    let other = reset(&in_time);
    assert_eq!(store.put_account_link(&other, &event()).await.unwrap(), Applied::Done);
    let twin = user("bob@x.test");
    assert_eq!(store.accept_invitation(&other.hash, &twin, &event()).await.unwrap(), Applied::Lost);
    assert_eq!(
        store.use_reset_link(&link.hash, &change(&in_time), &Clearance::default(), &event()).await.unwrap(),
        Applied::Lost
    );
}

async fn a_newer_link_replaces_the_older_and_nobody_is_invited_who_is_there(backend: &Backend) {
    let store = backend.store().await;
    let (old, new) = (invitation("bob@x.test"), invitation("bob@x.test"));
    for link in [&old, &new] {
        assert_eq!(store.put_account_link(link, &event()).await.unwrap(), Applied::Done);
    }
    let bob = user("bob@x.test");
    assert_eq!(store.accept_invitation(&old.hash, &bob, &event()).await.unwrap(), Applied::Lost);
    assert_eq!(store.accept_invitation(&new.hash, &bob, &event()).await.unwrap(), Applied::Done);
    let late = invitation("bob@x.test");
    assert_eq!(store.put_account_link(&late, &event()).await.unwrap(), Applied::Lost);
    assert!(store.account_link(&late.hash).await.unwrap().is_none());
}

async fn a_reset_link_replaces_the_password_once_and_for_its_own_account(backend: &Backend) {
    let world = World::new(backend).await;
    let store = &world.store;
    let mallory = user("mallory@x.test");
    assert_eq!(store.insert_user(&mallory, &event()).await.unwrap(), Applied::Done);
    let link = reset(&world.user);
    assert_eq!(store.put_account_link(&link, &event()).await.unwrap(), Applied::Done);
    let foreign = store
        .use_reset_link(&link.hash, &change(&mallory), &Clearance::default(), &event_at(at(5)))
        .await
        .unwrap();
    assert_eq!(foreign, Applied::Lost);
    let late = store
        .use_reset_link(&link.hash, &change(&world.user), &Clearance::default(), &event_at(at(86_400)))
        .await
        .unwrap();
    assert_eq!(late, Applied::Lost);
    assert!(store.session(&world.session.hash).await.unwrap().unwrap().0.ended_at.is_none());
    let change = change(&world.user);
    assert_eq!(
        store.use_reset_link(&link.hash, &change, &Clearance::default(), &event_at(at(5))).await.unwrap(),
        Applied::Done
    );
    assert_eq!(store.user(&world.user.id).await.unwrap().unwrap().password, change.after);
    assert_eq!(store.session(&world.session.hash).await.unwrap().unwrap().0.ended_at, Some(at(5)));
    let back = PasswordChange { before: change.after.clone(), after: change.before.clone(), ..change };
    assert_eq!(
        store.use_reset_link(&link.hash, &back, &Clearance::default(), &event_at(at(6))).await.unwrap(),
        Applied::Lost
    );
}

async fn a_password_that_was_changed_takes_the_reset_links_along(backend: &Backend) {
    let world = World::new(backend).await;
    let store = &world.store;
    let link = reset(&world.user);
    assert_eq!(store.put_account_link(&link, &event()).await.unwrap(), Applied::Done);
    let first = PasswordChange { keep: Some(world.session.hash), ..change(&world.user) };
    assert_eq!(store.change_password(&first, &event_at(at(3))).await.unwrap(), Applied::Done);
    assert!(
        store.session(&world.session.hash).await.unwrap().unwrap().0.ended_at.is_none(),
        "it was to stay"
    );
    assert_eq!(store.change_password(&first, &event_at(at(4))).await.unwrap(), Applied::Lost);
    let now = User { password: first.after.clone(), ..world.user.clone() };
    assert_eq!(
        store
            .use_reset_link(&link.hash, &change(&now), &Clearance::default(), &event_at(at(5)))
            .await
            .unwrap(),
        Applied::Lost
    );
    // Nobody changes the password of an account that is disabled.
    let sweep = barred_user(&now.id, at(6));
    assert_eq!(store.disable_user(&now.id, &sweep, &event_at(at(6))).await.unwrap(), Applied::Done);
    assert_eq!(store.change_password(&change(&now), &event_at(at(7))).await.unwrap(), Applied::Lost);
}

async fn a_reset_takes_passkeys_and_links_along_or_leaves_all_as_it_was(backend: &Backend) {
    let world = World::new(backend).await;
    let store = &world.store;
    let corp = identity(&world.user, "corp", "1", &[]);
    assert_eq!(store.insert_identity(&corp, &event()).await.unwrap(), Applied::Done);
    for id in ["one", "two"] {
        let passkey = Passkey { id: id.to_owned(), ..passkey(&world) };
        assert_eq!(store.insert_passkey(&passkey, &event()).await.unwrap(), Applied::Done);
    }
    let left = async || {
        let passkeys = store.passkeys_of(&world.user.id).await.unwrap().len();
        (passkeys, store.identities_of(&world.user.id).await.unwrap().len())
    };
    let removed = Event::new(Action::PasskeyRemoved, Actor::Operator, at(5), &SystemEntropy);
    let along = Clearance { passkeys: Some(removed), links: vec![unlinking(&corp)] };
    let link = reset(&world.user);
    assert_eq!(store.put_account_link(&link, &event()).await.unwrap(), Applied::Done);
    let late =
        store.use_reset_link(&link.hash, &change(&world.user), &along, &event_at(at(86_400))).await.unwrap();
    assert_eq!((late, left().await), (Applied::Lost, (2, 1)));
    let used =
        store.use_reset_link(&link.hash, &change(&world.user), &along, &event_at(at(5))).await.unwrap();
    assert_eq!((used, left().await), (Applied::Done, (0, 0)));
    let filter = EventFilter { action: Some(Action::PasskeyRemoved), ..EventFilter::default() };
    let told = store.events(&filter, None, 10).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].event.detail["passkeys"], 2);
}

async fn of_many_who_use_one_link_one_succeeds(backend: &Backend) {
    let store = backend.store().await;
    let link = invitation("bob@x.test");
    assert_eq!(store.put_account_link(&link, &event()).await.unwrap(), Applied::Done);
    let hash = link.hash;
    let answers = race(8, |_| {
        let store = Arc::clone(&store);
        async move { store.accept_invitation(&hash, &user("bob@x.test"), &event()).await.unwrap() }
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1);
}

async fn links_are_forgotten_after_their_time(backend: &Backend) {
    let store = backend.store().await;
    let link = invitation("bob@x.test");
    assert_eq!(store.put_account_link(&link, &event()).await.unwrap(), Applied::Done);
    assert_eq!(store.forget_account_links(link.expires_at).await.unwrap(), 0);
    assert_eq!(store.forget_account_links(link.expires_at.plus(Seconds::new(1))).await.unwrap(), 1);
    assert!(store.account_link(&link.hash).await.unwrap().is_none());
}
