//! Redis, and the memory of this process that stands in for it.
//!
//! A key is `doorward`, the issuer, the slot and the caller's key, each preceded by its length: replicas share what they
//! keep, and servers with different issuers can use one Redis without meeting. A value is its end, a blank, and JSON or a
//! count. Redis forgets by its own clock, which is told a length of time and never a moment; the end is compared with ours.
//! So a value is over when either says so, and a clock that jumps revives nothing. What is of another shape or type was
//! written by somebody else and is not there.
//!
//! While Redis is away everything happens in memory. When it is back, what it does not know is looked for in memory too, so
//! that whoever began in between can go on, and whoever had to wait still does. What is counted from then on is counted in
//! Redis.

use deadpool_redis::redis::{Cmd, Value, cmd};
use doorward_shared::time::Timestamp;

use super::{Place, line::Line, memory::Memory};

/// Adds to a counter in one step, with its end: a counter without one would lock somebody out for good.
/// Key; now, the end of a new counter, the change.
const ADD: &str = r"
local now, ends, count = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
local kept = redis.pcall('GET', KEYS[1])
if type(kept) == 'string' then
  local e, c = string.match(kept, '^(%d+) (%d+)$')
  e, c = tonumber(e), tonumber(c)
  if e and e > now and c < 4294967296 then ends, count = math.min(ends, e), c end
end
count = math.max(0, math.min(count + tonumber(ARGV[3]), 4294967295))
redis.call('SET', KEYS[1], string.format('%.0f %.0f', ends, count), 'PX', string.format('%.0f', (ends - now) * 1000))
return count
";

/// Puts a value in place of the one that was seen. Key; now, the value that was seen or nothing, the new one, its
/// milliseconds. Answers 1: done; 0: another one is there; 2: none is there.
const REPLACE: &str = r"
local kept, there = redis.pcall('GET', KEYS[1]), ''
if type(kept) == 'string' then
  local e, value = string.match(kept, '^(%d+) (.+)$')
  if e and tonumber(e) > tonumber(ARGV[1]) then there = value end
end
if there ~= ARGV[2] then return there == '' and 2 or 0 end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return 1
";

#[derive(Debug)]
pub(super) struct Redis {
    line: Line,
    issuer: String,
    memory: Memory,
}

impl Redis {
    pub(super) fn new(url: &str, issuer: &str) -> Self {
        let line = Line::new(url, key(issuer, "probe", ""));
        Self { line, issuer: issuer.to_owned(), memory: Memory::default() }
    }

    pub(super) async fn greet(&self) {
        self.line.greet().await;
    }

    fn command(&self, name: &str, place: Place<'_>) -> Cmd {
        let mut command = cmd(name);
        command.arg(key(&self.issuer, place.slot, place.key));
        command
    }

    fn script(&self, script: &str, place: Place<'_>) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(script).arg(1).arg(key(&self.issuer, place.slot, place.key));
        command
    }

    pub(super) async fn put(&self, place: Place<'_>, value: String, end: Timestamp, now: Timestamp) {
        let mut command = self.command("SET", place);
        command.arg(framed(&value, end)).arg("PX").arg(milliseconds(end, now));
        if self.line.ask(command).await.is_some() {
            self.memory.take(place, now);
        } else {
            self.memory.put(place, value, end);
        }
    }

    pub(super) async fn get(&self, place: Place<'_>, now: Timestamp) -> Option<String> {
        let kept = self.line.ask(self.command("GET", place)).await;
        kept.and_then(|kept| value(kept, now)).or_else(|| self.memory.get(place, now))
    }

    pub(super) async fn take(&self, place: Place<'_>, now: Timestamp) -> Option<String> {
        let kept = self.line.ask(self.command("GETDEL", place)).await;
        // In any case, so that what is in both places is not there a second time.
        let stood_in = self.memory.take(place, now);
        kept.and_then(|kept| value(kept, now)).or(stood_in)
    }

