//! Who may do what: every route by everybody. A new route without a row here fails.

use std::collections::BTreeSet;

use e2e::admin::{Admin, expect_problem, make_administrator, make_key};
use e2e::house::{House, Plan, Store};
use serde_json::{Value, json};

/// Whether an administrator at a browser must have signed in within the last five minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignIn {
    Any,
    Fresh,
}
use SignIn::{Any, Fresh};

/// Method, path, permission, sign-in. `""`: every key may.
type Row = (&'static str, &'static str, &'static str, SignIn);

const ROWS: &[Row] = &[
    ("GET", "/openapi.json", "", Any),
    ("GET", "/status", "status:read", Any),
    ("GET", "/grants", "grants:read", Any),
    ("GET", "/grants/{id}", "grants:read", Any),
    ("PATCH", "/grants/{id}", "grants:write", Any),
    ("DELETE", "/grants/{id}", "grants:write", Any),
    ("POST", "/grants/revoke", "grants:write", Fresh),
    ("GET", "/users", "users:read", Any),
    ("POST", "/users", "users:write", Fresh),
    ("POST", "/users/invite", "users:write", Fresh),
    ("GET", "/users/{id}", "users:read", Any),
    ("POST", "/users/{id}/reset", "users:write", Fresh),
    ("DELETE", "/users/{id}/second-factor", "users:write", Fresh),
    ("GET", "/users/{id}/passkeys", "users:read", Any),
    ("DELETE", "/passkeys/{id}", "users:write", Fresh),
    ("DELETE", "/users/{id}/sessions", "sessions:write", Any),
    ("POST", "/users/{id}/disable", "users:write", Fresh),
    ("POST", "/users/{id}/enable", "users:write", Fresh),
    ("GET", "/identities", "users:read", Any),
    ("DELETE", "/identities/{id}", "users:write", Any),
    ("GET", "/sessions", "sessions:read", Any),
    ("DELETE", "/sessions/{id}", "sessions:write", Any),
    ("GET", "/clients", "clients:read", Any),
    ("POST", "/clients", "clients:write", Any),
    ("GET", "/clients/{id}", "clients:read", Any),
    ("PATCH", "/clients/{id}", "clients:write", Fresh),
    ("DELETE", "/clients/{id}", "clients:write", Fresh),
    ("POST", "/clients/{id}/disable", "clients:write", Any),
    ("POST", "/clients/{id}/enable", "clients:write", Any),
    ("POST", "/clients/{id}/secret", "clients:write", Fresh),
    ("DELETE", "/clients/{id}/former-secret", "clients:write", Any),
    ("GET", "/resources", "resources:read", Any),
    ("POST", "/resources", "resources:write", Any),
    ("GET", "/resources/{id}", "resources:read", Any),
    ("DELETE", "/resources/{id}", "resources:write", Fresh),
    ("POST", "/resources/{id}/secret", "resources:write", Fresh),
    ("DELETE", "/resources/{id}/former-secret", "resources:write", Any),
    ("POST", "/resources/{id}/disable", "resources:write", Any),
    ("POST", "/resources/{id}/enable", "resources:write", Any),
    ("PATCH", "/resources/{id}", "resources:write", Fresh),
    ("PATCH", "/users/{id}", "users:write", Fresh),
    ("GET", "/organizations", "organizations:read", Any),
    ("POST", "/organizations", "organizations:write", Any),
    ("GET", "/organizations/{id}/nodes", "organizations:read", Any),
    ("POST", "/organizations/{id}/nodes", "organizations:write", Any),
    ("POST", "/organizations/{id}/nodes/remove", "organizations:write", Fresh),
    ("GET", "/access", "entitlements:read", Any),
    ("GET", "/mappings", "entitlements:read", Any),
    ("POST", "/mappings", "entitlements:write", Fresh),
    ("GET", "/entitlements", "entitlements:read", Any),
    ("POST", "/entitlements", "entitlements:write", Fresh),
    ("GET", "/entitlements/{id}", "entitlements:read", Any),
    ("DELETE", "/entitlements/{id}", "entitlements:write", Any),
    ("POST", "/entitlements/{id}/disable", "entitlements:write", Any),
    ("POST", "/entitlements/{id}/enable", "entitlements:write", Fresh),
    ("GET", "/api-keys", "api-keys:read", Any),
    ("POST", "/api-keys", "api-keys:write", Fresh),
    ("GET", "/api-keys/{id}", "api-keys:read", Any),
    ("DELETE", "/api-keys/{id}", "api-keys:write", Any),
    ("GET", "/keys", "keys:read", Any),
    ("POST", "/keys/rotate", "keys:write", Fresh),
    ("POST", "/keys/{id}/revoke", "keys:write", Fresh),
    ("GET", "/audit", "audit:read", Any),
    ("GET", "/audit/verify", "audit:read", Any),
    ("GET", "/admin-keys", "admin-keys:read", Any),
    ("POST", "/admin-keys", "admin-keys:write", Fresh),
    ("DELETE", "/admin-keys/{id}", "admin-keys:write", Fresh),
];

/// Every permission that names one noun.
const PERMISSIONS: &[&str] = &[
    "grants:read",
    "grants:write",
    "users:read",
    "users:write",
    "sessions:read",
    "sessions:write",
    "clients:read",
    "clients:write",
    "resources:read",
    "resources:write",
    "organizations:read",
    "organizations:write",
    "entitlements:read",
    "entitlements:write",
    "keys:read",
    "keys:write",
    "audit:read",
    "admin-keys:read",
    "admin-keys:write",
    "api-keys:read",
    "api-keys:write",
    "status:read",
];

/// Calls a route for a thing that is not there.
async fn call(admin: &Admin, (method, path, ..): Row) -> e2e::answer::Answer {
    admin.send(method, &path.replace("{id}", "nothing"), &json!({})).await
}

/// Fails unless the call was let in: what came of it is another matter.
async fn assert_admitted(admin: &Admin, row: Row, who: &str) {
    let answer = call(admin, row).await;
    assert!(![401, 403, 405, 500].contains(&answer.status), "{who}: {row:?}: {answer:#?}");
}

async fn assert_refused(admin: &Admin, row: Row, who: &str, status: u16, code: &str) {
    let answer = call(admin, row).await;
    assert!(answer.status == status, "{who}: {row:?}: {answer:#?}");
    let detail = expect_problem(&answer, status, code);
    assert!(detail.len() > 20, "{who}: {row:?} says what to do: {detail}");
    let challenged = answer.headers.contains_key("www-authenticate");
    assert_eq!(challenged, status == 401, "{who}: {row:?}: {answer:#?}");
}

async fn house() -> House {
    House::build(Plan::on(Store::Sqlite).without_artifacts()).await
}

#[tokio::test]
async fn the_matrix_has_every_route_of_the_description_and_no_other() {
    let house = house().await;
    let description = Admin::with(&house, &["audit:read"]).get("/openapi.json").await.expect(200);
    let mut described = BTreeSet::new();
    for (path, item) in description["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let permission = operation["x-permission"].as_str().unwrap_or_default().to_owned();
            let fresh = operation["x-fresh-sign-in"] == Value::Bool(true);
            described.insert((method.to_uppercase(), path.clone(), permission, fresh));
        }
    }
    let rows: BTreeSet<_> = ROWS
        .iter()
        .map(|(method, path, permission, sign_in)| {
            ((*method).to_owned(), (*path).to_owned(), (*permission).to_owned(), *sign_in == Fresh)
        })
        .collect();
    assert_eq!(described, rows);
}

