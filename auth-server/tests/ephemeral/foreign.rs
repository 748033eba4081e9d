//! A Redis that others write to as well.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    time::Duration,
};

use deadpool_redis::redis;
use doorward::{
    domain::throttle::Failures,
    ephemeral::{PENDING_REQUESTS, SIGN_IN_FAILURES, TOKEN_FAILURES},
};

use crate::server::{ISSUER, Server, at, replica, waiting};

/// The key of this place, as it is documented.
fn key(slot: &str, key: &str) -> String {
    format!("doorward:{}:{ISSUER}:{}:{slot}:{}:{key}", ISSUER.len(), slot.len(), key.len())
}

/// Ways to leave something under a key that nobody here would write.
fn hand_written(key: &str) -> Vec<redis::Cmd> {
    let mut written = Vec::new();
    let mut write = |name: &str, arguments: &[&str]| {
        let mut command = redis::cmd(name);
        command.arg(key).arg(arguments);
        written.push(command);
    };
    write("RPUSH", &["1900000000 7"]);
    write("HSET", &["count", "7"]);
    write("SADD", &["7"]);
    write("ZADD", &["1900000000", "7"]);
    write("XADD", &["*", "count", "7"]);
    write("SETBIT", &["7", "1"]);
    for text in [
        "",
        "7",
        "x",
        " ",
        "1900000000",
        "1900000000 ",
        "1900000000 x",
        "-1900000000 7",
        "1900000000 -7",
        "1900000000 99999999999999999999999",
        "1900000000 7 7",
        "1e10 7",
        "99999999999999999999999999 {}",
        "1900000000 {\"query\":7}",
        "1900000000 [[[[[[",
        "{\"count\":7,\"last\":0}",
    ] {
        write("SET", &[text]);
    }
    written
}

#[tokio::test]
async fn what_somebody_else_wrote_is_not_there_and_is_written_over() {
    let server = Server::start(&[]);
    let replica = server.replica();
    let mut other = server.connect().await;
    let (counter, request, failures) =
        (key("token failures", "n"), key("pending requests", "r"), key("sign-in failures", "f"));
    assert_eq!(hand_written(&counter).len(), 22);
    for i in 0..22 {
        let _: () = redis::cmd("FLUSHDB").query_async(&mut other).await.unwrap();
        for key in [&counter, &request, &failures] {
            let _: redis::Value = hand_written(key)[i].query_async(&mut other).await.unwrap();
        }
        assert!(replica.get(&PENDING_REQUESTS, "r", at(0)).await.is_none(), "{i}");
        assert!(replica.get(&SIGN_IN_FAILURES, "f", at(0)).await.is_none(), "{i}");
        assert_eq!(replica.bump(&TOKEN_FAILURES, "n", at(0)).await, 1, "{i}");
        assert_eq!(replica.bump(&TOKEN_FAILURES, "n", at(0)).await, 2, "{i}");
        assert!(replica.take(&PENDING_REQUESTS, "r", at(0)).await.is_none(), "{i}");
        replica.put(&PENDING_REQUESTS, "r", &waiting("mine"), at(0)).await;
        replica.put(&SIGN_IN_FAILURES, "f", &Failures { count: 1, last: 0 }, at(0)).await;
        assert_eq!(replica.take(&PENDING_REQUESTS, "r", at(0)).await.unwrap().query, "mine", "{i}");
        assert_eq!(replica.get(&SIGN_IN_FAILURES, "f", at(0)).await.unwrap().count, 1, "{i}");
        // All of that was in Redis: one that cannot be read does not make it a Redis that is away.
        assert_eq!(server.replica().bump(&TOKEN_FAILURES, "n", at(0)).await, 3, "{i}");
        server.keeps_nothing_for_ever().await;
    }
}

#[tokio::test]
async fn what_cannot_be_read_stops_nobody_from_taking_its_place() {
    let server = Server::start(&[]);
    let replica = server.replica();
    let mut other = server.connect().await;
    let place = key("sign-in failures", "f");
    let one = Failures { count: 1, last: 0 };
    for command in hand_written(&place) {
        let _: () = redis::cmd("FLUSHDB").query_async(&mut other).await.unwrap();
        let _: redis::Value = command.query_async(&mut other).await.unwrap();
        let text: redis::RedisResult<String> = redis::cmd("GET").arg(&place).query_async(&mut other).await;
        // Where an end can be read, what comes after it might be the value of another version.
        let framed = text.is_ok_and(|text| {
            text.split_once(' ').is_some_and(|(end, value)| {
                !end.is_empty() && end.bytes().all(|b| b.is_ascii_digit()) && !value.is_empty()
            })
        });
        let replaced = replica.replace(&SIGN_IN_FAILURES, "f", None, &one, at(0)).await;
        assert_eq!(replaced, !framed, "{command:?}");
    }
}

