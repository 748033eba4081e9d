//! Group 1.21: what strangers write is text, and what is secret is nowhere.

use std::collections::BTreeSet;
use std::path::Path;

use e2e::answer::Answer;
use e2e::client::{Client, Tokens, text};
use e2e::house::{Person, Store};
use e2e::page::Page;
use e2e::visitor::Visitor;
use scraper::{Html, Selector};

use crate::browser::{Browser, with};
use crate::raw::exchange;
use crate::stage::{PUB1, Stage, ask, assert_json_error, assert_refused, http, metadata};

const MARKUP: [&str; 9] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "</title><svg onload=alert(1)>",
    "'onmouseover='alert(1)",
    "javascript:alert(1)",
    "</textarea></form><form action=https://evil.test>",
    "<!--",
    "{{7*7}}${7*7}",
    "&lt;b&gt;",
];

/// Fails when a page holds an element or attribute that the server did not draw.
fn assert_plain(page: &str) {
    let html = Html::parse_document(page);
    let known: BTreeSet<_> = [
        "html", "head", "meta", "title", "link", "body", "header", "svg", "path", "circle", "b", "span",
        "main", "footer", "form", "h1", "p", "br", "strong", "code", "input", "fieldset", "legend", "label",
        "small", "div", "a", "nav", "select", "option", "button", "section", "ul", "li", "pre",
    ]
    .into();
    for element in html.select(&Selector::parse("*").expect("a selector")) {
        if element.value().name() == "script" {
            // The one for passkeys, which is a file of ours.
            let source = element.attr("src").unwrap_or_default();
            assert!(source.starts_with("/assets/passkey.js?v=") && element.text().next().is_none(), "{page}");
            continue;
        }
        assert!(known.contains(element.value().name()), "<{}> in {page}", element.value().name());
        for (name, value) in element.value().attrs() {
            assert!(!name.starts_with("on") && name != "style" && name != "src", "{name}={value} in {page}");
            let address = ["href", "action", "formaction"].contains(&name);
            assert!(!address || value.starts_with('/'), "{name}={value} in {page}");
        }
    }
}

// IN-01, IN-02, CS-17
#[tokio::test]
async fn whatever_a_stranger_writes_is_shown_as_text() {
    let stage = Stage::start(Store::Sqlite).await;
    for (i, markup) in MARKUP.into_iter().enumerate() {
        let mut body = metadata(&[PUB1]);
        body["client_name"] = markup.into();
        body["software_id"] = markup.into();
        let made = stage.register(&body).await.expect(201);
        let client = stage.known(&text(&made["client_id"]), PUB1);
        let person = Person { email: format!("user{i}@example.test"), password: e2e::fresh() };
        let create = ["user", "create", "--email", &person.email, "--name", markup, "--password-stdin"];
        stage.house.cli(&create, &person.password).ok();

        let request =
            ["state", "login_hint", "ui_locales", "nonce", "acr_values", "display", "error_description"]
                .into_iter()
                .fold(client.request(), |request, name| request.with(name, markup));
        let mut browser = Browser::default();
        let login = browser.page(&request.url()).await;
        assert_plain(&login.answer.body);
        let hinted = login.form("action").field("email").map(|field| field.value.clone());
        assert_eq!(hinted.as_deref(), Some(markup), "the hint stands in the field as it is");
        if i < 5 {
            // After a few more the server makes whoever guesses wait.
            let wrong = Person { email: markup.to_owned(), password: markup.to_owned() };
            let again = browser.sign_in(&login, &wrong).await;
            assert_eq!(again.status, 401, "{again:#?}");
            assert_plain(&again.body);
        }
        let agent = http().get(request.url()).header("user-agent", markup).header("accept-language", markup);
        assert_eq!(Answer::to(agent).await.status, 303);

        let page = browser.reach_consent(&request.url(), &person).await;
        assert_plain(&page.answer.body);
        assert!(
            page.text.contains(&markup.split_whitespace().collect::<Vec<_>>().join(" ")),
            "{}",
            page.text
        );
        assert!(
            !page.answer.body.contains(markup) || !markup.contains(['<', '"', '\'']),
            "{}",
            page.answer.body
        );
        assert_plain(&browser.page(&stage.at("/")).await.answer.body);
        assert_plain(&browser.page(&stage.at("/account")).await.answer.body);
        let spoilt = with(Browser::yes(&page), "expires", markup);
        assert_plain(&browser.post(&page.form("decision").action, &spoilt, &[]).await.body);

        // Free text in an address is not shown at all.
        for path in ["/login", "/consent", "/", "/setup/x"] {
            let names = ["error", "error_description", "message", "request", "next", "return_to"];
            let url = url::Url::parse_with_params(&stage.at(path), names.map(|name| (name, markup)))
                .expect("a URL");
            let (url, answer) = Browser::default().open(url.as_str()).await;
            assert_plain(&answer.body);
            assert_ne!(Page::read(url, answer).kind, "home");
        }
        for name in ["scope", "response_type", "resource", "prompt", "code_challenge"] {
            let answer = ask(&client.request().with(name, markup).url()).await;
            assert!(answer.body.is_empty() && answer.status == 303, "{answer:#?}");
        }
        for name in ["client_id", "redirect_uri"] {
            assert_plain(&ask(&client.request().with(name, markup).url()).await.body);
        }
    }
    stage.close().await;
}

