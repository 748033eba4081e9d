//! `/organizations` with their nodes.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    problem::Problem,
    query::OnePage,
    route::{Call, Created, NoBody, NoQuery, Page, Shown},
};
use crate::flows::admin::{
    organizations::{self, OrganizationError},
    places::PlaceError,
    view,
};

/// What an organization is made from.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CreateOrganization")]
pub(super) struct Create {
    /// What it is called, here and on the consent page.
    #[schemars(length(min = 1, max = 100))]
    name: String,
}

/// What a node is made from.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AddNode")]
pub(super) struct Add {
    /// Where: `workspace/project/folder`. Those above it that are not there yet are made too.
    #[schemars(length(min = 1, max = 519))]
    path: String,
    /// What people read instead of the path.
    #[schemars(length(min = 1, max = 100))]
    title: Option<String>,
}

/// Which node to remove.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RemoveNode")]
pub(super) struct Remove {
    /// Where it is.
    #[schemars(length(min = 1, max = 519))]
    path: String,
    /// Whether to remove the rules that name it or a node below it, and end the grants that do.
    #[serde(default)]
    force: bool,
}

pub(super) async fn list(
    call: Call,
    query: OnePage,
    _: NoBody,
) -> Result<Shown<Page<view::Organization>>, Problem> {
    let after = call.position(query.cursor.as_deref())?;
    let mut all = organizations::list(call.desk()).await?;
    // There are few of them, so the page is cut out of all.
    all.retain(|one| after.as_ref().is_none_or(|after| &one.name > after));
    all.truncate(query.limit.and_one() as usize);
    Ok(call.page(all, query.limit, |one| one.name.clone(), |row| row.into()))
}

pub(super) async fn create(
    call: Call,
    _: NoQuery,
    new: Create,
) -> Result<Created<view::Organization>, Problem> {
    Ok(Created(view::Organization::from(&organizations::create(call.desk(), &new.name).await?)))
}

pub(super) async fn nodes(call: Call, query: OnePage, _: NoBody) -> Result<Shown<Page<view::Node>>, Problem> {
    let after = call.position(query.cursor.as_deref())?;
    let mut all = organizations::nodes(call.desk(), call.id()).await?;
    all.retain(|node| after.as_ref().is_none_or(|after| node.path.as_str() > after.as_str()));
    all.truncate(query.limit.and_one() as usize);
    Ok(call.page(all, query.limit, |node| node.path.to_string(), |row| row.into()))
}

pub(super) async fn add_node(call: Call, _: NoQuery, new: Add) -> Result<Created<view::Node>, Problem> {
    let made = organizations::add_node(call.desk(), call.id(), &new.path, new.title.as_deref()).await?;
    Ok(Created(view::Node::from(&made)))
}

pub(super) async fn remove_node(
    call: Call,
    _: NoQuery,
    which: Remove,
) -> Result<Shown<view::RemovedNode>, Problem> {
    let went = organizations::remove_node(call.desk(), call.id(), &which.path, which.force).await?;
    Ok(Shown(view::RemovedNode::from(went)))
}

impl From<OrganizationError> for Problem {
    fn from(error: OrganizationError) -> Self {
        match error {
            OrganizationError::Store(error) | OrganizationError::Place(PlaceError::Store(error)) => {
                error.into()
            }
            OrganizationError::Taken(_)
            | OrganizationError::NodeTaken(_)
            | OrganizationError::Named { .. } => Self::conflict(&error),
            // The organization is named by the path of the address.
            OrganizationError::Place(_) | OrganizationError::UnknownNode(_) => Self::not_found(&error),
            OrganizationError::Name(_) | OrganizationError::Title(_) | OrganizationError::Path(_) => {
                Self::invalid(&error)
            }
        }
    }
}
