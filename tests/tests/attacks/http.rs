//! Group 1.20: reading requests in one way only, and answering so that nobody keeps what is not theirs.

use e2e::answer::Answer;
use e2e::client::{Tokens, text};
use e2e::house::{Plan, Store};
use e2e::process::command;
use e2e::visitor::Visitor;
use serde_json::json;

use crate::raw::exchange;
use crate::stage::{PUB1, Stage, ask, assert_json_error, http, metadata};

const FORM: &str = "application/x-www-form-urlencoded";

// HT-01
#[tokio::test]
async fn no_parameter_of_the_token_endpoint_is_taken_from_two_or_from_elsewhere() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let code = stage.code(&client, &Visitor::new(), &["read"]).await;
    let whole = [
        ("grant_type", "authorization_code"),
        ("code", &code.text),
        ("redirect_uri", PUB1),
        ("client_id", &client.client_id),
        ("code_verifier", &code.request.verifier),
    ];
    for at in 0..whole.len() {
        for value in [whole[at].1, "other", ""] {
            let twice = [&whole[..], &[(whole[at].0, value)]].concat();
            assert_json_error(&client.token(&twice).await, 400, "invalid_request");
        }
        let less: Vec<_> =
            whole.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, pair)| *pair).collect();
        let elsewhere = url::Url::parse_with_params(&stage.at("/oauth2/token"), &[whole[at]]).expect("a URL");
        let answer = Answer::to(http().post(elsewhere).form(&less)).await;
        if whole[at].0 == "redirect_uri" {
            // It may be left out, so nothing is missing; what stands in the query was not looked at.
            continue;
        }
        assert_json_error(&answer, 400, "invalid_request");
    }
    stage.close().await;
}

// HT-12
#[tokio::test]
async fn no_header_and_no_field_turns_one_method_into_another() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    let revoke = [("token", tokens.refresh.as_str()), ("client_id", &client.client_id), ("_method", "POST")];
    let url = url::Url::parse_with_params(&stage.at("/oauth2/revoke"), &revoke).expect("a URL");
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let answer = Answer::to(http().get(url.clone()).header(name, "POST")).await;
        assert_eq!(answer.status, 405, "{name}: {answer:#?}");
        let form =
            [("grant_type", "refresh_token"), ("refresh_token", "dwr_x"), ("client_id", &client.client_id)];
        let posted = client.token_request(&form).header(name, "GET");
        assert_json_error(&Answer::to(posted).await, 400, "invalid_grant");
    }
    Tokens::read(&client.refresh(&tokens.refresh).await);
    stage.close().await;
}

// HT-02, HT-03
#[tokio::test]
async fn a_body_is_read_only_as_what_it_says_it_is() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    let form =
        format!("grant_type=refresh_token&refresh_token={}&client_id={}", tokens.refresh, client.client_id);
    let types = [
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencodedX",
        "application/x-www-form-urlencoded; charset=utf-16",
        "application/x-www-form-urlencoded; charset=utf-7",
        "application/x-www-form-urlencoded; charset=iso-8859-1",
        "application/x-www-form-urlencoded; charset=\"utf-16\"",
        "application/x-www-form-urlencoded, application/json",
        "*/*",
        "",
    ];
    for path in ["/oauth2/token", "/oauth2/revoke"] {
        for content_type in types {
            let request = http().post(stage.at(path)).header("content-type", content_type).body(form.clone());
            assert_json_error(&Answer::to(request).await, 415, "invalid_request");
        }
        assert_json_error(
            &Answer::to(http().post(stage.at(path)).body(form.clone())).await,
            415,
            "invalid_request",
        );
        let two = http().post(stage.at(path)).header("content-type", FORM).header("content-type", FORM);
        assert_json_error(&Answer::to(two.body(form.clone())).await, 415, "invalid_request");
    }
    let pages = ["/login", "/logout", "/consent", "/setup/x"];
    for path in pages {
        let request = http().post(stage.at(path)).header("content-type", "text/plain").body("a=b");
        assert_eq!(Answer::to(request).await.status, 415, "{path}");
    }
    let utf8 = "Application/X-WWW-Form-Urlencoded; charset=UTF-8";
    let request = http().post(stage.at("/oauth2/token")).header("content-type", utf8).body(form);
    Tokens::read(&Answer::to(request).await);
    stage.close().await;
}

