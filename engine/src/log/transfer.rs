//! Records in and out as JSON Lines.
//!
//! A line is a record's bytes as they are hashed, so what is written and read again is equal to
//! the byte, and a dozen lines of any language check the chain.

use std::io::{self, BufRead, Write};

use super::append::{AppendError, EncodedRecord, Log};
use super::chunk::MAX_RECORD_BYTES;
use super::reader::{LogReader, ReadError};
use super::record::{previous_of, seq_of};

/// Records imported in one batch.
const IMPORT_BATCH: usize = 256;

/// Why records could not be moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log cannot be written, or the records do not follow it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The file cannot be read or written.
    #[error("{what}: {source}")]
    Io {
        /// Which file or stream.
        what: String,
        /// The system's error.
        source: io::Error,
    },
    /// A line that is no record.
    #[error("line {line}: {problem}; what stood before it was imported")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Something else that belongs to the log cannot be read.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl TransferError {
    pub(crate) fn other(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Other(Box::new(error))
    }

    pub(crate) fn writing(source: io::Error) -> Self {
        Self::Io {
            what: "cannot write the export".to_owned(),
            source,
        }
    }
}

/// Records between two reports of progress.
const STRIDE: u64 = 1024;

/// Writes the records from `from` up to but without `to` as JSON Lines; returns how many.
/// `progress` is told the last sequence written, now and then.
///
/// # Errors
/// A record cannot be read, or `out` not be written.
pub fn export(
    reader: &LogReader,
    from: u64,
    to: Option<u64>,
    out: &mut impl Write,
    mut progress: impl FnMut(u64),
) -> Result<u64, TransferError> {
    let mut count = 0;
    for item in reader.range(from, to) {
        let (seq, bytes) = item?;
        out.write_all(&bytes)
            .and_then(|()| out.write_all(b"\n"))
            .map_err(TransferError::writing)?;
        count += 1;
        if seq % STRIDE == 0 {
            progress(seq);
        }
    }
    out.flush().map_err(TransferError::writing)?;
    Ok(count)
}

/// Appends records from JSON Lines, to an empty log or to one that they continue; returns how
/// many. Every record must name the hash of the one before, or nothing from there on is taken.
///
/// # Errors
/// A line is no record, or does not follow; what stood before it is in the log.
pub fn import(log: &mut Log, lines: impl BufRead) -> Result<u64, TransferError> {
    let mut count = 0;
    let mut batch = Vec::with_capacity(IMPORT_BATCH);
    let mut append = |batch: &mut Vec<EncodedRecord>| -> Result<(), AppendError> {
        log.append(batch, None)?;
        count += batch.len() as u64;
        batch.clear();
        Ok(())
    };
    let mut previous = None;
    for (line, bytes) in (1..).zip(Lines::new(lines)) {
        let io = |source| TransferError::Io {
            what: "cannot read the import".to_owned(),
            source,
        };
        let bytes = bytes.map_err(io)?;
        let record = read_line(bytes).and_then(|record| {
            let link = previous_of(&record.bytes);
            match previous {
                Some(previous) if link != Some(previous) => {
                    Err("it does not follow the line before")
                }
                _ => Ok(record),
            }
        });
        match record {
            Ok(record) => {
                previous = Some(record.hash);
                batch.push(record);
            }
            Err(problem) => {
                append(&mut batch)?;
                return Err(TransferError::Line { line, problem });
            }
        }
        if batch.len() == IMPORT_BATCH {
            append(&mut batch)?;
        }
    }
    append(&mut batch)?;
    Ok(count)
}

/// A line as the record that it is.
pub(crate) fn read_line(bytes: Vec<u8>) -> Result<EncodedRecord, &'static str> {
    let canonical = weir_schema::canonical::from_slice(&bytes);
    if !canonical.is_ok_and(|canonical| canonical.as_bytes() == bytes) {
        return Err("it is not canonical JSON");
    }
    let seq = seq_of(&bytes).ok_or("it is no record")?;
    previous_of(&bytes).ok_or("it is no record")?;
    Ok(EncodedRecord::new(seq, bytes))
}

/// Lines of bounded length, without their line feeds.
pub(crate) struct Lines<R> {
    lines: R,
}

impl<R> Lines<R> {
    pub(crate) fn new(lines: R) -> Self {
        Self { lines }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        let limit = MAX_RECORD_BYTES as u64 + 1;
        match io::Read::take(&mut self.lines, limit).read_until(b'\n', &mut line) {
            Err(error) => Some(Err(error)),
            Ok(0) => None,
            Ok(_) => {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                Some(Ok(line))
            }
        }
    }
}