#[tokio::test]
async fn a_key_opens_what_it_was_made_for_and_nothing_else() {
    let house = house().await;
    for &row in ROWS {
        let (_, _, permission, _) = row;
        if permission.is_empty() {
            assert_admitted(&Admin::with(&house, &["status:read"]), row, "any key").await;
            continue;
        }
        assert_admitted(&Admin::with(&house, &[permission]), row, "a key with the permission").await;
        let others: Vec<_> = PERMISSIONS.iter().copied().filter(|other| *other != permission).collect();
        let without = Admin::with(&house, &others);
        assert_refused(&without, row, "a key with every other permission", 403, "permission_missing").await;
        let verb = if permission.ends_with(":read") { "*:read" } else { "*:write" };
        assert_admitted(&Admin::with(&house, &[verb]), row, verb).await;
        assert_admitted(&Admin::with(&house, &["*"]), row, "*").await;
    }
}

#[tokio::test]
async fn nobody_and_whoever_lost_their_right_is_turned_away_from_every_route() {
    let house = house().await;
    let (revoked, secret) = make_key(&house, &["*"]);
    let revoked_key = Admin::with_key(&house, &secret);
    house.cli(&["admin", "key", "revoke", &revoked], "").ok();
    let (expired, secret) = make_key(&house, &["*"]);
    let expired_key = Admin::with_key(&house, &secret);
    house.alter(&format!("update admin_keys set expires_at = 1 where id = '{expired}'"));

    // A key is worth no more than the administrator who made it.
    let gone = make_administrator(&house, "gone@example.test");
    let disabled = Admin::at_browser(&house, &gone).await;
    let asked = json!({"name": "Theirs", "permissions": ["*"], "expires": "7d"});
    let made = disabled.send("POST", "/admin-keys", &asked).await.expect(201);
    let their_key = Admin::with_key(&house, made["secret"].as_str().expect("a secret"));
    assert_admitted(&their_key, ROWS[1], "the key of an administrator").await;
    house.cli(&["user", "disable", &gone.email], "").ok();

    let unknown = format!("dwa_{}", e2e::fresh());
    let twice = Admin::with(&house, &["*"]).header("authorization", "Bearer x");
    let nobody = Admin::nobody(&house);
    for (who, admin) in [
        ("nobody", &nobody),
        ("a revoked key", &revoked_key),
        ("an expired key", &expired_key),
        ("a disabled administrator", &disabled),
        ("a key of a disabled administrator", &their_key),
        ("a key that never was", &Admin::with_key(&house, &unknown)),
        ("no key at all", &Admin::with_key(&house, "")),
        ("another scheme", &nobody.clone().header("authorization", "Basic eDp5")),
        ("two stories", &twice),
    ] {
        for &row in ROWS {
            assert_refused(admin, row, who, 401, "unauthorized").await;
        }
        // Nor does anybody learn what there is.
        for (method, path) in
            [("GET", ""), ("GET", "/"), ("GET", "/nothing"), ("PUT", "/users"), ("OPTIONS", "/users")]
        {
            let answer = admin.send(method, path, &json!({})).await;
            expect_problem(&answer, 401, "unauthorized");
            assert!(!answer.headers.contains_key("access-control-allow-origin"), "{answer:#?}");
        }
    }
}