// IN-04, IN-06
#[tokio::test]
async fn a_quote_a_line_break_or_a_wildcard_is_data() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    let lines = stage.house.logs().lines().count();
    let poison = [
        "' OR 1=1--",
        "%",
        "_",
        "\\",
        "x'; drop table clients; --",
        "a\r\nX-Evil: 1",
        "a\u{2028}b",
        "\u{1b}[2J",
    ];
    for text in poison {
        let mut body = metadata(&[PUB1]);
        body["client_name"] = text.into();
        let made = stage.register(&body).await;
        if text.chars().any(char::is_control) {
            assert_json_error(&made, 400, "invalid_client_metadata");
        } else {
            assert_eq!(made.expect(201)["client_name"], text);
        }
        let form = [("grant_type", text), ("client_id", &client.client_id), ("code", text)];
        assert_json_error(&client.token(&form).await, 400, "unsupported_grant_type");
        assert_json_error(&client.refresh(text).await, 400, "invalid_grant");
        let other =
            [("grant_type", "refresh_token"), ("client_id", text), ("refresh_token", &tokens.refresh)];
        assert_json_error(&client.token(&other).await, 401, "invalid_client");
        assert_refused(&stage, &client.request().with("resource", text), "invalid_target").await;
        let answer = ask(&client.request().with("state", text).with("prompt", "none").url()).await;
        assert!(!answer.headers.contains_key("x-evil"), "{answer:#?}");
        let (_, page) = Browser::default().open(&client.request().with("login_hint", text).url()).await;
        assert_eq!(page.status, 200);
        let login = Browser::default().page(&client.request().url()).await;
        let wrong = Person { email: text.to_owned(), password: text.to_owned() };
        assert_eq!(Browser::default().sign_in(&login, &wrong).await.status, 403);
    }
    // Each request is one line, and nobody writes lines of their own.
    let logs = stage.house.logs();
    let forged = logs.lines().skip(lines).find(|line| !line.starts_with("{\"timestamp\":"));
    assert_eq!(forged, None);
    Tokens::read(&client.refresh(&tokens.refresh).await);
    stage.close().await;
}

