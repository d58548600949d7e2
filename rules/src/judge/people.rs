//! What people and time have to say: holds, approvals, soak and window.

use weir_schema::{ReasonCode, Timestamp};

use super::Judgement;
use crate::{
    facts::Case,
    rule::Separate,
    state::{More, Obstacle, Path, Reads, State, Vote, clipped},
};

impl State {
    /// Stage 4: holds, approvals, soak and window.
    pub(super) fn judge_people(&self, path: &Path, case: &Case<'_>, judgement: &mut Judgement) {
        let rule = &path.rule.rule;
        judgement.reasons.extend(self.held(case, &rule.name));
        judgement.reads = judgement.reads.and(Reads::HOLDS);
        if rule.approvals > 0 {
            judgement.reads = judgement.reads.and(Reads::APPROVALS);
            let have = u32::try_from(self.approvers(path, case)).unwrap_or(u32::MAX);
            if have < rule.approvals {
                let more = More {
                    have: Some(have),
                    need: Some(rule.approvals),
                    ..More::default()
                };
                let missing = Obstacle::with(ReasonCode::ApprovalMissing, more);
                judgement.reasons.push(missing);
            }
        }
        if let Some(soak) = rule.soak {
            let until = case.bound.bound_at.saturating_add(soak);
            if self.now < until {
                judgement.wake_at(until);
                judgement
                    .reasons
                    .push(waiting(ReasonCode::Soaking, Some(until)));
            }
        }
        if let Some(window) = &rule.window {
            let next = window.next_change(self.now.datetime()).map(Timestamp::from);
            if let Some(next) = next {
                judgement.wake_at(next);
            }
            if !window.is_open(self.now.datetime()) {
                judgement
                    .reasons
                    .push(waiting(ReasonCode::OutsideWindow, next));
            }
        }
    }

    /// The holds that freeze a case.
    pub(super) fn held(&self, case: &Case<'_>, rule: &str) -> Vec<Obstacle> {
        let source = &self.repository(case.repository).text;
        let holds = self.holds.iter().filter(|(_, hold)| {
            hold.digest.is_none_or(|digest| digest == case.bound.digest)
                && hold.covers(source, case.target.repository, rule)
        });
        holds
            .map(|(id, hold)| {
                let more = More {
                    hold_id: Some(clipped(id).into_owned()),
                    message: Some(
                        clipped(&format!("{}: {}", hold.actor, hold.reason)).into_owned(),
                    ),
                    ..More::default()
                };
                Obstacle::with(ReasonCode::Held, more)
            })
            .collect()
    }

    /// The votes for a case's digest and target.
    pub(crate) fn votes_for(&self, case: &Case<'_>) -> &[Vote] {
        let target = case.target.id.map(|id| self.tag_row(id).repository);
        let target = target.or_else(|| self.repositories.find(case.target.repository));
        let votes = target.and_then(|target| {
            let key = (case.repository, case.bound.digest, target);
            self.approvals.get(&key)
        });
        votes.map_or(&[], Vec::as_slice)
    }

    /// How many people who may approve did.
    fn approvers(&self, path: &Path, case: &Case<'_>) -> usize {
        let votes = self.votes_for(case).iter();
        let count = |vote: &&Vote| self.kept_from_approving(path, case, vote).is_none();
        votes.filter(count).count()
    }

    /// What keeps a vote from counting: who gave it is one of those who may not approve.
    pub(crate) fn kept_from_approving(
        &self,
        path: &Path,
        case: &Case<'_>,
        vote: &Vote,
    ) -> Option<Separate> {
        let rule = &path.rule.rule;
        let separate = rule.separate.iter().copied();
        // A name is the same with white space around it: votes come without, pushes may not.
        let actor = self.text(vote.actor).trim();
        let pusher = case.bound.pushed_by.map(|pusher| self.text(pusher).trim());
        let mut kept = separate.filter(|separate| match separate {
            Separate::Pusher => pusher == Some(actor),
            Separate::RuleOwner => owns(rule.owner.as_deref(), actor),
        });
        kept.next()
    }
}

/// A reason that passes with time.
fn waiting(code: ReasonCode, until: Option<Timestamp>) -> Obstacle {
    match until {
        None => Obstacle::new(code),
        Some(until) => Obstacle::with(
            code,
            More {
                until: Some(until),
                ..More::default()
            },
        ),
    }
}

/// Whether somebody is the owner, or one of several that are named with commas between them.
fn owns(owner: Option<&str>, actor: &str) -> bool {
    let owner = owner.unwrap_or_default();
    owner.trim() == actor || owner.split(',').any(|one| one.trim() == actor)
}

#[cfg(test)]
mod tests {
    use super::owns;

    #[test]
    fn each_of_several_owners_is_one() {
        assert!(owns(Some("ann"), "ann") && owns(Some("own, team"), "own"));
        assert!(owns(Some("own, team"), "team") && owns(Some("own, team"), "own, team"));
        assert!(owns(Some(" own , team "), "own") && owns(Some(" own, team "), "own, team"));
        assert!(!owns(Some("own"), "ow") && !owns(None, "ann"));
    }
}
