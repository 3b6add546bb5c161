//! Time: the only place that asks the operating system what time it is.

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::env::{self, Env};

/// Now, as an instant in UTC.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Where the user's time zone is found. Nothing is read before it is asked for: hardly any command needs it.
#[derive(Clone, Debug)]
pub(crate) struct LocalZone {
    /// `TZ`: the name of a zone, the path of one, or a rule such as `CET-1CEST,M3.5.0,M10.5.0/3`.
    named: Option<String>,
}

#[cfg(unix)]
const ZONES: &str = "/usr/share/zoneinfo";
#[cfg(unix)]
const LARGEST_ZONE: u64 = 1 << 20;

impl LocalZone {
    pub(crate) fn of(env: &Env) -> Self {
        Self { named: env.get(env::TIME_ZONE).map(|name| name.strip_prefix(':').unwrap_or(name).to_owned()) }
    }

    /// The zone as the C library and Go understand it; UTC where there is none, or none that can be read.
    #[cfg(unix)]
    pub(crate) fn get(&self) -> TimeZone {
        use std::path::{Path, PathBuf};
        let read = |path: &Path| crate::files::read_foreign(path, LARGEST_ZONE).ok().flatten().and_then(|bytes| TimeZone::tzif("Local", &bytes).ok());
        let zone = match &self.named {
            None => read(Path::new("/etc/localtime")),
            Some(name) if name.starts_with('/') => read(Path::new(name)),
            Some(name) if name.split('/').any(|part| part == "..") => None,
            Some(name) => read(&PathBuf::from(ZONES).join(name)).or_else(|| TimeZone::posix(name).ok()),
        };
        zone.unwrap_or(TimeZone::UTC)
    }

    /// The zone of the system.
    #[cfg(not(unix))]
    pub(crate) fn get(&self) -> TimeZone {
        let named = self.named.as_deref().and_then(|name| TimeZone::get(name).ok());
        named.unwrap_or_else(TimeZone::system)
    }
}

/// An instant from milliseconds since 1970-01-01 UTC, the unit of the Token API; `None` where the number is no instant that can be shown.
pub(crate) fn from_millis(millis: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(millis).ok()
}

/// A date and minute in UTC, as tables show it: `2026-11-22 09:30 UTC`.
pub(crate) fn minute(instant: Timestamp) -> String {
    let at = Offset::UTC.to_datetime(instant);
    let mut text = day_of(at.date());
    text.push(' ');
    push_two(&mut text, at.hour());
    text.push(':');
    push_two(&mut text, at.minute());
    text + " UTC"
}

/// A date in UTC.
pub(crate) fn day(instant: Timestamp) -> String {
    day_of(Offset::UTC.to_datetime(instant).date())
}

/// A date as RFC 3339 has it, by hand: a list has thousands, and the printer of all formats takes three times as long. With room for what tables add to it.
fn day_of(date: Date) -> String {
    let mut text = String::with_capacity(64);
    match i8::try_from(date.year() / 100) {
        Ok(century @ 0..) => {
            push_two(&mut text, century);
            push_two(&mut text, date.year().rem_euclid(100).try_into().unwrap_or_default());
        }
        _ => text += &date.year().to_string(),
    }
    for part in [date.month(), date.day()] {
        text.push('-');
        push_two(&mut text, part);
    }
    text
}

/// A number from 0 to 99 in two digits.
fn push_two(text: &mut String, number: i8) {
    text.extend([number / 10, number % 10].map(|digit| char::from(b'0'.saturating_add_signed(digit))));
}

/// A span rounded to its largest whole unit, as a person says it: `45 seconds`, `3 hours`, `90 days`.
pub(crate) fn rough(span: SignedDuration) -> String {
    let seconds = span.as_secs().unsigned_abs();
    let (count, unit) = match seconds {
        0..=119 => (seconds, " second"),
        120..=7_199 => (seconds / 60, " minute"),
        7_200..=172_799 => (seconds / 3_600, " hour"),
        _ => (seconds / 86_400, " day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    count.to_string() + unit + plural
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_their_largest_unit() {
        let said = |seconds| rough(SignedDuration::from_secs(seconds));
        assert_eq!(said(1), "1 second");
        assert_eq!(said(119), "119 seconds");
        assert_eq!(said(3_600), "60 minutes");
        assert_eq!(said(-7_200), "2 hours");
        assert_eq!(said(90 * 86_400), "90 days");
    }

    #[cfg(unix)]
    #[test]
    fn the_zone_of_the_user_is_a_name_a_file_or_a_rule() {
        let at = Timestamp::UNIX_EPOCH;
        let hours = |zone: &str| LocalZone::of(&Env::default().with(env::TIME_ZONE, zone)).get().to_offset(at).seconds() / 3_600;
        assert_eq!(
            (hours("CET-1"), hours(":EST5EDT,M3.2.0,M11.1.0"), hours("/no/such/zone"), hours("../../etc/passwd"), hours("Nowhere/At All")),
            (1, -5, 0, 0, 0)
        );
        if std::path::Path::new(ZONES).join("Asia/Tokyo").exists() {
            assert_eq!((hours("Asia/Tokyo"), hours("/usr/share/zoneinfo/Asia/Tokyo")), (9, 9));
        }
    }

    #[test]
    fn milliseconds_out_of_range_are_no_instant() {
        assert_eq!(from_millis(1_700_003_600_000).map(minute).as_deref(), Some("2023-11-14 23:13 UTC"));
        assert!(from_millis(i64::MAX).is_none());
    }

    #[test]
    fn dates_are_those_of_the_library() {
        for millis in [0, -1, 951_782_400_000, 253_402_207_200_000, -62_135_596_800_000, -377_705_023_201_000, 1_700_003_600_000] {
            let instant = from_millis(millis).expect("an instant");
            let printed = instant.to_string();
            if let Some((date, time)) = printed.split_once('T').filter(|(date, _)| !date.starts_with('-')) {
                assert_eq!((day(instant), minute(instant)), (date.to_owned(), format!("{date} {} UTC", &time[..5])));
            } else {
                assert_eq!((day(instant).as_str(), minute(instant).as_str()), ("-9999-01-02", "-9999-01-02 01:59 UTC"));
            }
        }
    }
}
