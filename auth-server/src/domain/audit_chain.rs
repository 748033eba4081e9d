//! The chain of the audit trail, walked link by link: what was altered, left out or cut off is found.

use super::audit::{Checkpoint, FIRST_LINK, Link, StoredEvent};

/// What is wrong with a trail. Each names the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A row is not there.
    #[error("event {0} is missing: a row was deleted or moved")]
    Missing(i64),
    /// A row says something else than when it was chained.
    #[error("event {0} ({1}) was changed after it was written, or one before it was")]
    Altered(i64, String),
    /// The trail is shorter than it was.
    #[error(
        "the trail ends at event {found}, and a checkpoint or the counter knows event {known}: its end was cut off"
    )]
    Cut {
        /// Where it ends.
        found: i64,
        /// What is known.
        known: i64,
    },
    /// The trail was written anew.
    #[error(
        "event {0} is not the one that the signed checkpoint knows: the trail was written anew from there or before"
    )]
    Rewritten(i64),
    /// A checkpoint is not from this server.
    #[error("the checkpoint at event {0} was not signed by this server's audit key")]
    Forged(i64),
}

/// A walk along the chain.
#[derive(Clone, Debug)]
pub struct Walk {
    place: Link,
    checkpoints: Vec<Link>,
    next: usize,
}

impl Walk {
    /// A walk from the beginning, past these places, which are known to be right.
    pub fn past(mut checkpoints: Vec<Link>) -> Self {
        checkpoints.sort_by_key(|link| link.sequence);
        Self { place: Link { sequence: 0, hash: FIRST_LINK.to_owned() }, checkpoints, next: 0 }
    }

    /// The next event of the chain.
    pub fn step(&mut self, stored: &StoredEvent) -> Result<(), Broken> {
        let sequence = self.place.sequence + 1;
        let Some(link) = stored.link.as_ref().filter(|link| link.sequence == sequence) else {
            return Err(Broken::Missing(sequence));
        };
        if stored.event.link(sequence, &self.place.hash) != link.hash {
            return Err(Broken::Altered(sequence, stored.event.id.to_string()));
        }
        self.place = link.clone();
        while let Some(known) = self.checkpoints.get(self.next).filter(|known| known.sequence == sequence) {
            if known.hash != link.hash {
                return Err(Broken::Rewritten(sequence));
            }
            self.next += 1;
        }
        Ok(())
    }

    /// The end of the chain, of which the counter says that it is at `head`.
    pub fn end(self, head: i64) -> Result<Link, Broken> {
        let known = self.checkpoints.last().map_or(head, |last| last.sequence.max(head));
        if self.place.sequence < known {
            return Err(Broken::Cut { found: self.place.sequence, known });
        }
        Ok(self.place)
    }
}

/// Whether it is time for a checkpoint: there is something new, and a minute or a thousand events have passed.
pub fn is_due(last: Option<&Checkpoint>, head: i64, now: doorward_shared::time::Timestamp) -> bool {
    let Some(last) = last else { return head > 0 };
    let new = head - last.link.sequence;
    new > 0 && (new >= 1000 || now.since(last.at).get() >= 60)
}

#[cfg(test)]
mod tests {
    use doorward_shared::{
        secret::SystemEntropy,
        time::{Seconds, Timestamp},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        audit::{Action, Actor, Event},
        fixture::NOW,
    };

    fn chain(length: i64) -> Vec<StoredEvent> {
        let mut hash = FIRST_LINK.to_owned();
        let mut events = Vec::new();
        for sequence in 1..=length {
            let event = Event::new(Action::SignedIn, Actor::Server, NOW, &SystemEntropy)
                .on(sequence)
                .with("n", sequence);
            hash = event.link(sequence, &hash);
            events.push(StoredEvent { event, link: Some(Link { sequence, hash: hash.clone() }) });
        }
        events
    }

    fn walked(events: &[StoredEvent], checkpoints: &[&StoredEvent], head: i64) -> Result<Link, Broken> {
        let known = checkpoints.iter().filter_map(|event| event.link.clone()).collect();
        let mut walk = Walk::past(known);
        for event in events {
            walk.step(event)?;
        }
        walk.end(head)
    }

    #[test]
    fn a_whole_chain_is_walked_to_its_end() {
        let events = chain(5);
        assert_eq!(walked(&events, &[&events[2], &events[4]], 5).unwrap(), events[4].link.clone().unwrap());
        assert_eq!(walked(&[], &[], 0).unwrap().sequence, 0);
    }

    #[test]
    fn every_alteration_is_found_at_its_place() {
        let events = chain(5);
        let changes: [fn(&mut Event); 6] = [
            |event| event.at = NOW.plus(Seconds::new(1)),
            |event| event.actor = Actor::Operator,
            |event| event.action = Action::SignedOut,
            |event| event.object = None,
            |event| event.address = Some(String::new()),
            |event| event.detail.clear(),
        ];
        for change in changes {
            let mut altered = events.clone();
            change(&mut altered[2].event);
            let found = walked(&altered, &[], 5).unwrap_err();
            assert_eq!(found, Broken::Altered(3, altered[2].event.id.to_string()));
        }
    }

    #[test]
    fn a_row_that_is_gone_moved_or_cut_off_is_found() {
        let events = chain(5);
        let without = [&events[..2], &events[3..]].concat();
        assert_eq!(walked(&without, &[], 5).unwrap_err(), Broken::Missing(3));
        let mut swapped = events.clone();
        swapped.swap(1, 2);
        assert_eq!(walked(&swapped, &[], 5).unwrap_err(), Broken::Missing(2));
        assert_eq!(walked(&events[..3], &[], 5).unwrap_err(), Broken::Cut { found: 3, known: 5 });
        // The counter was set back too; a checkpoint still knows.
        assert_eq!(walked(&events[..3], &[&events[4]], 3).unwrap_err(), Broken::Cut { found: 3, known: 5 });
    }

    #[test]
    fn a_trail_that_was_written_anew_does_not_meet_its_checkpoint() {
        let (events, anew) = (chain(5), chain(5));
        assert_eq!(walked(&anew, &[&events[3]], 5).unwrap_err(), Broken::Rewritten(4));
    }

    #[test]
    fn a_checkpoint_comes_after_a_minute_or_a_thousand_events_and_only_for_something_new() {
        let made = |sequence, at| Checkpoint {
            link: Link { sequence, hash: String::new() },
            at,
            signed: String::new(),
        };
        let soon = |seconds| Timestamp::from_seconds(NOW.seconds() + seconds);
        assert!(!is_due(None, 0, NOW));
        assert!(is_due(None, 1, NOW));
        let last = made(5, NOW);
        assert!(!is_due(Some(&last), 5, soon(1000)));
        assert!(!is_due(Some(&last), 6, soon(59)));
        assert!(is_due(Some(&last), 6, soon(60)));
        assert!(is_due(Some(&last), 1005, NOW));
    }

    proptest! {
        #[test]
        fn no_row_can_be_taken_out_unseen(length in 1_i64..20, which in 0_usize..20) {
            let mut events = chain(length);
            let which = which % events.len();
            events.remove(which);
            prop_assert!(walked(&events, &[], length).is_err());
        }
    }
}
