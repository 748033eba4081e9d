//! Group 1.6: forged requests, sessions, cookies, frames.

use std::time::Duration;

use e2e::answer::Answer;
use e2e::house::{Plan, Store};
use e2e::page::Page;

use crate::browser::{Browser, plain, with, without};
use crate::stage::{PUB1, Stage, ask, assert_page, http};

const SESSION: &str = "doorward-session";
const BROWSER: &str = "doorward-browser";

fn field(page: &Page, name: &str) -> String {
    let fields = page.forms.iter().flat_map(|form| &form.fields);
    fields
        .filter(|field| field.name == name)
        .map(|field| field.value.clone())
        .next()
        .expect("the field is there")
}

// CS-01, CS-02
#[tokio::test]
async fn each_defence_of_the_consent_form_holds_without_the_others() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let mut browser = Browser::default();
    let page = browser.reach_consent(&client.request().url(), stage.house.alice()).await;
    let action = page.form("decision").action.clone();
    let yes = Browser::yes(&page);
    let tab = browser.reach_consent(&client.request().url(), stage.house.alice()).await;
    let mut other = Browser::default();
    let foreign = other.reach_consent(&client.request().url(), stage.house.alice()).await;

    // Everything right but for where the browser says that the request comes from.
    let evil = "https://evil.test";
    let look_alike = format!("{}.evil.test", stage.house.issuer());
    for headers in [
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("sec-fetch-site", "none")],
        vec![("sec-fetch-site", "cross-site"), ("origin", stage.house.issuer())],
        vec![("origin", "null")],
        vec![("origin", evil)],
        vec![("origin", &look_alike)],
        vec![("origin", stage.house.issuer()), ("origin", evil)],
    ] {
        let mut same = browser.clone();
        assert_page(&same.post(&action, &yes, &headers).await, 403, "csrf");
    }
    // Everything right but for the tag: it belongs to one browser, one person and one request.
    let ours = [("sec-fetch-site", "same-origin"), ("origin", stage.house.issuer())];
    let logout = field(&Page { forms: page.forms[1..].to_vec(), ..page.clone() }, "csrf");
    for tag in ["", "x", &field(&tab, "csrf"), &field(&foreign, "csrf"), &logout] {
        let answer = browser.clone().post(&action, &with(yes.clone(), "csrf", tag), &ours).await;
        assert_page(&answer, 403, "csrf");
    }
    assert_page(&browser.clone().post(&action, &without(yes.clone(), "csrf"), &ours).await, 403, "csrf");
    let twice = [yes.clone(), vec![("csrf".to_owned(), field(&page, "csrf"))]].concat();
    assert_page(&browser.clone().post(&action, &twice, &ours).await, 403, "csrf");
    // Everything right but for the cookies.
    for (name, value) in [
        (BROWSER, None),
        (SESSION, None),
        (BROWSER, other.cookies.get(BROWSER).cloned()),
        (SESSION, other.cookies.get(SESSION).cloned()),
    ] {
        let mut bent = browser.clone();
        bent.cookies.remove(name);
        bent.cookies.extend(value.map(|value| (name.to_owned(), value)));
        assert_page(&bent.post(&action, &yes, &ours).await, 403, "csrf");
    }
    // Only now is it answered, and only once. Without either header there is no browser of today, and the tag has to do.
    let answer = browser.post(&action, &yes, &[]).await;
    assert!(answer.header("location").starts_with("https://app.test/cb?code="), "{answer:#?}");
    assert_page(&browser.post(&action, &yes, &ours).await, 400, "request_gone");
    let page_of_tab = Browser::yes(&tab);
    // Our own pages send no referrer, for which browsers print a null origin.
    let answer =
        browser.post(&action, &page_of_tab, &[("sec-fetch-site", "same-origin"), ("origin", "null")]).await;
    assert_eq!(answer.status, 303, "{answer:#?}");
    stage.close().await;
}

