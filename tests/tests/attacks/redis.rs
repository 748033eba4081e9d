//! Redis is wiped, hangs, is killed, is cut off from one server, or holds what others wrote: nothing is accepted that was
//! refused before, limits hold on, and whoever was signing in starts again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::client::{Client, Tokens};
use e2e::house::{Plan, Store};
use e2e::page::Page;
use e2e::redis::Server;
use e2e::visitor::{Landing, Visitor};
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::nodes::Cluster;
use crate::stage::{Code, PUB1, Stage, assert_json_error, assert_quiet};
use crate::way::Way;

/// A stage on `store` that keeps in this Redis what may be lost, and lets few try often.
async fn stage(store: Store, redis: &Server) -> Stage {
    let plan = Plan::on(store)
        .without_artifacts()
        .with("EPHEMERAL__URL", &redis.url())
        .with("LIMITS__SIGN_IN_FAILURES", "3");
    let stage = Stage::build(plan).await;
    assert!(stage.house.logs().contains("are kept in Redis"), "{}", stage.house.logs());
    stage
}

/// What was refused before Redis was harmed, and what was not.
struct Before {
    client: Client,
    /// Its code is spent, its refresh token is used up; the one after it is live.
    spent: Code,
    used_up: String,
    revoked: Tokens,
    live: Tokens,
    /// Somebody who is signed in, and the page that they have not answered.
    visitor: Visitor,
    waiting: Page,
}

impl Before {
    /// In the browser of somebody who was here before: strangers have to wait after each run on the brake.
    async fn of(stage: &Stage, visitor: &Visitor) -> Self {
        let (client, visitor) = (stage.client(&[PUB1]).await, visitor.clone());
        let spent = stage.code(&client, &visitor, &["read"]).await;
        Tokens::read(&spent.redeem().await);
        let used_up = stage.tokens(&client, &visitor).await;
        Tokens::read(&client.refresh(&used_up.refresh).await);
        let revoked = stage.tokens(&client, &visitor).await;
        assert_eq!(client.revoke(&revoked.refresh).await.status, 200);
        let live = stage.tokens(&client, &visitor).await;
        let waiting = visitor.open(&client.request().url()).await.page();
        assert_eq!(waiting.kind, "consent", "{waiting:#?}");
        Self { client, spent, used_up: used_up.refresh, revoked, live, visitor, waiting }
    }

    /// Nothing that was refused is accepted, and nothing that was live has ended.
    async fn holds(&mut self) {
        assert_json_error(&self.spent.redeem().await, 400, "invalid_grant");
        assert_json_error(&self.client.refresh(&self.used_up).await, 400, "refresh_replayed");
        assert_json_error(&self.client.refresh(&self.revoked.refresh).await, 400, "invalid_grant");
        self.live = Tokens::read(&self.client.refresh(&self.live.refresh).await);
    }

    /// Whoever was signing in is told to start again, and can: the session is where it was.
    async fn starts_again(&self, stage: &Stage) {
        let lost = self.visitor.decide(&self.waiting, &["read"], "authorize").await.page();
        lost.expect_error(400, "request_gone");
        let request = self.client.request();
        let again = self.visitor.open(&request.url()).await.page();
        assert_eq!(again.kind, "consent", "the session is intact: {again:#?}");
        let code = self.visitor.decide(&again, &["read"], "authorize").await.away().code();
        Tokens::read(&self.client.redeem(&request, &code).await);
        // It was answered, and is not answered again.
        let answered = self.visitor.decide(&again, &["read"], "authorize").await.page();
        answered.expect_error(400, "request_gone");
        assert_quiet(&stage.house, |status| status < 500);
    }
}

