//! Headers that every answer gets, by the row of the endpoint table it came from.

use std::{collections::HashMap, sync::Arc};

use actix_web::{
    HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
};

use super::{
    endpoints::{Cache, Cors, Endpoint, Name},
    error::Trouble,
    network::TrustedProxies,
};
use crate::telemetry::RequestEvent;
use doorward_shared::issuer::Issuer;

/// What a handler wants the request's event to say.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The client, as far as it is known.
    pub(super) client_id: Option<String>,
    /// The grant type that was asked.
    pub(super) grant_type: Option<String>,
}

/// The table, ready to be looked up by route pattern.
#[derive(Clone, Debug)]
pub struct Wardrobe(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rows: HashMap<String, (Name, Cors, Cache)>,
    https: bool,
    referrer_policy: &'static str,
    proxies: TrustedProxies,
}

impl Wardrobe {
    /// Prepares the look-up.
    pub fn new(table: &[Endpoint], issuer: &Issuer, proxies: TrustedProxies) -> Self {
        let row = |endpoint: &Endpoint| (endpoint.name, endpoint.cors, endpoint.cache);
        let rows =
            table.iter().flat_map(|e| e.paths.iter().map(move |path| (path.clone(), row(e)))).collect();
        // Over plain http to another machine, browsers send no Sec-Fetch-Site, and without a referrer they print the origin of
        // our own forms as "null": then the forms could not be told from anybody's.
        let unaided = !issuer.is_https() && !issuer.is_loopback();
        let referrer_policy = if unaided { "same-origin" } else { "no-referrer" };
        Self(Arc::new(Inner { rows, https: issuer.is_https(), referrer_policy, proxies }))
    }
}

/// Dresses every answer, and reports the request once it is answered.
pub async fn dress(
    wardrobe: Wardrobe,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let mut event = RequestEvent::start(request.method().as_str());
    event.network(&wardrobe.0.proxies.network_of(request.request()));
    let well_known = request.path().starts_with("/.well-known/");
    let pattern = request.match_pattern();
    let row = pattern.as_deref().and_then(|pattern| wardrobe.0.rows.get(pattern)).copied();
    let mut response = next.call(request).await?;
    let (name, cors, cache) = row.map_or(
        (None, if well_known { Cors::Open } else { Cors::None }, Cache::NoStore),
        |(name, cors, cache)| (Some(name), cors, cache),
    );
    let kept = if response.status().is_client_error() || response.status().is_server_error() {
        Cache::NoStore
    } else {
        cache
    };
    put_on(response.headers_mut(), name, cors, kept, &wardrobe.0);
    if let Some(name) = name {
        event.route(&format!("{name:?}"));
    }
    let extensions = response.response().extensions();
    if let Some(facts) = extensions.get::<Facts>() {
        event.client_id(facts.client_id.as_deref());
        event.grant_type(facts.grant_type.as_deref());
    }
    if let Some(trouble) = extensions.get::<Trouble>() {
        event.error(trouble.code, &trouble.reason);
    }
    drop(extensions);
    event.finish(response.status().as_u16());
    Ok(response)
}

fn put_on(headers: &mut HeaderMap, name: Option<Name>, cors: Cors, cache: Cache, site: &Inner) {
    let mut set =
        |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, site.referrer_policy);
    set(header::X_FRAME_OPTIONS, "DENY");
    // No form-action: browsers apply it to every hop after a form is posted, and a client's own redirect may lead anywhere. Only
    // the pages that ask for a passkey have a script, which is ours.
    let policy = match name {
        Some(Name::Login | Name::AccountPasskeys) => {
            "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'"
        }
        _ => "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    };
    set(header::CONTENT_SECURITY_POLICY, policy);
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    );
    if site.https {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    match cache {
        Cache::NoStore => {
            set(header::CACHE_CONTROL, "no-store");
            set(header::PRAGMA, "no-cache");
        }
        Cache::Minutes => {
            set(header::CACHE_CONTROL, "public, max-age=300");
        }
        Cache::Forever => {
            set(header::CACHE_CONTROL, "public, max-age=31536000, immutable");
        }
    }
    if cors == Cors::Open {
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, "WWW-Authenticate");
        set(HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
    }
}

/// Answers a browser that asks whether it may ask.
pub(super) async fn preflight() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE, OPTIONS"))
        .insert_header((
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type, MCP-Protocol-Version",
        ))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, "86400"))
        .finish()
}
