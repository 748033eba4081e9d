//! One refresh token, one use.

use e2e::client::Tokens;
use e2e::house::{House, Store};
use e2e::session::Session;
use futures_util::future::join_all;

e2e::on_both_stores!(
    a_refresh_gives_a_new_pair_with_the_same_permissions,
    a_replayed_refresh_token_is_named_so_and_ends_its_family,
    the_replay_of_one_family_leaves_others_alone,
    thirty_two_parallel_rotations_of_one_refresh_token_have_one_winner,
    a_refresh_may_repeat_the_granted_scope_but_not_widen_it,
    rubbish_is_not_taken_for_a_replay,
    a_revoked_refresh_token_refreshes_nothing,
);

async fn a_refresh_gives_a_new_pair_with_the_same_permissions(store: Store) {
    let house = House::start(store).await;
    let mut session = Session::begin(&house, &["write"]).await;
    let first = session.tokens.clone();
    session.refresh().await;
    assert_ne!(session.tokens.access, first.access);
    assert_ne!(session.tokens.refresh, first.refresh);
    assert_eq!(session.tokens.scope(), first.scope());
    assert_eq!(session.tokens.all["expires_in"], 900);
    assert_eq!(session.mcp(&house).await.tools().await.len(), 8);

    // The old access token is none the worse for it; it ends when its time is over.
    session.tokens = first;
    assert_eq!(session.mcp(&house).await.tools().await.len(), 8);
}

async fn a_replayed_refresh_token_is_named_so_and_ends_its_family(store: Store) {
    let house = House::start(store).await;
    let mut session = Session::begin(&house, &["read"]).await;
    let spent = session.tokens.refresh.clone();
    session.refresh().await;
    let replay = session.client.refresh(&spent).await;
    let why = replay.expect_error(400, "refresh_replayed");
    assert!(!why.is_empty(), "{replay:#?}");
    assert_eq!(replay.header("cache-control"), "no-store");
    session.client.refresh(&session.tokens.refresh).await.expect_error(400, "invalid_grant");
    session.client.refresh(&spent).await.expect_error(400, "refresh_replayed");
}

async fn the_replay_of_one_family_leaves_others_alone(store: Store) {
    let house = House::start(store).await;
    let mut session = Session::begin(&house, &["read"]).await;
    let mut other = Session::of(session.client.clone(), house.alice(), &["read"]).await;
    let spent = session.tokens.refresh.clone();
    session.refresh().await;
    session.client.refresh(&spent).await.expect_error(400, "refresh_replayed");
    other.refresh().await;
}

async fn thirty_two_parallel_rotations_of_one_refresh_token_have_one_winner(store: Store) {
    let house = House::start(store).await;
    let session = Session::begin(&house, &["read"]).await;
    let answers = join_all((0..32).map(|_| session.client.refresh(&session.tokens.refresh))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1, "{won:#?}");
    for answer in lost {
        answer.expect_error(400, "refresh_replayed");
    }
    let tokens = Tokens::read(&won[0]);
    session.client.refresh(&tokens.refresh).await.expect_error(400, "invalid_grant");
}

async fn a_refresh_may_repeat_the_granted_scope_but_not_widen_it(store: Store) {
    let house = House::start(store).await;
    let mut session = Session::begin(&house, &["read"]).await;
    let granted = session.tokens.scope().join(" ");
    for (scope, status) in
        [(granted.as_str(), 200), ("openid artifacts:delete", 400), (granted.as_str(), 200)]
    {
        let answer = session
            .client
            .token(&[
                ("grant_type", "refresh_token"),
                ("refresh_token", &session.tokens.refresh),
                ("client_id", &session.client.client_id),
                ("scope", scope),
                ("resource", house.mcp_url()),
            ])
            .await;
        if status == 200 {
            session.tokens = Tokens::read(&answer);
            assert_eq!(session.tokens.permissions(), ["artifacts:read"]);
        } else {
            answer.expect_error(status, "invalid_scope");
        }
    }
}

async fn rubbish_is_not_taken_for_a_replay(store: Store) {
    let house = House::start(store).await;
    let session = Session::begin(&house, &["read"]).await;
    let altered = format!("{}x", session.tokens.refresh);
    for token in ["rubbish", altered.as_str(), &session.tokens.access] {
        session.client.refresh(token).await.expect_error(400, "invalid_grant");
    }
    session.client.refresh(&session.tokens.refresh).await.expect(200);
}

async fn a_revoked_refresh_token_refreshes_nothing(store: Store) {
    let house = House::start(store).await;
    let session = Session::begin(&house, &["read"]).await;
    for token in [session.tokens.refresh.as_str(), &session.tokens.refresh, "rubbish"] {
        let answer = session.client.revoke(token).await;
        assert_eq!(answer.status, 200, "{answer:#?}");
    }
    session.client.refresh(&session.tokens.refresh).await.expect_error(400, "invalid_grant");
}
