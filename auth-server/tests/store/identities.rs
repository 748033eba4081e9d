//! Accounts at upstream providers, and what hangs on them.

use doorward::{
    domain::{
        grant::Grant,
        ids::IdentityId,
        revocation::revoke_by_person,
        session::{Session, SignInMethod},
        upstream::{Hearing, Identity, Source, Standing, Unlinking},
        user::User,
    },
    store::Applied,
};
use doorward_shared::{secret::SystemEntropy, time::Timestamp};

use crate::{
    backend::{Backend, at},
    world::{World, event, event_at, policy, session, user},
};

on_each_backend! {
    an_account_at_a_provider_belongs_to_one_person_and_a_person_has_one_there,
    the_groups_of_all_identities_and_of_the_account_are_the_persons,
    of_many_who_ask_at_once_one_may,
    a_claim_that_is_over_writes_nothing,
    what_a_provider_gave_goes_with_it,
    groups_lapse_by_the_time_they_were_last_heard,
    the_grants_of_a_sign_in_are_found_through_its_session,
    a_link_goes_with_the_grants_and_sessions_that_came_of_it_or_not_at_all,
}

pub(crate) fn identity(user: &User, provider: &str, subject: &str, groups: &[&str]) -> Identity {
    Identity {
        id: IdentityId::generate(at(0), &SystemEntropy),
        provider: provider.to_owned(),
        subject: subject.to_owned(),
        user_id: user.id.clone(),
        email: Some("alice@corp.test".to_owned()),
        groups: groups.iter().map(|name| (*name).to_owned()).collect(),
        source: Source::Listed,
        refresh_token: Some("sealed".to_owned()),
        created_at: at(0),
        checked_at: at(0),
        ended_at: None,
    }
}

/// The link is taken away, and no grant came of it.
pub(crate) fn unlinking(identity: &Identity) -> Unlinking {
    Unlinking { identity: identity.clone(), grants: vec![], event: event_at(at(20)) }
}

fn hearing(identity: &Identity, groups: &[&str], claim: Option<Timestamp>) -> Hearing {
    Hearing {
        identity: identity.id.clone(),
        email: None,
        standing: Standing {
            groups: groups.iter().map(|name| (*name).to_owned()).collect(),
            source: Source::Listed,
            heard: true,
        },
        refresh_token: Some("sealed anew".to_owned()),
        at: at(30),
        claim,
    }
}

async fn groups(world: &World) -> Vec<String> {
    world.store.user(&world.user.id).await.unwrap().unwrap().all_groups()
}

fn signed_in_at(user: &User, provider: &str) -> Session {
    Session { method: SignInMethod::Upstream, provider: Some(provider.to_owned()), ..session(user, at(0)) }
}

async fn an_account_at_a_provider_belongs_to_one_person_and_a_person_has_one_there(backend: &Backend) {
    let world = World::new(backend).await;
    let first = identity(&world.user, "corp", "sub-1", &[]);
    assert_eq!(world.store.insert_identity(&first, &event()).await.unwrap(), Applied::Done);
    let (found, person) = world.store.identity("corp", "sub-1").await.unwrap().unwrap();
    assert_eq!((found, person.id), (first.clone(), world.user.id.clone()));
    assert!(world.store.identity("other", "sub-1").await.unwrap().is_none());

    let newcomer = user("new@corp.test");
    let taken = identity(&newcomer, "corp", "sub-1", &[]);
    let events = [event(), event()];
    assert_eq!(world.store.insert_person(&newcomer, &taken, &events).await.unwrap(), Applied::Lost);
    assert!(world.store.user(&newcomer.id).await.unwrap().is_none(), "half a person was made");
    let second = identity(&world.user, "corp", "sub-2", &[]);
    assert_eq!(world.store.insert_identity(&second, &event()).await.unwrap(), Applied::Lost);

    let own = identity(&newcomer, "corp", "sub-2", &["corp-staff"]);
    let events = [event(), event()];
    assert_eq!(world.store.insert_person(&newcomer, &own, &events).await.unwrap(), Applied::Done);
    assert!(world.store.user(&newcomer.id).await.unwrap().unwrap().is_in("corp-staff"));
}