// CS-03
#[tokio::test]
async fn two_tabs_do_not_disturb_each_other() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let mut browser = Browser::default();
    // Both wait on the sign-in page before either goes on.
    let first = browser.page(&client.request().url()).await;
    let second = browser.page(&client.request().url()).await;
    assert_eq!((first.kind.as_str(), second.kind.as_str()), ("login", "login"));
    let mut pages = Vec::new();
    for login in [first, second] {
        let answer = browser.sign_in(&login, stage.house.alice()).await;
        let url = login.url.join(answer.header("location")).expect("a URL");
        pages.push(browser.page(url.as_str()).await);
    }
    // The second sign-in is a new session: what was shown in the old one is shown again before it is answered.
    pages[0] = browser.page(pages[0].url.as_str()).await;
    for page in &pages {
        let answer = browser.post(&page.form("decision").action, &Browser::yes(page), &[]).await;
        assert!(answer.header("location").starts_with("https://app.test/cb?code="), "{answer:#?}");
    }
    stage.close().await;
}

// CS-04
#[tokio::test]
async fn nobody_is_signed_in_to_an_account_by_another_site() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let mallory = stage.house.user("mallory@example.test");
    let mut victim = Browser::default();
    let login = victim.page(&client.request().url()).await;
    let mut attacker = Browser::default();
    let his = attacker.page(&client.request().url()).await;
    let typed = [("email", mallory.email.as_str()), ("password", mallory.password.as_str())];
    let filled = |page: &Page| page.form("action").filled(&typed, &[], ("action", "sign_in"));
    let action = &login.form("action").action;
    for (fields, headers) in [
        (filled(&login), vec![("sec-fetch-site", "cross-site")]),
        (filled(&login), vec![("origin", "https://evil.test")]),
        (filled(&his), vec![]),
        (without(filled(&login), "csrf"), vec![("sec-fetch-site", "same-origin")]),
        (with(filled(&login), "request", ""), vec![]),
        (with(filled(&his), "csrf", &field(&login, "csrf")), vec![]),
    ] {
        let answer = victim.post(action, &fields, &headers).await;
        assert_page(&answer, 403, "csrf");
        assert!(!victim.cookies.contains_key(SESSION), "{answer:#?}");
    }
    let answer = victim.sign_in(&login, stage.house.alice()).await;
    assert_eq!(answer.status, 303);
    stage.close().await;
}

// CS-05
#[tokio::test]
async fn a_sign_in_makes_a_new_session_and_ends_the_one_that_was_there() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let mallory = stage.house.user("mallory@example.test");
    let mut attacker = Browser::default();
    attacker.reach_consent(&client.request().url(), &mallory).await;
    let planted = attacker.cookies[SESSION].clone();

    for planted in [planted, "dwi_nonsense".to_owned()] {
        let mut victim = Browser::default();
        victim.cookies.insert(SESSION.to_owned(), planted.clone());
        let login = victim.page(&client.request().with("prompt", "login").url()).await;
        victim.sign_in(&login, stage.house.alice()).await;
        assert_ne!(victim.cookies[SESSION], planted);
        assert!(victim.page(&stage.at("/")).await.text.contains("alice@example.test"));
        // Whoever planted it, or stole it, has nothing any more.
        let mut thief = Browser::default();
        thief.cookies.insert(SESSION.to_owned(), planted);
        assert_eq!(thief.page(&stage.at("/")).await.kind, "login");
    }
    stage.close().await;
}

// CS-06
#[tokio::test]
async fn a_waiting_request_goes_on_only_in_the_browser_that_began_it() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let mut attacker = Browser::default();
    let login = attacker.page(&client.request().url()).await;
    let id = field(&login, "request");
    let mut alice = Browser::default();
    alice.reach_consent(&client.request().url(), stage.house.alice()).await;
    for browser in [&mut alice, &mut Browser::default()] {
        for path in ["/login", "/consent"] {
            let (_, answer) = browser.open(&format!("{}?request={id}", stage.at(path))).await;
            assert_page(&answer, 403, "other_browser");
        }
    }
    for id in ["", "req_x", "req_01ARZ3NDEKTSV4RRFFQ69G5FAV", "x", "../x"] {
        let (_, answer) = alice.open(&format!("{}?request={id}", stage.at("/consent"))).await;
        assert_page(&answer, 400, "request_gone");
    }
    // The attacker's own browser is not in anybody's way.
    let answer = attacker.sign_in(&login, stage.house.alice()).await;
    assert!(answer.header("location").starts_with("/consent?request="), "{answer:#?}");
    stage.close().await;
}

