//! Writes archive files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;
use weir_schema::record::{NO_HASH, hex};
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::read::{ArchiveReader, ReadArchiveError, last_hash};
use super::{ArchiveFile, FORM, Footer, Header, PREVIOUS, SEGMENT_RECORDS, all_files, name_of};
use crate::log::durable::sync_dir;
use crate::log::key::{KeyError, SigningKey};
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
    /// The key to sign with cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
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
    /// The directory holds records that the log does not have.
    #[error(
        "the archive in `{}` holds records up to {archived}, this log ends with {last}: it was cut, or restored from an older copy; nothing is archived before it has them again, as it reads them from a stream that still holds them; else make it again from the archive and what is newer (`weir import log`), or keep that archive and name another directory for this log's",
        dir.display()
    )]
    Ahead {
        /// The directory.
        dir: PathBuf,
        /// The last record archived.
        archived: u64,
        /// The last record of the log.
        last: u64,
    },
    /// The log went on otherwise than the archive does.
    #[error(
        "record {seq} in the archive file `{}` is another than in this log: the log was cut before it, or restored from an older copy, and went on otherwise, or the archive is of another log; nothing is archived; keep that archive, and name another directory for this log's",
        path.display()
    )]
    Parted {
        /// The file.
        path: PathBuf,
        /// The first record in it that is another.
        seq: u64,
    },
    /// A record that cannot be put back from its line.
    #[error("record {seq} is not of the form that an archive keeps")]
    Form {
        /// The record.
        seq: u64,
    },
}

impl ArchiveError {
    /// Whether what is archived is not the history of the log.
    #[must_use]
    pub fn is_of_history(&self) -> bool {
        matches!(
            self,
            Self::OtherLog { .. } | Self::Ahead { .. } | Self::Parted { .. }
        )
    }
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
    refuse_other_history(reader, dir, &existing)?;
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

/// A file of another log, or of another past of this one, would be taken for what is to be written:
/// every file must end with the record that the log has there.
fn refuse_other_history(
    reader: &LogReader,
    dir: &Path,
    files: &[ArchiveFile],
) -> Result<(), ArchiveError> {
    for file in files {
        if reader.leaf_hash(file.last)? != Some(last_hash(&file.path)?) {
            let archived = files.iter().map(|file| file.last).max();
            return Err(parting(reader, dir, archived.unwrap_or_default(), file)?);
        }
    }
    Ok(())
}

/// Where the log and a file that ends otherwise part. `archived` is the last record of all files.
fn parting(
    reader: &LogReader,
    dir: &Path,
    archived: u64,
    file: &ArchiveFile,
) -> Result<ArchiveError, ArchiveError> {
    let path = file.path.clone();
    let mut records = ArchiveReader::open(&path)?;
    while let Some(bytes) = records.next() {
        let bytes = bytes?;
        let seq = records.seq();
        match reader.get(seq)? {
            Some(here) if here == bytes => {}
            Some(_) if seq == 1 => return Ok(ArchiveError::OtherLog { path }),
            Some(_) => return Ok(ArchiveError::Parted { path, seq }),
            None => {
                return Ok(ArchiveError::Ahead {
                    dir: dir.to_owned(),
                    archived,
                    last: reader.head().next_seq - 1,
                });
            }
        }
    }
    Err(ReadArchiveError::Form {
        path,
        problem: "its last line does not fit its records, as in one that was changed; moved elsewhere it is written again from the log".to_owned(),
    }
    .into())
}