#[tokio::test]
async fn the_documented_commands_and_keys_are_enough() {
    let server = Server::start(&[]);
    let commands = "+get +set +getdel +eval +unwatch +ping +select";
    server
        .run_command::<()>(&format!(
            "ACL SETUSER doorward on >secret-word resetkeys ~doorward:* -@all {commands}"
        ))
        .await;
    let url = server.url().replace("redis://", "redis://doorward:secret-word@");
    let replica = replica(&format!("{url}/3"), ISSUER);
    replica.greet().await;
    assert_eq!(replica.bump(&TOKEN_FAILURES, "n", at(0)).await, 1);
    replica.put(&PENDING_REQUESTS, "k", &waiting("a"), at(0)).await;
    assert!(replica.get(&PENDING_REQUESTS, "k", at(0)).await.is_some());
    assert!(replica.replace(&SIGN_IN_FAILURES, "f", None, &Failures::default(), at(0)).await);
    let elsewhere = server.url() + "/3";
    let other = self::replica(&elsewhere, ISSUER);
    assert_eq!(other.bump(&TOKEN_FAILURES, "n", at(0)).await, 2);
    assert!(other.take(&PENDING_REQUESTS, "k", at(0)).await.is_some());
    assert!(other.get(&SIGN_IN_FAILURES, "f", at(0)).await.is_some());
}

#[tokio::test]
async fn servers_with_different_issuers_share_a_redis_and_nothing_in_it() {
    let server = Server::start(&[]);
    let [one, other] = ["https://a.test", "https://a.test/b"].map(|issuer| replica(&server.url(), issuer));
    one.put(&PENDING_REQUESTS, "k", &waiting("a"), at(0)).await;
    assert_eq!(one.bump(&TOKEN_FAILURES, "n", at(0)).await, 1);
    assert!(other.get(&PENDING_REQUESTS, "k", at(0)).await.is_none());
    assert_eq!(other.bump(&TOKEN_FAILURES, "n", at(0)).await, 1);
    assert!(one.get(&PENDING_REQUESTS, "k", at(0)).await.is_some());
}

#[tokio::test]
async fn another_database_number_is_another_place() {
    let server = Server::start(&[]);
    let [one, other] = [1, 2].map(|number| replica(&format!("{}/{number}", server.url()), ISSUER));
    assert_eq!(one.bump(&TOKEN_FAILURES, "n", at(0)).await, 1);
    assert_eq!(other.bump(&TOKEN_FAILURES, "n", at(0)).await, 1);
    assert_eq!(server.run_command::<u32>("DBSIZE").await, 0);
}

#[tokio::test]
async fn a_value_is_over_when_redis_says_so_whatever_our_clock_says() {
    let server = Server::start(&[]);
    let replica = server.replica();
    replica.put_back(&PENDING_REQUESTS, "k", &waiting("a"), at(0), at(599)).await;
    assert!(replica.get(&PENDING_REQUESTS, "k", at(599)).await.is_some());
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for set_back in [at(599), at(0), at(-3600)] {
        assert!(replica.get(&PENDING_REQUESTS, "k", set_back).await.is_none());
    }
    assert_eq!(server.run_command::<u32>("DBSIZE").await, 0);
}

#[tokio::test]
async fn whatever_else_listens_there_is_no_redis_and_harms_nobody() {
    for answer in [
        &b"$5\r\nhello\r\n"[..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"*-1\r\n",
        b"\xff\xff\xff",
        b"-ERR\r\n",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                std::thread::spawn(move || {
                    let mut asked = [0; 4096];
                    while stream.read(&mut asked).is_ok_and(|length| length > 0) {
                        let _ = stream.write_all(answer);
                    }
                });
            }
        });
        let replica = replica(&url, ISSUER);
        assert_eq!(replica.bump(&TOKEN_FAILURES, "n", at(0)).await, 1);
        assert_eq!(replica.bump(&TOKEN_FAILURES, "n", at(0)).await, 2);
        replica.put(&PENDING_REQUESTS, "k", &waiting("a"), at(0)).await;
        assert_eq!(replica.take(&PENDING_REQUESTS, "k", at(0)).await.unwrap().query, "a");
        assert!(replica.take(&PENDING_REQUESTS, "k", at(0)).await.is_none());
    }
}
