//! Mail: forgotten passwords, invitations, notices, and what happens when the mail server is away.

use std::time::Duration;

use e2e::admin::{Admin, expect_problem};
use e2e::authority::Authority;
use e2e::client::text;
use e2e::house::{House, Output, Person, Plan, Store};
use e2e::page::Page;
use e2e::smtp::{Mail, Manners, Postbox, Speech};
use e2e::totp::App;
use serde_json::json;

use crate::person::{AtHome, with_password};

e2e::on_both_stores!(
    whoever_forgot_their_password_is_mailed_a_link_that_sets_another_one,
    invitations_are_mailed_by_command_and_by_the_admin_api,
);

async fn house(store: Store, postbox: &Postbox) -> House {
    House::build(postbox.for_mail_of(Plan::on(store).without_artifacts())).await
}

fn path(house: &House, link: &str) -> String {
    link.strip_prefix(house.issuer()).unwrap_or_else(|| panic!("{link} is not below the issuer")).to_owned()
}

/// Types an address into the page for forgotten passwords; gives what it answers.
async fn forgot(house: &House, email: &str) -> Page {
    let person = AtHome::stranger(house);
    let page = person.page("/forgot").await;
    assert_eq!(page.kind, "forgot", "{page:#?}");
    person.press(&page, &[("email", email)], ("action", "ask")).await
}

/// Sets another password behind the link of a mail.
async fn choose(house: &House, mail: &Mail) -> (Page, String) {
    let person = AtHome::stranger(house);
    let page = person.page(&path(house, &mail.link())).await;
    assert_eq!(page.kind, "link", "{page:#?}");
    let new = e2e::fresh();
    (person.press(&page, &[("password", &new)], ("action", "choose")).await, new)
}

async fn whoever_forgot_their_password_is_mailed_a_link_that_sets_another_one(store: Store) {
    let postbox = Postbox::open();
    let house = house(store, &postbox).await;
    let alice = house.alice().clone();
    let before = AtHome::sign_in(&house, &alice).await;
    let login = AtHome::stranger(&house).page("/login").await;
    assert!(login.answer.body.contains("href=\"/forgot\""), "{}", login.answer.body);

    let said = forgot(&house, " Alice@Example.test ").await;
    assert!(said.answer.status == 200 && said.text.contains("Look into your mail"), "{said:#?}");
    let mail = postbox.next_with("Choose another password").await;
    assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("door@example.test", &[alice.email.clone()][..]));
    assert_eq!(mail.header("From"), "\"Front Door\" <door@example.test>");
    assert_eq!(mail.header("To"), alice.email);
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert_eq!(mail.hello, "localhost");
    assert_eq!(before.page("/account").await.kind, "account", "the mail alone changes nothing");
    let (done, new) = choose(&house, &mail).await;
    assert_eq!(done.kind, "done", "{done:#?}");
    assert_eq!(before.page("/account").await.kind, "login", "all sessions are over");
    AtHome::sign_in(&house, &with_password(&alice, &new)).await;
    AtHome::stranger(&house).page(&path(&house, &mail.link())).await.expect_error(410, "link");

    let notice = postbox.next_with("Your password was reset").await;
    assert_eq!(notice.to, [alice.email]);
    assert!(!notice.text().contains("/link/"), "{}", notice.text());
    postbox.expect_none().await;
    // Neither the link nor the address is in the log, and the trail has neither.
    let secret = mail.link().rsplit('/').next().expect("a secret").to_owned();
    let trail = house.cli(&["audit", "export"], "").ok();
    for place in [house.logs(), trail.clone()] {
        assert!(!place.contains(&secret) && !place.contains("alice@example.test"), "{place}");
    }
    assert!(trail.contains("reset_link_made") && trail.contains("\"by\":\"mail\""), "{trail}");
}

async fn invitations_are_mailed_by_command_and_by_the_admin_api(store: Store) {
    let postbox = Postbox::open();
    let house = house(store, &postbox).await;
    let printed =
        house.cli(&["user", "invite", "--email", "bob@example.test", "--name", "Bob", "--mail"], "").ok();
    assert!(
        printed.contains("mailed the link to bob@example.test") && !printed.contains("/link/"),
        "{printed}"
    );
    let mail = postbox.next_with("You are invited").await;
    assert_eq!(mail.to, ["bob@example.test"]);
    let (home, password) = choose(&house, &mail).await;
    assert_eq!(home.kind, "home", "{home:#?}");
    AtHome::sign_in(&house, &Person { email: "bob@example.test".to_owned(), password }).await;

    let users = Admin::with(&house, &["users:write"]);
    let carol = json!({"email": "carol@example.test", "send": true});
    let invited = users.send("POST", "/users/invite", &carol).await.expect(201);
    assert_eq!((&invited["sent"], &invited["link"]), (&json!(true), &json!(null)), "{invited}");
    assert_eq!(postbox.next_with("You are invited").await.to, ["carol@example.test"]);
    let reset = users.send("POST", "/users/bob@example.test/reset", &json!({"send": true})).await.expect(201);
    assert_eq!((&reset["sent"], &reset["link"]), (&json!(true), &json!(null)), "{reset}");
    let (done, _) = choose(&house, &postbox.next_with("Choose another password").await).await;
    assert_eq!(done.kind, "done");
    postbox.next_with("Your password was reset").await;
    // Who does not ask for mail is shown the link as ever.
    let shown = users.post("/users/bob@example.test/reset").await.expect(201);
    assert!(text(&shown["link"]).contains("/link/") && shown["sent"] == json!(false), "{shown}");

    // A server that does not take it is told to whoever asked.
    postbox.refuse_next("550 5.1.1 no such person");
    let refused = users.send("POST", "/users/invite", &carol).await;
    expect_problem(&refused, 503, "temporarily_unavailable");
    assert!(refused.body.contains("550") && refused.body.contains("nothing was sent"), "{}", refused.body);
    postbox.expect_none().await;
}

