//! Times, lengths of time and programs, in words.

use actix_web::cookie::time::OffsetDateTime;
use doorward_shared::time::{Seconds, Timestamp};

/// A moment: when exactly, and how far from now.
pub(super) struct Moment {
    pub(super) iso: String,
    pub(super) words: String,
}

impl Moment {
    pub(super) fn of(at: Timestamp, now: Timestamp) -> Self {
        let iso = OffsetDateTime::from_unix_timestamp(at.seconds()).map_or_else(
            |_| String::new(),
            |t| format!("{} {:02}:{:02}:{:02} UTC", t.date(), t.hour(), t.minute(), t.second()),
        );
        let ago = now.since(at);
        let words = if ago.get() >= 60 {
            format!("{} ago", length(ago))
        } else if ago.get() > -60 {
            "just now".to_owned()
        } else {
            format!("in {}", length(nearest(-ago.get())))
        };
        Self { iso, words }
    }
}

/// Seven days that began a second ago are seven days to people.
fn nearest(seconds: i64) -> Seconds {
    let unit = [86_400, 3600, 60].into_iter().find(|unit| seconds >= *unit).unwrap_or(1);
    Seconds::new(seconds + unit / 2)
}

/// A length in its largest whole unit.
pub(super) fn length(length: Seconds) -> String {
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let fits = |(unit, _): &(i64, &str)| length.get() >= *unit;
    let (unit, name) = units.into_iter().find(fits).unwrap_or((1, "second"));
    let count = length.get() / unit;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// What a browser calls itself, in words that people use for it. Everything that is known of it was said by itself.
pub(super) fn device(agent: Option<&str>) -> String {
    let Some(agent) = agent.filter(|agent| !agent.is_empty()) else { return "An unnamed program".to_owned() };
    // The order matters: each of these claims to be all that come after it.
    let browsers = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    let systems = [
        ("iPhone", "an iPhone"),
        ("iPad", "an iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "a Mac"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let known = |list: &[(&str, &'static str)]| {
        list.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    match (known(&browsers), known(&systems)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        _ => agent.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_in_its_largest_unit() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let words = |ago: i64| Moment::of(now.minus(Seconds::new(ago)), now).words;
        assert_eq!(words(5), "just now");
        assert_eq!(words(60), "1 minute ago");
        assert_eq!(words(7300), "2 hours ago");
        assert_eq!(words(-172_800), "in 2 days");
        assert_eq!(words(-172_799), "in 2 days");
        assert_eq!(words(-86_399), "in 1 day");
        assert_eq!(words(-5400), "in 2 hours");
        assert_eq!(words(-60), "in 1 minute");
        assert_eq!(Moment::of(now, now).iso, "2027-01-15 08:00:00 UTC");
    }

    #[test]
    fn a_browser_is_called_by_its_own_name() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36";
        assert_eq!(device(Some(chrome)), "Chrome on Linux");
        assert_eq!(device(Some(&format!("{chrome} Edg/140.0"))), "Edge on Linux");
        assert_eq!(device(Some("curl/8.5")), "curl/8.5");
        assert_eq!(device(None), "An unnamed program");
    }
}
