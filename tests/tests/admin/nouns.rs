//! People, clients, resource servers and sessions: what the API makes is what the commands and the sign-in know.

use e2e::admin::{Admin, expect_problem, signed_in};
use e2e::answer::Answer;
use e2e::client::{decode, text};
use e2e::house::{House, Person, Plan, Store};
use e2e::session::Session;
use serde_json::{Value, json};

async fn house() -> House {
    House::build(Plan::on(Store::Sqlite).without_artifacts()).await
}

/// Percent-encoded in full, as one part of a path.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn an_account_is_made_shown_disabled_and_enabled() {
    let house = house().await;
    let admin = Admin::with(&house, &["*"]);
    let person = Person { email: "bob@example.test".to_owned(), password: e2e::fresh() };
    let new = json!({"email": "Bob@Example.test", "name": "Bob", "groups": ["staff", "ops", "ops"], "password": person.password});
    let made = admin.send("POST", "/users", &new).await.expect(201);
    assert_eq!(made["email"], "bob@example.test");
    assert_eq!(made["groups"], json!(["ops", "staff"]));
    expect_problem(&admin.send("POST", "/users", &new).await, 409, "conflict");
    signed_in(&house, &person).await;

    let listed = house.cli(&["user", "list", "--json"], "").json();
    assert_eq!(listed.as_array().expect("a list").iter().find(|user| user["name"] == "Bob"), Some(&made));
    for who in [text(&made["id"]), person.email.clone(), "BOB@example.test".to_owned()] {
        assert_eq!(admin.get(&format!("/users/{who}")).await.expect(200), made);
    }
    let path = format!("/users/{}", text(&made["id"]));
    assert_eq!(admin.post(&format!("{path}/disable")).await.expect(200)["disabled"], true);
    assert_eq!(admin.all(&format!("/sessions?user={}", person.email), 50).await, Vec::<Value>::new());
    assert_eq!(admin.post(&format!("{path}/enable")).await.expect(200)["disabled"], false);
    for nobody in ["nobody@example.test", "usr_01J00000000000000000000000", "x"] {
        expect_problem(&admin.post(&format!("/users/{nobody}/disable")).await, 404, "not_found");
    }
    for wrong in [
        json!({"email": "x", "password": "long enough"}),
        json!({"email": "c@example.test", "password": "short"}),
        json!({"email": "c@example.test"}),
        json!({"email": "c@example.test", "password": "long enough", "name": "a\nb"}),
        json!({"email": "c@example.test", "password": "long enough", "disabled": true}),
    ] {
        let answer = admin.send("POST", "/users", &wrong).await;
        expect_problem(&answer, 400, "invalid_request");
    }
}

#[tokio::test]
async fn a_client_is_made_shown_disabled_and_deleted() {
    let house = house().await;
    let admin = Admin::with(&house, &["*"]);
    let new = |method: &str| {
        json!({
            "client_name": "Report", "redirect_uris": ["https://app.test/cb"],
            "token_endpoint_auth_method": method, "ceiling": "read",
        })
    };
    let public = admin.send("POST", "/clients", &new("none")).await.expect(201);
    assert!(public.get("client_secret").is_none(), "{public:#}");
    let made = admin.send("POST", "/clients", &new("client_secret_basic")).await.expect(201);
    assert!(made["client_secret"].as_str().is_some_and(|secret| secret.starts_with("dws_")), "{made:#}");
    assert_eq!(made["label"], "registered");
    let path = format!("/clients/{}", text(&made["client_id"]));
    let shown = admin.get(&path).await.expect(200);
    assert!(shown.get("client_secret").is_none(), "{shown:#}");
    assert_eq!(shown["ceiling"], "read");
    assert_eq!(admin.post(&format!("{path}/disable")).await.expect(200)["disabled"], true);
    assert_eq!(admin.get(&path).await.expect(200)["disabled"], true);
    assert_eq!(admin.delete(&path).await.status, 204);
    expect_problem(&admin.get(&path).await, 404, "not_found");
    expect_problem(&admin.delete(&path).await, 404, "not_found");
    let fixed = format!("/clients/{}", e2e::house::FIXED_CLIENT);
    expect_problem(&admin.delete(&fixed).await, 409, "conflict");
    let mut taken = new("none");
    taken["client_id"] = public["client_id"].clone();
    expect_problem(&admin.send("POST", "/clients", &taken).await, 409, "conflict");
    for (member, value) in [
        ("redirect_uris", json!([])),
        ("redirect_uris", json!(["javascript:alert(1)"])),
        ("redirect_uris", json!([format!("{}/cb", house.issuer())])),
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        ("ceiling", json!("everything")),
        ("client_name", json!("")),
    ] {
        let mut wrong = new("none");
        wrong[member] = value;
        let answer = admin.send("POST", "/clients", &wrong).await;
        expect_problem(&answer, 400, "invalid_request");
    }
}