// HT-04
#[tokio::test]
async fn a_form_is_read_strictly_and_has_no_structure() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    let good =
        format!("grant_type=refresh_token&refresh_token={}&client_id={}", tokens.refresh, client.client_id);
    let many = format!("{good}&{}", vec!["x=1"; 10_001].join("&"));
    let send = |body: Vec<u8>| {
        Answer::to(http().post(stage.at("/oauth2/token")).header("content-type", FORM).body(body))
    };
    for body in [
        format!("{good}&x=%zz"),
        format!("{good}&x=%"),
        format!("{good}&x=%4"),
        format!("{good}&x=%ff"),
        format!("{good}&x=%c0%80"),
        format!("{good}&x=%00"),
        format!("{good}&x%00=1"),
        many,
        good.replace('&', ";"),
        good.replace("client_id=", "client_id[]="),
        good.replace("client_id=", "client[id]="),
        good.replace("grant_type=", "GRANT_TYPE="),
        good.replace("grant_type=", "grant_type =").replace("client_id=", " client_id="),
        String::new(),
        "=".to_owned(),
        "&&&".to_owned(),
    ] {
        assert_json_error(&send(body.clone().into_bytes()).await, 400, "invalid_request");
    }
    for bytes in [&b"&x=\xff\xfe"[..], b"&x=\0", b"\xc3"] {
        assert_json_error(&send([good.as_bytes(), bytes].concat()).await, 400, "invalid_request");
    }
    // A semicolon and a second equals sign are data like any other, and unknown parameters are nobody's business.
    Tokens::read(&send(format!("{good}&x=a=b;c=d&resource[]=1&&").into_bytes()).await);
    stage.close().await;
}

// HT-13
#[tokio::test]
async fn without_a_trusted_proxy_nobody_chooses_their_own_address() {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("REGISTRATION__PER_ADDRESS", "6");
    let stage = Stage::build(plan).await;
    let hops = vec!["for=1.2.3.4"; 50].join(", ");
    let mut statuses = Vec::new();
    for (i, (name, value)) in [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-for", "5.6.7.8, 9.9.9.9"),
        ("x-real-ip", "2.3.4.5"),
        ("forwarded", hops.as_str()),
        ("x-forwarded-for", "name.test"),
        ("x-forwarded-for", "::1, evil\u{9}"),
        ("true-client-ip", "3.4.5.6"),
        ("x_forwarded_for", "4.5.6.7"),
    ]
    .into_iter()
    .enumerate()
    {
        let request = http().post(stage.at("/register")).header(name, value).json(&metadata(&[PUB1]));
        statuses.push((i, Answer::to(request).await.status));
    }
    let refused: Vec<_> = statuses.iter().filter(|(_, status)| *status == 429).map(|(i, _)| *i).collect();
    assert_eq!(refused, [6, 7], "{statuses:?}");
    stage.close_quietly();
}

// HT-14
#[tokio::test]
async fn behind_a_trusted_proxy_only_the_hop_that_it_saw_counts() {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("REGISTRATION__PER_ADDRESS", "3");
    let stage = Stage::build(plan.with("SERVER__TRUSTED_PROXIES", "127.0.0.0/8,::1/128,10.0.0.0/8")).await;
    let from = async |forwarded: String| {
        let request = http().post(stage.at("/register")).header("x-forwarded-for", forwarded);
        Answer::to(request.json(&metadata(&[PUB1]))).await.status
    };
    // Whatever the visitor writes in front, what the proxy appended is the same.
    for i in 0..3 {
        assert_eq!(from(format!("1.2.{i}.4, 198.51.100.7, 10.0.0.2")).await, 201);
    }
    assert_eq!(from("9.9.9.9, 198.51.100.200".to_owned()).await, 429, "the same /24");
    assert_eq!(from("198.51.100.7, 203.0.113.9".to_owned()).await, 201, "another visitor");
    stage.close_quietly();
}