// CS-07
#[tokio::test]
async fn nothing_of_the_last_person_is_left_for_the_next() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let bob = stage.house.user("bob@example.test");
    let mut browser = Browser::default();
    let page = browser.reach_consent(&client.request().url(), stage.house.alice()).await;
    let (session, id) = (browser.cookies[SESSION].clone(), field(&page, "request"));

    // Bob signs in over her: her page is not answered in his name.
    let mut over = browser.clone();
    let login = over.page(&client.request().with("prompt", "login").url()).await;
    assert!(!login.answer.body.contains("alice"), "{}", login.text);
    over.sign_in(&login, &bob).await;
    assert_page(&over.post(&page.form("decision").action, &Browser::yes(&page), &[]).await, 403, "csrf");

    let mut browser = Browser::default();
    let page = { browser.reach_consent(&client.request().url(), stage.house.alice()).await };
    let first = (browser.cookies[SESSION].clone(), field(&page, "request"));
    let sign_out = page.forms.last().expect("a form to sign out");
    let answer = browser.post(&sign_out.action, &plain(sign_out), &[]).await;
    assert_eq!(answer.status, 200, "{answer:#?}");
    assert!(!browser.cookies.contains_key(SESSION) && !browser.cookies.contains_key(BROWSER));
    browser.reach_consent(&client.request().url(), &bob).await;
    let (_, answer) = browser.open(&format!("{}?request={}", stage.at("/consent"), first.1)).await;
    assert_page(&answer, 403, "other_browser");
    assert_page(&browser.post(&page.form("decision").action, &Browser::yes(&page), &[]).await, 403, "csrf");
    for (session, id) in [(session, id), first] {
        let mut replayed = Browser::default();
        replayed.cookies.insert(SESSION.to_owned(), session);
        assert_eq!(replayed.page(&stage.at("/")).await.kind, "login");
        let (_, answer) = replayed.open(&format!("{}?request={id}", stage.at("/consent"))).await;
        assert_page(&answer, 403, "other_browser");
    }
    stage.close().await;
}

// CS-08, CS-17, CS-20, HT-22, HT-23
#[tokio::test]
async fn no_page_can_be_framed_read_by_another_site_or_made_to_run_a_script() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let mut browser = Browser::default();
    let mut pages = vec![browser.page(&client.request().url()).await];
    pages.push(browser.reach_consent(&client.request().url(), stage.house.alice()).await);
    pages.push(browser.page(&stage.at("/")).await);
    pages.push(browser.page(&client.request().with("client_id", "nope").url()).await);
    pages.push(browser.page(&stage.at("/setup/x")).await);
    for section in ["", "/password", "/passkeys", "/code", "/sessions"] {
        pages.push(browser.page(&stage.at(&format!("/account{section}"))).await);
    }
    pages.push(browser.page(&stage.at("/consent?request=x")).await);
    for page in pages {
        let answer = page.answer;
        let policy = answer.header("content-security-policy");
        for rule in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(rule), "{}: {policy}", page.kind);
        }
        // The page that asks for a passkey has one script of ours, and no other runs there.
        let scripted = ["login", "account-passkeys"].contains(&page.kind.as_str());
        assert_eq!(policy.contains("script-src 'self';"), scripted, "{}: {policy}", page.kind);
        assert_eq!(policy.matches("script-src").count(), usize::from(scripted), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), value, "{}", page.kind);
        }
        assert!(!answer.header("permissions-policy").is_empty());
        let scripts: Vec<_> =
            answer.body.match_indices("<script").map(|(at, _)| &answer.body[at..]).collect();
        assert_eq!(scripts.len(), usize::from(scripted), "{}", answer.body);
        assert!(
            scripts.iter().all(|tag| tag.starts_with("<script src=\"/assets/passkey.js?v=")),
            "{scripts:?}"
        );
        assert!(!answer.body.contains("style=\""), "{}", answer.body);
    }
    for path in ["/oauth2/authorize", "/login", "/logout", "/consent", "/", "/setup/x", "/nowhere"] {
        for origin in ["https://evil.test", "null"] {
            let asked = http().request(reqwest::Method::OPTIONS, stage.at(path)).header("origin", origin);
            let preflight = Answer::to(asked.header("access-control-request-method", "POST")).await;
            let got = Answer::to(http().get(stage.at(path)).header("origin", origin)).await;
            for answer in [preflight, got] {
                let opened = answer.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
                assert_eq!(opened, None, "{path}: {answer:#?}");
            }
        }
    }
    stage.close().await;
}

