//! Discovery (RFC 8414, OpenID Connect Discovery) and keys (RFC 7517): built when the keys change, served as bytes.

use std::sync::{Arc, PoisonError, RwLock};

use actix_web::{HttpRequest, HttpResponse, http::header, web::Bytes};
use doorward_shared::{
    metadata::authorization_server::AuthorizationServerMetadata,
    permission::OIDC_SCOPES,
    pkce,
    token::{AuthMethod, GrantType},
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    domain::policy::Policy,
    http::{
        Data, Site,
        endpoints::{Name, url},
    },
    keys::Ring,
};

/// The documents of this issuer.
#[derive(Debug, Default)]
pub struct Documents(RwLock<Option<Arc<Built>>>);

/// The documents as one ring wants them.
#[derive(Debug)]
struct Built {
    ring: Arc<Ring>,
    metadata: Document,
    jwks: Document,
}

#[derive(Clone, Debug)]
struct Document {
    bytes: Bytes,
    etag: String,
}

impl Document {
    fn new(document: &impl Serialize) -> Self {
        // Plain data always serialises.
        let bytes = serde_json::to_vec(document).unwrap_or_default();
        let etag = Sha256::digest(&bytes)[..12]
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        Self { bytes: bytes.into(), etag: format!("\"{etag}\"") }
    }

    fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let known = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        if known.is_some_and(|known| known.split(',').any(|tag| tag.trim() == self.etag)) {
            return HttpResponse::NotModified().insert_header((header::ETAG, self.etag.clone())).finish();
        }
        HttpResponse::Ok()
            .insert_header((header::ETAG, self.etag.clone()))
            .content_type("application/json")
            .body(self.bytes.clone())
    }
}

impl Documents {
    /// The documents of this ring; built anew when they are of another one.
    fn of(&self, policy: &Policy, ring: Arc<Ring>) -> Arc<Built> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(built) = held.filter(|built| Arc::ptr_eq(&built.ring, &ring)) {
            return built;
        }
        let metadata = Document::new(&describe(policy, &ring));
        let jwks = Document::new(ring.public());
        let built = Arc::new(Built { ring, metadata, jwks });
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&built));
        built
    }
}

fn documents(site: &Site) -> Arc<Built> {
    site.documents.of(&site.context.policy, site.context.keys.current())
}

/// The metadata document.
pub(in crate::http) async fn metadata(site: Data, request: HttpRequest) -> HttpResponse {
    documents(&site).metadata.answer(&request)
}

/// The key set.
pub(in crate::http) async fn jwks(site: Data, request: HttpRequest) -> HttpResponse {
    documents(&site).jwks.answer(&request)
}

/// Says what this server does, and nothing that it does not.
fn describe(policy: &Policy, ring: &Ring) -> AuthorizationServerMetadata {
    let texts = |texts: &[&str]| texts.iter().copied().map(String::from).collect::<Vec<_>>();
    let methods = texts(&AuthMethod::ALL.map(AuthMethod::as_str));
    AuthorizationServerMetadata {
        issuer: policy.issuer.clone(),
        authorization_endpoint: url(policy, Name::Authorize),
        token_endpoint: url(policy, Name::Token),
        jwks_uri: url(policy, Name::Jwks),
        registration_endpoint: policy.registration.enabled.then(|| url(policy, Name::Register)),
        revocation_endpoint: Some(url(policy, Name::Revoke)),
        introspection_endpoint: Some(url(policy, Name::Introspect)),
        revocation_feed_endpoint: Some(url(policy, Name::Revocations)),
        userinfo_endpoint: Some(url(policy, Name::Userinfo)),
        scopes_supported: texts(&OIDC_SCOPES),
        response_types_supported: texts(&["code"]),
        response_modes_supported: texts(&["query"]),
        grant_types_supported: texts(&GrantType::ALL.map(GrantType::as_str)),
        subject_types_supported: texts(&["public"]),
        id_token_signing_alg_values_supported: ring
            .algorithms()
            .iter()
            .map(|a| a.as_str().to_owned())
            .collect(),
        token_endpoint_auth_methods_supported: methods.clone(),
        token_endpoint_auth_signing_alg_values_supported: Vec::new(),
        revocation_endpoint_auth_methods_supported: methods,
        introspection_endpoint_auth_methods_supported: texts(&["client_secret_basic", "client_secret_post"]),
        code_challenge_methods_supported: texts(&[pkce::METHOD]),
        authorization_response_iss_parameter_supported: true,
        client_id_metadata_document_supported: policy.client_documents.enabled,
        claims_supported: texts(&[
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "amr",
            "nonce",
            "at_hash",
            "sid",
            "name",
            "email",
            "email_verified",
        ]),
        end_session_endpoint: Some(url(policy, Name::EndSession)),
        backchannel_logout_supported: true,
        backchannel_logout_session_supported: true,
        prompt_values_supported: texts(&["none", "login", "consent", "select_account"]),
        request_parameter_supported: false,
        request_uri_parameter_supported: false,
        service_documentation: None,
    }
}
