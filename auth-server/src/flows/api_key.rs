//! What an API key is good for at this moment.

use doorward_shared::{
    introspection::{Active, Introspection},
    time::Timestamp,
};

use super::Context;
use crate::{
    domain::{
        api_key::{ApiKeySecret, effective, is_live},
        entitlement::{Seat, entitlement},
        resource::Resource,
    },
    store::StoreError,
};

/// Answers a resource server about a key (RFC 7662). A text whose checksum is wrong costs no look into the store.
pub(super) async fn about(
    ctx: &Context,
    text: &str,
    resource: &Resource,
    now: Timestamp,
) -> Result<Introspection, StoreError> {
    let Some(secret) = ApiKeySecret::parse(text) else { return Ok(Introspection::INACTIVE) };
    let Some((key, user)) = ctx.store.api_key_by_hash(&secret.hash()).await? else {
        return Ok(Introspection::INACTIVE);
    };
    if let Err(dead) = is_live(&key, &user, resource, now) {
        tracing::debug!(key = %key.id, reason = %dead, "an API key is not good");
        return Ok(Introspection::INACTIVE);
    }
    let rules = ctx.store.rules_for(&user.id, &resource.uri).await?;
    let seat = Seat { user: &user, resource, organization: &key.organization, rules: &rules };
    let allowance = effective(&key, seat).fitting();
    if key.wants_touch(now)
        && let Err(error) = ctx.store.touch_api_key(&key.id, now).await
    {
        tracing::warn!(key = %key.id, %error, "the use of an API key could not be written down");
    }
    Ok(Introspection::Active(Box::new(Active {
        active: true,
        token_type: "Bearer".to_owned(),
        iss: ctx.policy.issuer.as_str().to_owned(),
        entitled: !entitlement(seat).is_empty(),
        sub: user.id.to_string(),
        aud: resource.uri.as_str().to_owned(),
        exp: key.expires_at,
        iat: key.created_at,
        jti: key.id.to_string(),
        client_id: key.id.to_string(),
        scope: allowance.atoms().to_string(),
        sid: key.id.to_string(),
        org: key.organization.to_string(),
        auth_time: None,
        authorization_details: allowance.to_details(),
        credential: Some(key.name),
        rate_limit: Some(key.rate_limit.unwrap_or(ctx.policy.limits.api_key_requests)),
        act: None,
    })))
}
