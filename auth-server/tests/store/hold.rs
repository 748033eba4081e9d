//! Who serves a database.

use std::time::Duration;

use doorward::store::{
    Location,
    hold::{Role, hold, try_hold},
};
use sqlx::{Connection, PgConnection};

use crate::backend::Backend;

on_each_backend! {
    nobody_is_alone_with_a_database_that_is_served,
    nobody_serves_a_database_that_somebody_is_alone_with,
    two_databases_have_nothing_to_do_with_each_other,
}

async fn can(location: &Location, role: Role) -> bool {
    try_hold(location, role).await.unwrap().is_some()
}

/// On PostgreSQL the server notices a moment later that a connection is gone.
async fn soon(location: &Location, role: Role) -> bool {
    hold(location, role).await.is_ok()
}

async fn nobody_is_alone_with_a_database_that_is_served(backend: &Backend) {
    let location = backend.location();
    let served = hold(location, Role::Server).await.unwrap();
    assert!(!can(location, Role::Alone).await);
    let refusal = hold(location, Role::Alone).await.unwrap_err().to_string();
    assert!(refusal.contains("serve` runs") && refusal.contains("stop"), "{refusal}");
    // Commands beside it are not held up.
    backend.store().await.users().await.unwrap();
    drop(served);
    assert!(soon(location, Role::Alone).await);
}

async fn nobody_serves_a_database_that_somebody_is_alone_with(backend: &Backend) {
    let location = backend.location();
    let alone = hold(location, Role::Alone).await.unwrap();
    assert!(!can(location, Role::Server).await && !can(location, Role::Alone).await);
    // A server that starts now waits a little, and goes on when the other one is done.
    let waiting = tokio::spawn({
        let location = location.clone();
        async move { hold(&location, Role::Server).await.map(drop) }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(alone);
    waiting.await.unwrap().unwrap();
}

async fn two_databases_have_nothing_to_do_with_each_other(backend: &Backend) {
    let _first = hold(backend.location(), Role::Alone).await.unwrap();
    let other = match backend.location() {
        Location::Sqlite(_) => Backend::sqlite(),
        Location::Postgres(_) => Backend::postgres().await,
    };
    assert!(can(other.location(), Role::Alone).await);
    other.drop().await;
}

#[tokio::test]
async fn a_file_has_one_server_whatever_link_leads_to_it() {
    let backend = Backend::sqlite();
    let Location::Sqlite(path) = backend.location() else { panic!() };
    let held = hold(backend.location(), Role::Server).await.unwrap();
    let refusal = hold(backend.location(), Role::Server).await.unwrap_err().to_string();
    assert!(refusal.contains("another `doorward serve`") && refusal.contains("PostgreSQL"), "{refusal}");
    let link = path.with_file_name("link.db");
    std::os::unix::fs::symlink(path, &link).unwrap();
    assert!(!can(&Location::Sqlite(link.clone()), Role::Server).await);
    drop(held);
    assert!(can(&Location::Sqlite(link), Role::Server).await);
    backend.drop().await;
}

#[tokio::test]
async fn postgres_has_many_servers_and_knows_of_them_again_after_it_lost_their_connections() {
    let backend = Backend::postgres().await;
    let location = backend.location();
    let _first = hold(location, Role::Server).await.unwrap();
    let second = hold(location, Role::Server).await.unwrap();
    drop(second);
    assert!(!can(location, Role::Alone).await);
    let Location::Postgres(url) = location else { panic!() };
    let mut admin = PgConnection::connect(url).await.unwrap();
    let end = "select pid, pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and
        database = (select oid from pg_database where datname = current_database())";
    let ended: Vec<(i32, bool)> = sqlx::query_as(end).fetch_all(&mut admin).await.unwrap();
    // A connection that was told to end keeps its locks for a moment.
    let ended: Vec<i32> = ended.into_iter().map(|(pid, _)| pid).collect();
    let again = "select count(*) from pg_locks where locktype = 'advisory' and granted and pid <> all($1) and
        database = (select oid from pg_database where datname = current_database())";
    let mut looks = 0;
    while sqlx::query_scalar::<_, i64>(again).bind(&ended).fetch_one(&mut admin).await.unwrap() == 0 {
        looks += 1;
        assert!(looks < 200, "the hold was not taken again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!can(location, Role::Alone).await);
    admin.close().await.unwrap();
    backend.drop().await;
}
