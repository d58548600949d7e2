//! A whole log out to JSON Lines or archive files, and in again: the same records, hashes and state.
//!
//! The first line says what the log was decided under (see [`Basis`]); every other is a record's
//! bytes as they are hashed. An import checks all that `weir verify` checks of records. One that
//! was interrupted goes on with the same files; until it has ended, nothing else uses the log.

use std::{
    io::{BufRead, Write},
    path::{Path, PathBuf},
};

use weir_rules::State;
use weir_schema::{Event, Position, Record, RecordError, Timestamp, record};

use super::{
    Basis, Fold, LedgerError, TERM, ahead::Decode, ledger::conclusion_event, rebuild::rebuild,
};
use crate::{
    log::{
        AppendError, EncodedRecord, Log, LogOptions, LogReader, OpenError, ReadError,
        StreamPosition,
        archive::{
            check::{self, Bad},
            read::{ArchiveReader, ReadArchiveError},
            write::{self, ArchiveError},
        },
        key::{SigningKey, VerifierKey},
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
    #[error("{file}: the first line is not that of an exported log: {problem}")]
    Header {
        /// Which source.
        file: String,
        /// What is wrong with the line.
        problem: String,
    },
    /// A source that is of another log than the first.
    #[error("{file} is of a log that was decided under other settings: it begins with `{header}`")]
    OtherLog {
        /// Which source.
        file: String,
        /// What it says of its log.
        header: String,
    },
    /// There is nothing to import.
    #[error("nothing is named to import")]
    Nothing,
    /// An archive file cannot be read.
    #[error(transparent)]
    Archive(#[from] ReadArchiveError),
    /// An archive is not what was written.
    #[error("the archive is damaged or was changed: {0}; nothing of it was imported")]
    BadArchive(#[from] Bad),
    /// A record of an archive that does not belong there.
    #[error("{file}, record {seq}: {problem}; imported are the records up to {imported}")]
    Record {
        /// Which archive file.
        file: String,
        /// Its sequence.
        seq: u64,
        /// What is wrong with it.
        problem: String,
        /// The last record of what was imported: whole steps.
        imported: u64,
    },
    /// A line that does not belong there.
    #[error(
        "{file}, line {line}: {problem}; imported are the records up to {imported}, after which the same command goes on once the file is right"
    )]
    Line {
        /// Which export.
        file: String,
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
        /// The last record of what was imported: whole steps.
        imported: u64,
    },
    /// The last source ends within a step.
    #[error(
        "{place}: the file ends with record {last}, before all that its last input, record {input}, leads to; imported are the records up to {imported}, after which the same command goes on once the file is right"
    )]
    Cut {
        /// The file, and its last line.
        place: String,
        /// The last record.
        last: u64,
        /// The input that it followed from.
        input: u64,
        /// The last record of what was imported: whole steps.
        imported: u64,
    },
}

/// What came of an import.
#[derive(Debug)]
pub struct Imported {
    /// Records in the log.
    pub records: u64,
    /// Of these, records that an interrupted import had brought.
    pub before: u64,
    /// Of these, records that followed from the last input and were not in the archive any more.
    pub concluded: u64,
    /// What they lead to.
    pub state: State,
}

/// Where records are imported from.
pub enum Source<'a> {
    /// An export.
    Lines {
        /// How it is called where something of it is refused.
        file: String,
        /// What is in it.
        lines: Box<dyn BufRead + 'a>,
    },
    /// An archive file.
    Archive(PathBuf),
}

/// Writes the whole log; returns the number of records. `progress` is told the last sequence
/// written, now and then.
///
/// # Errors
/// A record cannot be read, or `out` not be written.
pub fn export(
    reader: &LogReader,
    out: &mut impl Write,
    progress: impl FnMut(u64),
) -> Result<u64, TransferError> {
    export_from(reader, 1, out, progress)
}

/// As [`export`], without the records before `from`.
///
/// # Errors
/// As [`export`].
pub fn export_from(
    reader: &LogReader,
    from: u64,
    out: &mut impl Write,
    progress: impl FnMut(u64),
) -> Result<u64, TransferError> {
    let header = Basis::header(reader).map_err(TransferError::other)?;
    writeln!(out, "{header}").map_err(TransferError::writing)?;
    transfer::export(reader, from, None, out, progress)
}

/// Archives the segments of the log that are full and not archived yet and, if `rest`, what comes
/// after them; returns the files written.
///
/// # Errors
/// As [`write::archive`].
pub fn archive(
    reader: &LogReader,
    dir: &Path,
    key: Option<&SigningKey>,
    rest: bool,
    progress: impl FnMut(u64),
) -> Result<Vec<PathBuf>, ArchiveError> {
    let about = Basis::header(reader).map_err(|error| ReadError::Store {
        cause: error.to_string(),
    })?;
    write::archive(reader, dir, &about, key, rest, progress)
}

