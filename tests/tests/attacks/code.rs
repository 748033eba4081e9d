//! Group 1.3: one redemption of a code, by the one to whom it was given.

use std::time::Duration;

use e2e::answer::Answer;
use e2e::client::{Tokens, text};
use e2e::fresh;
use e2e::house::{Plan, Store};
use e2e::visitor::Visitor;
use serde_json::json;

use crate::browser::plain;
use crate::stage::{EVIL, NAT1, PUB1, Stage, assert_json_error, http, metadata};

e2e::on_both_stores!(a_second_redemption_ends_what_the_first_one_gave);

// CD-01
async fn a_second_redemption_ends_what_the_first_one_gave(store: Store) {
    let stage = Stage::start(store).await;
    let client = stage.client(&[PUB1]).await;
    let code = stage.code(&client, &Visitor::new(), &["read"]).await;
    let tokens = Tokens::read(&code.redeem().await);
    let renewed = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert_json_error(&code.redeem().await, 400, "invalid_grant");
    assert_json_error(&client.refresh(&renewed.refresh).await, 400, "invalid_grant");
    let asked = http().get(stage.at("/oauth2/userinfo")).bearer_auth(&renewed.access);
    let answer = Answer::to(asked).await;
    assert_eq!(answer.status, 401, "the access token is dead where the grant is looked at: {answer:#?}");
    // Whatever else is asked for with a copy, it is a copy.
    let code = stage.code(&client, &Visitor::new(), &["read"]).await;
    let tokens = Tokens::read(&code.redeem().await);
    let elsewhere = stage.at("/elsewhere");
    assert_json_error(&code.redeem_with(&[("resource", &elsewhere)]).await, 400, "invalid_grant");
    assert_json_error(&client.refresh(&tokens.refresh).await, 400, "invalid_grant");
    // A third time changes nothing any more.
    assert_json_error(&code.redeem().await, 400, "invalid_grant");
    stage.close().await;
}

// CD-02, CD-03
#[tokio::test]
async fn a_thief_without_the_verifier_cannot_end_what_the_owner_has() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let evil = stage.client(&[EVIL]).await;
    let code = stage.code(&client, &Visitor::new(), &["read"]).await;
    let mut tokens = Tokens::read(&code.redeem().await);
    for changes in [
        [("code_verifier", fresh())],
        [("client_id", evil.client_id.clone())],
        [("redirect_uri", EVIL.to_owned())],
    ] {
        let changes = changes.each_ref().map(|(name, value)| (*name, value.as_str()));
        assert_json_error(&code.redeem_with(&changes).await, 400, "invalid_grant");
        tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    }
    stage.close().await;
}

// CD-04, CD-06, CD-07, CD-09, CD-10, CD-12
#[tokio::test]
async fn a_refused_redemption_leaves_the_code_to_its_owner() {
    let stage = Stage::start(Store::Sqlite).await;
    let native = stage.client(&[NAT1]).await;
    let evil = stage.client(&[EVIL]).await;
    let visitor = Visitor::new();
    let request = native.request().with("redirect_uri", "http://127.0.0.1:5001/cb");
    let callback = visitor.authorize(&request.url(), stage.house.alice(), &["read"]).await;
    let code = crate::stage::Code { client: native.clone(), request, text: callback.code() };
    let verifier = code.request.verifier.clone();
    for (changes, error) in [
        (vec![("client_id", evil.client_id.as_str())], "invalid_grant"),
        (vec![("client_id", evil.client_id.as_str()), ("redirect_uri", EVIL)], "invalid_grant"),
        (vec![("code_verifier", "")], "invalid_request"),
        (vec![("redirect_uri", "http://127.0.0.1:5002/cb")], "invalid_grant"),
        (vec![("redirect_uri", NAT1)], "invalid_grant"),
        (vec![("redirect_uri", "http://other")], "invalid_grant"),
        (vec![("redirect_uri", "http://127.0.0.1:5001/cb/")], "invalid_grant"),
        (vec![("code_verifier", &verifier[1..])], "invalid_grant"),
        (vec![("code_verifier", &"a".repeat(129))], "invalid_grant"),
        (vec![("code_verifier", &format!("{}é", &verifier[1..]))], "invalid_grant"),
    ] {
        assert_json_error(&code.redeem_with(&changes).await, 400, error);
    }
    let zero = format!("{verifier}\0");
    assert_json_error(&code.redeem_with(&[("code_verifier", &zero)]).await, 400, "invalid_request");

    // Mallory puts Alice's code into a sign-in of his own with the same client, and has only his own verifier.
    let mallory = stage.house.user("mallory@example.test");
    let his = stage.code_of(&native, &Visitor::new(), &mallory, &["read"]).await;
    let injected = his.redeem_with(&[("code", &code.text), ("redirect_uri", "")]).await;
    assert_json_error(&injected, 400, "invalid_grant");

    // OAuth 2.1 leaves the redirect URI out of the exchange: PKCE binds the code already.
    Tokens::read(&code.redeem_with(&[("redirect_uri", "")]).await);
    stage.close().await;
}

