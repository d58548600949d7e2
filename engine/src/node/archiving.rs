//! Archiving: full segments into a directory, and what keeps them from it.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::transfer;
use crate::log::{
    LogReader,
    archive::{SEGMENT_RECORDS, write::ArchiveError},
    key::{KEY_FILE, SigningKey},
};

/// Where a node writes full segments. Clones are one.
#[derive(Debug, Clone)]
pub struct Archiving {
    dir: PathBuf,
    trouble: Arc<Mutex<Option<ArchiveTrouble>>>,
}

/// Why full segments are not archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveTrouble {
    /// What is wrong, and what to do.
    pub told: String,
    /// What is archived is not the history of the log.
    pub is_of_history: bool,
}

impl Archiving {
    pub(super) fn into(dir: PathBuf) -> Self {
        Self {
            dir,
            trouble: Arc::default(),
        }
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What kept segments from the archive when that was tried last.
    #[must_use]
    pub fn trouble(&self) -> Option<ArchiveTrouble> {
        let trouble = self.trouble.lock();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Archives the segments that are full and not archived yet. Returns the record with which to
    /// try again: what could not be done waits for the next segment, or the next start.
    pub(super) fn keep(&self, reader: &LogReader) -> u64 {
        let last = reader.head().next_seq - 1;
        let next_segment = last - last % SEGMENT_RECORDS + SEGMENT_RECORDS;
        let (again, trouble) = match self.write(reader) {
            Ok(written) => {
                for path in written {
                    tracing::info!(file = %path.display(), "archived");
                }
                (next_segment, None)
            }
            Err(error) => {
                tracing::error!("not archived: {error}");
                let again = has_caught_up_with(&error).unwrap_or(next_segment);
                (again.min(next_segment), Some(ArchiveTrouble::of(&error)))
            }
        };
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        again
    }

    /// The files are signed with the log's key if it has one by now.
    fn write(&self, reader: &LogReader) -> Result<Vec<PathBuf>, ArchiveError> {
        let key = SigningKey::load(&reader.dir().join(KEY_FILE))?;
        transfer::archive(reader, &self.dir, key.as_ref(), false, |_| ())
    }
}

/// The record with which a log that the archive is ahead of is to be looked at again: it may read
/// from a stream what it does not have.
fn has_caught_up_with(error: &ArchiveError) -> Option<u64> {
    match error {
        // Its first record tells whether the archive is of this log.
        ArchiveError::Ahead { last: 0, .. } => Some(1),
        ArchiveError::Ahead { archived, .. } => Some(*archived),
        _ => None,
    }
}

impl ArchiveTrouble {
    fn of(error: &ArchiveError) -> Self {
        Self {
            told: error.to_string(),
            is_of_history: error.is_of_history(),
        }
    }
}
