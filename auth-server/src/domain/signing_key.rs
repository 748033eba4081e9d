//! Signing keys: next, active, retired, removed; and revoked. A key is published before it signs and stays published after it
//! stopped, so that no resource server ever meets a token whose key it could not know.

use doorward_shared::{
    jose::Algorithm,
    secret::Entropy,
    time::{Seconds, Timestamp},
};

use super::{
    audit::{Action, Actor, Event},
    policy::{JWKS_MAX_AGE, KeyPolicy},
};

/// A signing key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSigningKey {
    /// Its identifier: the RFC 7638 thumbprint of the public key.
    pub kid: String,
    /// Its place among all keys that there ever were, from 1.
    pub position: i64,
    /// Its one algorithm.
    pub algorithm: Algorithm,
    /// What it is good for.
    pub state: State,
    /// The public half: a JWK (RFC 7517) as JSON text.
    pub public_jwk: String,
    /// The PKCS #8 private key, sealed with the data key; base64url. Gone from the moment the key stops signing.
    pub sealed: Option<String>,
    /// When it was made, and published.
    pub created_at: Timestamp,
    /// When it began to sign.
    pub activated_at: Option<Timestamp>,
    /// When it stopped.
    pub retired_at: Option<Timestamp>,
    /// When it was withdrawn.
    pub removed_at: Option<Timestamp>,
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Published, and signs nothing yet.
    Next,
    /// Signs.
    Active,
    /// Published, and signs no more: its private half is destroyed.
    Retired,
    /// Withdrawn: no token of it can be left.
    Removed,
    /// Declared bad: every token of it is refused.
    Revoked,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Next, Self::Active, Self::Retired, Self::Removed, Self::Revoked];

    /// The word in the store and for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Removed => "removed",
            Self::Revoked => "revoked",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// True for a key that belongs into the key set.
    pub const fn is_published(self) -> bool {
        matches!(self, Self::Next | Self::Active | Self::Retired)
    }
}

/// All keys, and how often they had changed when they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    /// The counter of changes.
    pub head: i64,
    /// The keys, oldest first.
    pub keys: Vec<StoredSigningKey>,
}

impl KeySet {
    /// The key that signs.
    pub fn active(&self) -> Option<&StoredSigningKey> {
        self.in_state(State::Active)
    }

    /// The key that will sign next.
    pub fn next(&self) -> Option<&StoredSigningKey> {
        self.in_state(State::Next)
    }

    /// The keys of the key set.
    pub fn published(&self) -> impl Iterator<Item = &StoredSigningKey> {
        self.keys.iter().filter(|key| key.state.is_published())
    }

    fn in_state(&self, state: State) -> Option<&StoredSigningKey> {
        self.keys.iter().find(|key| key.state == state)
    }

    fn change(&self, steps: Vec<Step<Wanted>>, now: Timestamp) -> Change<Wanted> {
        let last = self.keys.iter().map(|key| key.position).max().unwrap_or(0);
        Change { head: self.head, last, at: now, steps }
    }
}

/// One step of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<K> {
    /// The active key stops signing.
    Retire(String),
    /// A key is declared bad. The feed has to remember it until no token of it can be left anywhere.
    Revoke {
        /// Which key.
        kid: String,
        /// Until when the feed remembers it.
        forget_at: Timestamp,
    },
    /// The next key begins to sign.
    Activate(String),
    /// A key is withdrawn.
    Remove(String),
    /// A key is made.
    Make(K),
}

/// A key that has to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// What it is to be: next, or active at once where there is no other.
    pub state: State,
}

/// A key that was just made.
#[derive(Clone, Debug)]
pub struct NewSigningKey {
    /// Its thumbprint.
    pub kid: String,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// The public half, as JSON text.
    pub public_jwk: String,
    /// The private half, sealed.
    pub sealed: String,
}

/// The verdict that keys change. It was made for the keys as they were at one count of changes, and is void once they
/// changed otherwise; so of several processes that decide the same, one carries it out. Only decisions of this module make one,
/// and only one whose keys are made can be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<K = StoredSigningKey> {
    head: i64,
    last: i64,
    at: Timestamp,
    steps: Vec<Step<K>>,
}

