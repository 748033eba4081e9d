//! Durations as people write them: `0s`, `15m`, `12h`, `30d`.

use doorward_shared::time::Seconds;

const UNITS: [(char, i64); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

/// Reads a duration: a whole number and one unit.
pub(super) fn parse(text: &str) -> Option<Seconds> {
    let unit = text.chars().next_back()?;
    let (_, seconds) = UNITS.into_iter().find(|(letter, _)| *letter == unit)?;
    let digits = &text[..text.len() - 1];
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number: i64 = plain.then(|| digits.parse().ok()).flatten()?;
    number.checked_mul(seconds).map(Seconds::new)
}

/// Writes a duration in its largest whole unit.
pub(super) fn words(length: Seconds) -> String {
    let seconds = length.get();
    let whole = |(_, unit): &(char, i64)| seconds != 0 && seconds % unit == 0;
    let (letter, unit) = UNITS.into_iter().find(whole).unwrap_or(('s', 1));
    format!("{}{letter}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_one_unit() {
        for (text, seconds) in [("0s", 0), ("60s", 60), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000)] {
            assert_eq!(parse(text), Some(Seconds::new(seconds)), "{text}");
        }
        for bad in
            ["", "15", "m", "-1s", "+1s", "1.5h", "1h30m", " 1s", "1 s", "1w", "99999999999999999d", "1µ"]
        {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_duration_is_written_in_its_largest_whole_unit() {
        for (seconds, text) in [(0, "0s"), (90, "90s"), (900, "15m"), (86_400, "1d"), (3600, "1h")] {
            assert_eq!(words(Seconds::new(seconds)), text);
        }
    }
}
