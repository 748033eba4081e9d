//! How Doorward speaks: actix-web, and only here. A handler parses, calls one flow, renders.

mod admin;
mod browser;
mod cookies;
mod csrf;
pub mod endpoints;
mod error;
mod extract;
pub mod headers;
mod health;
pub mod network;
mod oauth;
mod pages;

use std::{future::ready, sync::Arc};

use actix_web::{
    HttpResponse, Resource,
    http::{Method, header},
    web,
};

use self::{
    endpoints::{Cors, Endpoint, Name},
    error::JsonError,
    headers::preflight,
};
use crate::{flows::Context, keys::Tags};
use doorward_shared::error::{ErrorCode, OAuthError};

/// What every handler can reach.
#[derive(Debug)]
pub struct Site {
    /// The flows' context.
    pub context: Arc<Context>,
    /// Tags that prove that a form was shown to this browser.
    pub forms: Tags,
    /// Tags that prove that the cursor of a list is ours.
    pub cursors: Tags,
    /// Documents that are the same for everybody, ready to send.
    pub documents: oauth::well_known::Documents,
    /// Whose word about the visitor's address is believed.
    pub proxies: network::TrustedProxies,
}

/// The handle under which handlers find the site.
pub type Data = web::Data<Site>;

impl Site {
    /// Puts everything in one place.
    pub fn new(context: Context, forms: Tags, cursors: Tags, proxies: network::TrustedProxies) -> Self {
        Self {
            context: Arc::new(context),
            forms,
            cursors,
            documents: oauth::well_known::Documents::default(),
            proxies,
        }
    }
}

/// Mounts the endpoint table.
pub fn configure(site: &Arc<Site>, config: &mut web::ServiceConfig) {
    config.app_data(web::Data::from(Arc::clone(site)));
    admin::configure(site, config);
    let table = endpoints::table(&site.context.policy);
    for endpoint in table.into_iter().filter(|endpoint| endpoint.name != Name::AdminApi) {
        for path in &endpoint.paths {
            config.service(mount(&endpoint, path));
        }
    }
    config.default_service(web::to(nothing_here));
}

fn mount(endpoint: &Endpoint, path: &str) -> Resource {
    let resource = web::resource(path);
    let resource = match endpoint.name {
        Name::Authorize => {
            resource.route(web::get().to(oauth::authorize::get)).route(web::post().to(oauth::authorize::post))
        }
        Name::Token => resource.route(web::post().to(oauth::token::post)),
        Name::Revoke => resource.route(web::post().to(oauth::revoke::post)),
        Name::Introspect => resource.route(web::post().to(oauth::introspect::post)),
        Name::Revocations => resource.route(web::get().to(oauth::revocations::get)),
        Name::Leaked => resource.route(web::post().to(oauth::leaked::post)),
        Name::Register => resource.route(web::post().to(oauth::register::post)),
        Name::ClientConfiguration => resource
            .route(web::get().to(oauth::client_configuration::get))
            .route(web::put().to(oauth::client_configuration::put))
            .route(web::delete().to(oauth::client_configuration::delete)),
        Name::Userinfo => resource
            .route(web::get().to(oauth::userinfo::answer))
            .route(web::post().to(oauth::userinfo::answer)),
        Name::Jwks => resource
            .route(web::get().to(oauth::well_known::jwks))
            .route(web::head().to(oauth::well_known::jwks)),
        Name::Metadata => resource
            .route(web::get().to(oauth::well_known::metadata))
            .route(web::head().to(oauth::well_known::metadata)),
        Name::Login => {
            resource.route(web::get().to(browser::login::get)).route(web::post().to(browser::login::post))
        }
        Name::Forgot => {
            resource.route(web::get().to(browser::forgot::get)).route(web::post().to(browser::forgot::post))
        }
        Name::EndSession => {
            resource.route(web::get().to(browser::logout::get)).route(web::post().to(browser::logout::post))
        }
        Name::Logout => resource.route(web::post().to(browser::logout::sign_out)),
        Name::UpstreamBegin => resource.route(web::get().to(browser::upstream::begin)),
        Name::UpstreamCallback => resource.route(web::get().to(browser::upstream::callback)),
        Name::LoginLink => resource
            .route(web::get().to(browser::upstream::get_link))
            .route(web::post().to(browser::upstream::post_link)),
        Name::Consent => {
            resource.route(web::get().to(browser::consent::get)).route(web::post().to(browser::consent::post))
        }
        Name::Setup => {
            resource.route(web::get().to(browser::setup::get)).route(web::post().to(browser::setup::post))
        }
        Name::Account => resource.route(web::get().to(browser::account::get)),
        Name::AccountPassword => resource
            .route(web::get().to(browser::account::password::get))
            .route(web::post().to(browser::account::password::post)),
        Name::AccountApps => resource
            .route(web::get().to(browser::account::apps::get))
            .route(web::post().to(browser::account::apps::post)),
        Name::AccountPasskeys => resource
            .route(web::get().to(browser::account::passkeys::get))
            .route(web::post().to(browser::account::passkeys::post)),
        Name::AccountCode => resource
            .route(web::get().to(browser::account::second_factor::get))
            .route(web::post().to(browser::account::second_factor::post)),
        Name::LoginCode => resource.route(web::post().to(browser::login::second_step)),
        Name::LoginPasskey => resource.route(web::post().to(browser::login::passkey)),
        Name::PasskeyScript => resource.route(web::get().to(pages::passkey_script)),
        Name::AccountSessions => resource
            .route(web::get().to(browser::account::sessions::get))
            .route(web::post().to(browser::account::sessions::post)),
        Name::Link => {
            resource.route(web::get().to(browser::link::get)).route(web::post().to(browser::link::post))
        }
        Name::AccountKeys => resource
            .route(web::get().to(browser::account::api_keys::get))
            .route(web::post().to(browser::account::api_keys::post)),
        Name::AccountProviders => resource
            .route(web::get().to(browser::account::providers::get))
            .route(web::post().to(browser::account::providers::post)),
        Name::Home => resource.route(web::get().to(browser::home::get)),
        Name::Stylesheet => resource.route(web::get().to(pages::stylesheet)),
        Name::Icon => resource.route(web::get().to(pages::icon)),
        Name::Healthz => {
            resource.route(web::get().to(health::healthz)).route(web::head().to(health::healthz))
        }
        // It mounts itself.
        Name::AdminApi => resource,
        Name::Readyz => resource.route(web::get().to(health::readyz)).route(web::head().to(health::readyz)),
    };
    let allow = endpoint.allow();
    let resource = match endpoint.cors {
        Cors::Open => resource.route(web::method(Method::OPTIONS).to(preflight)),
        Cors::None => resource,
    };
    resource.default_service(web::to(move || ready(wrong_method(allow))))
}

fn wrong_method(allow: &'static str) -> HttpResponse {
    let error = OAuthError::new(ErrorCode::InvalidRequest, format!("this address answers {allow} only"));
    HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, allow)).json(error.body())
}

async fn nothing_here() -> JsonError {
    JsonError::from(OAuthError::new(ErrorCode::NotFound, "there is nothing at this address"))
}
