//! The guarded way to the authorization server: no redirects, little time, few bytes, JSON only, https unless it is on this
//! machine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doorward_shared::{
    jose::{
        jwk::{JwkSet, JwkSetError},
        strict_json::{self, StrictJsonError},
    },
    metadata::authorization_server::AuthorizationServerMetadata,
};
use reqwest::{
    Client, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, DATE, RETRY_AFTER},
    redirect::Policy,
};
use url::Url;

use crate::reach::Reach;

/// Longest document that is read, in bytes.
pub(crate) const MAX_DOCUMENT: usize = 256 * 1024;
/// Longest time for one document, from the first byte of the request to the last of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What the authorization server said.
pub(crate) struct Fetched {
    /// Its metadata document, as it was sent.
    pub(crate) metadata: String,
    /// Its key set, as it was sent.
    pub(crate) jwks: String,
    pub(crate) keys: JwkSet,
    pub(crate) endpoints: Endpoints,
    /// The `Date` of the answer with the keys, in seconds since the epoch.
    pub(crate) date: Option<i64>,
}

/// What the metadata names beside the keys, as it is written there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Endpoints {
    pub(crate) revocation_feed: Option<String>,
    pub(crate) introspection: Option<String>,
}

/// Why nothing new was learned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no answer: {0}")]
    Transport(reqwest::Error),
    #[error("answered with status {0}")]
    Status(StatusCode, Option<Duration>),
    #[error("answered with another content type than was asked for")]
    ContentType,
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    #[error("the answer is not UTF-8")]
    Encoding,
    #[error("the metadata document cannot be read: {0}")]
    Metadata(#[from] StrictJsonError),
    #[error("the issuer cannot be asked over plain http")]
    Address,
    #[error("the metadata document is of another issuer")]
    Issuer,
    #[error("the metadata document names no address for the keys that is https or on this machine")]
    JwksUri,
    #[error("the key set cannot be read: {0}")]
    Keys(#[from] JwkSetError),
    #[error("the key set holds no key that may verify")]
    NoKey,
}

/// The client for one issuer.
pub(crate) struct Fetcher {
    client: Client,
    reach: Reach,
}

impl Fetcher {
    pub(crate) fn new(reach: Reach) -> Result<Self, reqwest::Error> {
        Ok(Self { client: client(&reach, TIMEOUT)?, reach })
    }

    /// Fetches metadata and keys.
    pub(crate) async fn fetch(&self) -> Result<Fetched, FetchError> {
        let (metadata, jwks_uri, endpoints) = self.metadata().await?;
        let (jwks, date) = self.get(jwks_uri).await?;
        let keys = parse_keys(&jwks)?;
        Ok(Fetched { metadata, jwks, keys, endpoints, date })
    }

    /// The issuer's metadata from the first well-known address that has it (RFC 8414 §3.1, OIDC Discovery §4).
    async fn metadata(&self) -> Result<(String, Url, Endpoints), FetchError> {
        let mut failure = FetchError::Issuer;
        for url in self.reach.issuer().metadata_urls() {
            let url = self.reach.to(&url).ok_or(FetchError::Address)?;
            let read = self.get(url).await.and_then(|(text, _)| {
                let (jwks_uri, endpoints) = read_metadata(&text, &self.reach)?;
                Ok((text, jwks_uri, endpoints))
            });
            match read {
                Ok(found) => return Ok(found),
                // Nobody is there: the other addresses are on the same host.
                Err(error @ FetchError::Transport(_)) => return Err(error),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn get(&self, url: Url) -> Result<(String, Option<i64>), FetchError> {
        let request = self.client.get(url).header(ACCEPT, "application/json");
        let response = request.send().await.map_err(FetchError::Transport)?;
        let date = date(&response);
        let text = read(response, is_json, MAX_DOCUMENT).await?;
        Ok((text, date))
    }
}

/// A client for requests to the issuer that take `longest` at most.
pub(crate) fn client(reach: &Reach, longest: Duration) -> Result<Client, reqwest::Error> {
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .timeout(longest)
        .connect_timeout(CONNECT_TIMEOUT)
        // A peer that vanished without a word is noticed long before the answer would be due.
        .tcp_keepalive(Duration::from_secs(5))
        .tcp_keepalive_interval(Duration::from_secs(5))
        .tcp_keepalive_retries(2)
        .user_agent(concat!("doorward-resource-server/", env!("CARGO_PKG_VERSION")));
    if reach.is_near() {
        builder = builder.no_proxy();
    }
    builder.build()
}

/// Reads an answer of the expected type, as long as `longest` bytes at most.
pub(crate) async fn read(
    mut response: Response,
    expected: impl Fn(&str) -> bool,
    longest: usize,
) -> Result<String, FetchError> {
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status(), retry_after(&response)));
    }
    if !expected(&media_type(&response)) {
        return Err(FetchError::ContentType);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(FetchError::Transport)? {
        if body.len() + chunk.len() > longest {
            return Err(FetchError::TooLong(longest));
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| FetchError::Encoding)
}

/// Reads a metadata document: it must be the issuer's own (RFC 8414 §3.3), and its keys must be where nobody on the way can
/// change them (RFC 8414 §2).
pub(crate) fn read_metadata(text: &str, reach: &Reach) -> Result<(Url, Endpoints), FetchError> {
    let document: AuthorizationServerMetadata = strict_json::from_slice(text.as_bytes())?;
    if document.issuer != *reach.issuer() {
        return Err(FetchError::Issuer);
    }
    let jwks_uri = reach.to(&document.jwks_uri).ok_or(FetchError::JwksUri)?;
    let endpoints = Endpoints {
        revocation_feed: document.revocation_feed_endpoint,
        introspection: document.introspection_endpoint,
    };
    Ok((jwks_uri, endpoints))
}

/// Reads a key set; one without a usable key is a failure, so that a broken answer never takes away good keys.
pub(crate) fn parse_keys(text: &str) -> Result<JwkSet, FetchError> {
    let keys = JwkSet::parse(text.as_bytes())?;
    if keys.keys().is_empty() { Err(FetchError::NoKey) } else { Ok(keys) }
}

/// `application/json` or `application/…+json`.
pub(crate) fn is_json(media_type: &str) -> bool {
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

fn media_type(response: &Response) -> String {
    let value =
        response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The seconds of `Retry-After`; its other form, a date, is not read.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.parse().map(Duration::from_secs).ok()
}

fn date(response: &Response) -> Option<i64> {
    let value = response.headers().get(DATE)?.to_str().ok()?;
    let date: SystemTime = httpdate::parse_http_date(value).ok()?;
    i64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use doorward_shared::issuer::Issuer;

    use super::*;

    #[test]
    fn a_document_of_another_issuer_or_with_a_member_twice_is_refused() {
        let reach = Reach::new(Issuer::parse("https://as.test").unwrap(), None).unwrap();
        let other = r#"{"issuer":"https://other.test","jwks_uri":"https://as.test/jwks"}"#;
        assert!(matches!(read_metadata(other, &reach), Err(FetchError::Issuer)));
        let twice =
            r#"{"issuer":"https://as.test","jwks_uri":"https://as.test/a","jwks_uri":"https://as.test/b"}"#;
        assert!(matches!(read_metadata(twice, &reach), Err(FetchError::Metadata(_))));
    }
}