// HT-15
#[tokio::test]
async fn a_header_that_only_looks_like_another_is_not_read() {
    let stage = Stage::start(Store::Sqlite).await;
    for (name, value) in [
        ("X_Forwarded_User", "alice@example.test"),
        ("X-Forwarded-User", "alice@example.test"),
        ("X-Remote-User", "alice@example.test"),
        ("Remote_User", "alice@example.test"),
        ("X-Forwarded-Email", "alice@example.test"),
        ("X-Original-Authorization", "Bearer x"),
    ] {
        let answer = Answer::to(http().get(stage.at("/")).header(name, value)).await;
        assert_eq!(answer.header("location"), "/login", "{name}");
    }
    let (client, secret) = stage.confidential("client_secret_basic").await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", "dwr_x")];
    let request = || client.token_request(&form).basic_auth(&client.client_id, Some(&secret));
    assert_json_error(&Answer::to(request()).await, 400, "invalid_grant");
    let two = request().header("authorization", "Basic eDp5");
    assert_json_error(&Answer::to(two).await, 400, "invalid_request");
    for name in ["authorization_", "x-authorization", "proxy-authorization"] {
        let twin = client.token_request(&form).header(name, "Basic eDp5");
        assert_json_error(&Answer::to(twin).await, 400, "invalid_request");
    }
    stage.close().await;
}

// HT-16, HT-21
#[tokio::test]
async fn an_address_has_one_spelling() {
    let stage = Stage::start(Store::Sqlite).await;
    for path in [
        "/oauth2/token/",
        "//oauth2/token",
        "/oauth2//token",
        "/oauth2/token;x",
        "/oauth2/token%2f",
        "/oauth2%2ftoken",
        "/oauth2/token%23",
        "/oauth2/token%00",
        "/oauth2/token%20",
        "/oauth2/token%3fx",
        "/oauth2/token\\",
        "/OAUTH2/TOKEN",
        "/x/..;/oauth2/token",
        "/x/../oauth2/token",
        "/./oauth2/token",
        "/oauth2/%2e/token",
        "/oauth2/token/x.css",
        "/oauth2/token.css",
        "/oauth2/userinfo;a.js",
        "/oauth2/userinfo/x.png",
        "/login/",
        "/setup/x/y",
        "/admin/..;/oauth2/token",
    ] {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let reply = exchange(&stage, head.as_bytes()).await;
        assert_eq!(reply.statuses(), [404], "{path}: {reply:?}");
        let lower = reply.text.to_lowercase();
        assert!(lower.contains("\r\ncache-control: no-store\r\n"), "{path}: {reply:?}");
        assert!(
            lower.contains("content-type: application/json")
                && lower.contains("x-content-type-options: nosniff")
        );
    }
    for path in ["oauth2/token", "*", "http://evil.test/oauth2/nowhere", ""] {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let reply = exchange(&stage, head.as_bytes()).await;
        assert!(matches!(reply.statuses()[..], [400 | 404]), "{path}: {reply:?}");
    }
    // The one spelling that a router must fold (RFC 3986 section 6.2.2.2): it is the same handler, as strict as ever.
    let head = "POST /%6fauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let reply = exchange(&stage, head.as_bytes()).await;
    assert_eq!(reply.statuses(), [415], "{reply:?}");
    assert!(reply.text.to_lowercase().contains("cache-control: no-store"), "{reply:?}");
    stage.close().await;
}

