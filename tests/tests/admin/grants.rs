//! What is revoked or narrowed is so at once.

use e2e::admin::{Admin, expect_problem};
use e2e::answer::Answer;
use e2e::client::{Tokens, decode, text};
use e2e::house::{House, Store};
use e2e::session::Session;
use serde_json::{Value, json};

e2e::on_both_stores!(
    a_grant_is_seen_with_its_last_use_and_ends_at_once,
    many_grants_end_together_and_others_go_on,
    a_narrowed_grant_gives_less_from_the_next_refresh_on,
    whoever_is_disabled_gets_nothing_and_enabling_revives_nothing,
    the_commands_do_what_the_api_does,
);

/// The grant of a session, as the administrator sees it.
async fn grant(admin: &Admin, session: &Session) -> Value {
    let (_, claims) = decode(&session.tokens.access);
    admin.get(&format!("/grants/{}", text(&claims["sid"]))).await.expect(200)
}

async fn assert_over(session: &Session) {
    session.client.refresh(&session.tokens.refresh).await.expect_error(400, "invalid_grant");
    let asked = e2e::process::client().get(session.client.discovery.endpoint("userinfo_endpoint"));
    let answer = Answer::to(asked.bearer_auth(&session.tokens.access)).await;
    assert_eq!(answer.status, 401, "{answer:#?}");
}

