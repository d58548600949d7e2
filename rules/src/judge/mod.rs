//! The judgement of one subject, stage by stage (DESIGN section 6): gate, rule, target, people
//! and time. The first stage that objects decides; all of its reasons are given.

mod by_hand;
mod people;
mod target;

use std::sync::Arc;

use weir_schema::{ReasonCode, Timestamp, Verdict};

pub(crate) use target::Destination;

use crate::{
    cel::{ClauseOutcome, EvalError, Evaluation, NextChange},
    facts::{Case, CaseFacts},
    gate::Question,
    rule::{Rule, ScanRequirement},
    state::{
        More, Obstacle, Path, Reads, RuleInForce, State, SubjectKey, Wake, speaks_of_target,
        verdict,
    },
    template::TemplateInput,
};

/// What is said of a subject now.
#[derive(Debug, Clone)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) reasons: Vec<Obstacle>,
    pub(crate) overrides: Vec<String>,
    pub(crate) wake: Wake,
    /// What it rests on.
    pub(crate) reads: Reads,
    /// Whether a reason's text says what time it is.
    pub(crate) tells_time: bool,
    /// Whether an expression asked what hangs on which target it is.
    pub(crate) asks_for_target: bool,
    /// Once gate, expression and denies have no objection: what that rests on, and when it may
    /// change. It is what a promotion is held to afterwards.
    pub(crate) holds_on: Option<(Wake, Reads)>,
}

impl Judgement {
    fn new() -> Self {
        Self {
            verdict: Verdict::Promote,
            reasons: Vec::new(),
            overrides: Vec::new(),
            wake: Wake::default(),
            reads: Reads::NOTHING,
            tells_time: false,
            asks_for_target: false,
            holds_on: None,
        }
    }

    /// Takes in an evaluation, but for its outcome.
    fn rest_on(&mut self, change: NextChange) {
        match change {
            NextChange::Never => {}
            NextChange::At(at) => self.wake_at(at),
            NextChange::EveryRecord => self.wake.restless = true,
        }
    }

    /// Takes in what was asked of facts.
    fn rest_on_facts(&mut self, facts: &CaseFacts<'_>) {
        self.reads = self.reads.and(facts.reads());
        self.asks_for_target |= facts.asks_for_target();
    }

    fn wake_at(&mut self, at: Timestamp) {
        self.wake.at = Some(self.wake.at.map_or(at, |known| known.min(at)));
    }

    fn finish(mut self, state: &State, case: &Case<'_>) -> Self {
        state.sort_reasons(&mut self.reasons);
        self.verdict = verdict(&self.reasons);
        let target = [case.target.repository, case.target.tag];
        state.fit(target, &mut self.reasons, &mut self.overrides);
        self
    }
}

impl State {
    /// Judges a case under a promote rule. Messages tell the time `said_at`.
    pub(crate) fn judge(&self, path: &Path, case: &Case<'_>, said_at: Timestamp) -> Judgement {
        let mut judgement = Judgement::new();
        self.judge_gate(path, case, &mut judgement);
        if judgement.reasons.is_empty() {
            self.judge_rules(path, case, said_at, &mut judgement);
        }
        if judgement.reasons.is_empty() {
            judgement.holds_on = Some((judgement.wake, judgement.reads));
            self.judge_target(Some(path.rule.name), case, &mut judgement);
        }
        if judgement.reasons.is_empty() {
            self.judge_people(path, case, &mut judgement);
        }
        judgement.finish(self, case)
    }

    /// Whether what was promoted would be promoted now: gate, expression and denies.
    pub(crate) fn would_hold(&self, path: &Path, case: &Case<'_>) -> Judgement {
        let mut judgement = Judgement::new();
        self.judge_gate(path, case, &mut judgement);
        if judgement.reasons.is_empty() {
            self.judge_rules(path, case, self.now, &mut judgement);
        }
        // A violation does not list them.
        judgement.overrides.clear();
        judgement.finish(self, case)
    }

