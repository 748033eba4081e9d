//! One's own API keys.

use e2e::client::text;
use e2e::house::{House, Store};
use e2e::mcp::Mcp;
use e2e::page::Page;
use serde_json::{Value, json};

use crate::person::{AtHome, let_minutes_pass};

e2e::on_both_stores!(
    a_person_makes_a_key_sees_it_once_and_revokes_it_for_good,
    a_granular_and_a_full_key_are_made_on_the_page,
    nobody_reaches_the_keys_of_somebody_else,
    what_cannot_be_made_is_said_and_nothing_is_made,
    a_key_is_made_soon_after_a_sign_in_only,
    who_asks_for_keys_learns_of_no_organization_and_no_node,
);

/// The key that the page shows, if it does.
fn shown(page: &Page) -> Option<String> {
    let words = page.text.split_whitespace();
    words.map(str::to_owned).find(|word| {
        (word.starts_with("sta_") && word.len() == 53) || (word.starts_with("ak_live_") && word.len() == 40)
    })
}

fn buttons(page: &Page) -> Vec<String> {
    let fields = page.forms.iter().flat_map(|form| &form.fields);
    fields.filter(|field| field.name == "revoke").map(|field| field.value.clone()).collect()
}

async fn make(home: &AtHome, typed: &[(&str, &str)]) -> Page {
    let page = home.page("/account/keys").await;
    home.send(&page, typed).await
}

fn keys(house: &House) -> Vec<Value> {
    house.cli(&["key", "list", "--json"], "").json().as_array().expect("a list").clone()
}

async fn a_person_makes_a_key_sees_it_once_and_revokes_it_for_good(store: Store) {
    let house = House::start(store).await;
    let home = AtHome::sign_in(&house, house.alice()).await;
    let page = home.page("/account/keys").await;
    assert_eq!(page.kind, "account-keys");
    assert!(page.text.contains("There are no keys yet"), "{}", page.text);
    for life in ["Never", "7 days", "30 days", "90 days", "1 year"] {
        assert!(page.text.contains(life), "{life}: {}", page.text);
    }
    let typed = [
        ("name", "CI"),
        ("kind", "simple"),
        ("tier", "write"),
        ("nodes", "alpha/specs"),
        ("expires", "7d"),
        ("rate_limit", "90"),
    ];
    let made = make(&home, &typed).await;
    let key = shown(&made).unwrap_or_else(|| panic!("no key on {made:#?}"));
    let again = home.page("/account/keys").await;
    assert!(shown(&again).is_none() && !again.text.contains(&key), "{}", again.text);
    assert!(again.text.contains(&format!("{}...", &key[..8])), "{}", again.text);
    assert!(
        again.text.contains("write in alpha/specs, 90 requests a minute")
            && again.text.contains("last used never"),
        "{}",
        again.text
    );
    // Sending the form again, as a page that is loaded anew does, makes no second one.
    let twice = make(&home, &typed).await;
    assert!(twice.text.contains("You have a live key with this name already"), "{}", twice.text);
    assert_eq!(keys(&house).len(), 1);

    Mcp::connect(house.mcp_url(), &key).await;
    let used = home.page("/account/keys").await;
    assert!(used.text.contains("last used just now"), "{}", used.text);
    assert!(home.page("/account").await.text.contains("1 key"));
    let id = buttons(&used)[0].clone();
    let revoked = home.press(&used, &[], ("revoke", &id)).await;
    assert!(revoked.text.contains("That key is revoked"), "{}", revoked.text);
    assert!(buttons(&revoked).is_empty() && revoked.text.contains("CI"), "{revoked:#?}");
    let again = home.send(&used, &[("revoke", &id)]).await;
    assert!(again.text.contains("That key was revoked already"), "{}", again.text);
    assert_eq!(keys(&house)[0]["state"], "revoked");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(Mcp::hello(house.mcp_url(), &key).await.status, 401);
}

async fn a_granular_and_a_full_key_are_made_on_the_page(store: Store) {
    let house = House::start(store).await;
    let home = AtHome::sign_in(&house, house.alice()).await;
    let typed = [
        ("name", "Granular"),
        ("kind", "granular"),
        ("node1", "alpha"),
        ("tier1", "read"),
        ("node2", "alpha/site/specs"),
        ("tier2", "destroy"),
        ("expires", "never"),
    ];
    assert!(shown(&make(&home, &typed).await).is_some_and(|key| key.starts_with("sta_")));
    let all = [("name", "Nightly"), ("kind", "full"), ("expires", "1y")];
    let key = shown(&make(&home, &all).await).expect("a key");
    assert!(key.starts_with("ak_live_"));
    assert_eq!(Mcp::connect(house.mcp_url(), &key).await.tools().await.len(), 11);
    let keys = keys(&house);
    let granular = keys.iter().find(|key| key["name"] == "Granular").expect("it is listed");
    let grants = json!([{"node": "alpha", "tier": "read"}, {"node": "alpha/site/specs", "tier": "destroy"}]);
    assert_eq!((&granular["grants"], &granular["expires_at"]), (&grants, &Value::Null));
    let events = house.cli(&["audit", "export", "--json"], "").ok();
    assert!(events.contains("api_key_created") && !events.contains(&key[12..]), "{events}");
}

