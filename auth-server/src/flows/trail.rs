//! The audit trail at work: events are taken into the chain, checkpoints are signed, and both are checked.

use std::time::Duration;

use doorward_shared::{
    issuer::Issuer,
    jose::{
        Algorithm,
        jwk::PublicJwk,
        jws::{SigningError, SigningKey, Types, Unverified, VerifyingKey},
        strict_json,
    },
    secret::Entropy,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use super::admin::view;
use crate::{
    domain::{
        audit::{Checkpoint, Link, StoredEvent},
        audit_chain::{Broken, Walk, is_due},
    },
    keys::{DataKey, KeyError},
    store::{Applied, Store, StoreError},
};

/// Between two steps of the chain.
pub const EVERY: Duration = Duration::from_secs(1);
/// The `typ` of a signed checkpoint.
const TYPE: &str = "audit-checkpoint+jwt";
/// The fact under which the sealed key is stored.
const KEY: &str = "audit_key";
/// What the sealed key is.
const CONTEXT: &str = "facts/audit_key/private";
/// Events that are chained with one transaction.
const STEP: u32 = 500;
/// Events that are read at once.
const PAGE: u32 = 1000;

/// What a checkpoint says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: Issuer,
    iat: Timestamp,
    sequence: i64,
    hash: String,
}

/// The key that signs checkpoints: Ed25519, made once with the database, sealed like the signing keys, and of no other use.
/// Whoever can only write to the database cannot make one of his own.
pub struct AuditKey(SigningKey);

/// Why there is no key for checkpoints.
#[derive(Debug, thiserror::Error)]
pub enum NoAuditKey {
    /// It does not open.
    #[error(
        "the audit key in the database was changed or damaged and does not open; go back to a backup, or give this trail \
         up: delete the row audit_key of the table facts and all audit_checkpoints"
    )]
    Damaged,
    /// It could not be made or used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl std::fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuditKey({})", self.0.kid())
    }
}

impl AuditKey {
    /// Opens the key; makes it when there is none.
    pub async fn open(
        store: &dyn Store,
        data_key: &DataKey,
        entropy: &dyn Entropy,
    ) -> Result<Self, NoAuditKey> {
        let made = SigningKey::generate(Algorithm::EdDsa).map_err(KeyError::from)?;
        let fresh = data_key.seal(CONTEXT, &made, entropy)?;
        let sealed = store.settle(KEY, &fresh).await?;
        let der = data_key.open(CONTEXT, &sealed).ok_or(NoAuditKey::Damaged)?;
        Ok(Self(SigningKey::from_pkcs8(&der).map_err(KeyError::from)?))
    }

    /// The public half, for whoever keeps checkpoints elsewhere.
    pub fn public_jwk(&self) -> &PublicJwk {
        self.0.public_jwk()
    }

    /// Signs a checkpoint: a JWS without its header, which is always the same. A whole one would look like a token in the
    /// log, and whoever looks for tokens there would have to be told.
    fn sign(&self, claims: &Claims) -> Result<String, SigningError> {
        let whole = self.0.sign(TYPE, claims)?;
        whole.split_once('.').map(|(_, rest)| rest.to_owned()).ok_or(SigningError::Sign)
    }

    fn header(&self) -> Option<String> {
        let any = self.0.sign(TYPE, &serde_json::Map::new()).ok()?;
        any.split_once('.').map(|(header, _)| header.to_owned())
    }

    /// What a checkpoint says, if this key signed it.
    fn read(&self, issuer: &Issuer, signed: &str) -> Option<Link> {
        let whole = format!("{}.{signed}", self.header()?);
        let unverified = Unverified::parse(&whole).ok()?;
        let key = VerifyingKey::new(self.public_jwk())?;
        let payload = unverified.verify(&key, Types::Required(&[TYPE])).ok()?;
        let claims: Claims = strict_json::from_slice(&payload).ok()?;
        (claims.iss == *issuer).then_some(Link { sequence: claims.sequence, hash: claims.hash })
    }
}

