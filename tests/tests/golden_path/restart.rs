//! `kill -9` and start again: what was acknowledged is still true, what was spent is still spent.

use e2e::client::Tokens;
use e2e::house::{House, Store};
use e2e::session::Session;
use e2e::visitor::Visitor;
use serde_json::json;

e2e::on_both_stores!(
    sessions_grants_and_refresh_tokens_survive_a_kill,
    what_was_spent_before_a_kill_is_spent_after_it,
    the_mcp_server_goes_on_while_the_authorization_server_is_away,
    what_was_stored_survives_a_kill_of_the_mcp_server,
);

async fn sessions_grants_and_refresh_tokens_survive_a_kill(store: Store) {
    let mut house = House::start(store).await;
    let mut session = Session::begin(&house, &["write"]).await;
    let visitor = Visitor::new();
    visitor.reach_consent(&session.client.request().url(), house.alice()).await;
    let request = session.client.request();
    let code = visitor.authorize(&request.url(), house.alice(), &["read"]).await.code();

    house.restart_auth_server().await;

    assert_eq!(session.mcp(&house).await.tools().await.len(), 8, "its signing key is still the same");
    session.refresh().await;
    assert_eq!(session.mcp(&house).await.tools().await.len(), 8);
    session.client.redeem(&request, &code).await.expect(200);
    let page = visitor.open(&session.client.request().url()).await.page();
    assert_eq!(page.kind, "consent", "the browser is still signed in: {page:#?}");
}

async fn what_was_spent_before_a_kill_is_spent_after_it(store: Store) {
    let mut house = House::start(store).await;
    let mut session = Session::begin(&house, &["read"]).await;
    let spent = session.tokens.refresh.clone();
    session.refresh().await;
    let mut other = Session::begin(&house, &["read"]).await;
    other.client.revoke(&other.tokens.refresh).await;

    house.restart_auth_server().await;

    other.client.refresh(&other.tokens.refresh).await.expect_error(400, "invalid_grant");
    let again = session.client.redeem(&session.request, &session.callback.code()).await;
    again.expect_error(400, "invalid_grant");
    session.client.refresh(&session.tokens.refresh).await.expect_error(400, "invalid_grant");
    session.client.refresh(&spent).await.expect_error(400, "refresh_replayed");

    // Nothing of that stands in the way of a new beginning.
    other = Session::of(other.client, house.alice(), &["read"]).await;
    Tokens::read(&other.client.refresh(&other.tokens.refresh).await);
}

async fn the_mcp_server_goes_on_while_the_authorization_server_is_away(store: Store) {
    let mut house = House::start(store).await;
    let session = Session::begin(&house, &["read"]).await;
    assert_eq!(session.mcp(&house).await.tools().await.len(), 5);
    house.kill9();
    assert_eq!(session.mcp(&house).await.tools().await.len(), 5);
}

async fn what_was_stored_survives_a_kill_of_the_mcp_server(store: Store) {
    let mut house = House::start(store).await;
    let session = Session::begin(&house, &["write"]).await;
    let file = json!({ "filename": "kept.txt", "content": "a2VwdA==" });
    let stored = session.mcp(&house).await.call("store_artifact", file).await;
    assert_ne!(stored["result"]["isError"], true, "{stored:#}");

    house.restart_artifacts().await;

    let list = session.mcp(&house).await.call("list_artifacts", json!({})).await;
    assert!(list.to_string().contains("kept.txt"), "{list:#}");
}
