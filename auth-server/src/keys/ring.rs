//! The ring: the key that signs, and the keys that are published. Requests take the ring as it is and keep it as long as they
//! last; a change puts a new one in its place.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use doorward_shared::{
    jose::{
        Algorithm,
        jwk::{JwkSet, PublicJwk},
        jws::{SigningError, SigningKey, VerifyingKeys},
        strict_json,
    },
    secret::Entropy,
};
use serde::Serialize;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use super::{DataKey, KeyError};
use crate::domain::signing_key::{KeySet, NewSigningKey, State, StoredSigningKey};

/// A process that could not ask the database for so long signs nothing.
const CONFIRMED_FOR: Duration = Duration::from_mins(1);

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The database has not confirmed the key for too long.
    #[error("the database has not confirmed the signing key for more than {} s", CONFIRMED_FOR.as_secs())]
    Unconfirmed,
    /// The signature could not be made.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// The keys at one moment.
#[derive(Debug)]
pub struct Ring {
    head: i64,
    active: Arc<SigningKey>,
    public: JwkSet,
    verifying: VerifyingKeys,
}

impl Ring {
    /// Opens the active key, unless `before` has it open, and reads the public halves of all that are published.
    fn open(set: &KeySet, data_key: &DataKey, before: Option<&Self>) -> Result<Self, KeyError> {
        let stored = set.active().ok_or(KeyError::NoActive)?;
        let known = before.map(|ring| &ring.active).filter(|active| active.kid() == stored.kid);
        let active = match known {
            Some(active) => Arc::clone(active),
            None => Arc::new(open(stored, data_key)?),
        };
        // The active key comes first, for readers that look no further.
        let others = set.published().filter(|key| key.state != State::Active).map(public);
        let keys = std::iter::once(Ok(active.public_jwk().clone())).chain(others);
        let public = JwkSet::new(keys.collect::<Result<_, _>>()?).ok_or(KeyError::NoActive)?;
        let verifying = VerifyingKeys::from(&public);
        Ok(Self { head: set.head, active, public, verifying })
    }

    /// How often the keys had changed when these were read.
    pub const fn head(&self) -> i64 {
        self.head
    }

    /// The name of the key that signs.
    pub fn kid(&self) -> &str {
        self.active.kid()
    }

    /// The algorithm of the key that signs.
    pub fn algorithm(&self) -> Algorithm {
        self.active.public_jwk().algorithm()
    }

    /// The algorithms of all published keys, each once, that of the key that signs first.
    pub fn algorithms(&self) -> Vec<Algorithm> {
        let mut algorithms = vec![self.algorithm()];
        for algorithm in self.public.keys().iter().map(PublicJwk::algorithm) {
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        algorithms
    }

    /// The public keys, as they are published.
    pub const fn public(&self) -> &JwkSet {
        &self.public
    }

    /// The public keys, ready to verify our own tokens.
    pub const fn verifying(&self) -> &VerifyingKeys {
        &self.verifying
    }
}

/// The key that signs, confirmed by the database within the last minute. Take it once for tokens that belong together.
#[derive(Clone, Debug)]
pub struct Signer(Arc<SigningKey>);

impl Signer {
    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.0.public_jwk().algorithm()
    }

    /// Signs claims as a JWT with this `typ`.
    pub fn sign<C: Serialize>(&self, typ: &str, claims: &C) -> Result<String, SignError> {
        Ok(self.0.sign(typ, claims)?)
    }
}

/// The ring in use.
#[derive(Debug)]
pub struct KeyRing {
    data_key: DataKey,
    current: RwLock<Held>,
    turn: Mutex<()>,
}

#[derive(Debug)]
struct Held {
    ring: Arc<Ring>,
    confirmed: Instant,
}

impl KeyRing {
    /// A ring of these keys.
    pub fn open(set: &KeySet, data_key: DataKey) -> Result<Self, KeyError> {
        let ring = Arc::new(Ring::open(set, &data_key, None)?);
        let current = RwLock::new(Held { ring, confirmed: Instant::now() });
        Ok(Self { data_key, current, turn: Mutex::new(()) })
    }

    /// Waits for the turn to load. Whoever reads the keys from the store and puts them in place holds it meanwhile, so that
    /// what was read earlier never replaces what was read later.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Puts the keys in place that the database has now.
    pub fn load(&self, set: &KeySet) -> Result<(), KeyError> {
        let ring = Ring::open(set, &self.data_key, Some(self.current().as_ref()))?;
        let held = Held { ring: Arc::new(ring), confirmed: Instant::now() };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = held;
        Ok(())
    }

