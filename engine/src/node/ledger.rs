//! The ledger: log, state and dedup, moved together and by one thread.
//!
//! An input's record and the conclusions it caused are appended in one atomic batch and durable
//! before anybody hears of them. Opening folds the log through the same step and compares: a
//! conclusion that comes out differently is an error, never another history.

use std::{collections::VecDeque, path::Path};

use weir_rules::{Command, Conclusion, Execution, Settings, State, step};
use weir_schema::{Event, Position, Received, Record, RecordError, Timestamp, record};

use crate::{
    dedup::Dedup,
    log::{
        AppendError, EncodedRecord, Log, LogOptions, LogReader, OpenError, ReadError,
        StreamPosition,
    },
};

/// The `source` of what Weir itself says.
pub const SOURCE: &str = "/weir";

/// Where the log keeps how promotions are executed.
const EXECUTION: &str = "execution";

/// An input on its way into the log.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// What came.
    pub received: Received,
    /// The log's time for it.
    pub at: Timestamp,
    /// Where it came from.
    pub position: Position,
}

/// What became of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is this record.
    Recorded(u64),
    /// The same delivery came before.
    Repeated,
}

/// Why a ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A record cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record is not what this version writes.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The log cannot be written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log was decided otherwise than this version decides.
    #[error(
        "record {seq} of the log is not what its inputs lead to: {problem}; it was changed, or another version of weir decided it"
    )]
    Diverged {
        /// The record.
        seq: u64,
        /// What is different.
        problem: String,
    },
}

/// Log, state and dedup.
pub struct Ledger {
    log: Log,
    state: State,
    dedup: Dedup,
    execution: Execution,
}

impl Ledger {
    /// Opens the log in `dir`, or creates it, and folds it.
    ///
    /// `execution` counts for a new log; an old one goes on as it began.
    ///
    /// # Errors
    /// If the log is in use, damaged, of another version, or not what its inputs lead to.
    pub fn open(
        dir: &Path,
        options: LogOptions,
        settings: Settings,
        execution: Execution,
    ) -> Result<Self, LedgerError> {
        let read_only = options.read_only;
        let mut log = Log::open(dir, options)?;
        let execution = match log.reader().meta_get(EXECUTION)?.as_deref() {
            Some(b"at-once") => Execution::AtOnce,
            Some(_) => Execution::Commands,
            None if read_only => execution,
            None => {
                let name: &[u8] = if execution == Execution::AtOnce {
                    b"at-once"
                } else {
                    b"commands"
                };
                log.meta_put(EXECUTION, name)?;
                execution
            }
        };
        let mut fold = Fold::new(settings, execution);
        for row in log.reader().range(1, None) {
            let (_, bytes) = row?;
            fold.record(&Record::decode(&bytes)?)?;
        }
        Ok(Self {
            log,
            state: fold.state,
            dedup: fold.dedup,
            execution,
        })
    }

    /// The state at the end of the log.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// A handle for reading the log.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        self.log.reader()
    }

    /// The log itself, for checkpoints and small notes.
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// Takes inputs in order; returns once they and what they led to are durable. How inputs are
    /// grouped into calls changes nothing.
    ///
    /// # Errors
    /// If the log cannot be written. The state is then ahead of the log: the caller must stop.
    pub fn take(
        &mut self,
        inputs: Vec<Incoming>,
        position: Option<StreamPosition>,
    ) -> Result<(Vec<Taken>, Vec<Command>), AppendError> {
        let mut records = Vec::new();
        let mut commands = Vec::new();
        let mut taken = Vec::with_capacity(inputs.len());
        let mut previous = self.log.head().previous;
        for input in inputs {
            let at = input.at.max(self.state.now());
            if !self.dedup.is_new(&input.received.event, at) {
                taken.push(Taken::Repeated);
                continue;
            }
            let done = step(
                &mut self.state,
                at,
                &input.received.event.body,
                self.execution,
            );
            let mut push = |seq, received: &Received, position: &Position| {
                let encoded =
                    EncodedRecord::new(seq, record::encode(seq, at, received, position, &previous));
                previous = encoded.hash;
                records.push(encoded);
            };
            push(done.seq, &input.received, &input.position);
            for conclusion in done.conclusions {
                let seq = conclusion.seq;
                let position = Position::Step { trigger: done.seq };
                push(seq, &conclusion_event(conclusion, at).into(), &position);
            }
            taken.push(Taken::Recorded(done.seq));
            commands.extend(done.commands);
        }
        if !records.is_empty() || position.is_some() {
            self.log.append(&records, position)?;
        }
        Ok((taken, commands))
    }
}

/// A conclusion as the event that is recorded and published.
fn conclusion_event(conclusion: Conclusion, at: Timestamp) -> Event {
    Event {
        id: conclusion.seq.to_string(),
        source: SOURCE.into(),
        time: Some(at),
        subject: None,
        body: conclusion.body,
    }
}

/// A state being rebuilt from records.
pub struct Fold {
    /// The state so far.
    pub state: State,
    dedup: Dedup,
    execution: Execution,
    expected: VecDeque<Conclusion>,
}

impl Fold {
    /// A fold from the first record.
    #[must_use]
    pub fn new(settings: Settings, execution: Execution) -> Self {
        Self {
            state: State::new(settings),
            dedup: Dedup::default(),
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
        self.dedup.is_new(&record.event, record.recorded_at);
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
}

/// The state as it was at record `seq`, folded from the log.
///
/// # Errors
/// As [`Ledger::open`].
pub fn state_at(reader: &LogReader, settings: Settings, seq: u64) -> Result<State, LedgerError> {
    let execution = match reader.meta_get(EXECUTION)?.as_deref() {
        Some(b"at-once") => Execution::AtOnce,
        _ => Execution::Commands,
    };
    let mut fold = Fold::new(settings, execution);
    for row in reader.range(1, Some(seq)) {
        let (_, bytes) = row?;
        fold.record(&Record::decode(&bytes)?)?;
    }
    Ok(fold.state)
}
