//! A database as far as it can be said of something that it works, and what people and administrators do to it.

use doorward_shared::resource::ResourceUri;
use proptest::prelude::*;

use super::{tests::event, *};
use crate::domain::audit::{Action, Event};

/// Something that can be barred and, but for people, removed; what is made again under its name is another version of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Thing {
    pub(super) version: u32,
    there: bool,
    pub(super) disabled: bool,
}

impl Thing {
    const fn new() -> Self {
        Self { version: 0, there: true, disabled: false }
    }

    pub(super) const fn works(self) -> bool {
        self.there && !self.disabled
    }
}

/// One authorization with the refresh token that is good now.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Allowed {
    user: usize,
    client: usize,
    resource: usize,
    generation: u32,
    ended: bool,
}

/// A database, as far as it can be said of something that it works.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) users: [Thing; 3],
    pub(super) clients: [Thing; 3],
    resources: [Thing; 2],
    admin_keys: Vec<Thing>,
    grants: Vec<Allowed>,
    sessions: Vec<(usize, bool)>,
    pub(super) signing_keys: Vec<Thing>,
}

const USERS: [&str; 3] = ["usr_0", "usr_1", "usr_2"];
const CLIENTS: [&str; 3] = ["fixed", "registered", "dynamic"];
const RESOURCES: [&str; 2] = ["https://mcp.test/a", "https://mcp.test/b"];

#[derive(Clone, Debug)]
pub(super) enum Deed {
    Disable(u8, usize),
    Enable(u8, usize),
    Remove(u8, usize),
    MakeAgain(u8, usize),
    RevokeAdminKey(usize),
    MakeAdminKey,
    Allow(usize, usize, usize),
    End(usize),
    Refresh(usize),
    SignIn(usize),
    SignOut(usize),
    RevokeSigningKey,
}

