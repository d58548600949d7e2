//! Sealed segments as plain files: read-only, for decades, and to repair a log from.
//!
//! `README.md` beside this file is the description of their form. [`mod@write`] makes them, [`read`]
//! gives their records back, [`check`] verifies them with code of its own.

pub mod check;
pub mod read;
pub mod write;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Records in a file of a sealed segment.
pub const SEGMENT_RECORDS: u64 = 65_536;

/// The version of the form.
const FORM: u32 = 1;

/// What stands before the hash in a record.
const PREVIOUS: &[u8] = b"\"previous\":\"";

/// The first line of a file.
#[derive(Serialize, Deserialize)]
struct Header {
    first: u64,
    last: u64,
    log: Box<RawValue>,
    previous: String,
    tree: Vec<String>,
    weir_archive: u32,
}

/// The last line of a file.
#[derive(Serialize, Deserialize)]
struct Footer {
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<String>,
    hash: String,
    root: String,
}

/// An archive file, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveFile {
    /// The first record in it.
    pub first: u64,
    /// The last record in it.
    pub last: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// The archive files in a directory, in the order of their records. Of several that begin at the
/// same record only the longest is given: the others were written before the segment was full.
///
/// # Errors
/// The directory cannot be read.
pub fn files(dir: &Path) -> io::Result<Vec<ArchiveFile>> {
    let mut found = all_files(dir)?;
    found.dedup_by(|later, first| {
        let same = later.first == first.first;
        if same {
            // In order, so the later one is the longer.
            first.clone_from(later);
        }
        same
    });
    Ok(found)
}

/// The archive files in a directory that [`files`] leaves out.
///
/// # Errors
/// The directory cannot be read.
pub fn shorter(dir: &Path) -> io::Result<Vec<ArchiveFile>> {
    let longest = files(dir)?;
    let mut found = all_files(dir)?;
    found.retain(|file| !longest.contains(file));
    Ok(found)
}

fn all_files(dir: &Path) -> io::Result<Vec<ArchiveFile>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some((first, last)) = name.and_then(records_in) {
            found.push(ArchiveFile { first, last, path });
        }
    }
    found.sort_by_key(|file| (file.first, file.last));
    Ok(found)
}

fn name_of(first: u64, last: u64) -> String {
    format!("records-{first:012}-{last:012}.jsonl.zst")
}

fn records_in(name: &str) -> Option<(u64, u64)> {
    let range = name.strip_prefix("records-")?.strip_suffix(".jsonl.zst")?;
    let (first, last) = range.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}
