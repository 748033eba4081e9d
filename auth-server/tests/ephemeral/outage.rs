//! Redis that is not there, hangs, is wiped or full.

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use doorward::{
    domain::throttle::Failures,
    ephemeral::{Ephemeral, PENDING_REQUESTS, SIGN_IN_FAILURES, TOKEN_FAILURES},
};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::server::{ISSUER, Server, at, free_port, replica, waiting};

/// What this thread logs. The tests here run on one thread, and so does everything that they start.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// How many warnings there are, and how often Redis was back.
    fn losses_and_returns(&self) -> (usize, usize) {
        let text = self.text();
        (text.matches(" WARN ").count(), text.matches("Redis is back").count())
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests measure how long somebody waits")]
async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let start = Instant::now();
    let done = work.await;
    (start.elapsed(), done)
}

/// The first verb after Redis went may wait for it; a thousand after that do not.
async fn goes_on_at_once(replica: &Ephemeral) {
    let (first, ()) = timed(async {
        replica.get(&PENDING_REQUESTS, "nothing", at(0)).await;
    })
    .await;
    assert!(first < Duration::from_secs(2), "{first:?}");
    let before = replica.bump(&TOKEN_FAILURES, "n", at(0)).await;
    let (all, ()) = timed(async {
        for i in 1..=1000 {
            assert_eq!(replica.bump(&TOKEN_FAILURES, "n", at(0)).await, before + i);
        }
    })
    .await;
    assert!(all < Duration::from_secs(1), "{all:?} for a thousand");
    replica.put(&PENDING_REQUESTS, "meanwhile", &waiting("a"), at(0)).await;
    assert!(replica.get(&PENDING_REQUESTS, "meanwhile", at(0)).await.is_some());
    let one = Failures { count: 1, last: 0 };
    assert!(replica.replace(&SIGN_IN_FAILURES, "meanwhile", None, &one, at(0)).await);
}

/// Waits until what is kept is in Redis again.
async fn back(server: &Server, replica: &Ephemeral) {
    let returned = async {
        loop {
            let key = format!("back {}", ulid::Ulid::generate());
            replica.bump(&TOKEN_FAILURES, &key, at(0)).await;
            if server.replica().get(&TOKEN_FAILURES, &key, at(0)).await.is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), returned).await.expect("Redis is used again");
}

/// Who began while Redis was away goes on, once; who counted then counts on where Redis is.
async fn keeps_what_began_meanwhile(replica: &Ephemeral) {
    assert!(replica.get(&PENDING_REQUESTS, "meanwhile", at(1)).await.is_some());
    assert!(replica.take(&PENDING_REQUESTS, "meanwhile", at(1)).await.is_some());
    assert!(replica.take(&PENDING_REQUESTS, "meanwhile", at(1)).await.is_none());
    let (one, two) = (Failures { count: 1, last: 0 }, Failures { count: 2, last: 0 });
    assert_eq!(replica.get(&SIGN_IN_FAILURES, "meanwhile", at(1)).await, Some(one));
    assert!(replica.replace(&SIGN_IN_FAILURES, "meanwhile", Some(&one), &two, at(1)).await);
    assert!(!replica.replace(&SIGN_IN_FAILURES, "meanwhile", Some(&one), &two, at(1)).await);
    assert_eq!(replica.get(&SIGN_IN_FAILURES, "meanwhile", at(1)).await, Some(two));
}

#[tokio::test]
async fn a_server_that_starts_without_redis_uses_it_when_it_comes() {
    let (log, _guard) = Log::begin();
    let mut server = Server::start(&[]);
    server.kill9();
    let replica = server.replica();
    replica.greet().await;
    assert_eq!(log.losses_and_returns(), (1, 0), "{}", log.text());
    goes_on_at_once(&replica).await;
    server.start_again();
    back(&server, &replica).await;
    keeps_what_began_meanwhile(&replica).await;
    assert_eq!(log.losses_and_returns(), (1, 1), "{}", log.text());
}

#[tokio::test]
async fn when_redis_is_killed_the_process_goes_on_and_returns_to_it_when_it_is_back() {
    let (log, _guard) = Log::begin();
    let mut server = Server::start(&[]);
    let replica = server.replica();
    replica.greet().await;
    assert_eq!(log.losses_and_returns(), (0, 0), "{}", log.text());
    for _ in 0..3 {
        replica.put(&PENDING_REQUESTS, "before", &waiting("a"), at(0)).await;
        server.kill9();
        goes_on_at_once(&replica).await;
        assert!(replica.get(&PENDING_REQUESTS, "before", at(0)).await.is_none());
        server.start_again();
        back(&server, &replica).await;
        keeps_what_began_meanwhile(&replica).await;
        server.run_command::<()>("FLUSHALL").await;
    }
    assert_eq!(log.losses_and_returns(), (3, 3), "{}", log.text());
}