pub(super) fn deed() -> impl Strategy<Value = Deed> {
    let (kind, i) = (0_u8..3, 0_usize..3);
    prop_oneof![
        3 => (kind.clone(), i.clone()).prop_map(|(kind, i)| Deed::Disable(kind, i)),
        3 => (kind.clone(), i.clone()).prop_map(|(kind, i)| Deed::Enable(kind, i)),
        2 => (kind.clone(), i.clone()).prop_map(|(kind, i)| Deed::Remove(kind, i)),
        2 => (kind, i.clone()).prop_map(|(kind, i)| Deed::MakeAgain(kind, i)),
        1 => i.clone().prop_map(Deed::RevokeAdminKey),
        1 => Just(Deed::MakeAdminKey),
        3 => (i.clone(), i.clone(), 0_usize..2).prop_map(|(u, c, r)| Deed::Allow(u, c, r)),
        2 => i.clone().prop_map(Deed::End),
        3 => i.clone().prop_map(Deed::Refresh),
        1 => i.clone().prop_map(Deed::SignIn),
        1 => i.prop_map(Deed::SignOut),
        1 => Just(Deed::RevokeSigningKey),
    ]
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            users: [Thing::new(); 3],
            clients: [Thing::new(); 3],
            resources: [Thing::new(); 2],
            admin_keys: Vec::new(),
            grants: Vec::new(),
            sessions: Vec::new(),
            signing_keys: vec![Thing::new()],
        }
    }

    fn thing(&mut self, kind: u8, i: usize) -> (&mut Thing, &'static str) {
        match kind {
            0 => (&mut self.users[i], USERS[i]),
            1 => (&mut self.clients[i], CLIENTS[i]),
            _ => (&mut self.resources[i % 2], RESOURCES[i % 2]),
        }
    }

    fn end_what_hangs_on(&mut self, kind: u8, i: usize) {
        for grant in &mut self.grants {
            grant.ended |= match kind {
                0 => grant.user == i,
                1 => grant.client == i,
                _ => grant.resource == i % 2,
            };
        }
        for (user, ended) in &mut self.sessions {
            *ended |= kind == 0 && *user == i;
        }
    }

    /// Does it, and answers what the audit trail says of it.
    pub(super) fn carry_out(&mut self, deed: &Deed, when: Timestamp) -> Option<Event> {
        let word = |kind, words: [Action; 3]| words[usize::from(std::cmp::min(kind, 2))];
        match *deed {
            Deed::Disable(kind, i) => {
                let (thing, id) = self.thing(kind, i);
                thing.disabled = true;
                self.end_what_hangs_on(kind, i);
                let words = [Action::UserDisabled, Action::ClientDisabled, Action::ResourceDisabled];
                Some(event(word(kind, words), id, when))
            }
            Deed::Enable(kind, i) => {
                let (thing, id) = self.thing(kind, i);
                thing.disabled = false;
                self.end_what_hangs_on(kind, i);
                let words = [Action::UserEnabled, Action::ClientEnabled, Action::ResourceEnabled];
                Some(event(word(kind, words), id, when))
            }
            // Nobody removes an account.
            Deed::Remove(0, _) | Deed::MakeAgain(0, _) => None,
            Deed::Remove(kind, i) => {
                let (thing, id) = self.thing(kind, i);
                let removed = std::mem::replace(&mut thing.there, false);
                self.end_what_hangs_on(kind, i);
                let words = [Action::UserDisabled, Action::ClientDeleted, Action::ResourceRemoved];
                removed.then(|| event(word(kind, words), id, when))
            }
            Deed::MakeAgain(kind, i) => {
                let (thing, id) = self.thing(kind, i);
                let made = !thing.there;
                if made {
                    *thing = Thing { version: thing.version + 1, ..Thing::new() };
                }
                let words = [Action::UserCreated, Action::ClientCreated, Action::ResourceAdded];
                made.then(|| event(word(kind, words), id, when))
            }
            Deed::RevokeAdminKey(i) => {
                self.admin_keys.get_mut(i)?.disabled = true;
                Some(event(Action::AdminKeyRevoked, &i.to_string(), when))
            }
            Deed::MakeAdminKey => {
                self.admin_keys.push(Thing::new());
                Some(event(Action::AdminKeyCreated, &(self.admin_keys.len() - 1).to_string(), when))
            }
            Deed::Allow(user, client, resource) => {
                let all = self.users[user].works() && self.clients[client].works();
                if all && self.resources[resource].works() {
                    let grant = Allowed { user, client, resource, generation: 0, ended: false };
                    self.grants.push(grant);
                }
                Some(event(Action::ConsentGiven, "grt", when))
            }
            Deed::End(i) => {
                self.grants.get_mut(i)?.ended = true;
                Some(event(Action::GrantRevoked, "grt", when))
            }
            // The trail says nothing of it.
            Deed::Refresh(i) => {
                self.grants.get_mut(i)?.generation += 1;
                None
            }
            Deed::SignIn(i) => {
                self.sessions.push((i, false));
                Some(event(Action::SignedIn, USERS[i], when))
            }
            Deed::SignOut(i) => {
                self.sessions.get_mut(i)?.1 = true;
                Some(event(Action::SignedOut, "", when))
            }
            Deed::RevokeSigningKey => {
                self.signing_keys.last_mut()?.disabled = true;
                self.signing_keys.push(Thing::new());
                Some(event(Action::KeyRevoked, "kid", when))
            }
        }
    }

    /// The database that comes of this backup.
    pub(super) fn restored(&self, verdict: &Restoration) -> Self {
        let mut restored = self.clone();
        for (i, user) in restored.users.iter_mut().enumerate() {
            user.disabled |= verdict.disabled_users().has(USERS[i]);
        }
        for (i, client) in restored.clients.iter_mut().enumerate() {
            client.disabled |= verdict.disabled_clients().has(CLIENTS[i]);
            client.there &= !verdict.removed_clients().any(|id| id == CLIENTS[i]);
        }
        for (i, resource) in restored.resources.iter_mut().enumerate() {
            let folded = ResourceUri::parse(RESOURCES[i]).unwrap().folded().to_owned();
            resource.disabled |= verdict.disabled_resources().has(&folded);
            resource.there &= !verdict.removed_resources().any(|uri| uri == folded);
        }
        for (i, key) in restored.admin_keys.iter_mut().enumerate() {
            key.disabled |= verdict.revoked_admin_keys().has(&i.to_string());
        }
        if verdict.ends() {
            restored.grants.iter_mut().for_each(|grant| grant.ended = true);
            restored.sessions.iter_mut().for_each(|session| session.1 = true);
            restored.signing_keys.iter_mut().for_each(|key| key.disabled = true);
        }
        restored
    }

    /// Everything that somebody could use now: credentials, and who could sign in or be allowed something.
    pub(super) fn working(&self) -> BTreeSet<String> {
        let mut works = BTreeSet::new();
        let things = |name: &str, things: &[Thing]| {
            let working = things.iter().enumerate().filter(|(_, thing)| thing.works());
            working.map(|(i, thing)| format!("{name} {i}.{}", thing.version)).collect::<Vec<_>>()
        };
        works.extend(things("user", &self.users));
        works.extend(things("client", &self.clients));
        works.extend(things("resource", &self.resources));
        works.extend(things("admin key", &self.admin_keys));
        works.extend(things("signing key", &self.signing_keys));
        for (i, grant) in self.grants.iter().enumerate() {
            let all = self.users[grant.user].works() && self.clients[grant.client].works();
            if !grant.ended && all && self.resources[grant.resource].works() {
                works.insert(format!("refresh token {i}.{}", grant.generation));
            }
        }
        for (i, (user, ended)) in self.sessions.iter().enumerate() {
            if !ended && self.users[*user].works() {
                works.insert(format!("session {i}"));
            }
        }
        works
    }
}
