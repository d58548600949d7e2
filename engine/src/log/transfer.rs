//! Records in and out as JSON Lines.
//!
//! A line is a record's bytes as they are hashed, so what is written and read again is equal to
//! the byte, and a dozen lines of any language check the chain.

use std::io::{self, BufRead, Write};

use super::append::EncodedRecord;
use super::chunk::MAX_RECORD_BYTES;
use super::reader::{LogReader, ReadError};
use super::record::{previous_of, seq_of};

/// Why records could not be moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file cannot be written.
    #[error("{what}: {source}")]
    Io {
        /// Which file or stream.
        what: String,
        /// The system's error.
        source: io::Error,
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
