//! AD-10: every deed of an administrator leaves a line, whatever door it came through, and no line holds a secret.

use std::collections::BTreeMap;

use e2e::admin::{Admin, expect_problem, make_administrator, make_key};
use e2e::client::{decode, text};
use e2e::house::{House, Store};
use e2e::session::Session;
use serde_json::{Value, json};

e2e::on_both_stores!(
    each_deed_leaves_one_line_that_says_who_what_and_to_what,
    the_trail_is_filtered_and_checked
);

/// The lines of one action about one object.
async fn lines(audit: &Admin, action: &str, object: &str) -> Vec<Value> {
    let object: String = url::form_urlencoded::byte_serialize(object.as_bytes()).collect();
    audit.all(&format!("/audit?action={action}&object={object}"), 50).await
}

async fn each_deed_leaves_one_line_that_says_who_what_and_to_what(store: Store) {
    let house = House::start(store).await;
    let audit = Admin::with(&house, &["audit:read"]);
    let (key_id, secret) = make_key(&house, &["*"]);
    let key = Admin::with_key(&house, &secret);
    let mut session = Session::begin(&house, &["destroy"]).await;
    let grant = text(&decode(&session.tokens.access).1["sid"]);

    let password = e2e::fresh();
    let new = json!({"email": "bob@example.test", "password": password, "groups": ["staff"]});
    let user = text(&key.send("POST", "/users", &new).await.expect(201)["id"]);
    let new = json!({
        "client_name": "Report", "redirect_uris": ["https://app.test/cb"],
        "token_endpoint_auth_method": "client_secret_basic",
    });
    let made = key.send("POST", "/clients", &new).await.expect(201);
    let (client, client_secret) = (text(&made["client_id"]), text(&made["client_secret"]));
    let address = "https://wiki.test/mcp";
    let made =
        key.send("POST", "/resources", &json!({"resource": address, "name": "Wiki"})).await.expect(201);
    let (resource, resource_secret) = (text(&made["client_id"]), text(&made["client_secret"]));
    let asked = json!({"name": "Child", "permissions": ["grants:read"], "expires": "7d"});
    // Otherwise its maker would end a moment before it.
    house.alter("update admin_keys set expires_at = expires_at + 3600");
    let made = key.send("POST", "/admin-keys", &asked).await.expect(201);
    let (child, child_secret) = (text(&made["id"]), text(&made["secret"]));
    let before = text(&key.get("/status").await.expect(200)["signing_key"]);
    let rotated = text(&key.post("/keys/rotate").await.expect(200)["active"]["kid"]);
    session.refresh().await;

    for path in [format!("/users/{user}"), format!("/clients/{client}"), format!("/resources/{resource}")] {
        key.post(&format!("{path}/disable")).await.expect(200);
        key.post(&format!("{path}/enable")).await.expect(200);
    }
    let narrowed = key.send("PATCH", &format!("/grants/{grant}"), &json!({"tier": "read"})).await;
    narrowed.expect(200);
    assert_eq!(key.delete(&format!("/grants/{grant}")).await.status, 204);
    key.send("POST", "/grants/revoke", &json!({"client": client})).await.expect(200);
    assert_eq!(key.delete(&format!("/clients/{client}")).await.status, 204);
    assert_eq!(key.delete(&format!("/resources/{resource}")).await.status, 204);
    assert_eq!(key.delete(&format!("/admin-keys/{child}")).await.status, 204);
    key.post(&format!("/keys/{before}/revoke")).await.expect(200);

    let done = [
        ("user_created", user.as_str()),
        ("user_disabled", &user),
        ("user_enabled", &user),
        ("client_created", &client),
        ("client_disabled", &client),
        ("client_enabled", &client),
        ("client_deleted", &client),
        ("resource_added", address),
        ("resource_disabled", address),
        ("resource_enabled", address),
        ("resource_removed", address),
        ("grant_narrowed", &grant),
        ("grant_revoked", &grant),
        ("grants_revoked", &client),
        ("admin_key_created", &child),
        ("admin_key_revoked", &child),
        ("key_activated", &rotated),
        ("key_revoked", &before),
    ];
    for (action, object) in done {
        let found = lines(&audit, action, object).await;
        assert_eq!(found.len(), 1, "{action} {object}: {found:#?}");
        let line = &found[0];
        assert_eq!((&line["actor_kind"], &line["actor"]), (&json!("admin_key"), &json!(key_id)), "{line:#}");
        let from = line["address"].as_str().expect("an address");
        assert!(["127.0.0.1", "::1"].contains(&from), "{line:#}");
    }
    let narrowed = &lines(&audit, "grant_narrowed", &grant).await[0]["detail"];
    assert_eq!(narrowed["permissions"], "artifacts:read");
    assert!(
        narrowed["before"].as_str().is_some_and(|before| before.contains("artifacts:delete")),
        "{narrowed}"
    );

    // The same by command: then it is the operator.
    house.cli(&["user", "disable", "bob@example.test"], "").ok();
    let by = lines(&audit, "user_disabled", &user).await;
    let operator = by.iter().filter(|line| line["actor_kind"] == "operator").count();
    assert_eq!((by.len(), operator), (2, 1), "{by:#?}");
    // And by an administrator at a browser.
    let boss = make_administrator(&house, "boss@example.test");
    let browser = Admin::at_browser(&house, &boss).await;
    browser.post(&format!("/users/{user}/enable")).await.expect(200);
    let by = lines(&audit, "user_enabled", &user).await;
    assert!(by.iter().any(|line| line["actor_kind"] == "user" && line["actor"] != user.as_str()), "{by:#?}");

    let trail = house.cli(&["audit", "export"], "").ok();
    for secret in [
        &secret,
        &child_secret,
        &client_secret,
        &resource_secret,
        &password,
        &boss.password,
        &session.tokens.refresh,
    ] {
        assert!(!trail.contains(secret.as_str()), "a secret is in the audit trail");
    }
    for kind in ["dwa_", "dws_", "dwr_", "dwc_", "dwi_", "eyJhbGci", "$argon2"] {
        assert!(!trail.contains(kind), "something like a secret is in the audit trail: {kind}");
    }
}

