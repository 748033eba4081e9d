//! PR-20: a backup, then whatever people and administrators do, then the loss of the database and a restore. Nothing works
//! afterwards that did not work at the end.

use doorward::{
    domain::{audit::FIRST_LINK, restore::Since},
    flows::trail,
    store::Location,
};
use doorward_shared::{
    client_id::ClientId,
    resource::ResourceUri,
    revocation::{Claim, Facts, RevocationSet},
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::{
    town::{Deed, Town, deed},
    *,
};

on_each_backend! {
    nothing_is_revived_whatever_happened,
    with_the_trail_what_it_does_not_name_goes_on,
    after_a_restore_every_token_from_before_is_refused,
    a_trail_of_another_server_changes_nothing,
    a_link_that_was_taken_away_does_not_come_back,
    a_registration_is_not_managed_with_a_token_from_before,
}

async fn a_registration_is_not_managed_with_a_token_from_before(backend: &Backend) {
    let world = World::new(backend).await;
    let registered = |id| doorward::domain::client::Client {
        registration_token: Some(crate::registrations::token().hash()),
        ..crate::world::client(id)
    };
    for client in [registered("dcr_1"), registered("dcr_2")] {
        assert_eq!(world.store.insert_client(&client, &event()).await.unwrap(), Applied::Done);
    }
    let bytes = backup(world.store.as_ref()).await;
    let mut since = Since::default();
    let moved = Event::new(Action::ClientChanged, Actor::Operator, at(10), &SystemEntropy).on("dcr_1");
    since.note(&moved).unwrap();
    let target = Backend::sqlite();
    let store = target.store().await;
    restore(store.as_ref(), &bytes, Loss::Known(Box::new(since)), at(200)).await.unwrap();
    for (id, disabled) in [("dcr_1", true), ("dcr_2", false)] {
        let client = store.client(&ClientId::parse(id).unwrap()).await.unwrap().unwrap();
        assert_eq!((client.registration_token, client.disabled_at.is_some()), (None, disabled), "{id}");
    }
}

async fn a_link_that_was_taken_away_does_not_come_back(backend: &Backend) {
    let world = World::new(backend).await;
    let link = |provider| crate::identities::identity(&world.user, provider, "sub-1", &["corp-staff"]);
    let (gone, kept) = (link("gone"), link("kept"));
    for identity in [&gone, &kept] {
        assert_eq!(world.store.insert_identity(identity, &event()).await.unwrap(), Applied::Done);
    }
    let bytes = backup(world.store.as_ref()).await;
    let mut since = Since::default();
    let unlinked = Event::new(Action::IdentityUnlinked, Actor::Operator, at(10), &SystemEntropy).on(&gone.id);
    since.note(&unlinked).unwrap();
    for (loss, left) in [(Loss::Known(Box::new(since)), 1), (Loss::Unknown, 2)] {
        let target = Backend::sqlite();
        let store = target.store().await;
        restore(store.as_ref(), &bytes, loss, at(200)).await.unwrap();
        let found = store.identities_of(&world.user.id).await.unwrap();
        assert_eq!(found.len(), left);
        // Groups and refresh tokens come with the next sign-in.
        for identity in found {
            assert!(identity.groups.is_empty() && identity.refresh_token.is_none(), "{identity:?}");
        }
        let person = store.user(&world.user.id).await.unwrap().unwrap();
        assert!(!person.is_in("corp-staff"));
    }
}

/// The trail of a store to its end, as an export writes it, and what it says about the time after `head`.
async fn trail_of(store: &dyn Store, head: &Link) -> (String, Since, Link) {
    while store.chain(100).await.unwrap() > 0 {}
    let (mut text, mut since, mut end) = (String::new(), Since::default(), head.clone());
    for (_, line) in trail::export(store, 0).await.unwrap() {
        text = text + &line + "\n";
    }
    for stored in store.chained_after(0, 1000).await.unwrap() {
        let (event, link) = (stored.event, stored.link.unwrap());
        if link.sequence > head.sequence {
            since.note(&event).unwrap();
            end = link;
        }
    }
    (text, since, end)
}

/// Where the trail of a backup ends.
fn head_of(bytes: &[u8]) -> Link {
    let mut input = bytes;
    let header = Reader::open(&mut input, SCHEMA).unwrap().header().clone();
    let table = header.tables.iter().find(|table| table.name == "audit_events").unwrap();
    let link = |row: &Row| {
        let sequence = table.cell(row, "sequence")?.integer()?;
        Some(Link { sequence, hash: table.cell(row, "hash")?.text()?.to_owned() })
    };
    let links = rows(bytes)["audit_events"].iter().filter_map(link).collect::<Vec<_>>();
    let last = links.into_iter().max_by_key(|link| link.sequence);
    last.unwrap_or(Link { sequence: 0, hash: FIRST_LINK.to_owned() })
}

async fn nothing_is_revived_whatever_happened(backend: &Backend) {
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), seed);
    let history = (prop::collection::vec(deed(), 0..25), prop::collection::vec(deed(), 0..25));
    backend.store().await.close().await;
    // Making a database on PostgreSQL takes a second or two.
    let (histories, seldom) = match backend.location() {
        Location::Sqlite(_) => (16, false),
        Location::Postgres(_) => (2, true),
    };
    let mut goes_on = 0;
    for _ in 0..histories {
        let (before, after) = history.new_tree(&mut runner).unwrap().current();
        let lost = twin(backend).await;
        let mut town = Town::new(&lost).await;
        for deed in &before {
            town.carry_out(deed).await;
        }
        let bytes = backup(town.world.store.as_ref()).await;
        for deed in &after {
            town.carry_out(deed).await;
        }
        let truth = town.working().await;
        let head = head_of(&bytes);
        let (trail, since, end) = trail_of(town.world.store.as_ref(), &head).await;
        let now = at(town.now + 1);
        for known in [false, true] {
            let target = twin(backend).await;
            let store = target.store().await;
            if known {
                let trail = (head.clone(), end.clone(), trail.as_str());
                restore_with_trail(store.as_ref(), &bytes, Loss::Known(Box::new(since.clone())), trail, now)
                    .await
                    .unwrap();
            } else {
                restore(store.as_ref(), &bytes, Loss::Unknown, now).await.unwrap();
            }
            let works = town.through(&store).working().await;
            let revived: Vec<_> = works.difference(&truth).collect();
            assert!(revived.is_empty(), "{revived:?} came back (trail: {known})\n{before:?}\n{after:?}");
            assert!(known || works.is_empty(), "{works:?} goes on, and nobody knows whether it may");
            goes_on += works.len();
            chain_is_whole(store.as_ref(), known.then_some(&end)).await;
            store.close().await;
            target.drop().await;
        }
        town.world.store.close().await;
        lost.drop().await;
    }
    assert!(seldom || goes_on > 16, "with the trail some people, clients and resources go on");
}

