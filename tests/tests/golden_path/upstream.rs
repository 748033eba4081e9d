//! Signing in at an upstream provider in each of its dialects, through one fixed callback, and what becomes of groups.

use std::time::Duration;

use e2e::{
    answer::Answer,
    client::{Client, Tokens},
    house::{House, Plan, Store},
    idp::{CLIENT_SECRET, Idp, Mood, way_back, way_there},
    page::Page,
    scene::Scene,
    visitor::Visitor,
};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use url::Url;

mod keys;
mod peer;

const CAROL: &str = "carol@corp.test";

/// A house, one provider called `corp`, and a client.
struct Corp {
    house: House,
    idp: Idp,
    client: Client,
}

impl Corp {
    async fn open(store: Store, dialect: &str, change: impl FnOnce(Plan) -> Plan) -> Self {
        let idp = Idp::start("carol-0001", CAROL).await;
        let plan =
            idp.known_to(Plan::on(store).without_artifacts().with("LOG__LEVEL", "trace"), "corp", dialect);
        let house = House::build(change(plan)).await;
        let client = Scene::at(&house).await.client().await;
        Self { house, idp, client }
    }

    /// Carol signs in at the provider; ends on the consent page.
    async fn consent(&self, visitor: &Visitor, url: &str) -> Page {
        let there = way_there(visitor, url, "corp").await;
        let back = way_back(visitor, there, self.house.origin()).await;
        assert_eq!(back.path(), "/login/upstream/corp/callback");
        visitor.open(back.as_str()).await.page()
    }

    /// Carol signs in and allows `read`.
    async fn tokens(&self) -> Tokens {
        let (visitor, request) = (Visitor::new(), self.client.request());
        let page = self.consent(&visitor, &request.url()).await;
        assert_eq!(page.kind, "consent", "{page:#?}");
        let code = visitor.decide(&page, &["read"], "authorize").await.away().code();
        Tokens::read(&self.client.redeem(&request, &code).await)
    }

    async fn refresh(&self, tokens: &Tokens) -> Answer {
        self.client.refresh(&tokens.refresh).await
    }

    fn groups(&self) -> Value {
        let users = self.house.cli(&["user", "list", "--json"], "").json();
        let carol = users.as_array().expect("a list").iter().find(|user| user["email"] == CAROL).cloned();
        carol.expect("Carol has an account")["upstream_groups"].clone()
    }

    fn identity(&self) -> Value {
        self.house.cli(&["user", "identities", CAROL, "--json"], "").json()[0].clone()
    }

    /// Nothing that the provider gave, and not the secret for it, is in the log.
    fn assert_discreet(&self) {
        let logs = self.house.logs();
        assert!(!logs.contains(CLIENT_SECRET), "the client secret is in the log");
        for secret in &self.idp.state().secrets {
            assert!(!logs.contains(secret), "a token of the provider is in the log");
        }
    }
}

e2e::on_both_stores! {
    each_dialect_signs_people_in_and_brings_its_groups,
    a_group_that_is_taken_away_upstream_is_gone_at_the_next_refresh,
    what_the_provider_ends_ends_here_at_the_next_refresh,
}

