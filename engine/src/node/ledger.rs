//! The ledger: log, state and dedup, moved together and by one thread.
//!
//! An input's record and the conclusions it caused are appended in one atomic batch and durable
//! before anybody hears of them. Opening folds the log, from a snapshot on, through the same step
//! and compares: a conclusion that comes out differently is an error, never another history.

use std::{
    path::{Path, PathBuf},
    thread,
};

use weir_rules::{Command, Conclusion, Execution, Settings, State, step};
use weir_schema::{
    Digest, Event, InputRejected, Position, Received, RecordError, Timestamp, ToSmolStr as _,
};

use super::{
    Basis,
    ahead::Decode,
    deliveries, keeper,
    rebuild::rebuild,
    recent::{Said, is_for_the_world},
    transfer::is_unfinished,
};
use crate::{
    adapters,
    dedup::Dedup,
    identifiers,
    log::{
        AppendError, EncodedRecord, Log, LogOptions, LogReader, MAX_RECORD_BYTES, OpenError,
        Pending, ReadError, StreamPosition,
    },
};

/// Bytes of the longest event that a record can hold, with what else is in it. What is concluded is
/// bounded by the same limit, in `weir_rules`.
const LONGEST_EVENT: usize = MAX_RECORD_BYTES - (1 << 20);

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

/// Inputs that are decided, and not yet written.
pub struct Decided {
    records: Vec<Entry>,
    /// What became of each input.
    pub taken: Vec<Taken>,
    /// What is to be carried out, each with the number of its input.
    pub commands: Vec<(usize, Command)>,
}

/// A record on its way into the log.
struct Entry {
    seq: u64,
    at: Timestamp,
    /// The number of the input.
    input: usize,
    position: Position,
    event: Received,
}

/// Records that are written. Nobody may hear of them before `pending` is durable.
#[must_use = "nothing is durable before `pending` has been waited for"]
pub struct Written {
    /// What to wait for; `None` if there was nothing to write.
    pub pending: Option<Pending>,
    /// What is for the world, each with the number of its input.
    pub said: Vec<(usize, Said)>,
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
        "record {seq} of the log is not what its inputs lead to: {problem}; it was changed, or another version of weir decided it: go on with that version, or take the log of another node or a backup that `weir verify` finds whole"
    )]
    Diverged {
        /// The record.
        seq: u64,
        /// What is different.
        problem: String,
    },
    /// The time of a record goes back.
    #[error(
        "record {seq} of the log has the time {at}, the one before it {before}: the time of a log never goes back; it was changed, or not written by weir: take the log of another node or a backup that `weir verify` finds whole"
    )]
    Earlier {
        /// The record.
        seq: u64,
        /// Its time.
        at: Timestamp,
        /// The time of the record before.
        before: Timestamp,
    },
    /// The configuration is not the one that the log was decided under.
    #[error(
        "the log was begun with `bundle_repositories = \"{kept}\"`, the configuration says \"{wanted}\": what is an application was decided by it; set it back, or begin a new log in another data directory"
    )]
    OtherSettings {
        /// What the log keeps.
        kept: String,
        /// What is configured.
        wanted: String,
    },
    /// The settings kept with the log cannot be read.
    #[error(
        "the settings kept with the log cannot be read; a newer version of weir may have written them"
    )]
    UnknownSettings,
    /// An import into the log has not ended.
    #[error(
        "the import into this log was interrupted: run the same `weir import log` again, or remove the directory"
    )]
    Unfinished,
    /// A record that is not there yet.
    #[error("there is no record {seq}: the log ends with {last}")]
    Beyond {
        /// The record asked for.
        seq: u64,
        /// The last there is.
        last: u64,
    },
}

/// Log, state and dedup.
pub struct Ledger {
    log: Log,
    decider: Decider,
    archive: Option<PathBuf>,
}

/// State and dedup: what is decided, ahead of what is written.
pub struct Decider {
    state: State,
    dedup: Dedup,
    basis: Basis,
}

