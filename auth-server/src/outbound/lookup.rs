//! Names become addresses here and nowhere else: a connection goes to what was looked at, and a name with one address that is not
//! public has none.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use crate::domain::address::is_public;

/// Questions at once. One that nobody answers holds a thread for as long as the system's resolver waits.
const AT_ONCE: usize = 64;

/// A name stands for an address that is not public.
#[derive(Debug, thiserror::Error)]
#[error("not a public address")]
pub(super) struct NotPublic;

/// The resolver of the system, and a look at each of its answers.
pub(super) struct PublicOnly {
    places: Arc<Semaphore>,
}

impl PublicOnly {
    pub(super) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let places = Arc::clone(&self.places);
        Box::pin(async move {
            let place = places.acquire_owned().await?;
            let asked = tokio::task::spawn_blocking(move || {
                let _place = place;
                (name.as_str(), 0_u16).to_socket_addrs().map(Iterator::collect::<Vec<_>>)
            });
            public(asked.await??)
        })
    }
}

/// The answers, if there are any and every one is public. Half of a trap is a trap (RFC 6890).
fn public(answers: Vec<SocketAddr>) -> Result<Addrs, Box<dyn std::error::Error + Send + Sync>> {
    if answers.is_empty() {
        return Err(Box::new(io::Error::other("the name has no address")));
    }
    if answers.iter().map(SocketAddr::ip).all(is_public as fn(IpAddr) -> bool) {
        Ok(Box::new(answers.into_iter()))
    } else {
        Err(Box::new(NotPublic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(texts: &[&str]) -> Option<Vec<IpAddr>> {
        let answers = texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect();
        public(answers).ok().map(|addresses| addresses.map(|address| address.ip()).collect())
    }

    // CM-10, CM-11.
    #[test]
    fn a_name_with_one_address_that_is_not_public_has_none() {
        assert_eq!(answers(&["8.8.8.8", "2606:4700::1111"]).map(|all| all.len()), Some(2));
        for bad in [
            &["8.8.8.8", "10.0.0.1"][..],
            &["10.0.0.1", "8.8.8.8"],
            &["8.8.8.8", "::1"],
            &["8.8.8.8", "::ffff:8.8.8.8"],
            &["fc00::1"],
            &[],
        ] {
            assert_eq!(answers(bad), None, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn localhost_is_not_public() {
        assert!(PublicOnly::new().resolve("localhost".parse().unwrap()).await.is_err());
    }
}
