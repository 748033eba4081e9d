//! Keys for the admin API: shown once, bounded by their maker, gone with their maker.

use e2e::admin::{Admin, expect_problem, make_key};
use e2e::client::text;
use e2e::house::{House, Plan, Store};
use serde_json::{Value, json};

e2e::on_both_stores!(a_key_makes_smaller_keys_that_end_with_it);

async fn make(admin: &Admin, permissions: &[&str], expires: &str) -> e2e::answer::Answer {
    let asked = json!({"name": "Made by a key", "permissions": permissions, "expires": expires});
    admin.send("POST", "/admin-keys", &asked).await
}

async fn a_key_makes_smaller_keys_that_end_with_it(store: Store) {
    let house = House::build(Plan::on(store).without_artifacts()).await;
    let (id, secret) = make_key(&house, &["admin-keys:read", "admin-keys:write", "users:read"]);
    let maker = Admin::with_key(&house, &secret);
    for (permissions, expires) in [
        (&["*"][..], "7d"),
        (&["*:read"], "7d"),
        (&["users:write"], "7d"),
        (&["users:read", "users:write"], "7d"),
        (&["users:read"], "30d"),
        (&["users:read"], "never"),
    ] {
        let answer = make(&maker, permissions, expires).await;
        expect_problem(&answer, 403, "permission_missing");
    }
    // Its own end is seven days after it was made, and a second may have passed.
    house.alter("update admin_keys set expires_at = expires_at + 3600");
    let made = make(&maker, &["users:read", "admin-keys:write"], "7d").await.expect(201);
    let child = Admin::with_key(&house, &text(&made["secret"]));
    child.get("/users").await.expect(200);
    expect_problem(&child.get("/admin-keys").await, 403, "permission_missing");
    house.alter("update admin_keys set expires_at = expires_at + 3600");
    let grandchild = make(&child, &["users:read"], "7d").await.expect(201);
    let grandchild = Admin::with_key(&house, &text(&grandchild["secret"]));
    grandchild.get("/users").await.expect(200);

    let keys = maker.all("/admin-keys", 1).await;
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| key["state"] == "active" && key.get("secret").is_none()), "{keys:#?}");
    let made_by = |key: &Value| keys.iter().filter(|other| other["created_by"] == key["id"]).count();
    let root = keys.iter().find(|key| key["id"] == id.as_str()).expect("the first key");
    assert_eq!((&root["created_by"], made_by(root)), (&Value::Null, 1));
    assert_eq!(maker.delete(&format!("/admin-keys/{id}")).await.status, 204);
    for key in [&maker, &child, &grandchild] {
        expect_problem(&key.get("/users").await, 401, "unauthorized");
    }
    let listed = house.cli(&["admin", "key", "list", "--json"], "").json();
    for key in listed.as_array().expect("a list") {
        assert_eq!(key["state"], if key["id"] == id.as_str() { "revoked" } else { "orphaned" }, "{key:#}");
    }
    assert!(!house.logs().contains("dwa_"), "a key is in the log");
}

#[tokio::test]
async fn a_key_for_accounts_makes_no_administrator() {
    let house = House::build(Plan::on(Store::Sqlite).without_artifacts()).await;
    let user = |email: &str, admin: bool| json!({"email": email, "password": e2e::fresh(), "admin": admin});
    for permissions in [&["users:write"][..], &["*:write", "*:read"]] {
        let key = Admin::with(&house, permissions);
        let answer = key.send("POST", "/users", &user("mallory@example.test", true)).await;
        expect_problem(&answer, 403, "permission_missing");
    }
    let key = Admin::with(&house, &["*"]);
    let made = key.send("POST", "/users", &user("boss@example.test", true)).await.expect(201);
    assert_eq!((&made["admin"], made.get("password")), (&json!(true), None));
    let made =
        Admin::with(&house, &["users:write"]).send("POST", "/users", &user("bob@example.test", false)).await;
    assert_eq!(made.expect(201)["admin"], false);
}

#[tokio::test]
async fn a_key_is_made_listed_and_revoked_by_command() {
    let house = House::build(Plan::on(Store::Sqlite).without_artifacts()).await;
    let create = [
        "admin",
        "key",
        "create",
        "--name",
        "Nightly",
        "--permission",
        "grants:read",
        "--permission",
        "grants:read",
    ];
    let shown = house.cli(&create, "");
    assert_eq!(shown.code, 0, "{shown:#?}");
    assert!(shown.stdout.contains("secret: dwa_") && shown.stdout.contains("not shown again"), "{shown:#?}");
    let listed = house.cli(&["admin", "key", "list", "--json"], "").json();
    let key = &listed[0];
    assert_eq!((&key["name"], &key["permissions"]), (&json!("Nightly"), &json!(["grants:read"])));
    let days =
        (key["expires_at"].as_i64().expect("an end") - key["created_at"].as_i64().expect("a time")) / 86_400;
    assert_eq!(days, 90, "a key ends by itself unless somebody says otherwise");
    let id = text(&key["id"]);
    for _ in 0..2 {
        let revoked = house.cli(&["admin", "key", "revoke", &id, "--json"], "").json();
        assert_eq!(revoked, json!({"id": id, "revoked": true}));
    }
    let unknown = house.cli(&["admin", "key", "revoke", "adk_x"], "");
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("admin key list"), "{unknown:#?}");
}