#[tokio::test]
async fn when_redis_hangs_one_caller_waits_a_moment_and_then_nobody_does() {
    let (log, _guard) = Log::begin();
    let server = Server::start(&[]);
    let replica = server.replica();
    // Several connections are open when it stops answering.
    let many: Vec<_> = (0..32)
        .map(|_| {
            let replica = Arc::clone(&replica);
            tokio::spawn(async move { replica.bump(&TOKEN_FAILURES, "warm", at(0)).await })
        })
        .collect();
    for task in many {
        task.await.unwrap();
    }
    server.freeze();
    let (wait, _) = timed(replica.get(&PENDING_REQUESTS, "k", at(0))).await;
    assert!(wait < Duration::from_millis(1500), "{wait:?}");
    goes_on_at_once(&replica).await;
    // All who ask at the same moment wait at the same time.
    server.thaw();
    back(&server, &replica).await;
    keeps_what_began_meanwhile(&replica).await;
    server.freeze();
    let (wait, ()) = timed(async {
        let many: Vec<_> = (0..200)
            .map(|_| {
                let replica = Arc::clone(&replica);
                tokio::spawn(async move { replica.bump(&TOKEN_FAILURES, "many", at(0)).await })
            })
            .collect();
        let mut counts = Vec::new();
        for task in many {
            counts.push(task.await.unwrap());
        }
        counts.sort_unstable();
        assert_eq!(counts, (1..=200).collect::<Vec<_>>());
    })
    .await;
    assert!(wait < Duration::from_millis(2500), "{wait:?}");
    server.thaw();
    back(&server, &replica).await;
    assert_eq!(log.losses_and_returns(), (2, 2), "{}", log.text());
}

#[tokio::test]
async fn what_is_wiped_is_begun_again() {
    let (log, _guard) = Log::begin();
    let server = Server::start(&[]);
    let replica = server.replica();
    replica.put(&PENDING_REQUESTS, "k", &waiting("a"), at(0)).await;
    replica.bump(&TOKEN_FAILURES, "n", at(0)).await;
    server.run_command::<()>("FLUSHALL").await;
    assert!(replica.get(&PENDING_REQUESTS, "k", at(0)).await.is_none());
    assert!(replica.take(&PENDING_REQUESTS, "k", at(0)).await.is_none());
    assert_eq!(replica.bump(&TOKEN_FAILURES, "n", at(0)).await, 1);
    server.run_command::<()>("SCRIPT FLUSH").await;
    assert_eq!(replica.bump(&TOKEN_FAILURES, "n", at(0)).await, 2);
    assert_eq!(log.losses_and_returns(), (0, 0), "{}", log.text());
}

#[tokio::test]
async fn redis_that_cuts_every_connection_is_connected_to_again() {
    let (log, _guard) = Log::begin();
    let server = Server::start(&[]);
    let replica = server.replica();
    replica.put(&PENDING_REQUESTS, "k", &waiting("a"), at(0)).await;
    server.run_command::<u32>("CLIENT KILL TYPE normal").await;
    // A connection is tried before it is used, so nobody notices.
    assert!(replica.get(&PENDING_REQUESTS, "k", at(0)).await.is_some());
    assert_eq!(log.losses_and_returns(), (0, 0), "{}", log.text());
}

#[tokio::test]
async fn redis_that_takes_no_writes_is_away_until_it_does() {
    for (begin, end) in
        [("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"), ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE")]
    {
        let (log, _guard) = Log::begin();
        let server = Server::start(&[]);
        let replica = server.replica();
        replica.greet().await;
        server.run_command::<()>(begin).await;
        replica.bump(&TOKEN_FAILURES, "n", at(0)).await;
        goes_on_at_once(&replica).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(log.losses_and_returns(), (1, 0), "{}", log.text());
        server.run_command::<()>(end).await;
        back(&server, &replica).await;
        assert_eq!(log.losses_and_returns(), (1, 1), "{}", log.text());
    }
}

#[tokio::test]
async fn one_that_comes_and_goes_does_not_fill_the_log() {
    let (log, _guard) = Log::begin();
    let server = Server::start(&[]);
    let replica = server.replica();
    // It can do what is tried, and refuses what is needed.
    server.run_command::<()>("ACL SETUSER default -get").await;
    for _ in 0..300 {
        replica.get(&PENDING_REQUESTS, "k", at(0)).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (losses, returns) = log.losses_and_returns();
    assert!((1..=6).contains(&losses) && returns <= losses, "{}", log.text());
}

#[tokio::test]
async fn a_password_opens_redis_and_is_never_logged() {
    let (log, _guard) = Log::begin();
    let server = Server::start(&["--requirepass", "hunter2-hunter2"]);
    let authority = server.url().replace("redis://", "");
    let right = replica(&format!("redis://:hunter2-hunter2@{authority}"), ISSUER);
    right.greet().await;
    assert_eq!(right.bump(&TOKEN_FAILURES, "n", at(0)).await, 1);
    assert_eq!(log.losses_and_returns(), (0, 0), "{}", log.text());
    for wrong in [format!("redis://:hunter2-wrong@{authority}"), server.url()] {
        let wrong = replica(&wrong, ISSUER);
        wrong.greet().await;
        assert_eq!(wrong.bump(&TOKEN_FAILURES, "n", at(0)).await, 1);
    }
    assert_eq!(log.losses_and_returns(), (2, 0), "{}", log.text());
    let nobody = replica(&format!("rediss://:hunter2-hunter2@127.0.0.1:{}", free_port()), ISSUER);
    nobody.greet().await;
    assert!(
        log.text().contains("Redis does not answer") && !log.text().contains("hunter2"),
        "{}",
        log.text()
    );
    assert!(!format!("{nobody:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_counter_is_ever_without_an_end_however_redis_dies() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    for _ in 0..10 {
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let replica = server.replica();
                tokio::spawn(async move {
                    for i in 0..400 {
                        replica.bump(&TOKEN_FAILURES, &format!("{task} {}", i % 50), at(0)).await;
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(60)).await;
        server.kill9();
        for task in tasks {
            task.await.unwrap();
        }
        server.start_again();
        assert!(server.run_command::<u32>("DBSIZE").await > 0);
        server.keeps_nothing_for_ever().await;
    }
}