// HT-20, HT-24, HT-26, HT-28
#[tokio::test]
async fn what_holds_a_secret_is_kept_by_nobody_and_no_answer_names_the_software() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let code = stage.code(&client, &Visitor::new(), &["read"]).await;
    let token = code.redeem_with(&[("unknown", "x"), ("audience", "https://evil.test")]).await;
    let tokens = Tokens::read(&token);
    assert_eq!(token.header("content-type"), "application/json");
    assert!(tokens.all["expires_in"].is_i64(), "a number: {:#}", tokens.all);
    assert_eq!(tokens.all["token_type"], "Bearer");
    assert!(tokens.all.as_object().expect("an object").values().all(|value| !value.is_null()));

    let mut answers = vec![
        token,
        client.refresh("x").await,
        client.revoke("x").await,
        stage.register(&metadata(&[PUB1])).await,
        stage.register(&json!([])).await,
        Answer::to(http().get(stage.at("/oauth2/userinfo")).bearer_auth(&tokens.access)).await,
        Answer::to(http().delete(stage.at("/oauth2/token"))).await,
        Answer::to(http().post(stage.at("/login"))).await,
        ask(&client.request().url()).await,
        ask(&client.request().with("client_id", "x").url()).await,
    ];
    let paths = [
        "/",
        "/login",
        "/consent",
        "/consent?request=x",
        "/logout",
        "/setup/x",
        "/nowhere",
        "/healthz",
        "/readyz",
        "/.well-known/nowhere",
        "/oauth2/userinfo",
        "/oauth2/token",
    ];
    for path in paths {
        answers.push(ask(&stage.at(path)).await);
    }
    for answer in &answers {
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:#?}");
        assert_eq!(answer.header("pragma"), "no-cache");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    answers.push(ask(&stage.at("/.well-known/jwks.json")).await);
    answers.push(ask(&stage.at("/assets/doorward.css")).await);
    for answer in &answers {
        for name in ["server", "x-powered-by", "via", "x-aspnet-version", "x-runtime"] {
            assert!(!answer.headers.contains_key(name), "{name}: {answer:#?}");
        }
        let body = answer.body.to_lowercase();
        for word in ["actix", "sqlx", "rustc", "panicked", ".rs:", "sqlite", "postgres", "stack backtrace"] {
            assert!(!body.contains(word), "{word}: {answer:#?}");
        }
    }
    // Nothing is made, and nothing kept, for a language.
    let plain = ask(&stage.at("/login")).await.body.len();
    for i in 0..50 {
        let url = format!("{}?ui_locales=x-{i}", stage.at("/login"));
        let answer = Answer::to(http().get(url).header("accept-language", format!("x-{i}"))).await;
        assert_eq!(answer.body.len(), plain);
    }
    assert!(!text(&tokens.all["access_token"]).is_empty());
    stage.close().await;
}

// HT-25
#[tokio::test]
async fn without_tls_the_server_does_not_open_to_other_machines_unasked() {
    let stage = Stage::start(Store::Sqlite).await;
    let folder = stage.house.folder();
    let port = e2e::ports::Port::reserve();
    let local = format!("127.0.0.1:{}", port.number());
    let open = format!("0.0.0.0:{}", port.number());
    for (issuer, listen) in [
        ("http://auth.example.test", local.as_str()),
        ("http://localhost:9000", &open),
        ("http://localhost.example.test", &local),
        ("http://192.0.2.1", &local),
    ] {
        let mut command = command("doorward", &folder);
        command
            .env("DOORWARD__SERVER__ISSUER", issuer)
            .env("DOORWARD__SERVER__LISTEN", listen)
            .env("DOORWARD__STORE__URL", "sqlite:other.db")
            .arg("serve");
        let mut child = tokio::process::Command::from(command);
        child.kill_on_drop(true).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let ended = tokio::time::timeout(std::time::Duration::from_secs(20), child.output());
        let done = ended.await.expect("it does not start").expect("doorward runs");
        assert!(!done.status.success(), "{issuer} on {listen}");
        let why = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(why.contains("https") && why.contains("allow_insecure_http"), "{issuer} on {listen}: {why}");
    }
    stage.close().await;
}