/// Takes what was written into the chain, and signs a checkpoint when it is time. Replicas take turns.
pub async fn tick(
    store: &dyn Store,
    key: &AuditKey,
    issuer: &Issuer,
    now: Timestamp,
) -> Result<(), StoreError> {
    chain_all(store).await?;
    let head = store.heads().await?.audit;
    let last = store.last_checkpoint().await?;
    if !is_due(last.as_ref(), head, now) {
        return Ok(());
    }
    let Some(link) = store.chained_after(head - 1, 1).await?.pop().and_then(|event| event.link) else {
        return Ok(());
    };
    let (sequence, hash) = (link.sequence, link.hash.clone());
    let claims = Claims { iss: issuer.clone(), iat: now, sequence, hash: hash.clone() };
    let signed = match key.sign(&claims) {
        Ok(signed) => signed,
        Err(error) => {
            tracing::error!(%error, "the checkpoint of the audit trail could not be signed");
            return Ok(());
        }
    };
    if store.put_checkpoint(&Checkpoint { link, at: now, signed: signed.clone() }).await? == Applied::Done {
        // The copy that whoever can write to the database cannot change: wherever the log goes.
        tracing::info!(sequence, hash, checkpoint = signed, "audit checkpoint");
    }
    Ok(())
}

/// Takes everything that was written into the chain.
pub async fn chain_all(store: &dyn Store) -> Result<(), StoreError> {
    while store.chain(STEP).await? == STEP {}
    Ok(())
}

/// A trail that was walked and found whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Whole {
    /// How many events there are.
    pub events: i64,
    /// The hash of the last one.
    pub hash: String,
    /// How many signed checkpoints were met on the way.
    pub checkpoints: usize,
}

/// Why a trail is not known to be whole.
#[derive(Debug, thiserror::Error)]
pub enum NotWhole {
    /// It is not.
    #[error("the audit trail is broken: {0}")]
    Broken(#[from] Broken),
    /// What was given is no checkpoint.
    #[error(
        "line {0} of the checkpoints that were given is none of this server; give the lines that its log shows as checkpoint"
    )]
    Given(usize),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Walks the whole trail, past the stored checkpoints and those that were kept elsewhere.
pub async fn verify(
    store: &dyn Store,
    key: &AuditKey,
    issuer: &Issuer,
    kept: &[String],
) -> Result<Whole, NotWhole> {
    chain_all(store).await?;
    let mut known = Vec::new();
    for (line, signed) in (1..).zip(kept) {
        known.push(key.read(issuer, signed).ok_or(NotWhole::Given(line))?);
    }
    for checkpoint in store.checkpoints().await? {
        let place = checkpoint.link.sequence;
        let read = key.read(issuer, &checkpoint.signed).filter(|link| *link == checkpoint.link);
        known.push(read.ok_or(Broken::Forged(place))?);
    }
    let checkpoints = known.len();
    // Read before the walk: what is chained while it goes on is not missed at its end.
    let head = store.heads().await?.audit;
    let mut walk = Walk::past(known);
    let mut after = 0;
    loop {
        let page = store.chained_after(after, PAGE).await?;
        let Some(last) = page.last().and_then(|event| event.link.as_ref()) else { break };
        after = last.sequence;
        for event in &page {
            walk.step(event)?;
        }
    }
    let end = walk.end(head)?;
    Ok(Whole { events: end.sequence, hash: end.hash, checkpoints })
}

/// A part of the trail for export: at most a thousand events after this number, as lines of JSON. Empty at the end.
pub async fn export(store: &dyn Store, after: i64) -> Result<Vec<(i64, String)>, StoreError> {
    let page = store.chained_after(after, PAGE).await?;
    let line = |stored: &StoredEvent| {
        let link = stored.link.as_ref()?;
        // Texts and numbers always serialise.
        Some((link.sequence, serde_json::to_string(&view::Event::from(stored)).unwrap_or_default()))
    };
    Ok(page.iter().filter_map(line).collect())
}
