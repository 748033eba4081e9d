//! Whose data consent is about.

use e2e::client::{Client, decode, text};
use e2e::house::{House, Store};
use serde_json::json;

use crate::permissions::{acme, agree, at, consent_of, details, rule};

e2e::on_both_stores!(the_page_says_whose_data_it_is_about_also_before_anything_is_possible,);

async fn the_page_says_whose_data_it_is_about_also_before_anything_is_possible(store: Store) {
    let house = House::start(store).await;
    let acme = acme(&house);
    let client = Client::register(house.mcp_url()).await;
    let asked = consent_of(&house, &client, house.alice()).await;
    assert!(asked.2.text.contains("With your own data"), "{}", asked.2.text);

    // Rules about both: whoever may do nothing yet agrees for the shared one.
    let bob = house.user("bob@example.test");
    rule(&house, &["--group", "staff", "--tier", "read"]);
    rule(&house, &["--group", "acme", "--tier", "write", "--organization", "Acme", "--node", "alpha"]);
    let asked = consent_of(&house, &client, &bob).await;
    for words in ["With the data of Acme", "may do nothing"] {
        assert!(asked.2.text.contains(words), "{words}: {}", asked.2.text);
    }
    let tokens = agree(&client, &asked, &[], &[("tier", "write")]).await;
    assert_eq!(decode(&tokens.access).1["org"], json!(acme));
    house.cli(&["user", "groups", &bob.email, "--join", "acme"], "").ok();
    let tokens = e2e::client::Tokens::read(&client.refresh(&tokens.refresh).await);
    assert_eq!(details(&tokens), json!([at("alpha", &["create", "read", "update"])]));
    let asked = consent_of(&house, &client, &bob).await;
    assert!(asked.2.text.contains("With the data of Acme"), "{}", asked.2.text);

    // A client that may have nothing there is for one's own data.
    let create = ["client", "create", "--name", "Own", "--public", "--redirect-uri", &client.redirect_uri];
    let made = house.cli(&[&create[..], &["--ceiling-node", "own", "--json"]].concat(), "").json();
    let own = Client::known(client.discovery.clone(), &text(&made["client_id"]), &client.redirect_uri);
    let asked = consent_of(&house, &own, house.alice()).await;
    assert!(asked.2.text.contains("With your own data"), "{}", asked.2.text);
    let tokens = agree(&own, &asked, &[], &[("tier", "read")]).await;
    assert_ne!(decode(&tokens.access).1["org"], json!(acme));
}
