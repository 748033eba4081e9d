//! A database that is stopped, that hangs, that refuses a row.

use std::time::Duration;

use e2e::answer::Answer;
use e2e::client::{Client, Tokens};
use e2e::house::{House, Plan, Store};
use e2e::postgres::Server;
use e2e::scene::Scene;
use e2e::visitor::Visitor;
use futures_util::future::join_all;

use crate::{WITHOUT_DATABASE, assert_away, get, http, ready, register};
use tokio::time::Instant;

/// The server gives up after three seconds; the rest is for a machine that has other things to do. A server that waits for
/// the database waits for ever.
const REFUSED: Duration = Duration::from_secs(20);
/// How long it hangs where that is what is tried.
const FROZEN: Duration = Duration::from_secs(8);
/// How long it takes to find the database again: five seconds, and the rest for a busy machine.
const BACK: Duration = Duration::from_secs(20);

async fn on(server: &Server) -> (House, Scene, Client) {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("STORE__URL", &server.url());
    let house = House::build(plan).await;
    let scene = Scene::at(&house).await;
    let client = scene.client().await;
    (house, scene, client)
}

/// Everything that needs the database is refused in time, and everything else is served.
async fn assert_refuses_and_serves(house: &House, client: &Client, tokens: &Tokens) {
    let asks = join_all((0..16).map(async |i| {
        let begun = Instant::now();
        let answer = match i % 4 {
            0 => client.refresh(&tokens.refresh).await,
            1 => client.revoke(&tokens.refresh).await,
            2 => register(house).await,
            _ => {
                let url = format!("{}/oauth2/userinfo", house.origin());
                Answer::to(http().get(url).bearer_auth(&tokens.access)).await
            }
        };
        assert_away(&answer);
        begun.elapsed()
    }));
    let served = async {
        for path in WITHOUT_DATABASE {
            let begun = Instant::now();
            assert_eq!(get(house, path).await.status, 200, "{path}");
            assert!(begun.elapsed() < REFUSED, "{path} waited for the database");
        }
        assert_eq!(get(house, "/readyz").await.status, 503);
    };
    let (refused, ()) = tokio::join!(asks, served);
    let longest = refused.into_iter().max().expect("some were asked");
    assert!(longest < REFUSED, "refused only after {longest:?}");
}

// FT-06, PR-11
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_stopped_at_once_costs_a_503_and_nothing_that_was_promised() {
    let server = Server::start();
    let (house, scene, client) = on(&server).await;
    let visitor = Visitor::new();
    for _ in 0..2 {
        let tokens = scene.tokens(&client, &visitor).await;
        let revoked = scene.tokens(&client, &visitor).await;
        let code = scene.code(&client, &visitor).await;
        let spent = scene.code(&client, &visitor).await;
        Tokens::read(&spent.redeem().await);
        assert_eq!(client.revoke(&revoked.refresh).await.status, 200);
        server.stop_at_once();
        assert_refuses_and_serves(&house, &client, &tokens).await;
        server.start_again();
        ready(&house, BACK).await;
        // What was refused was not done, what was done is known.
        client.refresh(&revoked.refresh).await.expect_error(400, "invalid_grant");
        spent.redeem().await.expect_error(400, "invalid_grant");
        Tokens::read(&code.redeem().await);
        code.redeem().await.expect_error(400, "invalid_grant");
        Tokens::read(&client.refresh(&tokens.refresh).await);
    }
}

// FT-07, PR-11
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_hangs_holds_nobody_up_and_piles_nothing_up() {
    let server = Server::start();
    let (mut house, scene, client) = on(&server).await;
    let visitor = Visitor::new();
    let tokens = scene.tokens(&client, &visitor).await;
    let code = scene.code(&client, &visitor).await;
    let id = house.auth_server().id();
    let threads = || std::fs::read_dir(format!("/proc/{id}/task")).expect("it runs").count();
    let before = threads();
    server.freeze();
    for _ in 0..2 {
        assert_refuses_and_serves(&house, &client, &tokens).await;
    }
    let during = threads();
    server.thaw();
    assert!(during <= before + 8, "{before} threads became {during}");
    ready(&house, BACK).await;
    Tokens::read(&code.redeem().await);
    code.redeem().await.expect_error(400, "invalid_grant");
    Tokens::read(&client.refresh(&tokens.refresh).await);
}

// FT-07, where the database stops in the middle of many statements
#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_the_middle_when_the_database_hangs_is_answered_too() {
    let server = Server::start();
    let (house, scene, client) = on(&server).await;
    let tokens = scene.tokens(&client, &Visitor::new()).await;
    let begun = Instant::now();
    let load = join_all((0..32).map(async |_| {
        let mut longest = Duration::ZERO;
        while begun.elapsed() < Duration::from_secs(4) {
            let asked = Instant::now();
            let url = format!("{}/oauth2/userinfo", house.origin());
            let answer = Answer::to(http().get(url).bearer_auth(&tokens.access)).await;
            assert!(matches!(answer.status, 200 | 503), "{answer:#?}");
            longest = longest.max(asked.elapsed());
        }
        longest
    }));
    let freeze = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.freeze();
        tokio::time::sleep(FROZEN).await;
        server.thaw();
    };
    let (longest, ()) = tokio::join!(load, freeze);
    let longest = longest.into_iter().max().expect("some asked");
    assert!(longest < FROZEN + REFUSED, "answered only after {longest:?}");
    ready(&house, BACK).await;
}

/// Makes the write fail that comes after the code was spent, and then no more.
fn refuse_tokens(house: &House, store: Store, refuse: bool) {
    if store == Store::Postgres {
        let statements = if refuse {
            "create function refuse() returns trigger language plpgsql as 'begin raise exception ''no''; end';
             create trigger refuse before insert on refresh_tokens for each row execute function refuse()"
        } else {
            "drop trigger refuse on refresh_tokens"
        };
        house.database().ask(statements);
        return;
    }
    let statement = if refuse {
        "create trigger refuse before insert on refresh_tokens begin select raise(abort, 'no'); end"
    } else {
        "drop trigger refuse"
    };
    let file = house.folder().join("doorward.db");
    let script = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=10).execute(sys.argv[2])";
    let done = std::process::Command::new("python3").args(["-c", script]).arg(file).arg(statement).status();
    assert!(done.expect("python3 runs").success(), "{statement}");
}

e2e::on_both_stores!(a_code_is_unspent_when_its_tokens_could_not_be_written);

// FT-21
async fn a_code_is_unspent_when_its_tokens_could_not_be_written(store: Store) {
    let house = House::build(Plan::on(store).without_artifacts()).await;
    let (scene, visitor) = (Scene::at(&house).await, Visitor::new());
    let client = scene.client().await;
    let code = scene.code(&client, &visitor).await;
    let tokens = scene.tokens(&client, &visitor).await;
    refuse_tokens(&house, store, true);
    for _ in 0..2 {
        assert_away(&code.redeem().await);
        assert_away(&client.refresh(&tokens.refresh).await);
    }
    refuse_tokens(&house, store, false);
    Tokens::read(&client.refresh(&tokens.refresh).await);
    Tokens::read(&code.redeem().await);
    code.redeem().await.expect_error(400, "invalid_grant");
}
