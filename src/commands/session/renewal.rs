//! When the next token or password of a session is fetched, and when it is tried again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::broker::{LONGEST_PAUSE, Lifetime, Moment, pause};
use crate::storage::StoredToken;

/// The plan for one of the secrets that a session keeps fresh.
#[derive(Debug)]
pub(super) struct Renewal {
    pub(super) lifetime: Lifetime,
    /// Whether a thread fetches the next one.
    pub(super) is_under_way: bool,
    failures: u32,
    retry: Option<Timestamp>,
}

impl Renewal {
    pub(super) fn of(token: &StoredToken, now: Timestamp) -> Self {
        Self { lifetime: Lifetime::of(token, now), is_under_way: false, failures: 0, retry: None }
    }

    /// When something has to be done; `None` while it is being done.
    pub(super) fn due(&self, now: Moment) -> Option<Timestamp> {
        // One that lies far ahead was set before the clock was put back.
        let is_far = |retry: Timestamp| Duration::try_from(retry.duration_since(now.wall)).is_ok_and(|wait| wait > LONGEST_PAUSE);
        (!self.is_under_way).then(|| self.retry.filter(|retry| !is_far(*retry)).unwrap_or_else(|| self.lifetime.due(now)))
    }

    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.due(now).is_some_and(|due| due <= now.wall)
    }

    /// A new one is there; whether that was in doubt.
    pub(super) fn succeed(&mut self, token: &StoredToken, now: Timestamp) -> bool {
        let was_in_doubt = self.failures > 0;
        *self = Self::of(token, now);
        was_in_doubt
    }

    /// There is no new one; when it is tried again, and whether this is the first failure in a row.
    pub(super) fn fail(&mut self, now: Timestamp) -> (Timestamp, bool) {
        self.is_under_way = false;
        self.failures += 1;
        let wait = SignedDuration::try_from(pause(self.failures)).unwrap_or(SignedDuration::ZERO);
        let retry = now.saturating_add(wait).unwrap_or(now);
        self.retry = Some(retry);
        (retry, self.failures == 1)
    }

    /// The end of what there is, where it is known.
    pub(super) fn end(&self) -> Option<i64> {
        self.lifetime.is_known.then(|| self.lifetime.end.as_second())
    }
}
