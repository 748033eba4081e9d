//! Grants and API keys that are made or used while an administrator takes something away.

use doorward::{
    domain::{
        api_key::{ApiKey, ApiKeySecret, Powers},
        consent::{Reach, Ticked},
        entitlement::Holder,
        ids::ApiKeyId,
        organization::{Place, Realm},
    },
    store::Applied,
};
use doorward_shared::{allowance::Allowance, secret::SystemEntropy};

use crate::{
    backend::{Backend, at},
    permissions::{acme, path, rule},
    world::{World, event, used},
};

on_each_backend! {
    what_names_a_node_that_is_gone_or_going_is_not_stored,
    a_grant_that_was_narrowed_is_decided_on_anew,
}

async fn what_names_a_node_that_is_gone_or_going_is_not_stored(backend: &Backend) {
    let world = World::new(backend).await;
    let acme = acme(world.store.as_ref()).await;
    let everyone =
        rule(Holder::Everyone, "write", None, Place { realm: Realm::Shared(acme.id.clone()), node: None });
    let nodes = world.store.nodes(&acme.id).await.unwrap();
    let issued = |text: &str| {
        let reach = Reach { rules: vec![everyone.clone()], shared: vec![(acme.clone(), nodes.clone())] };
        let organization = Some(acme.id.to_string());
        let ticked = Ticked { organization, nodes: vec![text.to_owned()], ..Ticked::default() };
        let issued = world.authorize_within(reach, ticked, at(0)).1;
        assert!(issued.grant().allowance.nodes().contains_key(&path(text)));
        issued
    };
    let key = |text: &str| {
        let powers = Powers::simple("read", vec![path(text)]);
        let secret = ApiKeySecret::generate(&powers, &SystemEntropy);
        ApiKey {
            id: ApiKeyId::generate(at(0), &SystemEntropy),
            user_id: world.user.id.clone(),
            name: "CI".to_owned(),
            organization: acme.id.clone(),
            resource: None,
            powers,
            rate_limit: None,
            hash: secret.hash(),
            prefix: secret.prefix(),
            created_at: at(0),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        }
    };
    let store = &world.store;
    assert_eq!(store.insert_code(&issued("alpha"), &event()).await.unwrap(), Applied::Done);
    assert_eq!(store.insert_api_key(&key("alpha"), &event()).await.unwrap(), Applied::Done);
    let remove = "delete from nodes where path = 'beta'";
    let removal = backend.meanwhile(remove).await;
    let (later, code) = (store.clone(), issued("beta"));
    let answer = removal.overtakes(async move { later.insert_code(&code, &event()).await.unwrap() }).await;
    assert_eq!(answer, Applied::Lost);
    assert_eq!(store.insert_code(&issued("beta"), &event()).await.unwrap(), Applied::Lost);
    assert_eq!(store.insert_api_key(&key("beta"), &event()).await.unwrap(), Applied::Lost);
    // A person's own organization has no nodes, and any may be named.
    let own = ApiKey { organization: world.user.organization.clone(), ..key("beta") };
    assert_eq!(store.insert_api_key(&own, &event()).await.unwrap(), Applied::Done);
}

async fn a_grant_that_was_narrowed_is_decided_on_anew(backend: &Backend) {
    let world = World::new(backend).await;
    let narrowed = Allowance::at_node(path("alpha"), world.resource.model.expand(["read"]).unwrap());
    let narrow = format!("update grants set allowance = '{}'", serde_json::to_string(&narrowed).unwrap());
    let (code, _) = world.code().await;
    let (before, _) = world.redemption(&code).await;
    backend.change(&narrow).await;
    assert_eq!(world.store.redeem(&before, &used(), &event()).await.unwrap(), Applied::Lost);
    let (anew, token) = world.redemption(&code).await;
    assert_eq!((anew.allowance(), before.allowance() == &narrowed), (&narrowed, false));
    assert_eq!(world.store.redeem(&anew, &used(), &event()).await.unwrap(), Applied::Done);
    let (before, _) = world.rotation(&token).await;
    backend.change(r#"update grants set allowance = '{"everywhere":""}'"#).await;
    assert_eq!(world.store.rotate(&before, &used()).await.unwrap(), Applied::Lost);
    let (anew, _) = world.rotation(&token).await;
    assert_eq!(world.store.rotate(&anew, &used()).await.unwrap(), Applied::Done);
}
