//! The log: append-only, durable through a power cut, tamper-evident.
//!
//! ```text
//! records ──> chunk (5, compressed) ──┐
//!         ──> frontier, stored hashes ├─> one batch ─> journal ─> fdatasync ─> store ─> head visible
//! position, extra ─> head, values ────┘                                          └─> synced now and then
//! ```
//!
//! [`Log`] is the one writer. It checks that records are dense and chained, and returns from
//! [`Log::append`] only when they are durable. [`LogReader`] sees what is durable, from any
//! number of threads. What a record means is no business of this module: records are bytes.
//!
//! Beside the records: [`checkpoint`] and [`key`] (signed claims that pin all history), [`tree`]
//! and [`proof`] (proofs), [`verify`] (everything checked), [`Snapshots`] (a cache), [`index`]
//! (finding records without reading all), [`transfer`] (JSON Lines), [`archive`] (plain files).
//!
//! On disk a log is a directory:
//!
//! | file | |
//! |---|---|
//! | `format` | names the format and its version; a directory without it is no log |
//! | `lock` | held while a process has the log open |
//! | `witness` | the last acknowledged record (`witness.rs`) |
//! | `journal/` | the last batches, durable before the store has them on disk (`journal.rs`) |
//! | `store/` | the key-value store (`store.rs`) |
//! | `snapshots/` | what saves reading the log from its beginning (`snapshots.rs`); may be deleted |

mod append;
pub mod archive;
mod bytes;
pub mod checkpoint;
mod checkpoints;
mod chunk;
mod commit;
mod directory;
pub(crate) mod durable;
mod guard;
mod head;
pub mod index;
mod journal;
pub mod key;
mod keys;
mod open;
pub mod proof;
mod reader;
mod record;
#[cfg(test)]
mod rows_tests;
mod snapshots;
mod store;
pub mod transfer;
pub mod tree;
mod verify;
#[cfg(test)]
mod verify_tests;
mod witness;

pub use append::{AppendError, EncodedRecord, Log, Pending};
pub use checkpoints::MakeError;
pub use chunk::{MAX_RECORD_BYTES, Records, dictionary_sample};
pub use directory::{is_open, make as make_directory};
pub use head::{Head, StreamPosition};
pub use open::{LogOptions, OpenError};
pub use reader::{LogReader, Range, ReadError};
pub use snapshots::{Kept, Kind, SnapshotError, SnapshotInfo, Snapshots};
pub(crate) use store::MAX_VALUE_BYTES;
pub use verify::{Problem, VerifyReport, verify};
pub use weir_schema::record::Hash;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use weir_schema::Timestamp;

use commit::Commits;
use journal::Journal;
use store::{Store, StoreError};

/// What the writer and the readers of an open log share.
struct Shared {
    dir: PathBuf,
    store: Arc<Store>,
    journal: Arc<Journal>,
    commits: Arc<Commits>,
    /// Times of records that searches by time have begun with.
    times: Mutex<BTreeMap<u64, Timestamp>>,
    /// Syncs the store when the journal is to be used again.
    storing: Option<JoinHandle<()>>,
    /// Released last, when no reader is left.
    _lock: directory::Lock,
}

impl Shared {
    fn times(&self) -> MutexGuard<'_, BTreeMap<u64, Timestamp>> {
        // Each time in it is whole.
        self.times
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Returns once batch `number` is durable, and the store has its rows.
    fn wait(&self, number: u64) -> Result<(), Arc<StoreError>> {
        self.commits.wait(&self.journal, &self.store, number)
    }
}

/// Syncs the store whenever the journal asks for it, until it ends.
fn store_journal(store: &Store, journal: &Journal, commits: &Commits) {
    while let Some(due) = journal.due() {
        match store.sync() {
            Ok(()) => journal.synced(due),
            Err(error) => {
                // What was acknowledged is in the journal, and stays there.
                commits.fail(error);
                journal.end();
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.journal.end();
        if let Some(thread) = self.storing.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that syncs the log's store panicked");
        }
        // So that the next start finds everything in the store. If it fails, the journal has it.
        if self.commits.failure().is_none()
            && let Err(error) = self.store.sync()
        {
            tracing::warn!(%error, "cannot sync the log's store; the next start takes longer");
        }
        self.commits.close();
    }
}
