//! What comes out goes in again, into either database.

use doorward::store::{
    Location,
    archive::Cell,
    hold::{Role, try_hold},
    open,
};

use super::*;

on_each_backend! {
    every_row_survives_the_way_into_either_database,
    every_table_and_every_column_of_the_database_is_in_a_backup,
    no_row_of_a_backup_refers_to_a_later_one,
    only_an_empty_database_is_filled,
    a_damaged_backup_changes_nothing,
    a_row_that_does_not_fit_changes_nothing,
    a_backup_says_whether_a_server_ran,
    a_database_without_a_schema_is_not_backed_up,
    a_backup_that_cannot_be_written_says_so,
}

async fn every_row_survives_the_way_into_either_database(backend: &Backend) {
    let world = full_world(backend).await;
    let (first, header, counts) = backup_of(world.store.as_ref(), None).await;
    assert!(counts.values().all(|count| *count > 0), "{counts:?}");
    for target in [Backend::sqlite(), Backend::postgres().await] {
        let store = target.store().await;
        restore(store.as_ref(), &first, Loss::Nothing, at(200)).await.unwrap();
        let second = backup(store.as_ref()).await;
        let (mut before, mut after) = (rows(&first), rows(&second));
        let events = after["audit_events"].len();
        assert_eq!(events, before["audit_events"].len() + 1, "the restore itself");
        let new = |row: &Row| !before["audit_events"].contains(row);
        let restored = after["audit_events"].iter().find(|row| new(row)).unwrap().clone();
        assert!(restored.cells.contains(&Cell::Text("restored".to_owned())), "{restored:?}");
        after.get_mut("audit_events").unwrap().retain(|row| *row != restored);
        for rows in [&mut before, &mut after] {
            let life = |row: &Row| row.cells.contains(&Cell::Text("feed_epoch".to_owned()));
            rows.get_mut("facts").unwrap().retain(|row| !life(row));
        }
        assert_eq!(after, before);
        assert_eq!(store.settle("feed_epoch", "").await.unwrap(), "another life");
        assert_eq!(header.epoch.as_deref(), Some("first life"));

        // And the database works: what could be used can be used, what was spent is spent, the chain goes on.
        let there = world.through(store);
        let (_, token) = there.family().await;
        let (rotation, _) = there.rotation(&token).await;
        assert_eq!(there.store.rotate(&rotation, &used()).await.unwrap(), Applied::Done);
        while there.store.chain(100).await.unwrap() > 0 {}
        let heads = there.store.heads().await.unwrap();
        assert!(heads.audit > header.heads["audit"]);
        there.store.close().await;
        target.drop().await;
    }
}

async fn every_table_and_every_column_of_the_database_is_in_a_backup(backend: &Backend) {
    let world = World::new(backend).await;
    let (_, header, _) = backup_of(world.store.as_ref(), None).await;
    let found = match backend.location() {
        Location::Sqlite(_) => {
            let sql = "select tables.name || '.' || columns.name from sqlite_master as tables,
                pragma_table_info(tables.name) as columns where tables.type = 'table'
                and tables.name not like 'sqlite_%' and tables.name <> '_sqlx_migrations'";
            backend.texts(sql).await
        }
        Location::Postgres(_) => {
            let sql = "select table_name || '.' || column_name from information_schema.columns
                where table_schema = 'public' and table_name <> '_sqlx_migrations'";
            backend.texts(sql).await
        }
    };
    let columns = header.tables.iter().flat_map(|table| {
        let name = |column: &String| format!("{}.{column}", table.name);
        table.columns.iter().map(name).collect::<Vec<_>>()
    });
    let mut columns: Vec<_> = columns.collect();
    let mut found = found;
    columns.sort();
    found.sort();
    assert!(found.len() > 100);
    assert_eq!(columns, found);
}

async fn no_row_of_a_backup_refers_to_a_later_one(backend: &Backend) {
    let world = World::new(backend).await;
    let (_, header, _) = backup_of(world.store.as_ref(), None).await;
    let references = match backend.location() {
        Location::Sqlite(_) => {
            let sql = "select tables.name || ' ' || keys.\"table\" from sqlite_master as tables,
                pragma_foreign_key_list(tables.name) as keys where tables.type = 'table'";
            backend.texts(sql).await
        }
        Location::Postgres(_) => {
            let sql = "select conrelid::regclass::text || ' ' || confrelid::regclass::text from pg_constraint
                where contype = 'f'";
            backend.texts(sql).await
        }
    };
    assert!(references.len() >= 6, "{references:?}");
    let place = |name: &str| header.tables.iter().position(|table| table.name == name).unwrap();
    for reference in references {
        let (from, to) = reference.split_once(' ').unwrap();
        assert!(place(to) < place(from), "{reference}");
    }
}

async fn only_an_empty_database_is_filled(backend: &Backend) {
    let world = full_world(backend).await;
    let bytes = backup(world.store.as_ref()).await;
    let before = rows(&bytes);
    let refused = restore(world.store.as_ref(), &bytes, Loss::Nothing, at(200)).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::NotEmpty("users")), "{refused}");
    assert!(refused.to_string().contains("name a new one"), "{refused}");
    assert!(world.store.check_empty().await.is_err());
    assert_eq!(rows(&backup(world.store.as_ref()).await), before);
}