    /// The database was asked, and its keys are still these.
    pub fn confirm(&self) {
        self.current.write().unwrap_or_else(PoisonError::into_inner).confirmed = Instant::now();
    }

    /// The keys as they are now. Take them once for what belongs together.
    pub fn current(&self) -> Arc<Ring> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).ring)
    }

    /// The key that signs. A process that lost sight of the database has none: only what the database says is active may
    /// sign, and another process may have revoked it meanwhile.
    pub fn signer(&self) -> Result<Signer, SignError> {
        self.signer_at(Instant::now())
    }

    fn signer_at(&self, now: Instant) -> Result<Signer, SignError> {
        let held = self.current.read().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(held.confirmed) > CONFIRMED_FOR {
            return Err(SignError::Unconfirmed);
        }
        Ok(Signer(Arc::clone(&held.ring.active)))
    }

    /// Signs claims as a JWT with this `typ`.
    pub fn sign<C: Serialize>(&self, typ: &str, claims: &C) -> Result<String, SignError> {
        self.signer()?.sign(typ, claims)
    }

    /// What new keys are sealed with.
    pub const fn data_key(&self) -> &DataKey {
        &self.data_key
    }
}

/// Seals a private key that was just made, and reads its public half.
pub fn seal_signing_key(
    der: &[u8],
    data_key: &DataKey,
    entropy: &dyn Entropy,
) -> Result<NewSigningKey, KeyError> {
    let key = SigningKey::from_pkcs8(der)?;
    let kid = key.kid().to_owned();
    let sealed = data_key.seal(&context(&kid), der, entropy)?;
    let public_jwk = serde_json::to_string(key.public_jwk()).map_err(|_| SigningError::Key)?;
    Ok(NewSigningKey { kid, algorithm: key.public_jwk().algorithm(), public_jwk, sealed })
}

/// Opens a private key and makes sure that it is the one that the row says it is.
fn open(stored: &StoredSigningKey, data_key: &DataKey) -> Result<SigningKey, KeyError> {
    let damaged = || KeyError::Damaged(stored.kid.clone());
    let sealed = stored.sealed.as_deref().ok_or_else(damaged)?;
    let der = data_key.open(&context(&stored.kid), sealed).ok_or_else(damaged)?;
    let key = SigningKey::from_pkcs8(&der)?;
    let same = key.kid() == stored.kid && key.public_jwk().algorithm() == stored.algorithm;
    if same { Ok(key) } else { Err(damaged()) }
}

/// Reads a public half. Its name is its thumbprint, so nobody can have put another key under it.
fn public(stored: &StoredSigningKey) -> Result<PublicJwk, KeyError> {
    let members = strict_json::object(stored.public_jwk.as_bytes()).ok();
    let key = members.as_ref().and_then(PublicJwk::from_members);
    let key = key.filter(|key| key.kid() == stored.kid && key.thumbprint() == stored.kid);
    key.ok_or_else(|| KeyError::Damaged(stored.kid.clone()))
}

fn context(kid: &str) -> String {
    format!("signing_keys/{kid}/private")
}

#[cfg(test)]
mod tests {
    use doorward_shared::{
        jose::jws::{Types, Unverified},
        secret::SystemEntropy,
        time::{Seconds, Timestamp},
    };
    use serde_json::json;

