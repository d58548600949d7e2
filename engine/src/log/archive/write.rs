//! Writes archive files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;
use weir_schema::record::{NO_HASH, hex};
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::read::{ArchiveReader, ReadArchiveError};
use super::{ArchiveFile, FORM, Footer, Header, PREVIOUS, SEGMENT_RECORDS, all_files, name_of};
use crate::log::durable::sync_dir;
use crate::log::key::SigningKey;
use crate::log::{LogReader, MakeError, ReadError, record, tree};

/// Written once and kept for years, off the append path. Higher levels take ten times as long for a
/// tenth less.
const LEVEL: i32 = 9;

/// Records in a frame: few enough that damage in one is near where it is noticed.
const FRAME_RECORDS: u64 = 4096;

/// A frame of long records is ended earlier.
const FRAME_BYTES: usize = 8 << 20;

/// Why records were not archived.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log must not be signed.
    #[error(transparent)]
    Sign(#[from] MakeError),
    /// A file cannot be written; none of that name is there.
    #[error("cannot write the archive file `{}`: {source}; the log is as it was", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// What is in the directory already cannot be read.
    #[error(transparent)]
    Existing(#[from] ReadArchiveError),
    /// The directory holds files of another log.
    #[error("`{}` is of another log; name another directory for this log's archive", path.display())]
    OtherLog {
        /// One of its files.
        path: PathBuf,
    },
    /// A record that cannot be put back from its line.
    #[error("record {seq} is not of the form that an archive keeps")]
    Form {
        /// The record.
        seq: u64,
    },
}

/// Archives what is not archived yet: every segment that is full and, if `rest`, the records after
/// the last of these. Returns the files written. `about` is a JSON object for the first line, `key`
/// signs the last; `progress` is told the last record written, now and then.
///
/// # Errors
/// Nothing is left half written. What was archived before the error stays.
pub fn archive(
    reader: &LogReader,
    dir: &Path,
    about: &str,
    key: Option<&SigningKey>,
    rest: bool,
    mut progress: impl FnMut(u64),
) -> Result<Vec<PathBuf>, ArchiveError> {
    let on = |source| ArchiveError::Io {
        path: dir.to_owned(),
        source,
    };
    fs::create_dir_all(dir).map_err(on)?;
    let existing = all_files(dir).map_err(on)?;
    if let Some(newest) = existing.last() {
        refuse_other_log(reader, newest)?;
    }
    let end = reader.head().next_seq;
    let mut written = Vec::new();
    let mut first = 1;
    while first < end {
        let full = first + SEGMENT_RECORDS - 1;
        let last = full.min(end - 1);
        if last < full && !rest {
            break;
        }
        let same: Vec<&ArchiveFile> = existing.iter().filter(|file| file.first == first).collect();
        if !same.iter().any(|file| file.last >= last) {
            let path = dir.join(name_of(first, last));
            let mut file = Unfinished::create(&path)?;
            write(reader, &mut file, (first, last), about, key, &mut progress)?;
            file.finish(dir)?;
            drop(file);
            // The shorter ones have nothing that this one has not.
            for file in same {
                fs::remove_file(&file.path).map_err(on)?;
            }
            written.push(path);
        }
        first = full + 1;
    }
    Ok(written)
}

/// Makes the directory of an archive if it is not there, and tries whether files can be written in it.
///
/// # Errors
/// What the system says.
pub fn prepare(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let probe = dir.join(".weir-can-write");
    File::create(&probe)?;
    fs::remove_file(probe)
}

/// A file that has its name only when it is whole and durable.
struct Unfinished<'a> {
    path: &'a Path,
    beside: PathBuf,
    file: File,
    packer: Compressor<'static>,
}

impl<'a> Unfinished<'a> {
    fn create(path: &'a Path) -> Result<Self, ArchiveError> {
        let beside = path.with_extension("unfinished");
        let create = || {
            let mut packer = Compressor::new(LEVEL)?;
            packer.set_parameter(CParameter::ChecksumFlag(true))?;
            Ok((File::create(&beside)?, packer))
        };
        let (file, packer) = create().map_err(|source| on(path, source))?;
        Ok(Self {
            path,
            beside,
            file,
            packer,
        })
    }

