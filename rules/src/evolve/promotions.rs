//! Promotions: decided, begun, completed, failed.

use std::sync::Arc;

use weir_schema::{PromotionOutcome, RepositoryName, Tag};

use super::{Touched, tags::Pusher};
use crate::state::{
    Alarm, Bound, DigestId, MANUAL, NameId, Origin, Progress, Promoted, Promotion, Reads, State,
    TagId, Wake,
};

/// The error of a promotion whose source tag moved before the copy began.
pub const SUPERSEDED: &str = "superseded";
/// The error of a promotion whose subject was withdrawn before the copy began.
pub const WITHDRAWN: &str = "withdrawn";

/// The name of the promotion that the record `seq` decided.
pub(crate) fn promotion_id(seq: u64) -> String {
    format!("p{seq}")
}

/// The record that decided the promotion of that name; `None` if it is no name that Weir gives:
/// another spelling of a number is another's promotion.
pub fn promotion_number(id: &str) -> Option<u64> {
    let seq = id.strip_prefix('p')?.parse().ok()?;
    (promotion_id(seq) == id).then_some(seq)
}

impl State {
    /// Promotions to a tag that are on their way.
    pub(crate) fn promotions_to(&self, tag: TagId) -> impl Iterator<Item = (u64, &Promotion)> {
        let here = self.promotions_to.range((tag, 0)..=(tag, u64::MAX));
        here.filter_map(|(_, id)| Some((*id, self.promotions.get(id)?)))
    }

    /// Promotions from a tag that are on their way.
    pub(crate) fn promotions_from(&self, tag: TagId) -> impl Iterator<Item = (u64, &Promotion)> {
        let here = self.promotions_from.range((tag, 0)..=(tag, u64::MAX));
        here.filter_map(|(_, id)| Some((*id, self.promotions.get(id)?)))
    }

    /// Takes in a promotion that was decided at the record `id`.
    pub(crate) fn put_promotion(&mut self, id: u64, promotion: Promotion) {
        if promotion.progress != Progress::Failed {
            self.promotions_to.insert((promotion.target, id));
            self.promotions_from.insert((promotion.source, id));
        }
        self.promotions.insert(id, promotion);
    }

    /// Takes a promotion away, done or overtaken.
    fn take_promotion(&mut self, id: u64) -> Option<Promotion> {
        let promotion = self.promotions.remove(&id)?;
        self.promotions_to.remove(&(promotion.target, id));
        self.promotions_from.remove(&(promotion.source, id));
        Some(promotion)
    }

    /// Notes that what copies under way bring is seen at their target tag, and gives the origin that
    /// the tag has by them. `None` if nothing under way brings this digest.
    pub(super) fn arrived(&mut self, tag: TagId, digest: DigestId) -> Option<Arc<Origin>> {
        let begun = self
            .promotions_to(tag)
            .filter(|(_, one)| one.progress.is_begun() && one.bound.digest == digest);
        let begun: Vec<u64> = begun.map(|(id, _)| id).collect();
        for id in &begun {
            if let Some(promotion) = self.promotions.get_mut(id) {
                promotion.progress = Progress::Arrived;
            }
        }
        let first = self.promotions.get(begun.first()?)?;
        Some(self.origin_of(first))
    }

    fn origin_of(&self, promotion: &Promotion) -> Arc<Origin> {
        let source = self.tag_row(promotion.source).repository;
        Origin::of(promotion, source, self.now)
    }

    pub(super) fn promotion_started(&mut self, data: &PromotionOutcome) {
        let number = promotion_number(&data.promotion_id);
        let known = number.and_then(|id| self.promotions.get_mut(&id));
        if let Some(promotion) = known {
            promotion.progress = Progress::Started;
            let next = promotion.attempts.saturating_add(1);
            promotion.attempts = data.attempts.unwrap_or(next);
            promotion.error = None;
        }
    }

