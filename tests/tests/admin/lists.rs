//! Lists in pages.

use std::collections::BTreeSet;

use e2e::admin::{Admin, expect_problem};
use e2e::answer::Answer;
use e2e::client::text;
use e2e::house::{House, Plan, Store};
use e2e::process;
use e2e::session::Session;
use serde_json::json;

e2e::on_both_stores!(three_hundred_grants_come_page_by_page_each_once, filters_meet_and_page_alike);

/// Copies one grant three hundred times, each a second older than the one before.
fn copy(house: &House, grant: &str) {
    house.alter(&format!(
        "insert into grants (id, user_id, client_id, client_row, resource, resource_row, organization, oidc, allowance, method,
            auth_time, sign_in, session_id, created_at, expires_at, last_used_at)
        with recursive counted (n) as (select 1 union all select n + 1 from counted where n < 300)
        select 'grt_01J0000000000000000000' || (1000 + n), user_id, client_id, client_row, resource, resource_row, grants.organization,
            oidc, allowance, method, auth_time, sign_in, session_id, created_at - n, expires_at, created_at - n * 86400 + 43200
        from grants cross join counted where grants.id = '{grant}'"
    ));
}

async fn three_hundred_grants_come_page_by_page_each_once(store: Store) {
    let house = House::start(store).await;
    Session::begin(&house, &["read"]).await;
    let admin = Admin::with(&house, &["grants:read", "grants:write"]);
    let first = admin.all("/grants", 50).await.remove(0);
    copy(&house, &text(&first["id"]));
    for limit in [7, 50, 200] {
        let all = admin.all("/grants", limit).await;
        let ids: Vec<_> = all.iter().map(|grant| text(&grant["id"])).collect();
        assert_eq!(ids.len(), 301, "pages of {limit}");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 301);
        assert!(ids.is_sorted_by(|a, b| a > b), "newest first");
    }
    assert_eq!(admin.get("/grants").await.expect(200)["items"].as_array().map(Vec::len), Some(50));

    // What is revoked between two pages neither hides nor repeats anything.
    let page = admin.get("/grants?limit=100").await.expect(200);
    let last = text(&page["items"][99]["id"]);
    assert_eq!(admin.delete(&format!("/grants/{last}")).await.status, 204);
    let next =
        admin.get(&format!("/grants?limit=200&cursor={}", text(&page["next_cursor"]))).await.expect(200);
    assert_eq!(next["items"].as_array().map(Vec::len), Some(200));
    assert!(text(&next["items"][0]["id"]) < last);

    let listed = house.cli(&["grant", "list", "--json"], "").json();
    assert_eq!(listed.as_array().map(Vec::len), Some(301), "the command shows all");
}

async fn filters_meet_and_page_alike(store: Store) {
    let house = House::start(store).await;
    let session = Session::begin(&house, &["read"]).await;
    let bob = house.user("bob@example.test");
    let other = Session::of(session.client.clone(), &bob, &["write"]).await;
    let third = Session::begin(&house, &["read"]).await;
    let admin = Admin::with(&house, &["grants:read"]);
    let first = admin.all(&format!("/grants?user={}", house.alice().email), 1).await;
    assert_eq!(first.len(), 2);
    // What was made within one second is in no order.
    let copied = first.iter().find(|grant| grant["client_id"] == session.client.client_id.as_str());
    copy(&house, &text(&copied.expect("the first client's")["id"]));

    let count = async |filter: &str| admin.all(&format!("/grants?{filter}"), 199).await.len();
    let client = format!("client={}", session.client.client_id);
    assert_eq!(count(&client).await, 302);
    assert_eq!(count(&format!("client={}", third.client.client_id)).await, 1);
    assert_eq!(count(&format!("{client}&user=bob@example.test")).await, 1);
    assert_eq!(count(&format!("{client}&user=bob@example.test&state=ended")).await, 0);
    assert_eq!(count("method=dcr&state=active").await, 303);
    assert_eq!(count("method=registered").await, 0);
    assert_eq!(count("unused_days=100").await, 200);
    let respelt = house.mcp_url().replace("localhost", "LOCALHOST");
    assert_eq!(count(&format!("resource={respelt}")).await, 303);
    let organization = text(&first[0]["organization"]);
    assert_eq!(count(&format!("organization={organization}")).await, 302);
    let users = Admin::with(&house, &["users:read"]);
    let found = users.get("/users?email=BOB@example.test").await.expect(200);
    assert_eq!(found["items"][0]["email"], "bob@example.test");
    assert_eq!(count(&format!("user={}", text(&found["items"][0]["id"]))).await, 1);
    drop(other);
}