impl<K> Change<K> {
    /// The count of changes for which this was decided.
    pub const fn head(&self) -> i64 {
        self.head
    }

    /// When.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// What happens, in this order.
    pub fn steps(&self) -> &[Step<K>] {
        &self.steps
    }

    /// True when there is nothing to do.
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl Change<Wanted> {
    /// The algorithms of the keys that have to be made, in order.
    pub fn wanted(&self) -> Vec<Algorithm> {
        let wanted = self.steps.iter().filter_map(|step| match step {
            Step::Make(wanted) => Some(wanted.algorithm),
            _ => None,
        });
        wanted.collect()
    }

    /// The change with the keys that were made for it, in order. `None` when there are too few of them.
    pub fn make(self, made: impl IntoIterator<Item = NewSigningKey>) -> Option<Change> {
        let (mut made, mut position) = (made.into_iter(), self.last);
        let steps = self.steps.into_iter().map(|step| {
            Some(match step {
                Step::Retire(kid) => Step::Retire(kid),
                Step::Revoke { kid, forget_at } => Step::Revoke { kid, forget_at },
                Step::Activate(kid) => Step::Activate(kid),
                Step::Remove(kid) => Step::Remove(kid),
                Step::Make(wanted) => {
                    position += 1;
                    Step::Make(made.next()?.stored(position, wanted.state, self.at))
                }
            })
        });
        let steps = steps.collect::<Option<_>>()?;
        Some(Change { head: self.head, last: position, at: self.at, steps })
    }
}

impl NewSigningKey {
    fn stored(self, position: i64, state: State, now: Timestamp) -> StoredSigningKey {
        StoredSigningKey {
            kid: self.kid,
            position,
            algorithm: self.algorithm,
            state,
            public_jwk: self.public_jwk,
            sealed: Some(self.sealed),
            created_at: now,
            activated_at: (state == State::Active).then_some(now),
            retired_at: None,
            removed_at: None,
        }
    }
}

impl Change {
    /// What the audit trail says of it: a line for each step.
    pub fn events(&self, actor: &Actor, address: Option<&str>, entropy: &dyn Entropy) -> Vec<Event> {
        let event =
            |action, kid: &str| Event::new(action, actor.clone(), self.at, entropy).on(kid).from(address);
        let events = self.steps.iter().map(|step| match step {
            Step::Retire(kid) => event(Action::KeyRetired, kid),
            Step::Revoke { kid, .. } => event(Action::KeyRevoked, kid),
            Step::Activate(kid) => event(Action::KeyActivated, kid),
            Step::Remove(kid) => event(Action::KeyRemoved, kid),
            Step::Make(key) => event(Action::KeyCreated, &key.kid)
                .with("algorithm", key.algorithm.as_str())
                .with("state", key.state.as_str()),
        });
        events.collect()
    }

    /// The key that signs once this is carried out, if it is another one than before.
    pub fn activates(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match step {
            Step::Activate(kid) => Some(kid.as_str()),
            Step::Make(key) if key.state == State::Active => Some(key.kid.as_str()),
            _ => None,
        })
    }
}

/// A reader of the key set takes 64 keys and refuses a longer one whole. By themselves keys rotate only while fewer than this
/// are published; commands leave room for a few more.
const CROWD: usize = 40;
/// All of them but the active and the next one.
const RETIRED_IN_CROWD: i64 = 38;
/// Commands stop here.
const FULL: usize = 60;
/// How long the feed remembers a revoked key. Longer than any token can live that was signed with a stolen one and is taken
/// anywhere, and than any copy of the key set is kept.
const REMEMBER_REVOKED: Seconds = Seconds::days(400);

/// The shortest `rotate_every` at which retired keys are withdrawn as fast as they come; a shorter one makes rotation wait.
pub const fn fastest_rotation(policy: &KeyPolicy) -> Seconds {
    Seconds::new(policy.verify_for.get() / RETIRED_IN_CROWD + 1)
}