/// Tries wrong passwords for somebody new until the network has to wait; answers how many were looked at.
async fn guesses_before_the_brake(client: &Client) -> usize {
    for guess in 0..20 {
        let visitor = Visitor::new();
        let page = visitor.open(&client.request().url()).await.page();
        let form = page.form("action");
        let email = format!("{}@example.test", e2e::fresh().replace(['-', '_'], "x"));
        let typed = [("email", email.as_str()), ("password", "wrong-wrong-wrong")];
        let fields = form.filled(&typed, &[], ("action", "sign_in"));
        let answer = visitor.post(&form.action, &fields).await.page();
        if answer.answer.status == 429 {
            return guess;
        }
        assert_eq!((answer.kind.as_str(), answer.answer.status), ("login", 401), "{answer:#?}");
    }
    panic!("nobody stops the guesses");
}

e2e::on_both_stores!(
    redis_that_is_wiped_revives_nothing_and_opens_no_door,
    while_redis_is_wiped_without_end_each_code_is_redeemed_once,
    a_server_without_its_redis_goes_on_with_its_own_limits,
    what_others_write_into_redis_is_nobodys_request,
);

// FT-12: wiped at rest
async fn redis_that_is_wiped_revives_nothing_and_opens_no_door(store: Store) {
    let redis = Server::start(&[]).await;
    let stage = stage(store, &redis).await;
    let visitor = Visitor::new();
    let mut before = Before::of(&stage, &visitor).await;
    assert_eq!(guesses_before_the_brake(&before.client).await, 3);
    assert_eq!(guesses_before_the_brake(&before.client).await, 0);
    assert_ne!(redis.ask(&["DBSIZE"]), "0");
    redis.ask(&["FLUSHALL"]);
    before.holds().await;
    before.starts_again(&stage).await;
    // The limits begin again, and hold.
    assert_eq!(guesses_before_the_brake(&before.client).await, 3);
    assert_eq!(guesses_before_the_brake(&before.client).await, 0);
    assert!(!stage.house.logs().contains("does not answer"), "{}", stage.house.logs());
    stage.close_quietly();
}

