//! The audit trail: events come with their deeds and are chained in one order.

use doorward::{
    domain::{
        audit::{Action, Actor, Checkpoint, Event, FIRST_LINK, Link},
        audit_chain::Broken,
        ids::AdminKeyId,
    },
    flows::trail::{self, AuditKey, NotWhole},
    keys::DataKey,
    store::{Applied, EventFilter, Store},
};
use doorward_shared::{issuer::Issuer, secret::SystemEntropy};

use crate::{
    backend::{Backend, at, race},
    world::{World, event, user},
};

on_each_backend! {
    an_event_comes_back_as_it_was_written,
    a_deed_that_is_lost_leaves_no_event,
    the_chain_takes_every_event_once_and_links_it_to_the_one_before,
    many_who_chain_at_once_make_one_chain,
    events_are_listed_by_what_is_asked_newest_first,
    a_checkpoint_is_kept_once,
    every_change_to_the_trail_is_found_and_its_place_named,
    a_trail_that_is_cut_or_written_anew_does_not_meet_what_was_signed,
}

async fn an_event_comes_back_as_it_was_written(backend: &Backend) {
    let store = backend.store().await;
    let key = AdminKeyId::generate(at(0), &SystemEntropy);
    let written = Event::new(Action::GrantNarrowed, Actor::AdminKey(key), at(3), &SystemEntropy)
        .on("grt_🦊")
        .from(Some("2001:db8::1"))
        .with("b", "\u{1F98A} \"quoted\"")
        .with("a", 1);
    store.note(&written).await.unwrap();
    let read = store.events(&EventFilter::default(), None, 10).await.unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!((&read[0].event, &read[0].link), (&written, &None));
    let bare = Event::new(Action::Restored, Actor::Server, at(4), &SystemEntropy);
    store.note(&bare).await.unwrap();
    assert_eq!(store.events(&EventFilter::default(), None, 1).await.unwrap()[0].event, bare);
}

async fn a_deed_that_is_lost_leaves_no_event(backend: &Backend) {
    let store = backend.store().await;
    let alice = user("alice@x.test");
    assert_eq!(store.insert_user(&alice, &event()).await.unwrap(), Applied::Done);
    assert_eq!(store.insert_user(&user("alice@x.test"), &event()).await.unwrap(), Applied::Lost);
    assert_eq!(backend.number("select count(*) from audit_events").await, 1);
}

async fn the_chain_takes_every_event_once_and_links_it_to_the_one_before(backend: &Backend) {
    let store = backend.store().await;
    for _ in 0..5 {
        store.note(&event()).await.unwrap();
    }
    assert_eq!(store.chain(3).await.unwrap(), 3);
    assert_eq!(store.heads().await.unwrap().audit, 3);
    assert_eq!(store.chain(3).await.unwrap(), 2);
    assert_eq!(store.chain(3).await.unwrap(), 0);
    let chained = store.chained_after(0, 10).await.unwrap();
    assert_eq!(chained.len(), 5);
    let mut before = FIRST_LINK.to_owned();
    for (event, sequence) in chained.iter().zip(1..) {
        let hash = event.event.link(sequence, &before);
        assert_eq!(event.link, Some(Link { sequence, hash: hash.clone() }));
        before = hash;
    }
    assert_eq!(store.chained_after(3, 1).await.unwrap()[0], chained[3]);
}

async fn many_who_chain_at_once_make_one_chain(backend: &Backend) {
    let (one, two) = (backend.store().await, backend.store().await);
    for _ in 0..60 {
        one.note(&event()).await.unwrap();
    }
    let taken = race(8, |i| {
        let store = if i % 2 == 0 { one.clone() } else { two.clone() };
        async move {
            let mut taken = 0;
            for _ in 0..6 {
                store.note(&event()).await.unwrap();
                taken += store.chain(5).await.unwrap();
            }
            taken
        }
    })
    .await;
    let rest = one.chain(500).await.unwrap();
    assert_eq!(taken.iter().sum::<u32>() + rest, 60 + 48);
    let mut before = FIRST_LINK.to_owned();
    for (event, sequence) in one.chained_after(0, 500).await.unwrap().iter().zip(1..) {
        let hash = event.event.link(sequence, &before);
        assert_eq!(event.link, Some(Link { sequence, hash: hash.clone() }));
        before = hash;
    }
}

