//! Group 1.16: guessing passwords, and finding out who has an account.

use std::collections::BTreeMap;

use e2e::answer::Answer;
use e2e::house::{Person, Plan, Store};
use e2e::page::Page;

use crate::browser::{Browser, with};
use crate::stage::{Stage, assert_quiet, http};

/// Tries to sign in with a fresh browser.
async fn try_from_nowhere(stage: &Stage, email: &str, password: &str) -> Answer {
    let mut browser = Browser::default();
    let page = browser.page(&stage.at("/login")).await;
    attempt(&mut browser, &page, email, password).await
}

async fn attempt(browser: &mut Browser, page: &Page, email: &str, password: &str) -> Answer {
    let person = Person { email: email.to_owned(), password: password.to_owned() };
    browser.sign_in(page, &person).await
}

/// Wrong guesses until the brake holds; gives how many were looked at.
async fn guess_until_stopped(stage: &Stage, spellings: &[&str]) -> usize {
    for tries in 0..20 {
        let answer = try_from_nowhere(stage, spellings[tries % spellings.len()], "a wrong guess").await;
        if answer.status == 429 {
            return tries;
        }
        assert_eq!(answer.status, 401, "{answer:#?}");
    }
    panic!("nobody stops the guesses");
}

// LG-01
#[tokio::test]
async fn an_unknown_account_is_answered_as_a_known_one_is() {
    let stage = Stage::start(Store::Sqlite).await;
    let barred = stage.house.user("barred@example.test");
    stage.house.cli(&["user", "disable", &barred.email], "").ok();
    let mut browser = Browser::default();
    let page = browser.page(&stage.at("/login")).await;
    let mut answers = Vec::new();
    for (email, password) in [
        ("alice@example.test", "a wrong guess"),
        ("nobody@example.test", "a wrong guess"),
        (barred.email.as_str(), barred.password.as_str()),
        ("nobody at all", "a wrong guess"),
    ] {
        let answer = attempt(&mut browser.clone(), &page, email, password).await;
        let said = answer.body.replace(email, "EMAIL");
        // What is random in the page is so for everybody.
        let (before, after) = said.split_once("data-challenge=\"").expect("a challenge");
        let (challenge, _) = after.split_once('"').expect("its end");
        let body = format!("{before}{after}").replace(challenge, "CHALLENGE");
        let headers: BTreeMap<_, _> = answer
            .headers
            .iter()
            .filter(|(name, _)| !["date", "content-length"].contains(&name.as_str()))
            .map(|(name, value)| (name.as_str().to_owned(), format!("{value:?}")))
            .collect();
        answers.push((answer.status, body, headers));
    }
    assert_eq!(answers[0].0, 401);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    stage.close().await;
}

// LG-04
#[tokio::test]
async fn one_account_has_one_counter_however_it_is_spelled() {
    let stage = Stage::start(Store::Sqlite).await;
    let spellings = ["alice@example.test", " ALICE@example.test", "Alice@Example.TEST "];
    let looked_at = guess_until_stopped(&stage, &spellings).await;
    assert!((5..10).contains(&looked_at), "{looked_at}");
    for spelling in spellings {
        assert_eq!(try_from_nowhere(&stage, spelling, &stage.house.alice().password).await.status, 429);
    }
    // Somebody else in the same network is not concerned.
    let bob = stage.house.user("bob@example.test");
    assert_eq!(try_from_nowhere(&stage, &bob.email, &bob.password).await.status, 303);
    stage.close().await;
}

// LG-05
#[tokio::test]
async fn one_guess_at_each_of_many_accounts_is_stopped_too() {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("LIMITS__SIGN_IN_FAILURES", "5");
    let stage = Stage::build(plan).await;
    let mut statuses = Vec::new();
    for i in 0..8 {
        statuses.push(try_from_nowhere(&stage, &format!("user{i}@example.test"), "Winter2026").await.status);
    }
    assert_eq!(statuses[..5], [401; 5]);
    assert_eq!(statuses[5..], [429; 3]);
    stage.close().await;
}

// LG-06
#[tokio::test]
async fn guesses_of_a_stranger_do_not_shut_the_owner_out() {
    let stage = Stage::start(Store::Sqlite).await;
    let alice = stage.house.alice();
    let mut hers = Browser::default();
    let page = hers.page(&stage.at("/login")).await;
    assert_eq!(hers.sign_in(&page, alice).await.status, 303);
    hers.cookies.remove("doorward-session");
    guess_until_stopped(&stage, &["alice@example.test"]).await;
    let page = hers.page(&stage.at("/login")).await;
    assert_eq!(hers.sign_in(&page, alice).await.status, 303, "from a browser that signed in before");
    // The mark of that browser helps nobody with another account, and nobody who bends it.
    let bob = stage.house.user("bob@example.test");
    guess_until_stopped(&stage, &[&bob.email]).await;
    let mut foreign = Browser::default();
    let page = foreign.page(&stage.at("/login")).await;
    foreign.cookies.insert("doorward-device".to_owned(), hers.cookies["doorward-device"].clone());
    assert_eq!(foreign.sign_in(&page, &bob).await.status, 429);
    stage.close().await;
}

