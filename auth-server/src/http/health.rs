//! Signs of life for whoever runs the process.

use actix_web::HttpResponse;
use serde_json::json;

use super::Data;

/// The process is alive.
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// The process can serve: its database answers, and its clock is right.
pub(super) async fn readyz(site: Data) -> HttpResponse {
    match site.context.store.ping().await {
        Ok(()) => match site.context.offset.beyond_tolerance() {
            None => HttpResponse::Ok().json(json!({"status": "ready"})),
            Some(ahead) => HttpResponse::ServiceUnavailable()
                .json(json!({"status": "the clock of this machine is off", "seconds_ahead": ahead})),
        },
        Err(error) => {
            tracing::warn!(%error, "not ready");
            HttpResponse::ServiceUnavailable().json(json!({"status": "waiting for the database"}))
        }
    }
}
