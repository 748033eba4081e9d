//! The life of signing keys: what the calendar asks for, what administrators order, and how this process follows.

use std::time::Duration;

use doorward_shared::{
    jose::{
        Algorithm,
        jws::{SigningError, SigningKey},
    },
    time::Seconds,
};
use zeroize::Zeroizing;

use super::{Context, admin::Desk};
use crate::{
    domain::{
        audit::{Action, Actor},
        policy::KeyPolicy,
        signing_key::{self, Change, KeySet, NotRevoked, NotRotated, StoredSigningKey, Wanted},
    },
    keys::{DataKey, KeyEncryptionKey, KeyError, KeyRing, seal_signing_key},
    store::{Applied, DATA_KEY, StoreError},
};

/// Why nothing was done. Every message says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The next key does not take over.
    #[error(transparent)]
    NotRotated(#[from] NotRotated),
    /// A key is not revoked.
    #[error("{0}: {1}")]
    NotRevoked(String, NotRevoked),
    /// Others were faster again and again.
    #[error("the keys are being changed by others all the time; try again in a moment")]
    Contended,
    /// A key file is given that is in use already.
    #[error("the new key-encryption key is the one in use; make another one")]
    SameKek,
}

/// How often a decision is taken anew when another process was faster.
const TRIES: usize = 10;

/// Opens the data key; makes the first one when there is none.
pub async fn data_key(desk: Desk<'_>, kek: &KeyEncryptionKey) -> Result<DataKey, SigningKeyError> {
    if let Some(sealed) = desk.store.data_key().await? {
        return Ok(DataKey::open_with(kek, &sealed)?);
    }
    let made = DataKey::generate(desk.entropy).sealed_with(kek, desk.entropy)?;
    // Of several processes that start together, all open the one that was put down first.
    let sealed = desk.store.settle(DATA_KEY, &made).await?;
    Ok(DataKey::open_with(kek, &sealed)?)
}

/// The ring with which a server starts: the keys are made, if there are none.
pub async fn open(desk: Desk<'_>, data_key: DataKey) -> Result<KeyRing, SigningKeyError> {
    keep_up(desk, &data_key).await?;
    Ok(KeyRing::open(&desk.store.signing_keys().await?, data_key)?)
}

/// What the calendar asks for is done, and this process signs with what came of it.
pub async fn tick(ctx: &Context) -> Result<(), SigningKeyError> {
    keep_up(ctx.desk(&Actor::Server, None), ctx.keys.data_key()).await?;
    reload(ctx).await
}

/// Takes the keys that the database has now.
pub async fn reload(ctx: &Context) -> Result<(), SigningKeyError> {
    let _turn = ctx.keys.turn().await;
    let before = ctx.keys.current();
    ctx.keys.load(&ctx.store.signing_keys().await?)?;
    let now = ctx.keys.current();
    if before.kid() != now.kid() {
        tracing::info!(kid = now.kid(), algorithm = now.algorithm().as_str(), "signing with another key");
    }
    Ok(())
}

/// Takes the keys of the database if they changed; `head` is how often they have, and was read from it just now.
pub async fn follow(ctx: &Context, head: i64) -> Result<(), SigningKeyError> {
    if ctx.keys.current().head() != head {
        return reload(ctx).await;
    }
    ctx.keys.confirm();
    Ok(())
}

/// How often the calendar is looked at: once a minute, or more often where keys are to change faster.
pub fn pace(policy: &KeyPolicy) -> Duration {
    let shortest = policy.rotate_every.min(policy.publish_lead).get() / 2;
    Duration::from_secs(u64::try_from(shortest).unwrap_or_default().clamp(1, 60))
}

/// All keys, oldest first.
pub async fn list(desk: Desk<'_>) -> Result<Vec<StoredSigningKey>, SigningKeyError> {
    Ok(desk.store.signing_keys().await?.keys)
}

/// The key that signs from now on.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The key.
    pub key: StoredSigningKey,
    /// Set when it was published for so short a time that some resource servers may not know it yet.
    pub published_for: Option<Seconds>,
}