#[tokio::test]
async fn without_mail_nothing_of_it_is_there() {
    let house = House::build(Plan::on(Store::Sqlite).without_artifacts()).await;
    let person = AtHome::stranger(&house);
    assert!(!person.page("/login").await.text.contains("Forgot"));
    let missing =
        e2e::answer::Answer::to(e2e::process::client().get(format!("{}/forgot", house.issuer()))).await;
    assert_eq!(missing.status, 404);
    let refused = house.cli(&["user", "invite", "--email", "bob@example.test", "--mail"], "");
    assert!(refused.code == 1 && refused.stderr.contains("mail is not set up here"), "{}", refused.stderr);
    let users = Admin::with(&house, &["users:write"]);
    let refused = users.send("POST", "/users/alice@example.test/reset", &json!({"send": true})).await;
    expect_problem(&refused, 409, "conflict");
    assert!(house.cli(&["mail", "test", "--to", "a@b.test"], "").stderr.contains("mail is not set up"));
}

#[tokio::test]
async fn people_are_told_what_happens_to_their_account() {
    let postbox = Postbox::open();
    let house = house(Store::Sqlite, &postbox).await;
    let alice = AtHome::sign_in(&house, house.alice()).await;
    let page = alice.page("/account/password").await;
    let new = e2e::fresh();
    alice.press(&page, &[("password", &new)], ("action", "change")).await;
    let mut told = vec![postbox.next_with("Your password was changed").await];

    let page = alice.page("/account/code").await;
    let app = App::reading(&page);
    let codes = alice.press(&page, &[("code", &app.code(0))], ("action", "confirm")).await;
    told.push(postbox.next_with("Two-step sign-in is on").await);

    let code = recovery_code(&codes);
    let again = AtHome::stranger(&house);
    let login = again.page("/login").await;
    let person = with_password(house.alice(), &new);
    let step = again.visitor.sign_in(&login, &person).await.page();
    assert_eq!(again.press(&step, &[("code", &code)], ("action", "sign_in")).await.kind, "home");
    told.push(postbox.next_with("A recovery code was used").await);

    house.cli(&["user", "forget-second-factor", "alice@example.test"], "").ok();
    let notice = postbox.next_with("Two-step sign-in is off").await;
    assert!(
        !notice.text().contains(", from "),
        "where the administrator sits is not told: {}",
        notice.text()
    );
    told.push(notice);
    for notice in told {
        assert_eq!(notice.to, ["alice@example.test"]);
        let text = notice.text();
        assert!(text.contains("Account alice@example.test at http://localhost:"), "{text}");
        assert_eq!(text.matches("://").count(), 1, "{text}");
        assert_eq!(notice.header("Content-Type"), "text/plain; charset=utf-8");
    }
    postbox.expect_none().await;
}

fn recovery_code(page: &Page) -> String {
    let is_code = |word: &&str| word.len() > 8 && word.contains('-') && *word == word.to_uppercase();
    page.text
        .split_whitespace()
        .find(is_code)
        .unwrap_or_else(|| panic!("no code on {}", page.text))
        .to_owned()
}

#[tokio::test]
async fn a_mail_that_is_not_taken_is_tried_again_and_no_person_is_named_in_the_log() {
    let postbox = Postbox::open();
    let house = house(Store::Sqlite, &postbox).await;
    postbox.refuse_next("451 4.3.0 <alice@example.test> come back later");
    forgot(&house, "alice@example.test").await;
    postbox.next_with("Choose another password").await;
    assert_eq!(postbox.tries(), 2);
    // What is refused for good is not tried again.
    postbox.refuse_next("550 5.1.1 <alice@example.test> is not known here");
    forgot(&house, "alice@example.test").await;
    let refused = async {
        while !house.logs().contains("a mail was not sent") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), refused).await.expect("it is in the log");
    let logs = house.logs();
    assert!(logs.contains("451") && logs.contains("550") && !logs.contains("alice@example.test"), "{logs}");
    postbox.expect_none().await;
    assert_eq!(postbox.tries(), 3);
}

