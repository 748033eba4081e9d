//! Three servers on one PostgreSQL and one Redis are one server: whatever is begun at one ends at another, what can be had
//! once is had once, and what one of them revoked is refused by all, even if it was killed in the moment after.

use std::time::Duration;

use e2e::answer::Answer;
use e2e::client::{Client, Tokens, decode, text};
use e2e::fresh;
use e2e::house::Person;
use e2e::mcp::Mcp;
use e2e::process;
use e2e::receiver::Receiver;
use e2e::replicas::Replicas;
use e2e::visitor::{Landing, Visitor};
use futures_util::future::join_all;

/// How many ask at the same instant.
const ASKING: usize = 64;
/// How long the slowest machine may take until a resource server has heard; the time itself is what `make bench` measures.
const HEARD: Duration = Duration::from_secs(15);

async fn userinfo(replicas: &Replicas, i: usize, token: &str) -> u16 {
    let url = format!("{}/oauth2/userinfo", replicas.origin(i));
    Answer::to(process::client().get(url).bearer_auth(token)).await.status
}

/// Everything that a grant gave is refused by every server.
async fn assert_dead(replicas: &Replicas, client: &Client, tokens: &Tokens, servers: &[usize]) {
    for &i in servers {
        replicas.at(i, client).refresh(&tokens.refresh).await.expect_error(400, "invalid_grant");
        assert_eq!(userinfo(replicas, i, &tokens.access).await, 401, "at {i}");
    }
}

// PR-02, PR-12
#[tokio::test]
async fn a_sign_in_that_begins_at_one_server_ends_at_another() {
    let replicas = Replicas::start(3).await;
    let (client, visitor) = (replicas.scene.client().await, Visitor::new());
    let request = client.request();
    replicas.proxy.pin(0);
    let login = visitor.open(&request.url()).await.page();
    replicas.proxy.pin(1);
    let consent = visitor.sign_in(&login, replicas.house.alice()).await.page();
    replicas.proxy.pin(2);
    let code = visitor.decide(&consent, &["read"], "authorize").await.away().code();
    replicas.proxy.pin(0);
    let tokens = Tokens::read(&client.redeem(&request, &code).await);
    replicas.proxy.pin(1);
    let tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    for i in 0..3 {
        assert_eq!(userinfo(&replicas, i, &tokens.access).await, 200, "at {i}");
        replicas.proxy.pin(i);
        assert_eq!(visitor.open(&client.request().url()).await.page().kind, "consent", "signed in at {i}");
    }
    // And with every single request at another one than the request before.
    replicas.proxy.spread();
    for _ in 0..6 {
        let tokens = replicas.scene.tokens(&replicas.scene.client().await, &Visitor::new()).await;
        Tokens::read(&client_of(&tokens, &replicas).await);
    }
}

/// Refreshes at whichever server comes next, as the client to which the tokens belong.
async fn client_of(tokens: &Tokens, replicas: &Replicas) -> Answer {
    let (_, claims) = decode(&tokens.access);
    let id = text(&claims["client_id"]);
    let mut client = replicas.scene.client().await;
    client.client_id = id;
    client.refresh(&tokens.refresh).await
}

/// One of many was served, and all others were refused with this code.
fn sole_winner(answers: &[Answer], error: &str) -> Tokens {
    let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(won.len(), 1, "{won:#?}");
    for lost in answers.iter().filter(|answer| answer.status != 200) {
        lost.expect_error(400, error);
    }
    Tokens::read(won[0])
}

/// Stops one server for a moment while `work` is done, as a machine that is overloaded or swapped out does.
async fn while_one_stops<T>(replicas: &mut Replicas, which: usize, work: impl Future<Output = T>) -> T {
    let process = replicas.process(which);
    process.signal("-STOP");
    let thaw = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        process.signal("-CONT");
    };
    tokio::join!(work, thaw).0
}