// LG-09
#[tokio::test]
async fn a_password_is_compared_to_its_end_and_no_longer_than_a_book() {
    let stage = Stage::start(Store::Sqlite).await;
    let long = Person { email: "long@example.test".to_owned(), password: "x".repeat(90) };
    let create = ["user", "create", "--email", &long.email, "--password-stdin"];
    stage.house.cli(&create, &long.password).ok();
    let variants = ["x".repeat(72), "x".repeat(89), "x".repeat(91), "x".repeat(1025)];
    for (i, wrong) in variants.iter().enumerate() {
        assert_eq!(try_from_nowhere(&stage, &long.email, wrong).await.status, 401, "{i}");
    }
    let with_nul = format!("{}\0", long.password);
    assert_eq!(try_from_nowhere(&stage, &long.email, &with_nul).await.status, 400);
    assert_eq!(try_from_nowhere(&stage, &long.email, &"x".repeat(1024 * 1024)).await.status, 413);
    assert_eq!(try_from_nowhere(&stage, &long.email, &long.password).await.status, 303);
    let refused = ["user", "create", "--email", "book@example.test", "--password-stdin"];
    assert_eq!(stage.house.cli(&refused, &"x".repeat(1025)).code, 1);
    stage.close().await;
}

// LG-10
#[tokio::test]
async fn very_many_sign_ins_at_once_are_answered_and_few_are_computed() {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("LIMITS__SIGN_IN_FAILURES", "1000");
    let stage = Stage::build(plan).await;
    let mut browser = Browser::default();
    let page = browser.page(&stage.at("/login")).await;
    let all = (0..200).map(|i| {
        let (mut browser, page) = (browser.clone(), page.clone());
        async move { attempt(&mut browser, &page, &format!("user{i}@example.test"), "a guess").await.status }
    });
    let statuses = futures_util::future::join_all(all).await;
    assert!(statuses.iter().all(|status| [401, 503].contains(status)), "{statuses:?}");
    let status = format!("/proc/{}/status", stage.house.auth_server_id());
    let status = std::fs::read_to_string(status).expect("the process is there");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    // Three at once take 57 MiB; two hundred would take 3.7 GiB.
    assert!(peak < 400 * 1024, "{peak} KiB");
    let answer = try_from_nowhere(&stage, "alice@example.test", &stage.house.alice().password).await;
    assert_eq!(answer.status, 303);
    assert_quiet(&stage.house, |status| status < 500 || status == 503);
}

// LG-14, LG-15, LG-16
#[tokio::test]
async fn nobody_makes_an_account_or_makes_themselves_more() {
    let stage = Stage::start(Store::Sqlite).await;
    let users = || stage.house.cli(&["user", "list", "--json"], "").json();
    let before = users();
    let mut browser = Browser::default();
    for path in ["/signup", "/sign-up", "/users", "/account/new", "/link", "/setup"] {
        let answer = browser.send(http().get(stage.at(path))).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    assert_eq!(try_from_nowhere(&stage, "new@example.test", "a long password").await.status, 401);
    let page = browser.page(&stage.at("/login")).await;
    browser.sign_in(&page, stage.house.alice()).await;
    let page = browser.page(&stage.at("/account/password")).await;
    let form = page.form("action");
    let mut fields = form.filled(&[("password", &e2e::fresh())], &[], ("action", "change"));
    for (name, value) in [
        ("email", "root@example.test"),
        ("email_verified", "true"),
        ("admin", "true"),
        ("admin_since", "1"),
        ("groups", "staff"),
        ("roles", "admin"),
        ("name", "Root"),
    ] {
        fields = with(fields, name, value);
    }
    assert_eq!(browser.post(&form.action, &fields, &[]).await.status, 303);
    assert_eq!(users(), before, "nothing but the password is another one");
    for agent in ["kube-probe/1.34", "GoogleHC/1.0", "ELB-HealthChecker/2.0"] {
        let answer =
            Browser::default().send(http().get(stage.at("/account")).header("user-agent", agent)).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/login?then=account"), "{agent}");
    }
    stage.close().await;
}
