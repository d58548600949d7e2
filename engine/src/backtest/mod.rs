//! Backtest: what other rules would have decided on a recorded history.
//!
//! ```text
//! history ── blocks ──> decode (every core) ──> given ──┬─> old side ──┐
//!            file, log                                  └─> new side ──┴─> compare ──> differences
//!                                                                             │
//!            what matters to those that are listed, once more <───────────────┘
//! ```
//!
//! Where the change can touch only a part of the registry (see `scope.rs`) the history is first read
//! without folding it; then what matters to that part is decoded again and folded, and of everything
//! else only the time passes. Decisions elsewhere come out alike and are not made, nor counted. Where
//! that part is most of what the history begins with, all of it is folded, in one reading.
//!
//! Both sides are folded by the core's `step`, from the first record on, with promotions that
//! complete at once, so that they differ by rules only.
//!
//! # What is given
//!
//! The history's inputs stay as they were, with their times: pushes, deletions, scans, overrides,
//! approvals, holds, requests to promote by hand, settings of repositories. Time passes at every
//! record, whatever it says.
//!
//! What followed from the old rules is not given, and follows anew on each side:
//! - decisions, violations, and what came of Weir's own promotions (`started`, `completed`, `failed`,
//!   `retried`). A copy that failed, or is still under way, has gone well on both sides;
//! - what a registry told of Weir's own copies (see `own.rs`): where the new rules did not promote,
//!   the tag is not there, and the next stage's rules do not see it. What such a push says of
//!   content stays true.
//!
//! What people and other systems did afterwards stays, also where the reason for it has gone: a tag
//! that was deleted from staging is deleted from there, whenever it came.
//!
//! # Which rules
//!
//! The **new** rules stand in place of all rule sets that the history put in force: they are in
//! force from where its first was, or from its first record if it put none in force. Without
//! other rules to compare with, the **old** side has what was in force as recorded; otherwise both
//! sides have their rules from the first record on.
//!
//! # What is compared
//!
//! A subject is a tag's binding under a rule: the same tag, digest and rule, from the same input
//! on. In a repository into which something is promoted a tag may come to its digest at different
//! inputs on the two sides; those are compared in their order. That a subject is withdrawn is no
//! answer: what was said of it before counts. [`Kind`] says how two sides may differ.
//!
//! Times limit what is counted and listed, never what is folded.

mod alone;
mod clauses;
mod compare;
mod decoding;
mod detail;
mod findings;
mod given;
mod history;
mod index;
pub mod jobs;
mod mark;
mod markdown;
mod own;
mod pipeline;
mod relevant;
mod report;
mod retelling;
mod scope;
mod side;
mod watching;
pub mod words;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use weir_schema::{RecordError, RuleFile, Timestamp};

pub use alone::inputs;
pub use history::Source;
pub use markdown::markdown;
pub use report::{
    Change, ChangedRule, Clause, Decided, Difference, History, Kind, Moment, Outcome, Part,
    Promoted, Report, Totals, Violation,
};

use crate::{log::ReadError, node::LedgerError};
use compare::Range;
use detail::Again;
use pipeline::{Folded, Pipeline};
use scope::Scope;
use side::InForce;

/// How many differences are listed if nothing is said.
pub const LISTED: usize = 100;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The new rules.
    pub new: Vec<RuleFile>,
    /// The old rules; without them, what was in force in the recorded history.
    pub old: Option<Vec<RuleFile>>,
    /// Count and list only what happened from then on.
    pub since: Option<Timestamp>,
    /// Count and list only what happened before then.
    pub until: Option<Timestamp>,
    /// List at most so many differences; the others are counted.
    pub limit: usize,
    /// Threads that decode the history, ahead of the two that fold it; without it, one for each
    /// core. The answer is the same.
    pub jobs: Option<NonZeroUsize>,
}

