//! The guarded way to where a stranger points: documents of clients. Public addresses only, looked at when they are dialled; no
//! redirects, no proxy, no cookies, few bytes, little time, few at once.

mod fetch;
mod lookup;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use doorward_shared::client_id::DocumentUrl;
use reqwest::{Client, redirect::Policy};
use tokio::sync::{OnceCell, Semaphore};

use self::lookup::PublicOnly;
use crate::domain::client_document::Way;

/// One document has so long, from the first question about its name to its last byte.
const WHOLE: Duration = Duration::from_secs(5);
/// Fetches at once, in all.
const AT_ONCE: usize = 16;
/// Fetches at once from one host.
const AT_ONCE_FROM_HOST: usize = 2;
/// Fetches at once for one network: who asks for slow documents waits for their own.
const AT_ONCE_FOR_NETWORK: usize = 4;

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The body.
    pub body: Vec<u8>,
    /// The `Cache-Control` header.
    pub cache_control: Option<String>,
    /// The `Age` header.
    pub age: Option<String>,
}

/// Why nothing was fetched. For the log: a visitor is told nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The name stands for an address that is not public, alone or among others.
    #[error("the name leads to an address that is not one of the public internet")]
    NotPublic,
    /// The origin says that there is no such document.
    #[error("the origin answered {0}: there is no such document")]
    Gone(u16),
    /// Anything but 200.
    #[error("the origin answered {0}; only 200 counts, and redirects are not followed")]
    Status(u16),
    /// No JSON.
    #[error("the answer is not application/json, or is compressed")]
    Type,
    /// Longer than allowed.
    #[error("the answer is longer than allowed")]
    TooLong,
    /// Not done in time.
    #[error("it took longer than five seconds")]
    TooSlow,
    /// No connection, or one that broke.
    #[error("{0}")]
    Broken(String),
}

/// The way outside.
pub struct Outbound {
    far: Client,
    near: Client,
    places: Semaphore,
    hosts: Mutex<HashMap<String, Weak<Semaphore>>>,
    networks: Mutex<HashMap<String, Weak<Semaphore>>>,
    flights: Mutex<HashMap<String, Weak<Flight>>>,
}

type Flight = OnceCell<Result<Fetched, Failure>>;

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbound")
    }
}

/// No HTTP client can be made on this machine.
#[derive(Debug, thiserror::Error)]
#[error("requests to other hosts cannot be made: {0}; check the root certificates of the system")]
pub struct NoWay(String);

impl Outbound {
    /// Prepares the way.
    pub fn new() -> Result<Self, NoWay> {
        let client = || {
            Client::builder()
                .redirect(Policy::none())
                // A proxy would dial for us, and nobody would look at the address.
                .no_proxy()
                // A connection is looked at when it is made, and is for one request.
                .pool_max_idle_per_host(0)
                .timeout(WHOLE)
                .user_agent(concat!("doorward/", env!("CARGO_PKG_VERSION"), " (client metadata)"))
        };
        let no_way = |error: reqwest::Error| NoWay(error.to_string());
        Ok(Self {
            far: client().dns_resolver(Arc::new(PublicOnly::new())).build().map_err(no_way)?,
            near: client().build().map_err(no_way)?,
            places: Semaphore::new(AT_ONCE),
            hosts: Mutex::default(),
            networks: Mutex::default(),
            flights: Mutex::default(),
        })
    }

    /// Fetches a JSON document of at most `longest` bytes for somebody in `network`. Whoever asks for the same one at the same time
    /// gets the same answer.
    pub async fn fetch(
        &self,
        way: Way,
        url: &DocumentUrl,
        longest: usize,
        network: &str,
    ) -> Result<Fetched, Failure> {
        let flight = shared(&self.flights, url.as_str(), OnceCell::new);
        flight.get_or_init(|| self.fly(way, url, longest, network)).await.clone()
    }

    async fn fly(
        &self,
        way: Way,
        url: &DocumentUrl,
        longest: usize,
        network: &str,
    ) -> Result<Fetched, Failure> {
        let client = match way {
            Way::Near => &self.near,
            Way::Far => &self.far,
        };
        let host = shared(&self.hosts, url.host(), || Semaphore::new(AT_ONCE_FROM_HOST));
        let theirs = shared(&self.networks, network, || Semaphore::new(AT_ONCE_FOR_NETWORK));
        let whole = async {
            // The place comes last: who waits for a slow host, or behind their own, must not hold the places of all others. None
            // of them is ever closed.
            let _theirs = theirs.acquire().await;
            let _own = host.acquire().await;
            let _place = self.places.acquire().await;
            fetch::document(client, url, longest).await
        };
        tokio::time::timeout(WHOLE, whole).await.unwrap_or(Err(Failure::TooSlow))
    }
}

/// The value under this key that somebody holds, or a new one. What nobody holds is forgotten.
fn shared<T>(map: &Mutex<HashMap<String, Weak<T>>>, key: &str, new: impl FnOnce() -> T) -> Arc<T> {
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(held) = map.get(key).and_then(Weak::upgrade) {
        return held;
    }
    map.retain(|_, value| value.strong_count() > 0);
    let value = Arc::new(new());
    map.insert(key.to_owned(), Arc::downgrade(&value));
    value
}

#[cfg(test)]
mod tests;
