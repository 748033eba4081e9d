//! `PUT /uploads/{address}`: takes the bytes of one announced file. The address is the credential; it works once.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::{Body, BodyDataStream},
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use doorward_shared::secret::{Secret, SecretHash};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::{
    context::Context,
    errors::{Code, Refusal},
    ids::UploadToken,
    store::{Receipt, Received, Upload},
    telemetry::Event,
};

/// A sender that is silent for longer is given up; nothing of what it sent is kept.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);

/// Takes an upload.
pub async fn put(
    State(context): State<Arc<Context>>,
    Extension(event): Extension<Event>,
    Path(address): Path<String>,
    request: Request,
) -> Response {
    match take(&context, &address, request).await {
        Ok((upload, received)) => answer(&upload, &received),
        Err(refusal) => {
            event.refusal(&refusal);
            refusal.into_http(event.request_id())
        }
    }
}

async fn take(context: &Context, address: &str, request: Request) -> Result<(Upload, Received), Refusal> {
    let unknown = || Refusal::new(Code::UploadNotFound, "This upload address is not known.");
    let address = Secret::<UploadToken>::parse(address).ok_or_else(unknown)?.hash();
    let upload = context.store.upload(&address).await?.ok_or_else(unknown)?;
    upload.check(context.clock.now())?;
    let (parts, body) = request.into_parts();
    check_headers(&upload, &parts.headers)?;
    let _place = context.transfers.try_acquire().map_err(|_| {
        Refusal::new(Code::RateLimited, "Too many uploads are under way; send this one again in a moment.")
    })?;
    let received = read(context, &upload, body.into_data_stream()).await?;
    keep(context, &address, &upload, received).await
}

/// Refuses what cannot be the announced file, before a byte of it is read.
fn check_headers(upload: &Upload, headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Refusal::invalid("Content-Encoding: send the bytes as they are")
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    // A sender that names no type claims none; one that names another type is sending something else.
    if let Some(given) = headers.get(header::CONTENT_TYPE)
        && !given.to_str().is_ok_and(|given| given.eq_ignore_ascii_case(&upload.content_type))
    {
        return Err(Refusal::invalid(format!(
            "Content-Type: this upload was announced as {}",
            upload.content_type
        ))
        .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<i64>().ok());
    match length {
        Some(length) if length > upload.size_bytes => Err(too_long(upload)),
        Some(length) if length < upload.size_bytes => Err(too_short(upload, length)),
        _ => Ok(()),
    }
}

/// Writes the bytes to a file of their own, and not one more than announced.
async fn read(context: &Context, upload: &Upload, mut bytes: BodyDataStream) -> Result<Received, Refusal> {
    let blobs = context.store.blobs();
    let mut incoming = blobs.begin().await?;
    loop {
        let piece = tokio::time::timeout(SILENCE, bytes.next()).await.map_err(|_| {
            Refusal::invalid("The sender was silent for too long.").with_status(StatusCode::REQUEST_TIMEOUT)
        })?;
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|_| Refusal::invalid("The transfer broke off."))?;
        let length = i64::try_from(piece.len()).unwrap_or(i64::MAX);
        if length > upload.size_bytes - incoming.size() {
            return Err(too_long(upload));
        }
        incoming.write(&piece).await?;
    }
    if incoming.size() < upload.size_bytes {
        return Err(too_short(upload, incoming.size()));
    }
    Ok(blobs.finish(incoming).await?)
}

/// Makes the bytes the upload, if no other PUT was first.
async fn keep(
    context: &Context,
    address: &SecretHash<UploadToken>,
    upload: &Upload,
    received: Received,
) -> Result<(Upload, Received), Refusal> {
    match context.store.receive(address, &received, context.clock.now()).await? {
        Receipt::Done => Ok((upload.clone(), received)),
        Receipt::Lost => {
            context.store.blobs().remove(&received.id).await;
            Err(Upload::taken())
        }
    }
}

fn too_long(upload: &Upload) -> Refusal {
    Refusal::new(
        Code::FileTooLarge,
        format!("This upload was announced with {} bytes; more were sent.", upload.size_bytes),
    )
}

fn too_short(upload: &Upload, length: i64) -> Refusal {
    Refusal::invalid(format!(
        "This upload was announced with {} bytes; {length} were sent.",
        upload.size_bytes
    ))
}

fn answer(upload: &Upload, received: &Received) -> Response {
    let body = json!({
        "artifact_id": upload.artifact_id.as_str(),
        "size_bytes": received.size,
        "content_hash": received.hash,
        "status": "received",
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Body::from(body.to_string())).into_response()
}
