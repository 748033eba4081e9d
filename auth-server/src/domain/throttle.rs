//! The brake on guessing passwords. A wrong password costs time, and only the one who guesses: failures are counted for
//! an account *as seen from one network*, so a stranger's guesses never make the owner wait elsewhere.

use doorward_shared::time::{Seconds, Timestamp};
use serde::{Deserialize, Serialize};

/// Failures that cost nothing: people mistype.
pub const FREE_FAILURES: u32 = 5;
/// The longest wait.
const MAX_WAIT: Seconds = Seconds::minutes(5);

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// When the last one was; seconds since the epoch.
    pub last: i64,
}

impl Failures {
    /// One more.
    #[must_use]
    pub const fn and_one(self, now: Timestamp) -> Self {
        Self { count: self.count.saturating_add(1), last: now.seconds() }
    }

    /// How long to wait before the next try is looked at; `None` when it may come now. The wait doubles with each failure.
    pub fn wait(self, now: Timestamp) -> Option<Seconds> {
        let over = self.count.checked_sub(FREE_FAILURES)?;
        let length = Seconds::new(1_i64 << over.min(20)).min(MAX_WAIT);
        let left = Timestamp::from_seconds(self.last).plus(length).since(now);
        (left > Seconds::new(0)).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failures_are_free_and_then_the_wait_doubles_up_to_a_bound() {
        let now = Timestamp::from_seconds(1000);
        let after = |count| Failures { count, last: 1000 }.wait(now).map(Seconds::get);
        assert_eq!(after(4), None);
        assert_eq!(after(5), Some(1));
        assert_eq!(after(6), Some(2));
        assert_eq!(after(9), Some(16));
        assert_eq!(after(1000), Some(300));
        assert_eq!(Failures { count: 1000, last: 1000 }.wait(Timestamp::from_seconds(1300)), None);
    }
}