    pub(super) fn promotion_completed(&mut self, data: &PromotionOutcome, touched: &mut Touched) {
        let known = promotion_number(&data.promotion_id).and_then(|id| self.take_promotion(id));
        let Some(digest) = &data.source.digest else {
            return;
        };
        let (Ok(repository), Ok(tag)) = (
            data.target.repository.parse::<RepositoryName>(),
            data.target.tag.parse::<Tag>(),
        ) else {
            return;
        };
        let repository = self.intern_repository(&repository);
        let target = self.intern_tag(repository, &tag);
        let digest = self.intern_digest(digest);
        match known {
            // The tag held it, and moved on before the copy's outcome was told.
            Some(promotion) if self.has_moved_on(&promotion, target, digest) => {
                self.touch_target(target, touched);
            }
            Some(promotion) => {
                self.complete(promotion, target, digest, touched);
                touched.promoted.push(target);
            }
            // Said once more: what is known of it stays.
            None if self.is_promoted(data, target, digest) => {}
            None => {
                let promotion = self.foreign_promotion(data, target, digest);
                self.complete(promotion, target, digest, touched);
                touched.promoted.push(target);
            }
        }
    }

    /// Whether a target tag was seen to hold what a promotion brought, and no longer does.
    fn has_moved_on(&self, promotion: &Promotion, target: TagId, digest: DigestId) -> bool {
        let is_its_own = (promotion.target, promotion.bound.digest) == (target, digest);
        let has_arrived = promotion.progress == Progress::Arrived;
        has_arrived && is_its_own && self.tag_row(target).digest() != Some(digest)
    }

    /// Whether a tag is known to hold what a completion says, by the same promotion.
    fn is_promoted(&self, data: &PromotionOutcome, target: TagId, digest: DigestId) -> bool {
        let (repository, tag) = (data.source.repository.as_str(), data.source.tag.as_str());
        let row = self.tag_row(target);
        row.digest() == Some(digest)
            && row.promoted.as_ref().is_some_and(|known| {
                **self.text(known.rule) == *data.rule
                    && self.find_tag(repository, tag) == Some(known.source)
                    && known.bound.digest == digest
            })
    }

    /// Takes in that a promotion of this log is done in the step that decided it. `holds_on` is
    /// what the judgement rested on, so that it need not be asked again.
    pub(crate) fn complete_promotion(
        &mut self,
        id: u64,
        holds_on: Option<(Wake, Reads)>,
        touched: &mut Touched,
    ) {
        let Some(promotion) = self.take_promotion(id) else {
            return;
        };
        let (target, digest) = (promotion.target, promotion.bound.digest);
        self.complete(promotion, target, digest, touched);
        match holds_on {
            Some((wake, reads)) => self.rest_promoted(target, wake, reads),
            None => touched.promoted.push(target),
        }
    }

    fn complete(
        &mut self,
        promotion: Promotion,
        target: TagId,
        digest: DigestId,
        touched: &mut Touched,
    ) {
        self.present(self.tag_row(target).repository, digest, touched);
        let origin = self.origin_of(&promotion);
        self.point(target, digest, Pusher::Told(None), Some(origin), touched);
        self.put_promoted(target, Promoted::by(promotion));
    }

    /// Notes what a target tag holds by which promotion.
    pub(crate) fn put_promoted(&mut self, target: TagId, promoted: Promoted) {
        let old = self
            .tags
            .get_mut(target)
            .promoted
            .replace(Box::new(promoted));
        if let Some(old) = old {
            let alarm = Alarm::Promoted(target);
            self.set_alarm(alarm, old.wakes_at, None);
            self.set_restless(alarm, old.restless, false);
            self.unwatch(target, &old);
        }
    }

    /// Takes a promoted tag out of those that ask how repositories are configured.
    pub(crate) fn unwatch(&mut self, target: TagId, promoted: &Promoted) {
        if promoted.reads.meets(Reads::REPOSITORIES) {
            for tag in [promoted.source, target] {
                let repository = self.tag_row(tag).repository;
                self.watching.remove(&(repository, target));
            }
        }
    }