// FT-01, FT-02, PR-02, PR-03
#[tokio::test(flavor = "multi_thread")]
async fn of_sixty_four_at_three_servers_one_is_served_whatever_stops_meanwhile() {
    let mut replicas = Replicas::start(3).await;
    let client = replicas.scene.client().await;
    let everywhere: Vec<_> = (0..3).map(|i| replicas.at(i, &client)).collect();
    let visitor = Visitor::new();
    for round in 0..4 {
        let code = replicas.scene.code(&client, &visitor).await;
        let asks: Vec<_> = (0..ASKING).map(|i| code.by(&everywhere[i % 3])).collect();
        let race = join_all(asks.iter().map(e2e::scene::Code::redeem));
        let answers = while_one_stops(&mut replicas, round % 3, race).await;
        let tokens = sole_winner(&answers, "invalid_grant");
        // Each loser held everything that the winner held: the code was copied, and what it gave is dead.
        assert_dead(&replicas, &client, &tokens, &[0, 1, 2]).await;

        let first = replicas.scene.tokens(&client, &visitor).await;
        let race = join_all((0..ASKING).map(|i| everywhere[i % 3].refresh(&first.refresh)));
        let answers = while_one_stops(&mut replicas, (round + 1) % 3, race).await;
        let tokens = sole_winner(&answers, "refresh_replayed");
        assert_dead(&replicas, &client, &tokens, &[0, 1, 2]).await;
    }
}

// FT-02, PR-02, AD-07
#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_use_the_setup_link_at_three_servers_one_becomes_administrator() {
    let mut replicas = Replicas::start(3).await;
    // Each start replaces the link: the one that is printed last is the one that is good.
    let printed = replicas.process(2).printed();
    let link = printed.lines().find_map(|line| line.strip_prefix("setup: ")).expect("the link is printed");
    let pages = join_all((0..9).map(async |_| {
        let visitor = Visitor::new();
        let page = visitor.open(link).await.page();
        (visitor, page)
    }));
    let race = pages.await.into_iter().enumerate().map(async |(i, (visitor, page))| {
        let form = page.form("action");
        let (email, password) = (format!("first{i}@example.test"), fresh());
        let typed = [("email", email.as_str()), ("password", password.as_str())];
        visitor.post(&form.action, &form.filled(&typed, &[], ("action", "create"))).await.page().kind
    });
    let kinds = join_all(race).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "home").count(), 1, "{kinds:?}");
    let administrators = "select count(*) from users where admin_since is not null";
    assert_eq!(replicas.house.database().ask(administrators), "1");
}

// PR-04, RV-05
#[tokio::test]
async fn what_one_server_revokes_all_refuse_and_resource_servers_at_others_too() {
    let mut replicas = Replicas::start(3).await;
    replicas.follow(&[0, 2]).await;
    let (client, visitor) = (replicas.scene.client().await, Visitor::new());
    for revoking in 0..3 {
        let tokens = replicas.scene.tokens(&client, &visitor).await;
        let other = replicas.scene.tokens(&client, &visitor).await;
        for url in replicas.resource_servers() {
            assert_eq!(Mcp::hello(&url, &tokens.access).await.status, 200, "{url}");
        }
        assert_eq!(replicas.at(revoking, &client).revoke(&tokens.refresh).await.status, 200);
        assert_dead(&replicas, &client, &tokens, &[0, 1, 2]).await;
        replicas.refused_everywhere(&tokens.access, HEARD).await;
        // Nobody else is hit.
        for url in replicas.resource_servers() {
            assert_eq!(Mcp::hello(&url, &other.access).await.status, 200, "{url}");
        }
    }
}

// AD-05, PR-01, PR-04
#[tokio::test]
async fn what_a_server_promised_holds_though_it_was_killed_right_after() {
    let mut replicas = Replicas::start(3).await;
    replicas.follow(&[0, 2]).await;
    let client = replicas.scene.client().await;
    for _ in 0..3 {
        let visitor = Visitor::new();
        let tokens = replicas.scene.tokens(&client, &visitor).await;
        let revoked = replicas.at(1, &client).revoke(&tokens.refresh).await.status;
        replicas.process(1).kill9();
        assert_eq!(revoked, 200);
        assert_dead(&replicas, &client, &tokens, &[0, 2]).await;
        replicas.refused_everywhere(&tokens.access, HEARD).await;
        // Through the proxy, which asks the next server where one does not listen.
        client.refresh(&tokens.refresh).await.expect_error(400, "invalid_grant");

        replicas.restart(1).await;
        assert_dead(&replicas, &client, &tokens, &[1]).await;

        // The same for a sign-out.
        replicas.proxy.pin(1);
        let code = replicas.scene.code(&client, &visitor).await;
        let home = visitor.open(replicas.house.issuer()).await.page();
        let form = home.forms.first().expect("the form to sign out");
        let fields: Vec<_> =
            form.fields.iter().map(|field| (field.name.clone(), field.value.clone())).collect();
        visitor.post(&form.action, &fields).await.page();
        replicas.process(1).kill9();
        for i in [0, 2] {
            replicas.proxy.pin(i);
            let Landing::Page(page) = visitor.open(&client.request().url()).await else {
                panic!("a session that was ended still authorizes at {i}");
            };
            assert_eq!(page.kind, "login", "at {i}");
            code.by(&replicas.at(i, &client)).redeem().await.expect_error(400, "invalid_grant");
        }
        replicas.proxy.spread();
        replicas.restart(1).await;
    }
}

