//! Attacks with API keys.

use e2e::answer::Answer;
use e2e::client::text;
use e2e::house::Store;
use serde_json::{Value, json};

use crate::nodes::Cluster;
use crate::stage::{Stage, assert_json_error, assert_quiet, http};

/// Makes a key of Alice.
fn create(stage: &Stage, arguments: &[&str]) -> Value {
    let mut all = vec!["key", "create", "--user", "alice@example.test", "--json"];
    all.extend(arguments);
    stage.house.cli(&all, "").json()
}

fn full(stage: &Stage) -> (String, String) {
    let key = create(stage, &["--name", "CI", "--full"]);
    (text(&key["id"]), text(&key["secret"]))
}

async fn introspect_at(origin: &str, (id, secret): (&str, &str), token: &str) -> Value {
    let asked = http().post(format!("{origin}/oauth2/introspect")).basic_auth(id, Some(secret));
    Answer::to(asked.form(&[("token", token)])).await.expect(200)
}

async fn is_good(stage: &Stage, token: &str) -> bool {
    let (id, secret) = stage.house.resource_credentials();
    let answer = introspect_at(stage.house.issuer(), (&id, &secret), token).await;
    if answer["active"] == true {
        return true;
    }
    assert_eq!(answer, json!({"active": false}));
    false
}

async fn report(stage: &Stage, body: &Value) -> Answer {
    Answer::to(http().post(stage.at("/oauth2/leaked")).json(body)).await
}

// AK-11: a key is good at the resource server that it is for, with what it allows there and no more.
#[tokio::test]
async fn a_key_is_good_for_its_own_resource_server_and_allows_no_more_than_it_says() {
    let stage = Stage::start(Store::Sqlite).await;
    let other = "https://other.example.test/mcp";
    let added = stage.house.cli(&["resource", "add", "--url", other, "--name", "Other", "--json"], "").json();
    let (other_id, other_secret) = (text(&added["client_id"]), text(&added["client_secret"]));
    let (id, secret) = stage.house.resource_credentials();
    let bound = create(
        &stage,
        &["--name", "Bound", "--node", "alpha", "--tier", "read", "--resource", stage.house.mcp_url()],
    );
    let key = text(&bound["secret"]);
    let here = introspect_at(stage.house.issuer(), (&id, &secret), &key).await;
    for (member, value) in [
        ("active", json!(true)),
        ("sub", bound["user_id"].clone()),
        ("org", bound["organization"].clone()),
        ("aud", json!(stage.house.mcp_url())),
        ("iss", json!(stage.house.issuer())),
        ("sid", bound["id"].clone()),
        ("client_id", bound["id"].clone()),
        ("credential", json!("Bound")),
        ("scope", json!("artifacts:read")),
        ("exp", bound["expires_at"].clone()),
        (
            "authorization_details",
            json!([{"type": "node", "identifier": "alpha", "actions": ["artifacts:read"]}]),
        ),
    ] {
        assert_eq!(here[member], value, "{member}: {here:#}");
    }
    let there = introspect_at(stage.house.issuer(), (&other_id, &other_secret), &key).await;
    assert_eq!(there, json!({"active": false}));
    // A key for each is good at both.
    let (_, wide) = full(&stage);
    for caller in [(id.as_str(), secret.as_str()), (&other_id, &other_secret)] {
        assert_eq!(introspect_at(stage.house.issuer(), caller, &wide).await["active"], true);
    }
    stage.close().await;
}

// AK-01, AK-02: what is cut, lengthened or changed is no key.
#[tokio::test]
async fn a_key_with_a_wrong_checksum_is_no_key() {
    let stage = Stage::start(Store::Sqlite).await;
    let key = create(&stage, &["--name", "CI", "--tier", "read"]);
    let key = text(&key["secret"]);
    assert!(is_good(&stage, &key).await);
    let body = key.strip_prefix("sta_").expect("its prefix");
    assert!(body.len() == 49 && body.bytes().all(|b| b.is_ascii_alphanumeric()), "{}", body.len());
    for wrong in
        [&key[..key.len() - 1], &format!("{key}A"), &format!("ak_live_{body}"), "sta_", &format!(" {key}")]
    {
        assert!(!is_good(&stage, wrong).await);
    }
    stage.close().await;
}

