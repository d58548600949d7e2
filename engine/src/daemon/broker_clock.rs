//! The broker's clock as a node knows it: by the last message that it read, and how long ago that was.
//! What is recorded has the broker's time, so a node whose own clock is behind would wait too long for
//! a soak or a window to end.

use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;
use tokio::time::Instant;
use weir_schema::Timestamp;

/// A node's clock may be so far behind before it is told; a change of that by as much is told again.
const MOST: TimeDelta = TimeDelta::seconds(5);

/// What is read so long after it was stored says nothing of clocks.
const STALE: TimeDelta = TimeDelta::seconds(-60);

/// What was read last.
#[derive(Debug, Default)]
pub(crate) struct BrokerClock(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The broker's time, and when that was.
    last: Option<(Timestamp, Instant)>,
    /// By how much the node's clock was behind when that was told.
    told: Option<TimeDelta>,
}

impl BrokerClock {
    /// Takes in that a message of the broker's time `at` was read, and warns of a clock that is behind.
    pub(crate) fn read(&self, at: Timestamp) {
        if let Some(behind) = self.note(at, chrono::Utc::now().into(), Instant::now()) {
            tracing::warn!(
                "this node's clock is {}s behind the NATS server's, whose time is recorded: see that both are kept right (NTP)",
                behind.num_seconds()
            );
        }
    }

    /// The time by the broker's clock or this node's, whichever is ahead.
    pub(crate) fn now(&self) -> Timestamp {
        self.later(chrono::Utc::now().into(), Instant::now())
    }

    fn later(&self, local: Timestamp, now: Instant) -> Timestamp {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).last;
        let by_broker = last.map(|(at, read)| {
            let since = TimeDelta::from_std(now.saturating_duration_since(read));
            at.saturating_add(since.unwrap_or_default())
        });
        by_broker.map_or(local, |at| at.max(local))
    }

    /// By how much the clock is behind, if that is to be told.
    fn note(&self, at: Timestamp, local: Timestamp, now: Instant) -> Option<TimeDelta> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.last = Some((at, now));
        let behind = at.since(local);
        if behind <= MOST {
            if behind > STALE {
                known.told = None;
            }
            return None;
        }
        let is_as_told = |told: TimeDelta| (behind - told).abs() <= MOST.max(told / 2);
        if known.told.is_some_and(is_as_told) {
            return None;
        }
        known.told = Some(behind);
        Some(behind)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOON: &str = "2026-03-02T12:00:00Z";

    fn at(seconds: i64) -> Timestamp {
        let noon: Timestamp = NOON.parse().unwrap();
        noon.saturating_add(TimeDelta::seconds(seconds))
    }

    #[test]
    fn time_goes_on_by_the_clock_that_is_ahead() {
        let (clock, begin) = (BrokerClock::default(), Instant::now());
        let later = |local, seconds| clock.later(at(local), begin + Duration::from_secs(seconds));
        assert_eq!(later(0, 0), at(0));
        clock.note(at(600), at(0), begin);
        assert_eq!(later(0, 0), at(600));
        assert_eq!(later(20, 20), at(620));
        assert_eq!(later(700, 20), at(700));
    }

    #[test]
    fn a_clock_that_is_behind_is_told_of_once_and_when_that_changes_much() {
        let clock = BrokerClock::default();
        for (behind, told) in [
            (3, false),
            (600, true),
            (598, false),
            // Read late.
            (-7200, false),
            (601, false),
            (1200, true),
            (8, true),
            (10, false),
            (0, false),
            (10, true),
        ] {
            let said = clock.note(at(behind), at(0), Instant::now());
            assert_eq!(said.is_some(), told, "{behind}");
        }
    }
}
