//! One request, before any handler: host check, documents, preflight, challenge or access. Both fronts
//! ([`crate::tower`], [`crate::actix`]) only translate.

use std::sync::Arc;

use url::{Host, Url};

use crate::{
    Access, Answer, ResourceServer,
    metadata::{self, Document},
    metrics::Counters,
    settings::{Checked, Settings},
};

/// Headers that every answer of the resource and every document carries, so that pages of any origin can read them. Never
/// with credentials: there are none that a browser adds by itself.
pub(crate) const CORS: [(&str, &str); 2] = [
    ("access-control-allow-origin", "*"),
    ("access-control-expose-headers", "WWW-Authenticate, Mcp-Session-Id, Retry-After"),
];

const PREFLIGHT: [(&str, &str); 3] = [
    ("access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    (
        "access-control-allow-headers",
        "Authorization, X-Api-Key, Content-Type, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, Last-Event-ID",
    ),
    ("access-control-max-age", "86400"),
];

/// The header that takes an API key instead of `Authorization`.
pub(crate) const API_KEY: &str = "x-api-key";

/// What a browser sends to another origin without asking first, when a page does not name a type itself.
const SIMPLE_TYPES: [&str; 3] = ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded"];

/// The parts of a request that decide.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// The path as it was sent, not decoded.
    pub(crate) path: &'a str,
    /// The host of the request line or of `:authority`, if any.
    pub(crate) authority: Option<&'a str>,
    pub(crate) host: Vec<&'a [u8]>,
    pub(crate) origin: Vec<&'a [u8]>,
    pub(crate) authorization: Vec<&'a [u8]>,
    pub(crate) api_key: Vec<&'a [u8]>,
    pub(crate) content_type: Option<&'a [u8]>,
}

/// What to do with it.
pub(crate) enum Decision {
    /// Not ours: untouched.
    Pass,
    /// Answer at once.
    Answer(Answer),
    /// To the handler, and [`CORS`] on its answer.
    Admit(Arc<Access>),
}

/// Which requests are for us, and who may ask.
pub(crate) struct Rules {
    /// The path of the resource, without a slash at its end.
    path: String,
    check_host: bool,
    hosts: Vec<String>,
    origins: Origins,
}

enum Origins {
    Every,
    /// Pages of the allowed hosts, on any port.
    Hosts,
    These(Vec<String>),
}