async fn each_dialect_signs_people_in_and_brings_its_groups(store: Store) {
    let guid = "0f0e0d0c-0b0a-4908-8706-050403020100";
    let dialects = [
        (
            "keycloak",
            "groups",
            json!(["/artifact-users", "/eng/platform"]),
            json!(["artifact-users", "eng/platform"]),
        ),
        ("cognito", "cognito:groups", json!(["artifact-users"]), json!(["artifact-users"])),
        ("okta", "groups", Value::Null, json!([])),
        ("entra", "groups", json!([guid]), json!([guid])),
    ];
    for (dialect, claim, sent, expected) in dialects {
        let corp = Corp::open(store, dialect, |plan| plan).await;
        corp.idp.claim(claim, sent.clone());
        let visitor = Visitor::new();
        let login = visitor.open(&format!("{}/login", corp.house.issuer())).await.page();
        let there = visitor.open(login.providers["corp"].as_str()).await.away().url;
        let back = way_back(&visitor, there, corp.house.origin()).await;
        assert_eq!(visitor.open(back.as_str()).await.page().kind, "home");
        assert_eq!(corp.groups(), expected, "{dialect}");
        let scope = corp.idp.state().authorizations[0]["scope"].clone();
        let offline = matches!(dialect, "okta" | "entra");
        assert_eq!(scope.contains("offline_access"), offline, "{dialect}: {scope}");
        let identity = corp.identity();
        if sent.is_null() {
            // Absent until the claim is configured there: whoever looks is told how.
            assert_eq!(identity["groups_source"], "absent");
            assert!(identity["note"].as_str().expect("a note").contains("docs/upstream.md"), "{identity}");
            assert!(corp.house.logs().contains("add a groups claim"), "the log says how");
        } else {
            assert_eq!((&identity["groups_source"], &identity["note"]), (&json!("listed"), &Value::Null));
        }
        corp.assert_discreet();
    }
}

async fn a_group_that_is_taken_away_upstream_is_gone_at_the_next_refresh(store: Store) {
    let corp = Corp::open(store, "keycloak", |plan| plan).await;
    corp.idp.claim("groups", json!(["/staff", "/artifact-users"]));
    let tokens = corp.tokens().await;
    assert_eq!(corp.groups(), json!(["artifact-users", "staff"]));

    corp.idp.claim("groups", json!(["/staff"]));
    let tokens = Tokens::read(&corp.refresh(&tokens).await);
    assert_eq!(corp.groups(), json!(["staff"]));
    // At once again: what was asked a moment ago is asked anew.
    corp.idp.claim("groups", json!(["/staff", "/admins"]));
    let tokens = Tokens::read(&corp.refresh(&tokens).await);
    assert_eq!(corp.groups(), json!(["admins", "staff"]));

    // The provider is away: what is known counts, and the refresh is not lost.
    corp.idp.state().mood = Mood::Answers(503, "away".to_owned());
    corp.idp.claim("groups", json!([]));
    let tokens = Tokens::read(&corp.refresh(&tokens).await);
    assert_eq!(corp.groups(), json!(["admins", "staff"]));
    // For so long, and no longer.
    corp.house.alter("update identities set checked_at = checked_at - 90000");
    Tokens::read(&corp.refresh(&tokens).await);
    assert_eq!(corp.groups(), json!([]));
    assert_eq!(corp.identity()["groups_source"], "stale");
    corp.assert_discreet();
}

async fn what_the_provider_ends_ends_here_at_the_next_refresh(store: Store) {
    let corp = Corp::open(store, "okta", |plan| plan).await;
    corp.idp.claim("groups", json!(["staff"]));
    let (tokens, other) = (corp.tokens().await, corp.tokens().await);
    corp.idp.state().refreshes = false;
    corp.refresh(&tokens).await.expect_error(400, "invalid_grant");
    // The other grant that was made through it is over too, and so are groups and sessions.
    corp.refresh(&other).await.expect_error(400, "invalid_grant");
    assert_eq!(corp.groups(), json!([]));
    let identity = corp.identity();
    assert_eq!(identity["groups_source"], "ended", "{identity}");
    let trail = corp.house.cli(&["audit", "export"], "").ok();
    for action in ["identity_linked", "identity_ended", "grant_barred"] {
        assert!(trail.contains(action), "{action} is not in the trail");
    }
    // Signing in there again makes all of it good.
    corp.idp.state().refreshes = true;
    let tokens = corp.tokens().await;
    assert_eq!(corp.groups(), json!(["staff"]));
    Tokens::read(&corp.refresh(&tokens).await);
    corp.assert_discreet();
}