// FT-12: wiped all the time
async fn while_redis_is_wiped_without_end_each_code_is_redeemed_once(store: Store) {
    let redis = Server::start(&[]).await;
    let stage = stage(store, &redis).await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(stage.code(&client, &visitor, &["read"]).await);
    }
    let wiping = {
        let mut stream = TcpStream::connect(("127.0.0.1", redis.port())).await.expect("Redis listens");
        tokio::spawn(async move {
            loop {
                stream.write_all(b"FLUSHALL\r\n").await.expect("Redis reads");
                let mut done = [0; 5];
                stream.read_exact(&mut done).await.expect("Redis answers");
                assert_eq!(&done, b"+OK\r\n");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
    };
    for code in &codes {
        let answers = join_all((0..16).map(|_| code.redeem())).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:#?}");
    }
    // Somebody who is signed in decides meanwhile: it may take them several tries, and is then right.
    let request = client.request();
    let mut tries = 0;
    let code = loop {
        tries += 1;
        assert!(tries < 200, "nobody ever gets through");
        let page = visitor.open(&request.url()).await.page();
        if page.kind == "consent" {
            match visitor.decide(&page, &["read"], "authorize").await {
                Landing::Away(callback) => break callback.code(),
                Landing::Page(page) => page.expect_error(400, "request_gone"),
            }
        } else {
            page.expect_error(400, "request_gone");
        }
    };
    Tokens::read(&client.redeem(&request, &code).await);
    assert!(!wiping.is_finished());
    wiping.abort();
    stage.close().await;
}

// FT-12, FT-13: killed, and silent
async fn a_server_without_its_redis_goes_on_with_its_own_limits(store: Store) {
    let mut redis = Server::start(&[]).await;
    let stage = stage(store, &redis).await;
    let visitor = Visitor::new();
    for harm in ["silent", "killed"] {
        let mut before = Before::of(&stage, &visitor).await;
        if harm == "killed" {
            redis.kill9();
        } else {
            redis.freeze();
        }
        before.holds().await;
        before.starts_again(&stage).await;
        let waits = wait_for_each(&before.client, 50).await;
        assert!(waits[25] < Duration::from_millis(100), "half of all asks wait for Redis: {waits:?}");
        // What this process counted the last time still counts.
        let guesses = guesses_before_the_brake(&before.client).await;
        assert!(guesses == 3 || (guesses < 3 && harm == "killed"), "{harm}: {guesses}");
        // Who begins while Redis is away ends while it is away, or when it is back.
        let (visitor, request) = (Visitor::new(), before.client.request());
        let consent = visitor.open(&request.url()).await.page();
        if harm == "killed" {
            redis.start_again().await;
        } else {
            redis.thaw();
        }
        is_used(&redis, &stage.house.logs(), || stage.house.logs()).await;
        assert_eq!(consent.kind, "login", "{consent:#?}");
        let begun = visitor.open(consent.url.as_str()).await.page();
        assert_eq!(begun.kind, "login", "{begun:#?}");
        before.holds_the_live_one().await;
        redis.ask(&["FLUSHALL"]);
    }
    let logs = stage.house.logs();
    assert_eq!(logs.matches("Redis does not answer").count(), logs.matches("Redis is back").count());
    assert!((2..=4).contains(&logs.matches("Redis does not answer").count()), "{logs}");
    stage.close().await;
}

impl Before {
    async fn holds_the_live_one(&mut self) {
        self.live = Tokens::read(&self.client.refresh(&self.live.refresh).await);
        assert_json_error(&self.client.refresh(&self.revoked.refresh).await, 400, "invalid_grant");
    }
}

/// How long each of `count` refused token requests takes, from the shortest: each of them counts.
async fn wait_for_each(client: &Client, count: usize) -> Vec<Duration> {
    let mut waits = Vec::new();
    for _ in 0..count {
        #[expect(clippy::disallowed_methods, reason = "a test that measures how long somebody waits")]
        let start = Instant::now();
        assert_json_error(&client.refresh("dwr_no_such_token").await, 400, "invalid_grant");
        waits.push(start.elapsed());
    }
    waits.sort_unstable();
    waits
}

/// Waits until a server that had lost its Redis says that it is back.
async fn is_used(redis: &Server, before: &str, logs: impl Fn() -> String) {
    let back = async {
        while logs().matches("Redis is back").count() < before.matches("Redis does not answer").count() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), back).await.expect("Redis is used again");
    assert_eq!(redis.ask(&["PING"]), "PONG");
}

// FT-14: wrong types, garbage, another's keys, another's values
async fn what_others_write_into_redis_is_nobodys_request(store: Store) {
    let redis = Server::start(&[]).await;
    let stage = stage(store, &redis).await;
    let visitor = Visitor::new();
    let issuer = stage.house.issuer().to_owned();
    let requests = format!("doorward:{}:{issuer}:16:pending requests:*", issuer.len());
    let harms: [&[&str]; 6] = [
        &["SET", "KEY", "garbage"],
        &["SET", "KEY", "99999999999 {\"query\":[]}"],
        &["RPUSH", "KEY", "99999999999 {}"],
        &["HSET", "KEY", "query", "x"],
        &["SETRANGE", "KEY", "3", "\u{1}\u{2}"],
        &["RENAME", "KEY", "doorward:14:https://a.test:16:pending requests:1:x"],
    ];
    for harm in harms {
        let before = Before::of(&stage, &visitor).await;
        for key in redis.ask(&["KEYS", "doorward:*"]).lines() {
            if harm[0] != "RENAME" && harm[0] != "SETRANGE" {
                redis.ask(&["DEL", key]);
            }
            let command: Vec<_> = harm.iter().map(|word| if *word == "KEY" { key } else { *word }).collect();
            redis.ask(&command);
        }
        before.starts_again(&stage).await;
        assert_eq!(guesses_before_the_brake(&before.client).await, 3, "{harm:?}");
        redis.ask(&["FLUSHALL"]);
    }

    // A request under the identifier of another one is still the other browser's.
    let client = stage.client(&[PUB1]).await;
    let (mallory, alice) = (Visitor::new(), Visitor::new());
    alice.open(&client.request().url()).await.page();
    let hers = redis.ask(&["KEYS", &requests]);
    let page = mallory.open(&client.request().url()).await.page();
    let all = redis.ask(&["KEYS", &requests]);
    let his = all.lines().find(|key| *key != hers).expect("two requests wait");
    redis.ask(&["RENAME", &hers, his]);
    mallory.open(page.url.as_str()).await.page().expect_error(403, "other_browser");

    assert!(!stage.house.logs().contains("does not answer"), "{}", stage.house.logs());
    stage.close().await;
}

mod postgres_alone {
    mod postgres {
        use super::super::*;

        /// Sends a form of one server to another, as a proxy in front of both would.
        async fn send(visitor: &Visitor, origin: &str, action: &Url, fields: &[(String, String)]) -> Page {
            let mut url: Url = origin.parse().expect("a URL");
            url.set_path(action.path());
            url.set_query(action.query());
            visitor.post(&url, fields).await.page()
        }

        /// Begins at one server and signs in at another; answers where that ends.
        async fn sign_in_across(cluster: &Cluster, client: &Client, from: usize, to: usize) -> Page {
            let (visitor, request) = (Visitor::new(), client.request());
            let here = request.url().replacen(&cluster.origins[0], &cluster.origins[from], 1);
            let page = visitor.open(&here).await.page();
            assert_eq!(page.kind, "login", "{page:#?}");
            let alice = cluster.stage.house.alice();
            let form = page.form("action");
            let typed = [("email", alice.email.as_str()), ("password", alice.password.as_str())];
            let fields = form.filled(&typed, &[], ("action", "sign_in"));
            send(&visitor, &cluster.origins[to], &form.action, &fields).await
        }

        // FT-13: cut off from one server
        #[tokio::test(flavor = "multi_thread")]
        async fn a_server_that_is_cut_off_from_redis_is_as_strict_as_the_others() {
            let redis = Server::start(&[]).await;
            let way = Arc::new(Way::to(&redis).await);
            let limits = [("LIMITS__TOKEN_FAILURES", "60"), ("LOG__LEVEL", "info")];
            let cluster = Cluster::with(&[redis.url(), way.url.clone()], &limits).await;
            let client = cluster.stage.client(&[PUB1]).await;
            let clients = cluster.clients(&client);
            for (from, to) in [(0, 1), (1, 0)] {
                assert_eq!(sign_in_across(&cluster, &client, from, to).await.kind, "consent");
            }
            let visitor = Visitor::new();
            let revoked = cluster.stage.tokens(&client, &visitor).await;

            way.cut();
            for _ in 0..3 {
                let code = cluster.stage.code(&client, &visitor, &["read"]).await;
                let asks = (0..32).map(|i| Code { client: clients[i % 2].clone(), ..code.clone() });
                let answers = join_all(asks.map(|code| async move { code.redeem().await })).await;
                assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:#?}");
            }
            assert_eq!(client.revoke(&revoked.refresh).await.status, 200);
            assert_json_error(&clients[1].refresh(&revoked.refresh).await, 400, "invalid_grant");
            // What waits at one is not known at the other, which says so.
            sign_in_across(&cluster, &client, 0, 1).await.expect_error(400, "request_gone");
            assert_eq!(sign_in_across(&cluster, &client, 1, 1).await.kind, "consent");
            // Its own limit holds: what was counted elsewhere does not count here, and nobody counts for ever.
            let mut looked_at = 0;
            while clients[1].refresh("dwr_no_such_token").await.status == 400 {
                looked_at += 1;
            }
            assert!((1..=60).contains(&looked_at), "{looked_at}");
            let logs = cluster.logs_of_others().remove(0);
            assert_eq!(logs.matches("Redis does not answer").count(), 1, "{logs}");
            assert!(!cluster.stage.house.logs().contains("Redis does not answer"));

            way.mend();
            is_used(&redis, &logs, || cluster.logs_of_others().remove(0)).await;
            assert_eq!(sign_in_across(&cluster, &client, 0, 1).await.kind, "consent");
            assert_eq!(sign_in_across(&cluster, &client, 1, 0).await.kind, "consent");
            assert_quiet(&cluster.stage.house, |status| status < 500);
        }
    }
}
