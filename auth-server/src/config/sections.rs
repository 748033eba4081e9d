//! The sections: text becomes typed, checked settings.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
};

use doorward_shared::{
    client_id::ClientId, issuer::Issuer, jose::Algorithm, redirect_uri::RedirectUri, time::Seconds,
};

use super::{
    Config, LogFormat, LogSettings, ServerSettings, duration, mail,
    places::{ephemeral, keys, store},
    reader::Reader,
    report, upstream,
};
use crate::domain::{
    client_document::HostPattern,
    policy::{
        ClientDocumentPolicy, FixedClient, JWKS_MAX_AGE, KeyPolicy, Limits, Policy, RefreshPolicy,
        RegistrationPolicy, ReplayError, SessionPolicy, TokenPolicy,
    },
    signing_key::fastest_rotation,
};

/// Reads every section. `None`, or a problem in the reader, means that the configuration cannot be used.
pub(super) fn read(reader: &mut Reader) -> Option<Config> {
    let mut warnings = Vec::new();
    let issuer = issuer(reader);
    let server = server(reader);
    if let Some(issuer) = &issuer {
        check_transport(reader, issuer, &server);
        warn_of_one_network(issuer, &server, &mut warnings);
    }
    let store = store(reader);
    let ephemeral = ephemeral(reader);
    let token = token(reader, &mut warnings);
    let signing_keys = signing_keys(reader, &token, &mut warnings);
    let refresh = refresh(reader, &token, &mut warnings);
    let session = session(reader);
    let registration = registration(reader);
    let client_documents = client_documents(reader);
    let limits = Limits {
        token_failures: reader.count("limits.token_failures"),
        sign_in_failures: reader.count("limits.sign_in_failures"),
        pending_requests: reader.count("limits.pending_requests"),
        api_key_requests: NonZeroU32::new(reader.count("limits.api_key_requests")).unwrap_or(NonZeroU32::MIN),
    };
    let fixed_client = fixed_client(reader, &registration.app_schemes);
    let log = log(reader);
    let mail = mail::read(reader);
    let store = store?;
    let keys = keys(reader, &store);
    let mut effective = report::effective(reader);
    let upstream = upstream::read(reader, &mut effective, &mut warnings);
    let policy = Policy {
        issuer: issuer?,
        token,
        keys: signing_keys?,
        refresh: refresh?,
        session,
        registration,
        client_documents,
        limits,
        fixed_client,
        mail: mail.is_some(),
        upstream: upstream.iter().map(|one| one.provider.clone()).collect(),
    };
    Some(Config {
        policy,
        server,
        store,
        ephemeral: ephemeral?,
        keys,
        log: log?,
        mail,
        upstream,
        effective,
        warnings,
    })
}

fn issuer(reader: &mut Reader) -> Option<Issuer> {
    let text = reader.optional("server.issuer")?;
    match Issuer::parse(&text) {
        Ok(issuer) => Some(issuer),
        Err(error) => {
            reader.refuse(
                "server.issuer",
                format_args!("{text:?}: {error}; write for example https://auth.example.com"),
            );
            None
        }
    }
}

fn server(reader: &mut Reader) -> ServerSettings {
    let listen = reader.items("server.listen", |text| {
        text.parse::<SocketAddr>()
            .map_err(|_| "write an IP address and a port, such as 127.0.0.1:9000 or [::1]:9000")
    });
    if reader.list("server.listen").is_empty() {
        reader.refuse("server.listen", "name at least one address, such as 127.0.0.1:9000");
    }
    let trusted_proxies = reader.items("server.trusted_proxies", |text| {
        network(text).ok_or("write an IP address or a network, such as 10.0.0.7 or 10.0.0.0/8")
    });
    ServerSettings { listen, trusted_proxies }
}

/// An address alone is the network that holds nothing else.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(longest), |digits| digits.parse().ok())?;
    (length <= longest).then_some((address, length))
}

/// TLS ends in a proxy; without its address every visitor looks like the proxy, and one of them uses up the limits of all.
fn warn_of_one_network(issuer: &Issuer, server: &ServerSettings, warnings: &mut Vec<String>) {
    if issuer.is_https() && server.trusted_proxies.is_empty() {
        warnings.push(
            "the issuer is https and server.trusted_proxies is empty: all visitors count as one network, so one of them can \
             use up the limits of all; list the addresses of the proxy that ends TLS"
                .to_owned(),
        );
    }
}

