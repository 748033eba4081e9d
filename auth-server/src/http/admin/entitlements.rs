//! `/entitlements`: the rules that say who may do what where.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    problem::Problem,
    query::OnePage,
    route::{Call, Created, Gone, NoBody, NoQuery, Page, Shown},
};
use crate::flows::admin::{
    Standing,
    entitlements::{self, EntitlementError, NewRule, Whom},
    places::PlaceError,
    users::UserError,
    view,
};

/// What a rule is made from.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AddEntitlement")]
pub(super) struct Add {
    /// Whom it is about.
    holder: Holder,
    /// What they may do: the identifier of a tier.
    #[schemars(length(min = 1))]
    tier: String,
    /// At this resource server: the address. Without it, at each.
    #[schemars(url)]
    resource: Option<String>,
    /// With the data of this organization: the identifier or the name. Without it, each with their own data.
    #[schemars(length(min = 1))]
    organization: Option<String>,
    /// With this node and what is below it. Without it, all of the data.
    #[schemars(length(min = 1, max = 519))]
    node: Option<String>,
}

/// Whom a rule is about.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Holder {
    /// Everybody with an account.
    Everyone,
    /// A person: the identifier or the e-mail address.
    User(String),
    /// Everybody in the group with this name.
    Group(String),
}

pub(super) async fn list(
    call: Call,
    query: OnePage,
    _: NoBody,
) -> Result<Shown<Page<view::Entitlement>>, Problem> {
    let after = call.position(query.cursor.as_deref())?;
    let mut all = entitlements::list(call.desk()).await?;
    all.retain(|rule| after.as_ref().is_none_or(|after| rule.id.as_str() > after.as_str()));
    all.truncate(query.limit.and_one() as usize);
    Ok(call.page(all, query.limit, |rule| rule.id.to_string(), |row| row.into()))
}

pub(super) async fn show(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<view::Entitlement>, Problem> {
    Ok(Shown(view::Entitlement::from(&entitlements::show(call.desk(), call.id()).await?)))
}

pub(super) async fn add(call: Call, _: NoQuery, new: Add) -> Result<Created<view::NewEntitlement>, Problem> {
    let Add { holder, tier, resource, organization, node } = new;
    let whom = match holder {
        Holder::Everyone => Whom::Everyone,
        Holder::User(user) => Whom::Person(user),
        Holder::Group(group) => Whom::Group(group),
    };
    let new = NewRule { whom, tier, resource, organization, node };
    Ok(Created(view::NewEntitlement::from(&entitlements::add(call.desk(), &new).await?)))
}

pub(super) async fn remove(call: Call, _: NoQuery, _: NoBody) -> Result<Gone, Problem> {
    entitlements::remove(call.desk(), call.id()).await?;
    Ok(Gone)
}

pub(super) async fn disable(
    call: Call,
    _: NoQuery,
    _: NoBody,
) -> Result<Shown<view::NewEntitlement>, Problem> {
    standing(&call, Standing::Disabled).await
}

pub(super) async fn enable(
    call: Call,
    _: NoQuery,
    _: NoBody,
) -> Result<Shown<view::NewEntitlement>, Problem> {
    standing(&call, Standing::Enabled).await
}

async fn standing(call: &Call, standing: Standing) -> Result<Shown<view::NewEntitlement>, Problem> {
    let made = entitlements::set_standing(call.desk(), call.id(), standing).await?;
    Ok(Shown(view::NewEntitlement::from(&made)))
}

impl From<EntitlementError> for Problem {
    fn from(error: EntitlementError) -> Self {
        match error {
            EntitlementError::Store(error)
            | EntitlementError::Place(PlaceError::Store(error))
            | EntitlementError::User(UserError::Store(error)) => error.into(),
            EntitlementError::Same => Self::conflict(&error),
            EntitlementError::Id(_) | EntitlementError::Unknown(_) => Self::not_found(&error),
            _ => Self::invalid(&error),
        }
    }
}