async fn twin(backend: &Backend) -> Backend {
    match backend.location() {
        Location::Sqlite(_) => Backend::sqlite(),
        Location::Postgres(_) => Backend::postgres().await,
    }
}

/// The chain goes on from the backup's end, or from that of the lost trail, and the restore is in it.
async fn chain_is_whole(store: &dyn Store, after: Option<&Link>) {
    while store.chain(100).await.unwrap() > 0 {}
    let mut before = FIRST_LINK.to_owned();
    let events = store.chained_after(0, 10_000).await.unwrap();
    for (i, stored) in events.iter().enumerate() {
        let link = stored.link.as_ref().unwrap();
        assert_eq!(link.sequence, i64::try_from(i).unwrap() + 1);
        assert_eq!(stored.event.link(link.sequence, &before), link.hash);
        before.clone_from(&link.hash);
    }
    let restored = events.iter().position(|stored| stored.event.action == Action::Restored).unwrap();
    if let Some(after) = after {
        assert_eq!(events[usize::try_from(after.sequence).unwrap() - 1].link.as_ref(), Some(after));
        assert!(restored >= usize::try_from(after.sequence).unwrap());
    }
}

async fn with_the_trail_what_it_does_not_name_goes_on(backend: &Backend) {
    let mut town = Town::new(backend).await;
    let bytes = backup(town.world.store.as_ref()).await;
    for deed in [Deed::UserDisabled(1), Deed::ClientDeleted(1), Deed::ResourceDisabled(1)] {
        town.carry_out(&deed).await;
    }
    let head = head_of(&bytes);
    let (trail, since, end) = trail_of(town.world.store.as_ref(), &head).await;
    let target = twin(backend).await;
    let store = target.store().await;
    let trail = (head, end, trail.as_str());
    restore_with_trail(store.as_ref(), &bytes, Loss::Known(Box::new(since)), trail, at(100)).await.unwrap();
    let works = town.through(&store).working().await;
    let works: Vec<_> =
        works.iter().map(|what| what.rsplit_once(" rs-").map_or(what.as_str(), |it| it.0)).collect();
    assert_eq!(
        works,
        [
            "client app",
            "client fixed",
            "person alice@example.test",
            "person bob@example.test",
            "resource https://mcp.test/a"
        ]
    );
    assert!(store.client(&ClientId::parse("registered").unwrap()).await.unwrap().is_none());
    let disabled = store.resource(&ResourceUri::parse("https://mcp.test/b").unwrap()).await.unwrap().unwrap();
    assert_eq!(disabled.disabled_at, Some(at(100)));
    store.close().await;
    target.drop().await;
}

