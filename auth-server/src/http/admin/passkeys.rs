//! Passkeys of people.

use super::{
    problem::Problem,
    query::OnePage,
    route::{Call, Gone, NoBody, NoQuery, Page, Shown},
};
use crate::flows::admin::{
    passkeys::{self, PasskeyError},
    view,
};

pub(super) async fn list(
    call: Call,
    query: OnePage,
    _: NoBody,
) -> Result<Shown<Page<view::Passkey>>, Problem> {
    let after = call.position(query.cursor.as_deref())?;
    let (mut all, _) =
        passkeys::list(call.desk(), call.id()).await.map_err(|error| Problem::from(error).in_path())?;
    // There are few of them, so the page is cut out of all.
    if let Some(at) = after.and_then(|after| all.iter().position(|one| one.id == after)) {
        all.drain(..=at);
    }
    all.truncate(query.limit.and_one() as usize);
    Ok(call.page(all, query.limit, |one| one.id.clone(), |row| row.into()))
}

pub(super) async fn remove(call: Call, _: NoQuery, _: NoBody) -> Result<Gone, Problem> {
    passkeys::remove(call.desk(), call.id()).await?;
    Ok(Gone)
}

impl From<PasskeyError> for Problem {
    fn from(error: PasskeyError) -> Self {
        match error {
            PasskeyError::Store(error) => error.into(),
            PasskeyError::User(error) => error.into(),
            PasskeyError::Unknown(_) => Self::not_found(&error),
        }
    }
}
