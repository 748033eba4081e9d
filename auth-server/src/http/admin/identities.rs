//! `/identities`: accounts of people at upstream providers.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    problem::Problem,
    query::Limit,
    route::{Call, Gone, NoBody, NoQuery, Page, Shown},
};
use crate::flows::admin::{
    identities::{self, IdentityError},
    view,
};

/// Whose identities, and which page of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// Those of this person: the identifier or the e-mail address.
    #[schemars(length(min = 1))]
    user: String,
    /// How many the page shows.
    #[serde(default)]
    limit: Limit,
    /// `next_cursor` of the page before.
    #[schemars(length(min = 1))]
    cursor: Option<String>,
}

pub(super) async fn list(
    call: Call,
    query: Query,
    _: NoBody,
) -> Result<Shown<Page<view::Identity>>, Problem> {
    let after = call.position(query.cursor.as_deref())?.unwrap_or_default();
    let mut found = identities::list(call.desk(), &query.user).await?;
    found.retain(|identity| identity.id.as_str() > after.as_str());
    found.truncate(usize::try_from(query.limit.and_one()).unwrap_or(usize::MAX));
    Ok(call.page(found, query.limit, |identity| identity.id.to_string(), |row| row.into()))
}

pub(super) async fn unlink(call: Call, _: NoQuery, _: NoBody) -> Result<Gone, Problem> {
    identities::unlink(call.desk(), call.id()).await?;
    Ok(Gone)
}

impl From<IdentityError> for Problem {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Store(error) => error.into(),
            IdentityError::User(error) => error.into(),
            IdentityError::Unknown(_) | IdentityError::NotThere(..) => Self::not_found(&error),
        }
    }
}