impl Rules {
    pub(crate) fn new(settings: &Settings, checked: &Checked) -> Self {
        let url = Url::parse(checked.resource.as_str()).ok();
        let host = url.as_ref().and_then(Url::host);
        let loopback = match &host {
            Some(Host::Domain(name)) => *name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        let mut hosts: Vec<_> = settings.allowed_hosts.iter().map(|name| name.to_ascii_lowercase()).collect();
        hosts.extend(host.map(|host| host.to_string()));
        if loopback {
            hosts.extend(["localhost", "127.0.0.1", "[::1]"].map(String::from));
        }
        let origins = match &settings.allowed_origins {
            Some(list) => Origins::These(list.iter().map(|one| one.to_ascii_lowercase()).collect()),
            None if loopback => Origins::Hosts,
            None => Origins::Every,
        };
        Self { path: checked.resource.path().to_owned(), check_host: settings.check_host, hosts, origins }
    }

    /// True when a router behind us could take `path` for the resource or something below it. Routers differ in what they
    /// decode and fold, so the path is compared in its most folded form: rather one path too many than one too few.
    fn protects(&self, path: &str) -> bool {
        let folded = fold(path);
        match folded.strip_prefix(self.path.as_str()) {
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// Refuses a request that names another server, or comes from a page that may not call (DNS rebinding: a page of a
    /// foreign name that was pointed at this machine still sends that name).
    fn refuse_host(&self, request: &Request<'_>) -> Option<Answer> {
        if !self.check_host {
            return None;
        }
        let host = match (request.authority, request.host.as_slice()) {
            (Some(authority), []) => authority,
            (None, [host]) => std::str::from_utf8(host).unwrap_or_default(),
            (Some(authority), [host]) if host.eq_ignore_ascii_case(authority.as_bytes()) => authority,
            (None, []) => {
                return Some(Answer::error(400, "invalid_request", "The request has no Host header."));
            }
            _ => return Some(Answer::error(400, "invalid_request", "The request names more than one host.")),
        };
        if !self.knows(host) {
            return Some(Answer::error(403, "forbidden", "The Host header names another server."));
        }
        let foreign = match (&self.origins, request.origin.as_slice()) {
            (_, []) | (Origins::Every, _) => false,
            (Origins::Hosts, [origin]) => !std::str::from_utf8(origin)
                .is_ok_and(|origin| origin.split_once("://").is_some_and(|(_, host)| self.knows(host))),
            (Origins::These(list), [origin]) => {
                !list.iter().any(|one| origin.eq_ignore_ascii_case(one.as_bytes()))
            }
            (_, _) => true,
        };
        foreign.then(|| Answer::error(403, "forbidden", "Pages of this Origin may not call this server."))
    }

    /// True for an allowed name, with or without a port.
    fn knows(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        self.hosts.iter().any(|allowed| name.eq_ignore_ascii_case(allowed))
    }
}

impl ResourceServer {
    pub(crate) async fn decide(&self, request: &Request<'_>) -> Decision {
        if let Some(document) = self.documents.at(request.path) {
            return Decision::Answer(self.document(document, request.method));
        }
        if !self.rules.protects(request.path) {
            return Decision::Pass;
        }
        if let Some(refused) = self.rules.refuse_host(request) {
            Counters::count(&self.metrics.refused_host);
            return Decision::Answer(refused);
        }
        if request.method == "OPTIONS" {
            return Decision::Answer(preflight());
        }
        if self.rules.is_well_known(request.path) {
            return Decision::Answer(with_cors(metadata::not_found()));
        }
        match self.authenticate(&request.authorization, &request.api_key).await {
            Ok(_) if self.rules.is_simple_post(request) => Decision::Answer(with_cors(Answer::error(
                415,
                "invalid_request",
                "Send the message as application/json.",
            ))),
            Ok(access) => Decision::Admit(access),
            Err(refusal) => Decision::Answer(with_cors(self.answer(refusal))),
        }
    }

    fn document(&self, document: Document, method: &str) -> Answer {
        match method {
            "GET" | "HEAD" => with_cors(self.documents.answer(document, self.keys.metadata().as_deref())),
            "OPTIONS" => preflight(),
            _ => with_cors(Answer::error(405, "invalid_request", "This document can be read with GET."))
                .with("allow", "GET, HEAD, OPTIONS"),
        }
    }
}

impl Rules {
    /// Clients look for documents below the resource too; "there is none" lets them look elsewhere, a challenge does not.
    fn is_well_known(&self, path: &str) -> bool {
        fold(path).strip_prefix(self.path.as_str()).is_some_and(|rest| rest.starts_with("/.well-known/"))
    }

    /// A message to the MCP endpoint in one of the types that a page can post across origins without a preflight.
    fn is_simple_post(&self, request: &Request<'_>) -> bool {
        let media_type =
            request.content_type.unwrap_or_default().split(|&b| b == b';').next().unwrap_or_default();
        request.method == "POST"
            && fold(request.path) == self.path
            && SIMPLE_TYPES.iter().any(|one| media_type.trim_ascii().eq_ignore_ascii_case(one.as_bytes()))
    }
}

fn preflight() -> Answer {
    let headers = PREFLIGHT.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    with_cors(Answer { status: 204, headers, body: String::new() })
}

fn with_cors(mut answer: Answer) -> Answer {
    answer.headers.extend(CORS.map(|(name, value)| (name, value.to_owned())));
    answer
}

/// The path as the most lenient router would see it: percent-decoded once, empty and dot segments resolved, no slash at the
/// end. Never used to find a document or to route, only to decide that something is protected.
fn fold(path: &str) -> String {
    let mut segments: Vec<&[u8]> = Vec::new();
    let decoded = percent_decode(path.as_bytes());
    for segment in decoded.split(|&b| b == b'/' || b == b'\\') {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut folded = String::with_capacity(path.len());
    for segment in segments {
        folded.push('/');
        folded.push_str(&String::from_utf8_lossy(segment));
    }
    folded
}

fn percent_decode(bytes: &[u8]) -> Vec<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|&b| char::from(b).to_digit(16));
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(resource: &str) -> Rules {
        let settings = Settings::new(resource, "https://as.test");
        Rules::new(&settings, &settings.check().unwrap())
    }

    #[test]
    fn the_resource_and_everything_below_it_is_protected_however_it_is_written() {
        let rules = rules("https://mcp.test/mcp");
        for path in [
            "/mcp",
            "/mcp/",
            "/mcp/a",
            "//mcp",
            "/%6dcp",
            "/%6Dcp/x",
            "/x/../mcp",
            "/./mcp",
            "/mcp//",
            "/mcp%2fa",
            "/%2e/mcp",
            "/mcp/../mcp",
        ] {
            assert!(rules.protects(path), "{path}");
        }
        for path in ["/", "/mcpx", "/MCP", "/a/mcp", "/healthz", "/mcp/../x", "/%256dcp", ""] {
            assert!(!rules.protects(path), "{path}");
        }
    }

    #[test]
    fn a_resource_without_a_path_protects_every_path() {
        for path in ["/", "", "/x", "//", "/a/b"] {
            assert!(rules("https://mcp.test").protects(path), "{path}");
        }
    }

    #[test]
    fn a_host_is_known_with_any_port_and_any_case_and_nothing_added() {
        let (local, remote) = (rules("http://localhost:9100/mcp"), rules("https://mcp.test/mcp"));
        for host in ["localhost:9100", "LOCALHOST", "127.0.0.1:1", "[::1]", "[::1]:9100"] {
            assert!(local.knows(host), "{host}");
        }
        for host in [
            "",
            "evil.test",
            "localhost.evil.test",
            "localhost:80@evil.test",
            "localhost:x",
            "::1",
            "127.0.0.2",
        ] {
            assert!(!local.knows(host), "{host}");
        }
        assert!(remote.knows("mcp.test") && !remote.knows("localhost"));
    }

    proptest! {
        #[test]
        fn no_path_panics_and_folding_a_folded_path_changes_nothing(path in "[/a-c.%0-9\\\\]{0,30}") {
            let folded = fold(&path);
            if !folded.contains('%') {
                prop_assert_eq!(fold(&folded), folded);
            }
        }
    }
}