#[tokio::test]
async fn a_page_has_one_to_two_hundred_items_and_nothing_else() {
    let house = House::build(Plan::on(Store::Sqlite).without_artifacts()).await;
    let admin = Admin::with(&house, &["*"]);
    for list in ["grants", "users", "clients", "resources", "sessions", "admin-keys"] {
        for limit in
            ["0", "-1", "201", "2147483648", "99999999999999999999", "NaN", "1e2", "", "+5", "5.0", "0x10"]
        {
            let answer = admin.get(&format!("/{list}?limit={limit}")).await;
            expect_problem(&answer, 400, "invalid_request");
        }
        for query in
            ["limit=5&limit=5", "page=1", "limit=5&admin=true", "offset=0", "cursor=", "%ff=1", "limit=%zz"]
        {
            let answer = admin.get(&format!("/{list}?{query}")).await;
            expect_problem(&answer, 400, "invalid_request");
        }
        for limit in [1, 200] {
            admin.get(&format!("/{list}?limit={limit}")).await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_the_list_and_the_filters_that_it_was_made_for() {
    let house = House::build(Plan::on(Store::Sqlite).without_artifacts()).await;
    for i in 0..3 {
        house.user(&format!("user{i}@example.test"));
    }
    let admin = Admin::with(&house, &["*"]);
    let page = admin.get("/users?limit=1").await.expect(200);
    let cursor = text(&page["next_cursor"]);
    let good = admin.get(&format!("/users?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!(good["items"].as_array().map(Vec::len), Some(2), "the size of the page is free");

    let (position, tag) = cursor.split_once('.').expect("two parts");
    let plain = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    };
    let mut forged = vec![
        position.to_owned(),
        format!("{position}."),
        format!("{position}.{}", tag.chars().rev().collect::<String>()),
        format!(".{tag}"),
        plain("usr_00000000000000000000000000"),
        cursor.to_uppercase(),
        format!("{cursor}A"),
        "x".repeat(5000),
    ];
    // IN-04: what would be SQL is at most a wrong cursor.
    for text in ["' OR 1=1--", "usr_0' UNION SELECT password_hash FROM users--", "%", "_", "\\", "usr_%"] {
        forged.push(format!("{}.{tag}", plain(text)));
        forged.push(url::form_urlencoded::byte_serialize(text.as_bytes()).collect());
    }
    for cursor in &forged {
        let answer = admin.get(&format!("/users?cursor={cursor}")).await;
        expect_problem(&answer, 400, "invalid_cursor");
    }
    for elsewhere in
        [format!("/clients?cursor={cursor}"), format!("/users?email=user1@example.test&cursor={cursor}")]
    {
        expect_problem(&admin.get(&elsewhere).await, 400, "invalid_cursor");
    }
}

#[tokio::test]
async fn what_would_be_sql_is_a_text_that_names_nothing() {
    let house = House::build(Plan::on(Store::Sqlite).without_artifacts()).await;
    let admin = Admin::with(&house, &["*"]);
    let endless = "x".repeat(20_000);
    for text in ["' OR 1=1--", "%", "_", "\\", "usr_%' --", "\u{1F98A}", endless.as_str()] {
        let text: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        for query in [
            "users?email=",
            "grants?user=",
            "grants?client=",
            "grants?resource=",
            "grants?organization=",
            "sessions?user=",
        ] {
            let answer = admin.get(&format!("/{query}{text}")).await;
            let empty = answer.status == 200 && answer.json()["items"] == serde_json::json!([]);
            assert!(empty || [400, 404, 414, 431].contains(&answer.status), "{query}{text}: {answer:#?}");
        }
        for path in ["users", "grants", "clients", "resources"] {
            let answer = admin.get(&format!("/{path}/{}", text.replace('+', "%20"))).await;
            assert!([404, 414, 431, 400].contains(&answer.status), "{path}/{text}: {answer:#?}");
        }
    }
    expect_problem(&admin.get("/users?email=%00").await, 400, "invalid_request");
    assert_eq!(admin.all("/users", 200).await.len(), 1);
}

#[tokio::test]
async fn registrations_of_the_same_software_are_one_line_until_all_are_asked_for() {
    let house = House::build(Plan::on(Store::Sqlite).without_artifacts()).await;
    let register = async |name: &str, uri: &str| {
        let body = json!({"client_name": name, "redirect_uris": [uri]});
        let endpoint = format!("{}/oauth/clients/register", house.issuer());
        text(&Answer::to(process::client().post(endpoint).json(&body)).await.expect(201)["client_id"])
    };
    let admin = Admin::with(&house, &["clients:read"]);
    let before = admin.all("/clients", 50).await.len();
    let mut editors = Vec::new();
    for port in 5001..5006 {
        editors.push(register("Editor", &format!("http://127.0.0.1:{port}/cb")).await);
    }
    let elsewhere = register("Editor", "https://evil.test/cb").await;
    for limit in [1, 2, 50] {
        let folded = admin.all("/clients", limit).await;
        assert_eq!(folded.len(), before + 2, "pages of {limit}");
        let counts: Vec<_> = folded
            .iter()
            .filter(|client| client["client_name"] == "Editor")
            .map(|one| &one["registrations"])
            .collect();
        assert!(counts.contains(&&json!(5)) && counts.contains(&&json!(1)), "{folded:#?}");
        let all = admin.all("/clients?all=true", limit).await;
        assert_eq!(all.len(), before + 6);
        assert!(all.iter().all(|client| client["registrations"] == 1), "{all:#?}");
    }
    expect_problem(&admin.get("/clients?all=perhaps").await, 400, "invalid_request");

    let listed = house.cli(&["client", "list", "--json"], "").json();
    let of_editors: Vec<_> =
        listed.as_array().expect("a list").iter().filter(|one| one["registrations"] == 5).collect();
    assert!(of_editors.len() == 1 && editors.contains(&text(&of_editors[0]["client_id"])), "{listed:#}");
    let table = house.cli(&["client", "list"], "").ok();
    assert!(table.contains("COUNT") && table.contains(&elsewhere), "{table}");
    let all = house.cli(&["client", "list", "--all"], "").ok();
    assert!(editors.iter().all(|id| all.contains(id)), "{all}");
}
