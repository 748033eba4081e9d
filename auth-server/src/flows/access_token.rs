//! The reading of our own access tokens: whether one is good at this moment, as the store knows it.

use doorward_shared::{
    jose::{
        access_token::{self, AccessTokenClaims, Expected},
        jws::Unverified,
    },
    time::Timestamp,
};

use super::{Context, clients};
use crate::{
    domain::{
        client::Client,
        entitlement::Rule,
        grant::Grant,
        ids::GrantId,
        policy::RegistrationPolicy,
        resource::Resource,
        token::{Subject, is_live},
        user::User,
    },
    store::StoreError,
};

/// A token that is good now, and all that it is about.
pub(super) struct LiveToken {
    pub(super) claims: AccessTokenClaims,
    pub(super) grant: Grant,
    pub(super) user: User,
    pub(super) client: Client,
    pub(super) resource: Resource,
    pub(super) rules: Vec<Rule>,
}

impl LiveToken {
    pub(super) fn subject<'a>(&'a self, registration: &'a RegistrationPolicy) -> Subject<'a> {
        let Self { grant, user, client, resource, rules, .. } = self;
        Subject { grant, user, client, registration, resource, rules }
    }
}

/// The token, if this server signed it and nothing that it stands on was ended since.
pub(super) async fn live(
    ctx: &Context,
    token: &str,
    now: Timestamp,
) -> Result<Option<LiveToken>, StoreError> {
    let Some(claims) = own(ctx, token, now) else { return Ok(None) };
    let Some((grant, user)) = granted(ctx, &claims).await? else { return Ok(None) };
    let Some(client) = clients::find(ctx, &grant.client_id).await? else { return Ok(None) };
    let Some(resource) = ctx.store.resource(&grant.resource).await? else { return Ok(None) };
    let rules = ctx.store.rules_for(&user.id, &resource.uri).await?;
    let token = LiveToken { claims, grant, user, client, resource, rules };
    Ok(is_live(token.claims.iat, &token.subject(&ctx.policy.registration), now).then_some(token))
}

/// The grant behind one of our own access tokens, whether it has ended or not.
pub(super) async fn grant_of(
    ctx: &Context,
    token: &str,
    now: Timestamp,
) -> Result<Option<Grant>, StoreError> {
    match own(ctx, token, now) {
        Some(claims) => Ok(granted(ctx, &claims).await?.map(|(grant, _)| grant)),
        None => Ok(None),
    }
}

async fn granted(ctx: &Context, claims: &AccessTokenClaims) -> Result<Option<(Grant, User)>, StoreError> {
    let Some(id) = GrantId::parse(&claims.sid) else { return Ok(None) };
    let ours = |grant: &Grant| grant.resource == claims.aud && grant.client_id == claims.client_id;
    Ok(ctx.store.grant(&id).await?.filter(|(grant, _)| ours(grant)))
}

/// Reads an access token that this server signed.
fn own(ctx: &Context, token: &str, now: Timestamp) -> Option<AccessTokenClaims> {
    let unverified = Unverified::parse(token).ok()?;
    let key = ctx.keys.current().verifying().get(unverified.kid()?)?.clone();
    let payload = unverified.verify(&key, access_token::TYPES).ok()?;
    access_token::check(&payload, &Expected::of_issuer(&ctx.policy.issuer, now)).ok()
}