impl Question {
    /// Whether its rules can be in force.
    ///
    /// # Errors
    /// If a rule set is refused.
    pub fn check(&self) -> Result<(), BacktestError> {
        let refused = |which| move |errors| BacktestError::Rules { which, errors };
        scope::check_offered(&self.new).map_err(refused("new"))?;
        if let Some(files) = &self.old {
            scope::load(files).map_err(refused("old"))?;
        }
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            return Err(BacktestError::NoTime { since, until });
        }
        Ok(())
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BacktestError {
    /// A rule set is refused.
    #[error("the {which} rules are refused:\n{errors}")]
    Rules {
        /// `old` or `new`.
        which: &'static str,
        /// Every error with its place.
        errors: String,
    },
    /// There is no time between the two.
    #[error(
        "nothing is told from {since} on and before {until}: the first is not before the other"
    )]
    NoTime {
        /// From when on.
        since: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// The history cannot be read.
    #[error("cannot read the history: {0}")]
    Io(#[from] std::io::Error),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What the log was decided under cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A record is not what this version reads.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It was stopped.
    #[error("the backtest was stopped")]
    Stopped,
    /// A thread could not be started, or panicked.
    #[error("the backtest failed: {0}")]
    Thread(String),
}

/// How far a backtest is, and whether it shall go on.
pub trait Watch: Sync {
    /// So much of the history is folded on both sides.
    fn folded(&self, _done: u64, _of: u64) {}

    /// Asked now and then; ends the backtest if true.
    fn is_stopped(&self) -> bool {
        false
    }
}

/// Nobody watches.
pub struct Unwatched;

impl Watch for Unwatched {}

/// Folds a history under both rule sets and tells what differs.
///
/// # Errors
/// If a rule set is refused, the history cannot be read, or `watch` says to stop. A line of a file
/// that is no event is counted as rejected and is no error.
pub fn run(
    source: &Source,
    question: &Question,
    watch: &dyn Watch,
) -> Result<Report, BacktestError> {
    question.check()?;
    let recorded = match &question.old {
        Some(_) => None,
        None => source.first_rules()?,
    };
    let (old, new) = match (&question.old, &recorded) {
        (Some(files), _) => (
            InForce::FromTheFirst(files.clone()),
            InForce::FromTheFirst(question.new.clone()),
        ),
        (None, Some(_)) => (
            InForce::AsRecorded,
            InForce::InPlaceOfTheFirst(question.new.clone()),
        ),
        (None, None) => (
            InForce::AsRecorded,
            InForce::FromTheFirst(question.new.clone()),
        ),
    };
    let before = question.old.clone().or(recorded).unwrap_or_default();
    let settings = source.settings()?;
    let stopped = AtomicBool::new(false);
    let mut pipeline = Pipeline {
        source,
        settings: &settings,
        in_force: [&old, &new],
        rules: rule_names(&before)
            .into_iter()
            .chain(rule_names(&question.new))
            .collect(),
        new_files: &question.new,
        scope: Arc::new(Scope::between(&before, &question.new)),
        range: Range {
            since: question.since,
            until: question.until,
        },
        jobs: question.jobs,
        watch,
        stopped: &stopped,
    };
    let folded = loop {
        match pipeline.fold()? {
            Some(folded) => break folded,
            // The history put rules in force, or moved something, by which the change reaches beyond
            // what was thought; or that is most of it.
            None => {
                pipeline.scope = Arc::new(Scope::Everything);
                stopped.store(false, Ordering::Relaxed);
            }
        }
    };
    let Folded {
        mut comparison,
        surveyed,
    } = folded;
    let index = &surveyed.index;
    let (found, totals) = comparison.finish(index);
    let listed = found.len().min(question.limit);
    let again = Again {
        pipeline: &pipeline,
        index,
        comparison: &comparison,
    };
    let differences = pipeline::on_deep_stack(|| again.detail(&found[..listed]))??;
    Ok(Report {
        since: question.since,
        until: question.until,
        rules: (surveyed.changed()).unwrap_or_else(|| scope::changes(&before, &question.new)),
        repositories: pipeline.scope.patterns(),
        old: comparison.old,
        new: comparison.new,
        totals,
        differences,
        unlisted: (found.len() - listed) as u64,
        history: surveyed.history,
    })
}

/// The names of the rules in a set; of one that is refused, none.
fn rule_names(files: &[RuleFile]) -> Vec<String> {
    let set = scope::load(files).unwrap_or_default();
    set.rules().iter().map(|rule| rule.name.clone()).collect()
}