#[tokio::test]
async fn a_resource_server_is_found_by_its_address_and_by_its_identifier() {
    let house = house().await;
    let admin = Admin::with(&house, &["*"]);
    let address = "https://mcp.example.test/a%20b?x=1+2";
    let model = json!({
        "permissions": [{"name": "wiki:read", "tools": ["search"]}],
        "tiers": [{"id": "read", "title": "Read", "sentence": "Read the wiki.", "permissions": ["wiki:read"]}],
    });
    let new = json!({"resource": address, "name": "Wiki", "model": model});
    let made = admin.send("POST", "/resources", &new).await.expect(201);
    assert_eq!(made["resource"], address);
    assert!(text(&made["client_secret"]).starts_with("dws_"));
    expect_problem(&admin.send("POST", "/resources", &new).await, 409, "conflict");
    let by_id = format!("/resources/{}", text(&made["client_id"]));
    let shown = admin.get(&by_id).await.expect(200);
    assert_eq!(
        (&shown["name"], &shown["model"]["permissions"][0]["name"]),
        (&json!("Wiki"), &json!("wiki:read"))
    );
    assert_eq!(admin.get(&format!("/resources/{}", encoded(address))).await.expect(200), shown);
    assert_eq!(shown, house.cli(&["resource", "show", address, "--json"], "").json());
    assert_eq!(admin.post(&format!("{by_id}/disable")).await.expect(200)["disabled"], true);
    assert_eq!(house.cli(&["resource", "enable", address, "--json"], "").json()["disabled"], false);
    let rule = json!({"holder": "everyone", "tier": "read", "resource": address});
    admin.send("POST", "/entitlements", &rule).await.expect(201);
    let detail = expect_problem(&admin.delete(&by_id).await, 409, "conflict");
    assert!(detail.contains("1 rules") && detail.contains("force"), "{detail}");
    expect_problem(&admin.delete(&format!("{by_id}?force=yes")).await, 400, "invalid_request");
    assert_eq!(admin.delete(&format!("{by_id}?force=true")).await.status, 204);
    expect_problem(&admin.get(&by_id).await, 404, "not_found");
    for nothing in ["rs_nothing", "x", &encoded("https://nothing.test/"), &encoded("../users")] {
        expect_problem(&admin.get(&format!("/resources/{nothing}")).await, 404, "not_found");
    }
    let mut wrong = new.clone();
    wrong["model"]["tiers"][0]["permissions"] = json!(["wiki:write"]);
    let detail = expect_problem(&admin.send("POST", "/resources", &wrong).await, 400, "invalid_request");
    assert!(detail.contains("wiki:write"), "{detail}");
}