#[tokio::test]
async fn a_server_that_stops_sends_what_waits_and_waits_for_no_mail_server_that_is_silent() {
    let postbox = Postbox::open();
    let mut house = house(Store::Sqlite, &postbox).await;
    postbox.refuse_next("451 4.3.0 later");
    postbox.refuse_next("451 4.3.0 later");
    forgot(&house, "alice@example.test").await;
    while postbox.tries() < 2 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The next try would be in fifteen seconds.
    house.auth_server().signal("-TERM");
    assert_eq!(house.auth_server().ended(Duration::from_secs(12)).await, Some(0));
    postbox.next_with("Choose another password").await;

    house.restart_auth_server().await;
    postbox.fall_silent(true);
    forgot(&house, "alice@example.test").await;
    house.auth_server().signal("-TERM");
    assert_eq!(house.auth_server().ended(Duration::from_secs(20)).await, Some(0));
    assert!(house.logs().contains("mails wait that could not be sent"), "{}", house.logs());
}

/// What `doorward mail test` says with these settings.
fn trial(house: &House, settings: &[(&str, &str)]) -> Output {
    house.cli_with(settings, &["mail", "test", "--to", "ops@example.test"], "")
}

#[tokio::test]
async fn a_trial_says_in_plain_words_what_is_wrong() {
    let house = House::build(Plan::on(Store::Sqlite).without_artifacts()).await;
    let (right, wrong) = (Authority::create(), Authority::create());
    let login = Some(("doorward".to_owned(), "hunter2hunter2".to_owned()));
    let start = Postbox::with(Manners { tls: Speech::StartTls, login: login.clone() }, Some(&right));
    let implicit = Postbox::with(Manners { tls: Speech::Implicit, login }, Some(&right));
    let clear = Postbox::open();
    let nobody = e2e::ports::Port::reserve();
    let (start_port, implicit_port) = (start.port().to_string(), implicit.port().to_string());
    let (clear_port, nobody) = (clear.port().to_string(), nobody.number().to_string());
    let (right, wrong) = (right.path("ca.pem"), wrong.path("ca.pem"));
    let from = ("DOORWARD__MAIL__FROM", "door@example.test");
    let user = ("DOORWARD__MAIL__USER", "doorward");
    let good = ("DOORWARD__MAIL__PASSWORD", "hunter2hunter2");
    let bad = ("DOORWARD__MAIL__PASSWORD", "hunter3hunter3");
    let at = |host, port, tls, authority| {
        [
            ("DOORWARD__MAIL__HOST", host),
            ("DOORWARD__MAIL__PORT", port),
            ("DOORWARD__MAIL__TLS", tls),
            ("SSL_CERT_FILE", authority),
            from,
        ]
    };
    for (place, login, code, words) in [
        (at("localhost", &start_port, "starttls", &right), &[user, good][..], 0, ""),
        (at("localhost", &implicit_port, "implicit", &right), &[user, good], 0, ""),
        (
            at("localhost", &start_port, "starttls", &right),
            &[user, bad],
            1,
            "did not accept user and password (535)",
        ),
        (
            at("localhost", &start_port, "starttls", &right),
            &[],
            1,
            "servers that ask who is there want mail.user",
        ),
        (at("localhost", &start_port, "starttls", &wrong), &[user, good], 1, "no TLS with localhost"),
        (at("localhost", &implicit_port, "implicit", &wrong), &[user, good], 1, "no TLS with localhost"),
        (at("127.0.0.1", &start_port, "starttls", &right), &[user, good], 1, "no TLS with 127.0.0.1"),
        (at("localhost", &clear_port, "starttls", &right), &[], 1, "offers no STARTTLS"),
        (at("localhost", &clear_port, "implicit", &right), &[], 1, "no TLS with localhost"),
        (at("localhost", &clear_port, "none", &right), &[user, good], 1, "offers no sign-in with a password"),
        (at("localhost", &nobody, "none", &right), &[], 1, "cannot be reached"),
        (at("no-such-host.invalid", &nobody, "starttls", &right), &[], 1, "cannot be reached"),
        (at("localhost", &clear_port, "none", &right), &[], 0, ""),
    ] {
        let answer = trial(&house, &[&place[..], login].concat());
        assert!(answer.code == code && answer.stderr.contains(words), "{place:?}: {answer:?}");
        assert!(!answer.stderr.contains("hunter"), "{answer:?}");
    }
    // In the clear towards a port that begins with TLS, each waits for the other.
    let silent = at("localhost", &implicit_port, "none", &right);
    let answer = trial(&house, &[&silent[..], &[("DOORWARD__MAIL__TIMEOUT", "1s")]].concat());
    assert!(answer.stderr.contains("within 1 seconds"), "{answer:?}");
    // Nothing but the three that were asked for properly, two of them encrypted.
    for (postbox, encrypted) in [(&start, true), (&implicit, true), (&clear, false)] {
        let mail = postbox.next_with("Mail from localhost").await;
        assert_eq!((mail.encrypted, mail.to.as_slice()), (encrypted, &["ops@example.test".to_owned()][..]));
        postbox.expect_none().await;
    }
}
