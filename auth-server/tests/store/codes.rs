//! Authorization codes.

use doorward::{
    domain::{
        client::Client,
        code::{MAX_FAILED_TRIES, Verdict},
    },
    store::Applied,
};
use doorward_shared::{allowance::Allowance, scope::Scope, token::GrantType};

use crate::{
    backend::{Backend, at, race, secret},
    world::{Verifier, World, client, event, used},
};

on_each_backend! {
    a_code_comes_back_with_all_that_its_redemption_depends_on,
    a_code_without_its_session_is_not_stored,
    of_many_redemptions_of_one_code_exactly_one_succeeds,
    a_spent_code_is_recognised_as_a_replay,
    a_code_of_an_ended_grant_buys_nothing,
    a_redemption_that_cannot_store_its_token_leaves_the_code_unspent,
    a_client_without_the_refresh_grant_gets_no_refresh_token,
    wrong_verifiers_are_counted_to_the_last_one,
}

async fn a_code_comes_back_with_all_that_its_redemption_depends_on(backend: &Backend) {
    let world = World::new(backend).await;
    let (code, issued) = world.code().await;
    let stored = world.store.code(&code.hash()).await.unwrap().unwrap();
    assert_eq!(stored.hash, code.hash());
    assert_eq!(format!("{:?}", stored.grant), format!("{:?}", issued.grant()));
    assert_eq!(format!("{:?}", stored.user), format!("{:?}", world.user));
    assert_eq!(format!("{:?}", stored.session), format!("{:?}", world.session));
    assert_eq!(stored.session.hash, world.session.hash);
    assert_eq!(stored.redirect_uri, issued.redirect_uri());
    assert_eq!(stored.challenge, *issued.challenge());
    assert_eq!(stored.nonce.as_deref(), Some("n🦊"));
    assert_eq!(stored.expires_at, at(60));
    assert_eq!((stored.failed_tries, stored.spent_at), (0, None));
    assert_eq!(stored.grant.oidc.to_string(), "email openid");
    let allowed = Scope::parse("artifacts:create artifacts:read artifacts:update").unwrap();
    assert_eq!(stored.grant.allowance, Allowance::everywhere(allowed));
    assert_eq!(stored.grant.organization, world.user.organization);
    assert!(world.store.code(&secret().hash()).await.unwrap().is_none());
}

async fn a_code_without_its_session_is_not_stored(backend: &Backend) {
    let world = World::new(backend).await;
    let gone = World { session: crate::world::session(&world.user, at(0)), ..world.clone() };
    let (code, issued) = gone.authorize(at(0));
    assert_eq!(world.store.insert_code(&issued, &event()).await.unwrap(), Applied::Lost);
    assert!(world.store.code(&code.hash()).await.unwrap().is_none());
    assert!(world.store.grant(&issued.grant().id).await.unwrap().is_none(), "both or neither");
}

async fn of_many_redemptions_of_one_code_exactly_one_succeeds(backend: &Backend) {
    let world = World::new(backend).await;
    let other = world.through(backend.store().await);
    let (code, issued) = world.code().await;
    let mut verdicts = Vec::new();
    for _ in 0..32 {
        verdicts.push(world.redemption(&code).await);
    }
    let answers = race(verdicts.len(), |i| {
        let (store, verdict) =
            (if i % 2 == 0 { &world } else { &other }.store.clone(), verdicts[i].0.clone());
        async move { store.redeem(&verdict, &used(), &event()).await.unwrap() }
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| **answer == Applied::Done).count(), 1);
    for (answer, (_, token)) in answers.iter().zip(&verdicts) {
        let stored = world.store.refresh_token(&token.hash()).await.unwrap();
        assert_eq!(stored.is_some(), *answer == Applied::Done, "a loser leaves nothing behind");
        if let Some(stored) = stored {
            assert_eq!(stored.grant.id, issued.grant().id);
            assert_eq!((stored.generation, stored.spent_at), (0, None));
        }
    }
}