#[tokio::test]
async fn whoever_is_in_no_allowed_group_any_more_is_out_at_the_next_refresh() {
    let corp =
        Corp::open(Store::Sqlite, "generic", |plan| plan.with("UPSTREAM__CORP__ALLOWED_GROUPS", "staff"))
            .await;
    for groups in [json!(["guests"]), json!({"staff": true}), Value::Null] {
        corp.idp.claim("groups", json!(["staff", "guests"]));
        let visitor = Visitor::new();
        assert_eq!(corp.consent(&visitor, &corp.client.request().url()).await.kind, "consent");
        let tokens = Tokens::read(&corp.refresh(&corp.tokens().await).await);
        corp.idp.claim("groups", groups.clone());
        corp.refresh(&tokens).await.expect_error(400, "invalid_grant");
        assert_eq!(
            (corp.groups(), &corp.identity()["groups_source"]),
            (json!([]), &json!("ended")),
            "{groups}"
        );
        let home = visitor.open(&format!("{}/", corp.house.issuer())).await.page();
        assert!(!home.text.contains(CAROL), "{groups}: {home:#?}");
    }
    assert!(corp.house.cli(&["audit", "export"], "").ok().contains("group_required"));
    corp.assert_discreet();
}

#[tokio::test]
async fn the_new_refresh_token_of_a_provider_is_kept_whatever_else_is_wrong() {
    let corp = Corp::open(Store::Sqlite, "keycloak", |plan| plan).await;
    corp.idp.claim("groups", json!(["/staff"]));
    let mut tokens = corp.tokens().await;
    for wrong in ["the ID token", "userinfo"] {
        if wrong == "the ID token" {
            corp.idp.lie(|lie| lie.signed = "other");
        } else {
            corp.idp.state().refresh_has_id_token = false;
            corp.idp.state().userinfo.insert("sub".to_owned(), "mallory".into());
        }
        tokens = Tokens::read(&corp.refresh(&tokens).await);
        assert_eq!(corp.groups(), json!(["staff"]), "{wrong}");
        corp.idp.honest();
        corp.idp.state().refresh_has_id_token = true;
        corp.idp.state().userinfo.clear();
        // The provider takes each of its tokens once: with the one before, this would be the end.
        tokens = Tokens::read(&corp.refresh(&tokens).await);
        assert_eq!(corp.identity()["groups_source"], "listed", "{wrong}");
    }
    corp.assert_discreet();
}

#[tokio::test]
async fn a_group_of_a_provider_with_a_prefix_is_no_group_of_that_name_here() {
    let corp = Corp::open(Store::Sqlite, "keycloak", |plan| {
        plan.with("UPSTREAM__CORP__GROUP_PREFIX", "corp:").with("UPSTREAM__CORP__ALLOWED_GROUPS", "staff")
    })
    .await;
    let rule = |group: &str, tier: &str| {
        let rule = ["--resource", corp.house.mcp_url(), "--group", group, "--tier", tier];
        corp.house.cli(&[&["entitlement", "add"], &rule[..]].concat(), "").ok();
    };
    rule("staff", "destroy");
    rule("corp:staff", "read");
    corp.idp.claim("groups", json!(["/staff"]));
    let tokens = corp.tokens().await;
    assert_eq!(tokens.permissions(), ["artifacts:read"], "{:#}", tokens.all);
    assert_eq!(corp.groups(), json!(["corp:staff"]));
    let tokens = Tokens::read(&corp.refresh(&tokens).await);
    assert_eq!(tokens.permissions(), ["artifacts:read"]);
    assert_eq!(corp.groups(), json!(["corp:staff"]));
}

/// Sends a refresh, and breaks the connection off before the provider has answered.
async fn hang_up(corp: &Corp, tokens: &Tokens) {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "refresh_token")
        .append_pair("refresh_token", &tokens.refresh)
        .append_pair("client_id", &corp.client.client_id)
        .finish();
    let endpoint: Url = format!("{}/oauth2/token", corp.house.issuer()).parse().expect("a URL");
    let authority = endpoint.authority().to_owned();
    let mut stream = tokio::net::TcpStream::connect(&authority).await.expect("a connection");
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n",
        endpoint.path(),
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("sent");
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Not merely closed, which a server takes for a client that has said all: reset.
    stream.set_zero_linger().expect("an option of the socket");
}

