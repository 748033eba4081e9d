//! `/api-keys`: the keys of people.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    problem::Problem,
    query::{Limit, Word},
    route::{Call, Created, Gone, NoBody, NoQuery, Page, Shown},
};
use crate::{
    domain::{ids::ApiKeyId, key_life::KeyLife},
    flows::admin::{
        api_keys::{self, ApiKeyError, NewApiKey, NewPowers},
        users::UserError,
        view,
    },
};

/// Which keys, and which page of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// Those of this person: the identifier or the e-mail address.
    #[schemars(length(min = 1))]
    user: Option<String>,
    /// How many the page shows.
    #[serde(default)]
    limit: Limit,
    /// `next_cursor` of the page before.
    #[schemars(length(min = 1))]
    cursor: Option<String>,
}

/// What a key is made from. Say what it may do at most in one of three ways: `tier`, with `nodes` or without; `grants`; `full`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CreateApiKey")]
pub(super) struct Create {
    /// Whose it is to be: the identifier or the e-mail address.
    #[schemars(length(min = 1))]
    user: String,
    /// What to call it.
    #[schemars(length(min = 1, max = 60))]
    name: String,
    /// For whose data: the identifier or the name of an organization; left out: the person's own.
    #[schemars(length(min = 1))]
    organization: Option<String>,
    /// For which resource server; left out: for each.
    #[schemars(length(min = 1))]
    resource: Option<String>,
    /// The same tier everywhere.
    #[schemars(length(min = 1))]
    tier: Option<String>,
    /// With `tier`: at these nodes and below them; left out: in the whole organization.
    #[schemars(length(min = 1, max = 64))]
    nodes: Option<Vec<String>>,
    /// A tier for each node.
    #[schemars(length(min = 1, max = 64))]
    grants: Option<Vec<TierAt>>,
    /// Everything that the person may do.
    full: Option<bool>,
    /// How many requests a minute each process of a resource server lets it make; left out: as many as
    /// `limits.api_key_requests` says.
    rate_limit: Option<NonZeroU32>,
    /// How long it lives.
    expires: Word<KeyLife>,
}

/// A tier at a node and below it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "GrantTierAt")]
pub(super) struct TierAt {
    /// The path of the node; null for the whole organization.
    node: Option<String>,
    /// The identifier of the tier.
    tier: String,
}

pub(super) async fn list(call: Call, query: Query, _: NoBody) -> Result<Shown<Page<view::ApiKey>>, Problem> {
    let position = call.position(query.cursor.as_deref())?;
    let before = position.as_deref().and_then(ApiKeyId::parse);
    let limit = query.limit.and_one();
    let keys = api_keys::list(call.desk(), query.user.as_deref(), before.as_ref(), limit).await?;
    let now = call.context().now();
    Ok(call.page(
        keys,
        query.limit,
        |(key, _)| key.id.to_string(),
        |(key, user)| view::ApiKey::of(key, user, now),
    ))
}

pub(super) async fn show(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<view::ApiKey>, Problem> {
    let (key, user) = api_keys::show(call.desk(), call.id()).await?;
    Ok(Shown(view::ApiKey::of(&key, &user, call.context().now())))
}

pub(super) async fn create(call: Call, _: NoQuery, new: Create) -> Result<Created<view::NewApiKey>, Problem> {
    let Create { user, name, organization, resource, tier, nodes, grants, full, rate_limit, expires } = new;
    let powers = match (tier, nodes, grants, full) {
        (Some(tier), nodes, None, None | Some(false)) => NewPowers::simple(&tier, nodes.unwrap_or_default()),
        (None, None, Some(grants), None | Some(false)) => {
            NewPowers::Scoped(grants.into_iter().map(|TierAt { node, tier }| (node, tier)).collect())
        }
        (None, None, None, Some(true)) => NewPowers::Full,
        _ => {
            return Err(Problem::invalid(
                &"say what the key may do by exactly one of tier, grants, full: true",
            ));
        }
    };
    let new = NewApiKey { name, organization, resource, powers, rate_limit, life: expires.0 };
    let (key, user, secret) = api_keys::create(call.desk(), &user, &new).await?;
    Ok(Created(view::NewApiKey::of(&key, &user, &secret, call.context().now())))
}

pub(super) async fn revoke(call: Call, _: NoQuery, _: NoBody) -> Result<Gone, Problem> {
    api_keys::revoke(call.desk(), call.id()).await?;
    Ok(Gone)
}

impl From<ApiKeyError> for Problem {
    fn from(error: ApiKeyError) -> Self {
        match error {
            ApiKeyError::Store(error) | ApiKeyError::User(UserError::Store(error)) => error.into(),
            ApiKeyError::Unknown(_) => Self::not_found(&error),
            ApiKeyError::Busy => Self::conflict(&error),
            _ => Self::invalid(&error),
        }
    }
}
