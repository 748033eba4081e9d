//! Group 1.13: a registration is managed by whoever holds its token (RFC 7592), and by nobody else.

use e2e::answer::Answer;
use e2e::client::{Tokens, text};
use e2e::house::{Plan, Store};
use e2e::visitor::Visitor;
use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{EVIL, PUB1, Stage, ask, assert_json_error, assert_login, http, metadata};

/// A registration: what the client was answered.
struct Registration(Value);

impl Registration {
    async fn new(stage: &Stage, more: &Value) -> Self {
        let mut body = metadata(&[PUB1]);
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        Self(stage.register(&body).await.expect(201))
    }

    fn id(&self) -> String {
        text(&self.0["client_id"])
    }

    fn token(&self) -> String {
        text(&self.0["registration_access_token"])
    }

    fn uri(&self) -> String {
        text(&self.0["registration_client_uri"])
    }

    async fn send(&self, method: Method, body: Option<&Value>) -> Answer {
        self.send_with(&self.token(), method, body).await
    }

    async fn send_with(&self, token: &str, method: Method, body: Option<&Value>) -> Answer {
        let request = http().request(method, self.uri()).bearer_auth(token);
        Answer::to(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// What it would send to change nothing.
    fn body(&self) -> Value {
        let mut body = self.0.clone();
        let members = body.as_object_mut().expect("an object");
        for name in [
            "registration_access_token",
            "registration_client_uri",
            "client_id_issued_at",
            "client_secret_expires_at",
        ] {
            members.remove(name);
        }
        body
    }

    /// The body with something changed.
    fn with(&self, change: &Value) -> Value {
        let mut body = self.body();
        body.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        body
    }
}

fn assert_refused(answer: &Answer) {
    assert_json_error(answer, 401, "invalid_token");
    assert!(answer.header("www-authenticate").starts_with("Bearer error=\"invalid_token\""), "{answer:#?}");
}

fn assert_no_null(value: &Value) {
    let members = value.as_object().expect("an object");
    assert!(members.values().all(|member| !member.is_null()), "{value:#}");
}

// DR-16, DR-17
#[tokio::test]
async fn a_client_reads_changes_and_removes_its_own_registration() {
    let mut stage = Stage::start(Store::Sqlite).await;
    let method = json!({"token_endpoint_auth_method": "client_secret_post", "client_name": "First"});
    let mut mine = Registration::new(&stage, &method).await;
    assert_no_null(&mine.0);
    assert_eq!(mine.uri(), stage.at(&format!("/oauth/clients/register/{}", mine.id())));
    let read = mine.send(Method::GET, None).await;
    assert_eq!(read.header("cache-control"), "no-store");
    let read = read.expect(200);
    assert_no_null(&read);
    let mut same = mine.0.clone();
    for name in ["client_secret", "client_secret_expires_at"] {
        same.as_object_mut().expect("an object").remove(name);
    }
    assert_eq!(read, same, "all but the secret, which is shown once");

    let change =
        json!({"client_name": "Second", "software_id": "s-1", "client_secret": mine.0["client_secret"]});
    let changed = mine.send(Method::PUT, Some(&mine.with(&change))).await.expect(200);
    assert_no_null(&changed);
    assert_eq!((&changed["client_name"], &changed["software_id"]), (&json!("Second"), &json!("s-1")));
    assert_ne!(text(&changed["registration_access_token"]), mine.token(), "it is replaced");
    assert!(changed.get("client_secret").is_none(), "{changed:#}");
    // The one from before is spent, and nothing was done with it.
    for method in [Method::GET, Method::DELETE] {
        assert_refused(&mine.send(method, None).await);
    }
    assert_refused(&mine.send(Method::PUT, Some(&mine.body())).await);
    let secret = text(&mine.0["client_secret"]);
    mine = Registration(changed);

    // What is left out is gone: the whole is replaced.
    let bare = json!({
        "client_id": mine.id(), "redirect_uris": [PUB1], "token_endpoint_auth_method": "client_secret_basic",
    });
    let bare = mine.send(Method::PUT, Some(&bare)).await.expect(200);
    assert!(bare.get("client_name").is_none() && bare.get("software_id").is_none(), "{bare:#}");
    mine = Registration(bare);
    let client = stage.known(&mine.id(), PUB1);
    let form =
        [("grant_type", "authorization_code"), ("code", "x"), ("redirect_uri", PUB1), ("code_verifier", "x")];
    let basic = http().post(stage.at("/oauth2/token")).basic_auth(mine.id(), Some(&secret)).form(&form);
    assert_json_error(&Answer::to(basic).await, 400, "invalid_grant");

    let gone = mine.send(Method::DELETE, None).await;
    assert!(gone.status == 204 && gone.body.is_empty(), "{gone:#?}");
    assert_refused(&mine.send(Method::GET, None).await);
    assert_refused(&mine.send(Method::DELETE, None).await);
    let page = ask(&client.request().url()).await;
    assert!(page.status == 400 && page.header("content-type").starts_with("text/html"), "{page:#?}");
    let basic = http().post(stage.at("/oauth2/token")).basic_auth(mine.id(), Some(&secret)).form(&form);
    assert_json_error(&Answer::to(basic).await, 401, "invalid_client");
    let trail = stage.house.cli(&["audit", "export", "--json"], "").ok();
    for action in ["client_changed", "client_deleted"] {
        let told = trail.lines().filter(|line| line.contains(action) && line.contains(&mine.id()));
        assert!(told.count() > 0, "{action}: {trail}");
    }
    // No token is in the log or in the database in the clear.
    let token = mine.token();
    stage.house.kill9();
    assert!(!stage.house.logs().contains(&token));
    stage.house.restart_auth_server().await;
    stage.close().await;
}

// DR-17, DR-21: what people allowed ends with the client, and with the addresses that they were shown.
#[tokio::test]
async fn what_was_allowed_ends_with_the_client_and_with_its_addresses() {
    let stage = Stage::start(Store::Sqlite).await;
    let (rs, rs_secret) = stage.house.resource_credentials();
    let live = async |token: &str| {
        let asked = http().post(stage.at("/oauth2/introspect")).basic_auth(&rs, Some(&rs_secret));
        Answer::to(asked.form(&[("token", token)])).await.expect(200)["active"] == true
    };
    let mut mine = Registration::new(&stage, &json!({})).await;
    let client = stage.known(&mine.id(), PUB1);
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    let named = mine.send(Method::PUT, Some(&mine.with(&json!({"client_name": "Other"})))).await.expect(200);
    mine = Registration(named);
    let tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert!(live(&tokens.access).await, "another name ends nothing");

    // Somebody waits at the consent page while the addresses change.
    let waiting = Visitor::new();
    let page = waiting.reach_consent(&client.request().url(), stage.house.alice()).await;
    let moved = mine.with(&json!({"redirect_uris": ["https://elsewhere.test/cb"]}));
    mine = Registration(mine.send(Method::PUT, Some(&moved)).await.expect(200));
    assert!(!live(&tokens.access).await);
    assert_json_error(&client.refresh(&tokens.refresh).await, 400, "invalid_grant");
    let page = waiting.decide(&page, &["read"], "authorize").await.page();
    assert_eq!(page.answer.status, 400, "{page:#?}");
    assert_eq!(ask(&client.request().url()).await.status, 400, "the address from before");
    let client = stage.known(&mine.id(), "https://elsewhere.test/cb");
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    assert!(live(&tokens.access).await, "allowed anew");

    assert_eq!(mine.send(Method::DELETE, None).await.status, 204);
    assert!(!live(&tokens.access).await);
    assert_json_error(&client.refresh(&tokens.refresh).await, 401, "invalid_client");
    stage.close().await;
}

// DR-17
#[tokio::test]
async fn whoever_does_not_hold_the_token_learns_and_changes_nothing() {
    let stage = Stage::start(Store::Sqlite).await;
    let (mine, other) =
        (Registration::new(&stage, &json!({})).await, Registration::new(&stage, &json!({})).await);
    let own = ["client", "create", "--name", "T", "--public", "--redirect-uri", PUB1, "--client-id", "own"];
    stage.house.cli(&own, "").ok();
    let unknown = Registration(json!({
        "registration_client_uri": stage.at(&format!("/oauth/clients/register/dcr_{}", "0".repeat(32))),
    }));
    let foreign = Registration(json!({"registration_client_uri": stage.at("/oauth/clients/register/own")}));
    let odd = Registration(json!({"registration_client_uri": stage.at("/oauth/clients/register/%00")}));
    let mut bodies = Vec::new();
    for (registration, token) in [
        (&mine, other.token()),
        (&mine, format!("{}x", mine.token())),
        (&mine, "x".to_owned()),
        (&unknown, mine.token()),
        (&foreign, mine.token()),
        (&odd, mine.token()),
    ] {
        for method in [Method::GET, Method::DELETE] {
            let answer = registration.send_with(&token, method, None).await;
            assert_refused(&answer);
            bodies.push(answer.body);
        }
        let evil = mine.with(&json!({"redirect_uris": [EVIL]}));
        let answer = registration.send_with(&token, Method::PUT, Some(&evil)).await;
        assert_refused(&answer);
        bodies.push(answer.body);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "one answer for all: {bodies:#?}");
    // Without a token there is a challenge, and no other place is looked at for one.
    let bare = Answer::to(http().get(mine.uri())).await;
    assert!(bare.status == 401 && bare.header("www-authenticate") == "Bearer", "{bare:#?}");
    let query = Answer::to(http().get(format!("{}?access_token={}", mine.uri(), mine.token()))).await;
    assert_eq!(query.status, 401);
    let twice = http().get(mine.uri()).bearer_auth(mine.token()).header("authorization", "Bearer x");
    assert_json_error(&Answer::to(twice).await, 400, "invalid_request");
    let client = stage.known(&mine.id(), PUB1);
    assert_login(&ask(&client.request().url()).await);
    stage.close().await;
}

// DR-05, DR-13, DR-17
#[tokio::test]
async fn a_change_says_no_more_than_a_registration_could_and_never_another_identity() {
    let stage = Stage::start(Store::Sqlite).await;
    let (mine, other) =
        (Registration::new(&stage, &json!({})).await, Registration::new(&stage, &json!({})).await);
    for (change, code) in [
        (json!({"client_id": other.id()}), "invalid_client_metadata"),
        (json!({"client_id": null}), "invalid_client_metadata"),
        (json!({"registration_access_token": mine.token()}), "invalid_client_metadata"),
        (json!({"registration_client_uri": mine.uri()}), "invalid_client_metadata"),
        (json!({"client_id_issued_at": 1}), "invalid_client_metadata"),
        (json!({"client_secret_expires_at": 0}), "invalid_client_metadata"),
        (json!({"client_secret": "chosen"}), "invalid_client_metadata"),
        (json!({"token_endpoint_auth_method": "client_secret_post"}), "invalid_client_metadata"),
        (json!({"grant_types": ["client_credentials"]}), "invalid_client_metadata"),
        (json!({"logo_uri": "javascript:alert(1)"}), "invalid_client_metadata"),
        (json!({"redirect_uris": []}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["javascript:alert(1)"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": [stage.at("/cb")]}), "invalid_redirect_uri"),
    ] {
        let answer = mine.send(Method::PUT, Some(&mine.with(&change))).await;
        assert_json_error(&answer, 400, code);
    }
    let text = http().put(mine.uri()).bearer_auth(mine.token()).header("content-type", "text/plain");
    assert_json_error(&Answer::to(text.body(mine.body().to_string())).await, 415, "invalid_request");
    let twice = format!("{{\"client_id\":\"x\",{}", &mine.body().to_string()[1..]);
    let twice = http()
        .put(mine.uri())
        .bearer_auth(mine.token())
        .header("content-type", "application/json")
        .body(twice);
    assert_json_error(&Answer::to(twice).await, 400, "invalid_client_metadata");
    // Nothing of it spent the token or left a trace.
    let read = mine.send(Method::GET, None).await.expect(200);
    assert_eq!(read, mine.0);
    let more =
        json!({"scope": "mcp:admin", "ceiling": "destroy", "origin": "administrator", "trusted": true});
    let changed = mine.send(Method::PUT, Some(&mine.with(&more))).await.expect(200);
    for name in ["scope", "ceiling", "origin", "trusted"] {
        assert!(changed.get(name).is_none(), "{changed:#}");
    }
    let client = stage.known(&mine.id(), PUB1);
    let page = Visitor::new().reach_consent(&client.request().url(), stage.house.alice()).await;
    assert_eq!(page.form("decision").data["client-label"], "unverified");
    stage.close().await;
}

// DR-17: an administrator's word stands above the client's own.
#[tokio::test]
async fn a_disabled_client_manages_nothing_and_is_not_revived_by_its_token() {
    let stage = Stage::start(Store::Sqlite).await;
    let mine = Registration::new(&stage, &json!({})).await;
    let client = stage.known(&mine.id(), PUB1);
    stage.house.cli(&["client", "disable", &mine.id()], "").ok();
    for (method, body) in [(Method::GET, None), (Method::PUT, Some(mine.body())), (Method::DELETE, None)] {
        assert_refused(&mine.send(method, body.as_ref()).await);
    }
    assert_eq!(ask(&client.request().url()).await.status, 400);
    stage.house.cli(&["client", "enable", &mine.id()], "").ok();
    mine.send(Method::GET, None).await.expect(200);
    assert_login(&ask(&client.request().url()).await);
    stage.close().await;
}

// DR-01, DR-17
#[tokio::test]
async fn guesses_are_braked_and_changes_count_as_registrations() {
    let plan = Plan::on(Store::Sqlite)
        .without_artifacts()
        .with("REGISTRATION__PER_ADDRESS", "3")
        .with("LIMITS__TOKEN_FAILURES", "5");
    let stage = Stage::build(plan).await;
    let mut mine = Registration::new(&stage, &json!({})).await;
    for _ in 0..2 {
        mine = Registration(mine.send(Method::PUT, Some(&mine.body())).await.expect(200));
    }
    let more = mine.send(Method::PUT, Some(&mine.body())).await;
    assert_json_error(&more, 429, "too_many_requests");
    assert!(!more.header("retry-after").is_empty());
    for _ in 0..5 {
        assert_refused(&mine.send_with("x", Method::GET, None).await);
    }
    assert_json_error(&mine.send_with("x", Method::GET, None).await, 429, "too_many_requests");
    // What is right is still served.
    mine.send(Method::GET, None).await.expect(200);
    assert_eq!(mine.send(Method::DELETE, None).await.status, 204);
    stage.close_quietly();
}

// DR-22
#[tokio::test]
async fn every_page_may_manage_the_registration_whose_token_it_holds() {
    let stage = Stage::start(Store::Sqlite).await;
    let mine = Registration::new(&stage, &json!({})).await;
    let preflight = http()
        .request(Method::OPTIONS, mine.uri())
        .header("origin", "https://inspector.test")
        .header("access-control-request-method", "DELETE")
        .header("access-control-request-headers", "authorization");
    let preflight = Answer::to(preflight).await;
    assert_eq!(preflight.status, 204);
    let read = http().get(mine.uri()).bearer_auth(mine.token()).header("origin", "https://inspector.test");
    let read = Answer::to(read).await;
    read.expect(200);
    for answer in [&preflight, &read] {
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(!answer.headers.contains_key("access-control-allow-credentials"), "{answer:#?}");
    }
    for method in ["GET", "PUT", "DELETE"] {
        assert!(preflight.header("access-control-allow-methods").contains(method), "{preflight:#?}");
    }
    // The other paths of registration lead here, too; other methods do not.
    for path in ["/oauth/register", "/register"] {
        let read = http().get(stage.at(&format!("{path}/{}", mine.id()))).bearer_auth(mine.token());
        Answer::to(read).await.expect(200);
    }
    for method in [Method::POST, Method::PATCH] {
        assert_eq!(mine.send(method, None).await.status, 405);
    }
    stage.close().await;
}
