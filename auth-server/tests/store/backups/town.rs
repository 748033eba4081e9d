//! A store with several people, clients and resource servers, what they hold in their hands, and what they do.

use std::{collections::BTreeSet, sync::Arc};

use doorward::{
    domain::{
        client::{Client, Credentials, Origin},
        code,
        ids::GrantId,
        refresh,
        resource::Resource,
        revocation::{Sweep, Whose, revoke},
        session::Session,
        user::User,
    },
    store::Applied,
};
use doorward_shared::secret::{AuthorizationCode, RefreshToken, Secret};
use proptest::prelude::*;

use super::*;
use crate::world::{Verifier, barred_client, barred_resource, client, session, user};

const PEOPLE: usize = 3;
const CLIENTS: usize = 3;
const RESOURCES: usize = 2;

/// What somebody does.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    SignIn(usize),
    SignOut(usize),
    Ask(usize, usize, usize),
    Redeem(usize),
    Refresh(usize),
    RevokeGrant(usize),
    SweepUser(usize),
    SweepEverybody,
    UserDisabled(usize),
    UserEnabled(usize),
    ClientDisabled(usize),
    ClientEnabled(usize),
    ClientDeleted(usize),
    ResourceDisabled(usize),
    ResourceEnabled(usize),
    ResourceRemoved(usize),
    ResourceAdded(usize),
    Chain,
}

pub(super) fn deed() -> impl Strategy<Value = Deed> {
    let (p, c, r, n) = (0..PEOPLE, 0..CLIENTS, 0..RESOURCES, 0_usize..8);
    prop_oneof![
        2 => p.clone().prop_map(Deed::SignIn),
        1 => n.clone().prop_map(Deed::SignOut),
        6 => (p.clone(), c.clone(), r.clone()).prop_map(|(p, c, r)| Deed::Ask(p, c, r)),
        5 => n.clone().prop_map(Deed::Redeem),
        5 => n.clone().prop_map(Deed::Refresh),
        2 => n.prop_map(Deed::RevokeGrant),
        1 => p.clone().prop_map(Deed::SweepUser),
        1 => Just(Deed::SweepEverybody),
        2 => p.clone().prop_map(Deed::UserDisabled),
        2 => p.prop_map(Deed::UserEnabled),
        2 => c.clone().prop_map(Deed::ClientDisabled),
        2 => c.clone().prop_map(Deed::ClientEnabled),
        1 => c.prop_map(Deed::ClientDeleted),
        2 => r.clone().prop_map(Deed::ResourceDisabled),
        2 => r.clone().prop_map(Deed::ResourceEnabled),
        1 => r.clone().prop_map(Deed::ResourceRemoved),
        1 => r.prop_map(Deed::ResourceAdded),
        2 => Just(Deed::Chain),
    ]
}

/// A store, and everything that people, clients and resource servers hold in their hands.
#[derive(Clone)]
pub(super) struct Town {
    pub(super) world: World,
    people: Vec<User>,
    clients: Vec<Client>,
    resources: Vec<Resource>,
    sessions: Vec<Session>,
    codes: Vec<(World, Arc<Secret<AuthorizationCode>>)>,
    tokens: Vec<(World, GrantId, Arc<Secret<RefreshToken>>)>,
    pub(super) now: i64,
}

impl Town {
    pub(super) async fn new(backend: &Backend) -> Self {
        let world = World::new(backend).await;
        let mut town = Self {
            people: vec![world.user.clone()],
            clients: vec![world.client.clone()],
            resources: vec![world.resource.clone()],
            sessions: vec![world.session.clone()],
            codes: Vec::new(),
            tokens: Vec::new(),
            now: 0,
            world,
        };
        let store = &town.world.store;
        for name in ["root", "bob"] {
            let admin_since = (name == "root").then_some(at(0));
            let person = User { admin_since, ..user(&format!("{name}@example.test")) };
            assert_eq!(store.insert_user(&person, &event()).await.unwrap(), Applied::Done);
            let opened = session(&person, at(0));
            assert_eq!(store.open_session(&opened, None, &event()).await.unwrap(), Applied::Done);
            town.people.push(person);
            town.sessions.push(opened);
        }
        for (id, origin) in [("registered", Origin::Administrator), ("fixed", Origin::Fixed)] {
            let made = Client { origin, credentials: Credentials::Public, ..client(id) };
            assert_eq!(store.insert_client(&made, &event()).await.unwrap(), Applied::Done);
            town.clients.push(made);
        }
        let second = resource("https://mcp.test/b");
        assert_eq!(store.insert_resource(&second, &event()).await.unwrap(), Applied::Done);
        town.resources.push(second);
        backend.change(&rest("t")).await;
        town
    }

    pub(super) fn through(&self, store: &Arc<dyn Store>) -> Self {
        let mut town = self.clone();
        town.world = town.world.through(Arc::clone(store));
        for world in town.codes.iter_mut().map(|code| &mut code.0) {
            *world = world.through(Arc::clone(store));
        }
        for world in town.tokens.iter_mut().map(|token| &mut token.0) {
            *world = world.through(Arc::clone(store));
        }
        town
    }