impl Ledger {
    /// Opens the log in `dir`, or creates it, and rebuilds its state.
    ///
    /// `execution` and `settings` count for a new log. An old one goes on as it began: with its
    /// own execution, and only with the settings that it was decided under.
    ///
    /// # Errors
    /// If the log is in use, damaged, of another version, decided under other settings, or not
    /// what its inputs lead to.
    pub fn open(
        dir: &Path,
        options: LogOptions,
        settings: Settings,
        execution: Execution,
    ) -> Result<Self, LedgerError> {
        let read_only = options.read_only;
        let mut log = Log::open(dir, options)?;
        refuse_unfinished(&log.reader())?;
        let wanted = Basis {
            settings,
            execution,
        };
        let basis = Basis::agreed(&log.reader(), wanted)?;
        let reader = log.reader();
        let (state, dedup) = thread::scope(|scope| {
            let recent = scope.spawn(|| deliveries::recent(&reader));
            let state = state_of(&reader, &basis);
            (state, recent.join())
        });
        let state = state?;
        let dedup = dedup.map_err(|_| ReadError::Store {
            cause: "reading the deliveries panicked".to_owned(),
        })??;
        if !read_only {
            basis.keep(&mut log)?;
        }
        Ok(Self {
            log,
            decider: Decider {
                state,
                dedup,
                basis,
            },
            archive: None,
        })
    }

    /// Opens a log for reading, under the settings that it keeps itself.
    ///
    /// # Errors
    /// As [`Self::open`], and if there is none.
    pub fn open_to_read(dir: &Path) -> Result<Self, LedgerError> {
        let log = open_log_to_read(dir)?;
        let basis = Basis::of(&log.reader())?;
        let state = state_of(&log.reader(), &basis)?;
        Ok(Self {
            log,
            decider: Decider {
                state,
                dedup: Dedup::default(),
                basis,
            },
            archive: None,
        })
    }

    /// The state at the end of the log.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.decider.state
    }

    /// A handle for reading the log.
    #[must_use]
    pub fn reader(&self) -> LogReader {
        self.log.reader()
    }

    /// Has a node write each full segment of the log into `dir`, as archive files.
    pub fn archive_to(&mut self, dir: PathBuf) {
        self.archive = Some(dir);
    }

    /// Where a node writes full segments.
    #[must_use]
    pub fn archive(&self) -> Option<&Path> {
        self.archive.as_deref()
    }

    /// The log itself, for checkpoints and small notes.
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// What decisions depend on besides the inputs.
    #[must_use]
    pub fn basis(&self) -> &Basis {
        &self.decider.basis
    }

    /// The ledger in two, for two threads: what decides, and what writes. They must see the same
    /// inputs in the same order.
    #[must_use]
    pub fn into_parts(self) -> (Decider, Log) {
        (self.decider, self.log)
    }

    /// Keeps a snapshot where that makes the next start quicker. Call it before a clean stop.
    pub fn keep_snapshot(&self) {
        self.decider.keep_snapshot(&self.log.reader());
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
        let mut decided = self.decider.decide(inputs);
        let commands = std::mem::take(&mut decided.commands);
        let taken = std::mem::take(&mut decided.taken);
        let written = write(&mut self.log, decided, position, &[])?;
        if let Some(pending) = written.pending {
            pending.wait()?;
        }
        let commands = commands.into_iter().map(|(_, command)| command);
        Ok((taken, commands.collect()))
    }
}

impl Decider {
    /// The state after all that was decided, written or not.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Decides inputs in order.
    pub fn decide(&mut self, inputs: Vec<Incoming>) -> Decided {
        let mut records = Vec::with_capacity(inputs.len() * 2);
        let mut commands = Vec::new();
        let mut taken = Vec::with_capacity(inputs.len());
        for (number, mut input) in inputs.into_iter().enumerate() {
            if let Some(reason) = refused(&input.received) {
                input.received = rejection(&input.received, reason);
            }
            let at = input.at.max(self.state.now());
            if !self.dedup.is_new(&input.received.event, at) {
                taken.push(Taken::Repeated);
                continue;
            }
            let body = &input.received.event.body;
            let done = step(&mut self.state, at, body, self.basis.execution);
            records.push(Entry {
                seq: done.seq,
                at,
                input: number,
                position: input.position,
                event: input.received,
            });
            for conclusion in done.conclusions {
                records.push(Entry {
                    seq: conclusion.seq,
                    at,
                    input: number,
                    position: Position::Step { trigger: done.seq },
                    event: conclusion_event(conclusion, at).into(),
                });
            }
            taken.push(Taken::Recorded(done.seq));
            commands.extend(done.commands.into_iter().map(|command| (number, command)));
        }
        Decided {
            records,
            taken,
            commands,
        }
    }

