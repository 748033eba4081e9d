//! A server-side application that an administrator registered: its secret, its bound, and another secret.

use e2e::answer::Answer;
use e2e::client::{Client, Discovery, Request, Tokens, text};
use e2e::house::{House, Store};
use e2e::visitor::Visitor;

e2e::on_both_stores!(
    a_registered_application_sends_its_secret_where_it_said_and_stays_under_its_bound,
    two_secrets_are_good_until_the_former_one_is_retired,
);

const CALLBACK: &str = "https://app.example.test/cb";

struct App {
    client: Client,
    secret: String,
}

impl App {
    async fn registered(house: &House, method: &str) -> Self {
        let arguments = [
            "client",
            "create",
            "--name",
            "Report",
            "--redirect-uri",
            CALLBACK,
            "--confidential",
            method,
            "--ceiling",
            "read",
            "--json",
        ];
        let made = house.cli(&arguments, "").json();
        let client =
            Client::known(Discovery::walk(house.mcp_url()).await, &text(&made["client_id"]), CALLBACK);
        Self { client, secret: text(&made["client_secret"]) }
    }

    async fn code(&self, house: &House) -> (Request, String) {
        let request = self.client.request();
        let code = Visitor::new().authorize(&request.url(), house.alice(), &["read"]).await.code();
        (request, code)
    }

    async fn redeem(&self, house: &House, secret: &str) -> Answer {
        let (request, code) = self.code(house).await;
        self.client
            .token(&[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", CALLBACK),
                ("client_id", &self.client.client_id),
                ("client_secret", secret),
                ("code_verifier", &request.verifier),
            ])
            .await
    }

    async fn refresh(&self, token: &str, secret: &str) -> Answer {
        self.client
            .token(&[
                ("grant_type", "refresh_token"),
                ("refresh_token", token),
                ("client_id", &self.client.client_id),
                ("client_secret", secret),
            ])
            .await
    }
}

async fn a_registered_application_sends_its_secret_where_it_said_and_stays_under_its_bound(store: Store) {
    let house = House::start(store).await;
    let app = App::registered(&house, "post").await;
    let page = Visitor::new().reach_consent(&app.client.request().url(), house.alice()).await;
    let form = page.form("decision");
    assert_eq!((form.data["client-label"].as_str(), form.ticks("tier")), ("registered", vec!["read"]));

    let tokens = Tokens::read(&app.redeem(&house, &app.secret).await);
    assert_eq!(tokens.permissions(), ["artifacts:read"]);
    app.redeem(&house, "").await.expect_error(401, "invalid_client");
    let (request, code) = app.code(&house).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", &request.verifier),
    ];
    let basic = app.client.token_request(&form).basic_auth(&app.client.client_id, Some(&app.secret));
    let told = Answer::to(basic).await.expect_error(401, "invalid_client");
    assert!(told.contains("client_secret_post"), "{told}");

    let slash = app.client.request().with("redirect_uri", "https://app.example.test/cb/");
    let page = Visitor::new().open(&slash.url()).await.page();
    assert_eq!(page.kind, "error", "{page:#?}");
}

async fn two_secrets_are_good_until_the_former_one_is_retired(store: Store) {
    let house = House::start(store).await;
    let app = App::registered(&house, "post").await;
    let id = app.client.client_id.as_str();
    let refused = house.cli(&["client", "retire-secret", id], "");
    assert!(refused.code == 1 && refused.stderr.contains("rotate-secret"), "{refused:#?}");
    let second = text(&house.cli(&["client", "rotate-secret", id, "--json"], "").json()["client_secret"]);
    assert_ne!(second, app.secret);

    let mut tokens = Tokens::read(&app.redeem(&house, &app.secret).await);
    for secret in [&second, &app.secret] {
        tokens = Tokens::read(&app.refresh(&tokens.refresh, secret).await);
    }
    assert_eq!(house.cli(&["client", "retire-secret", id, "--json"], "").json()["retired"], true);
    app.refresh(&tokens.refresh, &app.secret).await.expect_error(401, "invalid_client");
    // The refusal spent nothing.
    tokens = Tokens::read(&app.refresh(&tokens.refresh, &second).await);

    // Of three the oldest is good for nothing.
    let third = text(&house.cli(&["client", "rotate-secret", id, "--json"], "").json()["client_secret"]);
    let fourth = text(&house.cli(&["client", "rotate-secret", id, "--json"], "").json()["client_secret"]);
    app.refresh(&tokens.refresh, &second).await.expect_error(401, "invalid_client");
    for secret in [&third, &fourth] {
        tokens = Tokens::read(&app.refresh(&tokens.refresh, secret).await);
    }
    let public = ["client", "create", "--name", "P", "--public", "--redirect-uri", CALLBACK, "--json"];
    let public = text(&house.cli(&public, "").json()["client_id"]);
    let refused = house.cli(&["client", "rotate-secret", &public], "");
    assert!(refused.code == 1 && refused.stderr.contains("public"), "{refused:#?}");
}