/// Makes the log of an export in `dir`, which must be missing or empty, or hold what an
/// interrupted import of the same export left.
///
/// # Errors
/// Each says what is in the log, and what to do.
pub fn import(
    dir: &Path,
    lines: impl BufRead,
    progress: impl FnMut(u64),
) -> Result<Imported, ImportError> {
    let source = Source::Lines {
        file: "the export".to_owned(),
        lines: Box::new(lines),
    };
    import_all(dir, vec![source], &[], progress)
}

/// As [`import`], from several sources, each of which goes on where the one before it ends, or
/// begins before that. Archive files are checked first, also for their signatures if there are
/// `keys`. Where they end within a step, its rest follows from it and is made again.
///
/// # Errors
/// As [`import`].
pub fn import_all(
    dir: &Path,
    sources: Vec<Source<'_>>,
    keys: &[VerifierKey],
    mut progress: impl FnMut(u64),
) -> Result<Imported, ImportError> {
    let archives = sources.iter().filter_map(|source| match source {
        Source::Archive(path) => Some(path.as_path()),
        Source::Lines { .. } => None,
    });
    let archives: Vec<&Path> = archives.collect();
    if !archives.is_empty() {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let checked = check::check(archives, &keys, &[], |_| ())?;
        if !keys.is_empty() {
            checked.all_vouched()?;
        }
    }
    let mut begun: Option<(String, Import)> = None;
    let mut may_complete = false;
    let mut place = String::new();
    for source in sources {
        may_complete = matches!(source, Source::Archive(_));
        match source {
            Source::Lines { file, lines } => {
                let mut lines = Lines::new(lines);
                let header = lines.next().ok_or_else(|| ImportError::Header {
                    file: file.clone(),
                    problem: "the file is empty".to_owned(),
                })??;
                let import = Import::begin(&mut begun, dir, &file, &header)?;
                let mut last = 1;
                for (line, bytes) in (2..).zip(lines) {
                    last = line;
                    let taken = import.take(bytes?);
                    let seq = taken.map_err(|refused| {
                        import.refuse(refused, |problem, imported| ImportError::Line {
                            file: file.clone(),
                            line,
                            problem,
                            imported,
                        })
                    })?;
                    progress(seq);
                }
                place = format!("{file}, line {last}");
            }
            Source::Archive(path) => {
                let mut records = ArchiveReader::open(&path)?;
                place = path.display().to_string();
                let import = Import::begin(&mut begun, dir, &place, records.about().as_bytes())?;
                while let Some(bytes) = records.next() {
                    let taken = import.take(bytes?);
                    let seq = records.seq();
                    let seq = taken.map_err(|refused| {
                        import.refuse(refused, |problem, imported| ImportError::Record {
                            file: place.clone(),
                            seq,
                            problem,
                            imported,
                        })
                    })?;
                    progress(seq);
                }
            }
        }
    }
    match begun {
        Some((_, import)) => import.end(may_complete, place),
        None => Err(ImportError::Nothing),
    }
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
    before: u64,
    batch: Vec<EncodedRecord>,
    /// So many of them are whole steps: what is appended never ends within one.
    whole: usize,
    /// The record that comes next.
    next: u64,
    /// Where the stream of the last input stands.
    position: Option<StreamPosition>,
    /// The newest term of a lease that the records tell of.
    term: Option<Term>,
    /// The time of the last record, and the input that it followed from.
    last: Option<(Timestamp, u64)>,
}

enum Refused {
    Record(String),
    Import(ImportError),
}

impl<E: Into<ImportError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Import(error.into())
    }
}