// PR-05
#[tokio::test]
async fn who_or_what_is_disabled_gets_nothing_new_anywhere() {
    let mut replicas = Replicas::start(3).await;
    replicas.follow(&[0, 2]).await;
    let bob = replicas.house.user("bob@example.test");
    let (client, visitor) = (replicas.scene.client().await, Visitor::new());
    let request = client.request();
    let code = visitor.authorize(&request.url(), &bob, &["read"]).await.code();
    let tokens = Tokens::read(&client.redeem(&request, &code).await);
    let request = client.request();
    let code = visitor.authorize(&request.url(), &bob, &["read"]).await.code();
    replicas.house.cli(&["user", "disable", &bob.email], "").ok();
    for i in 0..3 {
        let there = replicas.at(i, &client);
        there.redeem(&request, &code).await.expect_error(400, "invalid_grant");
        there.refresh(&tokens.refresh).await.expect_error(400, "invalid_grant");
        replicas.proxy.pin(i);
        assert!(!reaches_consent(&visitor, &client, &bob).await, "at {i}");
    }
    replicas.proxy.spread();
    replicas.refused_everywhere(&tokens.access, HEARD).await;
    replicas.house.cli(&["user", "enable", &bob.email], "").ok();
    assert_dead(&replicas, &client, &tokens, &[0, 1, 2]).await;
}

/// Whether a client gets as far as the consent page with this person, who signs in if asked to.
async fn reaches_consent(visitor: &Visitor, client: &Client, person: &Person) -> bool {
    let Landing::Page(page) = visitor.open(&client.request().url()).await else { return false };
    let page = if page.kind == "login" {
        match visitor.sign_in(&page, person).await {
            Landing::Page(page) => page,
            Landing::Away(_) => return false,
        }
    } else {
        page
    };
    page.kind == "consent"
}

// OpenID Connect Back-Channel Logout: a client is told once, whichever server comes to it first, and again only where the server
// that told it was killed before it could write that down.
#[tokio::test]
async fn each_client_is_told_once_of_the_end_of_a_session_and_again_if_its_server_was_killed() {
    let mut replicas = Replicas::start(2).await;
    let mut receiver = Receiver::start(replicas.house.issuer()).await;
    let callback = "https://app.example.test/cb";
    let mut expected = Vec::new();
    for name in ["one", "two", "three"] {
        receiver.client(&replicas.house, name, callback, "ok");
        let client = replicas.scene.known(name, callback);
        for _ in 0..4 {
            let tokens = replicas.scene.tokens(&client, &Visitor::new()).await;
            expected.push(session_and_client(&decode(&text(&tokens.all["id_token"])).1));
        }
    }
    let alice = replicas.house.alice().email.clone();
    replicas.house.cli(&["user", "disable", &alice], "").ok();
    let mut told = Vec::new();
    for _ in &expected {
        told.push(session_and_client(&receiver.told().await));
    }
    receiver.is_quiet().await;
    told.sort();
    expected.sort();
    assert_eq!(told, expected);

    replicas.house.cli(&["user", "enable", &alice], "").ok();
    receiver.client(&replicas.house, "slow", callback, "hangs");
    let client = replicas.scene.known("slow", callback);
    let tokens = replicas.scene.tokens(&client, &Visitor::new()).await;
    let session = session_and_client(&decode(&text(&tokens.all["id_token"])).1);
    replicas.house.cli(&["user", "disable", &alice], "").ok();
    assert_eq!(session_and_client(&receiver.told().await), session);
    for i in 0..2 {
        replicas.process(i).kill9();
    }
    replicas.house.alter("update logouts set due_at = 0");
    replicas.restart(1).await;
    assert_eq!(session_and_client(&receiver.told().await), session);
}

fn session_and_client(claims: &serde_json::Value) -> (String, String) {
    (text(&claims["sid"]), text(&claims["aud"]))
}
