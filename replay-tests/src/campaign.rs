//! Invariants on many seeds, on all cores.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::invariants::Check;

/// What an invariant objects to.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Objection {
    /// The seed of the history.
    pub seed: u64,
    /// The invariant's name.
    pub invariant: &'static str,
    /// What it says.
    pub problem: String,
}

/// A number out of the environment.
///
/// # Panics
/// If the variable is set to something else.
#[must_use]
pub fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("`{variable}` is `{text}`, and should be a number"))
    })
}

/// Checks `invariants` on the histories of `count` seeds from `first` on; ends with the first
/// objection. `done` is told after every history how many there are by now.
///
/// # Errors
/// The objection with the smallest seed among those that were found at about the same time.
pub fn run(
    invariants: &[(&'static str, Check)],
    first: u64,
    count: u64,
    done: impl Fn(u64) + Sync,
) -> Result<(), Objection> {
    let (next, finished) = (AtomicU64::new(0), AtomicU64::new(0));
    let objections = Mutex::new(Vec::new());
    let found = || objections.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count || !found().is_empty() {
                return;
            }
            let seed = first + number;
            for (invariant, check) in invariants {
                if let Err(problem) = check(seed) {
                    return found().push(Objection {
                        seed,
                        invariant,
                        problem,
                    });
                }
            }
            done(finished.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut found = objections
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    found.sort();
    found.into_iter().next().map_or(Ok(()), Err)
}
