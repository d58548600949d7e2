//! Promotions that are not completed, as they are shown and as they are carried out.

use serde::Serialize;
use weir_schema::{TagRef, TargetRef, Timestamp};

use crate::{
    evolve::{promotion_id, promotion_number},
    state::{DigestId, Progress, Promotion, State, TagId},
    step::Copy,
};

/// A promotion to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCopy {
    /// What to copy, and what the target tag must hold.
    pub copy: Copy,
    /// It has begun: it completes whatever becomes of the source tag.
    pub begun: bool,
    /// How often it was tried.
    pub attempts: u32,
    /// How many of these tries were before it was last retried by hand.
    pub retried_after: u32,
    /// The target tag holds what a later promotion has put there, which is not undone.
    pub is_overtaken: bool,
}

impl OpenCopy {
    /// The number of the try that is under way; where none is, of the next, which is also that of an
    /// outcome without a copy. So no outcome has the number of one that was told before.
    #[must_use]
    pub fn this_attempt(&self) -> u32 {
        match self.begun {
            true => self.attempts.max(1),
            false => self.attempts.saturating_add(1),
        }
    }

    /// Whether nothing is known yet of how the try of that number ended. What was given up and is
    /// retried by hand is open too, though nothing of it is under way.
    #[must_use]
    pub fn lacks_outcome_of(&self, attempt: u32) -> bool {
        self.attempts < attempt || (self.begun && self.attempts == attempt)
    }
}

/// A promotion that is not completed.
#[derive(Debug, Serialize)]
pub struct PromotionView {
    /// Its name.
    pub promotion_id: String,
    /// The rule.
    pub rule: String,
    /// The source.
    pub source: TagRef,
    /// The target.
    pub target: TargetRef,
    /// `decided`, `started` or `failed`.
    pub progress: &'static str,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it failed last.
    pub error: Option<String>,
    /// When it was decided.
    pub decided_at: Timestamp,
}

impl State {
    /// Promotions that are not completed, in the order of their decisions.
    #[must_use]
    pub fn promotions(&self) -> Vec<PromotionView> {
        let all = self.promotions.iter();
        all.map(|(id, promotion)| self.promotion_view(*id, promotion))
            .collect()
    }

    /// Those of what a tag points at by a rule, the newest first.
    pub(crate) fn promotions_of(&self, rule: &str, source: TagId) -> Vec<PromotionView> {
        let digest = self.tag_row(source).digest();
        let all = self.promotions.iter().rev();
        let own = all.filter(|(_, one)| {
            one.source == source
                && Some(one.bound.digest) == digest
                && **self.text(one.rule) == *rule
        });
        own.map(|(id, promotion)| self.promotion_view(*id, promotion))
            .collect()
    }

    fn promotion_view(&self, id: u64, promotion: &Promotion) -> PromotionView {
        PromotionView {
            promotion_id: promotion_id(id),
            rule: self.text(promotion.rule).to_string(),
            source: self.tag_ref(promotion.source, promotion.bound.digest),
            target: self.target_ref(promotion.target),
            progress: match promotion.progress {
                Progress::Decided => "decided",
                Progress::Started | Progress::Arrived => "started",
                Progress::Failed => "failed",
            },
            attempts: promotion.attempts,
            error: promotion.error.clone(),
            decided_at: promotion.decided_at,
        }
    }

    /// How many promotions are decided and not done, and how many were given up.
    #[must_use]
    pub fn promotions_open_and_failed(&self) -> (usize, usize) {
        let all = self.promotions.values();
        let failed = all.filter(|one| one.progress == Progress::Failed).count();
        (self.promotions.len() - failed, failed)
    }

    /// When the oldest promotion was decided that is not done and was not given up.
    #[must_use]
    pub fn oldest_open_promotion(&self) -> Option<Timestamp> {
        let all = self.promotions.values();
        let open = all.filter(|one| one.progress != Progress::Failed);
        open.map(|one| one.decided_at).min()
    }

    /// Promotions to carry out: what a node does when it starts or takes over.
    #[must_use]
    pub fn open_copies(&self) -> Vec<OpenCopy> {
        let ids = self.promotions.keys();
        ids.filter_map(|id| self.open_copy(&promotion_id(*id)))
            .collect()
    }

    /// The promotion of that name as it is to be carried out now; `None` if it is done or
    /// was given up; one that was overtaken says so.
    #[must_use]
    pub fn open_copy(&self, promotion_id: &str) -> Option<OpenCopy> {
        let id = promotion_number(promotion_id)?;
        let promotion = self.promotions.get(&id)?;
        (promotion.progress != Progress::Failed).then(|| OpenCopy {
            copy: self.copy(id, promotion),
            begun: promotion.progress.is_begun(),
            attempts: promotion.attempts,
            retried_after: promotion.retried_after,
            is_overtaken: matches!(self.since(promotion), Since::Later),
        })
    }

    pub(crate) fn copy(&self, id: u64, promotion: &Promotion) -> Copy {
        let expected = self.expected_at_target(promotion);
        Copy {
            promotion_id: promotion_id(id),
            rule: self.text(promotion.rule).clone().into(),
            source: self.tag_ref(promotion.source, promotion.bound.digest),
            target: self.target_ref(promotion.target),
            expected: expected.map(|digest| self.digest(digest).clone()),
        }
    }

    /// What the target tag must hold for the copy to move it: what it held when the promotion was
    /// decided, or what an earlier one has put there since. A later one is not undone.
    fn expected_at_target(&self, promotion: &Promotion) -> Option<DigestId> {
        match self.since(promotion) {
            Since::Earlier(there) => Some(there),
            Since::Nothing | Since::Later => promotion.before,
        }
    }

    fn since(&self, promotion: &Promotion) -> Since {
        let target = self.tag_row(promotion.target);
        let (Some(there), Some(other)) = (target.digest(), &target.promoted) else {
            return Since::Nothing;
        };
        let from = |id: TagId| self.tag_row(id).repository;
        let same_way = other.rule == promotion.rule && from(other.source) == from(promotion.source);
        let earlier = if same_way {
            other.bound.binding < promotion.bound.binding
        } else {
            other.decided_at <= promotion.decided_at
        };
        match earlier {
            true => Since::Earlier(there),
            // The same once more is as good as done.
            false if there == promotion.bound.digest => Since::Nothing,
            false => Since::Later,
        }
    }
}

/// What the target tag of a promotion holds by now that another one has put there.
enum Since {
    /// None has.
    Nothing,
    /// One that was decided before it.
    Earlier(DigestId),
    /// One that was decided after it.
    Later,
}
