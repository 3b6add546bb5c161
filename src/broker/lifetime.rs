//! When a token is good, when the next one is fetched, and how much life to ask for.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::auth::Want;
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
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

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
        Self { end, is_known: token.expiry.is_some(), renewal, last_call: later(end, -(life / 4).min(LONGEST_MARGIN)), lead }
    }

    /// What to ask for when it is time for the next one: more life than this one has left.
    pub(crate) fn want(&self) -> Want {
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
            assert_eq!(lifetime.want().min_ttl.map(|least| least.as_secs()), want, "{life:?} {left:?}");
            assert!(lifetime.last_call <= lifetime.end);
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        assert_eq!([1, 2, 3, 7, 99].map(|failures| pause(failures).as_secs()), [1, 2, 4, 60, 60]);
    }
}