/// Lets the next key take over now.
pub async fn rotate(desk: Desk<'_>, data_key: &DataKey) -> Result<Taken, SigningKeyError> {
    for _ in 0..TRIES {
        let now = desk.clock.now();
        let change = signing_key::rotate(&desk.store.signing_keys().await?, &desk.policy.keys, now)?;
        if apply(desk, data_key, change).await?.is_some() {
            return active(desk).await;
        }
    }
    Err(SigningKeyError::Contended)
}

/// Declares a key bad. Answers with the key that signs from now on.
pub async fn revoke(desk: Desk<'_>, data_key: &DataKey, kid: &str) -> Result<Taken, SigningKeyError> {
    for _ in 0..TRIES {
        let now = desk.clock.now();
        let set = desk.store.signing_keys().await?;
        let change = signing_key::revoke(&set, kid, &desk.policy.keys, now)
            .map_err(|why| SigningKeyError::NotRevoked(kid.to_owned(), why))?;
        if apply(desk, data_key, change).await?.is_some() {
            return active(desk).await;
        }
    }
    Err(SigningKeyError::Contended)
}

/// Seals the data key with another key-encryption key. Running servers hold the data key and go on; whoever starts from now on
/// needs the new one.
pub async fn rekey(
    desk: Desk<'_>,
    old: &KeyEncryptionKey,
    new: &KeyEncryptionKey,
) -> Result<(), SigningKeyError> {
    // Made first where there is none, so that the command means the same on a database that never served.
    let opened = data_key(desk, old).await?;
    for _ in 0..TRIES {
        let before = desk.store.data_key().await?.ok_or(SigningKeyError::Contended)?;
        if DataKey::open_with(new, &before).is_ok() {
            return Err(SigningKeyError::SameKek);
        }
        let after = opened.sealed_with(new, desk.entropy)?;
        let event = desk.event(Action::Rekeyed, DATA_KEY, desk.clock.now());
        if desk.store.reseal_data_key(&before, &after, &event).await? == Applied::Done {
            return Ok(());
        }
    }
    Err(SigningKeyError::Contended)
}

/// Does what the calendar asks for, until it asks for nothing.
async fn keep_up(desk: Desk<'_>, data_key: &DataKey) -> Result<(), SigningKeyError> {
    for _ in 0..TRIES {
        let set = desk.store.signing_keys().await?;
        let change = signing_key::plan(&set, &desk.policy.keys, desk.clock.now());
        if change.is_empty() {
            return Ok(());
        }
        if let Some(change) = apply(desk, data_key, change).await? {
            let signs = change.activates();
            tracing::info!(steps = change.steps().len(), signs, "changed the signing keys");
        }
    }
    Err(SigningKeyError::Contended)
}

/// Makes the keys that a change wants and carries it out. `None`: the keys changed meanwhile.
async fn apply(
    desk: Desk<'_>,
    data_key: &DataKey,
    change: Change<Wanted>,
) -> Result<Option<Change>, SigningKeyError> {
    let mut made = Vec::new();
    for algorithm in change.wanted() {
        made.push(seal_signing_key(&generate(algorithm).await?, data_key, desk.entropy)?);
    }
    let Some(change) = change.make(made) else { return Ok(None) };
    let events = change.events(desk.actor, desk.address, desk.entropy);
    let applied = desk.store.change_signing_keys(&change, &events).await?;
    Ok((applied == Applied::Done).then_some(change))
}

/// An RSA key takes its time; nobody else waits for it.
async fn generate(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let made = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm)).await;
    Ok(made.unwrap_or(Err(SigningError::Generate))?)
}

async fn active(desk: Desk<'_>) -> Result<Taken, SigningKeyError> {
    let KeySet { keys, .. } = desk.store.signing_keys().await?;
    let key = keys.into_iter().find(|key| key.state == signing_key::State::Active);
    let key = key.ok_or(KeyError::NoActive)?;
    let published_for = signing_key::hardly_known(&key, desk.clock.now());
    Ok(Taken { key, published_for })
}