impl Import {
    /// Opens the log with the first source; every other must say the same of it.
    fn begin<'a>(
        begun: &'a mut Option<(String, Import)>,
        dir: &Path,
        file: &str,
        header: &[u8],
    ) -> Result<&'a mut Import, ImportError> {
        let basis = Basis::from_header(header).map_err(|problem| ImportError::Header {
            file: file.to_owned(),
            problem,
        })?;
        let header = String::from_utf8_lossy(header).into_owned();
        let (first, import) = match begun {
            Some(begun) => begun,
            None => begun.insert((header.clone(), Import::open(dir, &basis)?)),
        };
        if *first != header {
            return Err(ImportError::OtherLog {
                file: file.to_owned(),
                header,
            });
        }
        Ok(import)
    }

    fn open(dir: &Path, basis: &Basis) -> Result<Import, ImportError> {
        let mut log = Log::open(dir, LogOptions::default())?;
        let before = log.head().next_seq - 1;
        if before > 0 && !is_unfinished(&log.reader())? {
            return Err(ImportError::NotEmpty { records: before });
        }
        log.meta_put(IMPORTING, b"yes")?;
        basis.keep(&mut log)?;
        Ok(Import {
            fold: rebuild(&log.reader(), basis, before, Decode::Ahead, &|| false)?,
            reader: log.reader(),
            log,
            before,
            batch: Vec::new(),
            whole: 0,
            next: before + 1,
            position: None,
            term: None,
            last: None,
        })
    }

    /// Takes a record; returns its sequence.
    fn take(&mut self, bytes: Vec<u8>) -> Result<u64, Refused> {
        let refused = |problem: &str| Refused::Record(problem.to_owned());
        let encoded = transfer::read_line(bytes).map_err(refused)?;
        let seq = encoded.seq;
        let record = Record::decode(&encoded.bytes)
            .map_err(|error: RecordError| Refused::Record(error.to_string()))?;
        let trigger = match &record.position {
            Position::Step { trigger } => *trigger,
            _ => seq,
        };
        if let Position::Stream {
            stream,
            created,
            sequence,
            ..
        } = &record.position
        {
            self.position = Some(StreamPosition {
                stream: stream.to_string(),
                created: created.to_string(),
                sequence: *sequence,
                // A record's time may be that of one before it.
                taken_at: None,
            });
        }
        if record.event.source == Event::OWN_SOURCE {
            self.term = self.term.max(Term::announced_by(&record.event.id));
        }
        if seq < self.next {
            return if self.has(&encoded)? {
                Ok(seq)
            } else {
                Err(refused(
                    "another record of that sequence was imported before: the file is another, import it into a new directory",
                ))
            };
        }
        if seq != self.next {
            return Err(Refused::Record(format!(
                "it is record {seq}, record {} should stand there",
                self.next
            )));
        }
        if record.previous != self.previous() {
            return Err(refused("it does not name the hash of the line before"));
        }
        if self.fold.is_whole() && self.batch.len() >= BATCH {
            self.append(None)?;
        }
        self.fold
            .checked(&record)
            .map_err(|error| Refused::Record(error.to_string()))?;
        self.last = Some((record.recorded_at, trigger));
        self.push(encoded);
        Ok(seq)
    }

    fn push(&mut self, encoded: EncodedRecord) {
        self.batch.push(encoded);
        self.next += 1;
        if self.fold.is_whole() {
            self.whole = self.batch.len();
        }
    }

    /// Whether this very record is there already.
    fn has(&self, record: &EncodedRecord) -> Result<bool, ReadError> {
        let appended = self.log.head().next_seq;
        match record.seq.checked_sub(appended) {
            Some(place) => Ok(self.batch.get(place as usize) == Some(record)),
            None => Ok(self.reader.get(record.seq)?.as_deref() == Some(&record.bytes[..])),
        }
    }

    fn previous(&self) -> record::Hash {
        match self.batch.last() {
            Some(last) => last.hash,
            None => self.log.head().previous,
        }
    }

    fn append(&mut self, position: Option<StreamPosition>) -> Result<(), ImportError> {
        self.log.append(&self.batch, position)?;
        self.batch.clear();
        self.whole = 0;
        Ok(())
    }

    /// Keeps the whole steps before a record that was refused.
    fn refuse(
        &mut self,
        refused: Refused,
        told: impl FnOnce(String, u64) -> ImportError,
    ) -> ImportError {
        let problem = match refused {
            Refused::Import(error) => return error,
            Refused::Record(problem) => problem,
        };
        self.batch.truncate(self.whole);
        match self.append(None) {
            Err(error) => error,
            Ok(()) => told(problem, self.log.head().next_seq - 1),
        }
    }

    /// Ends the import, of which `place` is the end: from here on the log is as any other.
    fn end(mut self, may_complete: bool, place: String) -> Result<Imported, ImportError> {
        let ended = self.next;
        if !self.fold.is_whole() && may_complete {
            self.conclude();
        }
        if !self.fold.is_whole() {
            self.batch.truncate(self.whole);
            self.append(None)?;
            return Err(ImportError::Cut {
                place,
                last: ended - 1,
                input: self.last.map_or(0, |(_, input)| input),
                imported: self.log.head().next_seq - 1,
            });
        }
        let position = self.position.take();
        self.append(position)?;
        if let Some(term) = self.term.take() {
            self.log.meta_put(TERM, term.to_string().as_bytes())?;
        }
        self.log.meta_put(IMPORTING, b"")?;
        Ok(Imported {
            records: self.next - 1,
            before: self.before,
            concluded: self.next - ended,
            state: self.fold.state,
        })
    }

    /// Makes the records again that follow from the last input: the same to the byte, for a step
    /// has one outcome.
    fn conclude(&mut self) {
        let Some((at, trigger)) = self.last else {
            return;
        };
        for conclusion in self.fold.take_expected() {
            let seq = conclusion.seq;
            let received = conclusion_event(conclusion, at).into();
            let position = Position::Step { trigger };
            let previous = self.previous();
            self.push(EncodedRecord::of(seq, at, &received, &position, previous));
        }
    }
}
