//! A backup is one moment, whatever is written meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use doorward::store::{Applied, archive::Table};

use super::*;

on_each_backend! {
    a_backup_that_is_made_while_four_write_is_one_moment,
    writers_do_not_wait_for_a_backup_that_is_slow,
}

/// Rotates tokens and makes new families until it is told to stop.
async fn write(world: World, stop: Arc<AtomicBool>) -> u32 {
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        let (grant, mut token) = world.family().await;
        for _ in 0..5 {
            let (rotation, fresh) = world.rotation(&token).await;
            assert_eq!(world.store.rotate(&rotation, &used()).await.unwrap(), Applied::Done);
            token = fresh;
        }
        if written % 3 == 0 {
            let end = world.revocation(&grant, at(5)).await;
            assert_eq!(world.store.end_grant(&end, &event()).await.unwrap(), Applied::Done);
        }
        written += 1;
    }
    written
}

async fn a_backup_that_is_made_while_four_write_is_one_moment(backend: &Backend) {
    let world = World::new(backend).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4).map(|_| tokio::spawn(write(world.clone(), Arc::clone(&stop)))).collect();
    let mut backups = Vec::new();
    for _ in 0..6 {
        backups.push(backup(world.store.as_ref()).await);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.unwrap() > 0);
    }
    let sizes: Vec<_> = backups.iter().map(|bytes| rows(bytes)["refresh_tokens"].len()).collect();
    assert!(sizes.is_sorted() && sizes[0] < sizes[5], "they wrote meanwhile: {sizes:?}");
    for bytes in backups {
        is_one_moment(&bytes);
        let target = match backend.location() {
            doorward::store::Location::Sqlite(_) => Backend::sqlite(),
            doorward::store::Location::Postgres(_) => Backend::postgres().await,
        };
        let store = target.store().await;
        restore(store.as_ref(), &bytes, Loss::Nothing, at(200)).await.unwrap();
        store.close().await;
        target.drop().await;
    }
}

/// No refresh token without its grant, each family without a gap and with exactly one token that can be used, the head of the
/// feed where its last entry is, and an event for each grant that ended.
fn is_one_moment(bytes: &[u8]) {
    let mut input = bytes;
    let header = Reader::open(&mut input, SCHEMA).unwrap().header().clone();
    let table = |name: &str| header.tables.iter().find(|table| table.name == name).unwrap();
    let all = rows(bytes);
    let number = |table: &Table, row: &Row, column: &str| table.cell(row, column).unwrap().integer();
    let text =
        |table: &Table, row: &Row, column: &str| table.cell(row, column).unwrap().text().map(String::from);
    let grants = table("grants");
    let ids: BTreeSet<_> = all["grants"].iter().map(|row| text(grants, row, "id").unwrap()).collect();
    let tokens = table("refresh_tokens");
    let mut families = BTreeMap::<String, Vec<(i64, bool)>>::new();
    for row in &all["refresh_tokens"] {
        let grant = text(tokens, row, "grant_id").unwrap();
        assert!(ids.contains(&grant), "a token without its grant");
        let generation = number(tokens, row, "generation").unwrap();
        families.entry(grant).or_default().push((generation, number(tokens, row, "spent_at").is_some()));
    }
    for (grant, mut family) in families {
        family.sort_unstable();
        let first = family[0].0;
        for (i, (generation, spent)) in family.iter().enumerate() {
            assert_eq!(*generation, first + i64::try_from(i).unwrap(), "{grant} has a gap");
            assert_eq!(*spent, i + 1 < family.len(), "{grant} has one token that can be used, the last one");
        }
    }
    let entries = i64::try_from(all["revocations"].len()).unwrap();
    assert_eq!(header.heads["revocations"], entries);
    let feed = table("revocations");
    let told: BTreeSet<_> = all["revocations"].iter().map(|row| text(feed, row, "value").unwrap()).collect();
    for row in all["grants"].iter().filter(|row| number(grants, row, "ended_at").is_some()) {
        assert!(told.contains(&text(grants, row, "id").unwrap()), "an end without its entry");
    }
}

/// Takes its time for each line.
struct Slow(Vec<u8>);

impl std::io::Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::thread::sleep(std::time::Duration::from_millis(20));
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn writers_do_not_wait_for_a_backup_that_is_slow(backend: &Backend) {
    let world = full_world(backend).await;
    let store = Arc::clone(&world.store);
    let slow = tokio::spawn(async move {
        let mut out = Slow(Vec::new());
        let made = Made { version: "0.1.0", issuer: String::new(), at: at(0) };
        let (_, counts) = store.dump(&made, None, Writer::new(&mut out)).await.unwrap();
        (out.0, counts)
    });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    for _ in 0..3 {
        world.family().await;
    }
    assert!(!slow.is_finished(), "the families were made meanwhile");
    let (bytes, counts) = slow.await.unwrap();
    assert_eq!(rows(&bytes)["refresh_tokens"].len() as u64, counts["refresh_tokens"]);
    is_one_moment(&bytes);
}
