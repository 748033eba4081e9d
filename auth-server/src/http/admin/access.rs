//! `/access`: what somebody would get, and why not more; `/mappings`: documents of group rules.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    problem::Problem,
    route::{Call, NoBody, NoQuery, Shown},
};
use crate::flows::admin::{
    access::{self, AccessError, Question},
    mappings::{self, MappingError, Mode},
    places::PlaceError,
    users::UserError,
    view,
};

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// Who: the identifier or the e-mail address.
    #[schemars(length(min = 1))]
    user: String,
    /// Through this client: the identifier. Without it, it is what the person may do at all.
    #[schemars(length(min = 1))]
    client: Option<String>,
    /// At this resource server: the address.
    #[schemars(length(min = 1))]
    resource: String,
    /// With the data of this organization: the identifier or the name, or `own`. Without it, of each that rules name for the
    /// person, and their own.
    #[schemars(length(min = 1))]
    organization: Option<String>,
}

/// The answer: what is possible where.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AccessPreview")]
pub(super) struct Preview {
    /// One for each organization.
    items: Vec<view::Access>,
}

/// A mapping document.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ImportMapping")]
pub(super) struct Import {
    /// The text of the document: JSON in the form of the `mcp_scopes` collection.
    #[schemars(length(min = 1))]
    document: String,
    /// Whether to carry it out. Without it, the answer says what would change, and nothing does.
    #[serde(default)]
    apply: bool,
}

/// The group rules in force.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExportedMapping")]
pub(super) struct Exported {
    /// The text of the document: JSON in the form of the `mcp_scopes` collection.
    document: String,
}

pub(super) async fn preview(call: Call, query: Query, _: NoBody) -> Result<Shown<Preview>, Problem> {
    let Query { user, client, resource, organization } = query;
    let reports = access::preview(call.desk(), &Question { user, client, resource, organization }).await?;
    Ok(Shown(Preview { items: reports.iter().map(view::Access::from).collect() }))
}

pub(super) async fn export(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<Exported>, Problem> {
    let scopes = mappings::export(call.desk()).await?;
    // Texts always serialise.
    Ok(Shown(Exported { document: serde_json::to_string_pretty(&scopes).unwrap_or_default() }))
}

pub(super) async fn import(call: Call, _: NoQuery, what: Import) -> Result<Shown<view::Mapping>, Problem> {
    let mode = if what.apply { Mode::Apply } else { Mode::Preview };
    Ok(Shown(view::Mapping::from(&mappings::import(call.desk(), &what.document, mode).await?)))
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Store(error)
            | AccessError::User(UserError::Store(error))
            | AccessError::Place(PlaceError::Store(error)) => error.into(),
            _ => Self::invalid(&error),
        }
    }
}

impl From<MappingError> for Problem {
    fn from(error: MappingError) -> Self {
        match error {
            MappingError::Store(error) => error.into(),
            MappingError::Raced => Self::conflict(&error),
            MappingError::Syntax(_) | MappingError::Wrong(_) => Self::invalid(&error),
        }
    }
}