    pub(super) async fn replace(
        &self,
        place: Place<'_>,
        seen: Option<&str>,
        value: String,
        end: Timestamp,
        now: Timestamp,
    ) -> bool {
        match self.exchange(place, seen, &value, end, now).await {
            Some(Exchanged::Done) => true,
            Some(Exchanged::Other) => false,
            // It may have been seen in memory: whoever takes it out there may put it here.
            Some(Exchanged::Nothing) => {
                let moved = seen.is_some() && self.memory.get(place, now).as_deref() == seen;
                moved
                    && self.memory.take(place, now).as_deref() == seen
                    && matches!(self.exchange(place, None, &value, end, now).await, Some(Exchanged::Done))
            }
            None => self.memory.replace(place, seen, value, end, now),
        }
    }

    async fn exchange(
        &self,
        place: Place<'_>,
        seen: Option<&str>,
        value: &str,
        end: Timestamp,
        now: Timestamp,
    ) -> Option<Exchanged> {
        let mut command = self.script(REPLACE, place);
        command.arg(now.seconds()).arg(seen.unwrap_or_default()).arg(framed(value, end));
        command.arg(milliseconds(end, now));
        match self.line.ask(command).await? {
            Value::Int(1) => Some(Exchanged::Done),
            Value::Int(0) => Some(Exchanged::Other),
            Value::Int(2) => Some(Exchanged::Nothing),
            _ => {
                self.line.distrust();
                None
            }
        }
    }

    pub(super) async fn add(&self, place: Place<'_>, change: i32, end: Timestamp, now: Timestamp) -> u32 {
        let mut command = self.script(ADD, place);
        command.arg(now.seconds()).arg(end.seconds()).arg(change);
        let count = match self.line.ask(command).await {
            Some(Value::Int(count)) => u32::try_from(count).ok(),
            Some(_) => None,
            None => return self.memory.add(place, change, end, now),
        };
        count.unwrap_or_else(|| {
            self.line.distrust();
            self.memory.add(place, change, end, now)
        })
    }
}

/// What came of an attempt to put one value in place of another.
enum Exchanged {
    Done,
    Other,
    Nothing,
}

/// No two lists of parts have one key: each part's length comes before it.
fn key(issuer: &str, slot: &str, key: &str) -> String {
    format!("doorward:{}:{issuer}:{}:{slot}:{}:{key}", issuer.len(), slot.len(), key.len())
}

fn framed(value: &str, end: Timestamp) -> String {
    format!("{} {value}", end.seconds())
}

/// What is inside a stored value that is not over.
fn value(kept: Value, now: Timestamp) -> Option<String> {
    let Value::BulkString(bytes) = kept else { return None };
    let text = String::from_utf8(bytes).ok()?;
    let (end, value) = text.split_once(' ')?;
    (end.parse::<i64>().ok()? > now.seconds()).then(|| value.to_owned())
}

/// How long Redis keeps a value: at least a moment, since it takes no less.
fn milliseconds(end: Timestamp, now: Timestamp) -> i64 {
    end.since(now).get().saturating_mul(1000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_places_have_one_key() {
        let issuer = "https://a.test";
        let places = [
            (issuer, "s", "k"),
            (issuer, "s:1:k", ""),
            (issuer, "s", "1:k"),
            (issuer, "", "1:s:1:k"),
            ("https://a.test:1:s", "k", ""),
            ("https://a.test", "s", "k:"),
        ];
        let keys: std::collections::BTreeSet<_> = places.iter().map(|(i, s, k)| key(i, s, k)).collect();
        assert_eq!(keys.len(), places.len());
        assert!(keys.contains("doorward:14:https://a.test:1:s:1:k"));
    }

    #[test]
    fn what_has_another_shape_is_no_value() {
        let now = Timestamp::from_seconds(100);
        let bulk = |bytes: &[u8]| value(Value::BulkString(bytes.to_vec()), now);
        assert_eq!(bulk(b"101 {\"a b\":1}").as_deref(), Some("{\"a b\":1}"));
        for odd in [&b"100 over"[..], b"7", b"", b" x", b"later x", b"101", b"-101 x", b"101 \xff"] {
            assert_eq!(bulk(odd), None, "{odd:?}");
        }
        for odd in [Value::Nil, Value::Int(1), Value::Okay, Value::SimpleString("101 x".into())] {
            assert_eq!(value(odd, now), None);
        }
    }
}
