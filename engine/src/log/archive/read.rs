//! Gives the records of an archive file back, equal to the byte.
//!
//! What it gives is only as good as the file: see [`super::check`] for whether it is the log's.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use weir_schema::record::{Hash, hex, parse_hex};

use super::{FORM, Footer, Header, PREVIOUS};
use crate::log::record::place_of_previous;
use crate::log::transfer::Lines;
use crate::log::tree;

/// The frame of the last line is far shorter than this, and so is what it unpacks to.
const LAST_FRAME_BYTES: u64 = 64 << 10;

/// What every zstd frame begins with.
const FRAME_BEGINS: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Why an archive file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadArchiveError {
    /// The system does not give it, or it does not unpack.
    #[error("cannot read `{}`{}: {source}", path.display(), after(*seq))]
    Io {
        /// The file.
        path: PathBuf,
        /// The last record read; 0 before the first.
        seq: u64,
        /// The error.
        source: io::Error,
    },
    /// It is not of the form.
    #[error("`{}` is no archive file that this version of weir reads: {problem}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

fn after(seq: u64) -> String {
    match seq {
        0 => String::new(),
        seq => format!(" after record {seq}"),
    }
}

/// The hash of the last record of a file, as its last line says. The records are not read.
///
/// # Errors
/// The file cannot be read, or does not end with such a line.
pub fn last_hash(path: &Path) -> Result<Hash, ReadArchiveError> {
    let end = || {
        let mut file = File::open(path)?;
        let from = file.metadata()?.len().saturating_sub(LAST_FRAME_BYTES);
        file.seek(SeekFrom::Start(from))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        Ok(end)
    };
    let end = end().map_err(|source| ReadArchiveError::Io {
        path: path.to_owned(),
        seq: 0,
        source,
    })?;
    // The bytes that a frame begins with may also stand within one: those do not unpack.
    let mut begins = (0..end.len()).rev().filter_map(|at| {
        let frame = end.get(at..)?;
        frame.starts_with(FRAME_BEGINS).then_some(frame)
    });
    let hash = begins.find_map(|frame| {
        let unpacked = zstd::Decoder::new(frame).ok()?.take(LAST_FRAME_BYTES);
        let footer: Footer = serde_json::from_reader(unpacked).ok()?;
        parse_hex(&footer.hash)
    });
    hash.ok_or_else(|| ReadArchiveError::Form {
        path: path.to_owned(),
        problem: "it ends otherwise, as one that was damaged; moved elsewhere it is written again from the log"
            .to_owned(),
    })
}

/// Iterates over the records of a file.
pub struct ArchiveReader {
    path: PathBuf,
    lines: Lines<BufReader<zstd::Decoder<'static, BufReader<File>>>>,
    header: Header,
    previous: Hash,
    next: u64,
}

impl ArchiveReader {
    /// Opens a file and reads its first line.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub fn open(path: &Path) -> Result<Self, ReadArchiveError> {
        let io = |source| ReadArchiveError::Io {
            path: path.to_owned(),
            seq: 0,
            source,
        };
        let form = |problem: String| ReadArchiveError::Form {
            path: path.to_owned(),
            problem,
        };
        let file = File::open(path).map_err(io)?;
        let unpacked = BufReader::new(zstd::Decoder::new(file).map_err(io)?);
        let mut lines = Lines::new(unpacked);
        let line = lines.next().transpose().map_err(io)?.unwrap_or_default();
        let header: Header =
            serde_json::from_slice(&line).map_err(|error| form(error.to_string()))?;
        if header.weir_archive != FORM {
            return Err(form(format!("its form is {}", header.weir_archive)));
        }
        let previous = parse_hex(&header.previous)
            .ok_or_else(|| form("it does not say what it follows".to_owned()))?;
        Ok(Self {
            path: path.to_owned(),
            lines,
            next: header.first,
            header,
            previous,
        })
    }

    /// What its first line says of the log.
    #[must_use]
    pub fn about(&self) -> &str {
        self.header.log.get()
    }

    /// The sequence of the record given last.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.next - 1
    }

    fn restored(&mut self, mut line: Vec<u8>) -> Option<Vec<u8>> {
        let at = place_of_previous(&line)?;
        debug_assert!(line.get(..at)?.ends_with(PREVIOUS));
        if line.get(at) == Some(&b'"') {
            line.splice(at..at, hex(&self.previous).into_bytes());
        }
        self.previous = tree::leaf_hash(&line);
        self.next += 1;
        Some(line)
    }
}

impl Iterator for ArchiveReader {
    type Item = Result<Vec<u8>, ReadArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        let io = |source| ReadArchiveError::Io {
            path: self.path.clone(),
            seq: self.next - 1,
            source,
        };
        let form = |problem: String| ReadArchiveError::Form {
            path: self.path.clone(),
            problem,
        };
        let line = match self.lines.next() {
            Some(Ok(line)) => line,
            Some(Err(error)) => return Some(Err(io(error))),
            None => return Some(Err(io(io::ErrorKind::UnexpectedEof.into()))),
        };
        if self.next > self.header.last {
            let read: Result<Footer, _> = serde_json::from_slice(&line);
            return read.err().map(|error| Err(form(error.to_string())));
        }
        let seq = self.next;
        let record = self.restored(line);
        let problem = || ReadArchiveError::Form {
            path: self.path.clone(),
            problem: format!("what stands for record {seq} is no record"),
        };
        Some(record.ok_or_else(problem))
    }
}
