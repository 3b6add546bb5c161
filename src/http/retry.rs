//! When a request is sent again, and after how long. Pure: no clock, no randomness, no sleep of its own.

use std::time::Duration;

use jiff::Timestamp;

use super::message::Repeat;

/// Longest single wait, whatever `Retry-After` asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Longest wait that is chosen without being told.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// How often a request goes out again after its reply was lost: more would hide a broken network for minutes.
const QUICK_REPEATS: u32 = 2;

/// Replies that the SDKs treat as passing troubles, whatever their status says.
const PASSING: &[&str] = &[
    "com.databricks.backend.manager.util.UnknownWorkerEnvironmentException",
    "UnknownWorkerEnvironmentException",
    "does not have any associated worker environments",
    "There is no worker environment with id",
    "Unknown worker environment",
    "ClusterNotReadyException",
    "Timed out after ",
    "deadline exceeded",
    "REQUEST_LIMIT_EXCEEDED",
    "Unexpected error",
    "Please try again later or try a faster operation.",
    "RPC token bucket limit has been exceeded",
];

/// What went wrong with one sending.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble<'a> {
    /// The service answered, but not with 2xx.
    Refused {
        status: u16,
        /// The header `Retry-After`: seconds or a date (RFC 9110, section 10.2.3).
        retry_after: Option<&'a str>,
        message: &'a str,
        /// A limit that does not pass by waiting: the 600 tokens of a user.
        quota: bool,
    },
    /// The connection broke before the request was written.
    NeverSent,
    /// The connection broke between the request and the end of its reply.
    Lost,
}

/// The user's bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// For all sendings and waits of one request together.
    pub(super) budget: Duration,
    /// The first wait that is chosen without being told; doubled each time.
    pub(super) backoff: Duration,
}

/// What has been done for the request so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// How often it was repeated already.
    pub(super) repeats: u32,
    /// Time since the first sending.
    pub(super) elapsed: Duration,
}

impl Policy {
    /// How long to wait before sending again; `None`: the trouble is final.
    ///
    /// `random` is any number, evenly distributed: it spreads the waits of many clients that were turned away at once.
    pub(super) fn wait(&self, trouble: Trouble<'_>, repeat: Repeat, progress: Progress, now: Timestamp, random: u32) -> Option<Duration> {
        let backoff = self.backoff_after(progress.repeats, random);
        let wait = match trouble {
            Trouble::Refused { quota: true, .. } => return None,
            Trouble::Refused { status, retry_after, message, .. } => {
                let asked = retry_after.and_then(|value| asked_wait(value, now));
                let refused = status == 429 || (status == 503 && (asked.is_some() || repeat == Repeat::Freely));
                let passing = repeat == Repeat::Freely && !matches!(status, 401 | 403) && PASSING.iter().any(|part| message.contains(part));
                // A gateway that lost its backend is a lost reply.
                let lost = repeat == Repeat::Freely && matches!(status, 502 | 504) && progress.repeats < QUICK_REPEATS;
                if !refused && !passing && !lost {
                    return None;
                }
                match asked {
                    // Asked for no wait at all, once is believed; a service that always says so is not hammered.
                    Some(asked) if asked < backoff && progress.repeats > 0 => backoff,
                    Some(asked) => asked.min(LONGEST_WAIT),
                    None => backoff,
                }
            }
            Trouble::NeverSent if progress.repeats < QUICK_REPEATS => backoff,
            Trouble::Lost if repeat == Repeat::Freely && progress.repeats < QUICK_REPEATS => backoff,
            Trouble::NeverSent | Trouble::Lost => return None,
        };
        // A wait that the budget does not cover would only delay the error.
        (progress.elapsed + wait < self.budget).then_some(wait)
    }