// CS-13, CS-14
#[tokio::test]
async fn a_session_ends_on_the_server_and_the_browser_is_told_to_forget_it() {
    let plan = Plan::on(Store::Sqlite).without_artifacts();
    let stage = Stage::build(plan.with("SESSION__IDLE", "4s").with("SESSION__ABSOLUTE", "6s")).await;
    let client = stage.client(&[PUB1]).await;
    let mut browser = Browser::default();
    browser.reach_consent(&client.request().url(), stage.house.alice()).await;
    let session = browser.cookies[SESSION].clone();
    assert_eq!(browser.page(&stage.at("/")).await.kind, "home");
    tokio::time::sleep(Duration::from_millis(5100)).await;
    let page = browser.page(&client.request().url()).await;
    assert_eq!(page.kind, "login");
    assert!(!browser.cookies.contains_key(SESSION), "{:#?}", page.answer);
    // A browser that does not forget it has nothing in its hands.
    browser.cookies.insert(SESSION.to_owned(), session);
    assert_eq!(browser.page(&stage.at("/")).await.kind, "login");
    stage.close().await;
}

// CS-16, as far as accounts can be disabled
#[tokio::test]
async fn a_disabled_account_is_out_at_once_and_coming_back_revives_nothing() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let mut browser = Browser::default();
    let page = browser.reach_consent(&client.request().url(), stage.house.alice()).await;
    stage.house.cli(&["user", "disable", "alice@example.test"], "").ok();
    let answer = browser.post(&page.form("decision").action, &Browser::yes(&page), &[]).await;
    assert!(answer.header("location").starts_with("/login?request="), "{answer:#?}");
    stage.house.cli(&["user", "enable", "alice@example.test"], "").ok();
    assert_eq!(browser.page(&stage.at("/")).await.kind, "login");
    assert_eq!(ask(&stage.at("/")).await.header("location"), "/login");
    stage.close().await;
}

// CS-19
#[tokio::test]
async fn looking_at_an_address_changes_nothing() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let mut browser = Browser::default();
    let page = browser.reach_consent(&client.request().url(), stage.house.alice()).await;
    let action = page.form("decision").action.clone();
    let query = url::Url::parse_with_params(action.as_str(), Browser::yes(&page)).expect("a URL");
    assert_eq!(browser.page(query.as_str()).await.kind, "consent", "the answer in a query is no answer");
    let answer = browser.send(http().get(stage.at("/logout"))).await;
    assert_eq!(answer.status, 405, "{answer:#?}");
    for method in ["PUT", "DELETE", "PATCH", "HEAD", "TRACE"] {
        let method = method.parse().expect("a method");
        let answer = browser.send(http().request(method, query.clone())).await;
        assert_eq!(answer.status, 405, "{answer:#?}");
    }
    assert_eq!(browser.page(&stage.at("/")).await.kind, "home", "still signed in");
    let answer = browser.post(&action, &Browser::yes(&page), &[]).await;
    assert!(answer.header("location").starts_with("https://app.test/cb?code="), "{answer:#?}");
    stage.close().await;
}