async fn a_spent_code_is_recognised_as_a_replay(backend: &Backend) {
    let world = World::new(backend).await;
    let (code, issued) = world.code().await;
    let (redemption, token) = world.redemption(&code).await;
    assert_eq!(world.store.redeem(&redemption, &used(), &event()).await.unwrap(), Applied::Done);
    let spent = world.store.code(&code.hash()).await.unwrap().unwrap();
    assert_eq!(spent.spent_at, Some(at(1)));
    let (Verdict::Replay(revocation), _) = world.judge_code(&spent, Verifier::Right, at(2)) else { panic!() };
    assert_eq!(world.store.end_grant(&revocation, &event()).await.unwrap(), Applied::Done);
    let token = world.store.refresh_token(&token.hash()).await.unwrap().unwrap();
    assert_eq!(
        (token.grant.id, token.grant.ended.map(|end| end.at)),
        (issued.grant().id.clone(), Some(at(2)))
    );
}

async fn a_code_of_an_ended_grant_buys_nothing(backend: &Backend) {
    let world = World::new(backend).await;
    let (code, issued) = world.code().await;
    let (redemption, token) = world.redemption(&code).await;
    let revocation = world.revocation(&issued.grant().id, at(1)).await;
    assert_eq!(world.store.end_grant(&revocation, &event()).await.unwrap(), Applied::Done);
    assert_eq!(world.store.redeem(&redemption, &used(), &event()).await.unwrap(), Applied::Lost);
    assert_eq!(world.store.code(&code.hash()).await.unwrap().unwrap().spent_at, None);
    assert!(world.store.refresh_token(&token.hash()).await.unwrap().is_none());
}

async fn a_redemption_that_cannot_store_its_token_leaves_the_code_unspent(backend: &Backend) {
    let world = World::new(backend).await;
    let (code, _) = world.code().await;
    let (redemption, token) = world.redemption(&code).await;
    // The hash of the token that is to be given is taken, which nothing but a fault could bring about.
    let (_, taken) = world.family().await;
    let steal = format!("update refresh_tokens set hash = '{}'", token.hash().to_text());
    assert_eq!(backend.change(&steal).await, 1);
    assert!(world.store.redeem(&redemption, &used(), &event()).await.is_err());
    assert_eq!(world.store.code(&code.hash()).await.unwrap().unwrap().spent_at, None);
    let give_back = format!("update refresh_tokens set hash = '{}'", taken.hash().to_text());
    assert_eq!(backend.change(&give_back).await, 1);
    assert_eq!(world.store.redeem(&redemption, &used(), &event()).await.unwrap(), Applied::Done);
}

async fn a_client_without_the_refresh_grant_gets_no_refresh_token(backend: &Backend) {
    let world = World::new(backend).await;
    let plain = Client { grant_types: vec![GrantType::AuthorizationCode], ..client("plain") };
    assert_eq!(world.store.insert_client(&plain, &event()).await.unwrap(), Applied::Done);
    let world = World { client: plain, ..world };
    let (code, _) = world.code().await;
    let (redemption, token) = world.redemption(&code).await;
    assert_eq!(world.store.redeem(&redemption, &used(), &event()).await.unwrap(), Applied::Done);
    assert!(world.store.refresh_token(&token.hash()).await.unwrap().is_none());
    assert_eq!(world.store.redeem(&redemption, &used(), &event()).await.unwrap(), Applied::Lost);
}

async fn wrong_verifiers_are_counted_to_the_last_one(backend: &Backend) {
    let world = World::new(backend).await;
    let (code, _) = world.code().await;
    let stored = world.store.code(&code.hash()).await.unwrap().unwrap();
    let tries = usize::try_from(MAX_FAILED_TRIES).unwrap();
    race(tries, |_| {
        let (Verdict::WrongVerifier(failed), _) = world.judge_code(&stored, Verifier::Wrong, at(1)) else {
            panic!()
        };
        let store = world.store.clone();
        async move { store.count_failed_try(&failed).await.unwrap() }
    })
    .await;
    let stored = world.store.code(&code.hash()).await.unwrap().unwrap();
    assert_eq!(stored.failed_tries, MAX_FAILED_TRIES);
    assert!(matches!(world.judge_code(&stored, Verifier::Right, at(1)).0, Verdict::Refuse(_)));
}
