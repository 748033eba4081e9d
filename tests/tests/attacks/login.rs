//! Group 1.16: guessing, enumeration, and what is left when an account changes hands.

use e2e::client::{Tokens, text};
use e2e::house::Store;
use e2e::visitor::Visitor;

use crate::browser::Browser;
use crate::stage::{PUB1, Stage};

// CS-15
#[tokio::test]
async fn a_new_password_shuts_out_whoever_has_a_session_or_a_refresh_token() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let alice = stage.house.alice().clone();
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    let mut thief = Browser::default();
    thief.reach_consent(&client.request().url(), &alice).await;
    let mut owner = Browser::default();
    owner.reach_consent(&client.request().url(), &alice).await;

    // Without the tick, connected apps go on.
    let mut tokens = tokens;
    for (ticked, works) in [(false, true), (true, false)] {
        let page = owner.page(&stage.at("/account/password")).await;
        let form = page.form("action");
        let new = e2e::fresh();
        let mut fields = form.filled(&[("password", &new)], &[], ("action", "change"));
        fields.retain(|(name, _)| ticked || name != "end_apps");
        let answer = owner.post(&form.action, &fields, &[]).await;
        assert!(answer.header("location").ends_with("?done=password"), "{answer:#?}");
        assert_eq!(thief.page(&stage.at("/")).await.kind, "login");
        assert_eq!(owner.page(&stage.at("/")).await.kind, "home");
        let answer = client.refresh(&tokens.refresh).await;
        if works {
            tokens = Tokens::read(&answer);
        } else {
            assert_eq!(text(&answer.expect(400)["error"]), "invalid_grant");
        }
    }
    stage.close().await;
}
