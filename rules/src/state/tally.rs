//! Numbers of findings.

use weir_schema::{Severity, SeverityCounts};

use super::report::Found;
use crate::frozen::{Freezing, Frozen, ThawError, Thawing};

/// Numbers of findings.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Tally {
    /// By severity, in the order of [`Severity::ALL`].
    pub(crate) counts: [u64; 6],
    pub(crate) fixable: u64,
    pub(crate) overridden: u64,
    pub(crate) max_score: f64,
}

impl Tally {
    /// Counts one finding.
    pub(crate) fn count(&mut self, found: &Found) {
        let count = &mut self.counts[slot(found.severity)];
        *count = count.saturating_add(1);
        self.fixable += u64::from(found.fixed_version.is_some());
        self.max_score = self.max_score.max(found.score.unwrap_or(0.0));
    }

    /// Takes in what a source counted that may have found what the others did not.
    pub(crate) fn at_least(&mut self, told: Option<&SeverityCounts>) {
        let Some(told) = told else {
            return;
        };
        for (count, severity) in self.counts.iter_mut().zip(Severity::ALL) {
            *count = (*count).max(told.0.get(&severity).copied().unwrap_or(0));
        }
    }

    /// Adds what another leaf has.
    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.fixable += other.fixable;
        self.overridden += other.overridden;
        self.max_score = self.max_score.max(other.max_score);
    }

    /// All findings.
    pub(crate) fn total(&self) -> u64 {
        let counts = self.counts.iter();
        counts.fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// The place of a severity in the counts.
fn slot(severity: Severity) -> usize {
    match severity {
        Severity::Critical => 0,
        Severity::High => 1,
        Severity::Medium => 2,
        Severity::Low => 3,
        Severity::Negligible => 4,
        Severity::Unknown => 5,
    }
}

impl Frozen for Tally {
    fn freeze(&self, to: &mut Freezing<'_>) {
        for count in self.counts {
            count.freeze(to);
        }
        self.fixable.freeze(to);
        self.overridden.freeze(to);
        self.max_score.freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        let mut tally = Self::default();
        for count in &mut tally.counts {
            *count = Frozen::thaw(from)?;
        }
        tally.fixable = Frozen::thaw(from)?;
        tally.overridden = Frozen::thaw(from)?;
        tally.max_score = Frozen::thaw(from)?;
        Ok(tally)
    }
}
