//! A client that is the URL of a document: fetched, kept for a while, and stored when somebody consents to it.

use doorward_shared::{
    client_id::{ClientId, DocumentUrl},
    client_metadata::{ClientMetadata, DocumentError, MAX_DOCUMENT},
    redirect_uri::RedirectUri,
    time::Timestamp,
};

use super::{Context, Peer};
use crate::{
    domain::{
        audit::{Action, Actor},
        client::{Client, Origin},
        client_document::{self, Barred, admit, bundled, good_for, stands_in},
    },
    ephemeral::{CLIENT_DOCUMENTS, DOCUMENT_FETCHES, DOCUMENTS_AWAY, DOCUMENTS_WITHDRAWN, KeptDocument},
    outbound::{Failure, Fetched},
    store::StoreError,
};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum NoClient {
    /// The operator does not accept documents, or none from this host.
    #[error("this server does not accept applications that describe themselves at {0}")]
    NotAccepted(String),
    /// Nothing could be loaded, and nothing stands in for it.
    #[error("could not load the details of the application")]
    Unloaded,
    /// The document breaks a rule.
    #[error("the document in which the application describes itself cannot be used: {0}")]
    Unfit(String),
    /// Too many fetches for this network.
    #[error("too many applications were looked up for this network")]
    Crowded,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The client that asks for authorization. One that came here in another way is taken as it is stored, even if its identifier is a URL.
pub(super) async fn find(
    ctx: &Context,
    id: &ClientId,
    peer: &Peer,
    now: Timestamp,
) -> Result<Option<Client>, NoClient> {
    let stored = ctx.store.client(id).await?;
    let url = match (&stored, id.document_url()) {
        (_, None) => return Ok(stored),
        (Some(client), _)
            if !matches!(client.origin, Origin::Document(_)) || client.disabled_at.is_some() =>
        {
            return Ok(stored);
        }
        (_, Some(Ok(url))) => url,
        (_, Some(Err(error))) => {
            tracing::info!(
                client_id = id.as_str(),
                reason = error.to_string(),
                "a client_id is a URL, and not one of a metadata document"
            );
            return Ok(None);
        }
    };
    let way = match client_document::way(&url, &ctx.policy) {
        Ok(way) => way,
        Err(barred) => {
            tracing::info!(
                client_id = url.as_str(),
                reason = barred.to_string(),
                "a client metadata document is not fetched"
            );
            return match barred {
                Barred::Off | Barred::Host => Err(NoClient::NotAccepted(url.authority().to_owned())),
                // As unknown as any other.
                Barred::Ourselves | Barred::Loopback | Barred::Port | Barred::Address => Ok(None),
            };
        }
    };
    let kept = ctx.documents.get(&CLIENT_DOCUMENTS, url.as_str(), now).await;
    if let Some(fresh) = kept.as_ref().filter(|kept| now < kept.good_until) {
        return read(ctx, &url, fresh, stored.as_ref(), now).map(Some);
    }
    let away = ctx.documents.get(&DOCUMENTS_AWAY, url.as_str(), now).await.is_some();
    if let Some((client, _)) = away.then(|| instead(ctx, &url, kept.as_ref(), stored.as_ref(), now)).flatten()
    {
        return Ok(Some(client));
    }
    let fetches = ctx.ephemeral.bump(&DOCUMENT_FETCHES, &peer.network, now).await;
    if ctx.over(fetches, ctx.policy.client_documents.per_address, "client_documents", peer, now).await {
        return Err(NoClient::Crowded);
    }
    let failure = match ctx.outbound.fetch(way, &url, MAX_DOCUMENT, &peer.network).await {
        Ok(fetched) => match keep(ctx, &url, fetched, now).await {
            Ok(kept) => return read(ctx, &url, &kept, stored.as_ref(), now).map(Some),
            Err(DocumentError::Unfit(text)) => {
                withdraw(ctx, &url, now).await;
                return Err(NoClient::Unfit(text));
            }
            Err(error @ DocumentError::Foreign(_)) => error.to_string(),
        },
        Err(Failure::Gone(status)) => {
            tracing::warn!(
                client_id = url.as_str(),
                reason = "the origin says that it is gone",
                status,
                "a client metadata document could not be loaded"
            );
            withdraw(ctx, &url, now).await;
            return Err(NoClient::Unloaded);
        }
        Err(failure) => failure.to_string(),
    };
    let withdrawn = ctx.documents.get(&DOCUMENTS_WITHDRAWN, url.as_str(), now).await.is_some();
    let stand_in = (!withdrawn).then(|| instead(ctx, &url, kept.as_ref(), stored.as_ref(), now)).flatten();
    if stand_in.is_some() {
        ctx.documents.put(&DOCUMENTS_AWAY, url.as_str(), &true, now).await;
    }
    tracing::warn!(
        client_id = url.as_str(),
        reason = failure,
        instead = stand_in.as_ref().map(|(_, what)| what),
        "a client metadata document could not be loaded"
    );
    stand_in.map(|(client, _)| Some(client)).ok_or(NoClient::Unloaded)
}

/// Stores the client of a document before something is allowed to it. Others are stored already.
pub(super) async fn store(
    ctx: &Context,
    client: &Client,
    peer: &Peer,
    now: Timestamp,
) -> Result<(), StoreError> {
    if !matches!(client.origin, Origin::Document(_)) {
        return Ok(());
    }
    let uris: Vec<_> = client.redirect_uris.iter().map(RedirectUri::as_str).collect();
    let event = ctx.event(Action::ClientRegistered, Actor::Stranger, peer, now).on(&client.id);
    let event = event.with("client_name", client.name.as_deref()).with("redirect_uris", uris);
    ctx.store.put_document_client(client, &event).await
}

/// Takes the word of the origin that what it published before counts no more.
async fn withdraw(ctx: &Context, url: &DocumentUrl, now: Timestamp) {
    ctx.documents.take(&CLIENT_DOCUMENTS, url.as_str(), now).await;
    ctx.documents.take(&DOCUMENTS_AWAY, url.as_str(), now).await;
    ctx.documents.put(&DOCUMENTS_WITHDRAWN, url.as_str(), &true, now).await;
}

/// Keeps a document that can be used. One that cannot is never kept.
async fn keep(
    ctx: &Context,
    url: &DocumentUrl,
    fetched: Fetched,
    now: Timestamp,
) -> Result<KeptDocument, DocumentError> {
    let good_for = good_for(fetched.cache_control.as_deref(), fetched.age.as_deref());
    let body = String::from_utf8(fetched.body).map_err(|_| DocumentError::Foreign("it is no UTF-8"))?;
    let kept = KeptDocument { body, read_at: now, good_until: now.plus(good_for) };
    metadata(ctx, url, &kept)?;
    ctx.documents.take(&DOCUMENTS_WITHDRAWN, url.as_str(), now).await;
    ctx.documents.put(&CLIENT_DOCUMENTS, url.as_str(), &kept, now).await;
    Ok(kept)
}

fn metadata(ctx: &Context, url: &DocumentUrl, kept: &KeptDocument) -> Result<ClientMetadata, DocumentError> {
    ClientMetadata::read_document(kept.body.as_bytes(), url, &ctx.policy.registration.app_schemes)
}

fn read(
    ctx: &Context,
    url: &DocumentUrl,
    kept: &KeptDocument,
    stored: Option<&Client>,
    now: Timestamp,
) -> Result<Client, NoClient> {
    let metadata = metadata(ctx, url, kept).map_err(|error| NoClient::Unfit(error.to_string()))?;
    admit(metadata, url, stored, &ctx.policy, kept.read_at, now)
        .map_err(|error| NoClient::Unfit(error.description()))
}

/// The last good copy, of this process or of the last consent, or else the bundled one.
fn instead(
    ctx: &Context,
    url: &DocumentUrl,
    kept: Option<&KeptDocument>,
    stored: Option<&Client>,
    now: Timestamp,
) -> Option<(Client, &'static str)> {
    if let Some(kept) = kept.filter(|kept| stands_in(kept.read_at, now)) {
        return Some((read(ctx, url, kept, stored, now).ok()?, "the last good copy"));
    }
    let good =
        |client: &Client| matches!(client.origin, Origin::Document(read_at) if stands_in(read_at, now));
    if let Some(client) = stored.filter(|client| good(client)) {
        return Some((client.clone(), "the copy of the last consent"));
    }
    // Older than anything that was read: it takes no document's place.
    let never = Timestamp::from_seconds(0);
    let client = admit(bundled(url)?, url, stored, &ctx.policy, never, now).ok()?;
    Some((client, "the copy that this program brings along"))
}
