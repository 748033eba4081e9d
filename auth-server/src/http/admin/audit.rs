//! `/audit`: what was done, by whom, when.

use doorward_shared::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    problem::Problem,
    query::{Limit, Seconds, Word},
    route::{Call, NoBody, NoQuery, Page, Shown},
};
use crate::{
    domain::{audit::Action, ids::EventId},
    flows::{
        admin::view,
        trail::{self, NotWhole},
    },
    store::EventFilter,
};

/// Which events, and which page of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// By this one: the identifier of a person, a client or an admin key.
    #[schemars(length(min = 1))]
    actor: Option<String>,
    /// Of this kind.
    action: Option<Word<Action>>,
    /// Done to this: an identifier, or the address of a resource server.
    #[schemars(length(min = 1))]
    object: Option<String>,
    /// Not before this time.
    from: Option<Seconds>,
    /// Before this time.
    to: Option<Seconds>,
    /// How many the page shows.
    #[serde(default)]
    limit: Limit,
    /// `next_cursor` of the page before.
    #[schemars(length(min = 1))]
    cursor: Option<String>,
}

/// What came of checking the trail.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditVerification")]
pub(super) struct Verification {
    /// Whether nothing was changed, taken out or cut off.
    whole: bool,
    /// What is wrong, where something is.
    broken: Option<String>,
    /// How many events there are.
    events: Option<i64>,
    /// The hash of the last one.
    hash: Option<String>,
    /// How many signed checkpoints were met.
    checkpoints: Option<usize>,
}

pub(super) async fn list(call: Call, query: Query, _: NoBody) -> Result<Shown<Page<view::Event>>, Problem> {
    let position = call.position(query.cursor.as_deref())?;
    let before = position.as_deref().and_then(EventId::parse);
    let time = |seconds: Seconds| Timestamp::from_seconds(seconds.get());
    let filter = EventFilter {
        actor: query.actor,
        action: query.action.map(|word| word.0),
        object: query.object,
        from: query.from.map(time),
        to: query.to.map(time),
    };
    let events = call.context().store.events(&filter, before.as_ref(), query.limit.and_one()).await?;
    Ok(call.page(events, query.limit, |stored| stored.event.id.to_string(), |row| row.into()))
}

pub(super) async fn verify(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<Verification>, Problem> {
    let context = call.context();
    let issuer = &context.policy.issuer;
    Ok(Shown(match trail::verify(context.store.as_ref(), &context.audit_key, issuer, &[]).await {
        Ok(found) => Verification {
            whole: true,
            broken: None,
            events: Some(found.events),
            hash: Some(found.hash),
            checkpoints: Some(found.checkpoints),
        },
        Err(NotWhole::Store(error)) => return Err(error.into()),
        Err(error @ (NotWhole::Broken(_) | NotWhole::Given(_))) => Verification {
            whole: false,
            broken: Some(error.to_string()),
            events: None,
            hash: None,
            checkpoints: None,
        },
    }))
}
