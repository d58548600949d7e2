//! When the outcome of an evaluation will change by itself.
//!
//! `now` and ages move with the clock at a known pace. As long as they are only shifted by fixed
//! durations and compared, the instant at which each comparison flips is known, and until the
//! earliest of them nothing changes. What does anything else with a moving value loses that
//! knowledge, and must be evaluated at every record.

use super::ast::Comparison;
use super::compare::{Nanos, nanos};
use super::eval::holds;
use super::value::Value;
use std::cell::Cell;
use weir_schema::Timestamp;

/// When an outcome may change although no fact but the time does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextChange {
    /// It does not depend on the time.
    Never,
    /// Not before this instant.
    At(Timestamp),
    /// At any time.
    EveryRecord,
}

/// What was learned about the time while evaluating.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Nanoseconds from now to the earliest flip of a comparison.
    earliest: Cell<Option<i128>>,
    lost: Cell<bool>,
}

impl Clock {
    /// Notes that a moving value was used in a way that cannot be foreseen.
    pub(super) fn lose(&self) {
        self.lost.set(true);
    }

    /// Notes when the comparison of `a` and `b`, of which at least one moves, will flip.
    pub(super) fn compare(&self, how: Comparison, a: &Value, b: &Value) {
        let difference = match (nanos(a), nanos(b)) {
            (Some(Nanos::Duration(a)), Some(Nanos::Duration(b)))
            | (Some(Nanos::Timestamp(a)), Some(Nanos::Timestamp(b))) => a - b,
            // Of different types, or within an optional.
            _ => return self.lose(),
        };
        let Some(flip) = flip(difference, pace(a) - pace(b), how) else {
            return;
        };
        let earliest = self
            .earliest
            .get()
            .map_or(flip, |earliest| earliest.min(flip));
        self.earliest.set(Some(earliest));
    }

    pub(super) fn next_change(&self, now: impl FnOnce() -> Option<Timestamp>) -> NextChange {
        match (self.lost.get(), self.earliest.get()) {
            (true, _) => NextChange::EveryRecord,
            (false, None) => NextChange::Never,
            (false, Some(flip)) => now()
                .and_then(|now| Timestamp::from_nanos(now.nanos() + flip))
                .map_or(NextChange::EveryRecord, NextChange::At),
        }
    }
}

/// How fast a value moves: nanoseconds for each that passes.
fn pace(value: &Value) -> i128 {
    match value {
        Value::Now(_) | Value::Age(_) => 1,
        Value::Countdown(_) => -1,
        _ => 0,
    }
}

/// In how many nanoseconds the comparison of a difference with zero flips for the first time, if
/// the difference changes by `pace` with each.
fn flip(difference: i128, pace: i128, how: Comparison) -> Option<i128> {
    if pace == 0 {
        return None;
    }
    let now = holds(how, difference.cmp(&0));
    let at = |elapsed: i128| holds(how, (difference + pace * elapsed).cmp(&0));
    // The difference changes its sign once: at the zero, or in the nanosecond after it.
    let zero = -difference * pace.signum();
    let zero = if zero <= 0 {
        0
    } else {
        (zero + pace.abs() - 1) / pace.abs()
    };
    [zero, zero + 1]
        .into_iter()
        .find(|elapsed| *elapsed > 0 && at(*elapsed) != now)
}
