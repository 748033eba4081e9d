//! Dates as people read and write them (RFC 3339), always UTC when they are printed.

use chrono::{DateTime, NaiveDate, SecondsFormat};
use doorward_shared::time::Timestamp;

/// `2026-11-21T10:45:00Z`.
pub(super) fn date(time: Timestamp) -> String {
    // Only a time some 260 000 years away has no date; the epoch is as good an answer as any.
    DateTime::from_timestamp(time.seconds(), 0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Reads a date with its time and zone, a day (its first moment in UTC), or seconds since 1970-01-01T00:00:00Z.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    let seconds = || text.parse().ok();
    let moment = || DateTime::parse_from_rfc3339(text).ok().map(|date| date.timestamp());
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0)?.and_utc().timestamp());
    let read = moment().or_else(day).or_else(seconds);
    let unread = || "write it like 2026-12-31 or 2026-12-31T18:00:00Z".to_owned();
    read.map(Timestamp::from_seconds).ok_or_else(unread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_date_reads_back() {
        let time = Timestamp::from_seconds(1_795_258_800);
        assert_eq!(parse(&date(time)), Ok(time));
        assert_eq!(date(Timestamp::from_seconds(0)), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn a_moment_can_be_written_in_three_ways() {
        let day = Timestamp::from_seconds(86_400);
        for text in ["1970-01-02", "1970-01-02T00:00:00Z", "1970-01-02T02:00:00+02:00", "86400"] {
            assert_eq!(parse(text), Ok(day), "{text}");
        }
        for text in ["", "tomorrow", "1970-02-30", "02.01.1970", "1970-01-02T00:00:00"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
