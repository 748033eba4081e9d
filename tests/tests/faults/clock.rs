//! Clocks that jump.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use e2e::answer::Answer;
use e2e::client::{Tokens, decode};
use e2e::process;
use e2e::replicas::Replicas;
use e2e::visitor::Visitor;

/// How long until the server has noticed: half a second, and more for a busy machine.
const NOTICED: Duration = Duration::from_secs(10);

/// The library that shows a process another time.
fn other_time() -> PathBuf {
    let libraries = fs::read_dir("/usr/lib").expect("a folder").map(|entry| entry.expect("an entry").path());
    let found = libraries.map(|path| path.join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    found.expect("libfaketime is there; tests/install installs it")
}

async fn readiness(replicas: &Replicas, i: usize) -> Answer {
    Answer::to(process::client().get(format!("{}/readyz", replicas.origin(i)))).await
}

async fn until_it_says(replicas: &Replicas, i: usize, status: u16) -> Answer {
    let said = async {
        loop {
            let answer = readiness(replicas, i).await;
            if answer.status == status {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(NOTICED, said).await.unwrap_or_else(|_| panic!("{i} does not say {status}"))
}

// FT-15, PR-12
#[tokio::test]
async fn a_server_whose_clock_jumps_is_not_ready_and_goes_by_the_databases_clock() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let jump = |offset: &str| fs::write(file.path(), offset).expect("the offset can be written");
    jump("+0");
    let replicas = Replicas::build(3, &[("TOKEN__CODE_TTL", "10s")], |i, command| {
        if i == 1 {
            command
                .env("LD_PRELOAD", other_time())
                .env("FAKETIME_TIMESTAMP_FILE", file.path())
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
    })
    .await;
    let (scene, visitor) = (&replicas.scene, Visitor::new());
    let client = scene.client().await;
    let wrong = replicas.at(1, &client);
    for (offset, ahead) in [("+1h", 3600), ("-1h", -3600)] {
        replicas.proxy.pin(0);
        let old = scene.code(&client, &visitor).await;
        let aging = tokio::time::sleep(Duration::from_secs(12));
        jump(offset);
        let said = until_it_says(&replicas, 1, 503).await.json();
        let told = said["seconds_ahead"].as_i64().expect("a number");
        assert!((told - ahead).abs() <= 2, "{said:#}");
        assert_eq!((readiness(&replicas, 0).await.status, readiness(&replicas, 2).await.status), (200, 200));

        // What is alive lives here too, and what is given here is good elsewhere, for as long as it should be.
        let tokens = Tokens::read(&scene.code(&client, &visitor).await.by(&wrong).redeem().await);
        let (_, right) = decode(&scene.tokens(&client, &visitor).await.access);
        let (_, claims) = decode(&tokens.access);
        let seconds = |claims: &serde_json::Value, name: &str| claims[name].as_i64().expect("a time");
        for name in ["iat", "exp"] {
            let apart = (seconds(&claims, name) - seconds(&right, name)).abs();
            assert!(apart <= 5, "{name}: {claims:#} and {right:#}");
        }
        for i in 0..3 {
            let url = format!("{}/oauth2/userinfo", replicas.origin(i));
            let answer = Answer::to(process::client().get(url).bearer_auth(&tokens.access)).await;
            assert_eq!(answer.status, 200, "at {i}: {answer:#?}");
        }
        // What is over is over here too.
        aging.await;
        old.by(&wrong).redeem().await.expect_error(400, "invalid_grant");
        // A code that is given here is no longer good than others elsewhere.
        replicas.proxy.pin(1);
        let code = scene.code(&client, &visitor).await;
        let left = "select max(expires_at) - extract(epoch from now())::bigint from authorization_codes";
        let left: i64 = replicas.house.database().ask(left).parse().expect("seconds");
        assert!((0..=11).contains(&left), "{left}");
        Tokens::read(&code.by(&replicas.at(2, &client)).redeem().await);
        jump("+0");
        until_it_says(&replicas, 1, 200).await;
    }
}
