//! Backups: out of one database and into another, whole, consistent, and reviving nothing.

mod consistency;
mod never_revived;
mod round_trip;
mod town;

use std::collections::BTreeMap;

use doorward::{
    domain::{
        audit::{Action, Actor, Event, Link},
        restore::{Loss, Seal, decide},
    },
    store::{
        Applied, Store,
        archive::{ArchiveError, Continuation, Counts, Header, Made, Reader, Result, Row, Trail, Writer},
        hold::Held,
    },
};
use doorward_shared::{secret::SystemEntropy, time::Timestamp};

use crate::{
    backend::{Backend, at},
    world::{World, barred_user, event, policy, resource, used},
};

/// The schema of this program.
const SCHEMA: i64 = 1;

/// A backup of what the store holds now.
async fn backup(store: &dyn Store) -> Vec<u8> {
    backup_of(store, None).await.0
}

async fn backup_of(store: &dyn Store, alone: Option<Held>) -> (Vec<u8>, Header, Counts) {
    let mut bytes = Vec::new();
    let made = Made { version: "0.1.0", issuer: "https://as.test".to_owned(), at: at(100) };
    let (header, counts) = store.dump(&made, alone, Writer::new(&mut bytes)).await.unwrap();
    (bytes, header, counts)
}

/// Fills a database from a backup.
async fn restore(store: &dyn Store, bytes: &[u8], loss: Loss, now: Timestamp) -> Result<()> {
    restore_sealed(store, bytes, loss, Seal::Opens, now).await
}

async fn restore_sealed(
    store: &dyn Store,
    mut bytes: &[u8],
    loss: Loss,
    seal: Seal,
    now: Timestamp,
) -> Result<()> {
    let mut reader = Reader::open(&mut bytes, SCHEMA)?;
    let verdict = decide(loss, seal, &policy(), now);
    let event = Event::new(Action::Restored, Actor::Operator, now, &SystemEntropy);
    store.fill(&mut reader, None, &verdict, "another life", &event).await
}

/// The same, with an export of the lost database's trail.
async fn restore_with_trail(
    store: &dyn Store,
    mut bytes: &[u8],
    loss: Loss,
    (head, end, trail): (Link, Link, &str),
    now: Timestamp,
) -> Result<()> {
    let mut reader = Reader::open(&mut bytes, SCHEMA)?;
    let verdict = decide(loss, Seal::Opens, &policy(), now);
    let event = Event::new(Action::Restored, Actor::Operator, now, &SystemEntropy);
    let mut input = trail.as_bytes();
    let trail = Continuation { trail: Trail::after(head, &mut input), end };
    store.fill(&mut reader, Some(trail), &verdict, "another life", &event).await
}

/// The rows of a backup, table by table, in an order that does not depend on the database.
fn rows(mut bytes: &[u8]) -> BTreeMap<String, Vec<Row>> {
    let mut reader = Reader::open(&mut bytes, SCHEMA).unwrap();
    let tables = reader.header().tables.clone();
    let mut rows: BTreeMap<_, Vec<Row>> =
        tables.iter().map(|table| (table.name.clone(), Vec::new())).collect();
    while let Some(row) = reader.next_row().unwrap() {
        rows.get_mut(&tables[row.table].name).unwrap().push(row);
    }
    for rows in rows.values_mut() {
        rows.sort_by(|a, b| a.cells.cmp(&b.cells));
    }
    rows
}

