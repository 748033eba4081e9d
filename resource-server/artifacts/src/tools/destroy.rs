//! The tools that the destroy tier adds: what they do cannot be undone.

use super::{
    Call,
    arguments::{ArtifactRef, CreateDownloadLink, SealSession},
    records::{Deletion, DownloadLink, SealedSession},
};
use crate::{
    dates::rfc3339,
    downloads,
    errors::Refusal,
    ids::LinkId,
    store::{LinkKind, NewLink},
};

pub(super) async fn create_download_link(
    call: Call<'_>,
    input: CreateDownloadLink,
) -> Result<DownloadLink, Refusal> {
    let Call { context, caller, now, .. } = call;
    let plan = context.plans.of(&caller.organization);
    let link_id = LinkId::generate(&*context.entropy);
    let expires_at = now.plus(input.life(plan)?);
    let link = NewLink { kind: LinkKind::Public, address_hash: downloads::link_hash(&link_id), expires_at };
    let artifact = context.store.link(caller, &input.id()?, &link, plan, now).await?;
    Ok(DownloadLink {
        artifact_id: artifact.id.to_string(),
        url: context.url(&format!("/links/{}", link_id.expose())),
        link_id: link_id.expose().to_owned(),
        created_by: caller.subject.clone(),
        created_by_client_id: caller.client_id.clone(),
        created_by_credential_name: caller.credential.clone(),
        created_at: rfc3339(now),
        expires_at: rfc3339(expires_at),
    })
}

pub(super) async fn delete_artifact(call: Call<'_>, input: ArtifactRef) -> Result<Deletion, Refusal> {
    let (artifact, already_deleted) = call.context.store.delete(call.caller, &input.id()?, call.now).await?;
    Ok(Deletion {
        artifact_id: artifact.id.to_string(),
        deleted: true,
        already_deleted,
        deleted_at: artifact.deleted_at.map(rfc3339),
    })
}

pub(super) async fn seal_session(call: Call<'_>, input: SealSession) -> Result<SealedSession, Refusal> {
    let seal = call.context.store.seal(call.caller, &input.id()?, call.now).await?;
    let (sealed_at, sealed_by) = seal.session.sealed.unzip();
    Ok(SealedSession {
        session_id: seal.session.id.as_str().to_owned(),
        status: "sealed",
        already_sealed: seal.already,
        sealed_at: sealed_at.map(rfc3339),
        sealed_by: sealed_by.as_ref().map(|writer| writer.subject.clone()),
        sealed_by_client_id: sealed_by.as_ref().map(|writer| writer.client_id.clone()),
        sealed_by_credential_name: sealed_by.and_then(|writer| writer.credential),
        artifact_count: seal.session.artifact_count,
    })
}