/// What the calendar asks for: there is a key that signs and one that is published to be the next; the next one takes over
/// when the active one has signed for long enough, or is of another algorithm than configured, and never before it was
/// published for the lead; retired keys are withdrawn when no token of theirs can be left.
pub fn plan(set: &KeySet, policy: &KeyPolicy, now: Timestamp) -> Change<Wanted> {
    let mut steps = match (set.active(), set.next()) {
        (None, next) => begin(next, policy),
        (Some(_), None) => vec![make(policy, State::Next)],
        // It never signed anything, so nobody misses it.
        (Some(_), Some(next)) if next.algorithm != policy.algorithm => {
            vec![Step::Remove(next.kid.clone()), make(policy, State::Next)]
        }
        (Some(active), Some(next)) => {
            let old = active.activated_at.is_none_or(|since| now.since(since) >= policy.rotate_every);
            let due = old || active.algorithm != policy.algorithm;
            let known = now.since(next.created_at) >= policy.publish_lead;
            let promote = due && known && set.published().count() < CROWD;
            if promote { succeed(active, next, policy) } else { Vec::new() }
        }
    };
    let over = |key: &&StoredSigningKey| {
        let since = |at: Timestamp| now >= at.plus(policy.verify_for);
        key.state == State::Retired && key.retired_at.is_some_and(since)
    };
    steps.extend(set.keys.iter().filter(over).map(|key| Step::Remove(key.kid.clone())));
    set.change(steps, now)
}

/// Why the next key does not take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRotated {
    /// Readers would refuse the key set.
    #[error(
        "{FULL} keys are published, and resource servers refuse a longer list; wait until retired keys are withdrawn (`keys list`)"
    )]
    Full,
}

/// The next key takes over now, by command.
pub fn rotate(set: &KeySet, policy: &KeyPolicy, now: Timestamp) -> Result<Change<Wanted>, NotRotated> {
    if set.published().count() >= FULL {
        return Err(NotRotated::Full);
    }
    let steps = match (set.active(), set.next()) {
        (None, next) => begin(next, policy),
        (Some(active), Some(next)) => succeed(active, next, policy),
        (Some(active), None) => {
            vec![Step::Retire(active.kid.clone()), make(policy, State::Active), make(policy, State::Next)]
        }
    };
    Ok(set.change(steps, now))
}

/// Why a key is not revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRevoked {
    /// There is none.
    #[error("there is no key of this name; `keys list` shows all")]
    Unknown,
    /// It was revoked before.
    #[error("it is revoked already")]
    Revoked,
}

/// A key is bad: it signs no more and is published no more, and the feed says so. Where it was the active one, the next one
/// takes over now.
pub fn revoke(
    set: &KeySet,
    kid: &str,
    policy: &KeyPolicy,
    now: Timestamp,
) -> Result<Change<Wanted>, NotRevoked> {
    let key = set.keys.iter().find(|key| key.kid == kid).ok_or(NotRevoked::Unknown)?;
    let mut steps = vec![Step::Revoke { kid: key.kid.clone(), forget_at: now.plus(REMEMBER_REVOKED) }];
    match key.state {
        State::Revoked => return Err(NotRevoked::Revoked),
        State::Active => steps.extend(begin(set.next(), policy)),
        State::Next => steps.push(make(policy, State::Next)),
        State::Retired | State::Removed => {}
    }
    Ok(set.change(steps, now))
}

/// How long a key has been published, if that is too short for every resource server to know it.
pub fn hardly_known(key: &StoredSigningKey, now: Timestamp) -> Option<Seconds> {
    Some(now.since(key.created_at)).filter(|published| *published < JWKS_MAX_AGE)
}

/// Nothing signs: the next key begins at once, or the first one is made.
fn begin(next: Option<&StoredSigningKey>, policy: &KeyPolicy) -> Vec<Step<Wanted>> {
    let first = next.map_or_else(|| make(policy, State::Active), |next| Step::Activate(next.kid.clone()));
    vec![first, make(policy, State::Next)]
}

fn succeed(active: &StoredSigningKey, next: &StoredSigningKey, policy: &KeyPolicy) -> Vec<Step<Wanted>> {
    vec![Step::Retire(active.kid.clone()), Step::Activate(next.kid.clone()), make(policy, State::Next)]
}

const fn make(policy: &KeyPolicy, state: State) -> Step<Wanted> {
    Step::Make(Wanted { algorithm: policy.algorithm, state })
}

#[cfg(test)]
mod tests;