async fn the_trail_is_filtered_and_checked(store: Store) {
    let house = House::start(store).await;
    let audit = Admin::with(&house, &["audit:read"]);
    Session::begin(&house, &["read"]).await;
    house.user("bob@example.test");
    let all = audit.all("/audit", 3).await;
    assert!(all.len() >= 6, "{all:#?}");
    assert!(all.is_sorted_by(|a, b| text(&a["id"]) > text(&b["id"])), "newest first");
    let mut actions: BTreeMap<String, usize> = BTreeMap::new();
    for line in &all {
        *actions.entry(text(&line["action"])).or_default() += 1;
    }
    for (action, count) in &actions {
        assert_eq!(audit.all(&format!("/audit?action={action}"), 50).await.len(), *count, "{action}");
    }
    let alice = all.iter().find(|line| line["action"] == "signed_in").expect("a sign-in");
    let alices = audit.all(&format!("/audit?actor={}", text(&alice["actor"])), 50).await;
    assert!(alices.len() >= 2 && alices.iter().all(|line| line["actor"] == alice["actor"]), "{alices:#?}");
    let at = alice["at"].as_i64().expect("a time");
    let count = async |query: String| audit.all(&format!("/audit?{query}"), 50).await.len();
    let (before, after) = (count(format!("to={at}")).await, count(format!("from={at}")).await);
    assert_eq!(before + after, all.len());
    assert_eq!(count(format!("from={}", at + 3600)).await, 0);
    for wrong in ["action=everything", "from=yesterday", "from=-1", "to=99999999999999", "sequence=1"] {
        expect_problem(&audit.get(&format!("/audit?{wrong}")).await, 400, "invalid_request");
    }

    let found = audit.get("/audit/verify").await.expect(200);
    assert_eq!((&found["whole"], &found["broken"]), (&json!(true), &Value::Null));
    assert_eq!(found["events"].as_u64(), Some(all.len() as u64));
    let listed = audit.all("/audit", 50).await;
    assert!(listed.iter().all(|line| line["sequence"].is_i64() && line["hash"].is_string()), "{listed:#?}");
    let exported = house.cli(&["audit", "export"], "").ok();
    let exported: Vec<Value> =
        exported.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let find = |id: &Value| exported.iter().find(|line| line["id"] == *id);
    assert!(listed.iter().all(|line| find(&line["id"]) == Some(line)), "the command says the same");

    house.alter("update audit_events set object = 'usr_somebody' where sequence = 2");
    let found = audit.get("/audit/verify").await.expect(200);
    assert_eq!(found["whole"], false);
    assert!(found["broken"].as_str().is_some_and(|text| text.contains("event 2 ")), "{found:#}");
}