/// Without TLS, whoever is on the way reads passwords and tokens: only this machine may be on it.
fn check_transport(reader: &mut Reader, issuer: &Issuer, server: &ServerSettings) {
    if issuer.is_https() || reader.flag("server.allow_insecure_http") {
        return;
    }
    let remedy =
        "write an https issuer, or set server.allow_insecure_http = true on a network where nobody listens";
    if !issuer.is_loopback() {
        reader.refuse(
            "server.issuer",
            format_args!("{issuer} sends passwords and tokens in the clear; {remedy}"),
        );
    }
    if let Some(open) = server.listen.iter().find(|address| !address.ip().is_loopback()) {
        reader.refuse(
            "server.listen",
            format_args!("{open} is open to other machines while the issuer is http; {remedy}"),
        );
    }
}

fn token(reader: &mut Reader, warnings: &mut Vec<String>) -> TokenPolicy {
    let token = TokenPolicy {
        // RFC 6749 §4.1.2 recommends ten minutes at most.
        code_ttl: reader.duration("token.code_ttl", Seconds::new(1)..=Seconds::minutes(10)),
        access_ttl: reader.duration("token.access_ttl", Seconds::new(1)..=Seconds::days(1)),
    };
    if token.access_ttl < Seconds::minutes(6) {
        warnings.push(format!(
            "token.access_ttl ({}): some clients take a token that lives five minutes or less for expired at once; write 6m \
             or more",
            reader.source("token.access_ttl")
        ));
    }
    token
}

fn signing_keys(reader: &mut Reader, token: &TokenPolicy, warnings: &mut Vec<String>) -> Option<KeyPolicy> {
    let words = Algorithm::ALL.map(|algorithm| (algorithm.as_str(), algorithm));
    let algorithm = reader.choice("token.signing_algorithm", &words);
    let rotate_every = reader.some_time("keys.rotate_every");
    let publish_lead = reader.some_time("keys.publish_lead");
    at_most(reader, "keys.publish_lead", publish_lead, "keys.rotate_every", rotate_every);
    // The copy that others may keep, and as long again for a reader that fetches every five minutes.
    let known = Seconds::new(2 * JWKS_MAX_AGE.get());
    if publish_lead < known {
        warnings.push(format!(
            "keys.publish_lead ({}): resource servers that fetch the keys less often do not know a new one when it begins to \
             sign; write {} or more",
            reader.source("keys.publish_lead"),
            duration::words(known)
        ));
    }
    let policy = KeyPolicy::new(algorithm?, rotate_every, publish_lead, token);
    let fastest = fastest_rotation(&policy);
    if rotate_every < fastest {
        warnings.push(format!(
            "keys.rotate_every ({}): so many retired keys stay published until their tokens are over that rotation will wait \
             for them; write {} or more, or a shorter token.access_ttl",
            reader.source("keys.rotate_every"),
            duration::words(fastest)
        ));
    }
    Some(policy)
}

fn refresh(reader: &mut Reader, token: &TokenPolicy, warnings: &mut Vec<String>) -> Option<RefreshPolicy> {
    let (idle, absolute) = (reader.some_time("refresh.idle"), reader.some_time("refresh.absolute"));
    at_most(reader, "refresh.idle", idle, "refresh.absolute", absolute);
    if idle < token.access_ttl {
        warnings.push(format!(
            "refresh.idle ({}): refresh tokens die before the access tokens that they renew; write more than {}",
            reader.source("refresh.idle"),
            duration::words(token.access_ttl)
        ));
    }
    let retry_window = reader.duration("refresh.retry_window", Seconds::new(0)..=Seconds::minutes(1));
    if retry_window > Seconds::new(0) {
        warnings.push(format!(
            "refresh.retry_window ({}): whoever copies a refresh token and comes within {} of its owner is not seen at once; \
             docs/refresh.md says what that means",
            reader.source("refresh.retry_window"),
            duration::words(retry_window)
        ));
    }
    let words =
        [("refresh_replayed", ReplayError::RefreshReplayed), ("invalid_grant", ReplayError::InvalidGrant)];
    let replay_error = reader.choice("refresh.replay_error", &words)?;
    Some(RefreshPolicy { idle, absolute, replay_error, retry_window })
}

