//! `/resources`: the resource servers.

use doorward_shared::permission::PermissionModel;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    problem::Problem,
    query::{Flag, OnePage},
    route::{Call, Created, Gone, NoBody, NoQuery, Page, Shown},
};
use crate::{
    domain::resource::{Access, PermissionMode, Resource},
    flows::admin::{
        Standing,
        resources::{self, NewResource, ResourceError},
        view,
    },
};

/// What a resource server is made from.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AddResource")]
pub(super) struct Add {
    /// The address that clients connect to, which is also the audience of the tokens.
    #[schemars(url)]
    resource: String,
    /// The name that people see on the consent page.
    #[schemars(length(min = 1, max = 100))]
    name: String,
    /// How permissions are chosen.
    #[serde(default)]
    mode: Mode,
    /// Whom it is for.
    #[serde(default)]
    access: Who,
    /// What it can be allowed to do; that of the reference server when there is none.
    #[schemars(with = "Option<view::Model>")]
    model: Option<PermissionModel>,
}

/// What changes of a resource server.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ChangeResource")]
pub(super) struct Change {
    /// Whom it is for.
    access: Who,
}

/// How a resource server is removed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Removal {
    /// Whether to remove the rules that name it, too.
    #[serde(default)]
    force: Flag,
}

/// Whom a resource server is for.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Who {
    /// Everybody with an account may do everything with their own data; rules add to that.
    #[default]
    Everyone,
    /// Those only whom a rule names.
    Listed,
}

impl From<Who> for Access {
    fn from(who: Who) -> Self {
        match who {
            Who::Everyone => Self::Everyone,
            Who::Listed => Self::Listed,
        }
    }
}

/// How permissions are chosen.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Mode {
    /// People tick them on the consent page.
    #[default]
    Consent,
}

pub(super) async fn list(
    call: Call,
    query: OnePage,
    _: NoBody,
) -> Result<Shown<Page<view::Resource>>, Problem> {
    let after = call.position(query.cursor.as_deref())?;
    let resources = resources::page(call.desk(), after.as_deref(), query.limit.and_one()).await?;
    Ok(call.page(resources, query.limit, |resource| resource.uri.folded().to_owned(), |row| row.into()))
}

pub(super) async fn show(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<view::Resource>, Problem> {
    Ok(Shown(view::Resource::from(&named(&call).await?)))
}

pub(super) async fn add(call: Call, _: NoQuery, new: Add) -> Result<Created<view::Credentials>, Problem> {
    let Add { resource: url, name, mode: Mode::Consent, access, model } = new;
    let new = NewResource { url, name, mode: PermissionMode::Consent, access: access.into(), model };
    Ok(Created(view::Credentials::from(&resources::add(call.desk(), new).await?)))
}

pub(super) async fn change(call: Call, _: NoQuery, change: Change) -> Result<Shown<view::Resource>, Problem> {
    let resource = named(&call).await?;
    let changed = resources::set_access(call.desk(), resource.uri.as_str(), change.access.into()).await?;
    Ok(Shown(view::Resource::from(&changed)))
}

pub(super) async fn rotate_secret(
    call: Call,
    _: NoQuery,
    _: NoBody,
) -> Result<Shown<view::Credentials>, Problem> {
    let resource = named(&call).await?;
    let made = resources::rotate_secret(call.desk(), resource.uri.as_str()).await?;
    Ok(Shown(view::Credentials::from(&made)))
}

pub(super) async fn retire_secret(call: Call, _: NoQuery, _: NoBody) -> Result<Gone, Problem> {
    let resource = named(&call).await?;
    resources::retire_secret(call.desk(), resource.uri.as_str()).await?;
    Ok(Gone)
}

pub(super) async fn remove(call: Call, how: Removal, _: NoBody) -> Result<Gone, Problem> {
    let resource = named(&call).await?;
    resources::remove(call.desk(), resource.uri.as_str(), how.force.is_yes()).await?;
    Ok(Gone)
}

pub(super) async fn disable(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<view::Resource>, Problem> {
    standing(&call, Standing::Disabled).await
}

pub(super) async fn enable(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<view::Resource>, Problem> {
    standing(&call, Standing::Enabled).await
}

async fn named(call: &Call) -> Result<Resource, Problem> {
    resources::find(call.desk(), call.id()).await.map_err(|error| Problem::from(error).in_path())
}

async fn standing(call: &Call, standing: Standing) -> Result<Shown<view::Resource>, Problem> {
    let resource = named(call).await?;
    resources::set_standing(call.desk(), resource.uri.as_str(), standing).await?;
    Ok(Shown(view::Resource::from(&named(call).await?)))
}

impl From<ResourceError> for Problem {
    fn from(error: ResourceError) -> Self {
        match error {
            ResourceError::Store(error) => error.into(),
            ResourceError::Taken(_)
            | ResourceError::Named { .. }
            | ResourceError::OneSecret(_)
            | ResourceError::Contended(_) => Self::conflict(&error),
            ResourceError::Unknown(_) | ResourceError::UnknownId(_) => Self::not_found(&error),
            ResourceError::Uri(_) | ResourceError::Name(_) | ResourceError::Id(_) => Self::invalid(&error),
        }
    }
}
