//! A whole log out to JSON Lines and in again: the same records, hashes and state.
//!
//! The first line says what the log was decided under (see [`Basis`]); every other is a record's
//! bytes as they are hashed. An import checks all that `weir verify` checks of records. One that
//! was interrupted goes on with the same file; until it has ended, nothing else uses the log.

use std::{io::BufRead, io::Write, path::Path};

use weir_rules::State;
use weir_schema::{Position, Record, RecordError};

use super::{Basis, Fold, LedgerError, SOURCE, TERM, ahead::Decode, rebuild::rebuild};
use crate::{
    log::{
        AppendError, EncodedRecord, Log, LogOptions, LogReader, OpenError, ReadError,
        StreamPosition,
        transfer::{self, Lines, TransferError},
    },
    stream::Term,
};

/// Where a log says that its import has begun and not ended.
const IMPORTING: &str = "importing";

/// Records imported in one durable batch, at least.
const BATCH: usize = 256;

/// Why a log was not imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The log cannot be opened or made.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log cannot be written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// What was imported before cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was imported before is not what its inputs lead to.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// There is a log already.
    #[error(
        "there is a log of {records} records in the directory already: import into a new directory"
    )]
    NotEmpty {
        /// How many records it has.
        records: u64,
    },
    /// The file cannot be read.
    #[error("cannot read the export: {0}")]
    Io(#[from] std::io::Error),
    /// Not an export.
    #[error("the first line is not that of an exported log: {0}")]
    Header(String),
    /// A line that does not belong there.
    #[error(
        "line {line}: {problem}; the lines before it are imported, and the same command goes on with them once the file is right"
    )]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
}

/// What came of an import.
#[derive(Debug)]
pub struct Imported {
    /// Records in the log.
    pub records: u64,
    /// Of these, records that an interrupted import had brought.
    pub before: u64,
    /// What they lead to.
    pub state: State,
}

/// Writes the whole log; returns the number of records. `progress` is told it now and then.
///
/// # Errors
/// A record cannot be read, or `out` not be written.
pub fn export(
    reader: &LogReader,
    out: &mut impl Write,
    progress: impl FnMut(u64),
) -> Result<u64, TransferError> {
    let header = Basis::header(reader).map_err(TransferError::other)?;
    writeln!(out, "{header}").map_err(TransferError::writing)?;
    transfer::export(reader, 1, None, out, progress)
}

/// Makes the log of an export in `dir`, which must be missing or empty, or hold what an
/// interrupted import of the same export left.
///
/// # Errors
/// Each says what is in the log, and what to do.
pub fn import(
    dir: &Path,
    lines: impl BufRead,
    mut progress: impl FnMut(u64),
) -> Result<Imported, ImportError> {
    let mut lines = Lines::new(lines);
    let header = lines
        .next()
        .ok_or_else(|| ImportError::Header("the file is empty".to_owned()))??;
    let basis = Basis::from_header(&header).map_err(ImportError::Header)?;
    let mut log = Log::open(dir, LogOptions::default())?;
    let before = log.head().next_seq - 1;
    if before > 0 && !is_unfinished(&log.reader())? {
        return Err(ImportError::NotEmpty { records: before });
    }
    log.meta_put(IMPORTING, b"yes")?;
    basis.keep(&mut log)?;
    let mut import = Import {
        fold: rebuild(&log.reader(), &basis, before, Decode::Ahead, &|| false)?,
        reader: log.reader(),
        log,
        batch: Vec::new(),
        whole: 0,
        position: None,
        term: None,
    };
    for (number, bytes) in (2..).zip(lines) {
        let line = |problem: String| ImportError::Line {
            line: number,
            problem,
        };
        match import.line(bytes?) {
            Ok(seq) => progress(seq),
            Err(Refused::Line(problem)) => {
                import.batch.truncate(import.whole);
                import.append(None)?;
                return Err(line(problem));
            }
            Err(Refused::Import(error)) => return Err(error),
        }
    }
    if !import.fold.is_whole() {
        let last = import.log.head().next_seq - 1;
        return Err(ImportError::Line {
            line: last + 2,
            problem: "the file ends before all that its last input leads to".to_owned(),
        });
    }
    let position = import.position.take();
    import.append(position)?;
    if let Some(term) = import.term {
        import.log.meta_put(TERM, term.to_string().as_bytes())?;
    }
    import.log.meta_put(IMPORTING, b"")?;
    Ok(Imported {
        records: import.log.head().next_seq - 1,
        before,
        state: import.fold.state,
    })
}

/// Whether an import into the log has not ended.
pub(super) fn is_unfinished(reader: &LogReader) -> Result<bool, ReadError> {
    Ok(reader
        .meta_get(IMPORTING)?
        .is_some_and(|mark| !mark.is_empty()))
}

struct Import {
    log: Log,
    reader: LogReader,
    fold: Fold,
    batch: Vec<EncodedRecord>,
    /// So many of them are whole steps: what is appended never ends within one.
    whole: usize,
    /// Where the stream of the last input stands.
    position: Option<StreamPosition>,
    /// The newest term of a lease that the records tell of.
    term: Option<Term>,
}

enum Refused {
    Line(String),
    Import(ImportError),
}

impl<E: Into<ImportError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Import(error.into())
    }
}

impl Import {
    /// Takes a line; returns the record's sequence.
    fn line(&mut self, bytes: Vec<u8>) -> Result<u64, Refused> {
        let refused = |problem: &str| Refused::Line(problem.to_owned());
        let encoded = transfer::read_line(bytes).map_err(refused)?;
        let seq = encoded.seq;
        let record = Record::decode(&encoded.bytes)
            .map_err(|error: RecordError| Refused::Line(error.to_string()))?;
        if let Position::Stream {
            stream,
            created,
            sequence,
            ..
        } = &record.position
        {
            self.position = Some(StreamPosition {
                stream: stream.clone(),
                created: created.clone(),
                sequence: *sequence,
            });
        }
        if record.event.source == SOURCE {
            self.term = self.term.max(Term::announced_by(&record.event.id));
        }
        if seq < self.log.head().next_seq {
            let there = self.reader.get(seq)?;
            return if there.as_deref() == Some(&encoded.bytes[..]) {
                Ok(seq)
            } else {
                Err(refused(
                    "another record of that sequence was imported before: the file is another, import it into a new directory",
                ))
            };
        }
        let next = self.log.head().next_seq + self.batch.len() as u64;
        if seq != next {
            return Err(Refused::Line(format!(
                "it is record {seq}, record {next} should stand there"
            )));
        }
        let previous = match self.batch.last() {
            Some(last) => last.hash,
            None => self.log.head().previous,
        };
        if record.previous != previous {
            return Err(refused("it does not name the hash of the line before"));
        }
        if self.fold.is_whole() && self.batch.len() >= BATCH {
            self.append(None)?;
        }
        self.fold
            .record(&record)
            .map_err(|error| Refused::Line(error.to_string()))?;
        self.batch.push(encoded);
        if self.fold.is_whole() {
            self.whole = self.batch.len();
        }
        Ok(seq)
    }

    fn append(&mut self, position: Option<StreamPosition>) -> Result<(), ImportError> {
        self.log.append(&self.batch, position)?;
        self.batch.clear();
        self.whole = 0;
        Ok(())
    }
}