    fn frame(&mut self, text: &[u8]) -> Result<(), ArchiveError> {
        let packed = self.packer.compress(text);
        packed
            .and_then(|packed| self.file.write_all(&packed))
            .map_err(|source| on(self.path, source))
    }

    fn finish(&self, dir: &Path) -> Result<(), ArchiveError> {
        let finish = || {
            let mut permissions = self.file.metadata()?.permissions();
            permissions.set_readonly(true);
            self.file.set_permissions(permissions)?;
            self.file.sync_all()?;
            fs::rename(&self.beside, self.path)?;
            sync_dir(dir)
        };
        finish().map_err(|source| on(self.path, source))
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // Of one that was finished there is nothing under this name; of one that was not, it takes
        // space that is perhaps what is missing.
        let _ = fs::remove_file(&self.beside);
    }
}

fn on(path: &Path, source: io::Error) -> ArchiveError {
    ArchiveError::Io {
        path: path.to_owned(),
        source,
    }
}

fn write(
    reader: &LogReader,
    file: &mut Unfinished<'_>,
    (first, last): (u64, u64),
    about: &str,
    key: Option<&SigningKey>,
    progress: &mut impl FnMut(u64),
) -> Result<(), ArchiveError> {
    let invalid = |error| on(file.path, io::Error::other(error));
    let mut previous = reader.leaf_hash(first - 1)?.unwrap_or(NO_HASH);
    let mut frontier = tree::frontier_at(reader, first - 1)?;
    let header = Header {
        first,
        last,
        log: RawValue::from_string(about.to_owned()).map_err(invalid)?,
        previous: hex(&previous),
        tree: frontier.hashes().iter().map(hex).collect(),
        weir_archive: FORM,
    };
    let mut text = weir_schema::canonical::to_string(&header).into_bytes();
    text.push(b'\n');
    file.frame(&text)?;
    text.clear();
    let mut begun = first;
    for item in reader.range(first, Some(last + 1)) {
        let (seq, bytes) = item?;
        put_line(&mut text, &bytes, &previous, seq == begun).ok_or(ArchiveError::Form { seq })?;
        previous = tree::leaf_hash(&bytes);
        frontier.push(previous, &mut Vec::new());
        let is_full = seq + 1 - begun == FRAME_RECORDS || text.len() >= FRAME_BYTES;
        if is_full || seq == last {
            file.frame(&text)?;
            text.clear();
            begun = seq + 1;
            progress(seq);
        }
    }
    let signed = match key {
        Some(key) => Some(reader.sign_at(last, key)?.to_string()),
        None => None,
    };
    let footer = Footer {
        checkpoint: signed,
        hash: hex(&previous),
        root: hex(&frontier.root()),
    };
    let mut text = weir_schema::canonical::to_string(&footer).into_bytes();
    text.push(b'\n');
    file.frame(&text)
}

/// Adds the line of a record, without what it says of the record before unless `whole`. `None` if
/// the record could not be put back from that.
fn put_line(text: &mut Vec<u8>, bytes: &[u8], previous: &[u8; 32], whole: bool) -> Option<()> {
    let link = hex(previous);
    let at = record::place_of_previous(bytes)?;
    let after = bytes.get(at..)?.strip_prefix(link.as_bytes())?;
    text.extend_from_slice(bytes.get(..at)?);
    debug_assert!(text.ends_with(PREVIOUS));
    if whole {
        text.extend_from_slice(link.as_bytes());
    }
    text.extend_from_slice(after);
    text.push(b'\n');
    Some(())
}

/// Two logs must not share a directory: each would take the other's files for its own.
fn refuse_other_log(reader: &LogReader, file: &ArchiveFile) -> Result<(), ArchiveError> {
    let mut lines = ArchiveReader::open(&file.path)?;
    let here = lines.next().transpose()?;
    if here.is_some() && here == reader.get(file.first)? && file.last < reader.head().next_seq {
        return Ok(());
    }
    Err(ArchiveError::OtherLog {
        path: file.path.clone(),
    })
}