    fn said(&self, action: Action, object: impl ToString) -> Event {
        Event::new(action, Actor::Operator, at(self.now), &SystemEntropy).on(object)
    }

    /// Does it with the verbs and verdicts of the product. Deeds that are not possible are not done.
    pub(super) async fn carry_out(&mut self, deed: &Deed) {
        // Several deeds share a second.
        self.now += i64::from(self.tokens.len().is_multiple_of(3));
        let (store, now) = (self.world.store.clone(), at(self.now));
        match *deed {
            Deed::SignIn(p) => {
                if self.signs_in(p).await {
                    let opened = session(&self.people[p], now);
                    assert_eq!(store.open_session(&opened, None, &event()).await.unwrap(), Applied::Done);
                    self.sessions.push(opened);
                }
            }
            Deed::SignOut(n) => {
                if let Some(session) = self.sessions.get(n) {
                    let _ = store.end_session(&session.hash, &event()).await.unwrap();
                }
            }
            Deed::Ask(p, c, r) => {
                let opened = session(&self.people[p], now);
                if self.signs_in(p).await && self.client_works(c).await && self.resource_works(r).await {
                    assert_eq!(store.open_session(&opened, None, &event()).await.unwrap(), Applied::Done);
                    let world = World {
                        user: self.people[p].clone(),
                        client: self.clients[c].clone(),
                        resource: self.resources[r].clone(),
                        session: opened.clone(),
                        ..self.world.clone()
                    };
                    let (code, issued) = world.authorize(now);
                    assert_eq!(store.insert_code(&issued, &event()).await.unwrap(), Applied::Done);
                    self.sessions.push(opened);
                    self.codes.push((world, Arc::new(code)));
                }
            }
            Deed::Redeem(n) => {
                let Some((world, code)) = self.codes.get(n).cloned() else { return };
                let Some(stored) = store.code(&code.hash()).await.unwrap() else { return };
                let verdict = world.judge_code(&stored, Verifier::Right, now);
                if let (code::Verdict::Redeem(redemption, ..), token) = verdict
                    && store.redeem(&redemption, &used(), &event()).await.unwrap() == Applied::Done
                {
                    self.tokens.push((world, stored.grant.id, Arc::new(token)));
                }
            }
            Deed::Refresh(n) => {
                let Some((world, grant, token)) = self.tokens.get(n).cloned() else { return };
                if let Some(fresh) = refresh(&world, &token, now).await {
                    self.tokens.push((world, grant, Arc::new(fresh)));
                }
            }
            Deed::RevokeGrant(n) => {
                let Some((_, grant, _)) = self.tokens.get(n) else { return };
                let Some((grant, _)) = store.grant(grant).await.unwrap() else { return };
                if let Some(end) = revoke(&grant, &policy().token, now) {
                    let said = self.said(Action::GrantRevoked, &grant.id);
                    assert_eq!(store.end_grant(&end, &said).await.unwrap(), Applied::Done);
                }
            }
            Deed::Chain => {
                store.chain(100).await.unwrap();
            }
            _ => self.administer(deed, now).await,
        }
    }

    async fn administer(&mut self, deed: &Deed, now: Timestamp) {
        let store = self.world.store.clone();
        match *deed {
            Deed::SweepUser(p) => {
                let id = self.people[p].id.clone();
                let sweep = Sweep::revoked(Whose::User(id.clone()), &policy().token, now);
                store.end_grants(&sweep, &self.said(Action::GrantsRevoked, id)).await.unwrap();
            }
            Deed::SweepEverybody => {
                let sweep = Sweep::revoked(Whose::Everybody(policy().issuer), &policy().token, now);
                store.end_grants(&sweep, &self.said(Action::GrantsRevoked, "all")).await.unwrap();
            }
            Deed::UserDisabled(p) | Deed::UserEnabled(p) => {
                let id = &self.people[p].id;
                let sweep = barred_user(id, now);
                let _ = match deed {
                    Deed::UserDisabled(_) => {
                        store.disable_user(id, &sweep, &self.said(Action::UserDisabled, id)).await.unwrap()
                    }
                    _ => store.enable_user(id, &sweep, &self.said(Action::UserEnabled, id)).await.unwrap(),
                };
            }
            Deed::ClientDisabled(c) | Deed::ClientEnabled(c) | Deed::ClientDeleted(c) => {
                let id = &self.clients[c].id;
                let sweep = barred_client(id, now);
                let _ = match deed {
                    Deed::ClientDisabled(_) => store
                        .disable_client(id, &sweep, &self.said(Action::ClientDisabled, id))
                        .await
                        .unwrap(),
                    Deed::ClientEnabled(_) => {
                        store.enable_client(id, &sweep, &self.said(Action::ClientEnabled, id)).await.unwrap()
                    }
                    _ => {
                        store.delete_client(id, &sweep, &self.said(Action::ClientDeleted, id)).await.unwrap()
                    }
                };
            }
            Deed::ResourceDisabled(r) | Deed::ResourceEnabled(r) | Deed::ResourceRemoved(r) => {
                let uri = &self.resources[r].uri;
                let sweep = barred_resource(uri, now);
                let _ = match deed {
                    Deed::ResourceDisabled(_) => {
                        let said = self.said(Action::ResourceDisabled, uri);
                        store.disable_resource(uri, &sweep, &said).await.unwrap()
                    }
                    Deed::ResourceEnabled(_) => {
                        let said = self.said(Action::ResourceEnabled, uri);
                        store.enable_resource(uri, &sweep, &said).await.unwrap()
                    }
                    _ => {
                        let said = self.said(Action::ResourceRemoved, uri);
                        store.remove_resource(uri, &sweep, &said).await.unwrap()
                    }
                };
            }
            Deed::ResourceAdded(r) => {
                let again = resource(self.resources[r].uri.as_str());
                let said = self.said(Action::ResourceAdded, &again.uri);
                if store.insert_resource(&again, &said).await.unwrap() == Applied::Done {
                    self.resources[r] = again;
                }
            }
            _ => unreachable!("people do this"),
        }
    }

