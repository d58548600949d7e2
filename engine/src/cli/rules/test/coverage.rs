//! Which clauses the tests have seen true, and seen decide.

use serde::Serialize;
use weir_rules::cel::{ClauseOutcome, Evaluation};
use weir_rules::rule::Rule;

use super::judge::Judgement;

/// What the tests have seen of one clause.
#[derive(Clone, Debug, Serialize)]
pub struct ClauseCoverage {
    /// The clause.
    pub clause: String,
    /// The line of the file on which it begins.
    pub line: usize,
    /// Some case has found it true.
    pub seen_true: bool,
    /// Some case was decided by it: it alone was false.
    pub seen_decide: bool,
}

/// What the tests have seen of one rule.
#[derive(Clone, Debug, Serialize)]
pub struct Coverage {
    /// The rule.
    pub rule: String,
    /// Its file.
    pub path: String,
    /// Its clauses, without those that are constants.
    pub clauses: Vec<ClauseCoverage>,
}

impl Coverage {
    /// Nothing seen yet. `text` is the rule's file without a byte order mark.
    pub fn new(rule: &Rule, path: &str, text: &str) -> Self {
        let clauses = rule
            .program
            .clauses()
            .iter()
            .filter(|clause| !is_constant(&clause.text));
        let clauses = clauses
            .map(|clause| ClauseCoverage {
                clause: clause.text.clone(),
                line: text
                    .get(..clause.span.start as usize)
                    .map_or(1, |before| before.matches('\n').count() + 1),
                seen_true: false,
                seen_decide: false,
            })
            .collect();
        Self {
            rule: rule.name.clone(),
            path: path.to_owned(),
            clauses,
        }
    }

    /// Adds what one case has seen.
    pub fn add(&mut self, rule: &Rule, judgement: &Judgement) {
        for evaluation in &judgement.evaluations {
            self.add_evaluation(rule, evaluation);
        }
    }

    fn add_evaluation(&mut self, rule: &Rule, evaluation: &Evaluation) {
        let is_false = |outcome: &&ClauseOutcome| matches!(outcome, ClauseOutcome::False);
        let alone = evaluation.clauses.iter().filter(is_false).count() == 1;
        let clauses = rule.program.clauses().iter().enumerate();
        let clauses = clauses.filter(|(_, clause)| !is_constant(&clause.text));
        for (seen, (at, _)) in self.clauses.iter_mut().zip(clauses) {
            match evaluation.clauses.get(at) {
                // Where all hold, none is listed.
                None | Some(ClauseOutcome::True) => seen.seen_true = true,
                Some(ClauseOutcome::False) => seen.seen_decide |= alone,
                Some(ClauseOutcome::Error(_) | ClauseOutcome::NotReached) => {}
            }
        }
    }
}

/// A constant has nothing to be seen.
pub fn is_constant(clause: &str) -> bool {
    matches!(clause, "true" | "false")
}

/// The covered share in percent, of both things that are looked for; 100 if there is nothing.
pub fn percent(all: &[Coverage]) -> f64 {
    let clauses = || all.iter().flat_map(|coverage| &coverage.clauses);
    let total = 2 * clauses().count();
    let seen: usize = clauses()
        .map(|clause| usize::from(clause.seen_true) + usize::from(clause.seen_decide))
        .sum();
    if total == 0 {
        100.0
    } else {
        100.0 * seen as f64 / total as f64
    }
}
