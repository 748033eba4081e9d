//! Attacks on signing in at an upstream provider, where this server is the client (group UP).

use std::time::Duration;

use e2e::{
    client::Client,
    house::{Plan, Store},
    idp::{Idp, Lie, Mood, now, way_back, way_there},
    page::Page,
    visitor::Visitor,
};
use serde_json::{Value, json};
use url::Url;

use super::stage::{PUB1, Stage, assert_quiet};

mod links;
mod passwords;
mod proofs;

/// A server and one provider, `corp`, at which a stranger called Carol signs in.
struct Corp {
    stage: Stage,
    client: Client,
    idp: Idp,
}

const CAROL: &str = "carol@corp.test";

impl Corp {
    async fn open(dialect: &str, change: impl FnOnce(Plan) -> Plan) -> Self {
        let idp = Idp::start("carol-0001", CAROL).await;
        let plan = idp.known_to(Plan::on(Store::Sqlite).without_artifacts(), "corp", dialect);
        let stage = Stage::build(change(plan)).await;
        let client = stage.client(&[PUB1]).await;
        Self { stage, client, idp }
    }

    /// Where the provider sends this browser back to; not followed.
    async fn called_back(&self, visitor: &Visitor) -> Url {
        let there = way_there(visitor, &self.client.request().url(), "corp").await;
        way_back(visitor, there, self.stage.house.origin()).await
    }

    /// The page at which a sign-in ends.
    async fn arrive(&self, visitor: &Visitor) -> Page {
        let back = self.called_back(visitor).await;
        visitor.open(back.as_str()).await.page()
    }

    /// Who is signed in in this browser: the front page's words.
    async fn who(&self, visitor: &Visitor) -> String {
        visitor.open(&self.stage.at("/")).await.page().text
    }

    fn users(&self) -> Vec<String> {
        let listed = self.stage.house.cli(&["user", "list", "--json"], "").json();
        listed
            .as_array()
            .expect("a list")
            .iter()
            .map(|user| user["email"].as_str().expect("text").to_owned())
            .collect()
    }

    fn identities(&self, email: &str) -> Value {
        self.stage.house.cli(&["user", "identities", email, "--json"], "").json()
    }

    async fn close(self) {
        self.idp.honest();
        self.stage.close().await;
    }
}

fn without(url: &Url, name: &str) -> Url {
    let kept: Vec<_> = url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(kept);
    url
}

fn with(url: &Url, name: &str, value: &str) -> Url {
    let mut url = without(url, name);
    url.query_pairs_mut().append_pair(name, value);
    url
}

// UP-01, UP-11
#[tokio::test]
async fn a_callback_is_good_once_and_only_in_the_browser_that_began_it() {
    let corp = Corp::open("generic", |plan| plan).await;
    let visitor = Visitor::new();
    let back = corp.called_back(&visitor).await;

    for (url, status, code) in [
        (without(&back, "state"), 403, "request_gone"),
        (with(&back, "state", ""), 403, "request_gone"),
        (with(&back, "state", "dwu_nonsense"), 403, "request_gone"),
        (without(&back, "code"), 400, "invalid_request"),
    ] {
        let fresh = corp.called_back(&visitor).await;
        let url = if code == "invalid_request" { without(&fresh, "code") } else { url };
        visitor.open(url.as_str()).await.page().expect_error(status, code);
    }
    let twice = Url::parse(&format!("{back}&code=again")).unwrap();
    visitor.open(twice.as_str()).await.page().expect_error(400, "invalid_request");
    // Whoever got hold of the address cannot use it, and does not use it up either.
    for thief in [Visitor::new(), {
        let other = Visitor::new();
        corp.called_back(&other).await;
        other
    }] {
        thief.open(back.as_str()).await.page().expect_error(403, "other_browser");
    }
    let page = visitor.open(back.as_str()).await.page();
    assert_eq!(page.kind, "consent", "{page:#?}");
    visitor.open(back.as_str()).await.page().expect_error(403, "request_gone");

    // The way there carries a challenge and a nonce every time, and the verifier never leaves with it.
    let authorizations = corp.idp.state().authorizations.clone();
    assert!(authorizations.len() > 4);
    let mut nonces: Vec<_> = authorizations.iter().map(|asked| asked["nonce"].clone()).collect();
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), authorizations.len());
    for asked in &authorizations {
        assert_eq!(asked["code_challenge_method"], "S256");
        assert_eq!(asked["code_challenge"].len(), 43);
        assert_eq!(
            asked["redirect_uri"],
            format!("{}/login/upstream/corp/callback", corp.stage.house.issuer())
        );
        assert!(!asked.contains_key("code_verifier") && asked["response_type"] == "code");
    }
    corp.close().await;
}

