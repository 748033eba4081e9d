//! The audit trail.

use serde_json::Value;
use sqlx::Transaction;

use super::Db;
use crate::{domain::audit::Event, store::Result};

/// Writes an event within the transaction of its deed. Its place in the chain comes later, so that deeds on many replicas do
/// not wait for each other.
pub(super) async fn record(event: &Event, tx: &mut Transaction<'_, Db>) -> Result<()> {
    let sql = "insert into audit_events (id, at, actor_kind, actor, action, object, address, detail)
        values ($1, $2, $3, $4, $5, $6, $7, $8)";
    let (kind, actor) = event.actor.parts();
    sqlx::query(sql)
        .bind(event.id.as_str())
        .bind(event.at.seconds())
        .bind(kind)
        .bind(actor)
        .bind(event.action.as_str())
        .bind(event.object.as_deref())
        .bind(event.address.as_deref())
        .bind(Value::Object(event.detail.clone()).to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
