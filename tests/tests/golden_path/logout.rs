//! Clients are told when a session ends (OpenID Connect Back-Channel Logout 1.0): a strict reader verifies what they are sent.

use std::time::Duration;

use e2e::admin::Admin;
use e2e::client::{Client, Tokens, decode, text};
use e2e::house::{House, Person, Plan, Store};
use e2e::page::Page;
use e2e::receiver::Receiver;
use e2e::scene::Scene;
use e2e::visitor::{Landing, Visitor};
use serde_json::Value;

e2e::on_both_stores!(
    a_client_is_told_of_every_way_in_which_a_session_ends,
    who_signs_in_anew_in_the_same_browser_goes_on_and_somebody_else_does_not,
    who_does_not_listen_is_tried_again_and_then_given_up,
    only_clients_that_know_the_person_and_said_where_are_told,
);

const CALLBACK: &str = "https://app.example.test/cb";

struct Stage {
    house: House,
    receiver: Receiver,
    scene: Scene,
}

/// A person in a browser at a client: what the ID token said.
struct Seen {
    visitor: Visitor,
    claims: Value,
    id_token: String,
}

impl Stage {
    async fn on(store: Store) -> Self {
        let house = House::build(Plan::on(store).without_artifacts()).await;
        let receiver = Receiver::start(house.issuer()).await;
        let scene = Scene::at(&house).await;
        Self { house, receiver, scene }
    }

    fn client(&self, client_id: &str, manner: &str) -> Client {
        self.receiver.client(&self.house, client_id, CALLBACK, manner);
        self.scene.known(client_id, CALLBACK)
    }

    /// Lets somebody sign in at a client, in this browser.
    async fn seen_by(&self, client: &Client, person: &Person, visitor: Visitor) -> Seen {
        let request = client.request();
        let code = visitor.authorize(&request.url(), person, &["read"]).await.code();
        let tokens = Tokens::read(&client.redeem(&request, &code).await);
        let id_token = text(&tokens.all["id_token"]);
        let claims = decode(&id_token).1;
        // It is the same at each refresh, and names no grant.
        let renewed = Tokens::read(&client.refresh(&tokens.refresh).await);
        assert_eq!(decode(&text(&renewed.all["id_token"])).1["sid"], claims["sid"]);
        assert_ne!(decode(&tokens.access).1["sid"], claims["sid"]);
        Seen { visitor, claims, id_token }
    }

    async fn alice_at(&self, client: &Client) -> Seen {
        self.seen_by(client, self.house.alice(), Visitor::new()).await
    }

    /// Fails unless the client is told that exactly this session ended.
    async fn told(&mut self, seen: &Seen) {
        let told = self.receiver.told().await;
        for claim in ["iss", "sub", "aud", "sid"] {
            assert_eq!(told[claim], seen.claims[claim], "{told:#}");
        }
    }

    async fn page(&self, seen: &Seen, path: &str) -> Page {
        seen.visitor.open(&format!("{}{path}", self.house.issuer())).await.page()
    }

    /// The same, while the time passes until the next try.
    async fn told_after_a_pause(&mut self, seen: &Seen) {
        for _ in 0..60 {
            let heard = tokio::time::timeout(Duration::from_secs(1), self.told(seen)).await;
            if heard.is_ok() {
                return;
            }
            self.house.alter("update logouts set due_at = 0");
            self.house.alter("update heads set sequence = sequence + 1 where name = 'logouts'");
        }
        panic!("nobody is told");
    }
}

/// Presses the one button of a form that leads there.
async fn press(visitor: &Visitor, page: &Page, path: &str, more: &[(&str, &str)]) -> Landing {
    let form = page.forms.iter().find(|form| form.action.path().ends_with(path)).expect("a form");
    let mut fields: Vec<_> =
        form.fields.iter().map(|field| (field.name.clone(), field.value.clone())).collect();
    fields.retain(|(name, _)| !more.iter().any(|(bent, _)| bent == name));
    fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    visitor.post(&form.action, &fields).await
}

async fn a_client_is_told_of_every_way_in_which_a_session_ends(store: Store) {
    let mut stage = Stage::on(store).await;
    let client = stage.client("rp", "ok");

    // By the button of the front page.
    let seen = stage.alice_at(&client).await;
    let home = stage.page(&seen, "/").await;
    press(&seen.visitor, &home, "/logout", &[]).await;
    stage.told(&seen).await;

    // At the wish of a client.
    let seen = stage.alice_at(&client).await;
    let wish = stage.page(&seen, &format!("/oauth2/logout?id_token_hint={}", seen.id_token)).await;
    assert_eq!(wish.kind, "logout", "{wish:#?}");
    press(&seen.visitor, &wish, "/logout", &[]).await;
    stage.told(&seen).await;

    // From another browser of the same person: one, and all others.
    for end in ["", "others"] {
        let (seen, here) = (stage.alice_at(&client).await, stage.alice_at(&client).await);
        let page = stage.page(&here, "/account/sessions").await;
        let fields = page.forms.iter().flat_map(|form| &form.fields);
        let one = fields.filter(|field| field.name == "end" && field.value != "others");
        let one = one.map(|field| field.value.clone()).next().expect("another session");
        let end = if end.is_empty() { one.as_str() } else { end };
        press(&here.visitor, &page, "/account/sessions", &[("end", end)]).await;
        stage.told(&seen).await;
        let home = stage.page(&here, "/").await;
        press(&here.visitor, &home, "/logout", &[]).await;
        stage.told(&here).await;
    }

    // By an administrator: the session, and the person.
    let seen = stage.alice_at(&client).await;
    let admin = Admin::with(&stage.house, &["sessions:read", "sessions:write"]);
    for session in admin.all("/sessions", 50).await {
        assert_eq!(admin.delete(&format!("/sessions/{}", text(&session["id"]))).await.status, 204);
    }
    stage.told(&seen).await;
    let (one, other) = (stage.alice_at(&client).await, stage.alice_at(&client).await);
    stage.house.cli(&["user", "disable", &stage.house.alice().email], "").ok();
    let told = [stage.receiver.told().await, stage.receiver.told().await];
    for seen in [&one, &other] {
        assert!(told.iter().any(|told| told["sid"] == seen.claims["sid"]), "{told:#?}");
    }
    stage.receiver.is_quiet().await;
}