// UP-01
#[tokio::test]
async fn nobody_is_sent_anywhere_but_to_the_provider_and_back_to_what_waits() {
    let corp = Corp::open("generic", |plan| plan).await;
    let visitor = Visitor::new();
    let begin = corp.stage.at("/login/upstream/corp");
    for evil in ["https://evil.test/", "//evil.test", "req_01ARZ3NDEKTSV4RRFFQ69G5FAV/../../x"] {
        let url = Url::parse_with_params(&begin, [("request", evil), ("redirect_uri", evil), ("next", evil)])
            .unwrap();
        let there = visitor.open(url.as_str()).await.away().url;
        assert!(there.as_str().starts_with(corp.idp.issuer()), "{there}");
        assert!(!there.as_str().contains("evil"), "{there}");
        let back = way_back(&visitor, there, corp.stage.house.origin()).await;
        let page = visitor.open(back.as_str()).await.page();
        assert_eq!(page.kind, "home", "{page:#?}");
    }
    // A page elsewhere signs nobody in behind their back: they see the sign-in page.
    let request = Visitor::new().http().get(&begin).header("sec-fetch-site", "cross-site");
    let answer = e2e::answer::Answer::to(request).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/login"));
    Visitor::new()
        .open(&corp.stage.at("/login/upstream/nobody"))
        .await
        .page()
        .expect_error(404, "unknown_provider");
    corp.close().await;
}

// UP-02
#[tokio::test]
async fn the_answer_of_one_provider_is_nothing_at_another() {
    let (a, b) = (Idp::start("carol-a", CAROL).await, Idp::start("carol-b", CAROL).await);
    let plan = Plan::on(Store::Sqlite).without_artifacts();
    let stage = Stage::build(b.known_to(a.known_to(plan, "a", "generic"), "b", "generic")).await;
    let client = stage.client(&[PUB1]).await;
    let (visitor, home) = (Visitor::new(), stage.house.origin().to_owned());
    let to = async |provider| {
        let there = way_there(&visitor, &client.request().url(), provider).await;
        way_back(&visitor, there, &home).await
    };
    let back_a = to("a").await;
    // The code and the state of A at B's address.
    let mut at_b = back_a.clone();
    at_b.set_path("/login/upstream/b/callback");
    visitor.open(at_b.as_str()).await.page().expect_error(403, "request_gone");
    // The code of A with a state of B: whoever answers says who they are.
    let back_b = to("b").await;
    let code = back_a.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    visitor
        .open(with(&with(&back_b, "code", &code), "iss", a.issuer()).as_str())
        .await
        .page()
        .expect_error(403, "upstream_invalid");
    let back_b = to("b").await;
    visitor.open(without(&back_b, "iss").as_str()).await.page().expect_error(403, "upstream_invalid");
    // Even where nobody says so, the code is the other one's and buys nothing.
    b.state().says_iss = false;
    let back_b = to("b").await;
    visitor.open(with(&back_b, "code", &code).as_str()).await.page().expect_error(403, "upstream_invalid");
    assert!(b.state().token_requests.iter().all(|form| form["code"] != code), "the code of A went to B");
    stage.close().await;
}

