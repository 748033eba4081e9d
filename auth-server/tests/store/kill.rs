//! A server that is killed at any point: what it acknowledged is there, and nothing is half done.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use doorward::store::{Applied, Location, open};
use doorward_shared::secret::{RefreshToken, Secret};

use crate::{
    backend::{Backend, variable},
    world::{World, used},
};

/// Set for the child: where the store is, and the refresh token to begin with.
const LOCATION: &str = "DOORWARD_TEST_KILL_LOCATION";
const TOKEN: &str = "DOORWARD_TEST_KILL_TOKEN";
const ACKNOWLEDGED: &str = "acknowledged ";

#[tokio::test]
async fn a_server_on_sqlite_that_is_killed_loses_nothing_that_it_acknowledged() {
    let own_name = "kill::a_server_on_sqlite_that_is_killed_loses_nothing_that_it_acknowledged";
    if let Some(path) = variable(LOCATION) {
        return rotate_until_killed(Location::Sqlite(path.into())).await;
    }
    let backend = Backend::sqlite();
    kill_again_and_again(&backend, own_name).await;
    backend.drop().await;
}

#[tokio::test]
async fn a_server_on_postgres_that_is_killed_loses_nothing_that_it_acknowledged() {
    let own_name = "kill::a_server_on_postgres_that_is_killed_loses_nothing_that_it_acknowledged";
    if let Some(url) = variable(LOCATION) {
        return rotate_until_killed(Location::Postgres(url)).await;
    }
    let backend = Backend::postgres().await;
    kill_again_and_again(&backend, own_name).await;
    backend.drop().await;
}

/// The child: rotates one token after the other, and tells each one that the store has acknowledged.
async fn rotate_until_killed(location: Location) {
    let world = World::again(open(&location).await.unwrap()).await;
    let mut token = Secret::<RefreshToken>::parse(&variable(TOKEN).unwrap()).unwrap();
    loop {
        let (rotation, fresh) = world.rotation(&token).await;
        assert_eq!(world.store.rotate(&rotation, &used()).await.unwrap(), Applied::Done);
        let mut out = std::io::stdout().lock();
        writeln!(out, "{ACKNOWLEDGED}{} {}", rotation.successor().generation(), fresh.expose()).unwrap();
        out.flush().unwrap();
        drop(out);
        token = fresh;
    }
}

async fn kill_again_and_again(backend: &Backend, own_name: &str) {
    let world = World::new(backend).await;
    for round in 0..8 {
        let (_, token) = world.family().await;
        let (generation, token) = acknowledged_until_killed(backend, own_name, &token, 10 + 7 * round);
        let world = world.through(backend.store().await);
        let stored = world.store.refresh_token(&token.hash()).await.unwrap().expect("it was acknowledged");
        assert_eq!(stored.generation, generation);
        nothing_is_half_done(backend).await;
        if stored.spent_at.is_none() {
            // And the survivor goes on where the dead one stopped.
            let (rotation, _) = world.rotation(&token).await;
            assert_eq!(world.store.rotate(&rotation, &used()).await.unwrap(), Applied::Done);
        }
        world.store.close().await;
    }
}

/// Starts this test again as a child, kills it after `count` acknowledged rotations or a few more, and answers the last one.
fn acknowledged_until_killed(
    backend: &Backend,
    own_name: &str,
    token: &Secret<RefreshToken>,
    count: usize,
) -> (i64, Secret<RefreshToken>) {
    let location = match backend.location() {
        Location::Sqlite(path) => path.to_str().unwrap(),
        Location::Postgres(url) => url,
    };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", own_name, "--nocapture"])
        .envs([(LOCATION, location), (TOKEN, token.expose())])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut last = None;
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // The test runner may have begun the line.
        if let Some((_, told)) = line.unwrap().split_once(ACKNOWLEDGED) {
            let (generation, token) = told.split_once(' ').unwrap();
            last = Some((generation.parse().unwrap(), Secret::parse(token).unwrap()));
            seen += 1;
            if seen == count {
                child.kill().unwrap();
            }
        }
    }
    assert!(!child.wait().unwrap().success(), "it was killed");
    last.unwrap()
}

/// A spent token has its successor, and each family exactly one token that can be used.
async fn nothing_is_half_done(backend: &Backend) {
    let without_successor = "select count(*) from refresh_tokens as spent where spent_at is not null
        and not exists (select 1 from refresh_tokens as successor
        where successor.grant_id = spent.grant_id and successor.generation = spent.generation + 1)";
    assert_eq!(backend.number(without_successor).await, 0);
    let odd = "select count(*) from (select grant_id from refresh_tokens group by grant_id
        having sum(case when spent_at is null then 1 else 0 end) <> 1) as families";
    assert_eq!(backend.number(odd).await, 0);
}