async fn events_are_listed_by_what_is_asked_newest_first(backend: &Backend) {
    let world = World::new(backend).await;
    let actor = Actor::User(world.user.id.clone());
    let make = |action, seconds| Event::new(action, actor.clone(), at(seconds), &SystemEntropy).on("o");
    let events = [(Action::SignedIn, 10), (Action::SignedOut, 20), (Action::SignedIn, 30)];
    for (action, seconds) in events {
        world.store.note(&make(action, seconds)).await.unwrap();
    }
    let times = async |filter: EventFilter| -> Vec<i64> {
        let found = world.store.events(&filter, None, 10).await.unwrap();
        found.iter().map(|found| found.event.at.since(at(0)).get()).collect()
    };
    let object = Some("o".to_owned());
    let all = EventFilter { object: object.clone(), ..EventFilter::default() };
    assert_eq!(times(all.clone()).await, [30, 20, 10]);
    let by_action = EventFilter { action: Some(Action::SignedIn), ..all.clone() };
    assert_eq!(times(by_action).await, [30, 10]);
    let by_time = EventFilter { from: Some(at(20)), to: Some(at(30)), ..all.clone() };
    assert_eq!(times(by_time).await, [20]);
    let by_actor = EventFilter { actor: Some(world.user.id.to_string()), ..EventFilter::default() };
    assert_eq!(times(by_actor).await, [30, 20, 10]);
    let stranger = EventFilter { actor: Some("usr_nobody".to_owned()), ..EventFilter::default() };
    assert!(times(stranger).await.is_empty());
    let newest = world.store.events(&all, None, 1).await.unwrap().remove(0);
    let older = world.store.events(&all, Some(&newest.event.id), 10).await.unwrap();
    assert_eq!(older.len(), 2);
}

async fn a_checkpoint_is_kept_once(backend: &Backend) {
    let store = backend.store().await;
    let made = |sequence: i64, signed: &str| Checkpoint {
        link: Link { sequence, hash: "ab".to_owned() },
        at: at(1),
        signed: signed.to_owned(),
    };
    assert_eq!(store.put_checkpoint(&made(2, "two")).await.unwrap(), Applied::Done);
    assert_eq!(store.put_checkpoint(&made(2, "again")).await.unwrap(), Applied::Lost);
    assert_eq!(store.put_checkpoint(&made(1, "one")).await.unwrap(), Applied::Done);
    assert_eq!(store.last_checkpoint().await.unwrap(), Some(made(2, "two")));
    assert_eq!(store.checkpoints().await.unwrap(), [made(1, "one"), made(2, "two")]);
}

fn issuer() -> Issuer {
    Issuer::parse("https://as.test").unwrap()
}

/// A trail of five events with a signed checkpoint at its end, and the key that signed it.
async fn signed_trail(store: &dyn Store) -> AuditKey {
    let key = AuditKey::open(store, &DataKey::generate(&SystemEntropy), &SystemEntropy).await.unwrap();
    for _ in 0..5 {
        store.note(&event()).await.unwrap();
    }
    trail::tick(store, &key, &issuer(), at(10)).await.unwrap();
    assert_eq!(store.checkpoints().await.unwrap().len(), 1);
    let whole = trail::verify(store, &key, &issuer(), &[]).await.unwrap();
    assert_eq!((whole.events, whole.checkpoints), (5, 1));
    key
}

async fn broken(store: &dyn Store, key: &AuditKey, kept: &[String]) -> NotWhole {
    trail::verify(store, key, &issuer(), kept).await.unwrap_err()
}

