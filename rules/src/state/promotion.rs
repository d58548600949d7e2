//! Tags, where they came from, and promotions on their way.

use std::sync::Arc;

use weir_schema::{Reason, Timestamp, Verdict};

use super::names::{DigestId, NameId};

/// A tag: repository and name.
pub(crate) type TagKey = (NameId, NameId);

/// An earlier promotion of what a tag points at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hop {
    pub(crate) rule: NameId,
    pub(crate) repository: NameId,
    pub(crate) tag: NameId,
    pub(crate) at: Timestamp,
}

/// How a tag came to hold what it holds, when Weir put it there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Origin {
    pub(crate) rule: NameId,
    pub(crate) source: NameId,
    /// The binding of the source tag; `None` if the promotion was not one of this log.
    pub(crate) binding: Option<u64>,
    /// All hops, the oldest first.
    pub(crate) lineage: Arc<[Hop]>,
}

/// A tag's present binding.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TagState {
    pub(crate) digest: DigestId,
    /// The record at which it came to point at the digest.
    pub(crate) binding: u64,
    pub(crate) bound_at: Timestamp,
    pub(crate) pushed_by: Option<NameId>,
    pub(crate) previous: Option<DigestId>,
    pub(crate) origin: Option<Arc<Origin>>,
}

impl TagState {
    pub(crate) fn lineage(&self) -> &[Hop] {
        self.origin.as_ref().map_or(&[], |origin| &origin.lineage)
    }
}

/// What is known of the target when a promotion is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetBefore {
    pub(crate) digest: Option<DigestId>,
}

/// How far a promotion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Progress {
    /// Decided; the copy has not begun.
    Decided,
    /// The copy has begun: it completes with the digest judged.
    Started,
    /// Given up; it can be retried by hand.
    Failed,
}

/// A promotion that is not completed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Promotion {
    pub(crate) rule: NameId,
    pub(crate) source: TagKey,
    /// The source tag's binding that was judged.
    pub(crate) bound: TagState,
    pub(crate) target: TagKey,
    pub(crate) before: TargetBefore,
    pub(crate) decided_at: Timestamp,
    pub(crate) progress: Progress,
    pub(crate) attempts: u32,
    pub(crate) error: Option<String>,
}

/// What a rule promoted and a target tag still holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Promoted {
    pub(crate) rule: NameId,
    pub(crate) source: TagKey,
    pub(crate) bound: TagState,
    pub(crate) before: TargetBefore,
    pub(crate) decided_at: Timestamp,
    /// Set while a violation is found.
    pub(crate) violation: Option<Arc<[Reason]>>,
}

/// The last decision of a subject.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Subject {
    pub(crate) verdict: Verdict,
    pub(crate) digest: DigestId,
    pub(crate) target: TagKey,
    pub(crate) reasons: Arc<[Reason]>,
    /// The record of the decision.
    pub(crate) decided: u64,
    pub(crate) decided_at: Timestamp,
    /// Set by `promote`: final for the present binding and each of these targets.
    pub(crate) settled: Vec<Settled>,
}

/// What a subject was promoted as.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settled {
    pub(crate) binding: u64,
    pub(crate) target: TagKey,
    /// The time that the target's templates were given.
    pub(crate) at: Timestamp,
    pub(crate) reasons: Arc<[Reason]>,
}