    /// Keeps a snapshot where that makes the next start quicker. All must be written.
    pub fn keep_snapshot(&self, reader: &LogReader) {
        if let Err(error) = keeper::keep_at_stop(reader, &self.state) {
            tracing::warn!("no snapshot was kept, so the next start takes longer: {error}");
        }
    }
}

/// Why an event is not taken, by whichever way it came.
fn refused(received: &Received) -> Option<String> {
    // A type that is not known may be as long as anything else.
    let kind = || adapters::clip(received.event.body.kind());
    let bytes = received.json.len();
    if bytes > LONGEST_EVENT {
        return Some(format!(
            "the `{}` has {bytes} bytes, and at most {LONGEST_EVENT} fit into a record of the log: send it in parts, or with less in it",
            kind()
        ));
    }
    let problem = identifiers::too_long(&received.event.body)?;
    Some(format!("`data` of `{}`: {problem}", kind()))
}

/// What is recorded of an event that is not taken: that it came, and what to do.
fn rejection(received: &Received, reason: String) -> Received {
    let rejected = InputRejected {
        reason,
        payload_digest: Digest::of(received.json.as_bytes()),
        adapter: None,
        payload: None,
    };
    adapters::rejection("log", rejected)
}

/// Writes what was decided, with the position of its last input and `notes` in the same batch. Nothing
/// of it is durable yet.
///
/// # Errors
/// If the log cannot be written. What was decided is then ahead of the log: the caller must stop.
pub fn write(
    log: &mut Log,
    decided: Decided,
    position: Option<StreamPosition>,
    notes: &[(&'static str, Vec<u8>)],
) -> Result<Written, AppendError> {
    let mut records = Vec::with_capacity(decided.records.len());
    let mut said = Vec::new();
    let mut previous = log.head().previous;
    for entry in decided.records {
        let Entry { seq, at, event, .. } = entry;
        let encoded = EncodedRecord::of(seq, at, &event, &entry.position, previous);
        previous = encoded.hash;
        records.push(encoded);
        if is_for_the_world(&event.event.body) {
            said.push((entry.input, Said { seq, event }));
        }
    }
    let pending = if records.is_empty() && position.is_none() && notes.is_empty() {
        None
    } else {
        let notes: Vec<(&str, &[u8])> = notes
            .iter()
            .map(|(name, value)| (*name, value.as_slice()))
            .collect();
        Some(log.submit(&records, position, &notes)?)
    };
    Ok(Written { pending, said })
}

/// Opens a log for reading, without its state.
///
/// # Errors
/// If there is none, or it is in use, damaged, or its import has not ended.
pub fn open_log_to_read(dir: &Path) -> Result<Log, LedgerError> {
    let options = LogOptions {
        read_only: true,
        ..LogOptions::default()
    };
    let log = Log::open(dir, options)?;
    refuse_unfinished(&log.reader())?;
    Ok(log)
}

/// The state at the end of a log.
///
/// # Errors
/// If it cannot be read, or is not what its inputs lead to.
pub fn last_state(reader: &LogReader) -> Result<State, LedgerError> {
    state_of(reader, &Basis::of(reader)?)
}

fn refuse_unfinished(reader: &LogReader) -> Result<(), LedgerError> {
    if is_unfinished(reader)? {
        return Err(LedgerError::Unfinished);
    }
    Ok(())
}

/// The state at the end of the log, where every step must be whole.
fn state_of(reader: &LogReader, basis: &Basis) -> Result<State, LedgerError> {
    let last = reader.head().next_seq - 1;
    let fold = rebuild(reader, basis, last, Decode::Ahead, &|| false)?;
    if fold.is_whole() {
        return Ok(fold.state);
    }
    Err(LedgerError::Diverged {
        seq: last + 1,
        problem: "the log ends before all that its last input leads to".to_owned(),
    })
}

/// A conclusion as the event that is recorded and published.
pub(super) fn conclusion_event(conclusion: Conclusion, at: Timestamp) -> Event {
    Event {
        id: conclusion.seq.to_smolstr(),
        source: Event::OWN_SOURCE.into(),
        time: Some(at),
        subject: None,
        body: conclusion.body,
    }
}
