//! Agreement: whether this node's log is that of the node that leads.
//!
//! All nodes of a stream read the same and conclude the same, so their logs are equal, bit for bit. One
//! that recorded something without the stream, or read deliveries by other settings, has another log
//! from there on, and would carry out what the others never decided. So whoever leads tells its last
//! record with the lease, each other node compares it with its own, and one that differs does not lead.
//! What was found outlives a restart: it is kept in a file beside the log.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use weir_schema::record::hex;

use super::DaemonError;
use crate::{
    log::{LogReader, durable},
    stream::{Candidate, LastRecord},
};

/// Where a node keeps that its log is another, in its data directory.
const FILE: &str = "differs";

/// What was found of this node's log.
#[derive(Debug)]
pub(crate) struct Agreement {
    file: PathBuf,
    difference: Mutex<Option<Difference>>,
}

/// A record that is another than that of the node that leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Difference {
    seq: u64,
    ours: String,
    theirs: String,
    /// The node that leads.
    node: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seq,
            ours,
            theirs,
            node,
        } = self;
        write!(
            formatter,
            "record {seq} of this node's log has the hash {}, that of `{node}` {}: the logs are no longer one, and this node does not lead; if the other is right, replace this data directory by a copy of the other's; if this one is, replace the others' and delete the file `{FILE}` in this one",
            short(ours),
            short(theirs),
        )
    }
}

/// Enough of a hash for people.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

impl Agreement {
    /// What the data directory keeps of it.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub(crate) fn of(data: &Path) -> Result<Self, DaemonError> {
        let file = data.join(FILE);
        let unreadable = |error: io::Error| {
            format!(
                "cannot read {}, which says how this node's log differs from the others': {error}; if the log is the right one, delete the file",
                file.display()
            )
        };
        let kept = match fs::read(&file) {
            Ok(kept) => {
                Some(serde_json::from_slice(&kept).map_err(|error| unreadable(error.into()))?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unreadable(error).into()),
        };
        Ok(Self {
            file,
            difference: Mutex::new(kept),
        })
    }

    /// How this node's log differs, if it is known to.
    pub(crate) fn difference(&self) -> Option<Difference> {
        let difference = self.difference.lock();
        difference.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Compares the last record of the node that leads with this log, if it reaches so far.
    pub(crate) fn compare(&self, reader: &LogReader, leads: &Candidate) {
        let Some(LastRecord { seq, hash }) = &leads.last else {
            return;
        };
        let known = self.difference();
        // Hashes chain: logs that once differed never agree again, unless one of them was replaced.
        if known.as_ref().is_some_and(|known| *seq < known.seq) {
            return;
        }
        // What cannot be read is told by whoever needs it.
        let Ok(Some(ours)) = reader.leaf_hash(*seq) else {
            return;
        };
        let ours = hex(&ours);
        let found = (ours != *hash).then(|| Difference {
            seq: *seq,
            ours,
            theirs: hash.clone(),
            node: leads.node.clone(),
        });
        match (&known, &found) {
            (None, Some(difference)) => {
                tracing::error!("{difference}");
                self.set(found);
            }
            (Some(_), None) => {
                tracing::info!(leads = leads.node, record = seq, "the logs are one again");
                self.set(None);
            }
            _ => {}
        }
    }

    fn set(&self, difference: Option<Difference>) {
        let kept = match &difference {
            Some(difference) => serde_json::to_vec(difference)
                .map_err(io::Error::from)
                .and_then(|kept| {
                    let unfinished = self.file.with_extension("new");
                    durable::put(&self.file, &unfinished, |file| file.write_all(&kept))
                }),
            None => fs::remove_file(&self.file),
        };
        if let Err(error) = kept {
            tracing::warn!(file = %self.file.display(), %error, "cannot keep whether the logs are one");
        }
        let mut known = self
            .difference
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = difference;
    }
}

/// The last record of a log, as whoever leads tells it.
pub(crate) fn last_record(reader: &LogReader) -> Option<LastRecord> {
    let head = reader.head();
    let seq = head.next_seq.checked_sub(1).filter(|seq| *seq > 0)?;
    Some(LastRecord {
        seq,
        hash: hex(&head.previous),
    })
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read as _};

    use super::*;

    #[test]
    fn what_is_kept_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let difference = |seq| Difference {
            seq,
            ours: "aa".into(),
            theirs: "bb".into(),
            node: "first".into(),
        };
        let agreement = Agreement::of(dir.path()).unwrap();
        agreement.set(Some(difference(7)));
        let mut before = File::open(dir.path().join(FILE)).unwrap();
        agreement.set(Some(difference(8)));
        let mut text = String::new();
        before.read_to_string(&mut text).unwrap();
        assert!(text.contains("7"), "written in place: `{text}`");
        let kept = Agreement::of(dir.path()).unwrap();
        assert_eq!(kept.difference(), Some(difference(8)));
        agreement.set(None);
        assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
    }
}
