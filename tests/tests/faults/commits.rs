//! Transactions that conflict, and commits whose outcome the server never learns.

use e2e::client::Tokens;
use e2e::house::{House, Plan, Store};
use e2e::postgres::Database;
use e2e::scene::{Code, Scene};
use e2e::visitor::Visitor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::assert_away;

const TOKENS: &str = "select count(*) from refresh_tokens";

/// Has every insertion into `refresh_tokens` carry out these statements first.
fn at_each_token(database: &Database, statements: &str) {
    database.ask(&format!(
        "create sequence tries;
         create function at_token() returns trigger language plpgsql as 'begin {statements} return new; end';
         create trigger at_token before insert on refresh_tokens for each row execute function at_token()"
    ));
}

/// The server's `PostgreSQL`, with a way to it that is cut once: right after the commit of a transaction in which the database
/// said [`MARK`].
struct Cut {
    database: Database,
    url: String,
    accepting: JoinHandle<()>,
}

const MARK: &[u8] = b"cut after this";
const COMMIT: &[u8] = b"COMMIT\0";

impl Cut {
    async fn new() -> Self {
        let database = Database::create();
        let mut url = url::Url::parse(&database.url()).expect("a URL");
        let server = (url.host_str().expect("a host").to_owned(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        url.set_host(Some("127.0.0.1"))
            .and_then(|()| url.set_port(Some(port)).map_err(|()| url::ParseError::InvalidPort))
            .expect("a URL with a port");
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((server.0.as_str(), server.1)).await.expect("it runs");
                // Whoever goes away has ended both.
                tokio::spawn(async move { carry(client, server).await });
            }
        });
        Self { database, url: url.into(), accepting }
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

async fn carry(mut client: TcpStream, mut server: TcpStream) -> std::io::Result<()> {
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut marked = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let bytes = &asked[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                server.write_all(bytes).await?;
                if marked && holds(bytes, COMMIT) {
                    // Done, and nobody is told.
                    return server.read(&mut answered).await.map(drop);
                }
            }
            read = server.read(&mut answered) => {
                let bytes = &answered[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                marked |= holds(bytes, MARK);
                client.write_all(bytes).await?;
            }
        }
    }
}

async fn with_a_code(house: &House) -> (Scene, Code) {
    let scene = Scene::at(house).await;
    let code = scene.code(&scene.client().await, &Visitor::new()).await;
    (scene, code)
}

// FT-08
#[tokio::test]
async fn postgres_transactions_that_conflict_are_done_again_once_and_not_without_end() {
    let house = House::build(Plan::on(Store::Postgres).without_artifacts()).await;
    let database = house.database();
    let (_, code) = with_a_code(&house).await;
    // Counting is not rolled back. A deadlock, then a failure to serialize, then it may pass.
    at_each_token(
        database,
        "case nextval(''tries'')
            when 1 then raise exception using errcode = ''40P01'';
            when 2 then raise exception using errcode = ''40001'';
            else null;
        end case;",
    );
    let tokens = Tokens::read(&code.redeem().await);
    assert_eq!(
        (database.ask("select last_value from tries"), database.ask(TOKENS)),
        ("3".into(), "1".into())
    );

    database.ask(
        "create or replace function at_token() returns trigger language plpgsql as
         'begin perform nextval(''tries''); raise exception using errcode = ''40001''; end'",
    );
    assert_away(&code.client.refresh(&tokens.refresh).await);
    let tries: u32 = database.ask("select last_value from tries").parse().expect("a number");
    assert!((5..50).contains(&tries), "{tries} tries");
    database.ask("drop trigger at_token on refresh_tokens");
    // What was refused was not done.
    Tokens::read(&code.client.refresh(&tokens.refresh).await);
    assert_eq!(database.ask(TOKENS), "2");
}

// FT-09
#[tokio::test]
async fn postgres_that_went_away_before_the_commit_has_spent_nothing() {
    let house = House::build(Plan::on(Store::Postgres).without_artifacts()).await;
    let database = house.database();
    let (_, code) = with_a_code(&house).await;
    database.ask(
        "create function leave() returns trigger language plpgsql as
         'begin perform pg_terminate_backend(pg_backend_pid()); return null; end';
         create constraint trigger leave after insert on refresh_tokens deferrable initially deferred
         for each row execute function leave()",
    );
    assert_away(&code.redeem().await);
    assert_eq!(database.ask(TOKENS), "0");
    database.ask("drop trigger leave on refresh_tokens");
    Tokens::read(&code.redeem().await);
    code.redeem().await.expect_error(400, "invalid_grant");
}

// FT-09. Commands of the house block their thread, and the way to the database has to go on meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_that_went_away_after_the_commit_has_spent_it_and_nobody_spends_it_again() {
    let cut = Cut::new().await;
    let house = House::build(Plan::on(Store::Sqlite).without_artifacts().with("STORE__URL", &cut.url)).await;
    let (scene, code) = with_a_code(&house).await;
    at_each_token(&cut.database, "raise notice ''cut after this'';");
    // The server cannot know that it was done, says so, and does not try the same again by itself.
    assert_away(&code.redeem().await);
    assert_eq!(cut.database.ask(TOKENS), "1");
    cut.database.ask("drop trigger at_token on refresh_tokens");
    code.redeem().await.expect_error(400, "invalid_grant");
    let left = "select count(*) from grants where ended_at is null";
    assert_eq!(cut.database.ask(left), "0", "a code that comes twice ends what it gave");
    Tokens::read(&scene.code(&code.client, &Visitor::new()).await.redeem().await);
}
