//! Time: the only place that asks the operating system what time it is.

use jiff::{SignedDuration, Timestamp};

/// Now, as an instant in UTC.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// An instant from milliseconds since 1970-01-01 UTC, the unit of the Token API; `None` where the number is no instant that can be shown.
pub(crate) fn from_millis(millis: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(millis).ok()
}

/// A date and minute in UTC, as tables show it: `2026-11-22 09:30 UTC`.
pub(crate) fn minute(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// A date in UTC.
pub(crate) fn day(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%d").to_string()
}

/// A span rounded to its largest whole unit, as a person says it: `45 seconds`, `3 hours`, `90 days`.
pub(crate) fn rough(span: SignedDuration) -> String {
    let seconds = span.as_secs().unsigned_abs();
    let (count, unit) = match seconds {
        0..=119 => (seconds, "second"),
        120..=7_199 => (seconds / 60, "minute"),
        7_200..=172_799 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
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

    #[test]
    fn milliseconds_out_of_range_are_no_instant() {
        assert_eq!(from_millis(1_700_003_600_000).map(minute).as_deref(), Some("2023-11-14 23:13 UTC"));
        assert!(from_millis(i64::MAX).is_none());
    }
}
