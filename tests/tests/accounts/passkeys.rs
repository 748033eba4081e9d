//! Passkeys, in a real browser with a virtual device.

use e2e::admin::Admin;
use e2e::client::text;
use e2e::driver::passkeys;
use e2e::house::{House, Plan, Store};
use serde_json::{Value, json};

e2e::on_both_stores!(a_passkey_is_registered_signs_in_without_a_name_and_is_removed);

fn contains(value: &Value, words: &str) {
    assert!(text(value).contains(words), "{words}: {value}");
}

async fn a_passkey_is_registered_signs_in_without_a_name_and_is_removed(store: Store) {
    let house = House::build(Plan::on(store).without_artifacts()).await;
    let seen = passkeys(&house, house.alice()).await;
    assert_eq!(
        (&seen["offered"], &seen["resident"], &seen["rp"]),
        (&json!(true), &json!(true), &json!("localhost"))
    );
    contains(&seen["empty"], "You have no passkey");
    contains(&seen["added"], "The passkey is added");
    contains(&seen["added"], "Test device");
    contains(&seen["again"], "registered already");
    assert_eq!(
        (&seen["signed_in"][0], &seen["counted"]),
        (&json!("account-passkeys"), &json!(true)),
        "{seen:#}"
    );
    contains(&seen["signed_in"][1], "last used");
    assert_eq!(seen["unverified"][0], "login");
    assert_eq!(seen["copied"][0], "login");
    contains(&seen["copied"][1], "This passkey is not known here");
    assert_eq!(seen["back"], "account-passkeys");
    contains(&seen["renamed"], "My phone");
    contains(&seen["removed"], "The passkey is removed");
    assert_eq!(seen["gone"][0], "login");
    contains(&seen["gone"][1], "This passkey is not known here");

    let audit = Admin::with(&house, &["audit:read"]);
    for (action, count) in [("passkey_added", 1), ("passkey_removed", 1)] {
        assert_eq!(audit.all(&format!("/audit?action={action}"), 50).await.len(), count, "{action}");
    }
    let methods = audit.all("/audit?action=signed_in", 50).await;
    let by_passkey = methods.iter().filter(|line| line["detail"]["method"] == "passkey").count();
    assert_eq!(by_passkey, 2, "{methods:#?}");
}
