//! Reads an export of an audit trail: a line of JSON for each event, in the order of the chain. What comes after the end of a
//! backup's own trail has to continue it.

use std::io::BufRead;

use doorward_shared::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{ArchiveError, Result, lines::Lines, lines::Next};
use crate::domain::{
    audit::{Action, Actor, Event, FIRST_LINK, Link, StoredEvent},
    ids::EventId,
};

/// A trail that is being read, and checked on the way.
pub struct Trail<'a> {
    lines: Lines<'a>,
    /// Where the backup's own trail ends.
    head: Link,
    last: Option<Link>,
    joined: bool,
}

impl std::fmt::Debug for Trail<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trail({:?})", self.last)
    }
}

#[derive(Deserialize)]
struct Line {
    id: String,
    at: Timestamp,
    actor_kind: String,
    actor: Option<String>,
    action: String,
    object: Option<String>,
    address: Option<String>,
    detail: Map<String, Value>,
    sequence: i64,
    hash: String,
}

impl Line {
    fn event(self) -> Option<StoredEvent> {
        let event = Event {
            id: EventId::parse(&self.id)?,
            at: self.at,
            actor: Actor::from_parts(&self.actor_kind, self.actor.as_deref())?,
            action: Action::parse(&self.action)?,
            object: self.object,
            address: self.address,
            detail: self.detail,
        };
        Some(StoredEvent { event, link: Some(Link { sequence: self.sequence, hash: self.hash }) })
    }
}

impl<'a> Trail<'a> {
    /// Reads from `input` what continues a trail that ended at `head`.
    pub fn after(head: Link, input: &'a mut (dyn BufRead + Send)) -> Self {
        Self { lines: Lines::of(input), head, last: None, joined: false }
    }

    /// The next event after the head; `None` when there is none, and the whole export continues the head's trail.
    pub fn next_event(&mut self) -> Result<Option<StoredEvent>> {
        loop {
            match self.lines.read()? {
                Next::Line => {}
                Next::End if self.joined => return Ok(None),
                Next::End => {
                    return Err(self.wrong("it ends before the backup was made; export the trail to its end"));
                }
                Next::Cut => return Err(self.wrong("its end is missing; take another copy")),
                Next::TooLong => return Err(self.wrong("it is too long for an event")),
            }
            let line: Option<Line> = serde_json::from_slice(&self.lines.line).ok();
            let Some(stored) = line.and_then(Line::event) else {
                return Err(self.wrong("it is no event that this Doorward knows"));
            };
            if self.follow(&stored)? {
                return Ok(Some(stored));
            }
        }
    }

    /// Where the export ends, as far as it was read.
    pub const fn end(&self) -> Option<&Link> {
        self.last.as_ref()
    }

    /// True when the event comes after the head.
    fn follow(&mut self, stored: &StoredEvent) -> Result<bool> {
        let Some(link) = &stored.link else { return Ok(false) };
        let before = match &self.last {
            Some(last) => Some(last),
            None if link.sequence == self.head.sequence + 1 => Some(&self.head),
            None => None,
        };
        let before = match before {
            Some(before) if link.sequence != before.sequence + 1 => {
                return Err(self.wrong("events are missing before it"));
            }
            Some(before) => Some(before.hash.as_str()),
            None if link.sequence == 1 => Some(FIRST_LINK),
            None if link.sequence > self.head.sequence => {
                return Err(
                    self.wrong("it comes after the end of the backup's trail; export the whole trail")
                );
            }
            None => None,
        };
        if before.is_some_and(|before| stored.event.link(link.sequence, before) != link.hash) {
            return Err(self.wrong("it was changed, or something before it was"));
        }
        if link.sequence == self.head.sequence && *link != self.head {
            return Err(self.wrong(
                "the backup has another event here: the trail is not of this server, or was changed",
            ));
        }
        self.joined |= link.sequence >= self.head.sequence;
        self.last = Some(link.clone());
        Ok(link.sequence > self.head.sequence)
    }

    const fn wrong(&self, what: &'static str) -> ArchiveError {
        ArchiveError::Trail { line: self.lines.number, what }
    }
}
