//! The clock of this replica, held against the database's, which is the same for all replicas. A replica whose clock is far
//! off goes by the database's: no code or token lives longer or shorter at it than at the others.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use doorward_shared::time::{Seconds, Timestamp};

use super::Context;
use crate::store::Result;

/// Seconds that a clock may be off before it is not believed any more.
pub const TOLERATED: i64 = 30;
/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(500);

/// How many seconds the clock of this replica is ahead of the database's, where that is more than [`TOLERATED`]; else 0.
#[derive(Debug, Default)]
pub struct Offset(AtomicI64);

impl Offset {
    /// How many seconds it is ahead, or behind if negative, where it is too much.
    pub fn beyond_tolerance(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|offset| *offset != 0)
    }

    /// What the time really is when the clock says `now`.
    pub(super) fn correct(&self, now: Timestamp) -> Timestamp {
        now.minus(Seconds::new(self.0.load(Ordering::Relaxed)))
    }

    /// Takes note of a look at both clocks: this one before and after the database answered.
    fn note(&self, before: Timestamp, database: Timestamp, after: Timestamp) {
        let offset = between(before, database, after);
        let known = self.0.swap(offset, Ordering::Relaxed);
        if offset != 0 && known == 0 {
            tracing::error!(
                seconds = offset,
                "the clock of this machine is off; set it. Until then this server goes by the database's, and is not ready"
            );
        } else if offset == 0 && known != 0 {
            tracing::info!("the clock of this machine is right again");
        }
    }
}

/// Seconds of the first clock ahead of the database's, or 0 where they may be tolerated. The database may have looked at its
/// clock at any moment between: a slow answer is no wrong clock.
fn between(before: Timestamp, database: Timestamp, after: Timestamp) -> i64 {
    let (ahead, behind) = (before.since(database).get(), database.since(after).get());
    if ahead > TOLERATED {
        ahead
    } else if behind > TOLERATED {
        -behind
    } else {
        0
    }
}

/// Looks once.
pub async fn look(ctx: &Context) -> Result<()> {
    let before = ctx.clock.now();
    let database = ctx.store.time().await?;
    ctx.offset.note(before, database, ctx.clock.now());
    Ok(())
}

/// Looks until the process ends. While the database does not answer, the last look counts.
pub async fn watch(ctx: &Context) {
    loop {
        // Whoever follows the feed tells of a database that is away.
        let _ = look(ctx).await;
        tokio::time::sleep(EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_far_off_is_corrected_and_a_slow_answer_is_no_wrong_clock() {
        let at = |seconds| Timestamp::from_seconds(1_800_000_000 + seconds);
        for (before, database, after, ahead) in [
            (0, 0, 0, 0),
            (30, 0, 30, 0),
            (31, 0, 31, 31),
            (-30, 0, -30, 0),
            (-31, 0, -31, -31),
            (3600, 0, 3601, 3600),
            (0, 60, 60, 0),
            (0, 0, 600, 0),
            (0, 300, 600, 0),
        ] {
            assert_eq!(between(at(before), at(database), at(after)), ahead, "{before} {database} {after}");
            let offset = Offset::default();
            offset.note(at(before), at(database), at(after));
            assert_eq!(offset.correct(at(before)), at(before - ahead));
            assert_eq!(offset.beyond_tolerance(), (ahead != 0).then_some(ahead));
        }
    }
}
