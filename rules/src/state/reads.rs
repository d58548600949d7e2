//! What a judgement rests on: the kinds of facts that it looked at.
//!
//! A record that changes facts of one kind touches only judgements that looked at such facts. A
//! judgement looks at the same facts again as long as none of them changes, so what it did not
//! look at cannot change it.

use crate::frozen::{Freezing, Frozen, ThawError, Thawing};

/// A set of kinds of facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reads(u16);

impl Reads {
    /// Of a verdict that is final, or withdrawn.
    pub(crate) const NOTHING: Self = Self(0);
    /// Whether images are scanned.
    pub(crate) const SCANS: Self = Self(1);
    /// Which scans are running: asked only about images that are not scanned.
    pub(crate) const RUNNING: Self = Self(1 << 1);
    /// What scans found and overrides leave of it.
    pub(crate) const FINDINGS: Self = Self(1 << 2);
    /// When images were scanned, and with a database of when.
    pub(crate) const TIMES: Self = Self(1 << 3);
    /// What the target tag holds, or is about to.
    pub(crate) const TARGET: Self = Self(1 << 4);
    /// How source and target repository are configured.
    pub(crate) const REPOSITORIES: Self = Self(1 << 5);
    /// Votes.
    pub(crate) const APPROVALS: Self = Self(1 << 6);
    /// Holds.
    pub(crate) const HOLDS: Self = Self(1 << 7);
    /// What refers to the images.
    pub(crate) const REFERRERS: Self = Self(1 << 8);
    /// Nobody knows: any of them.
    pub(crate) const EVERYTHING: Self = Self(u16::MAX);

    /// These and those.
    #[must_use]
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the sets have a kind in common.
    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Frozen for Reads {
    fn freeze(&self, to: &mut Freezing<'_>) {
        self.0.freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        Frozen::thaw(from).map(Self)
    }
}
