//! The indexer: keeps the index up with the log while the node works, without stopping it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::politeness::{Backlog, yield_to_others};
use crate::log::{archive::SEGMENT_RECORDS, index::Index};

/// How long a look at the log may delay a stop.
const LOOK: Duration = Duration::from_millis(200);

/// How many records the index may be behind while inputs wait for the node: what a query then looks
/// through by itself, in a second at most.
const BEHIND: u64 = 8 * SEGMENT_RECORDS;

/// How long to wait while inputs do.
const PAUSE: Duration = Duration::from_millis(20);

/// After an error, as of a full disk, the next try waits so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// The running indexer; it stops when dropped.
pub(super) struct Indexer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Indexer {
    /// Starts the thread.
    pub(super) fn start(index: Index, backlog: Backlog) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("indexer".into())
            .spawn(move || {
                yield_to_others();
                run(&index, &backlog, &|| stopped.load(Ordering::Relaxed));
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that indexes the log panicked");
        }
    }
}

fn run(index: &Index, backlog: &Backlog, stop: &dyn Fn() -> bool) {
    let can_wait = || {
        let behind = || index.reader().head().next_seq - index.indexed();
        backlog.is_there() && behind() < BEHIND
    };
    while !stop() {
        if can_wait() {
            thread::sleep(PAUSE);
            continue;
        }
        if let Err(error) = index.catch_up(&|| stop() || can_wait()) {
            tracing::warn!("{error}");
            let mut waited = Duration::ZERO;
            while waited < PATIENCE && !stop() {
                thread::sleep(LOOK);
                waited += LOOK;
            }
        }
        let next = index.indexed();
        if !index.reader().wait_past(next, LOOK) {
            // A log that failed answers at once.
            thread::sleep(LOOK / 100);
        }
    }
}