/// A world in which no table is empty.
async fn full_world(backend: &Backend) -> World {
    let world = World::new(backend).await;
    let corp = crate::identities::identity(&world.user, "corp", "sub-1", &["corp-staff"]);
    assert_eq!(world.store.insert_identity(&corp, &event()).await.unwrap(), Applied::Done);
    let (_, token) = world.family().await;
    let (rotation, _) = world.rotation(&token).await;
    let _ = world.store.rotate(&rotation, &used()).await.unwrap();
    let (grant, _) = world.family().await;
    let _ = world.store.end_grant(&world.revocation(&grant, at(3)).await, &event()).await.unwrap();
    world.code().await;
    let bob = crate::world::user("bob@example.test");
    let _ = world.store.insert_user(&bob, &event()).await.unwrap();
    let _ = world.store.disable_user(&bob.id, &barred_user(&bob.id, at(4)), &event()).await.unwrap();
    let _ = world.store.insert_resource(&resource("https://mcp.test/b"), &event()).await.unwrap();
    world.store.settle("feed_epoch", "first life").await.unwrap();
    while world.store.chain(100).await.unwrap() > 0 {}
    // What no verb of this suite makes.
    backend.change(&rest("a")).await;
    world
}

/// Rows of the tables that are filled by other means, and an event that is not in the chain yet.
fn rest(name: &str) -> String {
    format!(
        "insert into setup_links (id, hash, created_at, used_at) values (1, 'h{name}', 1800000000, null);
        insert into account_links (hash, email, group_names, created_at, expires_at)
        values ('l{name}', 'carol@example.test', '[]', 1800000000, 1800086400);
        insert into logouts (client_id, session_id, user_id, created_at, tries, due_at)
        values ('app', 'sid_01ARZ3NDEKTSV4RRFFQ69G5FAV', 'usr_01ARZ3NDEKTSV4RRFFQ69G5FAV', 1800000000, 1, 1800000005);
        insert into second_factors (user_id, sealed, last_step, created_at)
        select id, 'sealed', 5, 1800000000 from users where email = 'bob@example.test';
        insert into recovery_codes (hash, user_id, used_at)
        select 'r{name}', id, null from users where email = 'bob@example.test';
        insert into passkeys (id, user_id, name, public_key, counter, created_at)
        select 'p{name}', id, 'Phone \u{1F98A}', 'key', 7, 1800000000 from users where email = 'bob@example.test';
        insert into signing_keys (kid, position, algorithm, state, public_jwk, sealed, created_at, activated_at)
        values ('k1{name}', 1, 'ES256', 'retired', '{{}}', null, 1800000000, 1800000000),
        ('k2{name}', 2, 'ES256', 'active', '{{}}', 'sealed', 1800000000, 1800000001),
        ('k3{name}', 3, 'ES256', 'next', '{{}}', 'sealed', 1800000000, null);
        insert into organizations (id, name, created_at)
        values ('org_01ARZ3NDEKTSV4RRFFQ69G5FAV', 'Acme \u{1F98A}', 1800000000);
        insert into nodes (organization, path, title, created_at)
        values ('org_01ARZ3NDEKTSV4RRFFQ69G5FAV', 'alpha', 'Alpha', 1800000000);
        insert into entitlements (id, holder, group_name, tier, organization, node, created_at)
        values ('ent_01ARZ3NDEKTSV4RRFFQ69G5FAV', 'group', 'staff', 'read', 'org_01ARZ3NDEKTSV4RRFFQ69G5FAV', 'alpha', 1800000000);
        insert into api_keys (id, user_id, name, organization, powers, hash, prefix, created_at)
        select 'key_01ARZ3NDEKTSV4RRFFQ69G5FAV', id, 'CI \u{1F98A}', organization, '[]', 'h', 'sta_abcd', 1800000000
        from users where email = 'alice@example.test';
        insert into facts (name, value) values ('data_key', 'sealed');
        insert into audit_checkpoints (sequence, hash, at, signed) values (1, 'h', 1800000000, 'jws');
        insert into audit_events (id, at, actor_kind, action, detail)
        values ('evt_01ARZ3NDEKTSV4RRFFQ69G5FAV', 1800000000, 'server', 'limit_reached', '{{\"limit\":\"x\"}}');
        insert into admin_keys (id, name, hash, permissions, created_at)
        values ('adk_01ARZ3NDEKTSV4RRFFQ69G5FAV', 'Nightly \u{1F98A}', 'h', '[\"*\"]', 1800000000);"
    )
}