async fn the_groups_of_all_identities_and_of_the_account_are_the_persons(backend: &Backend) {
    let world = World::new(backend).await;
    let before = groups(&world).await;
    let (a, b) = (identity(&world.user, "a", "1", &["x", "y"]), identity(&world.user, "b", "1", &["y", "z"]));
    for one in [&a, &b] {
        let _done = world.store.insert_identity(one, &event()).await.unwrap();
    }
    let mut all = [before.clone(), vec!["x".to_owned(), "y".to_owned(), "z".to_owned()]].concat();
    all.dedup();
    assert_eq!(groups(&world).await, all);

    let lost = hearing(&a, &[], None);
    assert_eq!(world.store.note_hearing(&lost, Some(&event())).await.unwrap(), Applied::Done);
    assert!(!groups(&world).await.contains(&"x".to_owned()));
    assert!(groups(&world).await.contains(&"y".to_owned()), "the other provider still names it");
    assert_eq!(world.store.remove_identity(&unlinking(&b)).await.unwrap(), Applied::Done);
    assert_eq!(world.store.remove_identity(&unlinking(&b)).await.unwrap(), Applied::Lost);
    assert_eq!(groups(&world).await, before);
}

async fn of_many_who_ask_at_once_one_may(backend: &Backend) {
    let world = World::new(backend).await;
    let identity = identity(&world.user, "corp", "1", &[]);
    let _done = world.store.insert_identity(&identity, &event()).await.unwrap();
    let tries = (0..8).map(|_| world.store.claim_identity(&identity, at(15), at(0)));
    let tries = futures_util::future::join_all(tries).await;
    let won = tries.into_iter().filter(|tried| matches!(tried, Ok(Applied::Done))).count();
    assert_eq!(won, 1);
    assert!(world.store.is_claimed(&identity.id, at(15)).await.unwrap());
    // Whoever had it is gone; the next one asks.
    assert!(!world.store.is_claimed(&identity.id, at(16)).await.unwrap());
    assert_eq!(world.store.claim_identity(&identity, at(31), at(16)).await.unwrap(), Applied::Done);
    // With another refresh token than the one that was read, the question was answered already.
    let stale = Identity { refresh_token: Some("older".to_owned()), ..identity.clone() };
    assert_eq!(world.store.claim_identity(&stale, at(60), at(40)).await.unwrap(), Applied::Lost);
}

async fn a_claim_that_is_over_writes_nothing(backend: &Backend) {
    let world = World::new(backend).await;
    let identity = identity(&world.user, "corp", "1", &["corp-staff"]);
    let _done = world.store.insert_identity(&identity, &event()).await.unwrap();
    assert_eq!(world.store.claim_identity(&identity, at(15), at(0)).await.unwrap(), Applied::Done);
    // Somebody signs in while the provider is asked: their word is the newer one.
    let signed_in = hearing(&identity, &["admins"], None);
    assert_eq!(world.store.note_hearing(&signed_in, None).await.unwrap(), Applied::Done);
    let asked = hearing(&identity, &["guests"], Some(at(15)));
    assert_eq!(world.store.note_hearing(&asked, None).await.unwrap(), Applied::Lost);
    assert_eq!(world.store.end_identity(&identity, at(15), &[], &event()).await.unwrap(), Applied::Lost);
    let kept = world.store.keep_refresh_token(&identity.id, at(15), "sealed late").await.unwrap();
    assert_eq!(kept, Applied::Lost);
    assert!(groups(&world).await.contains(&"admins".to_owned()));
    let found = world.store.identity_by_id(&identity.id).await.unwrap().unwrap();
    assert_eq!((found.refresh_token.as_deref(), found.checked_at), (Some("sealed anew"), at(30)));
}

async fn what_a_provider_gave_goes_with_it(backend: &Backend) {
    let world = World::new(backend).await;
    let before = groups(&world).await;
    let corp = identity(&world.user, "corp", "1", &["corp-staff"]);
    let _done = world.store.insert_identity(&corp, &event()).await.unwrap();
    let (local, upstream) = (&world.session, signed_in_at(&world.user, "corp"));
    assert_eq!(world.store.open_session(&upstream, None, &event()).await.unwrap(), Applied::Done);
    let over = async |session: &Session| {
        world.store.session(&session.hash).await.unwrap().unwrap().0.ended_at.is_some()
    };

    world.store.keep_providers(&["corp".to_owned()], at(5)).await.unwrap();
    assert!(!over(&upstream).await && groups(&world).await.contains(&"corp-staff".to_owned()));
    world.store.keep_providers(&["other".to_owned()], at(5)).await.unwrap();
    assert!(over(&upstream).await && !over(local).await);
    assert_eq!(groups(&world).await, before);

    // The same when the provider does not stand for the person any more, or the link is taken away.
    let again = signed_in_at(&world.user, "corp");
    assert_eq!(world.store.open_session(&again, None, &event()).await.unwrap(), Applied::Done);
    let _done = world.store.note_hearing(&hearing(&corp, &["corp-staff"], None), None).await.unwrap();
    let seen = world.store.identity_by_id(&corp.id).await.unwrap().unwrap();
    let _done = world.store.claim_identity(&seen, at(55), at(40)).await.unwrap();
    assert_eq!(world.store.end_identity(&seen, at(55), &[], &event_at(at(41))).await.unwrap(), Applied::Done);
    assert!(over(&again).await && !over(local).await);
    assert_eq!(groups(&world).await, before);
    let ended = world.store.identity_by_id(&corp.id).await.unwrap().unwrap();
    assert_eq!((ended.ended_at, ended.refresh_token, ended.source), (Some(at(41)), None, Source::Ended));
}

