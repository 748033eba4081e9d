//! Dates as people and JSON write them (RFC 3339), always UTC.

use chrono::{DateTime, SecondsFormat};
use doorward_shared::time::Timestamp;

/// `2026-11-21T10:45:00Z`.
pub fn rfc3339(time: Timestamp) -> String {
    date(time).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Reads a date with its time and zone.
pub fn parse(text: &str) -> Option<Timestamp> {
    DateTime::parse_from_rfc3339(text).ok().map(|date| Timestamp::from_seconds(date.timestamp()))
}

/// `2026-11`: what monthly limits are counted by.
pub fn month(time: Timestamp) -> String {
    date(time).format("%Y-%m").to_string()
}

fn date(time: Timestamp) -> DateTime<chrono::Utc> {
    // Only a time some 260 000 years away has no date; the epoch is as good an answer as any.
    DateTime::from_timestamp(time.seconds(), 0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_date_reads_back() {
        let time = Timestamp::from_seconds(1_795_258_800);
        assert_eq!(parse(&rfc3339(time)), Some(time));
        assert_eq!(rfc3339(Timestamp::from_seconds(0)), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn a_date_with_another_zone_is_the_same_moment() {
        assert_eq!(parse("1970-01-01T02:00:00+02:00"), Some(Timestamp::from_seconds(0)));
        assert_eq!(parse("1970-01-01"), None);
    }

    #[test]
    fn a_month_begins_at_midnight_utc() {
        assert_eq!(month(Timestamp::from_seconds(2_678_399)), "1970-01");
        assert_eq!(month(Timestamp::from_seconds(2_678_400)), "1970-02");
    }
}