// CD-05
#[tokio::test]
async fn after_five_wrong_verifiers_a_code_is_dead() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    for (tries, status) in [(4, 200), (5, 400)] {
        let code = stage.code(&client, &visitor, &["read"]).await;
        for _ in 0..tries {
            let answer = code.redeem_with(&[("code_verifier", &fresh())]).await;
            assert_json_error(&answer, 400, "invalid_grant");
        }
        let answer = code.redeem().await;
        assert_eq!(answer.status, status, "after {tries} wrong verifiers: {answer:#?}");
    }
    stage.close().await;
}

// CD-11
#[tokio::test]
async fn a_code_that_waited_too_long_is_worth_nothing() {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("TOKEN__CODE_TTL", "1s");
    let stage = Stage::build(plan).await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    let code = stage.code(&client, &visitor, &["read"]).await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_json_error(&code.redeem().await, 400, "invalid_grant");
    stage.close().await;
}

// CD-13
#[tokio::test]
async fn who_guesses_codes_is_told_to_wait() {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("LIMITS__TOKEN_FAILURES", "20");
    let stage = Stage::build(plan).await;
    let client = stage.client(&[PUB1]).await;
    let code = stage.code(&client, &Visitor::new(), &["read"]).await;
    for _ in 0..20 {
        let guess = code.redeem_with(&[("code", &fresh())]).await;
        assert_json_error(&guess, 400, "invalid_grant");
    }
    for _ in 0..5 {
        let guess = code.redeem_with(&[("code", &fresh())]).await;
        assert_json_error(&guess, 429, "too_many_requests");
        assert_eq!(guess.header("retry-after"), "60");
    }
    // A neighbour in the same network who has the right code is served all the same.
    Tokens::read(&code.redeem().await);
    stage.close().await;
}

// CD-14, CD-15, CD-21
#[tokio::test]
async fn only_the_very_text_of_a_code_is_a_code() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    let tokens = stage.tokens(&client, &visitor).await;
    let (_, secret) = stage.confidential("client_secret_post").await;
    let code = stage.code(&client, &visitor, &["read"]).await;
    let text = code.text.clone();
    let mut wrong = vec![
        format!("{text}A"),
        format!("{text}="),
        format!(" {text}"),
        format!("{text} "),
        text.to_uppercase(),
        text.replace("dwc_", "dwr_"),
        text.replace("dwc_", ""),
        tokens.access.clone(),
        tokens.refresh.clone(),
        tokens.refresh.replace("dwr_", "dwc_"),
        secret,
        fresh(),
        "' OR 1=1--".to_owned(),
        "%".to_owned(),
    ];
    wrong.extend([1, 2, 7, 30, text.len() - 5].map(|cut| text[..text.len() - cut].to_owned()));
    wrong.extend((4..text.len()).step_by(6).map(|at| {
        let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    }));
    for wrong in wrong {
        assert_json_error(&code.redeem_with(&[("code", &wrong)]).await, 400, "invalid_grant");
    }
    Tokens::read(&code.redeem().await);

    let mut codes = Vec::new();
    for _ in 0..20 {
        codes.push(stage.code(&client, &visitor, &[]).await.text);
    }
    // 256 random bits, the kind in front, a checksum behind.
    assert!(codes.iter().all(|code| code.starts_with("dwc_") && code.len() == 4 + 43 + 6), "{codes:?}");
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), 20);
    stage.close().await;
}

