//! The tools that the write tier adds.

use std::collections::BTreeMap;

use doorward_shared::{secret::Secret, time::Seconds};

use super::{
    Call,
    arguments::{ArtifactRef, RequestUploadUrl, StoreArtifact},
    records::{ArtifactRecord, UploadUrl},
    values::{content, idempotency_key},
};
use crate::{
    dates::rfc3339,
    errors::{Code, Refusal},
    ids::UploadToken,
    store::{IdempotencyKey, Reservation},
};

/// How long an upload address takes a PUT.
const UPLOAD_LIFE: Seconds = Seconds::hours(1);

pub(super) async fn store_artifact(
    call: Call<'_>,
    mut input: StoreArtifact,
) -> Result<ArtifactRecord, Refusal> {
    let Call { context, caller, now, .. } = call;
    let plan = context.plans.of(&caller.organization);
    let bytes = content(&input.content)?;
    let key = idempotency_key(input.idempotency_key.take())?;
    let draft = input.draft(caller, plan)?;
    let key = key.map(|key| IdempotencyKey::new(key, &draft, &bytes)).transpose()?;
    let stored = context.store.store(caller, &draft, &bytes, key.as_ref(), plan, now).await?;
    Ok(ArtifactRecord::new(stored.into_artifact(), now))
}

pub(super) async fn request_upload_url(
    call: Call<'_>,
    mut input: RequestUploadUrl,
) -> Result<UploadUrl, Refusal> {
    let Call { context, caller, now, .. } = call;
    let plan = context.plans.of(&caller.organization);
    if input.size_bytes < 1 {
        return Err(Refusal::invalid("size_bytes: must be at least 1"));
    }
    if plan.upload_bytes == 0 {
        return Err(Refusal::new(
            Code::QuotaExceeded,
            format!(
                "The plan {:?} has no upload addresses; store_artifact takes files of up to 10 MiB.",
                plan.name
            ),
        ));
    }
    if input.size_bytes > plan.upload_bytes {
        return Err(Refusal::new(
            Code::FileTooLarge,
            format!("size_bytes: the plan {:?} takes files of up to {} bytes", plan.name, plan.upload_bytes),
        ));
    }
    let draft = input.draft(caller, plan)?;
    let address = Secret::<UploadToken>::generate(&*context.entropy);
    let expires_at = now.plus(UPLOAD_LIFE);
    let reservation = Reservation { size: input.size_bytes, address: &address.hash(), expires_at };
    let artifact = context.store.reserve_upload(caller, &draft, reservation, plan, now).await?;
    Ok(UploadUrl {
        status: artifact.status(now).as_str(),
        artifact_id: artifact.id.to_string(),
        upload_url: context.url(&format!("/uploads/{}", address.expose())),
        upload_method: "PUT",
        upload_headers: BTreeMap::from([("Content-Type".to_owned(), artifact.content_type)]),
        upload_expires_at: rfc3339(expires_at),
    })
}

pub(super) async fn complete_upload(call: Call<'_>, input: ArtifactRef) -> Result<ArtifactRecord, Refusal> {
    let artifact = call.context.store.complete_upload(call.caller, &input.id()?, call.now).await?;
    Ok(ArtifactRecord::new(artifact, call.now))
}
