//! Clients that publish their metadata at the URL which is their identifier (draft-ietf-oauth-client-id-metadata-document): where
//! it may be fetched, how long a copy is good, and what stands in when the origin does not answer.

use doorward_shared::{
    client_id::{ClientId, DocumentUrl},
    client_metadata::ClientMetadata,
    error::OAuthError,
    time::{Seconds, Timestamp},
};

use super::{
    address::is_public,
    client::{Client, Credentials, Origin},
    policy::Policy,
    registration::{check_addresses, points_to},
};

mod bundled;
mod hosts;

pub use self::{bundled::bundled, hosts::HostPattern};

/// A copy is good for at least this long, so that one page after the other does not fetch it again.
const SHORTEST: Seconds = Seconds::minutes(1);
/// And for no longer than this, whatever the origin says.
const LONGEST: Seconds = Seconds::hours(24);
/// When the origin says nothing.
const UNSAID: Seconds = Seconds::minutes(10);
/// The last good copy stands in for so long while the origin fails.
pub const LAST_GOOD: Seconds = Seconds::days(7);

/// The way to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// On this machine, because this server itself runs there.
    Near,
    /// On the public internet.
    Far,
}

/// Why a document is not fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    /// The operator switched them off.
    #[error("client metadata documents are switched off (client_documents.enabled)")]
    Off,
    /// It would be this server's own.
    #[error("the document would be on this server itself")]
    Ourselves,
    /// It is on this machine, and this server serves others.
    #[error("a document on loopback is accepted only while the issuer itself is on loopback")]
    Loopback,
    /// A host that is denied, or not among the ones that are allowed.
    #[error("the host is not allowed (client_documents.allowed_hosts, client_documents.denied_hosts)")]
    Host,
    /// Another port than the ones that are allowed.
    #[error("the port is not allowed (client_documents.ports)")]
    Port,
    /// An address that is not public.
    #[error("the address is not one of the public internet")]
    Address,
}

/// Where a document may be fetched from, if it may. A name is checked once more when it has become an address.
pub fn way(url: &DocumentUrl, policy: &Policy) -> Result<Way, Barred> {
    let rules = &policy.client_documents;
    let listed = |hosts: &[HostPattern]| hosts.iter().any(|pattern| pattern.admits(url.host()));
    if !rules.enabled {
        Err(Barred::Off)
    } else if points_to(&policy.issuer, url.as_str()) {
        Err(Barred::Ourselves)
    } else if listed(&rules.denied_hosts) || !(rules.allowed_hosts.is_empty() || listed(&rules.allowed_hosts))
    {
        Err(Barred::Host)
    } else if url.is_loopback() {
        if policy.issuer.is_loopback() { Ok(Way::Near) } else { Err(Barred::Loopback) }
    } else if url.address().is_some_and(|address| !is_public(address)) {
        Err(Barred::Address)
    } else if !rules.ports.contains(&url.port()) {
        Err(Barred::Port)
    } else {
        Ok(Way::Far)
    }
}

/// How long a copy is good by the headers that came with it (RFC 9111 §4.2.1), within our own bounds.
pub fn good_for(cache_control: Option<&str>, age: Option<&str>) -> Seconds {
    let directives = || {
        let header = cache_control.unwrap_or_default();
        header.split(',').map(|directive| directive.trim().split_once('=').unwrap_or((directive.trim(), "")))
    };
    let has = |name: &str| directives().any(|(found, _)| found.eq_ignore_ascii_case(name));
    if has("no-store") || has("no-cache") {
        return SHORTEST;
    }
    let of = |name: &str| {
        let (_, value) = directives().find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        number(value.trim_matches('"'))
    };
    // This server keeps copies for everybody, as a shared cache does.
    let Some(said) = of("s-maxage").or_else(|| of("max-age")) else { return UNSAID };
    let old = age.and_then(|age| number(age.trim())).unwrap_or_default();
    let left = i64::try_from(said.saturating_sub(old)).unwrap_or(i64::MAX);
    Seconds::new(left.min(LONGEST.get())).max(SHORTEST)
}

/// A number of seconds; what does not fit is more than any bound (RFC 9111 §1.2.2).
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The client that a document of `read_at` describes. `stored` is what is known of it from before: what an administrator said of it stays.
pub fn admit(
    metadata: ClientMetadata,
    url: &DocumentUrl,
    stored: Option<&Client>,
    policy: &Policy,
    read_at: Timestamp,
    now: Timestamp,
) -> Result<Client, OAuthError> {
    check_addresses(&metadata, policy)?;
    let ClientMetadata { redirect_uris, post_logout_redirect_uris, grant_types, client_name, about, .. } =
        metadata;
    Ok(Client {
        id: identifier(url),
        name: client_name,
        origin: Origin::Document(read_at),
        redirect_uris,
        post_logout_redirect_uris,
        grant_types,
        credentials: Credentials::Public,
        registration_token: None,
        ceiling: stored.and_then(|client| client.ceiling.clone()),
        ceiling_places: stored.map(|client| client.ceiling_places.clone()).unwrap_or_default(),
        backchannel_logout: None,
        created_at: stored.map_or(now, |client| client.created_at),
        disabled_at: stored.and_then(|client| client.disabled_at),
        revoked_until: stored.and_then(|client| client.revoked_until),
        about,
    })
}

/// True when a copy of then may still stand in for one that cannot be had now.
pub fn stands_in(read_at: Timestamp, now: Timestamp) -> bool {
    now.since(read_at) <= LAST_GOOD
}

fn identifier(url: &DocumentUrl) -> ClientId {
    // A document's URL was read from an identifier.
    ClientId::parse(url.as_str()).unwrap_or_else(|_| std::process::abort())
}

#[cfg(test)]
mod tests;
