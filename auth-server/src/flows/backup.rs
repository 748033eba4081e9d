//! Backups, made while servers run.

use std::io::Write;

use super::admin::Desk;
use crate::{
    domain::audit::{Action, Event},
    store::{
        archive::{ArchiveError, Counts, Header, Made, Writer},
        hold::Held,
    },
};

/// Writes all that the database holds. `alone`: no server runs, and none starts before the moment that is written.
pub async fn back_up(
    desk: Desk<'_>,
    alone: Option<Held>,
    out: &mut (dyn Write + Send),
) -> Result<(Header, Counts), ArchiveError> {
    let (header, counts) = desk.store.dump(&made(desk), alone, Writer::new(out)).await?;
    let event = Event::new(Action::BackedUp, desk.actor.clone(), desk.clock.now(), desk.entropy)
        .from(desk.address)
        .with("stopped", header.stopped);
    desk.store.note(&event).await?;
    Ok((header, counts))
}

/// Who makes a backup now.
pub(super) fn made(desk: Desk<'_>) -> Made {
    let issuer = desk.policy.issuer.as_str().to_owned();
    Made { version: env!("CARGO_PKG_VERSION"), issuer, at: desk.clock.now() }
}