#[tokio::test]
async fn new_credentials_of_a_resource_server_leave_who_may_what() {
    let house = house().await;
    let admin = Admin::with(&house, &["*"]);
    let address = "https://wiki.example.test/mcp";
    let new = json!({"resource": address, "name": "Wiki", "access": "listed"});
    let made = admin.send("POST", "/resources", &new).await.expect(201);
    let rule = json!({"holder": {"group": "staff"}, "tier": "read", "resource": address});
    admin.send("POST", "/entitlements", &rule).await.expect(201);
    let (id, first) = (text(&made["client_id"]), text(&made["client_secret"]));
    let asks = async |secret: &str| {
        let form = [("token", "x"), ("client_id", id.as_str()), ("client_secret", secret)];
        let url = format!("{}/oauth2/introspect", house.issuer());
        e2e::process::client().post(url).form(&form).send().await.expect("an answer").status().as_u16()
    };
    assert_eq!((asks(&first).await, asks("dws_wrong").await), (200, 401));
    let path = format!("/resources/{id}");
    expect_problem(&admin.delete(&format!("{path}/former-secret")).await, 409, "conflict");
    let second = admin.post(&format!("{path}/secret")).await.expect(200);
    assert_eq!((&second["client_id"], &second["access"]), (&made["client_id"], &json!("listed")));
    let second = text(&second["client_secret"]);
    assert_eq!((asks(&first).await, asks(&second).await), (200, 200), "both are good for a while");
    assert_eq!(admin.delete(&format!("{path}/former-secret")).await.status, 204);
    assert_eq!((asks(&first).await, asks(&second).await), (401, 200));
    let third = house.cli(&["resource", "rotate-secret", address, "--json"], "").json();
    assert_eq!(asks(&text(&third["client_secret"])).await, 200);
    assert_eq!(house.cli(&["resource", "retire-secret", address, "--json"], "").json()["retired"], true);
    assert_eq!((asks(&second).await, asks(&text(&third["client_secret"])).await), (401, 200));
    assert_eq!(admin.get(&path).await.expect(200)["access"], "listed");
    assert_eq!(admin.all("/entitlements", 50).await.len(), 1);
    let refused = house.cli(&["resource", "remove", address], "");
    assert!(refused.code == 1 && refused.stderr.contains("rotate-secret"), "{refused:#?}");
    house.cli(&["resource", "remove", address, "--force"], "").ok();
    assert_eq!(admin.all("/entitlements", 50).await, Vec::<Value>::new());
    let gone = admin.all("/audit?action=resource_removed", 50).await;
    let said = &gone[0]["detail"]["rules"][0];
    assert_eq!((&said["holder"], &said["tier"]), (&json!({"group": "staff"}), &json!("read")));
}

#[tokio::test]
async fn a_lost_passkey_is_found_and_removed() {
    let house = house().await;
    let admin = Admin::with(&house, &["users:read", "users:write"]);
    let path = format!("/users/{}/passkeys", house.alice().email);
    assert_eq!(admin.all(&path, 50).await, Vec::<Value>::new());
    // Only a browser registers one; these have no device.
    for (id, at) in [("-lost", 1), ("kept_", 2), ("other", 3)] {
        house.alter(&format!(
            "insert into passkeys (id, user_id, name, public_key, counter, created_at)
             select '{id}', id, 'Phone', '', 0, {at} from users where email = '{}'",
            house.alice().email
        ));
    }
    let all = admin.all(&path, 1).await;
    assert_eq!(all.iter().map(|one| one["id"].clone()).collect::<Vec<_>>(), ["-lost", "kept_", "other"]);
    assert_eq!(
        (&all[0]["name"], &all[0]["created_at"], &all[0]["last_used_at"]),
        (&json!("Phone"), &json!(1), &Value::Null)
    );
    assert!(all[0].get("public_key").is_none());
    assert_eq!(house.cli(&["user", "passkeys", &house.alice().email, "--json"], "").json(), json!(all));
    assert_eq!(house.cli(&["user", "remove-passkey", "-lost", "--json"], "").json()["removed"], true);
    assert_eq!(admin.delete("/passkeys/other").await.status, 204);
    for gone in ["/passkeys/-lost", "/passkeys/other", "/passkeys/x"] {
        expect_problem(&admin.delete(gone).await, 404, "not_found");
    }
    expect_problem(&admin.get("/users/nobody@example.test/passkeys").await, 404, "not_found");
    assert_eq!(admin.all(&path, 50).await.len(), 1);
    let trail = Admin::with(&house, &["audit:read"]).all("/audit?action=passkey_removed", 50).await;
    assert_eq!(
        trail.iter().map(|line| line["detail"]["name"].clone()).collect::<Vec<_>>(),
        ["Phone", "Phone"]
    );
}

