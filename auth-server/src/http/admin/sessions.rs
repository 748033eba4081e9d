//! `/sessions`: the browsers in which people are signed in.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    problem::Problem,
    query::Limit,
    route::{Call, Gone, NoBody, NoQuery, Page, Shown},
};
use crate::flows::admin::{
    sessions::{self, SessionError, id_of},
    view,
};

/// Whose sessions, and which page of them.
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

pub(super) async fn list(call: Call, query: Query, _: NoBody) -> Result<Shown<Page<view::Session>>, Problem> {
    let after = call.position(query.cursor.as_deref())?;
    let (user, limit) = (query.user.as_deref(), query.limit.and_one());
    let sessions = sessions::page(call.desk(), user, after.as_deref(), limit).await?;
    Ok(call.page(sessions, query.limit, id_of, |row| row.into()))
}

pub(super) async fn end(call: Call, _: NoQuery, _: NoBody) -> Result<Gone, Problem> {
    sessions::end(call.desk(), call.id()).await?;
    Ok(Gone)
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Store(error) => error.into(),
            SessionError::User(error) => error.into(),
            SessionError::Unknown(_) => Self::not_found(&error),
        }
    }
}