#[tokio::test]
async fn a_person_is_no_administrator_and_an_administrator_may_all() {
    let house = house().await;
    let person = Admin::at_browser(&house, house.alice()).await;
    for &row in ROWS {
        assert_refused(&person, row, "a person", 403, "not_an_administrator").await;
    }
    let boss = make_administrator(&house, "boss@example.test");
    let administrator = Admin::at_browser(&house, &boss).await;
    for &row in ROWS {
        assert_admitted(&administrator, row, "an administrator").await;
    }
    // The same sign-in, five minutes and a second later.
    house.alter("update sessions set auth_time = auth_time - 301, proved_at = proved_at - 301");
    for &row in ROWS {
        if row.3 == Fresh {
            assert_refused(&administrator, row, "an old sign-in", 403, "fresh_sign_in_required").await;
        } else {
            assert_admitted(&administrator, row, "an old sign-in").await;
        }
    }
}

#[tokio::test]
async fn a_key_in_the_wrong_place_is_no_key() {
    let house = house().await;
    let (_, secret) = make_key(&house, &["*"]);
    let nobody = Admin::nobody(&house);
    for (name, value) in [
        ("cookie", format!("doorward-session={secret}")),
        ("cookie", format!("access_token={secret}")),
        ("x-api-key", secret.clone()),
        ("authorization", secret.clone()),
        ("authorization", format!("Token {secret}")),
        ("authorization", format!("Bearer {}", &secret[..secret.len() - 1])),
    ] {
        let answer = nobody.clone().header(name, &value).get("/status").await;
        expect_problem(&answer, 401, "unauthorized");
    }
    let in_query = nobody.get(&format!("/status?access_token={secret}")).await;
    expect_problem(&in_query, 401, "unauthorized");
    assert!(!house.logs().contains(&secret), "a key is in the log");
}
