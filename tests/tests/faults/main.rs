//! What breaks around a server, broken for real: the server itself is killed, its database is stopped, frozen or full, an
//! answer is lost, the clock jumps, descriptors run out. What was promised holds, and what cannot be done is said.

mod answers;
mod clock;
mod commits;
mod database;
mod descriptors;
mod disk;
mod kills;
mod stopping;
mod sync;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use e2e::answer::Answer;
use e2e::house::House;
use e2e::postgres::Database;
use e2e::process;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What is served without a database.
const WITHOUT_DATABASE: [&str; 4] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/.well-known/jwks.json",
    "/healthz",
];

/// One client for all requests: making one takes longer than any of them. Connections are not kept, since they would belong
/// to the test that opened them.
fn http() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| process::builder().pool_max_idle_per_host(0).build().expect("an HTTP client"))
}

/// The answer to a GET at a server.
async fn get(house: &House, path: &str) -> Answer {
    Answer::to(http().get(format!("{}{path}", house.origin()))).await
}

/// A registration of a client, which is one write.
async fn register(house: &House) -> Answer {
    let body = e2e::client::registration("http://127.0.0.1:49152/callback");
    Answer::to(http().post(format!("{}/oauth/clients/register", house.origin())).json(&body)).await
}

/// Fails unless this is the refusal of a server that cannot reach its database, with the advice to come back.
fn assert_away(answer: &Answer) {
    answer.expect_error(503, "temporarily_unavailable");
    assert!(
        answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| (1..=60).contains(&seconds)),
        "{answer:#?}"
    );
}

/// Waits until a server says that it is ready, or fails.
async fn ready(house: &House, within: Duration) {
    let back = async {
        while get(house, "/readyz").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(within, back).await.is_ok(), "not ready after {within:?}");
}

/// Rows that somebody else holds in a transaction that is not over.
#[derive(Debug)]
struct Lock(Child);

impl Lock {
    /// Takes them with these statements.
    fn take(database: &Database, statements: &str) -> Self {
        let mut psql =
            database.psql().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql runs");
        let input = psql.stdin.as_mut().expect("a pipe");
        writeln!(input, "begin;\n{statements};\nselect 'held' || '!';").expect("psql reads");
        let lines = BufReader::new(psql.stdout.take().expect("a pipe")).lines();
        let held = lines.map_while(Result::ok).any(|line| line == "held!");
        assert!(held, "{statements}");
        Self(psql)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // What is not committed is rolled back when psql ends, and psql ends with its input.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A form that is posted by hand, so that every byte of the answer is seen when it comes.
struct Posted(TcpStream);

impl Posted {
    async fn to(url: &str, form: &[(&str, &str)]) -> Self {
        let url: url::Url = url.parse().expect("a URL");
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let host = format!("127.0.0.1:{}", url.port().expect("a port"));
        let mut stream = TcpStream::connect(&host).await.expect("the server listens");
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n",
            url.path(),
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.expect("the server reads");
        Self(stream)
    }

    /// Fails if a single byte of the answer comes within this time.
    async fn assert_silent(&mut self, time: Duration) {
        let mut byte = [0];
        let came = tokio::time::timeout(time, self.0.peek(&mut byte)).await;
        assert!(came.is_err(), "an answer came before anything was committed: {came:?}");
    }

    /// The status of the answer, once it is there.
    async fn status(mut self) -> u16 {
        let mut all = Vec::new();
        self.0.read_to_end(&mut all).await.expect("an answer");
        let all = String::from_utf8_lossy(&all);
        let status = all.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        status.unwrap_or_else(|| panic!("{all}"))
    }
}