    /// min(2^n × first, 10 s), the second half of it random.
    fn backoff_after(&self, repeats: u32, random: u32) -> Duration {
        let whole = self.backoff.saturating_mul(1 << repeats.min(16)).min(LONGEST_BACKOFF);
        whole / 2 + (whole / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

/// The wait that a `Retry-After` asks for; `None` where it is negative or no time at all. A date that has passed asks for none.
fn asked_wait(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(value.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let until = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy { budget: Duration::from_secs(300), backoff: Duration::from_millis(250) };

    fn now() -> Timestamp {
        "2026-11-22T09:30:00Z".parse().expect("a time")
    }

    fn wait(trouble: Trouble<'_>, repeat: Repeat, repeats: u32) -> Option<Duration> {
        POLICY.wait(trouble, repeat, Progress { repeats, elapsed: Duration::ZERO }, now(), u32::MAX)
    }

    fn refused(status: u16, retry_after: Option<&str>) -> Trouble<'_> {
        Trouble::Refused { status, retry_after, message: "", quota: false }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_within_bounds() {
        for (value, expected) in [
            ("7", 7_000),
            ("0", 0),
            (" 7 ", 7_000),
            ("3600", 60_000),
            ("99999999999999999999999999", 60_000),
            ("Sun, 22 Nov 2026 09:30:05 GMT", 5_000),
            ("Sun, 22 Nov 2026 09:29:00 GMT", 0),
            ("Sun, 22 Nov 2099 09:30:05 GMT", 60_000),
            ("-5", 250),
            ("soon", 250),
            ("1.5", 250),
            ("", 250),
            ("\u{1b}[2J", 250),
        ] {
            assert_eq!(wait(refused(429, Some(value)), Repeat::Freely, 0), Some(Duration::from_millis(expected)), "{value:?}");
        }
    }

    proptest! {
        /// Whatever the header says, the wait is bounded, and what the service will not do twice is not sent twice.
        #[test]
        fn no_retry_after_keeps_anybody_waiting(value in "[0-9]{0,40}|[ -~]{0,40}|.{0,20}|(Mon|Sun), [0-9]{1,2} (Nov|Dec) [0-9]{4,5} [0-9]{2}:[0-9]{2}:[0-9]{2} (GMT|UTC|[+-][0-9]{4})", status in 400..600_u16, repeats in 0..40_u32, random: u32) {
            let at = |repeat| POLICY.wait(refused(status, Some(&value)), repeat, Progress { repeats, elapsed: Duration::ZERO }, now(), random);
            for wait in [at(Repeat::Freely), at(Repeat::OnlyIfRefused)].into_iter().flatten() {
                prop_assert!(wait <= LONGEST_WAIT);
            }
            prop_assert!(at(Repeat::OnlyIfRefused).is_none() || matches!(status, 429 | 503));
        }

        /// Seconds and dates are both understood, and mean the same.
        #[test]
        fn a_number_and_a_date_are_waited_for(seconds in 1..60_u64) {
            let until = now() + Duration::from_secs(seconds);
            let date = until.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            for value in [seconds.to_string(), date] {
                prop_assert_eq!(wait(refused(429, Some(&value)), Repeat::OnlyIfRefused, 0), Some(Duration::from_secs(seconds)), "{}", value);
            }
        }
    }

    #[test]
    fn what_creates_is_repeated_only_when_refused() {
        let creates = |trouble| wait(trouble, Repeat::OnlyIfRefused, 0).is_some();
        assert!(creates(refused(429, None)) && creates(refused(503, Some("1"))) && creates(Trouble::NeverSent));
        assert!(!creates(refused(503, None)) && !creates(refused(503, Some("soon"))) && !creates(Trouble::Lost));
        assert!(!creates(Trouble::Refused { status: 400, retry_after: None, message: "REQUEST_LIMIT_EXCEEDED", quota: false }));
        for status in [400, 401, 403, 404, 500, 502, 504] {
            assert!(!creates(refused(status, Some("1"))), "{status}");
        }
    }

    #[test]
    fn reads_are_repeated_while_it_makes_sense() {
        let reads = |trouble, repeats| wait(trouble, Repeat::Freely, repeats).is_some();
        assert!(reads(refused(503, None), 20) && reads(refused(429, None), 20));
        for quick in [Trouble::Lost, Trouble::NeverSent, refused(502, None), refused(504, None)] {
            assert!(reads(quick, 0) && reads(quick, 1) && !reads(quick, 2), "{quick:?}");
        }
        for status in [400, 401, 403, 404, 409, 500, 501] {
            assert!(!reads(refused(status, Some("1")), 0), "{status}");
        }
        let says = |status| Trouble::Refused { status, retry_after: None, message: "x: ClusterNotReadyException y", quota: false };
        assert!(reads(says(400), 0) && !reads(says(401), 0) && !reads(says(403), 0));
        assert!(!reads(Trouble::Refused { status: 429, retry_after: Some("1"), message: "", quota: true }, 0));
    }

    #[test]
    fn waits_grow_and_spread() {
        let at = |repeats, random| POLICY.backoff_after(repeats, random).as_millis();
        assert_eq!((at(0, u32::MAX), at(1, u32::MAX), at(2, u32::MAX), at(30, u32::MAX)), (250, 500, 1_000, 10_000));
        assert_eq!((at(0, 0), at(30, 0)), (125, 5_000));
        assert_eq!(wait(refused(429, Some("0")), Repeat::Freely, 3), Some(Duration::from_secs(2)), "a service that always says 0 is not hammered");
    }

    #[test]
    fn no_wait_outlives_the_budget() {
        let at = |elapsed| POLICY.wait(refused(429, Some("60")), Repeat::Freely, Progress { repeats: 4, elapsed: Duration::from_secs(elapsed) }, now(), 0);
        assert_eq!(at(200), Some(Duration::from_secs(60)));
        assert_eq!(at(241), None);
    }
}