async fn after_a_restore_every_token_from_before_is_refused(backend: &Backend) {
    let world = full_world(backend).await;
    let bytes = backup(world.store.as_ref()).await;
    // A grant that the backup does not know, and a key that it does not know.
    let (unknown, _) = world.family().await;
    for (loss, seal, facts) in [(Loss::Unknown, Seal::Lost, 1), (Loss::Known(Box::default()), Seal::Opens, 2)]
    {
        let target = twin(backend).await;
        let store = target.store().await;
        let before = rows(&bytes)["revocations"].len();
        restore_sealed(store.as_ref(), &bytes, loss, seal, at(50)).await.unwrap();
        let entries = store.revocations_after(0, 100, at(51)).await.unwrap();
        assert_eq!(entries.len(), before + 4, "the issuer and three keys");
        assert_eq!(store.heads().await.unwrap().revocations, entries.last().unwrap().sequence);
        let mut kit = RevocationSet::default();
        for entry in &entries {
            kit.insert(entry);
        }
        let token = |iat, kid| Facts {
            iss: "https://as.test",
            aud: world.resource.uri.folded(),
            sub: world.user.id.as_str(),
            client_id: world.client.id.as_str(),
            org: world.user.organization.as_str(),
            sid: unknown.as_str(),
            jti: "jti",
            kid: Some(kid),
            iat,
        };
        assert_eq!(kit.refuses(&token(at(49), "unknown key")), Some(Claim::Iss));
        assert_eq!(kit.refuses(&token(at(50), "unknown key")), Some(Claim::Iss));
        // Even one that a thief dates into the future.
        for kid in ["k1a", "k2a", "k3a"] {
            assert_eq!(kit.refuses(&token(at(9_000), kid)), Some(Claim::Kid));
        }
        assert_eq!(kit.refuses(&token(at(51), "new key")), None);
        // And what is issued from now on is dated after it.
        let user = store.user(&world.user.id).await.unwrap().unwrap();
        assert_eq!(user.revoked_until, Some(at(50)));
        assert!(target.number("select count(*) from signing_keys where sealed is not null").await == 0);
        assert_eq!(
            target.number("select count(*) from facts").await,
            facts,
            "the life's name, and what opens"
        );
        assert_eq!(target.number("select count(*) from audit_checkpoints").await, facts - 1);
        assert!(target.number("select count(*) from setup_links").await == 0);
        assert!(target.number("select count(*) from account_links").await == 0);
        assert!(target.number("select count(*) from logouts").await == 0);
        assert!(target.number("select count(*) from sessions where ended_at is null").await == 0);
        assert!(target.number("select count(*) from grants where ended_at is null").await == 0);
        store.close().await;
        target.drop().await;
    }
}

async fn a_trail_of_another_server_changes_nothing(backend: &Backend) {
    let town = Town::new(backend).await;
    while town.world.store.chain(100).await.unwrap() > 0 {}
    let bytes = backup(town.world.store.as_ref()).await;
    let head = head_of(&bytes);
    let other = Backend::sqlite();
    let elsewhere = Town::new(&other).await;
    let (trail, since, end) = trail_of(elsewhere.world.store.as_ref(), &head).await;
    let target = twin(backend).await;
    let store = target.store().await;
    let trail = (head.clone(), end, trail.as_str());
    let refused =
        restore_with_trail(store.as_ref(), &bytes, Loss::Known(Box::new(since)), trail, at(100)).await;
    assert!(matches!(refused, Err(ArchiveError::Trail { .. })), "{refused:?}");
    store.check_empty().await.unwrap();
    // One that grew or shrank since it was judged is refused too.
    let (trail, since, _) = trail_of(town.world.store.as_ref(), &head).await;
    let judged = Link { sequence: head.sequence + 5, hash: "h".to_owned() };
    let trail = (head, judged, trail.as_str());
    let refused =
        restore_with_trail(store.as_ref(), &bytes, Loss::Known(Box::new(since)), trail, at(100)).await;
    assert!(matches!(refused, Err(ArchiveError::Moved)), "{refused:?}");
    store.check_empty().await.unwrap();
    store.close().await;
    target.drop().await;
    other.drop().await;
}
