//! The fold: the state rebuilt from records, each checked against what its inputs lead to.

use std::collections::VecDeque;

use weir_rules::{Conclusion, Execution, State, step};
use weir_schema::{Position, Record};

use super::{Basis, LedgerError};

/// A state being rebuilt from records.
pub struct Fold {
    /// The state so far.
    pub state: State,
    execution: Execution,
    expected: VecDeque<Conclusion>,
}

impl Fold {
    /// A fold from the first record.
    #[must_use]
    pub fn new(basis: &Basis) -> Self {
        Self::from_state(State::new(basis.settings.clone()), basis.execution)
    }

    /// A fold that goes on after `state`.
    #[must_use]
    pub fn from_state(state: State, execution: Execution) -> Self {
        Self {
            state,
            execution,
            expected: VecDeque::new(),
        }
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// If a conclusion is not what its input leads to.
    pub fn record(&mut self, record: &Record) -> Result<(), LedgerError> {
        let seq = record.seq;
        let diverged = |problem: String| Err(LedgerError::Diverged { seq, problem });
        if let Position::Step { .. } = record.position {
            return match self.expected.pop_front() {
                Some(expected) if expected.seq == seq && expected.body == record.event.body => {
                    Ok(())
                }
                Some(expected) => diverged(format!(
                    "expected {}, found {}",
                    expected.body.kind(),
                    record.event.body.kind()
                )),
                None => diverged("nothing was to be concluded".to_owned()),
            };
        }
        if let Some(expected) = self.expected.front() {
            return diverged(format!("{} is missing", expected.body.kind()));
        }
        let done = step(
            &mut self.state,
            record.recorded_at,
            &record.event.body,
            self.execution,
        );
        if done.seq != seq {
            return diverged(format!("its sequence should be {}", done.seq));
        }
        self.expected = done.conclusions.into();
        Ok(())
    }

    /// What the last input leads to and has not come; from here on it counts as come.
    pub(super) fn take_expected(&mut self) -> VecDeque<Conclusion> {
        std::mem::take(&mut self.expected)
    }

    /// Whether all that the inputs so far lead to has come: between two steps.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.expected.is_empty()
    }
}
