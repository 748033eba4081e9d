//! Pages for everybody: WCAG 2.2 AA as far as a program can tell, in a real browser.

use e2e::client::{Client, text};
use e2e::driver::pages;
use e2e::house::{House, Plan, Store};
use e2e::idp::Idp;
use e2e::session::Session;
use e2e::smtp::Postbox;
use serde_json::json;

#[tokio::test]
async fn every_page_is_for_everybody_in_light_in_dark_on_a_phone_and_by_keyboard() {
    let postbox = Postbox::open();
    let idp = Idp::start("a-0001", "alice@example.test").await;
    idp.claim("groups", json!(["staff", "night-shift"]));
    let plan = idp.known_to(Plan::on(Store::Sqlite), "night", "generic");
    let house = House::build(postbox.for_mail_of(plan)).await;
    let session = Session::begin(&house, &["write"]).await;
    for organization in ["Acme", "Globex"] {
        house.cli(&["organization", "create", organization], "").ok();
        house.cli(&["node", "add", organization, "alpha/site/specs", "--title", "Specifications"], "").ok();
        house
            .cli(
                &[
                    "node",
                    "add",
                    organization,
                    "beta",
                    "--title",
                    "A title that is rather longer than the others",
                ],
                "",
            )
            .ok();
        let rule = ["entitlement", "add", "--everyone", "--tier", "destroy", "--organization", organization];
        house.cli(&rule, "").ok();
    }
    house.cli(&["entitlement", "add", "--everyone", "--tier", "destroy"], "").ok();
    let key =
        ["key", "create", "--user", &house.alice().email, "--name", "Nightly", "--full", "--expires", "7d"];
    house.cli(&key, "").ok();
    let client = Client::known(
        session.client.discovery.clone(),
        &session.client.client_id,
        &session.client.redirect_uri,
    );
    let create = ["client", "create", "--name", "One", "--public", "--redirect-uri", &client.redirect_uri];
    let made = house.cli(&[&create[..], &["--ceiling-node", "Acme", "--json"]].concat(), "").json();
    let one = Client::known(client.discovery.clone(), &text(&made["client_id"]), &client.redirect_uri);
    let urls = [client.request().url(), one.request().url()];
    house.alter(
        "insert into passkeys (id, user_id, name, public_key, counter, created_at)
        select 'cGFzc2tleQ', id, 'Laptop', 'a2V5', 0, created_at from users where email = 'alice@example.test'",
    );
    house.alter(
        "insert into identities (id, provider, subject, user_id, group_names, source, created_at, checked_at)
        select 'idn_00000000000000000000000001', 'corp', '1', id, '[]', 'absent', created_at, created_at
        from users where email = 'alice@example.test'",
    );
    let reset = house.cli(&["user", "reset", &house.alice().email, "--json"], "").json();
    let looks = pages(&house, house.alice(), [&urls[0], &urls[1], &text(&reset["link"])]).await;
    assert_eq!(looks.len(), 23 * 4, "{looks:#?}");
    for look in looks {
        let (nothing, at) = (json!([]), format!("{} in {}", look["page"], look["look"]));
        assert_eq!(look["found"], nothing, "{at}: axe-core");
        assert_eq!(look["wide"], false, "{at}: it has to be scrolled sideways");
        assert_eq!(look["missed"], nothing, "{at}: not reached with the Tab key");
        assert_eq!(look["unseen"], nothing, "{at}: one does not see where one is");
    }
}