#[tokio::test]
async fn a_browser_is_listed_and_signed_out() {
    let house = house().await;
    let admin = Admin::with(&house, &["sessions:read", "sessions:write"]);
    assert_eq!(admin.all("/sessions", 50).await, Vec::<Value>::new());
    let bob = house.user("bob@example.test");
    let browser = signed_in(&house, house.alice()).await;
    signed_in(&house, &bob).await;
    signed_in(&house, &bob).await;
    assert_eq!(admin.all("/sessions", 1).await.len(), 3);
    let of_alice = admin.all(&format!("/sessions?user={}", house.alice().email), 50).await;
    assert_eq!(of_alice.len(), 1);
    assert_eq!(
        house.cli(&["session", "list", "--user", &house.alice().email, "--json"], "").json(),
        json!(of_alice)
    );

    let id = text(&of_alice[0]["id"]);
    assert_eq!(browser.open(house.issuer()).await.page().kind, "home");
    assert_eq!(admin.delete(&format!("/sessions/{id}")).await.status, 204);
    assert_eq!(browser.open(house.issuer()).await.page().kind, "login");
    for gone in [id.as_str(), "ses_x", "x"] {
        expect_problem(&admin.delete(&format!("/sessions/{gone}")).await, 404, "not_found");
    }
    let others = format!("/users/{}/sessions", bob.email);
    signed_in(&house, house.alice()).await;
    assert_eq!(admin.delete(&others).await.expect(200)["sessions"], 2);
    assert_eq!(admin.delete(&others).await.expect(200)["sessions"], 0);
    assert_eq!(admin.all("/sessions", 50).await.len(), 1, "the sessions of others go on");
    expect_problem(&admin.delete("/users/nobody@example.test/sessions").await, 404, "not_found");
    signed_in(&house, &bob).await;
    let ended = house.cli(&["session", "end", "--user", &bob.email, "--json"], "").json();
    assert_eq!(ended["sessions"], 1);
    let trail = Admin::with(&house, &["audit:read"]).all("/audit?action=sessions_ended", 50).await;
    // Lines of one second are in no certain order.
    let mut counts: Vec<_> = trail.iter().map(|line| line["detail"]["sessions"].as_u64()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [Some(1), Some(2)]);
    signed_in(&house, house.alice()).await;
    let rest = house.cli(&["session", "list", "--json"], "").json();
    let ended = house.cli(&["session", "end", &text(&rest[0]["id"]), "--json"], "").json();
    assert_eq!(ended["ended"], true);
    assert_eq!(house.cli(&["session", "list", "--json"], "").json().as_array().map(Vec::len), Some(1));
    house.alter("update sessions set last_seen_at = last_seen_at - 86400");
    assert_eq!(admin.all("/sessions", 50).await, Vec::<Value>::new(), "an idle session is over");
}

#[tokio::test]
async fn signing_keys_are_rotated_and_revoked() {
    let house = House::start(Store::Sqlite).await;
    let admin = Admin::with(&house, &["keys:read", "keys:write", "status:read"]);
    let signs = async || text(&admin.get("/status").await.expect(200)["signing_key"]);
    let session = Session::begin(&house, &["read"]).await;
    let kid = text(&decode(&session.tokens.access).0["kid"]);
    assert_eq!(signs().await, kid);

    let rotated = admin.post("/keys/rotate").await.expect(200);
    let next = text(&rotated["active"]["kid"]);
    assert_ne!(next, kid);
    assert_eq!(signs().await, next, "the next token is signed with it");
    let keys = admin.all("/keys", 1).await;
    assert_eq!(json!(keys), house.cli(&["keys", "list", "--json"], "").json());
    let state = |kid: &str| keys.iter().find(|key| key["kid"] == kid).map(|key| text(&key["state"]));
    assert_eq!((state(&kid).as_deref(), state(&next).as_deref()), (Some("retired"), Some("active")));

    let revoked = admin.post(&format!("/keys/{kid}/revoke")).await.expect(200);
    assert_eq!(revoked["active"]["kid"], next.as_str());
    expect_problem(&admin.post(&format!("/keys/{kid}/revoke")).await, 409, "conflict");
    expect_problem(&admin.post("/keys/nothing/revoke").await, 404, "not_found");
    let userinfo = session.client.discovery.endpoint("userinfo_endpoint");
    let asked = e2e::process::client().get(userinfo).bearer_auth(&session.tokens.access);
    assert_eq!(Answer::to(asked).await.status, 401, "its tokens are refused");
}

