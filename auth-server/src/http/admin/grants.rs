//! `/grants`.

use doorward_shared::time::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    problem::Problem,
    query::{Limit, Number, Word},
    route::{Call, Gone, NoBody, NoQuery, Page, Shown},
};
use crate::{
    domain::{
        grant::{Grant, Method, State},
        ids::GrantId,
        revocation::NotNarrowed,
        user::User,
    },
    flows::admin::{
        grants::{self, All, GrantError, Rest, Wanted},
        view,
    },
};

/// Which grants, and which page of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// Those of this person: the identifier or the e-mail address.
    #[schemars(length(min = 1))]
    user: Option<String>,
    /// Those of this client: the identifier.
    #[schemars(length(min = 1))]
    client: Option<String>,
    /// Those for this resource server: the address.
    #[schemars(length(min = 1))]
    resource: Option<String>,
    /// Those for the data of this organization: the identifier or the name.
    #[schemars(length(min = 1))]
    organization: Option<String>,
    /// Those that stand so.
    state: Option<Word<State>>,
    /// Those that came about like this.
    method: Option<Word<Method>>,
    /// Those that were not used for so many days.
    unused_days: Option<Number<0, 36_500>>,
    /// How many the page shows.
    #[serde(default)]
    limit: Limit,
    /// `next_cursor` of the page before.
    #[schemars(length(min = 1))]
    cursor: Option<String>,
}

/// What stays of a grant. What is left out stays as it is; name a tier or permissions, not both.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NarrowGrant")]
pub(super) struct Narrow {
    /// The permissions of this tier, as far as the grant has them.
    #[schemars(length(min = 1))]
    tier: Option<String>,
    /// Exactly these permissions.
    #[schemars(length(min = 1))]
    permissions: Option<Vec<String>>,
    /// At these nodes and below them, as far as the grant has them.
    #[schemars(length(min = 1, max = 64))]
    nodes: Option<Vec<String>>,
    /// It ends then.
    #[schemars(with = "Option<i64>")]
    expires_at: Option<Timestamp>,
}

/// Whose grants to revoke: exactly one of these.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RevokeGrants")]
pub(super) enum Sweep {
    /// Those of this person: the identifier or the e-mail address.
    User(String),
    /// Those of this client: the identifier.
    Client(String),
    /// Those for this resource server: the address.
    Resource(String),
    /// Those for the data of this organization: the identifier or the name.
    Organization(String),
    /// Everybody's.
    Everything(Yes),
}

/// `true`, and nothing else.
#[derive(Deserialize)]
#[serde(try_from = "bool")]
pub(super) struct Yes;

impl TryFrom<bool> for Yes {
    type Error = &'static str;

    fn try_from(yes: bool) -> Result<Self, Self::Error> {
        if yes { Ok(Self) } else { Err("everything can only be true") }
    }
}

impl JsonSchema for Yes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Yes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "boolean", "const": true})
    }
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RevokedGrants")]
pub(super) struct Revoked {
    /// How many grants were ended by this.
    revoked: u64,
}

pub(super) async fn list(call: Call, query: Query, _: NoBody) -> Result<Shown<Page<view::Grant>>, Problem> {
    let position = call.position(query.cursor.as_deref())?;
    let before = position.as_deref().and_then(GrantId::parse);
    let wanted = Wanted {
        user: query.user,
        client: query.client,
        resource: query.resource,
        organization: query.organization,
        method: query.method.map(|word| word.0),
        state: query.state.map(|word| word.0),
        unused_days: query.unused_days.and_then(|days| u16::try_from(days.get()).ok()),
    };
    let grants = grants::list(call.desk(), &wanted, before.as_ref(), query.limit.and_one()).await?;
    Ok(call.page(grants, query.limit, |(grant, _)| grant.id.to_string(), |row| shown(&call, row)))
}

pub(super) async fn show(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<view::Grant>, Problem> {
    Ok(Shown(shown(&call, &grants::show(call.desk(), call.id()).await?)))
}

pub(super) async fn narrow(call: Call, _: NoQuery, rest: Narrow) -> Result<Shown<view::Grant>, Problem> {
    if rest.tier.is_some() && rest.permissions.is_some() {
        return Err(Problem::invalid(&"name a tier or permissions, not both"));
    }
    let Narrow { tier, permissions, nodes, expires_at } = rest;
    if nodes.as_ref().is_some_and(Vec::is_empty) {
        return Err(Problem::invalid(&"name a node, or leave nodes out to keep all of them"));
    }
    let rest = Rest { tier, permissions, nodes: nodes.unwrap_or_default(), expires_at };
    Ok(Shown(shown(&call, &grants::narrow_to(call.desk(), call.id(), &rest).await?)))
}

pub(super) async fn revoke(call: Call, _: NoQuery, _: NoBody) -> Result<Gone, Problem> {
    match grants::revoke(call.desk(), call.id()).await {
        // Whoever repeats a call whose answer was lost finds what they wanted.
        Ok(_) | Err(GrantError::Ended(_)) => Ok(Gone),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn sweep(call: Call, _: NoQuery, whose: Sweep) -> Result<Shown<Revoked>, Problem> {
    let all = match whose {
        Sweep::User(user) => All::OfUser(user),
        Sweep::Client(client) => All::OfClient(client),
        Sweep::Resource(resource) => All::ForResource(resource),
        Sweep::Organization(organization) => All::OfOrganization(organization),
        Sweep::Everything(Yes) => All::OfEverybody,
    };
    Ok(Shown(Revoked { revoked: grants::revoke_all(call.desk(), &all).await? }))
}

fn shown(call: &Call, (grant, user): &(Grant, User)) -> view::Grant {
    view::Grant::of(grant, user, call.context().now())
}

impl From<GrantError> for Problem {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::Store(error) => error.into(),
            GrantError::Ended(_) | GrantError::Busy | GrantError::NotNarrowed(NotNarrowed::Over) => {
                Self::conflict(&error)
            }
            GrantError::Id(_) | GrantError::Unknown(_) => Self::not_found(&error),
            _ => Self::invalid(&error),
        }
    }
}