    async fn signs_in(&self, p: usize) -> bool {
        let person = self.world.store.user(&self.people[p].id).await.unwrap();
        person.is_some_and(|person| person.disabled_at.is_none())
    }

    async fn client_works(&self, c: usize) -> bool {
        let client = self.world.store.client(&self.clients[c].id).await.unwrap();
        client.is_some_and(|client| client.disabled_at.is_none())
    }

    async fn resource_works(&self, r: usize) -> bool {
        let resource = self.world.store.resource(&self.resources[r].uri).await.unwrap();
        let same = |resource: &Resource| resource.client_id == self.resources[r].client_id;
        resource.is_some_and(|resource| resource.disabled_at.is_none() && same(&resource))
    }

    /// Everything that somebody could use now, by the decisions of the product.
    pub(super) async fn working(&self) -> BTreeSet<String> {
        let (store, now) = (&self.world.store, at(self.now + 1));
        let mut works = BTreeSet::new();
        for (p, person) in self.people.iter().enumerate() {
            if self.signs_in(p).await {
                works.insert(format!("person {}", person.email));
            }
        }
        for (c, client) in self.clients.iter().enumerate() {
            if self.client_works(c).await {
                works.insert(format!("client {}", client.id));
            }
        }
        for (r, resource) in self.resources.iter().enumerate() {
            if self.resource_works(r).await {
                works.insert(format!("resource {} {}", resource.uri, resource.client_id));
            }
        }
        for (n, session) in self.sessions.iter().enumerate() {
            let stored = store.session(&session.hash).await.unwrap();
            let live = |(session, user): &(Session, User)| {
                session.is_live(&policy().session, now) && user.disabled_at.is_none()
            };
            if stored.as_ref().is_some_and(live) {
                works.insert(format!("session {n}"));
            }
        }
        for (n, (world, code)) in self.codes.iter().enumerate() {
            let Some(stored) = store.code(&code.hash()).await.unwrap() else { continue };
            let (client, resource) = objects(world).await;
            let Some(client) = client else { continue };
            let there = World {
                client,
                resource: resource.unwrap_or_else(|| world.resource.clone()),
                ..world.clone()
            };
            if let (code::Verdict::Redeem(..), _) = there.judge_code(&stored, Verifier::Right, now) {
                works.insert(format!("code {n}"));
            }
        }
        for (n, (world, _, token)) in self.tokens.iter().enumerate() {
            if redeemable(world, token, now).await {
                works.insert(format!("refresh token {n}"));
            }
        }
        works
    }
}

/// The client and the resource of a world as the store has them now; no client that is disabled.
async fn objects(world: &World) -> (Option<Client>, Option<Resource>) {
    let client = world.store.client(&world.client.id).await.unwrap();
    let resource = world.store.resource(&world.resource.uri).await.unwrap();
    (client.filter(|client| client.disabled_at.is_none()), resource)
}

async fn redeemable(world: &World, token: &Secret<RefreshToken>, now: Timestamp) -> bool {
    let Some(stored) = world.store.refresh_token(&token.hash()).await.unwrap() else { return false };
    let (Some(client), Some(resource)) = objects(world).await else { return false };
    let world = World { client, resource, ..world.clone() };
    let (verdict, _) = world.judge_refresh(&stored, now);
    matches!(verdict, refresh::Verdict::Rotate(..))
}

async fn refresh(
    world: &World,
    token: &Secret<RefreshToken>,
    now: Timestamp,
) -> Option<Secret<RefreshToken>> {
    let stored = world.store.refresh_token(&token.hash()).await.unwrap()?;
    let (Some(client), Some(resource)) = objects(world).await else { return None };
    let world = World { client, resource, ..world.clone() };
    match world.judge_refresh(&stored, now) {
        (refresh::Verdict::Rotate(rotation, ..), fresh) => {
            let done = world.store.rotate(&rotation, &used()).await.unwrap();
            (done == Applied::Done).then_some(fresh)
        }
        (refresh::Verdict::Replay(end), _) => {
            let _ = world.store.end_grant(&end, &event()).await.unwrap();
            None
        }
        _ => None,
    }
}