/// What is wrong with an ID token.
type Twist = fn(&mut Lie);

// UP-03
#[tokio::test]
async fn an_id_token_that_does_not_hold_signs_nobody_in() {
    let corp = Corp::open("generic", |plan| plan).await;
    let lies: [(&str, Twist); 16] = [
        ("alg none", |lie| lie.signed = "none"),
        ("HS256 with the client secret", |lie| lie.signed = "HS256"),
        ("a key that is not published", |lie| lie.signed = "other"),
        ("another issuer", |lie| drop(lie.claims.insert("iss".into(), "https://evil.test".into()))),
        ("no issuer", |lie| drop(lie.claims.remove("iss"))),
        ("another audience", |lie| drop(lie.claims.insert("aud".into(), "somebody-else".into()))),
        ("one audience too many", |lie| drop(lie.claims.insert("aud".into(), json!(["doorward", "evil"])))),
        ("made for another party", |lie| drop(lie.claims.insert("azp".into(), "somebody-else".into()))),
        ("another nonce", |lie| drop(lie.claims.insert("nonce".into(), "another".into()))),
        ("no nonce", |lie| drop(lie.claims.remove("nonce"))),
        ("expired", |lie| drop(lie.claims.insert("exp".into(), (now() - 120).into()))),
        ("no end", |lie| drop(lie.claims.remove("exp"))),
        ("an hour old", |lie| drop(lie.claims.insert("iat".into(), (now() - 3600).into()))),
        ("of the future", |lie| drop(lie.claims.insert("iat".into(), (now() + 3600).into()))),
        ("of another access token", |lie| {
            drop(lie.claims.insert("at_hash".into(), "AAAAAAAAAAAAAAAAAAAAAA".into()));
        }),
        ("not there", |lie| lie.present = false),
    ];
    for (what, lie) in lies {
        corp.idp.lie(lie);
        let visitor = Visitor::new();
        let page = corp.arrive(&visitor).await;
        assert_eq!(page.kind, "error", "{what}: {page:#?}");
        assert!(
            matches!(page.error.as_deref(), Some("upstream_invalid" | "upstream_away")),
            "{what}: {page:#?}"
        );
        assert!(!corp.who(&visitor).await.contains("carol"), "{what}");
    }
    assert_eq!(corp.users(), ["alice@example.test"]);
    corp.idp.honest();
    assert_eq!(corp.arrive(&Visitor::new()).await.kind, "consent");
    corp.close().await;
}

// UP-04
#[tokio::test]
async fn userinfo_about_somebody_else_signs_nobody_in() {
    let corp = Corp::open("generic", |plan| plan).await;
    corp.idp.state().userinfo.insert("sub".to_owned(), "mallory".into());
    corp.arrive(&Visitor::new()).await.expect_error(403, "upstream_invalid");
    assert_eq!(corp.users(), ["alice@example.test"]);
    corp.idp.state().userinfo.clear();
    assert_eq!(corp.arrive(&Visitor::new()).await.kind, "consent");
    corp.close().await;
}