async fn nobody_reaches_the_keys_of_somebody_else(store: Store) {
    let house = House::start(store).await;
    let bob = house.user("bob@example.test");
    let made = house
        .cli(&["key", "create", "--user", "alice@example.test", "--name", "Hers", "--full", "--json"], "");
    let key = made.json();
    let (id, secret) = (text(&key["id"]), text(&key["secret"]));
    let home = AtHome::sign_in(&house, &bob).await;
    let page = home.page("/account/keys").await;
    assert!(!page.text.contains("Hers"), "{}", page.text);
    let answer = home.send(&page, &[("revoke", &id)]).await;
    assert!(answer.text.contains("That key was revoked already"), "{}", answer.text);
    let answer = home.send(&page, &[("revoke", "key_x")]).await;
    assert!(answer.text.contains("That key was revoked already"), "{}", answer.text);
    Mcp::connect(house.mcp_url(), &secret).await;
    // Without a sign-in, and without the token of the form, there is nothing.
    let stranger = AtHome::stranger(&house);
    assert_eq!(stranger.page("/account/keys").await.kind, "login");
    let fields = [("name", "X"), ("kind", "full"), ("expires", "7d"), ("user", "alice@example.test")];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let action = page.url.clone();
    assert_eq!(stranger.visitor.post(&action, &fields).await.page().kind, "error");
    assert_eq!(home.visitor.post(&action, &fields).await.page().kind, "error");
    assert_eq!(keys(&house).len(), 1);
}

async fn what_cannot_be_made_is_said_and_nothing_is_made(store: Store) {
    let house = House::start(store).await;
    let home = AtHome::sign_in(&house, house.alice()).await;
    for (typed, problem) in [
        (
            vec![("name", "N"), ("kind", "simple"), ("tier", ""), ("expires", "7d")],
            "Choose what the key may do",
        ),
        (vec![("name", " "), ("kind", "full"), ("expires", "7d")], "1 to 60 characters"),
        (vec![("name", "N"), ("kind", "full"), ("expires", "8h")], "Choose how long"),
        (
            vec![("name", "N"), ("kind", "simple"), ("tier", "read"), ("nodes", "/Alpha"), ("expires", "7d")],
            "A node is named like",
        ),
        (vec![("name", "N"), ("kind", "simple"), ("tier", "root"), ("expires", "7d")], "There is no tier"),
        (vec![("name", "N"), ("kind", "granular"), ("expires", "7d")], "at least one place"),
        (
            vec![
                ("name", "N"),
                ("kind", "granular"),
                ("node1", "alpha"),
                ("tier2", "read"),
                ("expires", "7d"),
            ],
            "each place that you name",
        ),
        (
            vec![("name", "N"), ("kind", "full"), ("expires", "7d"), ("rate_limit", "0")],
            "whole number from 1",
        ),
        (
            vec![("name", "N"), ("kind", "full"), ("expires", "7d"), ("rate_limit", "6001")],
            "at most 6000 requests a minute",
        ),
    ] {
        let page = home.page("/account/keys").await;
        let answer = home.send(&page, &typed).await;
        assert!(answer.text.contains(problem), "{typed:?}: {}", answer.text);
        assert_eq!(answer.kind, "account-keys");
    }
    assert!(keys(&house).is_empty());
}

async fn a_key_is_made_soon_after_a_sign_in_only(store: Store) {
    let house = House::start(store).await;
    let home = AtHome::sign_in(&house, house.alice()).await;
    let page = home.page("/account/keys").await;
    let_minutes_pass(&house, 6);
    let late = home.send(&page, &[("name", "N"), ("kind", "full"), ("expires", "7d")]).await;
    assert!(late.text.contains("Sign in again"), "{}", late.text);
    assert!(keys(&house).is_empty());
    let page = home.page("/account/keys").await;
    assert!(page.text.contains("within five minutes of a sign-in"), "{}", page.text);
}

async fn who_asks_for_keys_learns_of_no_organization_and_no_node(store: Store) {
    let house = House::start(store).await;
    house.cli(&["organization", "create", "Acme"], "").ok();
    for node in ["alpha/site", "alpha/merger", "beta"] {
        house.cli(&["node", "add", "Acme", node], "").ok();
    }
    let alice = house.alice().email.clone();
    let rule = ["entitlement", "add", "--user", &alice, "--tier", "read", "--organization", "Acme"];
    house.cli(&[&rule[..], &["--node", "alpha/site"]].concat(), "").ok();
    let bob = house.user("bob@example.test");
    let bobs = AtHome::sign_in(&house, &bob).await;
    let home = AtHome::sign_in(&house, house.alice()).await;
    let answer = async |home: &AtHome, organization: &str, node: &str| {
        let typed = [("name", "x"), ("kind", "simple"), ("tier", "read"), ("expires", "7d")];
        let page =
            make(home, &[&typed[..], &[("organization", organization), ("nodes", node)]].concat()).await;
        let problem = page.text.split("You may do nothing in").nth(1).unwrap_or_else(|| panic!("{page:#?}"));
        problem.split_once(", or it does not exist").expect("one answer for both").0.trim().to_owned()
    };
    for (organization, node) in [("Acme", "alpha"), ("Acme", "nowhere"), ("Nowhere", "alpha"), ("Acme", "")] {
        assert_eq!(answer(&bobs, organization, node).await, organization);
    }
    // Whoever may do something there knows of the nodes that this concerns, and of no others.
    for node in ["alpha/merger", "beta", "nowhere"] {
        assert_eq!(answer(&home, "Acme", node).await, node);
    }
    let page = home.page("/account/keys").await;
    let offered = page.answer.body.split("<datalist").nth(1).unwrap_or_else(|| panic!("{page:#?}"));
    assert!(offered.contains("alpha/site") && !offered.contains("merger") && !offered.contains("beta"));
    let typed = [("name", "x"), ("kind", "simple"), ("tier", "read"), ("expires", "7d")];
    let made =
        make(&home, &[&typed[..], &[("organization", "Acme"), ("nodes", "alpha/site")]].concat()).await;
    assert!(shown(&made).is_some(), "{made:#?}");
}
