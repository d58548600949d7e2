//! The judgement of one subject, stage by stage (DESIGN section 6): gate, rule, target, people
//! and time. The first stage that objects decides; all of its reasons are given.

use std::sync::Arc;

use weir_schema::{Reason, ReasonCode, Timestamp, Verdict};

use crate::{
    cel::{ClauseOutcome, EvalError, NextChange},
    facts::{Case, CaseFacts},
    rule::{Rule, RuleTarget, ScanRequirement, Separate, Severity},
    state::{MANUAL, NameId, Path, Progress, State, SubjectKey, TagKey, TagState, Vote},
    template::TemplateInput,
};

/// When a judgement may become another without a record that touches it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wake {
    /// At this time.
    pub(crate) at: Option<Timestamp>,
    /// With any passing of time.
    pub(crate) restless: bool,
}

impl Wake {
    fn also(&mut self, change: NextChange) {
        match change {
            NextChange::Never => {}
            NextChange::At(at) => self.at_time(at),
            NextChange::EveryRecord => self.restless = true,
        }
    }

    fn at_time(&mut self, at: Timestamp) {
        self.at = Some(self.at.map_or(at, |known| known.min(at)));
    }
}

/// What is said of a subject now.
#[derive(Debug, Clone)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) overrides: Vec<String>,
    pub(crate) wake: Wake,
}

/// Where a rule would put a tag, by its templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) repository: String,
    pub(crate) tag: String,
}

impl Destination {
    fn is_legal(&self) -> bool {
        self.repository
            .parse::<weir_schema::RepositoryName>()
            .is_ok()
            && self.tag.parse::<weir_schema::Tag>().is_ok()
    }
}

impl State {
    /// Where `path` puts what `key` points at, with the templates' time at `at`.
    pub(crate) fn destination(
        &self,
        path: &Path,
        key: TagKey,
        bound: &TagState,
        at: Timestamp,
    ) -> Destination {
        let digest = self.digest(bound.digest).to_string();
        let input = TemplateInput {
            tag: self.text(key.1),
            digest: &digest,
            repository: self.text(key.0),
            captures: &path.captures,
            time: at.datetime(),
        };
        let repository = match &path.rule.to {
            RuleTarget::Repository(to) => to.render(&input),
            RuleTarget::Matching(_) | RuleTarget::Any => String::new(),
        };
        Destination {
            repository,
            tag: path.rule.tag.render(&input),
        }
    }

    /// The case of a source tag under a rule.
    pub(crate) fn case(
        &mut self,
        path: &Path,
        key: TagKey,
        bound: &TagState,
        destination: &Destination,
    ) -> Case {
        let scanners = path
            .rule
            .scanners
            .iter()
            .map(|name| self.names.intern(name))
            .collect();
        let target = self.target_key(destination);
        Case {
            source: key,
            bound: bound.clone(),
            class: self.class(key.0, bound.digest),
            structure: self.structure(bound.digest),
            scanners,
            target,
            target_digest: self.tags.get(&target).map(|tag| tag.digest),
        }
    }

    /// As [`State::case`], where the state may not be changed; `None` if something in it was never
    /// named, which a subject that was judged cannot be.
    pub(crate) fn known_case(
        &self,
        path: &Path,
        key: TagKey,
        bound: &TagState,
        destination: &Destination,
    ) -> Option<Case> {
        let scanners: Option<_> = path
            .rule
            .scanners
            .iter()
            .map(|name| self.names.find(name))
            .collect();
        let target = (
            self.names.find(&destination.repository)?,
            self.names.find(&destination.tag)?,
        );
        Some(Case {
            source: key,
            bound: bound.clone(),
            class: self.class(key.0, bound.digest),
            structure: self.structure_now(bound.digest),
            scanners: scanners?,
            target,
            target_digest: self.tags.get(&target).map(|tag| tag.digest),
        })
    }

    /// The key of a target. A repository that is not legal gets a name and no repository.
    pub(crate) fn target_key(&mut self, destination: &Destination) -> TagKey {
        let legal = destination
            .repository
            .parse::<weir_schema::RepositoryName>()
            .is_ok();
        let repository = if legal {
            self.intern_repository(&destination.repository)
        } else {
            self.names.intern(&destination.repository)
        };
        (repository, self.names.intern(&destination.tag))
    }

