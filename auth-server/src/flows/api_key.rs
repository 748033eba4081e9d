//! What an API key is good for at this moment.

use std::sync::Arc;

use doorward_shared::{
    introspection::{Active, Introspection},
    time::Timestamp,
};

use super::{Context, Peer, upstream};
use crate::{
    domain::{
        api_key::{ApiKey, ApiKeySecret, Dead, effective, is_live},
        entitlement::{Seat, entitlement},
        resource::Resource,
        upstream::{Identity, can_come_in},
        user::User,
    },
    store::StoreError,
};

/// Answers a resource server about a key (RFC 7662). A text whose checksum is wrong costs no look into the store.
pub(super) async fn about(
    ctx: &Arc<Context>,
    text: &str,
    resource: &Resource,
    peer: &Peer,
    now: Timestamp,
) -> Result<Introspection, StoreError> {
    let Some(secret) = ApiKeySecret::parse(text) else { return Ok(Introspection::INACTIVE) };
    let Some(mut good) = find(ctx, &secret, resource, now).await? else { return Ok(Introspection::INACTIVE) };
    if upstream::renew_for_key(ctx, &good.identities, peer, now).await? {
        let Some(anew) = find(ctx, &secret, resource, now).await? else { return Ok(Introspection::INACTIVE) };
        good = anew;
    }
    let Good { key, user, .. } = good;
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

/// A key that is good, with its person and their accounts at providers.
struct Good {
    key: ApiKey,
    user: User,
    identities: Vec<Identity>,
}

async fn find(
    ctx: &Context,
    secret: &ApiKeySecret,
    resource: &Resource,
    now: Timestamp,
) -> Result<Option<Good>, StoreError> {
    let Some((key, user)) = ctx.store.api_key_by_hash(&secret.hash()).await? else { return Ok(None) };
    let mut dead = is_live(&key, &user, resource, now).err();
    let mut identities = Vec::new();
    if dead.is_none() && (user.passwordless_since.is_some() || !ctx.policy.upstream.is_empty()) {
        identities = ctx.store.identities_of(&user.id).await?;
        // Looked up last, and rarely: most people have another way in.
        if !can_come_in(&user, &identities, 0)
            && !can_come_in(&user, &identities, ctx.store.passkeys_of(&user.id).await?.len())
        {
            dead = Some(Dead::ShutOut);
        }
    }
    if let Some(reason) = dead {
        tracing::debug!(key = %key.id, %reason, "an API key is not good");
        return Ok(None);
    }
    Ok(Some(Good { key, user, identities }))
}