// UP-10
#[tokio::test]
async fn metadata_and_keys_that_are_not_the_providers_own_are_not_taken() {
    let idp = Idp::start("carol-0001", CAROL).await;
    let evil = "http://169.254.169.254/x";
    let lies = [
        json!({"issuer": "https://evil.test"}),
        json!({"jwks_uri": "http://169.254.169.254/jwks"}),
        json!({"jwks_uri": format!("{}/nowhere", idp.issuer())}),
        json!({"authorization_endpoint": evil}),
        json!({"padding": "x".repeat(2 * 1024 * 1024)}),
    ];
    for lie in lies {
        let named: String = lie.to_string().chars().take(80).collect();
        let plan = idp.known_to(Plan::on(Store::Sqlite).without_artifacts(), "corp", "generic");
        let stage = Stage::build(plan).await;
        idp.state().metadata = serde_json::from_value(lie).unwrap();
        let page = Visitor::new().open(&stage.at("/login/upstream/corp")).await.page();
        assert!(
            matches!(page.error.as_deref(), Some("upstream_invalid" | "upstream_away")),
            "{named}: {page:#?}"
        );
        assert_quiet(&stage.house, |status| status < 500 || status == 502);
    }
    idp.state().metadata.clear();

    let plan = idp.known_to(Plan::on(Store::Sqlite).without_artifacts(), "corp", "generic");
    let stage = Stage::build(plan).await;
    let client = stage.client(&[PUB1]).await;
    let corp = Corp { stage, client, idp };
    assert_eq!(corp.arrive(&Visitor::new()).await.kind, "consent");
    // What was known is good while the provider says nonsense about itself.
    corp.idp.state().metadata.insert("issuer".to_owned(), "https://evil.test".into());
    assert_eq!(corp.arrive(&Visitor::new()).await.kind, "consent");
    corp.close().await;
}

// UP-12
#[tokio::test]
async fn a_provider_in_trouble_signs_nobody_in_and_spends_the_state() {
    let corp = Corp::open("generic", |plan| plan).await;
    let html = "<html><script>alert(1)</script>".to_owned();
    for mood in [Mood::Answers(500, html.clone()), Mood::Answers(200, html), Mood::Silent] {
        let visitor = Visitor::new();
        let back = corp.called_back(&visitor).await;
        corp.idp.state().mood = mood.clone();
        let asked = visitor.open(back.as_str());
        let page =
            tokio::time::timeout(Duration::from_secs(20), asked).await.expect("an answer in time").page();
        page.expect_error(502, "upstream_away");
        assert!(!page.answer.body.contains("alert"), "{page:#?}");
        corp.idp.state().mood = Mood::Fine;
        visitor.open(back.as_str()).await.page().expect_error(403, "request_gone");
        assert!(!corp.who(&visitor).await.contains("carol"));
    }
    for (denial, words) in [
        ("user_not_assigned", "assign you"),
        ("access_denied", "said no"),
        ("invalid_scope", "offline_access"),
        ("<script>", "tell an administrator"),
    ] {
        corp.idp.state().denies = Some(denial);
        let page = corp.arrive(&Visitor::new()).await;
        page.expect_error(403, "upstream_denied");
        assert!(page.text.contains(words) && !page.answer.body.contains("<script>"), "{page:#?}");
    }
    corp.idp.state().denies = None;
    assert_eq!(corp.users(), ["alice@example.test"]);
    corp.idp.honest();
    // A 502 is this server's word about another one; every other statement of `close` holds.
    assert_quiet(&corp.stage.house, |status| status < 500 || status == 502);
}

// UP-13
#[tokio::test]
async fn where_a_group_is_asked_for_nobody_else_comes_in() {
    let corp =
        Corp::open("generic", |plan| plan.with("UPSTREAM__CORP__ALLOWED_GROUPS", "staff,admins")).await;
    for groups in [
        Value::Null,
        json!([]),
        json!(["staffing"]),
        json!("not-staff"),
        json!({"staff": true}),
        json!([["staff"]]),
    ] {
        corp.idp.claim("groups", groups.clone());
        let page = corp.arrive(&Visitor::new()).await;
        page.expect_error(403, "group_required");
        assert!(page.text.contains("groups"), "{groups}: {page:#?}");
    }
    assert_eq!(corp.users(), ["alice@example.test"]);
    corp.idp.claim("groups", json!(["staff"]));
    assert_eq!(corp.arrive(&Visitor::new()).await.kind, "consent");
    // Put out of the group upstream: not in again.
    corp.idp.claim("groups", json!(["guests"]));
    corp.arrive(&Visitor::new()).await.expect_error(403, "group_required");
    corp.close().await;
}