// IN-12
#[tokio::test]
async fn nothing_for_operators_or_developers_is_on_the_public_address() {
    let stage = Stage::start(Store::Sqlite).await;
    for path in [
        "/metrics",
        "/debug",
        "/debug/pprof",
        "/debug/vars",
        "/openapi.json",
        "/swagger",
        "/docs",
        "/graphql",
        "/playground",
        "/admin",
        "/api",
        "/actuator",
        "/actuator/env",
        "/env",
        "/.env",
        "/.git/config",
        "/server-status",
        "/status",
        "/version",
        "/info",
        "/trace",
        "/console",
        "/assets/",
        "/assets/../Cargo.toml",
        "/templates/base.html",
        "/doorward.db",
        "/data/doorward.db",
        "/kek",
        "/setup",
        "/setup/",
        "/users",
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(exchange(&stage, head.as_bytes()).await.statuses(), [404], "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        let answer = ask(&stage.at(path)).await.expect(200);
        assert_eq!(
            answer.as_object().map(serde_json::Map::len),
            Some(1),
            "no figures for strangers: {answer:#}"
        );
    }
    stage.close().await;
}

/// Everything that must not be found anywhere after a run.
#[derive(Debug, Default)]
struct Secrets(Vec<(&'static str, String)>);

/// Not for the log either, but kept until the ID token needs it.
const NONCE: &str = "nonce";

impl Secrets {
    fn note(&mut self, kind: &'static str, secret: &str) {
        assert!(secret.len() >= 16, "{kind}: too short to be looked for");
        self.0.push((kind, secret.to_owned()));
    }

    fn note_tokens(&mut self, tokens: &Tokens) {
        self.note("refresh token", &tokens.refresh);
        for token in [&tokens.access, &text(&tokens.all["id_token"])] {
            self.note("token", token);
            self.note("signature", token.rsplit('.').next().expect("a JWT"));
        }
    }

    fn assert_not_in(&self, place: &str, bytes: &[u8]) {
        for (kind, secret) in &self.0 {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "a {kind} is in {place}");
        }
    }
}

/// Signs in, consents, exchanges, refreshes and revokes, rightly and wrongly; notes every secret of it.
async fn live(stage: &Stage, client: &Client, secrets: &mut Secrets) {
    let mut browser = Browser::default();
    let request = client.request();
    secrets.note("verifier", &request.verifier);
    secrets.note("state", &request.get("state"));
    secrets.note(NONCE, &request.get("nonce"));
    let page = browser.reach_consent(&request.url(), stage.house.alice()).await;
    for form in &page.forms {
        let tag = form.field("csrf").expect("every form has a tag");
        secrets.note("form tag", &tag.value);
    }
    let answer = browser.post(&page.form("decision").action, &Browser::yes(&page), &[]).await;
    let url: url::Url = answer.header("location").parse().expect("a URL");
    let code = url.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    for (name, value) in &browser.cookies {
        assert!(name.starts_with("doorward-"), "{name}");
        secrets.note("cookie", value);
    }
    secrets.note("code", &code);
    // Each mistake that a client can make with a secret in its hand.
    let verifier = request.verifier.as_str();
    for form in [
        vec![("grant_type", code.as_str()), ("client_id", &client.client_id)],
        vec![("grant_type", "authorization_code"), ("client_id", code.as_str())],
        vec![("grant_type", "authorization_code"), ("client_id", verifier), ("client_secret", verifier)],
        vec![("grant_type", "refresh_token"), ("client_id", &client.client_id), ("refresh_token", &code)],
        vec![
            ("grant_type", "authorization_code"),
            ("client_id", &client.client_id),
            ("resource", &code),
            ("code", "x"),
            ("code_verifier", "y"),
        ],
    ] {
        assert!(client.token(&form).await.status >= 400);
    }
    let one = format!("grant_type=authorization_code;code={code};code_verifier={verifier}");
    let posted =
        http().post(stage.at("/oauth2/token")).header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(Answer::to(posted.body(one)).await.status, 400);
    for path in ["/oauth2/token", "/oauth2/authorize", "/login", "/nowhere", "/setup"] {
        let url = format!("{}/{code}?code={code}&verifier={verifier}", stage.at(path));
        assert!(ask(&url).await.status >= 400);
        ask(&format!("{}?code={code}&client_id={verifier}", stage.at(path))).await;
    }
    let tokens = Tokens::read(&client.redeem(&request, &code).await);
    secrets.note_tokens(&tokens);
    for name in ["client_id", "grant_type", "token", "token_type_hint"] {
        let form = [(name, tokens.refresh.as_str()), ("x", tokens.access.as_str())];
        assert!(Answer::to(http().post(stage.at("/oauth2/revoke")).form(&form)).await.status >= 400);
    }
    for token in [&tokens.access, &tokens.refresh, &code] {
        Answer::to(http().get(stage.at("/oauth2/userinfo")).bearer_auth(token)).await;
        let basic = http().post(stage.at("/oauth2/token")).basic_auth(token, Some(token));
        assert_eq!(Answer::to(basic.form(&[("grant_type", "refresh_token")])).await.status, 401);
    }
    let renewed = Tokens::read(&client.refresh(&tokens.refresh).await);
    secrets.note_tokens(&renewed);
    assert_json_error(&client.refresh(&tokens.refresh).await, 400, "refresh_replayed");
    assert_eq!(client.revoke(&renewed.access).await.status, 200);
    let wrong = Person { password: e2e::fresh(), ..stage.house.alice().clone() };
    secrets.note("wrong password", &wrong.password);
    let login = browser.page(&client.request().with("prompt", "login").url()).await;
    assert_eq!(browser.sign_in(&login, &wrong).await.status, 401);
    let swapped = Person { email: wrong.password.clone(), password: wrong.email.clone() };
    assert_eq!(browser.sign_in(&login, &swapped).await.status, 401);
}

// IN-09, IN-10, CS-18, RT-25, CD-21, CA-14
#[tokio::test]
async fn no_secret_of_a_run_is_in_the_log_or_in_the_database() {
    let mut stage = Stage::start(Store::Sqlite).await;
    let mut secrets = Secrets::default();
    secrets.note("password", &stage.house.alice().password);
    let link = stage.house.logs().lines().find_map(|line| line.split("/setup/").nth(1).map(str::to_owned));
    let link = link.expect("the setup link is on the terminal");
    let client = stage.client(&[PUB1]).await;
    for method in ["client_secret_basic", "client_secret_post"] {
        let (confidential, secret) = stage.confidential(method).await;
        secrets.note("client secret", &secret);
        for wrong in [confidential.client_id.as_str(), &secret] {
            let request =
                confidential.token_request(&[("grant_type", "refresh_token"), ("client_secret", &secret)]);
            Answer::to(request.basic_auth(wrong, Some(&secret))).await;
            let form = [("grant_type", secret.as_str()), ("client_id", wrong), ("client_secret", &secret)];
            assert!(confidential.token(&form).await.status >= 400);
        }
    }
    live(&stage, &client, &mut secrets).await;
    let folder = stage.house.folder();
    secrets.note(
        "key-encryption key",
        &std::fs::read_to_string(folder.join("kek")).expect("the key can be read"),
    );
    let credentials =
        std::fs::read_to_string(folder.join("artifacts.credentials")).expect("they can be read");
    let resource_secret = credentials.find("dws_").map(|at| credentials[at..at + 53].to_owned());
    secrets.note("resource server's secret", &resource_secret.expect("a secret is in the credentials"));

    // Used once, and then looked for like every other.
    let mut browser = Browser::default();
    let setup = browser.page(&format!("{}/{link}", stage.at("/setup"))).await;
    let form = setup.form("action").clone();
    let password = e2e::fresh();
    secrets.note("administrator's password", &password);
    let typed = [("email", "admin@example.test"), ("password", password.as_str())];
    let answer = browser.post(&form.action, &form.filled(&typed, &[], ("action", "create")), &[]).await;
    assert_eq!(answer.status, 303, "{answer:#?}");
    secrets.note("session of the administrator", &browser.cookies["doorward-session"]);
    stage.house.restart_auth_server().await;

    let logs = stage.house.logs();
    assert!(logs.contains("\"TRACE\"") || logs.contains("\"DEBUG\""), "the log is at its most talkative");
    secrets.assert_not_in("the log", logs.as_bytes());
    assert_eq!(logs.matches(&link).count(), 1, "the setup link is printed once, for the terminal");
    secrets.note("setup link", &link);
    for name in ["doorward.db", "doorward.db-wal"] {
        if Path::exists(&folder.join(name)) {
            let bytes = std::fs::read(folder.join(name)).expect("it can be read");
            secrets.0.retain(|(kind, _)| *kind != NONCE);
            secrets.assert_not_in(name, &bytes);
            assert!(!bytes.windows(11).any(|window| window == b"PRIVATE KEY"), "a private key is in {name}");
        }
    }
    stage.close().await;
}