    use super::*;
    use crate::domain::{
        policy::{KeyPolicy, TokenPolicy},
        signing_key,
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn policy() -> KeyPolicy {
        let token = TokenPolicy { code_ttl: Seconds::new(60), access_ttl: Seconds::minutes(15) };
        KeyPolicy::new(Algorithm::EdDsa, Seconds::days(30), Seconds::hours(4), &token)
    }

    fn new(algorithm: Algorithm, data_key: &DataKey) -> NewSigningKey {
        seal_signing_key(&SigningKey::generate(algorithm).unwrap(), data_key, &SystemEntropy).unwrap()
    }

    /// The keys of a first start.
    fn first(data_key: &DataKey) -> KeySet {
        let empty = KeySet { head: 0, keys: Vec::new() };
        let change = signing_key::plan(&empty, &policy(), NOW);
        let new = change.wanted().into_iter().map(|algorithm| new(algorithm, data_key));
        let change = change.clone().make(new).unwrap();
        let keys = change.steps().iter().map(|step| match step {
            signing_key::Step::Make(key) => key.clone(),
            other => panic!("{other:?}"),
        });
        KeySet { head: 1, keys: keys.collect() }
    }

    /// The same with the second key in the first one's place.
    fn rotated(mut set: KeySet) -> KeySet {
        set.head += 1;
        (set.keys[0].state, set.keys[0].sealed) = (State::Retired, None);
        set.keys[1].state = State::Active;
        set
    }

    fn verifies(ring: &Ring, token: &str) -> bool {
        let token = Unverified::parse(token).unwrap();
        let key = ring.verifying().get(token.kid().unwrap());
        key.is_some_and(|key| token.verify(key, Types::Required(&["at+jwt"])).is_ok())
    }

    fn ring() -> (KeyRing, KeySet) {
        let data_key = DataKey::generate(&SystemEntropy);
        let set = first(&data_key);
        (KeyRing::open(&set, data_key).unwrap(), set)
    }

    #[test]
    fn after_a_rotation_the_new_key_signs_and_the_old_one_still_verifies() {
        let (keys, set) = ring();
        let old = keys.sign("at+jwt", &json!({})).unwrap();
        let (during, signer) = (keys.current(), keys.signer().unwrap());
        keys.load(&rotated(set.clone())).unwrap();
        let new = keys.sign("at+jwt", &json!({})).unwrap();
        assert_eq!(during.kid(), set.keys[0].kid);
        assert_eq!(keys.current().kid(), set.keys[1].kid);
        assert!(verifies(&keys.current(), &old) && verifies(&keys.current(), &new));
        assert!(verifies(&during, &new), "the key was published before it signed");
        assert_eq!(signer.sign("at+jwt", &json!({})).unwrap(), old, "what began ends as it began");
    }

    #[test]
    fn a_key_that_stays_active_is_not_opened_again() {
        let (keys, mut set) = ring();
        let before = keys.current();
        set.head += 1;
        keys.load(&set).unwrap();
        assert!(Arc::ptr_eq(&before.active, &keys.current().active));
        assert_eq!(keys.current().head(), 2);
    }

    #[test]
    fn a_revoked_key_is_gone_from_the_key_set() {
        let (keys, set) = ring();
        let token = keys.sign("at+jwt", &json!({})).unwrap();
        let mut revoked = rotated(set);
        revoked.keys[0].state = State::Revoked;
        keys.load(&revoked).unwrap();
        assert!(!verifies(&keys.current(), &token));
        assert_eq!(keys.current().public().keys().len(), 1);
    }

    #[test]
    fn whoever_lost_sight_of_the_database_signs_nothing() {
        let (keys, _) = ring();
        let confirmed = Instant::now();
        assert!(keys.signer_at(confirmed + CONFIRMED_FOR / 2).is_ok());
        let late = confirmed + CONFIRMED_FOR + Duration::from_secs(1);
        assert_eq!(keys.signer_at(late).map(|_| ()), Err(SignError::Unconfirmed));
        assert_eq!(keys.current().public().keys().len(), 2, "what is published stays published");
    }

    // KM-03
    #[test]
    fn a_private_key_opens_with_its_own_data_key_in_its_own_row_alone() {
        let data_key = DataKey::generate(&SystemEntropy);
        let set = first(&data_key);
        let other = KeyRing::open(&set, DataKey::generate(&SystemEntropy));
        assert!(matches!(other, Err(KeyError::Damaged(_))));
        let mut swapped = set.clone();
        let sealed = swapped.keys[1].sealed.take();
        swapped.keys[0].sealed = sealed;
        assert!(matches!(Ring::open(&swapped, &data_key, None), Err(KeyError::Damaged(_))));
        let mut planted = set;
        planted.keys[1].public_jwk.clone_from(&first(&data_key).keys[0].public_jwk);
        assert!(matches!(Ring::open(&planted, &data_key, None), Err(KeyError::Damaged(_))));
    }

    #[test]
    fn the_set_of_algorithms_names_each_once_and_the_one_in_use_first() {
        let data_key = DataKey::generate(&SystemEntropy);
        let mut set = first(&data_key);
        let new = new(Algorithm::Es256, &data_key);
        let key = &mut set.keys[1];
        (key.kid, key.algorithm, key.public_jwk) = (new.kid, new.algorithm, new.public_jwk);
        let ring = Ring::open(&set, &data_key, None).unwrap();
        assert_eq!(ring.algorithms(), [Algorithm::EdDsa, Algorithm::Es256]);
    }
}