    /// What each stage says by itself, with its name.
    pub(crate) fn judge_stages(
        &self,
        path: &Path,
        case: &Case<'_>,
    ) -> [(&'static str, Vec<Obstacle>); 4] {
        let stage = |judge: &dyn Fn(&mut Judgement)| {
            let mut judgement = Judgement::new();
            judge(&mut judgement);
            judgement.finish(self, case).reasons
        };
        [
            ("gate", stage(&|one| self.judge_gate(path, case, one))),
            (
                "rule",
                stage(&|one| self.judge_rules(path, case, self.now, one)),
            ),
            (
                "target",
                stage(&|one| self.judge_target(Some(path.rule.name), case, one)),
            ),
            (
                "people and time",
                stage(&|one| self.judge_people(path, case, one)),
            ),
        ]
    }

    /// Stage 1: content, presence and scans.
    fn judge_gate(&self, path: &Path, case: &Case<'_>, judgement: &mut Judgement) {
        let required = path.rule.rule.scan == ScanRequirement::Required;
        let (reasons, reads) = self.gate(&Question {
            repository: case.repository,
            subject: case.bound.digest,
            parts: &case.parts,
            scanners: case.scanners,
            scans: Self::scans_count(case.class, required),
        });
        judgement.reasons.extend(reasons);
        judgement.reads = judgement.reads.and(reads);
    }

    /// Stage 2: the rule's expression and the denies.
    fn judge_rules(
        &self,
        path: &Path,
        case: &Case<'_>,
        said_at: Timestamp,
        judgement: &mut Judgement,
    ) {
        let facts = CaseFacts::new(self, case);
        let evaluation = path.rule.rule.program.decide(&facts);
        judgement.rest_on(evaluation.next_change);
        if evaluation.outcome != Ok(true) {
            objections(&path.rule, &evaluation, &mut judgement.reasons);
        }
        judgement.overrides = facts.overrides_used();
        judgement.rest_on_facts(&facts);
        let facts = if case.scanners.is_empty() {
            facts
        } else {
            CaseFacts::by_any_scanner(self, case)
        };
        self.judge_denies(case, &facts, said_at, judgement);
        judgement.rest_on_facts(&facts);
    }

    /// The deny rules that match source, class and target, in the order of the rule set.
    pub(crate) fn matching_denies(&self, case: &Case<'_>) -> Vec<&RuleInForce> {
        let from = &self.repository(case.repository).denies_from;
        let to = case.target.id.map(|id| self.tag_row(id).repository);
        let to = to.map(|id| &self.repository(id).denies_to);
        from.iter()
            .filter(|place| {
                to.map_or_else(
                    || speaks_of_target(&self.in_force[**place].rule, case.target.repository),
                    |to| to.binary_search(place).is_ok(),
                )
            })
            .map(|place| &*self.in_force[*place])
            .filter(|deny| deny.rule.classes.contains(&case.class))
            .collect()
    }

    fn judge_denies(
        &self,
        case: &Case<'_>,
        facts: &CaseFacts<'_>,
        said_at: Timestamp,
        judgement: &mut Judgement,
    ) {
        for deny in self.matching_denies(case) {
            let rule = &deny.rule;
            let evaluation = rule.program.decide(facts);
            judgement.rest_on(evaluation.next_change);
            let deny_rule = Some(rule.name.clone());
            match evaluation.outcome {
                Ok(false) => {}
                Ok(true) => {
                    judgement.tells_time |=
                        rule.message.as_ref().is_some_and(|text| text.uses_time());
                    let message = Some(self.deny_message(rule, case, said_at));
                    let more = More {
                        deny_rule,
                        message,
                        ..More::default()
                    };
                    judgement
                        .reasons
                        .push(Obstacle::with(ReasonCode::Denied, more));
                }
                Err(error) => {
                    let clause = match rule.program.clauses() {
                        [only] => Some(&*only.text),
                        _ => None,
                    };
                    let more = More {
                        deny_rule,
                        ..error_of(clause, &error)
                    };
                    judgement
                        .reasons
                        .push(Obstacle::with(ReasonCode::RuleError, more));
                }
            }
        }
    }

    pub(crate) fn deny_message(&self, rule: &Rule, case: &Case<'_>, said_at: Timestamp) -> String {
        let Some(message) = &rule.message else {
            return match rule.program.clauses() {
                [only] => only.text.clone(),
                _ => rule.program.text().to_owned(),
            };
        };
        let (source, tag) = self.tag_texts(case.source);
        let from = rule.from.as_ref();
        message.render(&TemplateInput {
            tag,
            digest: &self.digest(case.bound.digest).to_string(),
            repository: source,
            captures: &from
                .and_then(|from| from.captures(source))
                .unwrap_or_default(),
            time: said_at.datetime(),
        })
    }

    /// The path of a subject, if its rule is in force and takes what the tag points at.
    pub(crate) fn taken_by(&self, key: SubjectKey) -> Option<&Path> {
        let tag = self.tag_row(key.0);
        let bound = tag.bound.as_ref()?;
        let path = self.path(tag.repository, key.1)?;
        let class = self.class(tag.repository, bound.digest);
        path.rule.rule.classes.contains(&class).then_some(path)
    }
}

/// What the clauses say of an expression that does not hold.
fn objections(rule: &RuleInForce, evaluation: &Evaluation, reasons: &mut Vec<Obstacle>) {
    let clauses = rule.clauses.iter().zip(&evaluation.clauses);
    let before = reasons.len();
    match &evaluation.outcome {
        Ok(_) => reasons.extend(
            clauses
                .filter(|(_, outcome)| matches!(outcome, ClauseOutcome::False))
                .map(|(clause, _)| Obstacle {
                    more: Some(Arc::clone(clause)),
                    ..Obstacle::new(ReasonCode::ClauseFalse)
                }),
        ),
        Err(error) => {
            for (clause, outcome) in clauses {
                if let ClauseOutcome::Error(error) = outcome {
                    let more = error_of(clause.clause.as_deref(), error);
                    reasons.push(Obstacle::with(ReasonCode::RuleError, more));
                }
            }
            if reasons.len() == before {
                let more = error_of(None, error);
                reasons.push(Obstacle::with(ReasonCode::RuleError, more));
            }
        }
    }
}

fn error_of(clause: Option<&str>, error: &EvalError) -> More {
    More {
        clause: clause.map(str::to_owned),
        message: Some(error.to_string()),
        ..More::default()
    }
}
