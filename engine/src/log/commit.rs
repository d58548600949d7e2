//! Making appended batches durable, several at once where they overlap.
//!
//! Whoever waits for a batch syncs the journal if nobody does; one sync covers all that was written
//! before it began. Then the store is given the rows, never before: what it has on disk after a crash
//! is in the journal too, or was synced with it. A batch becomes visible to readers, as the new head
//! with the open chunk, only when it is durable and its rows are there.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::chunk::Chunk;
use super::head::Head;
use super::journal::Journal;
use super::store::{Changes, Store, StoreError};
use super::witness::{Seen, Witness};

/// The end of the log as readers see it.
#[derive(Clone)]
pub(super) struct Visible {
    pub(super) head: Arc<Head>,
    /// The open chunk, which has no rows of its own; perhaps without records.
    pub(super) tail: Arc<Chunk>,
}

/// The commits of one open log.
pub(super) struct Commits {
    state: Mutex<State>,
    changed: Condvar,
    heads: watch::Sender<u64>,
}

struct State {
    /// The last batch that is written, and the last that is durable.
    written: u64,
    durable: u64,
    syncing: bool,
    /// Why the log takes no more: the first error while writing.
    failed: Option<Arc<StoreError>>,
    /// What is written and not yet durable.
    pending: VecDeque<Batch>,
    visible: Visible,
    witness: Witness,
}

/// Gives the store the rows of batches that are durable.
fn give(store: &Store, journal: &Journal, rows: Vec<Changes>) -> Result<(), StoreError> {
    for rows in rows {
        journal.gives(rows.encoded_len());
        store.apply(rows)?;
    }
    Ok(())
}

/// A batch that is written.
struct Batch {
    number: u64,
    /// The end of the log after it.
    visible: Visible,
    /// The rows that the store is to be given.
    rows: Changes,
}

impl Commits {
    /// Of a log whose batches up to `batch` are durable.
    pub(super) fn new(batch: u64, visible: Visible, witness: Witness) -> Commits {
        let heads = watch::Sender::new(visible.head.next_seq);
        let state = State {
            written: batch,
            durable: batch,
            syncing: false,
            failed: None,
            pending: VecDeque::new(),
            visible,
            witness,
        };
        Commits {
            state: Mutex::new(state),
            changed: Condvar::new(),
            heads,
        }
    }

    /// The head of what is durable.
    pub(super) fn head(&self) -> Arc<Head> {
        self.lock().visible.head.clone()
    }

    /// The open chunk as it is durable. Whoever looks for a record asks for it first, and then
    /// looks among the rows: a chunk that is not open any more has them.
    pub(super) fn tail(&self) -> Arc<Chunk> {
        self.lock().visible.tail.clone()
    }

    /// The error that stopped the log, if one did.
    pub(super) fn failure(&self) -> Option<Arc<StoreError>> {
        self.lock().failed.clone()
    }

    /// Stops the log for good.
    pub(super) fn fail(&self, error: StoreError) -> Arc<StoreError> {
        let mut state = self.lock();
        let error = state.failed.get_or_insert_with(|| Arc::new(error)).clone();
        self.changed.notify_all();
        error
    }

    /// Takes note of the next batch, which is in the journal and not yet durable.
    pub(super) fn written(&self, number: u64, visible: Visible, rows: Changes) {
        let mut state = self.lock();
        state.written = number;
        state.pending.push_back(Batch {
            number,
            visible,
            rows,
        });
    }

    /// Returns once batch `number` is durable, and `store` has its rows.
    pub(super) fn wait(
        &self,
        journal: &Journal,
        store: &Store,
        number: u64,
    ) -> Result<(), Arc<StoreError>> {
        let mut state = self.lock();
        loop {
            if state.durable >= number {
                return Ok(());
            }
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            if state.written < number {
                let error = io::Error::other("the batch was never written");
                return Err(Arc::new(error.into()));
            }
            if state.syncing {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
                continue;
            }
            state.syncing = true;
            let target = state.written;
            let pending = state.pending.iter_mut();
            let rows: Vec<Changes> = pending.map(|batch| mem::take(&mut batch.rows)).collect();
            drop(state);
            let synced = journal.sync().map_err(StoreError::from);
            let stored = synced.and_then(|()| give(store, journal, rows));
            state = self.lock();
            state.syncing = false;
            match stored {
                Ok(()) => self.publish(&mut state, target),
                Err(error) => {
                    state.failed.get_or_insert_with(|| Arc::new(error));
                }
            }
            self.changed.notify_all();
        }
    }

    fn publish(&self, state: &mut State, durable: u64) {
        state.durable = durable;
        while let Some(batch) = state.pending.pop_front_if(|batch| batch.number <= durable) {
            state.visible = batch.visible;
        }
        let head = state.visible.head.clone();
        let seen = Seen {
            next_seq: head.next_seq,
            previous: head.previous,
        };
        if let Err(error) = state.witness.note(seen) {
            // The records are durable; only the guard against a lost tail is weaker.
            tracing::warn!(%error, "cannot write the log's witness file");
        }
        self.heads.send_replace(head.next_seq);
    }

    /// Waits until record `seq` is durable; false if it is not within `timeout`.
    pub(super) fn wait_past(&self, seq: u64, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        while state.visible.head.next_seq <= seq {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.failed.is_some() {
                return false;
            }
            state = match self.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        true
    }

    /// The next sequence of what is durable, as it changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.heads.subscribe()
    }

    /// Lets the witness survive a power cut too, at the end.
    pub(super) fn close(&self) {
        if let Err(error) = self.lock().witness.sync() {
            tracing::warn!(%error, "cannot sync the log's witness file");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics while the lock is held; the state is whole in any case.
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