    /// Judges a case under a promote rule.
    pub(crate) fn judge(&self, path: &Path, case: &Case, destination: &Destination) -> Judgement {
        let mut judgement = Judgement {
            verdict: Verdict::Promote,
            reasons: Vec::new(),
            overrides: Vec::new(),
            wake: Wake::default(),
        };
        judgement.reasons = self.gate_reasons(path, case);
        if judgement.reasons.is_empty() {
            self.judge_rules(path, case, &mut judgement);
        }
        if judgement.reasons.is_empty() {
            judgement.reasons = self.target_reasons(path.rule_name, case, destination);
        }
        if judgement.reasons.is_empty() {
            judgement.reasons = self.people_reasons(path, case, &mut judgement.wake);
        }
        judgement.reasons.sort();
        judgement.reasons.dedup();
        judgement.verdict = verdict(&judgement.reasons);
        judgement
    }

    /// Stage 1: content, presence and scans.
    pub(crate) fn gate_reasons(&self, path: &Path, case: &Case) -> Vec<Reason> {
        let scans = Self::scans_count(case.class, path.rule.scan == ScanRequirement::Required);
        self.gate(
            case.source.0,
            case.bound.digest,
            &case.structure,
            &case.scanners,
            scans,
        )
    }

    /// Stage 2: the rule's expression and the denies.
    pub(crate) fn judge_rules(&self, path: &Path, case: &Case, judgement: &mut Judgement) {
        let facts = CaseFacts::new(self, case);
        let evaluation = path.rule.program.decide(&facts);
        judgement.wake.also(evaluation.next_change);
        match evaluation.outcome {
            Ok(true) => {}
            Ok(false) => {
                for (clause, outcome) in path.rule.program.clauses().iter().zip(&evaluation.clauses)
                {
                    if matches!(outcome, ClauseOutcome::False) {
                        let clause = Some(clause.text.to_string());
                        judgement.reasons.push(Reason {
                            clause,
                            ..Reason::new(ReasonCode::ClauseFalse)
                        });
                    }
                }
            }
            Err(error) => {
                let failing: Vec<Reason> = path
                    .rule
                    .program
                    .clauses()
                    .iter()
                    .zip(&evaluation.clauses)
                    .filter_map(|(clause, outcome)| match outcome {
                        ClauseOutcome::Error(error) => Some(rule_error(Some(&clause.text), error)),
                        _ => None,
                    })
                    .collect();
                if failing.is_empty() {
                    judgement.reasons.push(rule_error(None, &error));
                } else {
                    judgement.reasons.extend(failing);
                }
            }
        }
        self.judge_denies(case, &facts, &mut judgement.reasons, &mut judgement.wake);
        judgement.overrides = facts.overrides_used();
    }

    /// The deny rules that match source, class and target.
    pub(crate) fn matching_denies(&self, case: &Case) -> Vec<Arc<Rule>> {
        let target = self.text(case.target.0);
        let denies = self
            .repositories
            .get(&case.source.0)
            .map(|known| Arc::clone(&known.denies));
        denies
            .iter()
            .flat_map(|denies| denies.iter())
            .filter(|rule| rule.severity == Severity::Enforce && rule.classes.contains(&case.class))
            .filter(|rule| rule.denies(self.text(case.source.0), target))
            .cloned()
            .collect()
    }

    pub(crate) fn judge_denies(
        &self,
        case: &Case,
        facts: &CaseFacts<'_>,
        reasons: &mut Vec<Reason>,
        wake: &mut Wake,
    ) {
        for rule in self.matching_denies(case) {
            let deny_rule = Some(rule.name.clone());
            let evaluation = if rule.scanners.is_empty() && case.scanners.is_empty() {
                rule.program.decide(facts)
            } else {
                // A deny that names scanners asks about those.
                let scanners = rule
                    .scanners
                    .iter()
                    .filter_map(|name| self.names.find(name))
                    .collect();
                let case = Case {
                    scanners,
                    ..case.clone()
                };
                rule.program.decide(&CaseFacts::new(self, &case))
            };
            wake.also(evaluation.next_change);
            match evaluation.outcome {
                Ok(false) => {}
                Ok(true) => {
                    let message = Some(self.deny_message(&rule, case));
                    reasons.push(Reason {
                        deny_rule,
                        message,
                        ..Reason::new(ReasonCode::Denied)
                    });
                }
                Err(error) => {
                    let text = rule
                        .program
                        .clauses()
                        .first()
                        .filter(|_| rule.program.clauses().len() == 1);
                    let reason = rule_error(text.map(|clause| &*clause.text), &error);
                    reasons.push(Reason {
                        deny_rule,
                        ..reason
                    });
                }
            }
        }
    }

