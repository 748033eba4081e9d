//! A provider of other people, whose groups decide here what somebody may do.

use e2e::{
    client::{Client, Tokens},
    house::{House, Plan, Store},
    idp::way_there,
    mcp::Mcp,
    peer_idp::PeerIdp,
    ports::Port,
    visitor::Visitor,
};

e2e::on_both_stores!(a_group_at_a_provider_of_other_people_decides_what_a_token_may_do);

const EDITOR: [&str; 3] = ["artifacts:create", "artifacts:read", "artifacts:update"];

/// Whether the resource server offers the tool that stores something.
async fn stores(house: &House, tokens: &Tokens) -> bool {
    let mcp = Mcp::connect(house.mcp_url(), &tokens.access).await;
    mcp.tools().await.iter().any(|tool| tool == "store_artifact")
}

async fn a_group_at_a_provider_of_other_people_decides_what_a_token_may_do(store: Store) {
    let port = Port::reserve();
    let peer = PeerIdp::start(&port).await;
    peer.carol(&["artifact-users", "artifact-editors"]);
    let house = House::build(peer.known_to(Plan::on(store).at(port))).await;
    for (group, tier) in [("artifact-users", "read"), ("artifact-editors", "write")] {
        let rule = ["entitlement", "add", "--resource", house.mcp_url(), "--group", group, "--tier", tier];
        house.cli(&rule, "").ok();
    }

    let (client, visitor) = (Client::register(house.mcp_url()).await, Visitor::new());
    let request = client.request();
    let there = way_there(&visitor, &request.url(), "corp").await;
    let back = peer.sign_in(&visitor, there, "carol", house.origin()).await;
    let page = visitor.open(back.as_str()).await.page();
    let code = visitor.decide(&page, &["write"], "authorize").await.away().code();
    let tokens = Tokens::read(&client.redeem(&request, &code).await);
    assert_eq!(tokens.permissions(), EDITOR, "{:#}", tokens.all);
    assert!(stores(&house, &tokens).await);

    // Put out of one group there: less at the next refresh here, without anybody signing in again.
    peer.carol(&["artifact-users"]);
    let tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert_eq!(tokens.permissions(), ["artifacts:read"]);
    assert!(!stores(&house, &tokens).await);

    // Back in it: what was agreed to, again.
    peer.carol(&["artifact-users", "artifact-editors"]);
    let tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert_eq!(tokens.permissions(), EDITOR);
    assert!(stores(&house, &tokens).await);

    // Put out of both: nothing, and the resource server says what is missing.
    peer.carol(&["canteen"]);
    let tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    assert!(tokens.permissions().is_empty(), "{:#}", tokens.all);
    let refused = Mcp::hello(house.mcp_url(), &tokens.access).await;
    assert_eq!(refused.status, 403, "{refused:#?}");
    assert!(refused.body.contains("group"), "{}", refused.body);

    // Gone from the provider: the grant is over at the next refresh.
    peer.knows(&serde_json::json!({}));
    client.refresh(&tokens.refresh).await.expect_error(400, "invalid_grant");
}
