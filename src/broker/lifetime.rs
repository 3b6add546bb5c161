//! When a token is good, when the next one is fetched, and how much life to ask for.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::auth::Want;
use crate::clock;
use crate::storage::StoredToken;

/// The longest time before its end at which a token is replaced, as in the SDKs.
const LONGEST_LEAD: SignedDuration = SignedDuration::from_mins(20);
/// How long a token counts whose end nobody knows: a personal access token that is looked up again finds one that was rotated.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// What a token needs to have left to reach a server and count there.
const LONGEST_MARGIN: SignedDuration = SignedDuration::from_secs(10);
/// A method that gives the same token again is not asked more often than this.
const SHORTEST_PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// Between two tries of what fails, at most.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How far the clock of the wall may fall behind before it counts as put back.
const SLACK: SignedDuration = SignedDuration::from_secs(5);

/// The time by the clock of the wall, which tokens follow and which goes on while the machine sleeps, and by one that only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) wall: Timestamp,
    pub(crate) steady: Instant,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { wall: clock::now(), steady: Instant::now() }
    }

    /// How long ago another one was, by the steady clock.
    fn since(self, earlier: Self) -> SignedDuration {
        SignedDuration::try_from(self.steady.saturating_duration_since(earlier.steady)).unwrap_or(SignedDuration::MAX)
    }
}

/// The times of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// When it ends, or is looked up again.
    pub(crate) end: Timestamp,
    /// Whether the end is the token's own.
    pub(crate) is_known: bool,
    /// When the next one is to be fetched.
    pub(crate) renewal: Timestamp,
    /// From when on it is handed out only if there is no better one.
    pub(crate) last_call: Timestamp,
    lead: SignedDuration,
    /// When it was had.
    had: Moment,
}

impl Lifetime {
    /// Of a token that was had now.
    pub(crate) fn of(token: &StoredToken, now: Timestamp) -> Self {
        let end = token.expiry.unwrap_or_else(|| later(now, LOOK_AGAIN));
        let left = end.duration_since(now).max(SignedDuration::ZERO);
        let life = token.expires_in.filter(|_| token.expiry.is_some()).map_or(left, |seconds| SignedDuration::from_secs(seconds).max(left));
        let lead = (life / 2).min(LONGEST_LEAD);
        let planned = later(end, -lead);
        // One that is as old as that already: there was no newer one, and there may be soon.
        let renewal = if planned > now { planned } else { later(now, (left / 2).max(SHORTEST_PAUSE)) };
        let had = Moment { wall: now, ..Moment::now() };
        Self { end, is_known: token.expiry.is_some(), renewal, last_call: later(end, -(life / 4).min(LONGEST_MARGIN)), lead, had }
    }

    /// Whether the clock of the wall was put back since: then it does not tell any more when the token ends.
    fn is_in_doubt(&self, now: Moment) -> bool {
        now.wall.duration_since(self.had.wall).saturating_add(SLACK) < now.since(self.had)
    }

    /// When the next one is to be fetched: at once where the clock has been put back.
    pub(crate) fn due(&self, now: Moment) -> Timestamp {
        if self.is_in_doubt(now) { now.wall } else { self.renewal }
    }

    /// Whether it is handed out without a look for a better one.
    pub(crate) fn is_good(&self, now: Moment) -> bool {
        now.wall < self.last_call && !self.is_in_doubt(now)
    }

    /// Whether it has not ended by any clock.
    pub(crate) fn is_alive(&self, now: Moment) -> bool {
        now.wall < self.end && now.since(self.had) < self.end.duration_since(self.had.wall)
    }

    /// What to ask for when it is time for the next one: more life than this one has left.
    pub(crate) fn want(&self) -> Want {
        self.want_at(Moment::now())
    }

    fn want_at(&self, now: Moment) -> Want {
        if self.is_in_doubt(now) {
            return Want { min_ttl: None, minted_after: Some(now.wall), alone: true };
        }
        let more = self.lead + self.lead / 4;
        Want { min_ttl: Duration::try_from(more).ok().filter(|_| self.is_known), minted_after: None, alone: true }
    }
}

fn later(instant: Timestamp, by: SignedDuration) -> Timestamp {
    instant.saturating_add(by).unwrap_or(instant)
}

/// How long to wait after so many failures in a row.
pub(crate) fn pause(failures: u32) -> Duration {
    Duration::from_secs(1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn token(life: Option<i64>, left: Option<i64>, now: Timestamp) -> StoredToken {
        StoredToken {
            access_token: Secret::new("t"),
            token_type: "Bearer".into(),
            refresh_token: None,
            expiry: left.map(|left| now + SignedDuration::from_secs(left)),
            expires_in: life,
        }
    }

    #[test]
    fn the_next_token_is_fetched_well_before_the_end() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for (life, left, renewal, want) in [
            (Some(3_600), Some(3_600), 2_400, Some(1_500)),
            (Some(3_600), Some(1_800), 600, Some(1_500)),
            // Nothing newer was to be had: again after half of what is left.
            (Some(3_600), Some(600), 300, Some(1_500)),
            (None, Some(600), 300, Some(375)),
            (Some(4), Some(4), 2, Some(2)),
            (Some(3_600), Some(1), 1, Some(1_500)),
            (None, None, 2_400, None),
        ] {
            let lifetime = Lifetime::of(&token(life, left, now), now);
            assert_eq!(lifetime.renewal.duration_since(now).as_secs(), renewal, "{life:?} {left:?}");
            assert_eq!(lifetime.want_at(lifetime.had).min_ttl.map(|least| least.as_secs()), want, "{life:?} {left:?}");
            assert!(lifetime.last_call <= lifetime.end);
        }
    }

    #[test]
    fn no_clock_keeps_a_token_alive() {
        let wall = Timestamp::from_second(1_800_000_000).unwrap();
        let lifetime = Lifetime::of(&token(Some(3_600), Some(3_600), wall), wall);
        // After so many seconds by the steady clock, the wall shows so many: due, good, alive.
        for (steady, shown, is_due, is_good, is_alive) in [
            (60, 60, false, true, true),
            (60, 57, false, true, true),
            // Two hours of sleep, of which the steady clock knows nothing.
            (60, 7_260, true, false, false),
            // Put back: nothing is sure, and in the end it is over all the same.
            (60, -7_140, true, false, true),
            (3_601, -3_599, true, false, false),
            (2_401, 2_401, true, true, true),
        ] {
            let now = Moment { wall: wall + SignedDuration::from_secs(shown), steady: lifetime.had.steady + Duration::from_secs(steady) };
            assert_eq!(lifetime.want_at(now).minted_after.is_some(), is_due && shown < 0, "{steady} {shown}");
            assert_eq!((lifetime.due(now) <= now.wall, lifetime.is_good(now), lifetime.is_alive(now)), (is_due, is_good, is_alive), "{steady} {shown}");
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        assert_eq!([1, 2, 3, 7, 99].map(|failures| pause(failures).as_secs()), [1, 2, 4, 60, 60]);
    }
}