// CD-16, CD-17
#[tokio::test]
async fn a_code_dies_with_the_sign_in_in_which_it_was_allowed() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let visitor = Visitor::new();
    let code = stage.code(&client, &visitor, &["read"]).await;
    let home = visitor.open(&stage.at("/")).await.page();
    let form = home.forms.first().expect("the form to sign out");
    visitor.post(&form.action, &plain(form)).await.page();
    assert_json_error(&code.redeem().await, 400, "invalid_grant");

    let code = stage.code(&client, &Visitor::new(), &["read"]).await;
    stage.house.cli(&["user", "disable", "alice@example.test"], "").ok();
    assert_json_error(&code.redeem().await, 400, "invalid_grant");
    stage.house.cli(&["user", "enable", "alice@example.test"], "").ok();
    // The session that was ended stays ended, and what was allowed in it stays dead.
    assert_json_error(&code.redeem().await, 400, "invalid_grant");
    stage.close().await;
}

// CD-18
#[tokio::test]
async fn a_client_gets_by_the_grants_that_it_registered_and_no_other() {
    let stage = Stage::start(Store::Sqlite).await;
    let mut body = metadata(&[PUB1]);
    body["grant_types"] = json!(["authorization_code"]);
    let registered = stage.register(&body).await.expect(201);
    let client = stage.known(&text(&registered["client_id"]), PUB1);
    let code = stage.code(&client, &Visitor::new(), &["read"]).await;
    let answer = code.redeem().await.expect(200);
    assert!(answer.get("refresh_token").is_none(), "{answer:#}");
    assert_json_error(&client.refresh("dwr_x").await, 400, "unauthorized_client");

    let whole = stage.client(&[PUB1]).await;
    for grant_type in [
        "password",
        "client_credentials",
        "implicit",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:openid:params:grant-type:ciba",
        "AUTHORIZATION_CODE",
        "authorization_code ",
    ] {
        for client in [&client, &whole] {
            let answer = client
                .token(&[
                    ("grant_type", grant_type),
                    ("client_id", &client.client_id),
                    ("username", "alice@example.test"),
                    ("password", &stage.house.alice().password),
                    ("assertion", "a.b.c"),
                    ("subject_token", "a.b.c"),
                ])
                .await;
            assert_json_error(&answer, 400, "unsupported_grant_type");
        }
    }
    stage.close().await;
}

// CD-19
#[tokio::test]
async fn the_token_endpoint_answers_post_alone() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let code = stage.code(&client, &Visitor::new(), &["read"]).await;
    let query = [
        ("grant_type", "authorization_code"),
        ("code", &code.text),
        ("client_id", &client.client_id),
        ("code_verifier", &code.request.verifier),
    ];
    let endpoint = url::Url::parse_with_params(&stage.at("/oauth2/token"), &query).expect("a URL");
    for answer in [
        Answer::to(http().get(endpoint.clone())).await,
        Answer::to(http().put(endpoint.clone()).form(&query)).await,
        Answer::to(http().delete(endpoint.clone())).await,
    ] {
        assert_eq!(answer.status, 405, "{answer:#?}");
        assert_eq!(answer.header("allow"), "POST, OPTIONS");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    // What is in the query is not read by a POST either.
    assert_json_error(&Answer::to(http().post(endpoint).form(&[("x", "y")])).await, 400, "invalid_request");
    Tokens::read(&code.redeem().await);
    stage.close().await;
}
