//! `PUT /uploads/{address}`: takes the bytes of one announced file. The address is the credential; it works once.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Extension,
    body::Body,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use doorward_shared::secret::{Secret, SecretHash};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::{
    body::Pieces,
    context::Context,
    errors::{Code, Refusal},
    ids::UploadToken,
    standing::Standing,
    store::{Receipt, Received, Upload},
    telemetry::Event,
};

/// How long any upload may take, and how many bytes a second a larger one must bring.
const LEAST_TIME: Duration = Duration::from_mins(15);
const LEAST_RATE: u64 = 1024 * 1024;

/// The addresses to which bytes are on their way.
#[derive(Debug, Default)]
pub struct UnderWay(Mutex<HashSet<String>>);

/// An address that takes no other PUT until this is dropped.
#[derive(Debug)]
struct Claim<'a> {
    under_way: &'a UnderWay,
    address: String,
}

impl UnderWay {
    /// Claims an address, unless another PUT holds it.
    fn claim(&self, address: String) -> Option<Claim<'_>> {
        let new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(address.clone());
        new.then(|| Claim { under_way: self, address })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.under_way.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.address);
    }
}

/// Takes an upload.
pub async fn put(
    State(context): State<Arc<Context>>,
    Extension(event): Extension<Event>,
    Extension(standing): Extension<Standing>,
    Path(address): Path<String>,
    request: Request,
) -> Response {
    match take(&context, &standing, &address, request).await {
        Ok((upload, received)) => answer(&upload, &received),
        Err(refusal) => {
            event.refusal(&refusal);
            refusal.into_http(event.request_id())
        }
    }
}

async fn take(
    context: &Context,
    standing: &Standing,
    address: &str,
    request: Request,
) -> Result<(Upload, Received), Refusal> {
    let unknown = || Refusal::new(Code::UploadNotFound, "This upload address is not known.");
    let address = Secret::<UploadToken>::parse(address).ok_or_else(unknown)?.hash();
    // Claimed before anything is looked up, so that only one PUT at a time can find the address open: others must not
    // fill the disk with bytes that nobody reserved.
    let _claim = context.under_way.claim(address.to_text()).ok_or_else(|| {
        Refusal::invalid("Another PUT to this address is under way.").with_status(StatusCode::CONFLICT)
    })?;
    let upload = context.store.upload(&address).await?.ok_or_else(unknown)?;
    upload.check(context.clock.now())?;
    standing.check(&upload.maker, Upload::ended).await?;
    let (parts, body) = request.into_parts();
    check_headers(&upload, &parts.headers)?;
    let _place = context.transfers.try_acquire().map_err(|_| {
        Refusal::new(Code::RateLimited, "Too many uploads are under way; send this one again in a moment.")
    })?;
    let received = read(context, &upload, Pieces::of(body, time_for(upload.size_bytes))).await?;
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

/// How long the whole of an upload may take: without an end, a few slow senders would hold every place for ever.
fn time_for(size: i64) -> Duration {
    LEAST_TIME.max(Duration::from_secs(size.unsigned_abs() / LEAST_RATE))
}

/// Writes the bytes to a file of their own, and not one more than announced.
async fn read(context: &Context, upload: &Upload, mut bytes: Pieces) -> Result<Received, Refusal> {
    let blobs = context.store.blobs();
    let mut incoming = blobs.begin().await?;
    while let Some(piece) = bytes.next().await? {
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
            // What came first: another PUT, or an end.
            if let Some(now_found) = context.store.upload(address).await? {
                now_found.check(context.clock.now())?;
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_claimed_once_until_the_claim_is_dropped() {
        let under_way = UnderWay::default();
        let claim = under_way.claim("a".to_owned());
        assert!(claim.is_some() && under_way.claim("a".to_owned()).is_none());
        assert!(under_way.claim("b".to_owned()).is_some());
        drop(claim);
        assert!(under_way.claim("a".to_owned()).is_some());
    }

    #[test]
    fn a_large_upload_has_more_time_and_none_has_for_ever() {
        assert_eq!(time_for(1), LEAST_TIME);
        assert_eq!(time_for(5 << 30), Duration::from_secs(5 << 10));
    }
}