#[tokio::test]
async fn the_new_refresh_token_of_a_provider_is_kept_when_nobody_waits_for_the_answer() {
    let corp = Corp::open(Store::Sqlite, "keycloak", |plan| plan).await;
    corp.idp.claim("groups", json!(["/staff"]));
    let tokens = corp.tokens().await;
    corp.idp.claim("groups", json!(["/staff", "/admins"]));
    corp.idp.state().delay = Duration::from_millis(800);
    hang_up(&corp, &tokens).await;
    let written = async {
        while corp.groups() != json!(["admins", "staff"]) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), written).await.expect("the answer is written down");
    // The provider takes each of its tokens once, and ours was not used.
    corp.idp.state().delay = Duration::ZERO;
    Tokens::read(&corp.refresh(&tokens).await);
    assert_eq!(corp.identity()["groups_source"], "listed");
}

#[tokio::test]
async fn many_refreshes_at_once_ask_a_provider_that_rotates_once() {
    let corp = Corp::open(Store::Sqlite, "keycloak", |plan| plan).await;
    let scene = Scene::at(&corp.house).await;
    let mut families = Vec::new();
    for _ in 0..6 {
        let client = scene.client().await;
        let (visitor, request) = (Visitor::new(), client.request());
        let page = corp.consent(&visitor, &request.url()).await;
        let code = visitor.decide(&page, &["read"], "authorize").await.away().code();
        families.push((client.clone(), Tokens::read(&client.redeem(&request, &code).await)));
    }
    let asked = corp.idp.state().token_requests.len();
    let refreshes = families.iter().map(|(client, tokens)| client.refresh(&tokens.refresh));
    for answer in futures_util::future::join_all(refreshes).await {
        answer.expect(200);
    }
    let asked = corp.idp.state().token_requests.len() - asked;
    assert!((1..=6).contains(&asked), "{asked} questions");
    assert_eq!(corp.identity()["groups_source"], "absent");
    assert_eq!(corp.identity()["ended_at"], Value::Null);
}

#[tokio::test]
async fn too_many_groups_are_asked_of_graph_or_stay_what_they_were() {
    let corp = Corp::open(Store::Sqlite, "entra", |plan| plan).await;
    corp.idp.claim("groups", json!(["guid-1"]));
    let tokens = corp.tokens().await;
    corp.idp.claim("groups", Value::Null);
    corp.idp.claim("_claim_names", json!({"groups": "src1"}));
    Tokens::read(&corp.refresh(&tokens).await);
    assert_eq!(corp.groups(), json!(["guid-1"]));
    assert_eq!(corp.identity()["groups_source"], "overage");
    assert!(corp.house.logs().contains("overage"));

    let idp = Idp::start("carol-0002", CAROL).await;
    let graph = format!("{}/graph", idp.issuer());
    let plan = idp.known_to(Plan::on(Store::Sqlite).without_artifacts(), "corp", "entra");
    let house = House::build(plan.with("UPSTREAM__CORP__GRAPH_URL", &graph)).await;
    let client = Scene::at(&house).await.client().await;
    let corp = Corp { house, idp, client };
    corp.idp.claim("hasgroups", json!(true));
    corp.idp.state().graph = vec!["guid-7".to_owned(), "guid-8".to_owned()];
    let _tokens = corp.tokens().await;
    assert_eq!(corp.groups(), json!(["guid-7", "guid-8"]));
}

#[tokio::test]
async fn a_hanging_provider_delays_a_refresh_by_seconds_and_loses_nothing() {
    let corp = Corp::open(Store::Sqlite, "keycloak", |plan| plan).await;
    corp.idp.claim("groups", json!(["/staff"]));
    let tokens = corp.tokens().await;
    corp.idp.state().mood = Mood::Silent;
    let refreshed = tokio::time::timeout(Duration::from_secs(15), corp.refresh(&tokens)).await;
    let tokens = Tokens::read(&refreshed.expect("an answer within seconds"));
    assert_eq!(corp.groups(), json!(["staff"]));
    // It is not waited for again and again.
    let refreshed = tokio::time::timeout(Duration::from_secs(3), corp.refresh(&tokens)).await;
    Tokens::read(&refreshed.expect("an answer at once"));
}
