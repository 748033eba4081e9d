//! The tools of the read tier.

use doorward_shared::{
    secret::Secret,
    time::{Seconds, Timestamp},
};

use super::{
    Call,
    arguments::{ArtifactRef, ListArtifacts, ListSessions, Nothing},
    records::{ArtifactList, ArtifactRecord, DownloadUrl, Granted, Identity, SessionList},
    values::{agent, content_type, filename, folder, metadata, moment, page, session},
};
use crate::{
    caller::Caller,
    context::Context,
    dates::rfc3339,
    errors::Refusal,
    ids::DownloadToken,
    permissions::READ,
    store::{ArtifactFilter, LinkKind, NewLink, SessionFilter},
};

/// How long an agent's own download address opens.
const DOWNLOAD_LIFE: Seconds = Seconds::hours(1);

/// Who calls, and what is used of the plan. Also the resource `artifacts://whoami`.
pub(crate) async fn whoami(context: &Context, caller: &Caller, now: Timestamp) -> Result<Identity, Refusal> {
    let plan = context.plans.of(&caller.organization);
    let usage = context.usage(caller, now).await?;
    Ok(Identity {
        tenant_name: caller.organization.clone(),
        plan: plan.name.clone(),
        api_key_last_4: caller.api_key_last_4.clone(),
        usage_requests_month: usage.requests,
        plan_requests_limit_month: plan.requests_per_month,
        usage_storage_bytes: usage.storage_bytes,
        plan_storage_limit_bytes: plan.storage_bytes,
        subject: caller.subject.clone(),
        client_id: caller.client_id.clone(),
        credential_name: caller.credential.clone(),
        granted: caller.allowance.atoms().iter().map(ToString::to_string).collect(),
        granted_in: Granted::of(caller),
    })
}

pub(super) async fn whoami_tool(call: Call<'_>, _: Nothing) -> Result<Identity, Refusal> {
    whoami(call.context, call.caller, call.now).await
}

pub(super) async fn list_artifacts(call: Call<'_>, input: ListArtifacts) -> Result<ArtifactList, Refusal> {
    let page = page(input.limit, input.cursor.as_deref())?;
    let filter = ArtifactFilter {
        // What could not be stored cannot be found, and need not be looked for in every row.
        folder: input.folder.as_deref().map(folder).transpose()?,
        session_id: session(input.session_id)?,
        agent_id: agent(input.agent_id)?,
        filename: input.filename.map(filename).transpose()?,
        content_type: input.content_type.map(content_type).transpose()?,
        created_after: moment("created_after", input.created_after.as_deref())?,
        created_before: moment("created_before", input.created_before.as_deref())?,
        metadata: metadata(input.metadata)?,
    };
    let found = call.context.store.artifacts(call.caller, &filter, &page, call.now).await?;
    Ok(ArtifactList::new(found, call.now))
}

pub(super) async fn get_artifact(call: Call<'_>, input: ArtifactRef) -> Result<ArtifactRecord, Refusal> {
    let artifact = call.context.store.artifact(call.caller, READ, &input.id()?).await?.living(call.now)?;
    Ok(ArtifactRecord::new(artifact, call.now))
}

pub(super) async fn get_artifact_download_url(
    call: Call<'_>,
    input: ArtifactRef,
) -> Result<DownloadUrl, Refusal> {
    let Call { context, caller, now, .. } = call;
    let address = Secret::<DownloadToken>::generate(&*context.entropy);
    let expires_at = now.plus(DOWNLOAD_LIFE);
    let link = NewLink { kind: LinkKind::Agent, address_hash: address.hash().to_text(), expires_at };
    let plan = context.plans.of(&caller.organization);
    let artifact = context.store.link(caller, &input.id()?, &link, plan, now).await?;
    Ok(DownloadUrl {
        artifact_id: artifact.id.to_string(),
        download_url: context.url(&format!("/downloads/{}", address.expose())),
        expires_in: DOWNLOAD_LIFE.get(),
        expires_at: rfc3339(expires_at),
        filename: artifact.filename,
        content_type: artifact.content_type,
        size_bytes: artifact.size_bytes,
        content_hash: artifact.content_hash,
    })
}

pub(super) async fn list_sessions(call: Call<'_>, input: ListSessions) -> Result<SessionList, Refusal> {
    let page = page(input.limit, input.cursor.as_deref())?;
    let filter = SessionFilter {
        created_after: moment("created_after", input.created_after.as_deref())?,
        created_before: moment("created_before", input.created_before.as_deref())?,
        sealed: input.sealed,
    };
    let found = call.context.store.sessions(call.caller, &filter, &page).await?;
    Ok(SessionList::new(&found))
}