async fn groups_lapse_by_the_time_they_were_last_heard(backend: &Backend) {
    let world = World::new(backend).await;
    let before = groups(&world).await;
    let corp = identity(&world.user, "corp", "1", &["corp-staff"]);
    let _done = world.store.insert_identity(&corp, &event()).await.unwrap();
    world.store.lapse_groups("corp", at(-1)).await.unwrap();
    world.store.lapse_groups("other", at(60)).await.unwrap();
    assert_eq!(groups(&world).await.len(), before.len() + 1);
    world.store.lapse_groups("corp", at(0)).await.unwrap();
    assert_eq!(groups(&world).await, before);
    let found = world.store.identity_by_id(&corp.id).await.unwrap().unwrap();
    assert_eq!(found.source, Source::Stale);
}

async fn the_grants_of_a_sign_in_are_found_through_its_session(backend: &Backend) {
    let mut world = World::new(backend).await;
    let (local, _) = world.family().await;
    world.session = signed_in_at(&world.user, "corp");
    // Nobody signs in through an account that is not linked any more.
    assert_eq!(world.store.open_session(&world.session, None, &event()).await.unwrap(), Applied::Lost);
    let corp = identity(&world.user, "corp", "1", &[]);
    let _done = world.store.insert_identity(&corp, &event()).await.unwrap();
    assert_eq!(world.store.open_session(&world.session, None, &event()).await.unwrap(), Applied::Done);
    let (grant, token) = world.family().await;
    let found = world.store.grants_through(&world.user.id, "corp").await.unwrap();
    assert_eq!(found.iter().map(|grant| &grant.id).collect::<Vec<_>>(), [&grant]);
    assert_ne!(grant, local);

    // Whoever holds the refresh token, and nobody else, has the person's identities looked at.
    let behind = async |client| world.store.identities_behind(&token.hash(), client).await.unwrap().len();
    assert_eq!(behind(&world.client.id).await, 1);
    assert_eq!(behind(&doorward_shared::client_id::ClientId::parse("evil").unwrap()).await, 0);
}

async fn a_link_goes_with_the_grants_and_sessions_that_came_of_it_or_not_at_all(backend: &Backend) {
    let mut world = World::new(backend).await;
    let corp = identity(&world.user, "corp", "1", &["corp-staff"]);
    let _done = world.store.insert_identity(&corp, &event()).await.unwrap();
    world.session = signed_in_at(&world.user, "corp");
    let _done = world.store.open_session(&world.session, None, &event()).await.unwrap();
    let (grant, _) = world.family().await;
    let ended = async || world.store.grant(&grant).await.unwrap().unwrap().0.ended;
    let verdict =
        |grant: &Grant| (revoke_by_person(grant, &policy().token, at(20)).unwrap(), event_at(at(20)));
    let through = world.store.grants_through(&world.user.id, "corp").await.unwrap();
    let all = Unlinking { grants: through.iter().map(verdict).collect(), ..unlinking(&corp) };

    // Another link of the same name is gone already: nothing of this verdict happens.
    let gone = Unlinking { identity: identity(&world.user, "corp", "2", &[]), ..all.clone() };
    assert_eq!(world.store.remove_identity(&gone).await.unwrap(), Applied::Lost);
    assert!(ended().await.is_none());
    let before = world.store.heads().await.unwrap().revocations;
    assert_eq!(world.store.remove_identity(&all).await.unwrap(), Applied::Done);
    assert!(ended().await.is_some());
    assert_eq!(world.store.heads().await.unwrap().revocations, before + 1, "resource servers are told");
    let session = world.store.session(&world.session.hash).await.unwrap().unwrap().0;
    assert_eq!(session.ended_at, Some(at(20)));
    assert!(!groups(&world).await.contains(&"corp-staff".to_owned()));
}
