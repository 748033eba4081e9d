//! Group 1.20, below HTTP: sockets that say nothing, bytes that two readers would take for two different requests.

use std::time::Duration;

use e2e::house::Store;
use futures_util::future::join_all;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use crate::raw::{Reply, connect, exchange, read};
use crate::stage::{Stage, ask};

const FORM: &str =
    "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n";

/// What a slow socket sends at first, and then every two seconds.
const SLOW: [(&str, &[u8], &[u8]); 5] = [
    ("silence", b"", b""),
    ("half a line", b"GET /healthz HT", b""),
    ("an endless head", b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n"),
    ("a body that never comes", b"Content-Length: 1000\r\n\r\n", b""),
    ("an endless body", b"Content-Length: 1000\r\n\r\n", b"a"),
];

// HT-07, HT-08
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_slow_is_closed_and_nobody_else_waits() {
    let stage = Stage::start(Store::Sqlite).await;
    let begun = Instant::now();
    let slow = join_all((0..60).map(async |i| {
        let (what, first, then) = SLOW[i % SLOW.len()];
        let form = if first.starts_with(b"Content") { FORM } else { "" };
        let mut stream = connect(&stage).await;
        stream.write_all(&[form.as_bytes(), first].concat()).await.expect("the server listens");
        loop {
            let reply = read(&mut stream, Duration::from_secs(2)).await;
            if reply.closed {
                return (what, begun.elapsed(), reply);
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}: still open");
            // A server that has closed its end may answer this with a reset: then the next read sees the end.
            let _ = stream.write_all(then).await;
        }
    }));
    let good = async {
        let mut longest = Duration::ZERO;
        while begun.elapsed() < Duration::from_secs(9) {
            let asked = Instant::now();
            assert_eq!(ask(&stage.at("/readyz")).await.status, 200);
            longest = longest.max(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        longest
    };
    let (closed, longest) = tokio::join!(slow, good);
    for (what, after, reply) in closed {
        assert!(after < Duration::from_secs(15), "{what}: closed only after {after:?}");
        let statuses = reply.statuses();
        assert!(statuses.iter().all(|status| *status == 408) && statuses.len() <= 1, "{what}: {reply:?}");
    }
    assert!(longest < Duration::from_secs(1), "a good request took {longest:?} among slow ones");
    stage.close().await;
}

// HT-05
#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_came() {
    let stage = Stage::start(Store::Sqlite).await;
    let json = FORM
        .replace("/oauth2/token", "/register")
        .replace("application/x-www-form-urlencoded", "application/json");
    let page = FORM.replace("/oauth2/token", "/login");
    let chunk = format!("1000\r\n{}\r\n", "a".repeat(4096));
    join_all([FORM, &json, &page].map(async |head| {
        for length in ["65537", "10737418240", "18446744073709551615"] {
            let begun = Instant::now();
            let reply =
                exchange(&stage, format!("{head}Content-Length: {length}\r\n\r\na=b").as_bytes()).await;
            assert!(reply.statuses() == [413] && reply.closed, "{length}: {reply:?}");
            assert!(begun.elapsed() < Duration::from_secs(2), "{length}: {:?}", begun.elapsed());
        }
        let chunks = format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(20));
        let reply = exchange(&stage, chunks.as_bytes()).await;
        assert_eq!(reply.statuses(), [413], "{reply:?}");
    }))
    .await;
    // 64 KiB themselves are read.
    let body = format!("grant_type=x&client_id=y&z={}", "a".repeat(65_536 - 27));
    let reply = exchange(
        &stage,
        format!("{FORM}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes(),
    )
    .await;
    assert_eq!(reply.statuses(), [401], "{reply:?}");
    stage.close().await;
}

// HT-06
#[tokio::test]
async fn a_head_has_bounds() {
    let stage = Stage::start(Store::Sqlite).await;
    let get = |more: &str| {
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n").into_bytes()
    };
    let many: Vec<_> = (0..200).map(|i| format!("X{i}: y\r\n")).collect();
    for bytes in [
        get(&format!("X: {}\r\n", "y".repeat(200_000))),
        get(&many.concat()),
        format!("GET /healthz?{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(70_000)).into_bytes(),
        format!("{} /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "G".repeat(200_000)).into_bytes(),
    ] {
        let reply = exchange(&stage, &bytes).await;
        assert!(reply.refused(), "{reply:?}");
    }
    // What is within the bounds is carried, and then refused by the one who should: no request here is that long.
    let long = format!(
        "GET /oauth2/authorize?{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "y".repeat(16_384)
    );
    assert_eq!(exchange(&stage, long.as_bytes()).await.statuses(), [400]);
    assert_eq!(exchange(&stage, &get("")).await.statuses(), [200]);
    stage.close().await;
}

// HT-09, HT-17
#[tokio::test]
async fn bytes_that_two_readers_take_for_two_requests_are_none() {
    let stage = Stage::start(Store::Sqlite).await;
    let inner = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let post = |headers: &str, body: &str| format!("{FORM}{headers}\r\n\r\n{body}{inner}");
    let get = |headers: &str| format!("GET /healthz HTTP/1.1\r\n{headers}\r\n{inner}");
    for text in [
        post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
        post("Content-Length: 5\r\nContent-Length: 6", "abcdef"),
        post("Content-Length: 3\r\nContent-Length: 3", "a=b"),
        post("Content-Length: 3, 3", "a=b"),
        post("Content-Length: +3", "a=b"),
        post("Content-Length: -3", "a=b"),
        post("Content-Length: 0x3", "a=b"),
        post("Content-Length: 3 3", "a=b"),
        post("Content-Length: 99999999999999999999", "a=b"),
        post("Content-Length:", "a=b"),
        post("Transfer-Encoding: xchunked", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
        post("Transfer-Encoding: identity, chunked", "0\r\n\r\n"),
        post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        post("Transfer-Encoding : chunked", "0\r\n\r\n"),
        post("Transfer-Encoding:\u{b}chunked", "0\r\n\r\n"),
        post("Content-Length : 3", "a=b"),
        post("Transfer-Encoding: chunked", "zz\r\na=b\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked", "-1\r\na=b\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked", "0x3\r\na=b\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked", "ffffffffffffffffff\r\na=b\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked", "3\na=b\n0\n\n"),
        post("Transfer-Encoding: chunked", "3\r\na=bXX0\r\n\r\n"),
        post("Content-Length: 3", "a=b")
            .replace("POST /oauth2/token HTTP/1.1", "POST /oauth2/token HTTP/1.1 x"),
        post("Transfer-Encoding: chunked", "0\r\n\r\n").replacen("HTTP/1.1", "HTTP/1.0", 1),
        get("Host: x\r\nX: a\rb\r\n"),
        get("Host: x\r\nX : a\r\n"),
        get("Host: x\r\nX: a\r\n b\r\n"),
        get("Host: x\r\nX: a\0b\r\n"),
        get("Host: x\r\n: a\r\n"),
        get("Host: x\r\nno colon\r\n"),
        get("Host: x\r\nX\u{7f}: a\r\n"),
        get(""),
        get("Host: x\r\nHost: evil.test\r\n"),
        get("Host: x\r\n").replacen("GET /", "GET  /", 1),
        get("Host: x\r\n").replacen(" HTTP/1.1", "", 1),
        get("Host: x\r\n").replacen("HTTP/1.1", "HTTP/1.2", 1),
        get("Host: x\r\n").replacen("HTTP/1.1", "http/1.1", 1),
        get("Host: x\r\n").replacen("GET", "G\u{e9}T", 1),
        get("Host: x\r\n").replacen("/healthz", "/h\u{e9}", 1),
    ] {
        let reply = exchange(&stage, text.as_bytes()).await;
        assert!(reply.refused(), "{text:?}: {reply:?}");
    }
    // RFC 9112 section 2.2 lets a lone line feed end a line; what counts is that it ends one request and not two.
    let reply = exchange(&stage, b"GET /healthz HTTP/1.1\nHost: x\nConnection: close\n\n").await;
    assert!(matches!(reply.statuses()[..], [200 | 400]) && reply.closed, "{reply:?}");
    for host in ["evil.test", "u:p@x", "x:99999", "[::1", "x y", ""] {
        let text = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let reply = exchange(&stage, text.as_bytes()).await;
        // Nothing is ever made from it (IM-04), so which one it is does not matter; that it is one does.
        assert!(matches!(reply.statuses()[..], [200 | 400]), "{host}: {reply:?}");
    }
    stage.close().await;
}

// HT-10, HT-11
#[tokio::test]
async fn http_1_1_is_spoken_and_nothing_is_upgraded() {
    let stage = Stage::start(Store::Sqlite).await;
    let preface: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    assert!(exchange(&stage, preface).await.refused());
    let ask_to_upgrade = |more: &str| {
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n{more}\r\n")
            .into_bytes()
    };
    for more in [
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Upgrade: websocket\r\n",
        "Upgrade: TLS/1.2\r\n",
    ] {
        let reply: Reply = exchange(&stage, &ask_to_upgrade(more)).await;
        assert_eq!(reply.statuses(), [200], "{reply:?}");
    }
    let patient = format!("{FORM}Expect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n");
    let mut stream = connect(&stage).await;
    stream.write_all(patient.as_bytes()).await.expect("the server listens");
    assert_eq!(read(&mut stream, Duration::from_secs(1)).await.statuses(), [100]);
    stream.write_all(b"a=b").await.expect("the server listens");
    assert_eq!(read(&mut stream, Duration::from_secs(3)).await.statuses(), [400]);
    for method in ["CONNECT x:443", "TRACE /healthz", "OPTIONS *"] {
        let text =
            format!("{method} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Mark: secret-mark\r\n\r\n");
        let reply = exchange(&stage, text.as_bytes()).await;
        assert!(matches!(reply.statuses()[..], [404 | 405]), "{method}: {reply:?}");
        assert!(!reply.text.contains("secret-mark"), "{reply:?}");
    }
    stage.close().await;
}