    fn deny_message(&self, rule: &Rule, case: &Case) -> String {
        let Some(message) = &rule.message else {
            let clauses: Vec<&str> = rule
                .program
                .clauses()
                .iter()
                .map(|clause| &*clause.text)
                .collect();
            return clauses.join(" && ");
        };
        let digest = self.digest(case.bound.digest).to_string();
        let source = self.text(case.source.0);
        let captures = rule
            .from
            .as_ref()
            .and_then(|from| from.captures(source))
            .unwrap_or_default();
        message.render(&TemplateInput {
            tag: self.text(case.source.1),
            digest: &digest,
            repository: source,
            captures: &captures,
            time: self.now.datetime(),
        })
    }

    /// Stage 3: the target. `already-there` is a reason of `promote` and ends the judgement.
    pub(crate) fn target_reasons(
        &self,
        rule: NameId,
        case: &Case,
        destination: &Destination,
    ) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if !destination.is_legal() {
            let message = Some(format!(
                "`{}:{}` is no legal repository and tag",
                destination.repository, destination.tag
            ));
            reasons.push(Reason {
                message,
                ..Reason::new(ReasonCode::BadTag)
            });
        }
        if case.source == case.target || case.bound.lineage().iter().any(|hop| hop.rule == rule) {
            reasons.push(Reason::new(ReasonCode::Loop));
        }
        if reasons.is_empty() && case.target_digest == Some(case.bound.digest) {
            return vec![Reason::new(ReasonCode::AlreadyThere)];
        }
        let immutable = self
            .repositories
            .get(&case.target.0)
            .is_some_and(|known| known.immutable_tags);
        if immutable
            && case
                .target_digest
                .is_some_and(|held| held != case.bound.digest)
        {
            reasons.push(Reason::new(ReasonCode::TargetImmutable));
        }
        if self.target_is_newer(rule, case) {
            reasons.push(Reason::new(ReasonCode::TargetNewer));
        }
        reasons
    }

    /// Whether what the target tag holds, or is about to hold, came by the same rule from the same
    /// repository and a later binding.
    fn target_is_newer(&self, rule: NameId, case: &Case) -> bool {
        let later = |other_rule, source, binding: u64| {
            other_rule == rule && source == case.source.0 && binding > case.bound.binding
        };
        let held = self
            .tags
            .get(&case.target)
            .and_then(|tag| tag.origin.as_ref());
        let holds = held
            .is_some_and(|origin| later(origin.rule, origin.source, origin.binding.unwrap_or(0)));
        let ids = self.promotions_to.get(&case.target).into_iter().flatten();
        holds
            || ids
                .filter_map(|id| self.promotions.get(id))
                .filter(|promotion| promotion.progress != Progress::Failed)
                .any(|promotion| later(promotion.rule, promotion.source.0, promotion.bound.binding))
    }

    /// Stage 4: holds, approvals, soak and window.
    pub(crate) fn people_reasons(&self, path: &Path, case: &Case, wake: &mut Wake) -> Vec<Reason> {
        let mut reasons = self.held(case, &path.rule.name);
        let have = u32::try_from(self.approvers(path, case)).unwrap_or(u32::MAX);
        if have < path.rule.approvals {
            let need = Some(path.rule.approvals);
            reasons.push(Reason {
                have: Some(have),
                need,
                ..Reason::new(ReasonCode::ApprovalMissing)
            });
        }
        if let Some(soak) = path.rule.soak {
            let until = case.bound.bound_at.saturating_add(soak);
            if self.now < until {
                wake.at_time(until);
                reasons.push(Reason {
                    until: Some(until),
                    ..Reason::new(ReasonCode::Soaking)
                });
            }
        }
        if let Some(window) = &path.rule.window {
            let next = window.next_change(self.now.datetime()).map(Timestamp::from);
            if let Some(next) = next {
                wake.at_time(next);
            }
            if !window.is_open(self.now.datetime()) {
                reasons.push(Reason {
                    until: next,
                    ..Reason::new(ReasonCode::OutsideWindow)
                });
            }
        }
        reasons
    }

    /// The holds that freeze a case.
    pub(crate) fn held(&self, case: &Case, rule: &str) -> Vec<Reason> {
        let (source, target) = (self.text(case.source.0), self.text(case.target.0));
        let digest = self.digest(case.bound.digest);
        let holds = self
            .holds
            .iter()
            .filter(|(_, hold)| hold.covers(source, target, digest, rule));
        holds
            .map(|(id, hold)| Reason {
                hold_id: Some(id.clone()),
                message: Some(format!("{}: {}", hold.actor, hold.reason)),
                ..Reason::new(ReasonCode::Held)
            })
            .collect()
    }

    /// The votes for a case's digest and target.
    pub(crate) fn votes_for(&self, case: &Case) -> &[Vote] {
        let key = (case.source.0, case.bound.digest, case.target.0);
        self.approvals.get(&key).map_or(&[], Vec::as_slice)
    }

    /// How many people who may approve did.
    fn approvers(&self, path: &Path, case: &Case) -> usize {
        let separate = |who| path.rule.separate.contains(&who);
        let may = |vote: &&Vote| {
            let pusher = separate(Separate::Pusher) && Some(vote.actor) == case.bound.pushed_by;
            let owner = separate(Separate::RuleOwner)
                && path.rule.owner.as_deref() == Some(self.text(vote.actor));
            !pusher && !owner
        };
        self.votes_for(case).iter().filter(may).count()
    }

    /// Whether what was promoted would be promoted now: gate, expression and denies.
    pub(crate) fn would_hold(&self, path: &Path, case: &Case) -> Judgement {
        let mut judgement = Judgement {
            verdict: Verdict::Promote,
            reasons: Vec::new(),
            overrides: Vec::new(),
            wake: Wake::default(),
        };
        judgement.reasons = self.gate_reasons(path, case);
        if judgement.reasons.is_empty() {
            self.judge_rules(path, case, &mut judgement);
        }
        judgement.reasons.sort();
        judgement.reasons.dedup();
        judgement.verdict = verdict(&judgement.reasons);
        judgement
    }

    /// Judges a promotion by hand: it needs no rule; gate, denies and holds apply unless waived.
    /// Gives what objects and what would have and was waived.
    pub(crate) fn judge_by_hand(
        &self,
        case: &Case,
        destination: &Destination,
        waive: &[String],
    ) -> (Vec<Reason>, Vec<Reason>) {
        let mut waived = Vec::new();
        let mut split = |found: Vec<Reason>| -> Vec<Reason> {
            let (mut gone, mut left): (Vec<Reason>, Vec<Reason>) = found
                .into_iter()
                .partition(|reason| waive.iter().any(|code| code == reason.code.as_str()));
            waived.append(&mut gone);
            left.sort();
            left.dedup();
            left
        };
        let mut reasons =
            split(self.gate(case.source.0, case.bound.digest, &case.structure, &[], true));
        if reasons.is_empty() {
            let mut denied = Vec::new();
            self.judge_denies(
                case,
                &CaseFacts::new(self, case),
                &mut denied,
                &mut Wake::default(),
            );
            reasons = split(denied);
        }
        if reasons.is_empty() {
            // The target's own rules cannot be waived: the registry would refuse, or nothing is to do.
            let manual = self.names.find(MANUAL).unwrap_or(NameId::FIRST);
            reasons = self.target_reasons(manual, case, destination);
        }
        if reasons.is_empty() {
            reasons = split(self.held(case, MANUAL));
        }
        waived.sort();
        (reasons, waived)
    }

    /// The path of a subject, if its rule is in force and takes what the tag points at.
    pub(crate) fn taken_by(&self, key: SubjectKey, bound: &TagState) -> Option<Path> {
        let ((repository, _), rule) = key;
        let path = self.path(repository, rule)?;
        path.rule
            .classes
            .contains(&self.class(repository, bound.digest))
            .then(|| path.clone())
    }
}

fn rule_error(clause: Option<&str>, error: &EvalError) -> Reason {
    Reason {
        clause: clause.map(str::to_owned),
        message: Some(error.to_string()),
        ..Reason::new(ReasonCode::RuleError)
    }
}

/// The verdict that reasons make: error over block over wait over promote.
pub(crate) fn verdict(reasons: &[Reason]) -> Verdict {
    let weight = |verdict: &Verdict| match verdict {
        Verdict::Promote => 0,
        Verdict::Wait => 1,
        Verdict::Block => 2,
        Verdict::Error => 3,
        Verdict::Withdrawn => 4,
    };
    reasons
        .iter()
        .map(|reason| reason.code.verdict())
        .max_by_key(weight)
        .unwrap_or(Verdict::Promote)
}