async fn who_signs_in_anew_in_the_same_browser_goes_on_and_somebody_else_does_not(store: Store) {
    let mut stage = Stage::on(store).await;
    let client = stage.client("rp", "ok");
    let first = stage.alice_at(&client).await;
    // Another sign-in, because the client wants a fresh one: it is the same session still.
    let request = client.request().with("prompt", "login");
    let page = first.visitor.open(&request.url()).await.page();
    assert_eq!(page.kind, "login", "{page:#?}");
    let page = first.visitor.sign_in(&page, stage.house.alice()).await.page();
    let code = first.visitor.decide(&page, &["read"], "authorize").await.away().code();
    let again = Tokens::read(&client.redeem(&request, &code).await);
    let again = decode(&text(&again.all["id_token"])).1;
    assert_eq!(again["sid"], first.claims["sid"]);
    // Somewhere else she has another one.
    let elsewhere = stage.alice_at(&client).await;
    assert_ne!(elsewhere.claims["sid"], first.claims["sid"]);
    stage.receiver.is_quiet().await;

    let bob = stage.house.user("bob@example.test");
    let page = first.visitor.open(&request.url()).await.page();
    assert_eq!(first.visitor.sign_in(&page, &bob).await.page().kind, "consent");
    stage.told(&first).await;
    stage.receiver.is_quiet().await;
}

async fn who_does_not_listen_is_tried_again_and_then_given_up(store: Store) {
    let mut stage = Stage::on(store).await;
    let flaky = stage.client("flaky", "flaky");
    let seen = stage.alice_at(&flaky).await;
    let home = stage.page(&seen, "/").await;
    press(&seen.visitor, &home, "/logout", &[]).await;
    stage.told(&seen).await;
    // After a pause, with a token of its own: the receiver takes none twice.
    stage.told(&seen).await;
    stage.receiver.is_quiet().await;

    for manner in ["never", "away"] {
        let client = stage.client(manner, manner);
        let seen = stage.alice_at(&client).await;
        let home = stage.page(&seen, "/").await;
        press(&seen.visitor, &home, "/logout", &[]).await;
        for _ in 0..5 {
            // Whoever sends the caller elsewhere is not followed: that would be one request more.
            stage.told_after_a_pause(&seen).await;
        }
        stage.receiver.is_quiet().await;
        let trail = Admin::with(&stage.house, &["audit:read"]);
        let given_up = trail.all(&format!("/audit?action=logout_undelivered&object={manner}"), 50).await;
        assert_eq!(given_up.len(), 1, "{given_up:#?}");
        assert_eq!(given_up[0]["detail"]["sid"], seen.claims["sid"]);
        assert!(stage.house.logs().contains("given up"));
    }
}

async fn only_clients_that_know_the_person_and_said_where_are_told(store: Store) {
    let mut stage = Stage::on(store).await;
    let told = stage.client("told", "ok");
    let silent = stage.scene.client().await;
    let gone = stage.client("gone", "ok");
    let visitor = Visitor::new();
    let request = stage.client("stranger", "ok").request().without("scope");
    // Without `openid` a client never learned whose session it was.
    visitor.authorize(&request.url(), stage.house.alice(), &["read"]).await.code();
    for client in [&silent, &gone] {
        stage.scene.tokens(client, &visitor).await;
    }
    stage.house.cli(&["client", "delete", "gone"], "").ok();
    let seen = stage.seen_by(&told, stage.house.alice(), visitor).await;
    let home = stage.page(&seen, "/").await;
    press(&seen.visitor, &home, "/logout", &[]).await;
    stage.told(&seen).await;
    stage.receiver.is_quiet().await;

    // An address that nobody should be sent to is not taken.
    for (bad, why) in [
        ("http://app.example.test/out", "use https"),
        ("https://app.example.test/out#x", "fragment"),
        ("com.example.app:/out", "https"),
        (stage.house.issuer(), "authorization server itself"),
    ] {
        let create = ["client", "create", "--name", "X", "--public", "--redirect-uri", CALLBACK];
        let refused = stage.house.cli(&[&create[..], &["--backchannel-logout-uri", bad]].concat(), "");
        assert!(refused.code == 1 && refused.stderr.contains(why), "{bad}: {refused:#?}");
    }
}
