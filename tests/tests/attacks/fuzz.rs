//! HT-27: some thousand requests by a grammar and a seed, over all routes. Nothing breaks, whatever they hold.

use std::fmt::Write as _;
use std::time::Duration;

use e2e::house::Store;
use futures_util::stream::{self, StreamExt as _};
use tokio::io::AsyncWriteExt as _;

use crate::raw::{connect, read};
use crate::stage::{PUB1, Stage};

const REQUESTS: u64 = 4000;

/// `SplitMix64`: the same numbers at every run, so that a find can be found again.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below the bound")
    }

    fn one<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn hits(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}

const METHODS: [&str; 9] = ["GET", "POST", "GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "BREW"];
const PATHS: [&str; 22] = [
    "/oauth2/authorize",
    "/authorize",
    "/oauth2/token",
    "/token",
    "/oauth2/revoke",
    "/revoke",
    "/oauth/clients/register",
    "/register",
    "/oauth2/userinfo",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/login",
    "/logout",
    "/consent",
    "/setup/x",
    "/",
    "/assets/doorward.css",
    "/healthz",
    "/readyz",
    "/nowhere",
    "/setup/",
];
const NAMES: [&str; 28] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "resource",
    "prompt",
    "max_age",
    "login_hint",
    "request",
    "request_uri",
    "response_mode",
    "grant_type",
    "code",
    "code_verifier",
    "refresh_token",
    "client_secret",
    "token",
    "csrf",
    "shown",
    "decision",
    "tier",
    "expires",
    "email",
    "password",
];
const VALUES: [&str; 34] = [
    "",
    "code",
    "CLIENT",
    "https%3A%2F%2Fapp.test%2Fcb",
    "openid",
    "openid%20email",
    "x",
    "0",
    "-1",
    "1e9",
    "99999999999999999999",
    "none",
    "login",
    "none%20login",
    "S256",
    "plain",
    "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "authorization_code",
    "refresh_token",
    "query",
    "%00",
    "%0d%0a",
    "%ff",
    "%zz",
    "%F0%9F%92%A9",
    "%27%20OR%201%3D1--",
    "<script>",
    "..%2f..%2f",
    "%E2%80%AE",
    "a%20%20b",
    "javascript:x",
    "http%3A%2F%2F127.0.0.1%3A1%2Fcb",
    "req_01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "authorize",
];
const HEADERS: [&str; 20] = [
    "Cookie: doorward-session=x",
    "Cookie: doorward-browser=y; doorward-browser=z",
    "Cookie: =;;=",
    "Authorization: Basic eDp5",
    "Authorization: Bearer x.y.z",
    "Authorization: x",
    "Origin: null",
    "Origin: https://evil.test",
    "Sec-Fetch-Site: cross-site",
    "Sec-Fetch-Site: same-origin",
    "X-Forwarded-For: 1.2.3.4",
    "Accept: */*",
    "Accept-Encoding: gzip",
    "If-None-Match: *",
    "Range: bytes=0-1",
    "Expect: 100-continue",
    "Content-Encoding: gzip",
    "Referer: x",
    "Te: trailers",
    "Access-Control-Request-Method: POST",
];
const TYPES: [&str; 5] = [
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded",
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded; charset=utf-8",
];
const JSON: [&str; 12] = [
    "{\"redirect_uris\":[\"https://app.test/cb\"]}",
    "{\"redirect_uris\":[",
    "\"client_name\":",
    "null",
    "[]",
    "{}",
    "1e400",
    "\"\\ud800\"",
    "\"x\":[1,2,",
    "}",
    "\u{feff}",
    "{\"a\":{\"a\":{\"a\":1}}}",
];

fn pairs(dice: &mut Dice, client_id: &str) -> String {
    let mut text = String::new();
    for _ in 0..dice.below(14) {
        let value = dice.one(&VALUES).replace("CLIENT", client_id);
        let _ = write!(text, "{}={value}{}", dice.one(&NAMES), if dice.hits(40) { ";" } else { "&" });
    }
    text
}

fn request(dice: &mut Dice, client_id: &str) -> Vec<u8> {
    let mut path = dice.one(&PATHS).to_owned();
    if dice.hits(8) {
        path.push_str(dice.one(&["/", "//", "%2f", "%00", ";x", "/..", "%", "\u{e9}", "?", "#x", "%c3%28"]));
    }
    if dice.hits(2) {
        let _ = write!(path, "?{}", pairs(dice, client_id));
    }
    let body = match dice.below(4) {
        0 => String::new(),
        1 | 2 => pairs(dice, client_id),
        _ => (0..=dice.below(4)).map(|_| dice.one(&JSON)).collect(),
    };
    let mut head = format!("{} {path} HTTP/1.1\r\nHost: x\r\n", dice.one(&METHODS));
    for _ in 0..dice.below(4) {
        let _ = write!(head, "{}\r\n", dice.one(&HEADERS));
    }
    if !dice.hits(10) {
        let _ = write!(head, "Content-Type: {}\r\n", dice.one(&TYPES));
    }
    let length = if dice.hits(30) { body.len() + dice.below(9) } else { body.len() };
    let _ = write!(head, "Content-Length: {length}\r\nConnection: close\r\n\r\n");
    let mut bytes = [head.into_bytes(), body.into_bytes()].concat();
    if dice.hits(12) {
        // One byte becomes any other.
        let at = dice.below(bytes.len());
        bytes[at] = u8::try_from(dice.below(256)).expect("a byte");
    }
    bytes
}

// HT-27
#[tokio::test]
async fn some_thousand_random_requests_break_nothing() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let tried = stream::iter(0..REQUESTS).map(async |seed| {
        let bytes = request(&mut Dice(seed), &client.client_id);
        let mut stream = connect(&stage).await;
        // The end of our side comes with the bytes, so that no request of a wrong length is waited for. A server that has
        // refused the beginning may not want the rest.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        (seed, bytes, read(&mut stream, Duration::from_secs(10)).await)
    });
    let mut statuses = std::collections::BTreeMap::<u16, u64>::new();
    let mut answers = tried.buffer_unordered(16);
    while let Some((seed, bytes, reply)) = answers.next().await {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        assert!(reply.closed, "seed {seed}: {shown:?}: no end: {reply:?}");
        for status in reply.statuses() {
            assert!(status < 500, "seed {seed}: {shown:?}: {reply:?}");
            *statuses.entry(status).or_default() += 1;
        }
    }
    // The grammar reaches what it is to try: good requests and each kind of refusal.
    for status in [200, 303, 400, 401, 403, 404, 405, 415] {
        assert!(statuses.get(&status).is_some_and(|count| *count >= 5), "{status}: {statuses:?}");
    }
    drop(answers);
    stage.close().await;
}