    /// Notes what the judgement of a promoted tag rests on, and when it may change by itself.
    pub(crate) fn rest_promoted(&mut self, target: TagId, wake: Wake, reads: Reads) {
        let Some(promoted) = &mut self.tags.get_mut(target).promoted else {
            return;
        };
        let source = promoted.source;
        let alarm = Alarm::Promoted(target);
        let before = std::mem::replace(&mut promoted.wakes_at, wake.at);
        let was_restless = std::mem::replace(&mut promoted.restless, wake.restless);
        let watched = promoted.reads.meets(Reads::REPOSITORIES);
        promoted.reads = reads;
        self.set_alarm(alarm, before, wake.at);
        self.set_restless(alarm, was_restless, wake.restless);
        let watches = reads.meets(Reads::REPOSITORIES);
        for tag in [source, target] {
            let watch = (self.tag_row(tag).repository, target);
            match (watched, watches) {
                (_, true) => self.watching.insert(watch),
                (true, false) => self.watching.remove(&watch),
                (false, false) => false,
            };
        }
    }

    /// A completion that no decision of this log asked for: a fact all the same.
    fn foreign_promotion(
        &mut self,
        data: &PromotionOutcome,
        target: TagId,
        digest: DigestId,
    ) -> Promotion {
        let repository = self.intern_repository(&data.source.repository);
        let source = self.intern_tag(repository, &data.source.tag);
        let rule = self.names.intern(&data.rule);
        self.promotion_of(rule, source, digest, target)
    }

    /// A promotion that is known by what was said of it: under way, of the source's binding if it
    /// still points there.
    pub(crate) fn promotion_of(
        &self,
        rule: NameId,
        source: TagId,
        digest: DigestId,
        target: TagId,
    ) -> Promotion {
        let bound = self.tag_row(source).bound.as_ref();
        let bound = bound.filter(|bound| bound.digest == digest).cloned();
        Promotion {
            rule,
            source,
            bound: bound.unwrap_or(Bound {
                digest,
                binding: 0,
                bound_at: self.now,
                pushed_by: None,
                found: false,
                previous: None,
                origin: None,
            }),
            target,
            before: self.tag_row(target).digest(),
            decided_at: self.now,
            progress: Progress::Started,
            attempts: 0,
            retried_after: 0,
            error: None,
        }
    }

    pub(super) fn promotion_failed(&mut self, data: &PromotionOutcome, touched: &mut Touched) {
        let Some(id) = promotion_number(&data.promotion_id) else {
            return;
        };
        let Some(mut promotion) = self.take_promotion(id) else {
            return;
        };
        self.touch_target(promotion.target, touched);
        let overtaken = matches!(data.error.as_deref(), Some(SUPERSEDED | WITHDRAWN));
        if !overtaken {
            // Kept, so that it is seen and can be retried; no longer on its way.
            promotion.progress = Progress::Failed;
            promotion.attempts = data.attempts.unwrap_or(promotion.attempts);
            promotion.error.clone_from(&data.error);
            self.put_promotion(id, promotion);
        }
    }

    /// Takes up a promotion that was given up. If its source tag has moved on since, it is overtaken.
    pub(super) fn promotion_retried(&mut self, id: &str, touched: &mut Touched) {
        let Some(id) = promotion_number(id) else {
            return;
        };
        let given_up = |one: &&Promotion| one.progress == Progress::Failed;
        if self.promotions.get(&id).filter(given_up).is_none() {
            return;
        }
        let Some(mut promotion) = self.take_promotion(id) else {
            return;
        };
        promotion.progress = Progress::Decided;
        promotion.retried_after = promotion.attempts;
        promotion.error = None;
        let there = self.tag_row(promotion.source).bound.as_ref();
        let key = (promotion.source, promotion.rule);
        let by_hand = **self.text(promotion.rule) == *MANUAL;
        if there.is_none_or(|bound| bound.binding != promotion.bound.binding) {
            touched.superseded.push(id);
        } else if by_hand || self.taken_by(key).is_some() {
            touched.retried.push(id);
        } else {
            // Its rule is gone meanwhile: what withdraws the subject ends it too.
            touched.subjects.push(key);
        }
        self.touch_target(promotion.target, touched);
        self.put_promotion(id, promotion);
    }
}
