//! An administrator's browser: its own pages may, and no other page can make it.

use e2e::admin::{Admin, expect_problem, make_administrator, signed_in};
use e2e::answer::Answer;
use e2e::house::{House, Plan, Store};
use serde_json::{Value, json};

const NEW: &str = r#"{"client_name":"Forged","redirect_uris":["https://evil.test/cb"],"token_endpoint_auth_method":"none"}"#;

async fn clients(house: &House) -> usize {
    Admin::with(house, &["clients:read"]).all("/clients", 200).await.len()
}

#[tokio::test]
async fn another_site_cannot_make_an_administrators_browser_change_anything() {
    let house = House::build(Plan::on(Store::Sqlite).without_artifacts()).await;
    let boss = make_administrator(&house, "boss@example.test");
    let browser = signed_in(&house, &boss).await;
    let stranger = Admin::stranger_at(&house, &browser);
    let before = clients(&house).await;
    // What a page of another site, of a neighbour, or of an older browser can cause, with the cookies that go with it.
    let own = house.issuer().to_owned();
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "cross-site"), ("origin", own.as_str())],
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        &[("origin", "https://evil.test")],
        &[("origin", "null")],
        &[("origin", "http://localhost.evil.test")],
        &[("origin", own.as_str()), ("origin", "https://evil.test")],
        &[("referer", own.as_str())],
    ] {
        let forged =
            headers.iter().fold(stranger.clone(), |stranger, (name, value)| stranger.header(name, value));
        for (method, path) in [
            ("POST", "/clients"),
            ("POST", "/grants/revoke"),
            ("DELETE", "/clients/x"),
            ("PATCH", "/grants/x"),
        ] {
            let request = forged.request(method, path).header("content-type", "application/json").body(NEW);
            expect_problem(&Answer::to(request).await, 403, "cross_site");
        }
    }
    // What a form can send: even from a page of this server it is not taken.
    let page = stranger.clone().header("sec-fetch-site", "same-origin");
    for content_type in
        ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", ""]
    {
        for (method, path) in [("POST", "/clients"), ("POST", "/users/x/disable"), ("DELETE", "/clients/x")] {
            let request = page.request(method, path).header("content-type", content_type).body(NEW);
            expect_problem(&Answer::to(request).await, 415, "unsupported_media_type");
        }
    }
    assert_eq!(clients(&house).await, before);

    let new: Value = serde_json::from_str(NEW).expect("JSON");
    page.send("POST", "/clients", &new).await.expect(201);
    let by_origin = stranger.header("origin", &own);
    by_origin.send("POST", "/clients", &new).await.expect(201);
    assert_eq!(clients(&house).await, before + 2);
}

#[tokio::test]
async fn no_answer_can_be_read_or_framed_by_another_site() {
    let house = House::build(Plan::on(Store::Sqlite).without_artifacts()).await;
    let boss = make_administrator(&house, "boss@example.test");
    let browser = signed_in(&house, &boss).await;
    let stranger = Admin::stranger_at(&house, &browser);
    for (name, value) in
        [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.test")]
    {
        let answer = stranger.clone().header(name, value).get("/users").await;
        expect_problem(&answer, 403, "cross_site");
    }
    // Somebody who types the address sees the answer; a program that says nothing does too.
    for admin in [stranger.clone(), stranger.clone().header("sec-fetch-site", "none")] {
        let answer = admin.get("/users").await;
        answer.expect(200);
        for name in [
            "access-control-allow-origin",
            "access-control-allow-credentials",
            "access-control-expose-headers",
        ] {
            assert!(!answer.headers.contains_key(name), "{name}: {answer:#?}");
        }
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    let preflight = stranger
        .header("origin", "https://evil.test")
        .header("access-control-request-method", "DELETE")
        .send("OPTIONS", "/users", &json!({}))
        .await;
    assert!(
        !preflight.headers.keys().any(|name| name.as_str().starts_with("access-control")),
        "{preflight:#?}"
    );
}

#[tokio::test]
async fn a_sign_in_can_be_made_fresh_again_and_its_end_is_at_once() {
    let house = House::build(Plan::on(Store::Sqlite).without_artifacts()).await;
    let boss = make_administrator(&house, "boss@example.test");
    let administrator = Admin::at_browser(&house, &boss).await;
    house.alter("update sessions set auth_time = auth_time - 301, proved_at = proved_at - 301");
    let everything = json!({"everything": true});
    let stale = administrator.send("POST", "/grants/revoke", &everything).await;
    let detail = expect_problem(&stale, 403, "fresh_sign_in_required");
    assert!(detail.contains(&format!("{}/login", house.issuer())), "{detail}");
    let again = Admin::at_browser(&house, &boss).await;
    again.send("POST", "/grants/revoke", &everything).await.expect(200);

    let key = Admin::with(&house, &["sessions:read", "sessions:write"]);
    for session in key.all("/sessions", 50).await {
        let answer = key.delete(&format!("/sessions/{}", session["id"].as_str().expect("an id"))).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{answer:#?}");
    }
    for admin in [administrator, again] {
        expect_problem(&admin.get("/status").await, 401, "unauthorized");
    }
}

#[tokio::test]
async fn a_body_is_one_json_object_with_known_members_and_of_bounded_size() {
    let house = House::build(Plan::on(Store::Sqlite).without_artifacts()).await;
    let key = Admin::with(&house, &["*"]);
    let send = async |body: String| {
        let request = key.request("POST", "/clients").header("content-type", "application/json").body(body);
        Answer::to(request).await
    };
    let doubled = NEW.replace("{\"client_name\"", "{\"client_name\":\"Other\",\"client_name\"");
    let unknown = NEW.replace("\"none\"}", "\"none\",\"admin\":true}");
    for body in
        ["", "null", "[]", "1", "{", "{\"client_name\":1}", "{}", &doubled, &unknown, &format!("{NEW}x")]
    {
        let answer = send(body.to_owned()).await;
        expect_problem(&answer, 400, "invalid_request");
    }
    let detail = expect_problem(&send(unknown).await, 400, "invalid_request");
    assert!(detail.contains("unknown field `admin`"), "{detail}");
    let deep = NEW.replace("\"Forged\"", &"[".repeat(100));
    expect_problem(&send(deep).await, 400, "invalid_request");
    let endless = NEW.replace("Forged", &"x".repeat(70_000));
    expect_problem(&send(endless).await, 413, "too_large");
    send(NEW.to_owned()).await.expect(201);
    // What takes no body takes none.
    let request = key.request("POST", "/users/x/disable").body("{\"force\":true}");
    expect_problem(&Answer::to(request).await, 400, "invalid_request");
}