#[tokio::test]
async fn organizations_nodes_and_rules_are_made_shown_and_removed() {
    let house = house().await;
    let admin = Admin::with(&house, &["*"]);
    let acme = admin.send("POST", "/organizations", &json!({"name": "Acme"})).await.expect(201);
    expect_problem(&admin.send("POST", "/organizations", &json!({"name": "Acme"})).await, 409, "conflict");
    for wrong in [json!({"name": "own"}), json!({"name": "a:b"}), json!({})] {
        expect_problem(&admin.send("POST", "/organizations", &wrong).await, 400, "invalid_request");
    }
    assert_eq!(admin.all("/organizations", 1).await, std::slice::from_ref(&acme));
    let nodes = format!("/organizations/{}/nodes", text(&acme["id"]));
    let specs = json!({"path": "alpha/specs", "title": "Specs"});
    assert_eq!(admin.send("POST", &nodes, &specs).await.expect(201)["kind"], "project");
    expect_problem(&admin.send("POST", &nodes, &specs).await, 409, "conflict");
    expect_problem(&admin.send("POST", &nodes, &json!({"path": "../x"})).await, 400, "invalid_request");
    assert_eq!(admin.all(&nodes, 1).await.len(), 2);
    expect_problem(&admin.get("/organizations/nobody/nodes").await, 404, "not_found");

    let rule = json!({
        "holder": {"group": "staff"}, "tier": "write", "resource": house.mcp_url(), "organization": acme["id"], "node": "alpha/specs",
    });
    let made = admin.send("POST", "/entitlements", &rule).await.expect(201);
    assert_eq!(made["listed"], json!([house.mcp_url()]));
    expect_problem(&admin.send("POST", "/entitlements", &rule).await, 409, "conflict");
    for (member, value) in [
        ("holder", json!({"group": "staff", "user": "x"})),
        ("holder", json!("nobody")),
        ("holder", json!({"user": "nobody@example.test"})),
        ("tier", json!("admin")),
        ("organization", json!("Nobody")),
        ("node", json!("beta")),
        ("resource", json!("https://gone.test/x")),
    ] {
        let mut wrong = rule.clone();
        wrong[member] = value;
        expect_problem(&admin.send("POST", "/entitlements", &wrong).await, 400, "invalid_request");
    }
    let everyone = json!({"holder": "everyone", "tier": "read"});
    admin.send("POST", "/entitlements", &everyone).await.expect(201);
    let path = format!("/entitlements/{}", text(&made["id"]));
    let listed = house.cli(&["entitlement", "list", "--json"], "").json();
    assert!(listed.as_array().expect("a list").contains(&admin.get(&path).await.expect(200)));
    assert_eq!(admin.all("/entitlements", 1).await.len(), 2);
    assert_eq!(admin.post(&format!("{path}/disable")).await.expect(200)["disabled"], true);
    assert_eq!(admin.post(&format!("{path}/enable")).await.expect(200)["disabled"], false);

    let said = json!({
        "id": made["id"], "holder": {"group": "staff"}, "tier": "write", "resource": house.mcp_url(),
        "place": format!("{}:alpha/specs", text(&acme["id"])),
    });
    for action in ["entitlements_changed", "entitlement_disabled", "entitlement_enabled"] {
        let lines = admin.all(&format!("/audit?action={action}&object={}", text(&made["id"])), 50).await;
        assert_eq!(lines[0]["detail"]["rules"], json!([said]), "{action}: {lines:#?}");
    }

    let remove = format!("{nodes}/remove");
    expect_problem(&admin.send("POST", &remove, &json!({"path": "alpha"})).await, 409, "conflict");
    let gone = admin.send("POST", &remove, &json!({"path": "alpha", "force": true})).await.expect(200);
    assert_eq!(gone, json!({"rules": 1, "grants": 0, "api_keys": 0}));
    let lines = admin.all("/audit?action=node_removed", 50).await;
    assert_eq!(lines[0]["detail"]["rules"], json!([said]), "{lines:#?}");
    assert_eq!(lines[0]["detail"]["removed"], json!([made["id"]]));
    expect_problem(&admin.send("POST", &remove, &json!({"path": "alpha"})).await, 404, "not_found");
    for nothing in [path.as_str(), "/entitlements/x", "/entitlements/ent_01J00000000000000000000000"] {
        expect_problem(&admin.delete(nothing).await, 404, "not_found");
    }

    let resource = admin.get("/resources").await.expect(200)["items"][0].clone();
    let path = format!("/resources/{}", text(&resource["client_id"]));
    assert_eq!(resource["access"], "listed");
    let open = admin.send("PATCH", &path, &json!({"access": "everyone"})).await.expect(200);
    assert_eq!(open["access"], "everyone");
    expect_problem(&admin.send("PATCH", &path, &json!({"access": "nobody"})).await, 400, "invalid_request");
    let alice = format!("/users/{}", house.alice().email);
    let groups = admin.send("PATCH", &alice, &json!({"groups": ["staff", "ops", "ops"]})).await.expect(200);
    assert_eq!(groups["groups"], json!(["ops", "staff"]));
    expect_problem(&admin.send("PATCH", &alice, &json!({"groups": [""]})).await, 400, "invalid_request");
}
