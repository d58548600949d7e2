//! The judgement of a promotion by hand.

use weir_schema::ReasonCode;

use super::Judgement;
use crate::{
    facts::{Case, CaseFacts},
    gate::Question,
    state::{MANUAL, Obstacle, State},
};

impl State {
    /// Judges a promotion by hand: it needs no rule; gate, denies and holds apply unless waived.
    /// Gives what objects and what would have and was waived.
    pub(crate) fn judge_by_hand(
        &self,
        case: &Case<'_>,
        waive: &[String],
    ) -> (Vec<Obstacle>, Vec<Obstacle>) {
        let mut waived = Vec::new();
        let is_waived = |code: ReasonCode| waive.iter().any(|word| word == code.as_str());
        let mut split = |found: Vec<Obstacle>| -> Vec<Obstacle> {
            let (gone, mut left): (Vec<Obstacle>, Vec<Obstacle>) =
                found.into_iter().partition(|reason| is_waived(reason.code));
            waived.extend(gone);
            self.sort_reasons(&mut left);
            left
        };
        let (found, _) = self.gate(&Question {
            repository: case.repository,
            subject: case.bound.digest,
            parts: &case.parts,
            scanners: &[],
            scans: true,
        });
        let mut reasons = split(found);
        if reasons.is_empty() {
            let mut denied = Judgement::new();
            let facts = CaseFacts::new(self, case);
            self.judge_denies(case, &facts, self.now, &mut denied);
            reasons = split(denied.reasons);
        }
        if reasons.is_empty() {
            // The target's own rules cannot be waived: the registry would refuse, or nothing is to
            // do.
            let mut target = Judgement::new();
            self.judge_target(None, case, &mut target);
            reasons = target.reasons;
        }
        if reasons.is_empty() {
            reasons = split(self.held(case, MANUAL));
        }
        self.sort_reasons(&mut waived);
        (reasons, waived)
    }
}