async fn every_change_to_the_trail_is_found_and_its_place_named(backend: &Backend) {
    let store = backend.store().await;
    let key = signed_trail(store.as_ref()).await;
    let third = store.chained_after(2, 1).await.unwrap().remove(0);
    let id = third.event.id.to_string();
    let altered = |found: NotWhole| matches!(found, NotWhole::Broken(Broken::Altered(3, who)) if who == id);
    let missing =
        |found: NotWhole, place| matches!(found, NotWhole::Broken(Broken::Missing(at)) if at == place);
    for (change, back) in [
        ("object = 'somebody else'", "object = null"),
        ("action = 'signed_out'", "action = 'signed_in'"),
        ("at = at + 1", "at = at - 1"),
        ("detail = '{\"x\":1}'", "detail = '{}'"),
    ] {
        backend.change(&format!("update audit_events set {change} where sequence = 3")).await;
        assert!(altered(broken(store.as_ref(), &key, &[]).await), "{change}");
        backend.change(&format!("update audit_events set {back} where sequence = 3")).await;
    }
    trail::verify(store.as_ref(), &key, &issuer(), &[]).await.unwrap();
    // Two rows change places.
    backend.change("update audit_events set sequence = 99 where sequence = 2").await;
    backend.change("update audit_events set sequence = 2 where sequence = 3").await;
    backend.change("update audit_events set sequence = 3 where sequence = 99").await;
    assert!(matches!(broken(store.as_ref(), &key, &[]).await, NotWhole::Broken(Broken::Altered(2, _))));
    backend.change("delete from audit_events where sequence = 2").await;
    assert!(missing(broken(store.as_ref(), &key, &[]).await, 2));
}

async fn a_trail_that_is_cut_or_written_anew_does_not_meet_what_was_signed(backend: &Backend) {
    let store = backend.store().await;
    let key = signed_trail(store.as_ref()).await;
    let kept = vec![store.checkpoints().await.unwrap().remove(0).signed];
    // The end is cut off; the counter still knows.
    backend.change("delete from audit_events where sequence > 3").await;
    let cut = broken(store.as_ref(), &key, &[]).await;
    assert!(matches!(cut, NotWhole::Broken(Broken::Cut { found: 3, known: 5 })), "{cut}");
    // The counter is set back too; the stored checkpoint still knows.
    backend.change("update heads set sequence = 3 where name = 'audit'").await;
    let cut = broken(store.as_ref(), &key, &[]).await;
    assert!(matches!(cut, NotWhole::Broken(Broken::Cut { found: 3, known: 5 })), "{cut}");
    // The checkpoint is deleted too; only a copy that was kept elsewhere knows.
    backend.change("delete from audit_checkpoints").await;
    trail::verify(store.as_ref(), &key, &issuer(), &[]).await.unwrap();
    let cut = broken(store.as_ref(), &key, &kept).await;
    assert!(matches!(cut, NotWhole::Broken(Broken::Cut { found: 3, known: 5 })), "{cut}");
    // Somebody writes the rest anew, and a checkpoint with a key of his own.
    for _ in 0..2 {
        store.note(&event()).await.unwrap();
    }
    trail::chain_all(store.as_ref()).await.unwrap();
    let anew = broken(store.as_ref(), &key, &kept).await;
    assert!(matches!(anew, NotWhole::Broken(Broken::Rewritten(5))), "{anew}");
    let own = backend.store().await;
    backend.change("delete from facts where name = 'audit_key'").await;
    let forger =
        AuditKey::open(own.as_ref(), &DataKey::generate(&SystemEntropy), &SystemEntropy).await.unwrap();
    trail::tick(own.as_ref(), &forger, &issuer(), at(20)).await.unwrap();
    let forged = broken(store.as_ref(), &key, &[]).await;
    assert!(matches!(forged, NotWhole::Broken(Broken::Forged(5))), "{forged}");
    let nonsense = broken(store.as_ref(), &key, &["a.b.c".to_owned()]).await;
    assert!(matches!(nonsense, NotWhole::Given(1)), "{nonsense}");
}
