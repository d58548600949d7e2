//! Promotions on their way, and what they left behind at their targets.

use std::sync::Arc;

use weir_schema::Timestamp;

use super::{
    numbers::{DigestId, NameId, RepositoryId, TagId},
    reads::Reads,
    reason::Obstacle,
    tag::Bound,
};
use crate::frozen::frozen;

/// An earlier promotion of what a tag points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) rule: NameId,
    pub(crate) source: TagId,
    pub(crate) at: Timestamp,
}

/// By which rule something came from which repository.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Way {
    pub(crate) rule: NameId,
    pub(crate) source: RepositoryId,
    /// The binding of the source tag; `None` if the promotion was not one of this log.
    pub(crate) binding: Option<u64>,
}

/// How a tag came to hold what it holds, when Weir put it there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Origin {
    /// The last way.
    pub(crate) way: Way,
    /// Other ways by which the same was put there before, while it was there.
    pub(crate) before: Box<[Way]>,
    /// All hops of the last way, the oldest first.
    pub(crate) lineage: Box<[Hop]>,
}

impl Origin {
    /// The origin that a promotion gives to its target.
    pub(crate) fn of(promotion: &Promotion, source: RepositoryId, at: Timestamp) -> Arc<Self> {
        let hop = Hop {
            rule: promotion.rule,
            source: promotion.source,
            at,
        };
        let bound = &promotion.bound;
        Arc::new(Self {
            way: Way {
                rule: promotion.rule,
                source,
                binding: (bound.binding > 0).then_some(bound.binding),
            },
            before: Box::default(),
            lineage: bound.lineage().iter().cloned().chain([hop]).collect(),
        })
    }

    /// All ways, each once.
    pub(crate) fn ways(&self) -> impl Iterator<Item = &Way> {
        std::iter::once(&self.way).chain(&self.before)
    }

    /// The origin of what is put there once more. Of each way the latest binding counts: a copy that
    /// was retried may complete after a later one.
    pub(crate) fn after(&self, earlier: &Self) -> Arc<Self> {
        let mut way = self.way.clone();
        let is_same = |other: &Way| (other.rule, other.source) == (way.rule, way.source);
        let (same, others): (Vec<&Way>, Vec<&Way>) =
            earlier.ways().partition(|other| is_same(other));
        way.binding = same
            .iter()
            .map(|way| way.binding)
            .fold(way.binding, Option::max);
        Arc::new(Self {
            way,
            before: others.into_iter().cloned().collect(),
            lineage: self.lineage.clone(),
        })
    }
}

/// How far a promotion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Progress {
    /// Decided; the copy has not begun.
    Decided,
    /// The copy has begun: it completes with the digest judged.
    Started,
    /// The copy has begun, and the target tag was seen to come to point at its digest: what becomes of
    /// the tag then is later than the copy, also if it is told before the copy's outcome.
    Arrived,
    /// Given up; it can be retried by hand.
    Failed,
}

impl Progress {
    /// Whether the copy is under way.
    pub(crate) fn is_begun(self) -> bool {
        matches!(self, Self::Started | Self::Arrived)
    }
}

/// A promotion that is not completed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Promotion {
    pub(crate) rule: NameId,
    pub(crate) source: TagId,
    /// The source tag's binding that was judged.
    pub(crate) bound: Bound,
    pub(crate) target: TagId,
    /// What the target held when it was decided.
    pub(crate) before: Option<DigestId>,
    pub(crate) decided_at: Timestamp,
    pub(crate) progress: Progress,
    pub(crate) attempts: u32,
    /// How often it had been tried when it was last retried by hand.
    pub(crate) retried_after: u32,
    pub(crate) error: Option<String>,
}

/// What a rule promoted and a target tag still holds.
#[derive(Debug, Clone)]
pub(crate) struct Promoted {
    pub(crate) rule: NameId,
    pub(crate) source: TagId,
    pub(crate) bound: Bound,
    pub(crate) before: Option<DigestId>,
    pub(crate) decided_at: Timestamp,
    /// Set while a violation is found.
    pub(crate) violation: Option<Box<[Obstacle]>>,
    pub(crate) wakes_at: Option<Timestamp>,
    /// Whether any passing of time may change it.
    pub(crate) restless: bool,
    /// What its last judgement rests on.
    pub(crate) reads: Reads,
}

impl Promoted {
    /// What a promotion leaves at its target.
    pub(crate) fn by(promotion: Promotion) -> Self {
        Self {
            rule: promotion.rule,
            source: promotion.source,
            bound: promotion.bound,
            before: promotion.before,
            decided_at: promotion.decided_at,
            violation: None,
            wakes_at: None,
            restless: false,
            reads: Reads::EVERYTHING,
        }
    }
}

frozen!(
    enum Progress {
        Decided,
        Started,
        Arrived,
        Failed,
    }
);
frozen!(struct Hop { rule, source, at });
frozen!(struct Way { rule, source, binding });
frozen!(struct Origin { way, before, lineage });

frozen!(struct Promotion {
    rule, source, bound, target, before, decided_at, progress, attempts, retried_after,
    error,
});

frozen!(struct Promoted {
    rule, source, bound, before, decided_at, violation, wakes_at, restless, reads,
});
