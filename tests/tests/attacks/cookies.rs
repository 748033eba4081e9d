//! Group 1.6, the cookies themselves: on an issuer that is reached over https, and when there are too many of them.

use e2e::answer::Answer;
use e2e::house::{Plan, Store};

use crate::browser::Browser;
use crate::raw::exchange;
use crate::stage::{PUB1, Stage, ask, http};

// CS-10, HT-23
#[tokio::test]
async fn every_cookie_is_bound_to_the_host_and_out_of_reach_of_scripts() {
    for (issuer, prefix) in [(None, "doorward-"), (Some("https://as.test"), "__Host-doorward-")] {
        let plan = Plan::on(Store::Sqlite).without_artifacts();
        let stage =
            Stage::build(issuer.into_iter().fold(plan, |plan, issuer| plan.with("SERVER__ISSUER", issuer)))
                .await;
        let mut browser = Browser::default();
        let login = browser.page(&stage.at("/login")).await;
        let answer = browser.sign_in(&login, stage.house.alice()).await;
        assert_eq!(answer.status, 303, "{answer:#?}");
        let headers = [&login.answer.headers, &answer.headers];
        let cookies: Vec<_> = headers
            .iter()
            .flat_map(|headers| headers.get_all("set-cookie"))
            .map(|cookie| cookie.to_str().expect("text").to_owned())
            .collect();
        assert_eq!(cookies.len(), 3, "browser, session and device: {cookies:#?}");
        for cookie in cookies {
            let mut parts = cookie.split("; ");
            assert!(parts.next().expect("a name").starts_with(prefix), "{cookie}");
            let rules: Vec<_> = parts.collect();
            for rule in ["HttpOnly", "SameSite=Lax", "Path=/"] {
                assert!(rules.contains(&rule), "{rule}: {cookie}");
            }
            assert_eq!(rules.contains(&"Secure"), issuer.is_some(), "{cookie}");
            assert!(!cookie.contains("Domain"), "{cookie}");
        }
        // Over https the browser is told to stay there.
        let headers = ask(&stage.at("/login")).await.headers;
        assert_eq!(headers.contains_key("strict-transport-security"), issuer.is_some());
        stage.close_quietly();
    }
}

// CS-11
#[tokio::test]
async fn a_cookie_that_a_neighbour_could_set_is_not_read() {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("SERVER__ISSUER", "https://as.test");
    let stage = Stage::build(plan).await;
    let mut browser = Browser::default();
    let login = browser.page(&stage.at("/login")).await;
    browser.sign_in(&login, stage.house.alice()).await;
    let session = browser.cookies["__Host-doorward-session"].clone();
    for name in [
        "doorward-session",
        "__Secure-doorward-session",
        "__host-doorward-session",
        "%5F_Host-doorward-session",
        "sid",
        "__Host-sid",
    ] {
        let cookie = format!("{name}={session}");
        let answer = Answer::to(http().get(stage.at("/")).header("cookie", cookie)).await;
        assert_eq!(answer.header("location"), "/login", "{name}");
    }
    let many: Vec<_> = (0..50).map(|i| format!("x{i}={}", "y".repeat(40))).collect();
    let cookie = format!("{}; __Host-doorward-session={session}", many.join("; "));
    let answer = Answer::to(http().get(stage.at("/")).header("cookie", cookie)).await;
    assert_eq!(answer.status, 200, "fifty cookies of neighbours do not lock anybody out: {answer:#?}");
    let endless = format!("GET / HTTP/1.1\r\nHost: as.test\r\nCookie: x={}\r\n\r\n", "y".repeat(300_000));
    let answer = exchange(&stage, endless.as_bytes()).await;
    assert!(answer.refused(), "{answer:?}");
    let odd = ["", "=", ";;;", "a", "=x", "__Host-doorward-session", "\"", "a=\"b;c\""];
    for cookie in odd {
        let answer = Answer::to(http().get(stage.at("/")).header("cookie", cookie)).await;
        assert!(matches!(answer.status, 303 | 400), "{cookie:?}: {answer:#?}");
    }
    stage.close_quietly();
}

// CS-12
#[tokio::test]
async fn of_two_sessions_in_one_request_none_is_believed() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let mallory = stage.house.user("mallory@example.test");
    let mut sessions = Vec::new();
    for person in [stage.house.alice(), &mallory] {
        let mut browser = Browser::default();
        browser.reach_consent(&client.request().url(), person).await;
        sessions.push(browser.cookies["doorward-session"].clone());
    }
    for (one, two) in [(0, 1), (1, 0), (0, 0)] {
        let cookie = format!("doorward-session={}; doorward-session={}", sessions[one], sessions[two]);
        let answer = Answer::to(http().get(stage.at("/")).header("cookie", &cookie)).await;
        assert_eq!(answer.header("location"), "/login", "{answer:#?}");
        let [first, second] = [one, two].map(|i| format!("doorward-session={}", sessions[i]));
        let request = http().get(stage.at("/")).header("cookie", first).header("cookie", second);
        let answer = Answer::to(request).await;
        assert_eq!(answer.header("location"), "/login", "{answer:#?}");
    }
    stage.close().await;
}