// AK-03: whoever finds a key can end it, and learns nothing about others.
#[tokio::test]
async fn a_reported_key_is_dead_and_an_unknown_one_is_answered_alike() {
    let stage = Stage::start(Store::Sqlite).await;
    let ((id, found), (_, single), (_, safe)) = (full(&stage), full(&stage), full(&stage));
    let mut made_up = found.clone();
    made_up.pop();
    let url = "https://code.example.test/repository/blob/main/.env";
    let scan = json!([{"token": found, "type": "doorward_api_key", "url": url}, {"token": made_up}]);
    let told = report(&stage, &scan).await;
    assert_eq!(told.expect(200), json!({"received": 2}));
    assert!(!is_good(&stage, &found).await && is_good(&stage, &safe).await);
    // Again, of nobody, and alone: the same words.
    let answers = [
        report(&stage, &json!([{"token": found}, {"token": "nothing"}])).await,
        report(&stage, &json!([{"token": made_up}, {"token": "dwr_nothing"}])).await,
    ];
    assert!(answers.iter().all(|answer| answer.body == told.body && answer.status == 200), "{answers:#?}");
    assert_eq!(report(&stage, &json!({"token": single})).await.expect(200), json!({"received": 1}));
    assert!(!is_good(&stage, &single).await);
    let events = stage.house.cli(&["audit", "export", "--json"], "").ok();
    let reported = events.lines().filter(|line| line.contains("api_key_reported")).collect::<Vec<_>>();
    assert!(reported.len() == 2 && reported.iter().any(|line| line.contains(&id)), "{reported:#?}");

    let many: Vec<_> = (0..101).map(|_| json!({"token": "x"})).collect();
    for wrong in [json!(many), json!("x"), json!([{"key": "x"}]), json!({}), json!([1])] {
        assert_json_error(&report(&stage, &wrong).await, 400, "invalid_request");
    }
    for _ in 0..60 {
        report(&stage, &json!([])).await;
    }
    assert_json_error(&report(&stage, &json!([{"token": safe}])).await, 429, "too_many_requests");
    assert!(is_good(&stage, &safe).await);
    stage.close().await;
}

// AK-04: the text of a key is nowhere but in the answer that made it.
#[tokio::test]
async fn a_key_is_shown_once() {
    let stage = Stage::start(Store::Sqlite).await;
    let (id, key) = full(&stage);
    let admin = e2e::admin::Admin::with(&stage.house, &["*"]);
    let rest = &key["ak_live_1234".len()..];
    let shown = admin.get(&format!("/api-keys/{id}")).await;
    assert_eq!(shown.expect(200)["state"], "active");
    let listed = admin.get("/api-keys").await;
    for text in [&shown.body, &listed.body, &stage.house.cli(&["key", "list", "--json"], "").ok()] {
        assert!(!text.contains(rest) && text.contains(&key[..12]), "{text}");
    }
    assert!(is_good(&stage, &key).await);
    assert!(!stage.house.logs().contains(rest));
    stage.close().await;
}

// AK-05, AK-06: a key is no way to another one, nor to anything else of this server.
#[tokio::test]
async fn a_key_opens_nothing_at_the_authorization_server_itself() {
    let stage = Stage::start(Store::Sqlite).await;
    let (_, key) = full(&stage);
    let more = json!({"user": "alice@example.test", "name": "More", "full": true, "expires": "never"});
    let api = stage.at("/admin/api/v1/api-keys");
    for request in [
        http().post(&api).json(&more),
        http().post(&api).bearer_auth(&key).json(&more),
        http().get(&api).bearer_auth(&key),
        http().get(stage.at("/oauth2/userinfo")).bearer_auth(&key),
    ] {
        assert_eq!(Answer::to(request).await.status, 401);
    }
    let page = http().post(stage.at("/account/keys")).bearer_auth(&key);
    let page = Answer::to(page.form(&[
        ("name", "More"),
        ("kind", "full"),
        ("expires", "never"),
        ("userId", "usr_1"),
    ]))
    .await;
    assert_eq!(page.status, 403, "{page:#?}");
    let stolen = http()
        .get(stage.at("/account/keys"))
        .header("cookie", format!("session={key}; __Host-session={key}"));
    assert_eq!(Answer::to(stolen).await.status, 303, "to the sign-in page");
    // An administrator's key without the permission makes none either.
    let reader = e2e::admin::Admin::with(&stage.house, &["api-keys:read"]);
    assert_eq!(reader.send("POST", "/api-keys", &more).await.status, 403);
    assert_eq!(stage.house.cli(&["key", "list", "--json"], "").json().as_array().map(Vec::len), Some(1));
    stage.close().await;
}

// AK-07: what is over is over on every replica.
#[tokio::test]
async fn a_key_that_is_over_is_over_on_every_replica_at_once() {
    let cluster = Cluster::start(3).await;
    let stage = &cluster.stage;
    let (id, secret) = stage.house.resource_credentials();
    let everywhere = async |key: &str| {
        let mut good = Vec::new();
        for origin in &cluster.origins {
            good.push(introspect_at(origin, (&id, &secret), key).await["active"] == true);
        }
        good
    };
    let ((revoked_id, revoked), (_, owned)) = (full(stage), full(stage));
    for key in [&revoked, &owned] {
        assert_eq!(everywhere(key).await, [true; 3]);
    }
    stage.house.cli(&["key", "revoke", &revoked_id], "").ok();
    assert_eq!(everywhere(&revoked).await, [false; 3]);
    assert_eq!(everywhere(&owned).await, [true; 3]);
    stage.house.cli(&["user", "disable", "alice@example.test"], "").ok();
    assert_eq!(everywhere(&owned).await, [false; 3]);
    stage.house.cli(&["user", "enable", "alice@example.test"], "").ok();
    assert_eq!(everywhere(&owned).await, [false; 3], "nothing comes back with the account");
    assert_quiet(&stage.house, |status| status < 500);
}
