//! The fold: the state rebuilt from records, each checked against what its inputs lead to.

use std::collections::VecDeque;

use weir_rules::{Conclusion, Execution, State, step};
use weir_schema::{Body, Position, Record, Timestamp};

use super::{Basis, LedgerError, compared::Entry};

/// A state being rebuilt from records.
pub struct Fold {
    /// The state so far.
    pub state: State,
    execution: Execution,
    expected: VecDeque<Conclusion>,
    /// The time of the last record that was [checked](Self::checked).
    last: Timestamp,
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
            last: state.now(),
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
        match record.position {
            Position::Step { .. } => {
                let expected = self.expected(record.seq)?;
                if expected.body == record.event.body {
                    return Ok(());
                }
                Err(different(record, &expected.body))
            }
            _ => self.input(record),
        }
    }

    /// Takes the next record of a log that may have been written by others: its time must not be
    /// before that of the record before it. A log that Weir wrote has no such record.
    ///
    /// # Errors
    /// If it is, or as [`Self::record`].
    pub fn checked(&mut self, record: &Record) -> Result<(), LedgerError> {
        let (seq, at) = (record.seq, record.recorded_at);
        // Records before this one may have been taken without this check.
        let before = self.last.max(self.state.now());
        if at < before {
            return Err(LedgerError::Earlier { seq, at, before });
        }
        self.last = at;
        self.record(record)
    }

    /// Takes the next record. A conclusion of which only the bytes are there is believed to be what
    /// its input leads to, which takes its place: to compare the two is left to whoever has the bytes.
    pub(super) fn entry(&mut self, entry: &mut Entry) -> Result<(), LedgerError> {
        match entry {
            Entry::Decoded(record) => self.record(record)?,
            Entry::Written(concluded) => {
                let drawn = self.expected(concluded.seq)?;
                *entry = Entry::Drawn(concluded.clone(), drawn);
            }
            Entry::Drawn(..) => {}
        }
        Ok(())
    }

    /// The conclusion that the record `seq` must be.
    fn expected(&mut self, seq: u64) -> Result<Conclusion, LedgerError> {
        match self.expected.pop_front() {
            Some(expected) if expected.seq == seq => Ok(expected),
            Some(expected) => {
                let problem = format!("its sequence should be {}", expected.seq);
                Err(LedgerError::Diverged { seq, problem })
            }
            None => {
                let problem = "nothing was to be concluded".to_owned();
                Err(LedgerError::Diverged { seq, problem })
            }
        }
    }

    fn input(&mut self, record: &Record) -> Result<(), LedgerError> {
        let seq = record.seq;
        let diverged = |problem: String| Err(LedgerError::Diverged { seq, problem });
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

/// That a record is not what its input leads to.
pub(super) fn different(record: &Record, expected: &Body) -> LedgerError {
    let (expected, found) = (expected.kind(), record.event.body.kind());
    let problem = match expected == found {
        true => format!("expected a {expected} that says something else"),
        false => format!("expected {expected}, found {found}"),
    };
    LedgerError::Diverged {
        seq: record.seq,
        problem,
    }
}