async fn a_grant_is_seen_with_its_last_use_and_ends_at_once(store: Store) {
    let house = House::start(store).await;
    let admin = Admin::with(&house, &["grants:read", "grants:write"]);
    let mut session = Session::begin(&house, &["write"]).await;
    session.refresh().await;
    let seen = grant(&admin, &session).await;
    assert_eq!(seen["email"], house.alice().email);
    assert_eq!(seen["client_id"], session.client.client_id);
    assert_eq!(seen["resource"], house.mcp_url());
    assert_eq!(seen["permissions"], json!(["artifacts:create", "artifacts:read", "artifacts:update"]));
    assert_eq!((seen["method"].as_str(), seen["state"].as_str()), (Some("dcr"), Some("active")));
    assert!(seen["last_used_at"].as_i64() >= seen["created_at"].as_i64(), "{seen:#}");
    assert!(
        ["127.0.0.1", "::1"].contains(&seen["last_used_address"].as_str().expect("an address")),
        "{seen:#}"
    );
    assert!(seen["expires_at"].as_i64() > seen["created_at"].as_i64() && seen["ended_at"].is_null());

    let path = format!("/grants/{}", text(&seen["id"]));
    let answer = admin.delete(&path).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{answer:#?}");
    assert_over(&session).await;
    let over = grant(&admin, &session).await;
    assert_eq!(
        (over["state"].as_str(), over["end_reason"].as_str()),
        (Some("ended"), Some("revoked_by_administrator"))
    );
    assert_eq!(admin.delete(&path).await.status, 204, "a second time is as good as the first");
    let narrowed = admin.send("PATCH", &path, &json!({"tier": "read"})).await;
    expect_problem(&narrowed, 409, "conflict");
    for path in ["/grants/grt_nothing", "/grants/x", "/grants/usr_01J00000000000000000000000"] {
        expect_problem(&admin.get(path).await, 404, "not_found");
        expect_problem(&admin.delete(path).await, 404, "not_found");
    }
}

async fn many_grants_end_together_and_others_go_on(store: Store) {
    let house = House::start(store).await;
    let admin = Admin::with(&house, &["*"]);
    let bob = house.user("bob@example.test");
    let revoke = async |whose: Value| admin.send("POST", "/grants/revoke", &whose).await;
    let count = async |whose: Value| revoke(whose).await.expect(200)["revoked"].as_u64();

    let alices = Session::begin(&house, &["read"]).await;
    let same_client = Session::of(alices.client.clone(), &bob, &["read"]).await;
    let bobs = Session::of(Session::begin(&house, &["read"]).await.client, &bob, &["read"]).await;

    assert_eq!(count(json!({"user": house.alice().email})).await, Some(2));
    assert_over(&alices).await;
    let mut same_client = same_client;
    same_client.refresh().await;

    assert_eq!(count(json!({"client": alices.client.client_id})).await, Some(1));
    assert_over(&same_client).await;
    let mut bobs = bobs;
    bobs.refresh().await;

    let users = admin.all("/users", 200).await;
    let organization = users.iter().find(|user| user["email"] == bob.email.as_str()).expect("bob");
    assert_eq!(count(json!({"organization": organization["organization"]})).await, Some(1));
    assert_over(&bobs).await;

    let again = Session::begin(&house, &["read"]).await;
    assert_eq!(count(json!({"resource": house.mcp_url()})).await, Some(1));
    assert_over(&again).await;
    let last = Session::begin(&house, &["read"]).await;
    assert_eq!(count(json!({"everything": true})).await, Some(1));
    assert_over(&last).await;
    // Nothing is barred by it: whoever is asked again may allow again.
    Session::begin(&house, &["read"]).await.refresh().await;

    for nonsense in [
        json!({}),
        json!({"everything": false}),
        json!({"everything": true, "user": "alice@example.test"}),
        json!({"user": "alice@example.test", "client": "x"}),
        json!({"user": null}),
        json!({"user": "nobody@example.test"}),
        json!({"client": "nobody"}),
        json!({"resource": "https://nobody.test/"}),
        json!({"organization": "x"}),
        json!({"everybody": true}),
    ] {
        expect_problem(&revoke(nonsense).await, 400, "invalid_request");
    }
}

async fn a_narrowed_grant_gives_less_from_the_next_refresh_on(store: Store) {
    let house = House::start(store).await;
    let admin = Admin::with(&house, &["grants:read", "grants:write"]);
    let mut session = Session::begin(&house, &["destroy"]).await;
    assert_eq!(session.mcp(&house).await.tools().await.len(), 11);
    let seen = grant(&admin, &session).await;
    let path = format!("/grants/{}", text(&seen["id"]));

    let narrowed = admin.send("PATCH", &path, &json!({"tier": "write"})).await.expect(200);
    assert_eq!(narrowed["permissions"], json!(["artifacts:create", "artifacts:read", "artifacts:update"]));
    session.refresh().await;
    assert_eq!(session.mcp(&house).await.tools().await.len(), 8);

    let end = seen["expires_at"].as_i64().expect("a time") - 3600;
    let rest = json!({"permissions": ["artifacts:read"], "expires_at": end});
    let narrowed = admin.send("PATCH", &path, &rest).await.expect(200);
    assert_eq!(
        (&narrowed["permissions"], narrowed["expires_at"].as_i64()),
        (&json!(["artifacts:read"]), Some(end))
    );
    session.refresh().await;
    assert_eq!(session.tokens.permissions(), ["artifacts:read"]);
    assert_eq!(session.mcp(&house).await.tools().await.len(), 5);

    for wider in [
        json!({"tier": "read", "permissions": ["artifacts:read"]}),
        json!({"permissions": ["artifacts:read", "artifacts:delete"]}),
        json!({"permissions": []}),
        json!({"tier": "everything"}),
        json!({"expires_at": end + 1}),
        json!({"expires_at": 1}),
        json!({"expires_at": "tomorrow"}),
        json!({"tier": "read"}),
        json!({}),
        json!({"ended": true}),
    ] {
        let answer = admin.send("PATCH", &path, &wider).await;
        assert!([400, 409].contains(&answer.status), "{wider}: {answer:#?}");
    }
    let mut session = session;
    session.refresh().await;
    assert_eq!(session.tokens.permissions(), ["artifacts:read"], "what was refused changed nothing");
}

async fn whoever_is_disabled_gets_nothing_and_enabling_revives_nothing(store: Store) {
    let house = House::start(store).await;
    let admin = Admin::with(&house, &["*"]);
    let encoded: String = url::form_urlencoded::byte_serialize(house.mcp_url().as_bytes()).collect();
    let resources = admin.all("/resources", 50).await;
    let mut paths = vec![format!("/users/{}", house.alice().email)];
    paths.push(format!("/resources/{encoded}"));
    paths.push(format!("/resources/{}", text(&resources[0]["client_id"])));
    let client = Session::begin(&house, &["read"]).await.client;
    paths.push(format!("/clients/{}", client.client_id));
    for path in paths {
        let session = Session::of(client.clone(), house.alice(), &["read"]).await;
        let disabled = admin.post(&format!("{path}/disable")).await.expect(200);
        assert_eq!(disabled["disabled"], true, "{path}");
        let answer = session.client.refresh(&session.tokens.refresh).await;
        assert!([400, 401].contains(&answer.status), "{path}: {answer:#?}");
        let enabled = admin.post(&format!("{path}/enable")).await.expect(200);
        assert_eq!(enabled["disabled"], false, "{path}");
        assert_over(&session).await;
        let mut again = Session::of(client.clone(), house.alice(), &["read"]).await;
        again.refresh().await;
    }
}

async fn the_commands_do_what_the_api_does(store: Store) {
    let house = House::start(store).await;
    let mut session = Session::begin(&house, &["destroy"]).await;
    let (_, claims) = decode(&session.tokens.access);
    let id = text(&claims["sid"]);
    let run = |arguments: &[&str]| house.cli(&[arguments, &["--json"]].concat(), "");
    let shown = run(&["grant", "show", &id]).json();
    assert_eq!(shown, run(&["grant", "list", "--user", &house.alice().email]).json()[0]);
    assert_eq!(shown, grant(&Admin::with(&house, &["grants:read"]), &session).await);

    let narrowed = run(&["grant", "narrow", &id, "--tier", "read"]).json();
    assert_eq!(narrowed["permissions"], json!(["artifacts:read"]));
    session.tokens = Tokens::read(&session.client.refresh(&session.tokens.refresh).await);
    assert_eq!(session.tokens.permissions(), ["artifacts:read"]);
    let wider = house.cli(&["grant", "narrow", &id, "--tier", "write"], "");
    assert_eq!((wider.code, wider.stdout.as_str()), (1, ""), "{wider:#?}");

    assert_eq!(run(&["grant", "revoke", &id]).json(), json!({"id": id, "revoked": true}));
    assert_over(&session).await;
    assert_eq!(run(&["grant", "revoke", &id]).json()["revoked"], true);
    let mut other = Session::begin(&house, &["read"]).await;
    assert_eq!(run(&["grant", "revoke", "--user", &house.alice().email]).json(), json!({"revoked": 1}));
    assert_over(&other).await;
    other = Session::of(other.client.clone(), house.alice(), &["read"]).await;
    assert_eq!(run(&["client", "disable", &other.client.client_id]).json()["disabled"], true);
    assert_eq!(other.client.refresh(&other.tokens.refresh).await.status, 401);
    assert_eq!(run(&["client", "enable", &other.client.client_id]).json()["disabled"], false);
    assert_over(&other).await;
}
