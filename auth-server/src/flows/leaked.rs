//! Reports of API keys that were found where they should not be, such as in a public repository. Whoever has a key may end it:
//! nobody has to prove more than that.

use doorward_shared::error::{ErrorCode, OAuthError};
use serde::Deserialize;

use super::{Context, Peer, admin::api_keys::end};
use crate::{
    domain::{
        api_key::ApiKeySecret,
        audit::{Action, Actor},
    },
    ephemeral::LEAK_REPORTS,
};

/// Most keys of one report.
const MOST: usize = 100;
/// Reports a minute from one network.
const PER_NETWORK: u32 = 60;

/// One key that was found. What else a scanner says about it is not read.
#[derive(Deserialize)]
struct Found {
    token: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Many(Vec<Found>),
    One(Found),
}

/// Revokes the keys of a report that are live keys of this server. The answer, how many texts the report had, is the same for
/// those that are not.
pub async fn report(ctx: &Context, body: &[u8], peer: &Peer) -> Result<usize, OAuthError> {
    let now = ctx.now();
    let reports = ctx.ephemeral.bump(&LEAK_REPORTS, &peer.network, now).await;
    if ctx.over(reports, PER_NETWORK, "leak_reports", peer, now).await {
        let text = "too many reports from this network; wait a minute and send the rest, up to 100 keys each";
        return Err(OAuthError::new(ErrorCode::TooManyRequests, text));
    }
    let invalid = |text: &'static str| OAuthError::new(ErrorCode::InvalidRequest, text);
    let found = match serde_json::from_slice(body) {
        Ok(Body::Many(found)) => found,
        Ok(Body::One(found)) => vec![found],
        Err(_) => return Err(invalid("send a JSON array of objects, each with the key as token")),
    };
    if found.len() > MOST {
        return Err(invalid("a report has at most 100 keys; send several"));
    }
    for Found { token } in &found {
        let Some(secret) = ApiKeySecret::parse(token) else { continue };
        let Some((key, _)) = ctx.store.api_key_by_hash(&secret.hash()).await? else { continue };
        let desk = ctx.desk(&Actor::Stranger, peer.address.as_deref());
        let _done_now_or_before = end(desk, &key, Action::ApiKeyReported).await?;
    }
    Ok(found.len())
}
