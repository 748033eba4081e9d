//! Opening, migrating, closing.

use doorward::store::{Applied, Location, StoreError, open};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    backend::{Backend, POSTGRES, at, race, variable},
    world::{World, event, event_at, used},
};

on_each_backend! {
    a_restart_keeps_everything,
    migrating_twice_changes_nothing,
    processes_that_start_together_migrate_once,
    a_database_of_a_newer_version_is_refused,
    a_migration_that_was_changed_afterwards_is_refused,
    a_store_answers_until_it_is_closed,
}

async fn a_restart_keeps_everything(backend: &Backend) {
    let world = World::new(backend).await;
    let (grant, token) = world.family().await;
    let (rotation, fresh) = world.rotation(&token).await;
    assert_eq!(world.store.rotate(&rotation, &used()).await.unwrap(), Applied::Done);
    let (code, _) = world.code().await;
    world.store.close().await;

    let world = world.through(backend.store().await);
    assert_eq!(world.store.users().await.unwrap().len(), 1);
    assert_eq!(world.store.clients().await.unwrap().len(), 1);
    assert_eq!(world.store.resources().await.unwrap().len(), 1);
    assert!(world.store.session(&world.session.hash).await.unwrap().is_some());
    assert!(world.store.grant(&grant).await.unwrap().is_some());
    assert!(world.store.refresh_token(&token.hash()).await.unwrap().unwrap().spent_at.is_some());
    assert!(world.store.refresh_token(&fresh.hash()).await.unwrap().unwrap().spent_at.is_none());
    let (redemption, _) = world.redemption(&code).await;
    assert_eq!(world.store.redeem(&redemption, &used(), &event()).await.unwrap(), Applied::Done);
}

async fn migrating_twice_changes_nothing(backend: &Backend) {
    let world = World::new(backend).await;
    assert_eq!(world.store.migrate().await.unwrap(), 1);
    assert_eq!(backend.store().await.migrate().await.unwrap(), 1);
    assert_eq!(world.store.users().await.unwrap().len(), 1);
}

async fn processes_that_start_together_migrate_once(backend: &Backend) {
    let versions = race(6, |_| {
        let location = backend.location().clone();
        async move { open(&location).await.unwrap().migrate().await.unwrap() }
    })
    .await;
    assert_eq!(versions, [1; 6]);
    assert_eq!(backend.number("select count(*) from _sqlx_migrations").await, 1);
}

async fn refusal(backend: &Backend) -> String {
    match open(backend.location()).await.unwrap().migrate().await {
        Err(StoreError::Unusable(text)) => text,
        other => panic!("{other:?}"),
    }
}

async fn a_database_of_a_newer_version_is_refused(backend: &Backend) {
    backend.store().await.close().await;
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
        select 7, 'later', success, checksum, 0 from _sqlx_migrations";
    assert_eq!(backend.change(newer).await, 1);
    for _ in 0..2 {
        // Twice: a refusal leaves no lock behind that would hang the next start.
        let text = refusal(backend).await;
        assert!(text.contains("version 7") && text.contains("newer"), "{text}");
    }
}

async fn a_migration_that_was_changed_afterwards_is_refused(backend: &Backend) {
    backend.store().await.close().await;
    let other = match backend.location() {
        Location::Sqlite(_) => "update _sqlx_migrations set checksum = x'00'",
        Location::Postgres(_) => r"update _sqlx_migrations set checksum = '\x00'",
    };
    assert_eq!(backend.change(other).await, 1);
    let text = refusal(backend).await;
    assert!(text.contains("migration 1"), "{text}");
}

async fn a_store_answers_until_it_is_closed(backend: &Backend) {
    let store = backend.store().await;
    store.ping().await.unwrap();
    store.close().await;
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.users().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(
        store.end_session(&crate::backend::secret().hash(), &event_at(at(0))).await,
        Err(StoreError::Unavailable(_))
    ));
}

#[tokio::test]
async fn a_postgres_that_does_not_wait_for_its_disk_is_refused() {
    let backend = Backend::postgres().await;
    let Location::Postgres(url) = backend.location() else { panic!() };
    let name = url.rsplit('/').next().unwrap();
    let mut admin = PgConnection::connect(&variable(POSTGRES).unwrap()).await.unwrap();
    let sql = format!("alter database {name} set synchronous_commit = off");
    sqlx::query(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    match open(backend.location()).await.map(|_| ()) {
        Err(StoreError::Unusable(text)) => assert!(text.contains("synchronous_commit = on"), "{text}"),
        other => panic!("{other:?}"),
    }
    backend.drop().await;
}

#[tokio::test]
async fn a_store_that_is_not_there_is_an_error_that_tells_no_password() {
    let nowhere = [
        Location::Postgres("postgres://root:hunter22@127.0.0.1:1/none".to_owned()),
        Location::Postgres("postgres://root:hunter22@[nonsense".to_owned()),
        Location::Sqlite("/dev/null/doorward.db".into()),
    ];
    for location in nowhere {
        let error = open(&location).await.map(|_| ()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter22"));
    }
}
