//! The workspace's clock: the real one plus an offset tests can move, and the three ways the
//! service writes a moment down.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Real time plus an offset in milliseconds, so a test can let an hour pass without waiting.
#[derive(Debug)]
pub(super) struct Clock {
    offset: AtomicI64,
}

impl Clock {
    pub(super) fn new(offset_seconds: i64) -> Clock {
        Clock { offset: AtomicI64::new(offset_seconds.saturating_mul(1000)) }
    }

    /// Milliseconds since 1970, the unit of the Token and Clusters APIs.
    pub(super) fn now_ms(&self) -> i64 {
        real_ms() + self.offset.load(Ordering::Relaxed)
    }

    /// Seconds since 1970, the unit of JWT claims.
    pub(super) fn now_seconds(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    pub(super) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).expect("a clock step fits in 64 bits");
        self.offset.fetch_add(by, Ordering::Relaxed);
    }
}

fn real_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the system clock is past 1970");
    i64::try_from(since.as_millis()).expect("the system clock fits in 64 bits")
}

/// The current calendar year, for certificate validity.
pub(super) fn current_year() -> i32 {
    let (year, _, _) = civil(real_ms().div_euclid(86_400_000));
    i32::try_from(year).expect("a sane year")
}

/// `2030-01-02T03:04:05Z`, as the Database API writes times (RFC 3339, UTC, whole seconds).
pub fn rfc3339(seconds: i64) -> String {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let (hour, minute, second) = time_of_day(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `Wed, 02 Jan 2030 03:04:05 GMT`, as `Date` and `Retry-After` write times (RFC 9110, 5.6.7).
pub fn http_date(seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = seconds.div_euclid(86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = time_of_day(seconds);
    let weekday = DAYS[usize::try_from(days.rem_euclid(7)).expect("0 to 6")];
    let month = MONTHS[usize::try_from(month - 1).expect("0 to 11")];
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

fn time_of_day(seconds: i64) -> (i64, i64, i64) {
    let left = seconds.rem_euclid(86_400);
    (left / 3600, left / 60 % 60, left % 60)
}

/// Year, month and day of a day counted from 1970-01-01 in the Gregorian calendar.
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}