async fn a_damaged_backup_changes_nothing(backend: &Backend) {
    let source = Backend::sqlite();
    let world = full_world(&source).await;
    let bytes = backup(world.store.as_ref()).await;
    let store = backend.store().await;
    let lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let without_last = lines[..lines.len() - 1].concat();
    let without_one = [&lines[..3], &lines[4..]].concat().concat();
    let cut = &bytes[..bytes.len() / 2];
    let mut edited = bytes.clone();
    let word = edited.windows(5).position(|word| word == b"alice").unwrap();
    edited[word] = b'm';
    for damaged in [&without_last, &without_one, cut, &edited] {
        let refused = restore(store.as_ref(), damaged, Loss::Nothing, at(200)).await.unwrap_err();
        assert!(matches!(refused, ArchiveError::Damaged { .. }), "{refused}");
        store.check_empty().await.unwrap();
    }
    restore(store.as_ref(), &bytes, Loss::Nothing, at(200)).await.unwrap();
    source.drop().await;
}

async fn a_row_that_does_not_fit_changes_nothing(backend: &Backend) {
    let source = Backend::sqlite();
    let world = full_world(&source).await;
    let (bytes, header, _) = backup_of(world.store.as_ref(), None).await;
    let store = backend.store().await;
    // As whole as a forger makes it.
    let forged = |change: &dyn Fn(&str, &mut Row) -> bool| {
        let (mut out, mut input) = (Vec::new(), bytes.as_slice());
        let mut reader = Reader::open(&mut input, SCHEMA).unwrap();
        let mut writer = Writer::new(&mut out);
        writer.begin(&header).unwrap();
        while let Some(mut row) = reader.next_row().unwrap() {
            let table = header.tables[row.table].name.clone();
            if change(&table, &mut row) {
                writer.row(TABLES.iter().find(|known| **known == table).unwrap(), &row.cells).unwrap();
            }
        }
        writer.finish().unwrap();
        out
    };
    let orphans = forged(&|table, _| table != "users");
    let twice = forged(&|table, row| {
        if table == "refresh_tokens" {
            row.cells[0] = Cell::Text("same".to_owned());
        }
        true
    });
    let odd = forged(&|table, row| {
        if table == "users" {
            row.cells[0] = Cell::Integer(1);
        }
        true
    });
    for bytes in [&orphans, &twice, &odd] {
        let refused = restore(store.as_ref(), bytes, Loss::Nothing, at(200)).await.unwrap_err();
        assert!(matches!(refused, ArchiveError::Misfit { .. } | ArchiveError::Odd { .. }), "{refused}");
        store.check_empty().await.unwrap();
    }
    let unknown = String::from_utf8(bytes.clone()).unwrap().replace("\"revoked_until\"", "\"revoked_till\"");
    let refused = restore(store.as_ref(), unknown.as_bytes(), Loss::Nothing, at(200)).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Unknown(_)), "{refused}");
    store.check_empty().await.unwrap();
    source.drop().await;
}

const TABLES: [&str; 25] = [
    "users",
    "identities",
    "setup_links",
    "account_links",
    "sessions",
    "logouts",
    "second_factors",
    "recovery_codes",
    "passkeys",
    "clients",
    "resources",
    "organizations",
    "nodes",
    "entitlements",
    "grants",
    "authorization_codes",
    "refresh_tokens",
    "api_keys",
    "signing_keys",
    "heads",
    "revocations",
    "facts",
    "audit_events",
    "audit_checkpoints",
    "admin_keys",
];

async fn a_backup_says_whether_a_server_ran(backend: &Backend) {
    let world = World::new(backend).await;
    let alone = try_hold(backend.location(), Role::Alone).await.unwrap();
    assert!(alone.is_some());
    let (_, header, _) = backup_of(world.store.as_ref(), alone).await;
    assert!(header.stopped);
    // And a server may start while the rest is written.
    let _server = doorward::store::hold::hold(backend.location(), Role::Server).await.unwrap();
    let alone = try_hold(backend.location(), Role::Alone).await.unwrap();
    let (_, header, _) = backup_of(world.store.as_ref(), alone).await;
    assert!(!header.stopped);
}

async fn a_database_without_a_schema_is_not_backed_up(backend: &Backend) {
    let store = open(backend.location()).await.unwrap();
    let made = Made { version: "0.1.0", issuer: String::new(), at: at(0) };
    let mut bytes = Vec::new();
    let refused = store.dump(&made, None, Writer::new(&mut bytes)).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Schema { found: 0, known: 1 }), "{refused}");
}

async fn a_backup_that_cannot_be_written_says_so(backend: &Backend) {
    let world = full_world(backend).await;
    let made = Made { version: "0.1.0", issuer: String::new(), at: at(0) };
    let mut full = std::io::BufWriter::new(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let refused = world.store.dump(&made, None, Writer::new(&mut full)).await.unwrap_err();
    assert!(matches!(&refused, ArchiveError::Io(error) if error.kind() == std::io::ErrorKind::StorageFull));
    drop(full.into_parts());
    // Nothing is left behind that would be in anybody's way.
    world.family().await;
}
