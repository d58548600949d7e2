//! Promotions by hand.

use weir_schema::{Body, Decision, PromotionRequested, Reason, ReasonCode, TagRef, Verdict};

use super::{Run, Start};
use crate::{
    evolve::promotion_id,
    facts::Case,
    state::{MANUAL, verdict},
};

impl Run<'_> {
    /// A promotion by hand is judged once, at its record.
    pub(super) fn by_hand(&mut self, request: &PromotionRequested) {
        let rule = self.state.names.intern(MANUAL);
        let repository = self.state.intern_repository(&request.repository);
        let source = self.state.intern_tag(repository, &request.tag);
        let target = self.state.intern_repository(&request.target.repository);
        let target = self.state.intern_tag(target, &request.target.tag);
        let mut decision = Decision {
            rule: MANUAL.into(),
            source: TagRef {
                repository: request.repository.clone(),
                tag: request.tag.clone(),
                digest: None,
            },
            target: self.state.target_ref(target),
            verdict: Verdict::Withdrawn,
            reasons: vec![Reason::new(ReasonCode::TagDeleted)],
            trigger: self.trigger,
            rules_digest: self.state.rules_digest.clone(),
            overrides: Vec::new(),
            promotion_id: None,
            advisory: false,
            actor: None,
            waived: Vec::new(),
        };
        let mut actor = request.actor.clone();
        let Some(bound) = self.state.tag_row(source).bound.clone() else {
            self.state.fit_by_hand(&mut [], &mut [], &mut actor);
            decision.actor = Some(actor.to_string());
            self.conclude(Body::DecisionMade(decision));
            return;
        };
        let before = self.state.tag_row(target).digest();
        let case = Case {
            source,
            repository,
            bound: &bound,
            class: self.state.class(repository, bound.digest),
            parts: self.state.parts(bound.digest),
            scanners: &[],
            target: self.state.target(target),
            target_digest: before,
        };
        let waive = request.waive.as_deref().unwrap_or_default();
        let (mut reasons, mut waived) = self.state.judge_by_hand(&case, waive);
        self.state
            .fit_by_hand(&mut reasons, &mut waived, &mut actor);
        decision.actor = Some(actor.to_string());
        decision.source.digest = Some(self.state.digest(bound.digest).clone());
        decision.verdict = verdict(&reasons);
        decision.reasons = self.state.reasons(&reasons);
        decision.waived = self.state.reasons(&waived);
        let copies = decision.reasons.is_empty();
        if copies {
            decision.promotion_id = Some(promotion_id(self.state.seq + 1));
        }
        self.conclude(Body::DecisionMade(decision));
        if copies {
            self.promote(Start {
                rule,
                source,
                bound,
                target,
                before,
                holds_on: None,
            });
        }
    }
}