fn session(reader: &mut Reader) -> SessionPolicy {
    let (idle, absolute) = (reader.some_time("session.idle"), reader.some_time("session.absolute"));
    at_most(reader, "session.idle", idle, "session.absolute", absolute);
    let pending_request = reader.duration("session.pending_request", Seconds::new(1)..=Seconds::days(1));
    SessionPolicy { idle, absolute, pending_request }
}

fn at_most(reader: &mut Reader, key: &str, length: Seconds, bound_key: &str, bound: Seconds) {
    if length > bound {
        let bound = duration::words(bound);
        reader.refuse(
            key,
            format_args!(
                "it is longer than {bound_key} = {bound}; write at most {bound}, or raise {bound_key}"
            ),
        );
    }
}

fn client_documents(reader: &mut Reader) -> ClientDocumentPolicy {
    let port = |text: &str| match text.parse() {
        Ok(0) | Err(_) => Err("write a port number from 1 to 65535"),
        Ok(port) => Ok(port),
    };
    ClientDocumentPolicy {
        enabled: reader.flag("client_documents.enabled"),
        allowed_hosts: reader.items("client_documents.allowed_hosts", HostPattern::parse),
        denied_hosts: reader.items("client_documents.denied_hosts", HostPattern::parse),
        ports: reader.items("client_documents.ports", port),
        per_address: reader.count("client_documents.per_address"),
    }
}

fn registration(reader: &mut Reader) -> RegistrationPolicy {
    RegistrationPolicy {
        enabled: reader.flag("registration.enabled"),
        app_schemes: reader.items("registration.app_schemes", app_scheme),
        per_address: reader.count("registration.per_address"),
        overall: reader.count("registration.overall"),
        max_tier: reader.optional("registration.max_tier"),
        unused_ttl: reader.some_time("registration.unused_ttl"),
    }
}

/// Schemes that a browser itself acts on, or that are no application.
const NO_APPLICATION: [&str; 15] = [
    "about",
    "blob",
    "chrome",
    "data",
    "file",
    "filesystem",
    "ftp",
    "http",
    "https",
    "javascript",
    "mailto",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

fn app_scheme(text: &str) -> Result<String, &'static str> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.');
    if NO_APPLICATION.contains(&text) {
        Err("this scheme is not an application's; remove it")
    } else if text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("write the scheme alone, in lower case and without a colon, such as cursor")
    }
}

/// `None`: switched off, or something is wrong with it, which the reader then knows.
fn fixed_client(reader: &mut Reader, app_schemes: &[String]) -> Option<FixedClient> {
    let id = reader.optional("fixed_client.client_id")?;
    let client_id = ClientId::parse(&id);
    if let Err(error) = client_id {
        reader.refuse("fixed_client.client_id", format_args!("{id:?}: {error}; write another identifier"));
    } else if id.starts_with("https://") {
        reader.refuse(
            "fixed_client.client_id",
            "an identifier that is a URL means a metadata document; write another one",
        );
    }
    let name = reader.optional("fixed_client.name")?;
    let redirect_uris =
        reader.items("fixed_client.redirect_uris", |uri| RedirectUri::register(uri, app_schemes));
    if redirect_uris.is_empty() {
        let remedy = "name at least one redirect URI, or set fixed_client.enabled = false";
        reader.refuse("fixed_client.redirect_uris", remedy);
    }
    let client = FixedClient { client_id: client_id.ok()?, name, redirect_uris };
    reader.flag("fixed_client.enabled").then_some(client)
}

fn log(reader: &mut Reader) -> Option<LogSettings> {
    let format = reader.choice("log.format", &[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)]);
    let levels = [
        ("error", tracing::Level::ERROR),
        ("warn", tracing::Level::WARN),
        ("info", tracing::Level::INFO),
        ("debug", tracing::Level::DEBUG),
        ("trace", tracing::Level::TRACE),
    ];
    let level = reader.choice("log.level", &levels);
    Some(LogSettings { format: format?, level: level? })
}
