//! Signs of life for whoever runs the process.

use actix_web::HttpResponse;
use serde_json::json;

use super::Data;

/// The process is alive.
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// The process can serve: its database answers.
pub(super) async fn readyz(site: Data) -> HttpResponse {
    match site.context.store.ping().await {
        Ok(()) => HttpResponse::Ok().json(json!({"status": "ready"})),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            HttpResponse::ServiceUnavailable().json(json!({"status": "waiting for the database"}))
        }
    }
}
