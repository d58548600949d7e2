//! Violations: what was promoted and would not be promoted now.

use weir_schema::{Body, Reason, Violation};

use super::Run;
use crate::{
    evolve::Touched,
    facts::Case,
    gate::Parts,
    judge::Judgement,
    state::{DigestId, Promoted, State, TagId},
};

impl Run<'_> {
    /// Looks whether what was promoted would be promoted now.
    pub(super) fn look_again(&mut self, target: TagId) {
        let Some(promoted) = &self.state.tag_row(target).promoted else {
            return;
        };
        let (digest, violated) = (promoted.bound.digest, promoted.violation.is_some());
        let parts = self.state.parts(digest);
        let Some(judgement) = self.state.judge_promoted(target, parts) else {
            // Without the rule there is nothing to hold it to.
            let reads = crate::state::Reads::NOTHING;
            return self.state.rest_promoted(target, Default::default(), reads);
        };
        self.state
            .rest_promoted(target, judgement.wake, judgement.reads);
        let holds = judgement.reasons.is_empty();
        if holds != violated {
            return;
        }
        let reasons = self.state.reasons(&judgement.reasons);
        let Some(promoted) = &mut self.state.tags.get_mut(target).promoted else {
            return;
        };
        promoted.violation = (!holds).then(|| judgement.reasons.into());
        let rule = promoted.rule;
        let Some(violation) = self.state.violation(target, digest, rule, reasons) else {
            return;
        };
        let body = if holds {
            Body::ViolationCleared(violation)
        } else {
            Body::ViolationFound(violation)
        };
        self.conclude(body);
        debug_assert!(
            self.touched.subjects.is_empty(),
            "a violation touches nothing"
        );
        self.touched = Touched::default();
    }
}

impl State {
    /// What would be said of what a tag was promoted as; `None` without the rule.
    pub(crate) fn judge_promoted(&self, target: TagId, parts: Parts) -> Option<Judgement> {
        let promoted: &Promoted = self.tag_row(target).promoted.as_ref()?;
        let repository = self.tag_row(promoted.source).repository;
        let path = self.path(repository, promoted.rule)?;
        let case = Case {
            source: promoted.source,
            repository,
            bound: &promoted.bound,
            class: self.class(repository, promoted.bound.digest),
            parts,
            scanners: &path.rule.scanners,
            target: self.target(target),
            target_digest: promoted.before,
        };
        Some(self.would_hold(path, &case))
    }

    fn violation(
        &self,
        target: TagId,
        digest: DigestId,
        rule: crate::state::NameId,
        reasons: Vec<Reason>,
    ) -> Option<Violation> {
        let found = self.tag_ref(target, digest);
        Some(Violation {
            repository: found.repository,
            tag: found.tag,
            digest: found.digest?,
            rule: self.text(rule).clone().into(),
            reasons,
        })
    }
}
