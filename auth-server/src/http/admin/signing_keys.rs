//! `/keys`: the keys that sign tokens.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    problem::{Code, Problem},
    query::Limit,
    route::{Call, NoBody, NoQuery, Page, Shown},
};
use crate::{
    domain::signing_key::NotRevoked,
    flows::{
        admin::view,
        signing_keys::{self, SigningKeyError, Taken},
    },
};

/// Which page of the keys.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// How many the page shows.
    #[serde(default)]
    limit: Limit,
    /// `next_cursor` of the page before.
    #[schemars(length(min = 1))]
    cursor: Option<String>,
}

/// The key that signs from now on.
#[derive(Serialize, JsonSchema)]
pub(super) struct NowSigns {
    /// The key.
    active: view::SigningKey,
    /// Set when it was published for so few seconds that a resource server may not know it yet, and refuse its tokens until it
    /// fetches the keys again.
    published_for: Option<i64>,
}

impl From<Taken> for NowSigns {
    fn from(taken: Taken) -> Self {
        let published_for = taken.published_for.map(|seconds| seconds.get().max(0));
        Self { active: view::SigningKey::from(&taken.key), published_for }
    }
}

pub(super) async fn list(
    call: Call,
    query: Query,
    _: NoBody,
) -> Result<Shown<Page<view::SigningKey>>, Problem> {
    let after = call.position(query.cursor.as_deref())?;
    let keys = signing_keys::list(call.desk()).await?;
    // There are few of them: the page is cut out of all.
    let first = after.and_then(|kid| keys.iter().position(|key| key.kid == kid)).map_or(0, |at| at + 1);
    let page: Vec<_> = keys.into_iter().skip(first).take(query.limit.and_one() as usize).collect();
    Ok(call.page(page, query.limit, |key| key.kid.clone(), |key| key.into()))
}

pub(super) async fn rotate(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<NowSigns>, Problem> {
    let context = call.context();
    let taken = signing_keys::rotate(call.desk(), context.keys.data_key()).await?;
    signing_keys::reload(context).await?;
    Ok(Shown(taken.into()))
}

pub(super) async fn revoke(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<NowSigns>, Problem> {
    let context = call.context();
    let taken = signing_keys::revoke(call.desk(), context.keys.data_key(), call.id()).await?;
    signing_keys::reload(context).await?;
    Ok(Shown(taken.into()))
}

impl From<SigningKeyError> for Problem {
    fn from(error: SigningKeyError) -> Self {
        match error {
            SigningKeyError::Store(error) => error.into(),
            SigningKeyError::NotRevoked(_, NotRevoked::Unknown) => Self::not_found(&error),
            SigningKeyError::NotRevoked(_, NotRevoked::Revoked) | SigningKeyError::NotRotated(_) => {
                Self::conflict(&error)
            }
            SigningKeyError::Contended => Self::busy(&error),
            SigningKeyError::Key(_) | SigningKeyError::SameKek => {
                Self::new(Code::ServerError, "the log of the server has the reason").because(&error)
            }
        }
    }
}
